"""ONNX's operators that move numbers about: what they do to the meaning of axes, in MOVES.

They make no layers, but for what a mapping has layers of its own for: all steps side by side, or
turned round, and the embedding of ids.
"""

import math
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.loading.layers.steps import FlattenSpec, RepeatSpec, TransposeSpec
from lstm_lrp_cli.loading.operators.arrays import (
    DTYPES,
    ArrayCopies,
    Dim,
    Known,
    Lengths,
    Order,
    Size,
    Zeros,
    are_zeros,
    axis_of,
    part_of_shape,
    quotient,
    resolved,
    slices,
    split_sizes,
)
from lstm_lrp_cli.loading.operators.layers import RAW_INPUT, Call, Operator, Value
from lstm_lrp_cli.loading.operators.parts import SignalPart
from lstm_lrp_cli.loading.operators.signal import (
    BATCH,
    FEATURE,
    STACK,
    TIME,
    Signal,
    is_reversal,
    left_out,
    tell,
)
from .windows import padded


def _cast(call: Call) -> list[Value]:
    signal = call.signal()
    is_input = all(part.layer.startswith(RAW_INPUT) for part in signal.parts.reshape(-1))
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
    value = call.value(0)
    if isinstance(value, Lengths | Order):
        return [Known(part_of_shape(call.node, [value.sequences]), "")]
    if isinstance(value, Zeros) and value.shape is not None:
        return [Known(part_of_shape(call.node, list(value.shape)), "")]
    return [Known(part_of_shape(call.node, list(call.signal().shape)), "")]


def _filled(call: Call) -> list[Value]:
    """ConstantOfShape, where the input tells the shape: zeros, as states are."""
    value = call.setting("value")
    if value is not None and value.any():
        raise call.unusable("makes a tensor of a number that is not 0; expected zeros")
    return [Zeros(tuple(call.constant(0).array.reshape(-1).tolist()))]


def _copied(call: Call) -> list[Value]:
    """Expand or Tile: a state for every sequence, or one unit for as many as another value has."""
    value = call.value(0)
    if isinstance(value, ArrayCopies):
        return [value]
    if isinstance(value, Known) and value.array.any():
        return [ArrayCopies(value)]
    if isinstance(value, Known | Zeros):
        return [_zeros(call, value)]
    signal, target = call.signal(), call.constant(1).array.tolist()
    if call.node.op == "Tile":
        target = [n * size for n, size in zip(target, signal.shape, strict=True)]
    missing = len(target) - len(signal.axes)
    if missing > 0:
        signal = signal.unsqueezed(range(missing))
    for axis, size in enumerate(target, start=max(-missing, 0)):
        if size != 1 and quotient(size, signal.shape[axis]) != 1:
            signal = _spread(call, signal, axis, size)
    return [signal]


def _zeros(call: Call, value: Known | Zeros) -> Zeros:
    """Zeros of the shape that Expand is given, where they were one number."""
    is_one = call.node.op == "Expand" and isinstance(value, Known) and value.array.size == 1
    return Zeros(tuple(call.constant(1).array.reshape(-1).tolist()) if is_one else None)


def _spread(call: Call, signal: Signal, axis: int, size: Size) -> Signal:
    """A value with copies along an axis of one entry: for several steps, or units."""
    axes = list(signal.axes)
    if axes[axis] == STACK and FEATURE in axes and TIME not in axes:
        return repeated(call, signal, axis, size)
    if signal.size != 1 or not signal.is_unit(axis):
        raise call.unusable("copies a value for several steps; expected single units, or a vector")
    if axes[axis] == STACK and FEATURE not in axes:
        signal = signal.squeezed([axis]) or signal
        axes[axis] = FEATURE
    return replace(signal, axes=tuple(axes))


def repeated(call: Call, signal: Signal, axis: int, steps: Size) -> Signal:
    """A vector at each of so many steps, which are in the place of an axis of one entry."""
    counted = call.layers.counted.get(steps) if isinstance(steps, Dim) else None
    if isinstance(steps, Dim) and counted is None:
        raise call.unusable(
            "copies a vector for a number of steps that no sequence of the model has; expected a "
            "number, or that of an input"
        )
    squeezed = signal.squeezed([axis])
    if squeezed is None:
        raise call.unusable(f"copies the axis of {signal.axes[axis]}; expected one entry")
    if isinstance(steps, int):
        made = call.layer(squeezed, repeat=RepeatSpec(steps))
    else:
        assert counted is not None

        def repeat(parts: tuple[SignalPart, ...]) -> SignalPart:
            sources = [call.layers.of(parts), counted]
            return call.add(sources, squeezed.size, repeat=RepeatSpec())

        made = call.each(squeezed, repeat)
    axes = (*squeezed.axes[:axis], TIME, *squeezed.axes[axis:])
    return replace(made, axes=axes, sizes=made.sizes | {TIME: steps})


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
    def flatten(signal: Signal, *, is_by_unit: bool) -> SignalPart:
        steps, size = signal.sizes[TIME], signal.size
        if not isinstance(steps, int) or size is None:
            raise call.unusable(
                "lays all steps side by side, and their number is left open; expected an input of "
                "so many steps"
            )
        source, count = call.layers.of(tuple(signal.parts)), steps
        if is_by_unit:
            source = call.add([source], steps, transpose=TransposeSpec(steps)).layer
            count = size
        return call.add([source], steps * size, flatten=FlattenSpec(count))

    signal = call.signal()
    axes = tuple(label for axis in signal.axes for label in axis.split("+"))
    apart = replace(signal, axes=axes).shape
    try:
        shape = resolved(target, signal.shape, call.node, apart)
    except ValueError:
        for label, own, size in zip(axes, apart, target, strict=False):
            if label == TIME and isinstance(size, int) and size > 1:
                tell(own, size)
        raise
    return signal.reshaped(shape, flatten)


def _slice(call: Call) -> list[Value]:
    signal: Signal | None = call.signal()
    given = [call.array(place) for place in range(1, 5)]
    assert signal is not None
    for axis, cut in slices(call.node, given, len(signal.axes)).items():
        if signal.axes[axis] == TIME and is_reversal(cut, signal.sizes[TIME]):
            signal = call.layer(signal, reverse="steps")
            continue
        kept = signal.cut(axis, cut)
        if kept is None and signal.axes[axis] == TIME:
            kept = _cropped(call, signal, cut)
        signal = kept
        if signal is None:
            break
    return call.understood(signal)


def _cropped(call: Call, signal: Signal, cut: slice) -> Signal | None:
    """Without so many of the first steps and of the last; None where others are left out."""
    ends = left_out(cut, signal.sizes[TIME])
    if ends is None:
        return None
    return padded(call, signal, -ends[0], -ends[1])


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
        if isinstance(call.value(1), Order):
            if signal.axes[axis_of(axis, len(signal.axes))] != BATCH:
                raise call.unusable("takes steps or units in the order of sequences")
            return [signal]
        indices = call.constant(1).array.astype(np.int64)
        along = axis_of(axis, len(signal.axes))
        indices = _from_the_end(call, signal, along, indices)
        taken = signal.taken(along, indices)
        if taken is None and signal.axes[along] == TIME and indices.size == 1:
            step = int(indices.reshape(-1)[0])
            taken = _cropped(call, signal, slice(step, step + 1 or None, 1))
            if taken is not None:
                taken = taken.pooled(along, "last", keep=bool(indices.ndim))
        return call.understood(taken)
    table, ids = call.constant(0), call.signal(1)
    name = ids.parts.reshape(-1)[0].layer.removeprefix(RAW_INPUT)
    is_input = ids.parts.size == 1 and ids.parts.item().layer != name
    if axis or table.array.ndim != 2 or not is_input:
        raise call.unusable("looks numbers up; expected one embedding, of the model's input")
    call.layers.embed(name, call.dataset(table.name))
    part = SignalPart(name, table.array.shape[1])
    axes = tuple(STACK if label == FEATURE else label for label in ids.axes)
    return [Signal.of(part, (*axes, FEATURE), ids.sizes)]


def _from_the_end(
    call: Call, signal: Signal, axis: int, indices: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The last step of an example, whose number the graph has, as that of any sequence."""
    size = signal.shape[axis]
    steps = size.example if isinstance(size, Dim) else None
    if steps is None or steps < 2 or indices.ndim or indices != steps - 1:
        return indices
    call.layers.assumed.append(f"step {steps - 1} of {steps}, the last of its example, is the last")
    return np.full_like(indices, -1)


def _reverse(call: Call) -> list[Value]:
    """ReverseSequence, where it turns round all steps of all sequences."""
    signal = call.signal()
    if not call.is_length(1, signal) or signal.axes[call.setting("time_axis", 0)] != TIME:
        raise call.unusable("turns round a part of the steps; expected all of them")
    return [call.layer(signal, reverse="steps")]


def _sorted(call: Call) -> list[Value]:
    """TopK of lengths, all of them: as PyTorch sorts sequences before it packs them."""
    lengths = call.value(0)
    if not isinstance(lengths, Lengths) or call.constant(1).array.item() != lengths.sequences:
        raise call.unusable("picks values by their size; expected lengths, all of them in order")
    return [lengths, Order(lengths.sequences)]


def _range(call: Call) -> list[Value]:
    """The numbers of all sequences."""
    start, limit, delta = (call.constant(place).array.item() for place in range(3))
    if (start, delta) != (0, 1) or not isinstance(limit, Dim) or limit != Dim((BATCH,)):
        raise call.unusable("counts something else than sequences; expected all of them")
    return [Order(limit)]


def _scattered(call: Call) -> list[Value]:
    """The order back from that of lengths."""
    into, order, numbers = (call.value(place) for place in range(3))
    is_order = isinstance(order, Order) and isinstance(numbers, Order)
    if not are_zeros([into]) or not is_order or call.setting("axis", 0) != 0:
        raise call.unusable("puts values where the input tells; expected an order of sequences")
    assert isinstance(numbers, Order)
    return [numbers]


MOVES: dict[str, Operator] = {
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Dropout": _dropout,
    "Expand": _copied,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": lambda call: [call.signal()],
    "Range": _range,
    "Reshape": _reshape,
    "ReverseSequence": _reverse,
    "ScatterElements": _scattered,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _copied,
    "TopK": _sorted,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
# Those that leave lengths the lengths that they are.
OF_LENGTHS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
# Those that make zeros of zeros, as the states are that a graph makes for its LSTMs.
OF_ZEROS = MOVES.keys() - {
    *(
        "ConstantOfShape",
        "Dropout",
        "Expand",
        "Flatten",
        "Range",
        "ReverseSequence",
        "ScatterElements",
    ),
    *("Shape", "TopK"),
}
