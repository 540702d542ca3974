"""A CRF at the end of a tagger, as packages beside Keras have it: its emissions, step by step.

A linear-chain CRF (Lafferty, McCallum and Pereira 2001) adds to what a dense layer gives each tag
at each step, its emission, what each two tags that follow each other have, its transitions, and
takes the best sequence of tags. Two packages keep it in the files of Keras:

- `keras_contrib` (`layers/crf.py`): `kernel`, `bias`, `chain_kernel` and the boundaries are its
  own. They are energies: the sequence with the least is the best, so scores are their negatives.
- `tensorflow_addons` (`layers/crf.py`): `kernel` and `bias` are a dense layer's inside it, which
  `use_kernel=False` leaves out. The best sequence has the highest. It has four outputs: the tags,
  the emissions with the boundaries, the lengths and the transitions.
"""

from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from lstm_lrp_cli.loading.keras.architecture import Architecture, KerasLayer, role_of
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.units import DenseSpec
from .feed import Feed, KerasKind, Specs

KINDS_OF_CRF: Final = ("CRF", "Addons>CRF")
# Settings that each package's layer has, and no other's.
OF_CONTRIB: Final = {"learn_mode", "test_mode", "use_boundary", "chain_initializer"}
OF_ADDONS: Final = {"use_kernel", "use_boundary", "chain_initializer"}
# The weights that are no emissions.
TRANSITIONS: Final = ("chain_kernel", "left_boundary", "right_boundary")


def crf_transitions(architecture: Architecture) -> list[str]:
    """The names of the weights of transitions, of all CRFs of a model."""
    return [
        name
        for layer in architecture.layers
        if layer.kind in KINDS_OF_CRF
        for name in layer.weights
        if role_of(name) in TRANSITIONS
    ]


def emissions_alone(architecture: Architecture) -> Architecture:
    """The same architecture, in which a CRF has one output: its emissions.

    Raises
    ------
    UnusableInput
        A CRF feeds another layer, which is given something else of it.
    """
    names = [layer.name for layer in architecture.layers if layer.kind in KINDS_OF_CRF]
    own = {f"{name}:{number}": name for name in names for number in range(1, 4)}
    for layer in architecture.layers:
        for source in layer.sources:
            if source in (*names, *own):
                raise layer.unusable(
                    f"is fed by the CRF `{own.get(source, source)}`, of which lrp explains the "
                    "emissions alone; expected it at the end: save the model up to it"
                )
    outputs = [own.get(name, name) for name in architecture.outputs]
    return replace(architecture, outputs=list(dict.fromkeys(outputs)))


def _crf(layer: KerasLayer, feed: Feed) -> Specs:
    if not feed.has_steps:
        raise layer.unusable("is given one vector a sequence; expected steps")
    settings = layer.config.keys()
    is_contrib = layer.kind == "CRF" and settings >= OF_CONTRIB
    if not is_contrib and not settings >= OF_ADDONS:
        raise layer.unusable(
            "is a CRF of neither keras_contrib nor tensorflow_addons, and nothing says what its "
            "weights mean; save the model up to the layer that makes its emissions"
        )
    if not is_contrib and not layer.config["use_kernel"]:
        # It keeps an activation before it from being taken for what makes probabilities of scores.
        return [LayerSpec(activation="linear")]
    if layer.activation in ("softmax", "sigmoid") or (is_contrib and layer.activation != "linear"):
        raise layer.unusable(
            f"has activation `{layer.activation}`; expected a CRF with activation linear"
        )
    return [
        LayerSpec(
            dense=DenseSpec(
                weights=_weight(layer, "kernel"),
                layout="features_by_classes",
                bias=_weight(layer, "bias") if layer.config.get("use_bias", True) else None,
                activation=layer.activation,
                negative=True if is_contrib else UNSET,
            )
        )
    ]


def _weight(layer: KerasLayer, role: str) -> str:
    """A weight by its name: where names are numbers, its place would not tell it for sure."""
    for name in layer.weights:
        if role_of(name) == role:
            return name
    held = ", ".join(layer.weights) or "nothing"
    raise layer.unusable(
        f"the file names no `{role}` of it (it holds {held}); save the whole model as .h5"
    )


CRF = KerasKind(_crf, lambda layer, feed: (*feed.shape[:-1], layer.size("units")))
CHAIN_KINDS: dict[str, KerasKind] = dict.fromkeys(KINDS_OF_CRF, CRF)
