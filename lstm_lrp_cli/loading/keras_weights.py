"""Keras's weights alone, as `model.save_weights` writes them: names and shapes, no architecture.

What they leave open is assumed where there is one usual choice, and asked for where there are more.
"""

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras_layers import GATE_ORDER
from lstm_lrp_cli.loading.mapping import (
    BatchNormSpec,
    CellSpec,
    DenseSpec,
    Described,
    EmbeddingSpec,
    LayerSpec,
    LstmSpec,
    Mapping,
    layers_yaml,
)

# Where Keras keeps a model's layers in the file; the second is how Keras 2.12 calls it.
ROOTS = ("layers/", "_layer_checkpoint_dependencies/")
ASSUMED = "the last hidden state, tanh, sigmoid gates and a linear output are assumed"
# No more layers than these are put in order by their sizes.
MOST_UNORDERED = 7


@dataclass(frozen=True, slots=True)
class Groups:
    """Where the layers of a Keras 3 file lie.

    Parameters
    ----------
    roots : dict
        The group of each layer by the file's own name for it, such as lstm_1.
    named : dict
        The same by the name that the model gave it, where the file records that.
    """

    roots: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)


def layer_groups(file: Hdf5File) -> Groups:
    """Find the groups that hold layers."""
    groups = Groups()
    for dataset in file.datasets:
        for root in ROOTS:
            if dataset.startswith(root):
                name = dataset.removeprefix(root).split("/")[0]
                groups.roots.setdefault(name, f"{root}{name}")
    for group in groups.roots.values():
        name = file.attribute(f"{group}/vars", "name")
        if isinstance(name, str):
            groups.named.setdefault(name, group)
    return groups


def weights_of(file: Hdf5File, group: str) -> list[str]:
    """The datasets of a layer in Keras's order: by part, the forward one first, and by number."""
    names = [name for name in file.datasets if name.startswith(f"{group}/")]

    def place(name: str) -> tuple[bool, str, int]:
        part, _, number = name.rpartition("/")
        return "backward_layer" in part, part, int(number) if number.isdigit() else 0

    return sorted(names, key=place)


def snake_case(kind: str) -> str:
    """The name that Keras 3 makes of a class: bidirectional, batch_normalization, lstm, ..."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()


def describe(file: Hdf5File) -> Described | None:
    """The chain that names and shapes imply; None where the file is not Keras's or has no LSTM.

    Raises
    ------
    UnusableInput
        More than one model could be made of it: the message asks, with a mapping to mend.
    """
    groups = layer_groups(file)
    ordered = file.attribute("/", "layer_names") if not groups.roots else None
    if ordered is not None:
        listed = {name: _listed(file, name) for name in ordered}
    else:
        listed = {name: weights_of(file, group) for name, group in groups.roots.items()}
    found = [_recognised(file, name, weights) for name, weights in listed.items()]
    if not any(each.kind == "lstm" for each in found):
        return None
    chain = [each for each in found if each.kind != "nothing"]
    problems = [f"nothing says what `{each.name}` is" for each in chain if each.kind == "unknown"]
    if ordered is None:
        orders = _orders([each for each in chain if each.kind != "unknown"])
        if len(orders) != 1:
            problems.append("sizes do not tell the order of its layers")
        chain = orders[0] if orders else chain
    elif silent := [each.name for each in found if each.kind == "nothing" and not _is_silent(each)]:
        problems.append(f"nothing says what {', '.join(f'`{name}`' for name in silent)} does")
    if sum(each.kind == "dense" for each in chain) > 1:
        problems.append("nothing says which activations stand between its dense layers")
    layers = _chain(chain)
    if problems:
        raise UnusableInput(
            str(file.path),
            "holds weights and no architecture, and names and shapes leave the model open: "
            f"{'; '.join(problems)}. Save the whole model, or mend this and save it as "
            f"{file.path.with_suffix('.yaml').name}:",
            layers_yaml(layers),
        )
    origin = f"names and shapes in {file.path.name}; {ASSUMED}"
    return Described.by(Mapping(format=1, layers=layers), origin)


@dataclass(frozen=True, slots=True)
class _Found:
    """A layer by its weights: what it is, and how many units it takes and gives."""

    name: str
    kind: str
    spec: LayerSpec
    inputs: int = 0
    outputs: int = 0


def _listed(file: Hdf5File, layer: str) -> list[str]:
    return [f"{layer}/{name}" for name in file.attribute(layer, "weight_names")]


def _is_silent(found: _Found) -> bool:
    """Whether a layer without weights has the name of one that does nothing at inference."""
    return any(part in found.name for part in ("dropout", "input", "noise", "masking"))


def _recognised(file: Hdf5File, name: str, weights: list[str]) -> _Found:
    """What a layer is, by the shapes of its weights."""
    if not weights:
        return _Found(name, "nothing", LayerSpec())
    shapes = [file.datasets[each].shape for each in weights if each in file.datasets]
    half = len(weights) // 2
    match shapes:
        case [(tokens, size)] if "embedding" in name:
            spec = LayerSpec(embedding=EmbeddingSpec(weights[0]))
            return _Found(name, "embedding", spec, tokens, size)
        case [(inputs, gates), (units, same), *_] if same == gates == 4 * units:
            both = len(weights) >= 4
            forward = _cell(weights[:half] if both else weights)
            backward = _cell(weights[half:]) if both else None
            cudnn = any(shape == (8 * units,) for shape in shapes)
            lstm = LstmSpec(
                gate_order=GATE_ORDER,
                layout="cudnn" if cudnn else "features_by_gates",
                forward=forward,
                backward=backward,
            )
            return _Found(name, "lstm", LayerSpec(lstm=lstm), inputs, units * (1 + both))
        case [(inputs, outputs)] | [(inputs, outputs), (_,)] if "embedding" not in name:
            bias = weights[1] if len(weights) > 1 else None
            dense = DenseSpec(weights[0], "features_by_classes", bias)
            return _Found(name, "dense", LayerSpec(dense=dense), inputs, outputs)
        case [(units,), (_,), (_,), (_,)]:
            scale, offset, mean, variance = weights
            norm = BatchNormSpec(mean, variance, scale, offset)
            return _Found(name, "norm", LayerSpec(batch_norm=norm), units, units)
    return _Found(name, "unknown", LayerSpec())


def _cell(weights: list[str]) -> CellSpec:
    bias: Any = weights[2] if len(weights) > 2 else None
    return CellSpec(input=weights[0], recurrent=weights[1], bias=bias)


def _orders(found: list[_Found]) -> list[list[_Found]]:
    """The orders in which each layer takes what the one before gives: at most two of them."""
    if len(found) > MOST_UNORDERED:
        return []
    rank = {"embedding": 0, "lstm": 1, "norm": 2, "dense": 2}
    orders = (
        list(order)
        for order in itertools.permutations(found)
        if all(
            one.outputs == other.inputs and rank[one.kind] <= rank[other.kind]
            for one, other in itertools.pairwise(order)
        )
    )
    return list(itertools.islice(orders, 2))


def _chain(found: list[_Found]) -> list[LayerSpec]:
    """The layers one after the other; all LSTMs but the last return every step."""
    layers = []
    for place, each in enumerate(found):
        lstm = each.spec.lstm
        if lstm is not None and any(later.kind == "lstm" for later in found[place + 1 :]):
            layers.append(LayerSpec(lstm=_returning_steps(lstm)))
        elif each.spec.kinds:
            layers.append(each.spec)
    return layers


def _returning_steps(lstm: LstmSpec) -> LstmSpec:
    return LstmSpec(
        gate_order=lstm.gate_order,
        layout=lstm.layout,
        forward=lstm.forward,
        backward=lstm.backward,
        returns="sequence",
    )
