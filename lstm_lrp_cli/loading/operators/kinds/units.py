"""Operators that work on the units of each step: dense layers, activations, softmax, sums."""

from msgspec.structs import replace

from lstm_lrp_cli.loading.layers.units import DenseSpec, LeakyReluSpec
from lstm_lrp_cli.loading.operators.arrays import axis_of
from lstm_lrp_cli.loading.operators.file import column_name, vector_name
from lstm_lrp_cli.loading.operators.layers import Call, Operator, Value
from lstm_lrp_cli.loading.operators.signal import FEATURE, STACK, TIME, Signal
from lstm_lrp_cli.model.layers import PoolName
from lstm_lrp_cli.model.recurrent import ActivationName
from .arithmetic import joined, scaled, vector
from .attention import attended_sum, product_of_signals, weights_of_product
from .recurrent import ACTIVATIONS, activation

# The operators that change no number.
MOVES_ALONE = frozenset(
    ("Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")
)
REDUCTIONS: dict[str, PoolName] = {"ReduceMean": "mean", "ReduceMax": "max", "ReduceSum": "sum"}


def _matmul(call: Call) -> list[Value]:
    if isinstance(call.value(1), Signal):
        return [product_of_signals(call)]
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


def _activate(call: Call) -> list[Value]:
    """The activations that LSTMs have too."""
    defaults = ACTIVATIONS[call.node.op]
    settings = {key: call.setting(key, default) for key, default in defaults.items()}
    kind = activation(call.node.op, settings)
    if kind is None:
        raise call.unusable(f"has the settings {settings}; lrp knows {defaults}")
    return _activation(call, kind)


def _activation(call: Call, kind: ActivationName) -> list[Value]:
    return [call.unit_by_unit(call.signal(), activation=kind)]


def _gelu(call: Call) -> list[Value]:
    is_tanh = call.setting("approximate", "none") == "tanh"
    return _activation(call, "gelu_tanh" if is_tanh else "gelu")


def _leaky_relu(call: Call) -> list[Value]:
    """A slope below 0 that all units have, or each its own."""
    signal = call.signal()
    if call.node.op == "LeakyRelu":
        slope = LeakyReluSpec(slope=call.setting("alpha", 0.01))
        return [call.unit_by_unit(signal, leaky_relu=slope)]
    slopes = LeakyReluSpec(slopes=vector(call, signal, call.constant(1)))
    return [call.layer(signal, leaky_relu=slopes)]


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
    weights = weights_of_product(call, signal, labels)
    if weights is not None:
        return [weights]
    if labels != [FEATURE]:
        raise call.unusable(f"runs over the axes of {', '.join(labels)}; expected units or steps")
    return [call.layer(signal, activation="softmax")]


def _log_softmax(call: Call) -> list[Value]:
    """At the end, where it is left out, and the scores are those of a softmax."""
    if not _is_at_the_end(call):
        raise call.unusable("stands within the model; expected it at its end")
    return _softmax(call)


def _is_at_the_end(call: Call) -> bool:
    """Whether what a node gives is but moved about before it is an output."""
    names = {call.node.outputs[0]}
    for node in call.file.nodes:
        if node.op == "Shape" or names.isdisjoint(node.inputs):
            continue
        if node.op not in MOVES_ALONE:
            return False
        names.update(node.outputs)
    return not names.isdisjoint(call.file.outputs)


def _reduce(call: Call) -> list[Value]:
    signal, kind = call.signal(), REDUCTIONS[call.node.op]
    axes = call.node.integers("axes", call.array(1))
    if axes is None:
        raise call.unusable("runs over all axes; expected that of steps")
    rank = len(signal.axes)
    gone = sorted((axis_of(axis, rank) for axis in axes), reverse=True)
    for axis in gone:
        attended = attended_sum(call, signal, axis, kind)
        if attended is not None:
            signal = attended
        elif signal.is_unit(axis):
            continue
        elif signal.axes[axis] == TIME:
            signal = signal.pooled(axis, kind, keep=True)
        elif signal.axes[axis] == STACK and kind != "max":
            signal = _over_stack(call, signal, axis, kind)
        elif signal.axes[axis] == FEATURE and kind != "max" and signal.size is not None:
            count = signal.size
            signal = call.layer(signal, 1, sum="units")
            if kind == "mean":
                signal = scaled(call, signal, 1 / count)
        else:
            raise call.unusable(
                f"runs over the axis of {signal.axes[axis]}; expected that of steps"
            )
    return call.understood(signal if call.setting("keepdims", 1) else signal.squeezed(gone))


def _over_stack(call: Call, signal: Signal, axis: int, kind: str) -> Signal:
    """The sum or mean of the entries of a stack, such as an LSTM's directions."""
    entries = range(int(signal.parts.shape[signal.axes[:axis].count(STACK)]))
    cut = [signal.cut(axis, slice(k, k + 1, 1)) for k in entries]
    return joined(call, [entry for entry in cut if entry is not None], merge=kind)


UNITS: dict[str, Operator] = {
    **dict.fromkeys(ACTIVATIONS, _activate),
    **dict.fromkeys(REDUCTIONS, _reduce),
    "Clip": _clip,
    "Exp": lambda call: _activation(call, "exponential"),
    "Gelu": _gelu,
    "Gemm": _gemm,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _log_softmax,
    "MatMul": _matmul,
    "PRelu": _leaky_relu,
    "Softmax": _softmax,
}
