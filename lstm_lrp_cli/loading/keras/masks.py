"""The masks of Keras's layers: which steps they pass over, and where that is what lrp does.

Keras skips a masked step where a layer asks for it, lrp skips it everywhere. So what Keras computes
of masked steps is refused. An input whose mask no layer asks for has none.
"""

from msgspec import Struct

from .architecture import Architecture, KerasLayer
from .document import kind_of
from .kinds import KINDS, STEPWISE
from .kinds.attention import ATTENTION_KINDS
from .kinds.feed import SILENT, Feed
from .kinds.inputs import SCALING, TEXT
from .kinds.recurrent import RECURRENT
from .kinds.steps import POOLS

# What a mask goes with, or with none at all: the inputs that it is of.
Origin = frozenset[str]
NOTHING: Origin = frozenset()
ATTENTION = ("Attention", "AdditiveAttention", "MultiHeadAttention")
# Where it matters that a layer is given a mask.
MASKED = (*RECURRENT, "GlobalAveragePooling1D", "Softmax", *ATTENTION)
# What masked steps take part in, and a mask goes on behind.
PASSING = (*POOLS, "GroupNormalization", "Softmax")
# What steps that are masked may reach beside others that are not.
INDIFFERENT = (*SILENT, *TEXT, "Masking", "Embedding")


class Masks(Struct, frozen=True):
    """The masks of a model.

    Parameters
    ----------
    inputs : frozenset of str
        The inputs whose masked steps some layer passes over.
    of : dict of str to frozenset of str
        By a layer's output, the inputs whose masks go with it.
    fed : dict of str to str
        By a layer that stands first, the input that feeds it.
    attentions : tuple of str
        The kinds of the attention layers that are given masks.
    """

    inputs: Origin
    of: dict[str, Origin]
    fed: dict[str, str]
    attentions: tuple[str, ...]

    def is_masked(self, layer: KerasLayer, feed: Feed) -> bool:
        """Whether a mask goes with the steps that a layer puts out."""
        if makes_mask(layer) and not feed.sources[0].is_made:
            return True
        if layer.kind in ATTENTION:
            return feed.sources[_query(layer)].is_masked
        return feed.is_masked

    def reads_on(self, layer: KerasLayer, feed: Feed) -> bool:
        """Whether it reads masked steps as others, though a mask goes with them and on behind."""
        return bool(self.inputs) and feed.is_masked and _is_unasked(layer)

    def check(self, layer: KerasLayer, feed: Feed) -> None:
        """Refuse what Keras does with masked steps and the engine does not."""
        self._check_own(layer)
        if not self.inputs:
            return
        counted = [source for source in feed.steps if not source.is_made]
        if feed.is_masked:
            _check_masked(layer, feed)
            self._check_given(layer)
            self._check_origins(layer, feed)
        is_mixed = len(counted) < len(feed.steps) and layer.kind not in ATTENTION_KINDS
        reached = [source.is_masked for source in counted]
        if (layer.kind not in INDIFFERENT and not all(reached)) or (is_mixed and reached):
            raise layer.unusable(
                "takes steps that are masked elsewhere, and lrp skips them everywhere"
            )

    def _check_own(self, layer: KerasLayer) -> None:
        """Refuse masks that are not those of the steps that a layer is called with."""
        masks = (layer.call and layer.call.masks) or ()
        sources = layer.sources if len(masks) > 1 else layer.sources[:1]
        own = [frozenset(self.fed.get(maker, maker) for maker in makers) for makers in masks]
        if own and own != [self.of.get(source, NOTHING) for source in sources]:
            raise layer.unusable(
                "is called with another mask than that of the steps that it is given"
            )

    def _check_given(self, layer: KerasLayer) -> None:
        """Refuse a layer that is given no mask where others are, or perhaps none."""
        if layer.called_with_mask is not False or layer.kind not in MASKED:
            return
        if layer.kind in ATTENTION:
            # For the masks of several inputs, Keras 3 looks as it runs; MultiHeadAttention takes
            # them off what it is given, and so from what is called later.
            if "MultiHeadAttention" in self.attentions and len(self.attentions) > 1:
                raise layer.unusable(
                    "is one of several attention layers with masks, which a MultiHeadAttention "
                    "takes from the others; train without the mask"
                )
            return
        if not _is_unasked(layer):
            if layer.is_inside:  # built before its model was given what is masked
                return
            raise layer.unusable("is given no mask, unlike others; train without the mask")
        config = layer.inner
        backwards = layer.kind == "Bidirectional" or config.get("go_backwards")
        if backwards or not config.get("return_sequences"):
            raise layer.unusable(
                "is given no mask by Keras 3, since it begins in given states, and reads masked "
                "steps that others skip; train without the mask"
            )

    def _check_origins(self, layer: KerasLayer, feed: Feed) -> None:
        """Refuse steps that are put together one by one, and masked each by its own mask."""
        origins = [
            self.of.get(name, NOTHING)
            for name, source in zip(layer.sources, feed.sources, strict=True)
            if source.by_step
        ]
        is_causal = layer.call is not None and layer.call.is_causal
        if layer.kind in ATTENTION and not (is_causal or layer.config.get("causal")):
            del origins[_query(layer)]
        if len(set(origins)) > 1:
            names = ", ".join(f"`{name}`" for name in sorted(NOTHING.union(*origins)))
            raise layer.unusable(
                f"puts steps together that are masked by more than one of {names}; train without "
                "the mask"
            )


def masks_of(architecture: Architecture, given_before: Origin = NOTHING) -> Masks:
    """Follow the masks of a model's inputs.

    Layers that take masked steps like others, such as convolutions, let no mask through.

    Parameters
    ----------
    given_before : frozenset of str
        The masks that go with what the model is given.
    """
    fed: dict[str, str] = {}
    masks: dict[str, Origin] = {}
    used: set[str] = set()
    attentions: list[str] = []
    for layer in architecture.layers:
        if not layer.sources:
            fed[layer.name] = layer.name
        elif layer.kind in (*INDIFFERENT, *SCALING) and layer.sources[0] in fed:
            fed[layer.name] = fed[layer.sources[0]]
        given = [masks.get(source, NOTHING) for source in layer.sources] or [given_before]
        if _uses(layer) and not _is_unasked(layer):
            used.update(*given)
            attentions += [layer.kind] * (layer.kind in ATTENTION and any(given))
            for makers in (layer.call and layer.call.masks) or ():
                used.update(fed.get(maker, maker) for maker in makers)
        passed = _passed(layer, given)
        if makes_mask(layer) and layer.name in fed:
            passed |= {fed[layer.name]}
        masks.update(dict.fromkeys(_with_steps(layer), passed))
    return Masks(frozenset(used), masks, fed, tuple(attentions))


def makes_mask(layer: KerasLayer) -> bool:
    return layer.kind == "Masking" or bool(layer.config.get("mask_zero"))


def _uses(layer: KerasLayer) -> bool:
    """Whether a layer passes over masked steps, or what it does for each part of a sequence."""
    if layer.repeated is not None:
        return bool(masks_of(layer.repeated, frozenset({layer.name})).inputs)
    if layer.kind == "TimeDistributed":
        return kind_of(layer.config["layer"]) in MASKED
    return layer.kind in MASKED


def _passed(layer: KerasLayer, given: list[Origin]) -> Origin:
    """The masks that go on behind a layer."""
    kind = KINDS.get(layer.kind)
    if kind is not None and kind.takes_masked and layer.kind not in PASSING:
        return NOTHING
    if layer.kind in ATTENTION and given:
        return given[_query(layer)]
    return NOTHING.union(*(given[:1] if layer.kind in RECURRENT else given))


def _with_steps(layer: KerasLayer) -> list[str]:
    """The outputs that may have steps: not those of one vector, as states are."""
    if layer.kind not in RECURRENT:
        return layer.outputs
    if not layer.inner.get("return_sequences"):
        return []
    apart = layer.kind == "Bidirectional" and layer.config.get("merge_mode", "concat") is None
    return layer.outputs[: 1 + apart]


def _is_unasked(layer: KerasLayer) -> bool:
    """Whether Keras 3 gives a layer no mask, since it is called with states beside its input."""
    is_begun = layer.kind in RECURRENT and len(layer.sources) > 1
    return is_begun and layer.called_with_mask is False


def _query(layer: KerasLayer) -> int:
    """Which of an attention's sources has the queries."""
    named = layer.sources_as("query")
    return named[0] if named else layer.sources_as(None)[0]


def _check_masked(layer: KerasLayer, feed: Feed) -> None:
    """Refuse a layer that masked steps take part in, or that puts them elsewhere."""
    kind = KINDS.get(layer.kind)
    if layer.kind.startswith("ops.") or (kind and kind.takes_masked):
        does = "pools" if layer.kind in POOLS else "takes"
        raise layer.unusable(f"{does} masked steps too, which lrp skips; train without the mask")
    is_parted = layer.kind == "TimeDistributed" and len(feed.shape) > 2
    if is_parted and kind_of(layer.config["layer"]) not in STEPWISE:
        raise layer.unusable(
            "is given the masks of a sequence's parts, and lrp parts it by a fixed number of "
            "steps; train without the mask"
        )
    inner = layer.config["layer"] if layer.kind == "Bidirectional" else {"class_name": layer.kind}
    if inner["class_name"] == "CuDNNLSTM":
        raise layer.unusable("is given a mask, which cuDNN does not take; train without the mask")
    if layer.config.get("go_backwards") and layer.config.get("return_sequences"):
        raise layer.unusable("turns masked steps round, which lrp skips; train without the mask")
