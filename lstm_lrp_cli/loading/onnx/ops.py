"""What each ONNX operator does to signals: a small function each, in the table OPS."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.loading.mapping.schema import (
    INPUT_NAME,
    BatchNormSpec,
    DenseSpec,
    FlattenSpec,
    LayerSpec,
)
from lstm_lrp_cli.model.layers import ActivationName, DirectionMergeName, PoolName
from .arrays import (
    DTYPES,
    Array,
    ArrayCopies,
    Known,
    OnnxNode,
    Zeros,
    axis_of,
    part_of_shape,
    resolved,
    slices,
    split_sizes,
)
from .file import OnnxFile, column_name, vector_name
from .layers import RAW_INPUT, Layers
from .lstm import DEFAULTS, DIRECTIONS, activation, read_lstm
from .signal import BATCH, FEATURE, STACK, TIME, Signal, SignalPart, is_reversal, total

Value = Known | Zeros | ArrayCopies | Signal
REDUCTIONS: dict[str, PoolName] = {"ReduceMean": "mean", "ReduceMax": "max", "ReduceSum": "sum"}
GLOBAL_POOLS: dict[str, PoolName] = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}
# How many axes NumPy's arrays may have.
LONGEST_SHAPE = 64
# Activations that are gates where something is multiplied with them.
GATES = ("sigmoid", "hard_sigmoid", "hard_sigmoid_relu6", "softmax")


class Call(Struct, frozen=True):
    """A node that is followed, with its inputs (None is one left out) and the layers so far."""

    node: OnnxNode
    values: Sequence[Value | None]
    layers: Layers
    file: OnnxFile

    def value(self, place: int) -> Value | None:
        return self.values[place] if place < len(self.values) else None

    def signal(self, place: int = 0) -> Signal:
        value = self.value(place)
        if not isinstance(value, Signal):
            raise self.node.unusable(
                f"takes `{self.node.inputs[place]}`, which the input does not change; "
                "expected what a layer gives"
            )
        return value

    def constant(self, place: int) -> Known:
        value = self.value(place)
        if not isinstance(value, Known):
            raise self.node.unusable(
                f"takes `{self.node.inputs[place]}`, which is no constant; expected one"
            )
        return value

    def array(self, place: int) -> Array | None:
        return None if self.value(place) is None else self.constant(place).array

    def dataset(self, name: str) -> str:
        if name not in self.file.datasets:
            raise self.node.unusable(f"takes `{name}`, which is no vector or matrix of the file")
        return name

    def layer(self, signal: Signal, size: int | None, **kind: Any) -> Signal:
        """What a new layer makes of a signal; one for each entry of its stacks."""

        def make(parts: tuple[SignalPart, ...]) -> SignalPart:
            return self.layers.add(self.node.label, [self.layers.of(parts)], size, **kind)

        return self.each(signal, make)

    def each(self, signal: Signal, make: Callable[[tuple[SignalPart, ...]], SignalPart]) -> Signal:
        """A signal of what is made of the units in each entry of the stacks."""
        rows = signal.parts.reshape(-1, signal.parts.shape[-1])
        made = np.array([make(tuple(row)) for row in rows], dtype=object)
        return replace(signal, parts=made.reshape(*signal.parts.shape[:-1], 1))

    def units(self, signal: Signal) -> tuple[SignalPart, ...]:
        """All of a signal that has no stack but of one entry."""
        if math.prod(signal.parts.shape[:-1]) != 1:
            raise self.node.unusable(
                "takes several values at once (the directions or layers of an LSTM); expected one"
            )
        return tuple(signal.parts.reshape(-1))

    def spec(self, signal: Signal) -> LayerSpec | None:
        """The layer whose units, unpooled, are all of a signal."""
        part = signal.parts.reshape(-1)[0]
        alone = signal.parts.size == 1 and part.pooled is None
        return self.layers.specs.get(part.layer) if alone else None

    def understood(self, signal: Signal | None) -> list[Value]:
        """The one output, where it has a meaning."""
        if signal is None:
            raise self.node.unusable(
                "rearranges values in a way that lrp does not follow; expected whole axes: of "
                "sequences, steps, units, directions"
            )
        return [signal]


def _same(call: Call) -> list[Value]:
    return [call.signal()]


def _cast(call: Call) -> list[Value]:
    signal = call.signal()
    is_input = all(part.layer == RAW_INPUT for part in signal.parts.reshape(-1))
    dtype = DTYPES.get(call.node.attributes["to"], "other")
    if "float" not in dtype and not is_input:
        raise call.node.unusable(f"makes {dtype} of what a layer gives; expected floats")
    return [signal]


def _dropout(call: Call) -> list[Value]:
    training = call.array(2)
    if training is not None and training.any():
        raise call.node.unusable("drops units at inference too (training_mode); expected none")
    return [call.signal()]


def _shape(call: Call) -> list[Value]:
    return [Known(part_of_shape(call.node, list(call.signal().shape)), "")]


def _filled(call: Call) -> list[Value]:
    """ConstantOfShape: zeros for states, or a number for each size of a shape."""
    value = call.node.attributes.get("value")
    number = np.zeros(1) if value is None else call.file.array(value)
    sizes = call.constant(0).array.tolist()
    if not number.any():
        return [Zeros()]
    if len(sizes) != 1 or sizes[0] > LONGEST_SHAPE:
        raise call.node.unusable("makes a tensor of a number that is not 0; expected zeros")
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
            raise call.node.unusable("copies a value for several steps; expected single units")
        if axes[axis] == STACK and FEATURE not in axes:
            signal = signal.squeezed([axis]) or signal
            axes[axis] = FEATURE
    return [replace(signal, axes=tuple(axes))]


def _transpose(call: Call) -> list[Value]:
    signal = call.signal()
    order = call.node.attributes.get("perm") or range(len(signal.axes))[::-1]
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
    axis = axis_of(call.node.attributes.get("axis", 1), len(signal.axes) + 1)
    sizes = signal.shape
    return call.understood(_reshaped(call, [math.prod(sizes[:axis]), math.prod(sizes[axis:])]))


def _reshaped(call: Call, target: list[Any]) -> Signal | None:
    def flatten(signal: Signal) -> SignalPart:
        steps, size = signal.sizes[TIME], signal.size
        if not isinstance(steps, int) or size is None:
            raise call.node.unusable(
                "lays all steps side by side, and their number is left open; expected an input of "
                "so many steps"
            )
        source = call.layers.of(tuple(signal.parts))
        return call.layers.add(
            call.node.label, [source], steps * size, flatten=FlattenSpec(steps=steps)
        )

    signal = call.signal()
    return signal.reshaped(resolved(target, signal.shape, call.node), flatten)


def _slice(call: Call) -> list[Value]:
    signal: Signal | None = call.signal()
    given = [call.array(place) for place in range(1, 5)]
    assert signal is not None
    for axis, cut in slices(call.node, given, len(signal.axes)).items():
        if signal.axes[axis] == TIME and is_reversal(cut, signal.sizes[TIME]):
            signal = call.layer(signal, signal.size, reverse="steps")
        else:
            signal = signal.cut(axis, cut)
        if signal is None:
            break
    return call.understood(signal)


def _split(call: Call) -> list[Value]:
    signal = call.signal()
    axis = axis_of(call.node.attributes.get("axis", 0), len(signal.axes))
    size = signal.shape[axis]
    if not isinstance(size, int):
        raise call.node.unusable("splits an axis whose size is left open; expected units")
    sizes = split_sizes(call.node, call.array(1), size)
    found: list[Value] = []
    for end, part in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
        found += call.understood(signal.cut(axis, slice(end - part, end, 1)))
    return found


def _concat(call: Call) -> list[Value]:
    first, *others = [call.signal(place) for place in range(len(call.values))]
    axis = axis_of(call.node.attributes["axis"], len(first.axes))
    return call.understood(first.joined(others, axis))


def _gather(call: Call) -> list[Value]:
    axis = call.node.attributes.get("axis", 0)
    if isinstance(call.value(0), Signal):
        signal = call.signal()
        indices = call.constant(1).array.astype(np.int64)
        return call.understood(signal.taken(axis_of(axis, len(signal.axes)), indices))
    table, ids = call.constant(0), call.signal(1)
    if axis or table.array.ndim != 2 or ids.parts.size != 1 or ids.parts.item().layer != RAW_INPUT:
        raise call.node.unusable("looks numbers up; expected one embedding, of the model's input")
    call.layers.embed(call.dataset(table.name))
    part = SignalPart(INPUT_NAME, table.array.shape[1])
    axes = tuple(STACK if label == FEATURE else label for label in ids.axes)
    return [Signal.of(part, (*axes, FEATURE), ids.sizes)]


def _reverse(call: Call) -> list[Value]:
    """ReverseSequence, where it turns round all steps of all sequences."""
    signal, lengths = call.signal(), call.value(1)
    known = lengths.of if isinstance(lengths, ArrayCopies) else lengths
    axis = call.node.attributes.get("time_axis", 0)
    whole = isinstance(known, Known) and all(
        length == signal.sizes[TIME] for length in known.array.reshape(-1).tolist()
    )
    if not whole or signal.axes[axis] != TIME:
        raise call.node.unusable("turns round a part of the steps; expected all of them")
    return [call.layer(signal, signal.size, reverse="steps")]


def _lstm(call: Call) -> list[Value]:
    signal, node = call.signal(), call.node
    layout = node.attributes.get("layout", 0)
    steps, sequences = (1, 0) if layout else (0, 1)
    axes = signal.axes
    batch = axes[sequences] if len(axes) == 3 else ""
    if (
        batch not in (BATCH, STACK)
        or axes[steps] != TIME
        or axes[2] != FEATURE
        or (batch == STACK and not signal.is_unit(sequences))
    ):
        raise node.unusable(
            f"is given axes of {', '.join(axes)}; expected those of steps, sequences and features"
        )
    lengths = call.value(4)
    if lengths is not None:
        known = lengths.of if isinstance(lengths, ArrayCopies) else lengths
        if not isinstance(known, Known) or set(known.array.reshape(-1).tolist()) != {
            signal.sizes[TIME]
        }:
            raise node.unusable(
                "is given the lengths of sequences (sequence_lens); export the model without "
                "packing: lrp runs each sequence at its own length"
            )
    source = call.layers.of(call.units(signal))
    lstm = read_lstm(node, [call.value(place) for place in range(8)], source, call.file.datasets)
    name = str(len(call.layers.lstms))
    call.layers.lstms[name] = lstm
    directions = DIRECTIONS[node.attributes.get("direction", "forward")]
    parts = np.array(
        [[SignalPart(name, lstm.hidden, backward)] for backward in directions], dtype=object
    )
    if batch == STACK:
        parts = parts[np.newaxis] if layout else parts[:, np.newaxis]
    order = (batch, TIME, STACK, FEATURE) if layout else (TIME, STACK, batch, FEATURE)
    outputs = Signal(order, parts, signal.sizes)
    ends = np.frompyfunc(
        lambda part: replace(part, pooled="first" if part.backward else "last"), 1, 1
    )
    last = Signal(tuple(label for label in order if label != TIME), ends(parts), signal.sizes)
    return [outputs, last]


def _add(call: Call) -> list[Value]:
    if all(isinstance(value, Signal) for value in call.values):
        return _merge(call, "sum")
    signal, constant = _with_constant(call)
    if not constant.array.any():
        return [signal]
    name = _vector(call, signal, constant)

    def make(parts: tuple[SignalPart, ...]) -> SignalPart:
        spec = call.layers.specs.get(parts[0].layer)
        size = total(parts)
        plain = len(parts) == 1 and parts[0].pooled is None and constant.array.size == size
        if plain and spec and spec.dense and spec.dense.activation == "linear":
            biases = spec.dense.bias or []
            biases = [*([biases] if isinstance(biases, str) else biases), name]
            dense = msgspec.structs.replace(
                spec.dense, bias=biases if len(biases) > 1 else biases[0]
            )
            return call.layers.add(call.node.label, [str(spec.source)], size, dense=dense)
        source = call.layers.of(parts)
        shift = BatchNormSpec(offset=name)
        return call.layers.add(call.node.label, [source], size, batch_norm=shift)

    return [call.each(signal, make)]


def _multiply(call: Call) -> list[Value]:
    if not all(isinstance(value, Signal) for value in call.values):
        signal, constant = _with_constant(call)
        if constant.array.size == 1:
            scaled = _scaled(call, signal, constant.array.item())
            if scaled is not None:
                return [scaled]
        scale = BatchNormSpec(scale=_vector(call, signal, constant))
        return [call.layer(signal, signal.size, batch_norm=scale)]
    one, other = call.signal(0), call.signal(1)
    for gate, gated in ((one, other), (other, one)):
        spec = call.spec(gate)
        if spec is None or not (spec.softmax or spec.activation in GATES):
            continue
        if spec.activation == "sigmoid" and spec.source == call.layers.of(call.units(gated)):
            return [call.layer(gated, gated.size, activation="silu")]
        if gate.size in (1, gated.size):
            return [_joined(call, [gate, gated], merge="gate")]
    return _merge(call, "product")


def _divide(call: Call) -> list[Value]:
    constant = call.constant(1).array
    scaled = _scaled(call, call.signal(0), 1 / constant.item()) if constant.size == 1 else None
    if scaled is None:
        raise call.node.unusable("divides by another number than that of the values in a sum")
    return [scaled]


def _scaled(call: Call, signal: Signal, factor: float) -> Signal | None:
    """A signal times a number, where that leaves it as it is or makes a mean of a sum."""
    if factor == 1:
        return signal
    spec = call.spec(signal)
    if spec is None or spec.merge != "sum" or not isinstance(spec.source, list):
        return None
    if not math.isclose(factor * len(spec.source), 1, rel_tol=1e-6):
        return None
    part = call.layers.add(call.node.label, spec.source, signal.size, merge="mean")
    return Signal.of(part, signal.axes, signal.sizes)


def _with_constant(call: Call) -> tuple[Signal, Known]:
    place = 0 if isinstance(call.value(0), Signal) else 1
    return call.signal(place), call.constant(1 - place)


def _vector(call: Call, signal: Signal, constant: Known) -> str:
    """The dataset of a constant that has one number for each unit, or one for all."""
    shape = constant.array.shape
    axes = signal.axes[len(signal.axes) - len(shape) :] if len(shape) <= len(signal.axes) else ()
    along = [label for label, size in zip(axes, shape, strict=False) if size != 1]
    if len(axes) < len(shape) or constant.array.size not in (1, signal.size) or len(along) > 1:
        raise call.node.unusable(
            f"takes a constant of {constant.array.size} numbers; expected one for each of "
            f"{signal.size} units"
        )
    if along not in ([], [FEATURE]):
        raise call.node.unusable(f"takes a constant along the axis of {along[0]}; expected units")
    return call.dataset(vector_name(constant.name, constant.array))


def _merge(call: Call, kind: DirectionMergeName) -> list[Value]:
    signals = [call.signal(place) for place in range(len(call.values))]
    if len({signal.size for signal in signals}) > 1:
        sizes = " and ".join(str(signal.size) for signal in signals)
        raise call.node.unusable(f"joins values of {sizes} units; expected as many each")
    return [signals[0] if len(signals) == 1 else _joined(call, signals, merge=kind)]


def _joined(call: Call, signals: Sequence[Signal], **kind: Any) -> Signal:
    """Signals made one, unit by unit, at the same steps."""
    rank, size = max(len(signal.axes) for signal in signals), signals[-1].size
    axes: list[str] = []
    for back in range(rank, 0, -1):
        there = [(signal, len(signal.axes) - back) for signal in signals]
        there = [(signal, axis) for signal, axis in there if axis >= 0]
        meant = {signal.axes[axis] for signal, axis in there if not signal.is_unit(axis)}
        if len(meant) > 1:
            raise call.node.unusable(f"joins axes of {' and '.join(sorted(meant))}")
        is_only_unit = size == 1 and any(signal.axes[axis] == FEATURE for signal, axis in there)
        unit = FEATURE if is_only_unit and FEATURE not in axes else STACK
        axes.append(meant.pop() if meant else unit)
    steps = [set(signal.meaning) - {FEATURE} for signal in signals]
    if any(found != steps[0] for found in steps):
        raise call.node.unusable("joins a value of every step and one of the whole sequence")
    sources = [call.layers.of(call.units(signal)) for signal in signals]
    part = call.layers.add(call.node.label, sources, size, **kind)
    return Signal.of(part, tuple(axes), signals[0].sizes)


def _matmul(call: Call) -> list[Value]:
    if isinstance(call.value(1), Signal):
        return [_weighted_sum(call)]
    signal, weights = call.signal(), call.constant(1)
    if weights.array.ndim == 1:
        made = _dense(call, signal, column_name(weights.name), weights.array.shape[0], 1)
        return [replace(made, axes=signal.axes[:-1])]
    inputs, outputs = weights.array.shape
    return [_dense(call, signal, weights.name, inputs, outputs)]


def _gemm(call: Call) -> list[Value]:
    signal, weights, settings = call.signal(), call.constant(1), call.node.attributes
    if settings.get("transA") or settings.get("alpha", 1) != 1 or settings.get("beta", 1) != 1:
        raise call.node.unusable("turns or scales its inputs (transA, alpha, beta); expected not")
    shape = weights.array.shape
    inputs, outputs = shape[::-1] if settings.get("transB") else shape
    bias = None
    if call.array(2) is not None:
        constant = call.constant(2)
        if constant.array.size != outputs:
            raise call.node.unusable(
                f"has a bias of {constant.array.size} numbers; expected {outputs}"
            )
        bias = call.dataset(vector_name(constant.name, constant.array))
    return [_dense(call, signal, weights.name, inputs, outputs, bias)]


def _dense(
    call: Call, signal: Signal, name: str, inputs: int, outputs: int, bias: str | None = None
) -> Signal:
    if signal.axes[-1] != FEATURE:
        raise call.node.unusable(
            f"multiplies along the axis of {signal.axes[-1]}; expected that of features, the last"
        )
    if signal.size not in (None, inputs):
        raise call.node.unusable(f"takes {inputs} features; what feeds it gives {signal.size}")
    transposed = call.node.attributes.get("transB")
    dense = DenseSpec(
        call.dataset(name),
        layout="classes_by_features" if transposed else "features_by_classes",
        bias=bias,
    )
    return call.layer(signal, outputs, dense=dense)


def _weighted_sum(call: Call) -> Signal:
    """A product of two signals, where one of them is weights of steps and the product sums them."""
    left, right = call.signal(0), call.signal(1)
    weights, values = (left, right) if left.size == 1 else (right, left)
    rows, columns = left.axes[-2:-1], right.axes[-1:]
    units, others = (columns, rows) if weights is left else (rows, columns)
    if (
        left.axes[-1] != TIME
        or right.axes[-2:-1] != (TIME,)
        or left.axes[:-2] != right.axes[:-2]
        or weights.size != 1
        or units != (FEATURE,)
        or others not in ((), (STACK,), (FEATURE,))
    ):
        raise call.node.unusable(
            "multiplies two values that the input changes; expected one weight a step, and a sum "
            "over the steps"
        )
    sources = [call.layers.of(call.units(signal)) for signal in (weights, values)]
    part = call.layers.add(call.node.label, sources, values.size, merge="gate")
    one = (STACK,) * len(others)
    ends = (*one, FEATURE) if weights is left else (FEATURE, *one)
    return Signal.of(replace(part, pooled="sum"), (*left.axes[:-2], *ends), left.sizes)


def _activate(call: Call) -> list[Value]:
    """The activations that LSTMs have too."""
    name = call.node.op.lower()
    settings = {key: call.node.attributes.get(key, DEFAULTS[name][key]) for key in DEFAULTS[name]}
    kind = activation(name, settings)
    if kind is None:
        raise call.node.unusable(f"has the settings {settings}; lrp knows {DEFAULTS[name]}")
    return _activation(call, kind)


def _activation(call: Call, kind: ActivationName) -> list[Value]:
    signal = call.signal()
    return [call.layer(signal, signal.size, activation=kind)]


def _clip(call: Call) -> list[Value]:
    low, high = (call.array(place) for place in (1, 2))
    limits = (
        call.node.attributes.get("min") if low is None else low.item(),
        call.node.attributes.get("max") if high is None else high.item(),
    )
    if limits == (0, None):
        return _activation(call, "relu")
    if limits != (0, 6):
        raise call.node.unusable(f"has the limits {limits[0]} and {limits[1]}; lrp knows 0 and 6")
    return _activation(call, "relu6")


def _softmax(call: Call) -> list[Value]:
    """A softmax over units or steps; before version 13 of ONNX, over all axes from one on."""
    signal, old = call.signal(), call.file.opset < 13
    axis = axis_of(call.node.attributes.get("axis", 1 if old else -1), len(signal.axes))
    axes = [k for k in range(axis, len(signal.axes)) if not signal.is_unit(k)] if old else [axis]
    labels = [signal.axes[k] for k in axes or [axis]]
    if labels == [TIME]:
        return [call.layer(signal, signal.size, softmax="steps")]
    if labels != [FEATURE]:
        raise call.node.unusable(
            f"runs over the axes of {', '.join(labels)}; expected units or steps"
        )
    return _activation(call, "softmax")


def _log_softmax(call: Call) -> list[Value]:
    """At the end, where it is left out, and the scores are those of a softmax."""
    if call.node.outputs[0] not in call.file.outputs:
        raise call.node.unusable("stands within the model; expected it at its end")
    return _softmax(call)


def _reduce(call: Call) -> list[Value]:
    signal, kind = call.signal(), REDUCTIONS[call.node.op]
    axes = call.node.integers("axes", call.array(1))
    if axes is None:
        raise call.node.unusable("runs over all axes; expected that of steps")
    rank = len(signal.axes)
    gone = sorted((axis_of(axis, rank) for axis in axes), reverse=True)
    for axis in gone:
        if signal.axes[axis] == TIME:
            signal = signal.pooled(axis, kind, keep=True)
        elif signal.axes[axis] == STACK and not signal.is_unit(axis) and kind != "max":
            signal = _over_stack(call, signal, axis, kind)
        elif not signal.is_unit(axis):
            raise call.node.unusable(
                f"runs over the axis of {signal.axes[axis]}; expected that of steps"
            )
    return call.understood(
        signal if call.node.attributes.get("keepdims", 1) else signal.squeezed(gone)
    )


def _over_stack(call: Call, signal: Signal, axis: int, kind: str) -> Signal:
    """The sum or mean of the entries of a stack, such as an LSTM's directions."""
    entries = range(int(signal.parts.shape[signal.axes[:axis].count(STACK)]))
    cut = [signal.cut(axis, slice(k, k + 1, 1)) for k in entries]
    return _joined(call, [entry for entry in cut if entry is not None], merge=kind)


def _global_pool(call: Call) -> list[Value]:
    signal = call.signal()
    if signal.axes[1] != FEATURE or signal.axes[2:] != (TIME,):
        raise call.node.unusable(
            f"pools axes of {', '.join(signal.axes)}; expected sequences, units and steps"
        )
    return [signal.pooled(2, GLOBAL_POOLS[call.node.op], keep=True)]


def _batch_norm(call: Call) -> list[Value]:
    signal = call.signal()
    scale, offset, mean, variance = (call.dataset(call.constant(k).name) for k in range(1, 5))
    if signal.axes[1] != FEATURE or call.node.attributes.get("training_mode"):
        raise call.node.unusable("normalizes another axis than that of units, or as in training")
    epsilon = call.node.attributes.get("epsilon", 1e-5)
    spec = BatchNormSpec(mean=mean, variance=variance, scale=scale, offset=offset, epsilon=epsilon)
    return [call.layer(signal, signal.size, batch_norm=spec)]


OPS: dict[str, Callable[[Call], list[Value]]] = {
    "Add": _add,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "Div": _divide,
    "Dropout": _dropout,
    "Elu": _activate,
    "Exp": lambda call: _activation(call, "exponential"),
    "Expand": _copied,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "HardSigmoid": _activate,
    "Identity": _same,
    "LSTM": _lstm,
    "LogSoftmax": _log_softmax,
    "MatMul": _matmul,
    "Mean": lambda call: _merge(call, "mean"),
    "Mul": _multiply,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "Relu": _activate,
    "Reshape": _reshape,
    "ReverseSequence": _reverse,
    "Selu": _activate,
    "Shape": _shape,
    "Sigmoid": _activate,
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _activate,
    "Softsign": _activate,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sum": lambda call: _merge(call, "sum"),
    "Tanh": _activate,
    "Tile": _copied,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
# Operators that make zeros of zeros.
MOVES = frozenset(
    {
        *("Cast", "Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split"),
        *("Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)
