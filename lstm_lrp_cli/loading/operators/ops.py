"""ONNX's operators that become layers, and the table of all that are followed, OPS.

A new operator is a function here, or in `moves` where it only moves numbers, and its line in the
table there.
"""

import math
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from lstm_lrp_cli.loading.layers.datasets import Numbers
from lstm_lrp_cli.loading.layers.units import BatchNormSpec, DenseSpec
from lstm_lrp_cli.model.layers import PoolName
from lstm_lrp_cli.model.recurrent import ActivationName, DirectionMergeName
from .arrays import Known, axis_of
from .file import column_name, vector_name
from .layers import RAW_INPUT, Call, Operator, Value
from .moves import MOVES
from .recurrent import ACTIVATIONS, FUNCTIONS, activation, follow_recurrent
from .signal import FEATURE, STACK, TIME, Signal, SignalPart, total

REDUCTIONS: dict[str, PoolName] = {"ReduceMean": "mean", "ReduceMax": "max", "ReduceSum": "sum"}
GLOBAL_POOLS: dict[str, PoolName] = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max"}
# Activations that are gates where something is multiplied with them.
GATES = ("sigmoid", "hard_sigmoid", "hard_sigmoid_relu6", "softmax")


def _add(call: Call) -> list[Value]:
    if all(isinstance(value, Signal) for value in call.values):
        return _merge(call, "sum")
    signal, constant = _with_constant(call)
    if not constant.array.any():
        return [signal]
    name = _vector(call, signal, constant)
    spread = _spread(signal, constant, name)

    def make(parts: tuple[SignalPart, ...]) -> SignalPart:
        spec = call.layers.specs.get(parts[0].layer)
        size = total(parts)
        plain = len(parts) == 1 and parts[0].pooled is None and constant.array.size == size
        if plain and spec and spec.dense and spec.dense.activation == "linear":
            biases = spec.dense.bias or []
            biases = [*([biases] if isinstance(biases, str) else biases), name]
            dense = replace(spec.dense, bias=biases if len(biases) > 1 else biases[0])
            return call.add([str(spec.source)], size, dense=dense)
        return call.add([call.layers.of(parts)], size, batch_norm=BatchNormSpec(offset=spread))

    return [call.each(signal, make)]


def _multiply(call: Call) -> list[Value]:
    if not all(isinstance(value, Signal) for value in call.values):
        signal, constant = _with_constant(call)
        if constant.array.size == 1:
            scaled = _scaled(call, signal, constant.array.item())
            if scaled is not None:
                return [scaled]
        name = _vector(call, signal, constant)
        scale = BatchNormSpec(scale=_spread(signal, constant, name))
        return [call.layer(signal, batch_norm=scale)]
    one, other = call.signal(0), call.signal(1)
    for gate, gated in ((one, other), (other, one)):
        spec = call.spec(gate)
        if spec is None or not (spec.softmax or spec.activation in GATES):
            continue
        if spec.activation == "sigmoid" and spec.source == call.source(gated):
            return [call.layer(gated, activation="silu")]
        if gate.size in (1, gated.size):
            return [_joined(call, [gate, gated], merge="gate")]
    return _merge(call, "product")


def _divide(call: Call) -> list[Value]:
    constant = call.constant(1).array
    scaled = _scaled(call, call.signal(0), 1 / constant.item()) if constant.size == 1 else None
    if scaled is None:
        raise call.unusable("divides by another number than that of the values in a sum")
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
    part = call.add(spec.source, signal.size, merge="mean")
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
        raise call.unusable(
            f"takes a constant of {constant.array.size} numbers; expected one for each of "
            f"{signal.size} units"
        )
    if along not in ([], [FEATURE]):
        raise call.unusable(f"takes a constant along the axis of {along[0]}; expected units")
    return call.dataset(vector_name(constant.name, constant.array))


def _spread(signal: Signal, constant: Known, name: str) -> Numbers:
    """A dataset, or where it has one number for units that no layer counts, as many of those."""
    is_input = all(part.layer == RAW_INPUT for part in signal.parts.reshape(-1))
    if is_input and signal.size and constant.array.size == 1:
        return [float(constant.array.item())] * signal.size
    return name


def _merge(call: Call, kind: DirectionMergeName) -> list[Value]:
    signals = call.signals
    if len({signal.size for signal in signals}) > 1:
        sizes = " and ".join(str(signal.size) for signal in signals)
        raise call.unusable(f"joins values of {sizes} units; expected as many each")
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
            raise call.unusable(f"joins axes of {' and '.join(sorted(meant))}")
        is_only_unit = size == 1 and any(signal.axes[axis] == FEATURE for signal, axis in there)
        unit = FEATURE if is_only_unit and FEATURE not in axes else STACK
        axes.append(meant.pop() if meant else unit)
    steps = [set(signal.meaning) - {FEATURE} for signal in signals]
    if any(found != steps[0] for found in steps):
        raise call.unusable("joins a value of every step and one of the whole sequence")
    sources = [call.source(signal) for signal in signals]
    part = call.add(sources, size, **kind)
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
        raise call.unusable("turns or scales its inputs (transA, alpha, beta); expected not")
    shape = weights.array.shape
    inputs, outputs = shape[::-1] if settings.get("transB") else shape
    bias = None
    if call.array(2) is not None:
        constant = call.constant(2)
        if constant.array.size != outputs:
            raise call.unusable(f"has a bias of {constant.array.size} numbers; expected {outputs}")
        bias = call.dataset(vector_name(constant.name, constant.array))
    return [_dense(call, signal, weights.name, inputs, outputs, bias)]


def _dense(
    call: Call, signal: Signal, name: str, inputs: int, outputs: int, bias: str | None = None
) -> Signal:
    if signal.axes[-1] != FEATURE:
        raise call.unusable(
            f"multiplies along the axis of {signal.axes[-1]}; expected that of features, the last"
        )
    if signal.size not in (None, inputs):
        raise call.unusable(f"takes {inputs} features; what feeds it gives {signal.size}")
    transposed = call.setting("transB")
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
        raise call.unusable(
            "multiplies two values that the input changes; expected one weight a step, and a sum "
            "over the steps"
        )
    sources = [call.source(signal) for signal in (weights, values)]
    part = call.add(sources, values.size, merge="gate")
    one = (STACK,) * len(others)
    ends = (*one, FEATURE) if weights is left else (FEATURE, *one)
    return Signal.of(replace(part, pooled="sum"), (*left.axes[:-2], *ends), left.sizes)


def _activate(call: Call) -> list[Value]:
    """The activations that LSTMs have too."""
    defaults = ACTIVATIONS[call.node.op]
    settings = {key: call.setting(key, default) for key, default in defaults.items()}
    kind = activation(call.node.op, settings)
    if kind is None:
        raise call.unusable(f"has the settings {settings}; lrp knows {defaults}")
    return _activation(call, kind)


def _activation(call: Call, kind: ActivationName) -> list[Value]:
    signal = call.signal()
    return [call.layer(signal, activation=kind)]


def _clip(call: Call) -> list[Value]:
    low, high = (call.array(place) for place in (1, 2))
    limits = (
        call.setting("min") if low is None else low.item(),
        call.setting("max") if high is None else high.item(),
    )
    if limits == (0, None):
        return _activation(call, "relu")
    if limits != (0, 6):
        raise call.unusable(f"has the limits {limits[0]} and {limits[1]}; lrp knows 0 and 6")
    return _activation(call, "relu6")


def _softmax(call: Call) -> list[Value]:
    """A softmax over units or steps; before version 13 of ONNX, over all axes from one on."""
    signal, old = call.signal(), call.file.opset < 13
    axis = call.axis(signal, 1 if old else -1)
    axes = [k for k in range(axis, len(signal.axes)) if not signal.is_unit(k)] if old else [axis]
    labels = [signal.axes[k] for k in axes or [axis]]
    if labels == [TIME]:
        return [call.layer(signal, softmax="steps")]
    if labels != [FEATURE]:
        raise call.unusable(f"runs over the axes of {', '.join(labels)}; expected units or steps")
    return _activation(call, "softmax")


def _log_softmax(call: Call) -> list[Value]:
    """At the end, where it is left out, and the scores are those of a softmax."""
    if call.node.outputs[0] not in call.file.outputs:
        raise call.unusable("stands within the model; expected it at its end")
    return _softmax(call)


def _reduce(call: Call) -> list[Value]:
    signal, kind = call.signal(), REDUCTIONS[call.node.op]
    axes = call.node.integers("axes", call.array(1))
    if axes is None:
        raise call.unusable("runs over all axes; expected that of steps")
    rank = len(signal.axes)
    gone = sorted((axis_of(axis, rank) for axis in axes), reverse=True)
    for axis in gone:
        if signal.axes[axis] == TIME:
            signal = signal.pooled(axis, kind, keep=True)
        elif signal.axes[axis] == STACK and not signal.is_unit(axis) and kind != "max":
            signal = _over_stack(call, signal, axis, kind)
        elif not signal.is_unit(axis):
            raise call.unusable(
                f"runs over the axis of {signal.axes[axis]}; expected that of steps"
            )
    return call.understood(signal if call.setting("keepdims", 1) else signal.squeezed(gone))


def _over_stack(call: Call, signal: Signal, axis: int, kind: str) -> Signal:
    """The sum or mean of the entries of a stack, such as an LSTM's directions."""
    entries = range(int(signal.parts.shape[signal.axes[:axis].count(STACK)]))
    cut = [signal.cut(axis, slice(k, k + 1, 1)) for k in entries]
    return _joined(call, [entry for entry in cut if entry is not None], merge=kind)


def _global_pool(call: Call) -> list[Value]:
    signal = call.signal()
    if signal.axes[1] != FEATURE or signal.axes[2:] != (TIME,):
        raise call.unusable(
            f"pools axes of {', '.join(signal.axes)}; expected sequences, units and steps"
        )
    return [signal.pooled(2, GLOBAL_POOLS[call.node.op], keep=True)]


def _batch_norm(call: Call) -> list[Value]:
    signal = call.signal()
    scale, offset, mean, variance = (call.dataset(call.constant(k).name) for k in range(1, 5))
    if signal.axes[1] != FEATURE or call.setting("training_mode"):
        raise call.unusable("normalizes another axis than that of units, or as in training")
    epsilon = call.setting("epsilon", 1e-5)
    spec = BatchNormSpec(mean=mean, variance=variance, scale=scale, offset=offset, epsilon=epsilon)
    return [call.layer(signal, batch_norm=spec)]


OPS: dict[str, Operator] = {
    **MOVES,
    **dict.fromkeys(ACTIVATIONS, _activate),
    **dict.fromkeys(REDUCTIONS, _reduce),
    **dict.fromkeys(GLOBAL_POOLS, _global_pool),
    **dict.fromkeys(FUNCTIONS, follow_recurrent),
    "Add": _add,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Div": _divide,
    "Exp": lambda call: _activation(call, "exponential"),
    "Gemm": _gemm,
    "LogSoftmax": _log_softmax,
    "MatMul": _matmul,
    "Mean": lambda call: _merge(call, "mean"),
    "Mul": _multiply,
    "Softmax": _softmax,
    "Sum": lambda call: _merge(call, "sum"),
}
