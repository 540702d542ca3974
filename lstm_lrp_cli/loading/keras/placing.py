"""Where Keras's layers may stand: what feeds each, and the steps and masks that reach it.

Keras skips a masked step where a layer asks for it, lrp skips it everywhere. So what Keras computes
of masked steps is refused.
"""

from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.loading.mapping.schema import INPUT_NAME, LayerSpec
from .architecture import Architecture, KerasLayer
from .layers import KINDS, POOLS, SILENT, Feed
from .recurrent import RECURRENT, directions
from .refused import MENDS, unknown_layer

# Where it matters that a layer is given a mask.
MASKED = (*RECURRENT, "GlobalAveragePooling1D")
# What steps that are masked may reach beside others that are not.
INDIFFERENT = (*SILENT, "Masking", "Embedding")


class Placed(Struct):
    """The layers of the mapping so far, under the names that they have if others refer to them.

    Parameters
    ----------
    length : int
        The fixed number of steps of the input, or 0.
    has_mask : bool
        Whether any layer makes a mask.
    specs : list of (name, LayerSpec)
    alias : dict
        The name under which each output of a Keras layer goes: a silent layer's is its source's.
    by_step, masked : dict
        Whether an output has a vector a step, and whether a mask goes with it.
    weights_of_steps : set
        The names that are a softmax over the steps.
    referred : set
        The names that a `from` or `outputs` needs.
    last : str
        The name of the last of them.
    """

    length: int
    has_mask: bool
    specs: list[tuple[str, LayerSpec]] = field(default_factory=list)
    alias: dict[str, str] = field(default_factory=dict)
    by_step: dict[str, bool] = field(default_factory=dict)
    masked: dict[str, bool] = field(default_factory=dict)
    weights_of_steps: set[str] = field(default_factory=set)
    referred: set[str] = field(default_factory=set)
    last: str = INPUT_NAME

    def feed(self, layer: KerasLayer) -> Feed:
        """What feeds a layer."""
        return Feed(
            [self.by_step[source] for source in layer.sources],
            [self.alias[source] in self.weights_of_steps for source in layer.sources],
            self.length,
        )

    def add(self, layer: KerasLayer, output: str, specs: list[LayerSpec]) -> None:
        """Add what a layer, or one output of it, amounts to: layers one behind the other."""
        sources = [self.alias[source] for source in layer.sources] or [INPUT_NAME]
        if not specs:
            self.alias[output] = sources[0]
            return
        if specs[0].merge == "gate":
            sources.sort(key=lambda name: name not in self.weights_of_steps)
        if sources != [self.last]:
            self.referred.update(sources)
            given = sources[0] if len(sources) == 1 else sources
            specs = [replace(specs[0], source=given), *specs[1:]]
        name = f"{output}_" if output == INPUT_NAME else output
        self.specs += [("", spec) for spec in specs[:-1]] + [(name, specs[-1])]
        if specs[-1].softmax is not None:
            self.weights_of_steps.add(name)
        self.alias[output] = self.last = name


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
    placed = Placed(length, any(map(makes_mask, architecture.layers)))
    inputs = [layer for layer in architecture.layers if not layer.sources]
    if len(inputs) > 1:
        names = ", ".join(f"`{layer.name}`" for layer in inputs)
        raise inputs[1].unusable(f"is one of several inputs ({names}); expected a model of one")
    used = {*architecture.outputs}.union(*(layer.sources for layer in architecture.layers))
    for layer in architecture.layers:
        _check_sources(layer, placed)
        _check_place(layer, placed)
        feed, kind = placed.feed(layer), KINDS.get(layer.kind)
        if kind is None:
            raise unknown_layer(layer)
        parted = len(layer.outputs) > 1
        made = directions(layer) if parted else [kind.specs(layer, feed)]
        for output, specs in zip(layer.outputs, made, strict=True):
            if parted and output not in used:
                continue
            placed.add(layer, output, specs)
            placed.by_step[output] = feed.has_steps and kind.gives_steps(layer)
            placed.masked[output] = placed.by_step[output] and (
                any(placed.masked[source] for source in layer.sources) or makes_mask(layer)
            )
    return placed


def makes_mask(layer: KerasLayer) -> bool:
    return layer.kind == "Masking" or bool(layer.config.get("mask_zero"))


def _check_sources(layer: KerasLayer, placed: Placed) -> None:
    for source in layer.sources:
        if source not in placed.alias:
            raise layer.unusable(f"is fed by `{source}`, which gives no such output")
    kind = KINDS.get(layer.kind)
    if len(layer.sources) > 1 and not (kind and kind.joins):
        if layer.kind in MENDS:
            raise unknown_layer(layer)
        raise layer.unusable(f"is fed by {len(layer.sources)} layers; expected one")


def _check_place(layer: KerasLayer, placed: Placed) -> None:
    """Refuse what Keras does with steps and masks and the engine does not."""
    if layer.config.get("data_format", "channels_last") != "channels_last":
        raise layer.unusable("does not keep its steps first; expected channels_last")
    if "Quantized" in str(layer.config.get("dtype")):
        raise layer.unusable("is quantized; expected weights as they were trained")
    # What the model itself is fed with reaches these under the name of the input.
    if layer.kind in ("Masking", "Embedding") and (
        placed.specs or any(placed.alias[source] != INPUT_NAME for source in layer.sources)
    ):
        does = "masks" if layer.kind == "Masking" else "embeds"
        raise layer.unusable(f"{does} what another layer puts out; expected it to stand first")
    if placed.has_mask:
        _check_mask(layer, placed)
    elif layer.called_with_mask:
        raise layer.unusable("is called with a mask of its own; expected that of a layer")


def _check_mask(layer: KerasLayer, placed: Placed) -> None:
    """Refuse a layer that masked steps take part in, or that only a part of what feeds it masks."""
    steps = [source for source in layer.sources if placed.by_step[source]]
    if layer.is_inside and (steps or makes_mask(layer)):
        raise layer.unusable(
            "is of a model inside the model, which passes no mask on; train without the mask"
        )
    if any(placed.masked[source] for source in steps):
        _check_masked(layer)
        if layer.called_with_mask is False and layer.kind in MASKED:
            raise layer.unusable("is given no mask, unlike others; train without the mask")
    if layer.kind not in INDIFFERENT and not all(placed.masked[source] for source in steps):
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
