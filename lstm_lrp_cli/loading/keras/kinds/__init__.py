"""What each of Keras's layers becomes in a mapping, in one table: KINDS.

A new layer is a function in a file of this folder, and an entry of its table; the weights that it
has are an entry of WEIGHTS in `roles`.
"""

from lstm_lrp_cli.loading.keras.architecture import KerasLayer
from lstm_lrp_cli.loading.keras.refused import unknown_layer
from lstm_lrp_cli.loading.keras.roles import Shape
from lstm_lrp_cli.loading.layers import EachSpec, LayerSpec
from .attention import ATTENTION_KINDS
from .chain import CHAIN_KINDS
from .feed import SILENT, Feed, KerasKind, Output, Specs
from .inputs import INPUT_KINDS, SCALING
from .recurrent import RECURRENT_KINDS
from .steps import STEP_KINDS
from .units import UNIT_KINDS

# What does the same to every step by itself.
STEPWISE = ("Dense", *SILENT, *SCALING, *(set(UNIT_KINDS) - {"GroupNormalization", "Embedding"}))


def _inner(layer: KerasLayer, feed: Feed) -> tuple[KerasLayer, KerasKind, Feed]:
    """What is done for each part of a sequence, and what it is fed with there."""
    inner = layer.wrapped(layer.weights)
    kind = KINDS.get(inner.kind)
    if kind is None or kind.joins is (inner.kind not in RECURRENT_KINDS):
        raise unknown_layer(layer, inner.kind)
    [source] = feed.sources
    return inner, kind, Feed([Output(source.name, source.shape[1:])])


def _time_distributed(layer: KerasLayer, feed: Feed) -> Specs:
    inner, kind, fed = _inner(layer, feed)
    if not feed.has_steps:
        raise layer.unusable("is given one vector a sequence; expected steps")
    if inner.inner.get("stateful"):
        raise layer.unusable("carries states from part to part; expected stateful=False")
    if _is_stepwise(inner, fed):
        return kind.specs(inner, fed)
    if len(feed.shape) == 2:  # each part is one vector
        if inner.kind in ("Flatten", *SILENT):
            return []
        raise unknown_layer(layer, inner.kind)
    steps = fed.sources[0].steps
    if steps is None:
        raise layer.unusable("parts sequences of no fixed length; expected an input of so many")
    return [LayerSpec(each=EachSpec(steps, kind.specs(inner, fed)))]


def _distributed_shape(layer: KerasLayer, feed: Feed) -> Shape:
    inner, kind, fed = _inner(layer, feed)
    return (feed.shape[0], *kind.shape(inner, fed))


def _is_stepwise(inner: KerasLayer, fed: Feed) -> bool:
    """Whether it does to each part what it does to every step of it, so that parts do not matter.

    Of a softmax the axis tells, which is one of a part.
    """
    along_steps = "Softmax" in inner.kind and not fed.is_units(inner.axis)
    return inner.kind in STEPWISE and not along_steps


def _mark_distributed(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    """Of a function of single steps, what is known of one of all steps."""
    inner, kind, _ = _inner(layer, feed)
    return kind.mark(inner, feed, output) if inner.kind in STEPWISE else output


KINDS: dict[str, KerasKind] = {
    **dict.fromkeys((*SILENT, "Masking"), KerasKind(lambda layer, feed: [])),
    **INPUT_KINDS,
    **UNIT_KINDS,
    **STEP_KINDS,
    **RECURRENT_KINDS,
    **ATTENTION_KINDS,
    **CHAIN_KINDS,
    "TimeDistributed": KerasKind(_time_distributed, _distributed_shape, mark=_mark_distributed),
}
