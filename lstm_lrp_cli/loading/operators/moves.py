"""ONNX's operators that move numbers about: what they do to the meaning of axes, in MOVES.

They make no layers, but for what a mapping has layers of its own for: all steps side by side, or
turned round, and the embedding of ids.
"""

import math
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.loading.layers.steps import FlattenSpec
from lstm_lrp_cli.loading.mapping import INPUT_NAME
from .arrays import (
    DTYPES,
    ArrayCopies,
    Known,
    Zeros,
    axis_of,
    part_of_shape,
    resolved,
    slices,
    split_sizes,
)
from .layers import RAW_INPUT, Call, Operator, Value
from .signal import FEATURE, STACK, TIME, Signal, SignalPart, is_reversal

# How many axes NumPy's arrays may have.
LONGEST_SHAPE = 64


def _cast(call: Call) -> list[Value]:
    signal = call.signal()
    is_input = all(part.layer == RAW_INPUT for part in signal.parts.reshape(-1))
    dtype = DTYPES.get(call.node.attributes["to"], "other")
    if "float" not in dtype and not is_input:
        raise call.unusable(f"makes {dtype} of what a layer gives; expected floats")
    return [signal]


def _dropout(call: Call) -> list[Value]:
    training = call.array(2)
    if training is not None and training.any():
        raise call.unusable("drops units at inference too (training_mode); expected none")
    return [call.signal()]


def _shape(call: Call) -> list[Value]:
    return [Known(part_of_shape(call.node, list(call.signal().shape)), "")]


def _filled(call: Call) -> list[Value]:
    """ConstantOfShape: zeros for states, or a number for each size of a shape."""
    value = call.setting("value")
    number = np.zeros(1) if value is None else value
    sizes = call.constant(0).array.tolist()
    if not number.any():
        return [Zeros()]
    if len(sizes) != 1 or sizes[0] > LONGEST_SHAPE:
        raise call.unusable("makes a tensor of a number that is not 0; expected zeros")
    return [Known(np.full(sizes, number.item()), "")]


def _copied(call: Call) -> list[Value]:
    """Expand or Tile: a state for every sequence, or one unit for as many as another value has."""
    value = call.value(0)
    if isinstance(value, ArrayCopies):
        return [value]
    if isinstance(value, Known):
        return [ArrayCopies(value) if value.array.any() else Zeros()]
    signal, target = call.signal(), call.constant(1).array.tolist()
    if call.node.op == "Tile":
        target = [n * size for n, size in zip(target, signal.shape, strict=True)]
    axes = list(signal.axes)
    for axis, size in enumerate(target[len(target) - len(axes) :]):
        if size in (1, signal.shape[axis]):
            continue
        if signal.size != 1 or not signal.is_unit(axis):
            raise call.unusable("copies a value for several steps; expected single units")
        if axes[axis] == STACK and FEATURE not in axes:
            signal = signal.squeezed([axis]) or signal
            axes[axis] = FEATURE
    return [replace(signal, axes=tuple(axes))]


def _transpose(call: Call) -> list[Value]:
    signal = call.signal()
    order = call.setting("perm") or range(len(signal.axes))[::-1]
    return [signal.transposed([axis_of(axis, len(signal.axes)) for axis in order])]


def _squeeze(call: Call) -> list[Value]:
    return call.understood(call.signal().squeezed(call.node.integers("axes", call.array(1))))


def _unsqueeze(call: Call) -> list[Value]:
    return [call.signal().unsqueezed(call.node.integers("axes", call.array(1)) or [])]


def _reshape(call: Call) -> list[Value]:
    target = call.node.integers("shape", call.array(1)) or []
    return call.understood(_reshaped(call, target))


def _flatten(call: Call) -> list[Value]:
    signal = call.signal()
    axis = axis_of(call.setting("axis", 1), len(signal.axes) + 1)
    sizes = signal.shape
    return call.understood(_reshaped(call, [math.prod(sizes[:axis]), math.prod(sizes[axis:])]))


def _reshaped(call: Call, target: list[Any]) -> Signal | None:
    def flatten(signal: Signal) -> SignalPart:
        steps, size = signal.sizes[TIME], signal.size
        if not isinstance(steps, int) or size is None:
            raise call.unusable(
                "lays all steps side by side, and their number is left open; expected an input of "
                "so many steps"
            )
        source = call.layers.of(tuple(signal.parts))
        return call.add([source], steps * size, flatten=FlattenSpec(steps))

    signal = call.signal()
    return signal.reshaped(resolved(target, signal.shape, call.node), flatten)


def _slice(call: Call) -> list[Value]:
    signal: Signal | None = call.signal()
    given = [call.array(place) for place in range(1, 5)]
    assert signal is not None
    for axis, cut in slices(call.node, given, len(signal.axes)).items():
        if signal.axes[axis] == TIME and is_reversal(cut, signal.sizes[TIME]):
            signal = call.layer(signal, reverse="steps")
        else:
            signal = signal.cut(axis, cut)
        if signal is None:
            break
    return call.understood(signal)


def _split(call: Call) -> list[Value]:
    signal = call.signal()
    axis = call.axis(signal, 0)
    size = signal.shape[axis]
    if not isinstance(size, int):
        raise call.unusable("splits an axis whose size is left open; expected units")
    sizes = split_sizes(call.node, call.array(1), size)
    found: list[Value] = []
    for end, part in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
        found += call.understood(signal.cut(axis, slice(end - part, end, 1)))
    return found


def _concat(call: Call) -> list[Value]:
    first, *others = call.signals
    axis = axis_of(call.node.attributes["axis"], len(first.axes))
    return call.understood(first.joined(others, axis))


def _gather(call: Call) -> list[Value]:
    axis = call.setting("axis", 0)
    if isinstance(call.value(0), Signal):
        signal = call.signal()
        indices = call.constant(1).array.astype(np.int64)
        return call.understood(signal.taken(axis_of(axis, len(signal.axes)), indices))
    table, ids = call.constant(0), call.signal(1)
    if axis or table.array.ndim != 2 or ids.parts.size != 1 or ids.parts.item().layer != RAW_INPUT:
        raise call.unusable("looks numbers up; expected one embedding, of the model's input")
    call.layers.embed(call.dataset(table.name))
    part = SignalPart(INPUT_NAME, table.array.shape[1])
    axes = tuple(STACK if label == FEATURE else label for label in ids.axes)
    return [Signal.of(part, (*axes, FEATURE), ids.sizes)]


def _reverse(call: Call) -> list[Value]:
    """ReverseSequence, where it turns round all steps of all sequences."""
    signal = call.signal()
    if not call.is_length(1, signal) or signal.axes[call.setting("time_axis", 0)] != TIME:
        raise call.unusable("turns round a part of the steps; expected all of them")
    return [call.layer(signal, reverse="steps")]


MOVES: dict[str, Operator] = {
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Dropout": _dropout,
    "Expand": _copied,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": lambda call: [call.signal()],
    "Reshape": _reshape,
    "ReverseSequence": _reverse,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _copied,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
# Those that make zeros of zeros, as the states are that a graph makes for its LSTMs.
OF_ZEROS = MOVES.keys() - {"ConstantOfShape", "Dropout", "Flatten", "ReverseSequence", "Shape"}
