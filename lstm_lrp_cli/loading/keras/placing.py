"""Where Keras's layers may stand: what feeds each, and the steps and masks that reach it.

Keras skips a masked step where a layer asks for it, lrp skips it everywhere. So what Keras computes
of masked steps is refused.
"""

from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.mapping import INPUT_NAME
from .architecture import Architecture, KerasLayer
from .layers import KINDS, POOLS, SILENT, Feed, Output
from .recurrent import RECURRENT
from .refused import MENDS, unknown_layer

# Where it matters that a layer is given a mask.
MASKED = (*RECURRENT, "GlobalAveragePooling1D")
# What steps that are masked may reach beside others that are not.
INDIFFERENT = (*SILENT, "Masking", "Embedding")


class Placed(Struct):
    """The layers of the mapping so far, under the names that they have if others refer to them.

    Parameters
    ----------
    specs : list of (name, LayerSpec)
    outputs : dict of str to Output
        Those of Keras's layers.
    referred : set
        The names that a `from` or `outputs` needs.
    last : str
        The name of the last of them.
    """

    specs: list[tuple[str, LayerSpec]] = field(default_factory=list)
    outputs: dict[str, Output] = field(default_factory=dict)
    referred: set[str] = field(default_factory=set)
    last: str = INPUT_NAME

    def add(self, called: str, specs: list[LayerSpec], sources: list[Output]) -> tuple[str, bool]:
        """Add what an output of a layer amounts to: layers one behind the other.

        The name that it goes by, and whether it is a softmax over the steps.
        """
        if not specs:
            return (sources[0].name, sources[0].weighs) if sources else (INPUT_NAME, False)
        if specs[0].merge == "gate":
            sources = sorted(sources, key=lambda source: not source.weighs)
        names = [source.name for source in sources] or [INPUT_NAME]
        if names != [self.last]:
            self.referred.update(names)
            given = names[0] if len(names) == 1 else names
            specs = [replace(specs[0], source=given), *specs[1:]]
        self.last = f"{called}_" if called == INPUT_NAME else called
        self.specs += [("", spec) for spec in specs[:-1]] + [(self.last, specs[-1])]
        return self.last, specs[-1].softmax is not None


def place(architecture: Architecture, length: int) -> Placed:
    """The layers of a mapping that those of an architecture amount to.

    Parameters
    ----------
    length : int
        The fixed number of steps of the input, or 0.

    Raises
    ------
    UnusableInput
        There are several inputs, or a layer that lrp does not know or cannot explain where it is.
    """
    placed = Placed()
    has_mask = any(map(makes_mask, architecture.layers))
    inputs = [layer for layer in architecture.layers if not layer.sources]
    if len(inputs) > 1:
        names = ", ".join(f"`{layer.name}`" for layer in inputs)
        raise inputs[1].unusable(f"is one of several inputs ({names}); expected a model of one")
    used = {*architecture.outputs}.union(*(layer.sources for layer in architecture.layers))
    for layer in architecture.layers:
        _check_sources(layer, placed)
        feed = Feed([placed.outputs[source] for source in layer.sources], length)
        _check_place(layer, feed, is_first=not placed.specs)
        if has_mask:
            _check_mask(layer, feed)
        elif layer.called_with_mask:
            raise layer.unusable("is called with a mask of its own; expected that of a layer")
        kind = KINDS.get(layer.kind)
        if kind is None:
            raise unknown_layer(layer)
        by_step = feed.has_steps and kind.gives_steps(layer)
        is_masked = by_step and (feed.is_masked or makes_mask(layer))
        for output, specs in kind.outputs(layer, feed).items():
            if output in used or len(layer.outputs) == 1:
                name, weighs = placed.add(output, specs, feed.sources)
                placed.outputs[output] = Output(name, by_step, is_masked, weighs)
    return placed


def makes_mask(layer: KerasLayer) -> bool:
    return layer.kind == "Masking" or bool(layer.config.get("mask_zero"))


def _check_sources(layer: KerasLayer, placed: Placed) -> None:
    for source in layer.sources:
        if source not in placed.outputs:
            raise layer.unusable(f"is fed by `{source}`, which gives no such output")
    kind = KINDS.get(layer.kind)
    if len(layer.sources) > 1 and not (kind and kind.joins):
        if layer.kind in MENDS:
            raise unknown_layer(layer)
        raise layer.unusable(f"is fed by {len(layer.sources)} layers; expected one")


def _check_place(layer: KerasLayer, feed: Feed, *, is_first: bool) -> None:
    """Refuse arrays that are laid out otherwise, and what stands first in Keras's own models."""
    if layer.config.get("data_format", "channels_last") != "channels_last":
        raise layer.unusable("does not keep its steps first; expected channels_last")
    if "Quantized" in str(layer.config.get("dtype")):
        raise layer.unusable("is quantized; expected weights as they were trained")
    # What the model itself is fed with reaches these under the name of the input.
    is_fed = not is_first or any(source.name != INPUT_NAME for source in feed.sources)
    if layer.kind in ("Masking", "Embedding") and is_fed:
        does = "masks" if layer.kind == "Masking" else "embeds"
        raise layer.unusable(f"{does} what another layer puts out; expected it to stand first")


def _check_mask(layer: KerasLayer, feed: Feed) -> None:
    """Refuse what Keras does with masked steps and the engine does not."""
    if layer.is_inside and (feed.steps or makes_mask(layer)):
        raise layer.unusable(
            "is of a model inside the model, which passes no mask on; train without the mask"
        )
    if feed.is_masked:
        _check_masked(layer)
        if layer.called_with_mask is False and layer.kind in MASKED:
            raise layer.unusable("is given no mask, unlike others; train without the mask")
    if layer.kind not in INDIFFERENT and not all(source.is_masked for source in feed.steps):
        raise layer.unusable("takes steps that are masked elsewhere, and lrp skips them everywhere")


def _check_masked(layer: KerasLayer) -> None:
    """Refuse a layer that masked steps take part in, or that puts them elsewhere."""
    kind = KINDS.get(layer.kind)
    if layer.kind.startswith("ops.") or (kind and kind.takes_masked):
        does = "pools" if layer.kind in POOLS else "takes"
        raise layer.unusable(f"{does} masked steps too, which lrp skips; train without the mask")
    inner = layer.config["layer"] if layer.kind == "Bidirectional" else {"class_name": layer.kind}
    if inner["class_name"] == "CuDNNLSTM":
        raise layer.unusable("is given a mask, which cuDNN does not take; train without the mask")
    if layer.config.get("go_backwards") and layer.config.get("return_sequences"):
        raise layer.unusable("turns masked steps round, which lrp skips; train without the mask")
