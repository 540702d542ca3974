"""Operators of arithmetic: between what layers give, or with constants."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import Numbers
from lstm_lrp_cli.loading.layers.units import BatchNormSpec
from lstm_lrp_cli.loading.operators.arrays import Array, Dim, Known, Lengths, Size
from lstm_lrp_cli.loading.operators.file import inverse_name, vector_name
from lstm_lrp_cli.loading.operators.layers import RAW_INPUT, Call, Operator, Value
from lstm_lrp_cli.loading.operators.parts import SignalPart, total
from lstm_lrp_cli.loading.operators.signal import FEATURE, STACK, TIME, Signal
from lstm_lrp_cli.model.layers import MergeName
from .attention import masked_product, scaled_product, weighed_steps
from .moves import repeated

# Activations that are gates where something is multiplied with them.
GATES = ("sigmoid", "hard_sigmoid", "hard_sigmoid_relu6", "softmax")


def _add(call: Call) -> list[Value]:
    if all(isinstance(value, Signal) for value in call.values):
        return merged(call, "sum")
    signal, constant = _with_constant(call)
    if not constant.array.any():
        return [signal]
    masked = masked_product(call, signal, constant.array)
    if masked is not None:
        return [masked]
    name = vector(call, signal, constant)
    normalized = _normalized(call, signal, constant)
    if normalized is not None:
        norm = replace(normalized.settings, offset=name)
        part = call.add([str(normalized.source)], signal.size, **{normalized.kind: norm})
        return [Signal.of(part, signal.axes, signal.sizes)]

    def make(parts: tuple[SignalPart, ...]) -> SignalPart:
        size = total(parts)
        is_plain = len(parts) == 1 and parts[0] == SignalPart(parts[0].layer, size)
        spec = call.layers.specs.get(parts[0].layer) if is_plain else None
        if spec is not None and constant.array.size == size:
            biased = _biased(spec, name)
            if biased is not None:
                return call.add([str(spec.source)], size, **biased)
        offset = BatchNormSpec(offset=_spread(signal, constant.array, name))
        return call.add([call.layers.of(parts)], size, batch_norm=offset)

    return [call.each(signal, make)]


def _biased(spec: LayerSpec, name: str) -> dict[str, Any] | None:
    """A linear map with one more bias, as a key of LayerSpec; None where it is none."""
    if spec.dense is not None and spec.dense.activation == "linear":
        biases = spec.dense.bias or []
        biases = [*([biases] if isinstance(biases, str) else biases), name]
        return {"dense": replace(spec.dense, bias=biases if len(biases) > 1 else biases[0])}
    if spec.convolution is not None and spec.convolution.bias is None:
        return {"convolution": replace(spec.convolution, bias=name)}
    return None


def _multiply(call: Call) -> list[Value]:
    if not all(isinstance(value, Signal) for value in call.values):
        signal, constant = _with_constant(call)
        if constant.array.size == 1:
            return [scaled(call, signal, float(constant.array.item()))]
        name = vector(call, signal, constant)
        normalized = _normalized(call, signal, constant)
        if normalized is not None:
            norm = replace(normalized.settings, scale=name)
            part = call.add([str(normalized.source)], signal.size, **{normalized.kind: norm})
            return [Signal.of(part, signal.axes, signal.sizes)]
        return [call.layer(signal, batch_norm=BatchNormSpec(scale=name))]
    one, other = call.signal(0), call.signal(1)
    for gate, gated in ((one, other), (other, one)):
        weighed = weighed_steps(call, gate, gated)
        if weighed is not None:
            return [weighed]
        spec = call.spec(gate)
        if spec is None or not (spec.softmax or spec.activation in GATES):
            continue
        if spec.activation == "sigmoid" and spec.source == call.source(gated):
            return [call.layer(gated, activation="silu")]
        if gate.size in (1, gated.size):
            return [joined(call, [gate, gated], merge="gate")]
    return merged(call, "product")


def _normalized(call: Call, signal: Signal, constant: Known) -> LayerSpec | None:
    """The normalization that a signal is, before it is scaled or shifted by one number a unit."""
    spec = call.spec(signal)
    if spec is None or constant.array.size != signal.size or spec.name in call.file.outputs:
        return None
    norm = spec.layer_norm or spec.group_norm
    return spec if norm is not None and norm.offset is None else None


def _divide(call: Call) -> list[Value]:
    signal, by = call.signal(0), call.value(1)
    steps, is_sum = signal.sizes.get(TIME), _are_sums(signal)
    averaged = np.frompyfunc(lambda part: replace(part, pooled="mean"), 1, 1)
    if isinstance(by, Lengths) and is_sum and steps and call.layers.bind(by, steps):
        return [replace(signal, parts=averaged(signal.parts))]
    constant = call.constant(1)
    if constant.array.size == 1:
        divisor = constant.array.item()
        if _counts_steps(call, divisor, steps):
            return [replace(signal, parts=averaged(signal.parts))]
        if not isinstance(divisor, int | float):
            raise call.unusable(
                "divides by a size that the input tells; expected the number of steps of a sum"
            )
        return [scaled(call, signal, 1 / divisor)]
    vector(call, signal, constant, is_named=False)
    name = call.dataset(inverse_name(constant.name, constant.array))
    return [call.layer(signal, batch_norm=BatchNormSpec(scale=name))]


def _counts_steps(call: Call, divisor: Any, steps: Size | None) -> bool:
    """Whether a sum over steps is divided by their number, also where an example wrote it out."""
    is_sum = _are_sums(call.signal())
    if divisor == steps:
        return is_sum
    if not isinstance(steps, Dim) or steps.example != divisor:
        return False
    told = f"a sum over steps that is divided by {divisor:g}, as many as its example has, is a mean"
    if not is_sum:
        told = f"{divisor:g}, by which it divides, is a number, and not that of its example's steps"
    call.layers.assumed.append(told)
    return is_sum


def _are_sums(signal: Signal) -> bool:
    return all(part.pooled == "sum" for part in signal.parts.reshape(-1))


def _subtract(call: Call) -> list[Value]:
    if all(isinstance(value, Signal) for value in call.values):
        return merged(call, "difference")
    signal, constant = _with_constant(call)
    if not constant.array.any():
        return [signal if call.value(0) is signal else scaled(call, signal, -1.0)]
    name = vector(call, signal, constant)
    if call.value(0) is signal:
        mean = BatchNormSpec(mean=_spread(signal, constant.array, name))
        return [call.layer(signal, batch_norm=mean)]
    offset = BatchNormSpec(scale=-1.0, offset=_spread(signal, constant.array, name))
    return [call.layer(signal, batch_norm=offset)]


def _largest(call: Call) -> list[Value]:
    if all(isinstance(value, Signal) for value in call.values):
        return merged(call, "max")
    signal, constant = _with_constant(call)
    if constant.array.any():
        raise call.unusable("takes the larger of a value and another number than 0; expected 0")
    return [call.unit_by_unit(signal, activation="relu")]


def scaled(call: Call, signal: Signal, factor: float) -> Signal:
    """A signal times a number; a sum of as many as it divides by is their mean."""
    if factor == 1:
        return signal
    product = scaled_product(call, signal, factor)
    if product is not None:
        return product
    spec = call.spec(signal)
    summed = spec.source if spec is not None and spec.merge == "sum" else None
    if isinstance(summed, list) and math.isclose(factor * len(summed), 1, rel_tol=1e-6):
        part = call.add(summed, signal.size, merge="mean")
        return Signal.of(part, signal.axes, signal.sizes)
    scale = BatchNormSpec(scale=_spread(signal, np.asarray(factor), factor))
    return call.unit_by_unit(signal, batch_norm=scale)


def _spread(signal: Signal, array: Array, numbers: Numbers) -> Numbers:
    """What is said of a constant; of the input, whose units no layer counts, one number each."""
    is_input = all(part.layer.startswith(RAW_INPUT) for part in signal.parts.reshape(-1))
    if is_input and signal.size is not None and array.size == 1:
        return [float(array.item())] * signal.size
    return numbers


def _with_constant(call: Call) -> tuple[Signal, Known]:
    place = 0 if isinstance(call.value(0), Signal) else 1
    return call.signal(place), call.constant(1 - place)


def vector(call: Call, signal: Signal, constant: Known, *, is_named: bool = True) -> str:
    """The dataset of a constant that has one number for each unit, or one for all."""
    shape = constant.array.shape
    axes = signal.axes[len(signal.axes) - len(shape) :] if len(shape) <= len(signal.axes) else ()
    along = [label for label, size in zip(axes, shape, strict=False) if size != 1]
    if len(axes) < len(shape) or constant.array.size not in (1, signal.size) or len(along) > 1:
        raise call.unusable(
            f"takes a constant of {constant.array.size} numbers; expected one for each of "
            f"{signal.size} units"
        )
    if along not in ([], [FEATURE]):
        raise call.unusable(f"takes a constant along the axis of {along[0]}; expected units")
    name = vector_name(constant.name, constant.array)
    return call.dataset(name) if is_named else name


def merged(call: Call, kind: MergeName) -> list[Value]:
    signals = call.signals
    if len({signal.size for signal in signals}) > 1:
        sizes = " and ".join(str(signal.size) for signal in signals)
        raise call.unusable(f"joins values of {sizes} units; expected as many each")
    return [signals[0] if len(signals) == 1 else joined(call, signals, merge=kind)]


def joined(call: Call, signals: Sequence[Signal], **kind: Any) -> Signal:
    """Signals made one, unit by unit, at the same steps; a vector is taken at every step."""
    signals = _at_all_steps(call, signals)
    rank, size = max(len(signal.axes) for signal in signals), signals[-1].size
    axes: list[str] = []
    for back in range(rank, 0, -1):
        there = [(signal, len(signal.axes) - back) for signal in signals]
        there = [(signal, axis) for signal, axis in there if axis >= 0]
        meant = {signal.axes[axis] for signal, axis in there if not signal.is_unit(axis)}
        if len(meant) > 1:
            raise call.unusable(f"joins axes of {' and '.join(sorted(meant))}")
        is_only_unit = size == 1 and any(signal.axes[axis] == FEATURE for signal, axis in there)
        unit = FEATURE if is_only_unit and FEATURE not in axes else STACK
        axes.append(meant.pop() if meant else unit)
    steps = [set(signal.meaning) - {FEATURE} for signal in signals]
    if any(found != steps[0] for found in steps):
        raise call.unusable("joins a value of every step and one of the whole sequence")
    numbers = {signal.sizes[TIME] for signal in signals if TIME in signal.axes}
    if len(numbers) > 1:
        raise call.unusable("joins the steps of several sequences, which need not be as many")
    sources = [call.source(signal) for signal in signals]
    part = call.add(sources, size, **kind)
    return Signal.of(part, tuple(axes), signals[0].sizes)


def _at_all_steps(call: Call, signals: Sequence[Signal]) -> list[Signal]:
    """Signals, of which those that are one vector a sequence are repeated for the others' steps."""
    by_step = next((signal for signal in signals if TIME in signal.axes), None)
    if by_step is None:
        return list(signals)
    back = by_step.axes.index(TIME) - len(by_step.axes)
    spread = []
    for signal in signals:
        if TIME not in signal.axes:
            if len(signal.axes) < -back:
                signal = signal.unsqueezed(range(-back - len(signal.axes)))
            place = len(signal.axes) + back
            if signal.axes[place] == STACK and signal.is_unit(place):
                signal = repeated(call, signal, place, by_step.sizes[TIME])
        spread.append(signal)
    return spread


ARITHMETIC: dict[str, Operator] = {
    "Add": _add,
    "Div": _divide,
    "Max": _largest,
    "Mean": lambda call: merged(call, "mean"),
    "Mul": _multiply,
    "Neg": lambda call: [scaled(call, call.signal(), -1.0)],
    "Sub": _subtract,
    "Sum": lambda call: merged(call, "sum"),
}
