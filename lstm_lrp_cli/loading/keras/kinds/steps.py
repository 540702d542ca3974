"""Keras's layers that work on the steps of a sequence: windows, pools, shapes, and their order."""

from typing import Any

from msgspec.structs import replace

from lstm_lrp_cli.loading.keras.architecture import KerasLayer
from lstm_lrp_cli.loading.keras.roles import Shape
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.steps import (
    ConvolutionSpec,
    CropSpec,
    FlattenSpec,
    PadSpec,
    RepeatSpec,
    TransposeSpec,
    UnflattenSpec,
    UpsampleSpec,
    WindowPadding,
    WindowsSpec,
)
from lstm_lrp_cli.model.layers import PoolName
from .feed import Feed, KerasKind, Output, Specs, known_product

POOLS: dict[str, PoolName] = {
    "GlobalAveragePooling1D": "mean",
    "GlobalMaxPooling1D": "max",
    # Operations of Keras 3, over the steps.
    "ops.Sum": "sum",
    "ops.Mean": "mean",
    "ops.Max": "max",
}


def one(value: Any) -> int:
    """A setting that Keras has as a number or as a list of one."""
    found = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    if not isinstance(found, int):
        raise ValueError(f"found {value!r} where one number was expected")
    return found


def _two(value: Any) -> tuple[int, int]:
    """A setting that Keras has as a number for both sides or as one for each."""
    before, after = value if isinstance(value, list | tuple) else (value, value)
    return int(before), int(after)


def _needs_steps(layer: KerasLayer, feed: Feed) -> None:
    if len(feed.shape) != 2:
        raise layer.unusable(f"is given values of shape {feed.shape}; expected steps of units")


def _windowed(layer: KerasLayer, feed: Feed, width: int, units: int | None) -> Shape:
    config, steps = layer.config, feed.shape[0]
    stride = config.get("strides") or config.get("pool_size") or 1
    reach = one(config.get("dilation_rate", 1)) * (width - 1) + 1
    if steps is not None:
        padding = config.get("padding", "valid")
        padded = padding in ("same", "causal")
        steps += sum(padding) if isinstance(padding, list) else 0
        steps = -(-steps // one(stride)) if padded else (steps - reach) // one(stride) + 1
    return (steps, units)


def _convolution(layer: KerasLayer, feed: Feed) -> Specs:
    _needs_steps(layer, feed)
    config = layer.config
    bias = layer.weight("bias") if config.get("use_bias", True) else None
    settings: dict[str, Any] = {
        "stride": one(config.get("strides", 1)),
        "dilation": one(config.get("dilation_rate", 1)),
        "padding": _padding(layer),
    }
    if layer.kind == "Conv1D":
        made = ConvolutionSpec(
            layer.weight("kernel"),
            "width_inputs_outputs",
            bias,
            groups=int(config.get("groups", 1)),
            activation=layer.activation,
            flipped=config.get("flipped"),  # as on Theano
            **settings,
        )
        return [LayerSpec(convolution=made)]
    depthwise = layer.weight("depthwise_kernel")
    if layer.kind == "DepthwiseConv1D":
        settings |= {"bias": bias, "activation": layer.activation}
    first = ConvolutionSpec(depthwise, "width_groups_outputs", **settings)
    if layer.kind == "DepthwiseConv1D":
        return [LayerSpec(convolution=first)]
    pointwise = ConvolutionSpec(
        layer.weight("pointwise_kernel"), "width_inputs_outputs", bias, activation=layer.activation
    )
    return [LayerSpec(convolution=first), LayerSpec(convolution=pointwise)]


def _convolved(layer: KerasLayer, feed: Feed) -> Shape:
    config, units = layer.config, feed.shape[-1]
    if layer.kind == "DepthwiseConv1D":
        of_each = int(config.get("depth_multiplier", 1))
        made = None if units is None else units * of_each
    else:
        made = int(config["filters"])
    return _windowed(layer, feed, one(config["kernel_size"]), made)


def _padding(layer: KerasLayer) -> WindowPadding:
    padding = layer.config.get("padding", "valid")
    is_counted = isinstance(padding, list) and len(padding) == 2
    if padding not in ("valid", "same", "causal") and not is_counted:
        raise layer.unusable(f"has padding {padding!r}; expected valid, same or causal")
    found: WindowPadding = padding
    return found


def _window_pool(layer: KerasLayer, feed: Feed) -> Specs:
    _needs_steps(layer, feed)
    size = one(layer.config["pool_size"])
    stride = layer.config.get("strides")
    kind = "max" if layer.kind == "MaxPooling1D" else "mean"
    spec = WindowsSpec(kind, size, size if stride is None else one(stride), _padding(layer))  # type: ignore[arg-type]
    return [LayerSpec(windows=spec)]


def _pooled(layer: KerasLayer, feed: Feed) -> Shape:
    return _windowed(layer, feed, one(layer.config["pool_size"]), feed.shape[-1])


def _pool(layer: KerasLayer, feed: Feed) -> Specs:
    is_operation = layer.kind.startswith("ops.")
    if not feed.has_steps or (is_operation and layer.axis not in (1, -2)):
        raise layer.unusable("does not run over the steps; expected axis=1")
    if layer.config.get("keepdims"):
        raise layer.unusable("keeps the steps' axis; expected keepdims=False")
    if len(feed.shape) > 2:
        raise layer.unusable("runs over sequences of sequences; expected steps of units")
    return [LayerSpec(pool=POOLS[layer.kind])]


def _without_steps(layer: KerasLayer, feed: Feed) -> Shape:
    return feed.shape[-1:]


def _resized(layer: KerasLayer, feed: Feed) -> Specs:
    _needs_steps(layer, feed)
    config = layer.config
    match layer.kind:
        case "UpSampling1D":
            return [LayerSpec(upsample=UpsampleSpec(one(config["size"])))]
        case "ZeroPadding1D":
            return [LayerSpec(pad=PadSpec(*_two(config["padding"])))]
        case _:
            return [LayerSpec(crop=CropSpec(*_two(config["cropping"])))]


def _resized_shape(layer: KerasLayer, feed: Feed) -> Shape:
    steps, units = feed.shape
    if steps is None:
        return (None, units)
    match layer.kind:
        case "UpSampling1D":
            return (steps * one(layer.config["size"]), units)
        case "ZeroPadding1D":
            return (steps + sum(_two(layer.config["padding"])), units)
        case _:
            return (steps - sum(_two(layer.config["cropping"])), units)


def _repeat(layer: KerasLayer, feed: Feed) -> Specs:
    if feed.has_steps:
        raise layer.unusable("is given steps; expected one vector a sequence")
    return [LayerSpec(repeat=RepeatSpec(int(layer.config["n"])))]


def _mark_repeat(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    [source] = feed.sources
    return replace(output, weighs=source.weighs, holds_steps=source.holds_steps)


def _permute(layer: KerasLayer, feed: Feed) -> Specs:
    dims = list(layer.config["dims"])
    if dims == list(range(1, len(feed.shape) + 1)):
        return []
    if dims != [2, 1] or len(feed.shape) != 2:
        raise layer.unusable(f"turns axes {dims} of {len(feed.shape)}; expected [2, 1] of two")
    return [LayerSpec(transpose=TransposeSpec(_fixed_steps(layer, feed)))]


def _permuted(layer: KerasLayer, feed: Feed) -> Shape:
    return tuple(feed.shape[int(axis) - 1] for axis in layer.config["dims"])


def _mark_permute(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    [source] = feed.sources
    if output.name == source.name:
        return source
    return replace(output, weighs=source.weighs, holds_steps=not source.holds_steps)


def _fixed_steps(layer: KerasLayer, feed: Feed) -> int:
    steps = feed.sources[0].steps
    if steps is None:
        raise layer.unusable(
            "lays out sequences of no fixed length; expected an input of so many steps"
        )
    return steps


def _flatten(layer: KerasLayer, feed: Feed) -> Specs:
    """All steps side by side; of one vector there is nothing to be done."""
    if not feed.has_steps:
        return []
    return [LayerSpec(flatten=FlattenSpec(_fixed_steps(layer, feed)))]


def _flattened(layer: KerasLayer, feed: Feed) -> Shape:
    return (known_product(feed.shape),)


def _mark_flatten(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    """What is left of one unit a step is a vector of the steps."""
    [source] = feed.sources
    if not source.by_step:
        return source
    if source.units != 1 or len(output.shape) != 1:
        return output
    return replace(output, holds_steps=True, weighs=source.weighs)


def _target(layer: KerasLayer, feed: Feed) -> Shape:
    """The shape that a Reshape makes; -1 is what is left."""
    target, whole = [int(size) for size in layer.config["target_shape"]], known_product(feed.shape)
    if -1 in target:
        left = known_product(tuple(size for size in target if size != -1))
        if whole is None or not left or whole % left:
            if target[:-1].count(-1) == 1 and feed.shape[-1] == target[-1]:
                return tuple(None if size == -1 else size for size in target)
            raise layer.unusable(f"makes {target} of {feed.shape}; expected known sizes")
        target = [whole // left if size == -1 else size for size in target]
    return tuple(target)


def _reshape(layer: KerasLayer, feed: Feed) -> Specs:
    target, given = _target(layer, feed), feed.shape
    if target == given:
        return []
    if len(target) > 1 and len(given) > 1 and target[-1] == given[-1]:
        return []  # the same steps, parted otherwise
    specs = []
    if len(given) > 1:
        specs.append(LayerSpec(flatten=FlattenSpec(_fixed_steps(layer, feed))))
    if len(target) > 1:
        steps = known_product(target[:-1])
        if steps is None:
            raise layer.unusable(f"makes {target} of {given}; expected known sizes")
        specs.append(LayerSpec(unflatten=UnflattenSpec(steps)))
    return specs


def _mark_reshape(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    [source] = feed.sources
    if source.holds_steps and output.shape == (*source.shape, 1):
        return replace(output, weighs=source.weighs)
    return _mark_flatten(layer, feed, output) if source.by_step else output


WINDOW_POOL = KerasKind(_window_pool, _pooled, takes_masked=True)
RESIZED = KerasKind(_resized, _resized_shape, takes_masked=True)
CONVOLUTION = KerasKind(_convolution, _convolved, takes_masked=True)
STEP_KINDS: dict[str, KerasKind] = {
    **dict.fromkeys(POOLS, KerasKind(_pool, _without_steps, takes_masked=True)),
    "GlobalAveragePooling1D": KerasKind(_pool, _without_steps),
    **dict.fromkeys(("Conv1D", "DepthwiseConv1D", "SeparableConv1D"), CONVOLUTION),
    **dict.fromkeys(("MaxPooling1D", "AveragePooling1D"), WINDOW_POOL),
    **dict.fromkeys(("UpSampling1D", "ZeroPadding1D", "Cropping1D"), RESIZED),
    "Flatten": KerasKind(_flatten, _flattened, takes_masked=True, mark=_mark_flatten),
    "Permute": KerasKind(_permute, _permuted, takes_masked=True, mark=_mark_permute),
    "RepeatVector": KerasKind(
        _repeat, lambda layer, feed: (int(layer.config["n"]), *feed.shape), mark=_mark_repeat
    ),
    "Reshape": KerasKind(_reshape, _target, takes_masked=True, mark=_mark_reshape),
}
