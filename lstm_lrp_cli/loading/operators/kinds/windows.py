"""Operators that make steps of the steps in a window, or of one step several: convolutions, pools.

`convolved`, `window_pool`, `padded` and `upsampled` are of every dialect; the others read the
settings of ONNX's operators. Spatial axes stand behind those of sequences and units: that of steps,
and others of one entry, which a two-dimensional convolution over steps has.
"""

import math
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers.steps import (
    ConvolutionSpec,
    CropSpec,
    PadSpec,
    UpsampleSpec,
    WindowsSpec,
)
from lstm_lrp_cli.loading.operators.arrays import Dim, Known, Size, axis_of
from lstm_lrp_cli.loading.operators.file import kernel_name
from lstm_lrp_cli.loading.operators.layers import Call, Operator, Value
from lstm_lrp_cli.loading.operators.parts import SignalPart
from lstm_lrp_cli.loading.operators.signal import BATCH, FEATURE, STACK, TIME, Signal
from lstm_lrp_cli.model.layers import PoolName, WindowPoolName

GLOBAL_POOLS: dict[str, PoolName] = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}
WINDOW_POOLS: dict[str, WindowPoolName] = {"AveragePool": "mean", "MaxPool": "max"}


class StepWindow(Struct, frozen=True):
    """Which steps each output step is made of.

    Parameters
    ----------
    width, stride, dilation : int
    before, after : int
        How many steps are added.
    is_same : bool
        Whether as many are added as keep one step for every so many of the stride.
    is_rounded_up : bool
        Whether a last window that is not full counts.
    """

    width: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    is_same: bool = False
    is_rounded_up: bool = False

    @property
    def reach(self) -> int:
        return self.dilation * (self.width - 1) + 1

    @property
    def padding(self) -> Any:
        """As a mapping says it."""
        if self.is_same:
            return "same"
        return [self.before, self.after] if self.before or self.after else "valid"

    def made(self, steps: Size) -> Size | None:
        """How many steps are made of so many; None where that is left open."""
        added = self.before + self.after
        if self.stride == 1 and (self.is_same or added == self.reach - 1):
            return steps
        if not isinstance(steps, int):
            return None
        if self.is_same:
            return -(-steps // self.stride)
        return (steps + added - self.reach) // self.stride + 1


def convolved(
    call: Call,
    signal: Signal,
    weights: Known,
    bias: str | None,
    window: StepWindow,
    groups: int = 1,
) -> Signal:
    """What a convolution over the steps makes of a signal.

    Parameters
    ----------
    weights : Known
        Of shape (outputs, inputs / groups, width), and axes of one entry beside the width.
    bias : str or None
        The dataset.
    """
    outputs, inputs = weights.array.shape[:2]
    if signal.size not in (None, inputs * groups):
        raise call.unusable(f"takes {inputs * groups} features; what feeds it gives {signal.size}")
    spec = call.spec(signal)
    if spec is not None and spec.pad is not None and not window.is_same:
        # What stands for nothing but padding is the convolution's own.
        before, after = window.before + spec.pad.before, window.after + spec.pad.after
        window = replace(window, before=before, after=after)
        steps = call.layers.unpadded[signal.parts.item().layer]
        signal = Signal.of(
            SignalPart(str(spec.source), signal.size), signal.axes, signal.sizes | {TIME: steps}
        )
    convolution = ConvolutionSpec(
        call.dataset(kernel_name(weights.name, weights.array)),
        "outputs_inputs_width",
        bias,
        window.stride,
        window.dilation,
        window.padding,
        groups,
    )
    steps = _steps_behind(call, signal, window)
    return _of_steps(call, call.layer(signal, outputs, convolution=convolution), steps)


def window_pool(
    call: Call, signal: Signal, kind: WindowPoolName, window: StepWindow, *, counts_padding: bool
) -> Signal:
    """The largest or the mean of the steps in a window."""
    if window.is_rounded_up and window.stride > 1 and not window.is_same:
        counts = counts_padding and kind == "mean"
        window, counts_padding = _rounded_up(call, signal, window, counts=counts)
    steps = _steps_behind(call, signal, window)
    windows = WindowsSpec(
        kind,
        window.width,
        window.stride,
        window.padding,
        counts_padding and window.padding != "valid" and kind == "mean",
        window.dilation,
    )
    return _of_steps(call, call.layer(signal, windows=windows), steps)


def padded(call: Call, signal: Signal, before: int, after: int) -> Signal:
    """With steps of zeros before and after; negative numbers are steps that are left out."""
    crop, pad = (max(-before, 0), max(-after, 0)), (max(before, 0), max(after, 0))
    if any(crop):
        steps = _changed(call, signal, -sum(crop))
        signal = _of_steps(call, call.layer(signal, crop=CropSpec(*crop)), steps)
    if any(pad):
        made = _of_steps(
            call, call.layer(signal, pad=PadSpec(*pad)), _changed(call, signal, sum(pad))
        )
        if made.parts.size == 1:
            call.layers.unpadded[made.parts.item().layer] = signal.sizes[TIME]
        signal = made
    return signal


def upsampled(call: Call, signal: Signal, times: int) -> Signal:
    """Every step so many times."""
    if times == 1:
        return signal
    made = call.layer(signal, upsample=UpsampleSpec(times))
    return _of_steps(call, made, signal.sizes[TIME] * times)


def _of_steps(call: Call, signal: Signal, steps: Size) -> Signal:
    """A signal of another number of steps."""
    if isinstance(steps, Dim) and signal.parts.size == 1:
        call.layers.counted.setdefault(steps, signal.parts.item().layer)
    return replace(signal, sizes=signal.sizes | {TIME: steps})


def _changed(call: Call, signal: Signal, more: int) -> Size:
    """How many steps there are with so many more."""
    steps = signal.sizes[TIME]
    if isinstance(steps, int):
        if steps + more < 1:
            raise call.unusable(f"leaves no step of {steps}")
        return steps + more
    return call.layers.steps_of(steps, f"{more:+}")


def _steps_behind(call: Call, signal: Signal, window: StepWindow) -> Size:
    """How many steps there are behind a window."""
    least = (window.width, window.stride, window.dilation)
    if min(least) < 1 or min(window.before, window.after) < 0:
        raise call.unusable(
            f"has a kernel of {window.width}, strides of {window.stride}, dilations of "
            f"{window.dilation} and pads of {window.before} and {window.after}; expected 1 or more "
            "of the first three, and no negative pads"
        )
    steps = signal.sizes[TIME]
    made = window.made(steps)
    if isinstance(made, int) and isinstance(steps, int) and made < 1:
        raise call.unusable(f"has a window of {window.reach} steps, and is given {steps}")
    if made is None and isinstance(steps, Dim):
        return call.layers.steps_of(steps, str(window))
    return steps if made is None else made


def _rounded_up(
    call: Call, signal: Signal, window: StepWindow, *, counts: bool
) -> tuple[StepWindow, bool]:
    """A window whose last may not be full (ceil_mode), with more padding; whether padding counts.

    In that padding no window begins, and what is added so is in no mean.
    """
    steps, added = signal.sizes[TIME], window.before + window.after
    if window.reach < window.after + window.stride or (counts and added):
        if isinstance(steps, int) and not (steps + added - window.reach) % window.stride:
            return replace(window, is_rounded_up=False), counts
        raise call.unusable(
            "counts a last window that is not full (ceil_mode), or may, beside padding or strides "
            "that make it another; expected full ones alone"
        )
    after = window.after + window.stride - 1
    return replace(window, after=after, is_rounded_up=False), False


def _window(call: Call, signal: Signal, width: list[int] | None) -> StepWindow:
    """What ONNX's settings say of the axis of steps, given the sizes of the kernel.

    Raises
    ------
    UnusableInput
        It works along other axes too.
    """
    count = len(signal.axes) - 2
    place = _place_of_steps(call, signal)
    widths = call.setting("kernel_shape", width) or []
    ones = [1] * count
    strides, dilations = call.setting("strides") or ones, call.setting("dilations") or ones
    pads = call.setting("pads") or [0] * (2 * count)
    given = [widths, strides, dilations, pads[:count], pads[count:]]
    if any(len(each) != count for each in given):
        raise call.unusable(
            f"has a kernel of {len(widths)} axes; what feeds it has {count} beside sequences and "
            "units"
        )
    for axis in range(count):
        if axis != place and (widths[axis] != 1 or pads[axis] or pads[count + axis]):
            raise call.unusable("works along other axes than that of steps; expected that alone")
    width_, stride, dilation, before, after = (each[place] for each in given)
    window = StepWindow(width_, stride, dilation, before, after)
    return _automatic(call, signal, replace(window, is_rounded_up=bool(call.setting("ceil_mode"))))


def _place_of_steps(call: Call, signal: Signal) -> int:
    """Where the axis of steps is among those behind sequences and units."""
    first, unit, *spatial = [*signal.axes, "", ""][: max(len(signal.axes), 2)]
    others = [k for k, label in enumerate(spatial) if label != TIME]
    is_batch = first == BATCH or (first == STACK and signal.is_unit(0))
    if (
        not is_batch
        or unit != FEATURE
        or spatial.count(TIME) != 1
        or not all(signal.is_unit(k + 2) for k in others)
    ):
        raise call.unusable(
            f"is given axes of {', '.join(signal.axes)}; expected sequences, units and steps"
        )
    return spatial.index(TIME)


def _automatic(call: Call, signal: Signal, window: StepWindow) -> StepWindow:
    """With the padding that `auto_pad` means."""
    match call.setting("auto_pad", "NOTSET"):
        case "NOTSET":
            return window
        case "VALID":
            return replace(window, before=0, after=0)
        case "SAME_UPPER":
            return replace(window, before=0, after=0, is_same=True)
        case "SAME_LOWER":
            steps = signal.sizes[TIME]
            missing = window.reach - 1
            if window.stride > 1:
                if not isinstance(steps, int):
                    raise call.unusable(
                        "adds what is missing before the steps (SAME_LOWER), and their number is "
                        "left open; expected an input of so many steps"
                    )
                last = (-(-steps // window.stride) - 1) * window.stride
                missing = max(last + window.reach - steps, 0)
            return replace(window, before=missing - missing // 2, after=missing // 2)
        case other:
            raise call.unusable(f"has auto_pad {other}, which is none that lrp knows")


def _conv(call: Call) -> list[Value]:
    signal, weights = call.signal(), call.constant(1)
    window = _window(call, signal, list(weights.array.shape[2:]))
    bias = None if call.value(2) is None else call.dataset(call.constant(2).name)
    if list(weights.array.shape[2:]) != (
        call.setting("kernel_shape") or list(weights.array.shape[2:])
    ):
        raise call.unusable("has weights of another size than its kernel_shape; expected the same")
    return [convolved(call, signal, weights, bias, window, call.setting("group", 1))]


def _pool(call: Call) -> list[Value]:
    signal, kind = call.signal(), WINDOW_POOLS[call.node.op]
    if call.setting("storage_order"):
        raise call.unusable("stores columns first (storage_order); expected 0")
    window = _window(call, signal, None)
    counts = bool(call.setting("count_include_pad"))
    return [window_pool(call, signal, kind, window, counts_padding=counts)]


def _global_pool(call: Call) -> list[Value]:
    signal = call.signal()
    axis = _place_of_steps(call, signal) + 2
    return [signal.pooled(axis, GLOBAL_POOLS[call.node.op], keep=True)]


def _pad(call: Call) -> list[Value]:
    signal = call.signal()
    pads = call.node.integers("pads", call.array(1)) or []
    value, axes = call.array(2), call.array(3)
    number = call.setting("value", 0) if value is None else value.item()
    if call.setting("mode", "constant") != "constant" or number != 0:
        raise call.unusable("adds other steps than those of zeros; expected mode constant, value 0")
    rank = len(signal.axes)
    along = range(rank) if axes is None else [axis_of(axis, rank) for axis in axes.tolist()]
    for axis, before, after in zip(along, pads[: len(along)], pads[len(along) :], strict=True):
        if not before and not after:
            continue
        if signal.axes[axis] != TIME:
            raise call.unusable(f"adds to the axis of {signal.axes[axis]}; expected that of steps")
        signal = padded(call, signal, int(before), int(after))
    return [signal]


def _resize(call: Call) -> list[Value]:
    signal, resizes = call.signal(), call.node.op == "Resize" and call.file.opset > 10
    nearest = (
        call.setting("coordinate_transformation_mode", "half_pixel"),
        call.setting("nearest_mode", "round_prefer_floor"),
    )
    known = {("asymmetric", "floor")}
    known |= {
        (mode, rounded)
        for mode in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
        for rounded in ("round_prefer_floor", "round_prefer_ceil")
    }
    if call.setting("mode", "nearest") != "nearest" or (resizes and nearest not in known):
        raise call.unusable("makes steps of several others; expected copies (mode nearest)")
    scales = call.array(2 if resizes else 1)
    factors = call.setting("scales") if scales is None else scales.tolist()
    if not factors:
        sizes = call.node.integers("sizes", call.array(3)) or []
        factors = [_ratio(size, own) for size, own in zip(sizes, signal.shape, strict=True)]
    for axis, factor in enumerate(factors):
        if signal.axes[axis] == TIME and factor >= 1 and factor == int(factor):
            signal = upsampled(call, signal, int(factor))
        elif factor != 1:
            raise call.unusable(
                f"makes the axis of {signal.axes[axis]} {factor} times as long; expected every "
                "step a whole number of times"
            )
    return [signal]


def _ratio(size: Any, own: Size) -> float:
    if size == own:
        return 1
    return size / own if isinstance(size, int) and isinstance(own, int) else math.nan


WINDOWS: dict[str, Operator] = {
    **dict.fromkeys(WINDOW_POOLS, _pool),
    **dict.fromkeys(GLOBAL_POOLS, _global_pool),
    "Conv": _conv,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
}
