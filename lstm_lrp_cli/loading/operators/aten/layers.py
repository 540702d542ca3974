"""PyTorch's operators that have none in ONNX's vocabulary, or keep their weights otherwise."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from lstm_lrp_cli.loading.layers.cells import CellSpec, InitialSpec
from lstm_lrp_cli.loading.layers.recurrent import GruSpec, LstmSpec, RecurrentSpec, RnnSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec, LeakyReluSpec
from lstm_lrp_cli.loading.operators.arrays import ArrayCopies, Known, Zeros, are_zeros, quotient
from lstm_lrp_cli.loading.operators.file import direction_name
from lstm_lrp_cli.loading.operators.kinds.recurrent import recurrent
from lstm_lrp_cli.loading.operators.layers import Call, Operator, Value
from lstm_lrp_cli.loading.operators.parts import SignalPart
from lstm_lrp_cli.loading.operators.signal import FEATURE, STACK, TIME, Signal
from . import REFUSED

# How many states each recurrent layer has.
STATES = {"aten.lstm": 2, "aten.gru": 1, "aten.rnn": 1}
# The order in which nn.LSTM and nn.GRU stack the weights of gates.
LSTM_ORDER = ["i", "f", "g", "o"]
GRU_ORDER = ["r", "z", "n"]


def _refused(call: Call) -> list[Value]:
    raise call.unusable(call.setting("problem"))


def _zeros(call: Call) -> list[Value]:
    return [Zeros()]


def _activation(call: Call) -> list[Value]:
    return [call.layer(call.signal(), activation=call.setting("kind"))]


def _leaky_relu(call: Call) -> list[Value]:
    """With one slope, or, as nn.PReLU has it, one for each unit."""
    signal = call.signal()
    if call.value(1) is None:
        return [call.layer(signal, leaky_relu=LeakyReluSpec(slope=call.setting("slope")))]
    slopes = call.constant(1)
    if slopes.array.size > 1:
        _check_units(call, signal, 1)
    return [call.layer(signal, leaky_relu=LeakyReluSpec(slopes=call.dataset(slopes.name)))]


def _pool_of_all(call: Call) -> list[Value]:
    """A window over as many steps as the example has: over all."""
    signal, steps = call.signal(), call.setting("steps")
    if signal.axes[-1] != TIME or quotient(steps, signal.sizes[TIME]) != 1:
        raise call.unusable(
            f"pools {steps} of the axis of {signal.axes[-1]}; expected all steps, or a window"
        )
    call.layers.assumed.append(
        f"a pooling of {steps} steps, as many as its example has, is one of all steps"
    )
    return [signal.pooled(len(signal.axes) - 1, call.setting("kind"), keep=True)]


def _batch_norm(call: Call) -> list[Value]:
    signal = call.signal()
    _check_units(call, signal, 1)
    scale, offset, mean, variance = _vectors(call, 1, 2, 3, 4)
    if mean is None or variance is None:
        raise call.unusable("keeps no averages, and normalizes by each batch; expected averages")
    spec = BatchNormSpec(
        mean=mean, variance=variance, scale=scale, offset=offset, epsilon=call.setting("epsilon")
    )
    return [call.layer(signal, batch_norm=spec)]


def _vectors(call: Call, *places: int) -> list[str | None]:
    """The datasets that are inputs; None where one is left out."""
    return [
        None if call.value(place) is None else call.dataset(call.constant(place).name)
        for place in places
    ]


def _check_units(call: Call, signal: Signal, axis: int) -> None:
    if len(signal.axes) < 2 or signal.axes[axis] != FEATURE:
        raise call.unusable(
            f"is given axes of {', '.join(signal.axes)}; expected units where it works along them"
        )


def _recurrent(call: Call) -> list[Value]:
    """nn.LSTM, nn.GRU or nn.RNN: all layers, each of one or both directions.

    Returns
    -------
    list of Signal
        All steps of the last layer, its directions side by side; and the states of all layers and
        directions, (layers directions, sequences, units).
    """
    count = STATES[call.node.op]
    directions = (False, True) if call.setting("bidirectional") else (False,)
    names = [call.constant(k).name for k in range(1 + count, len(call.values))]
    layers = call.setting("layers")
    each, rest = divmod(len(names), max(layers * len(directions), 1))
    if rest or each < 2:
        raise call.unusable(f"has {len(names)} weights for {layers} layers; expected as many each")
    signal, given = call.signal(), call.values[1 : 1 + count]
    ends: list[list[Signal]] = []
    for layer in range(layers):
        cells: dict[bool, CellSpec] = {}
        states: list[Signal | str | None] = []
        for k, backward in enumerate(directions, start=layer * len(directions)):
            begun = [_state(call, state, k) for state in given]
            states += begun
            weights = [call.dataset(name) for name in names[k * each : (k + 1) * each]]
            cells[backward] = _cell(call, weights, begun)
        if any(isinstance(state, Signal) for state in states):
            cells = {side: replace(cell, initial=None) for side, cell in cells.items()}
        spec = _settings(call)
        size = call.file.datasets[_output_weights(cells[False])].shape
        hidden = size[0] if cells[False].projection else size[1]
        of_layer = replace(call, values=[signal])
        made = recurrent(
            of_layer, spec, cells, hidden, states, is_batch_first=call.setting("batch_first")
        )
        steps, *others = (each for each in made if isinstance(each, Signal))
        signal = _side_by_side(call, steps)
        ends.append([_by_direction(call, end) for end in others])
    finals = [first.joined(others, 0) for first, *others in zip(*ends, strict=True)]
    return [signal, *(call.understood(final)[0] for final in finals)]


def _settings(call: Call) -> RecurrentSpec:
    match call.node.op:
        case "aten.lstm":
            return LstmSpec(gate_order=LSTM_ORDER, layout="gates_by_features")
        case "aten.gru":
            return GruSpec(gate_order=GRU_ORDER, layout="gates_by_features", reset="after")
    return RnnSpec(layout="units_by_features", activation=call.setting("activation"))


def _cell(call: Call, weights: Sequence[str], states: Sequence[Signal | str | None]) -> CellSpec:
    """One direction: weights of input and of hidden state, then biases, then a projection."""
    inputs, recurrent_weights, *more = weights
    settings: dict[str, Any] = {}
    if call.setting("biases"):
        bias, of_product, *more = more
        if call.node.op == "aten.gru":
            settings = {"bias": bias, "recurrent_bias": of_product}
        else:
            settings = {"bias": [bias, of_product]}
    if more:
        [settings["projection"]] = more
    constant = [state if isinstance(state, str) else None for state in states]
    if any(constant):
        settings["initial"] = InitialSpec(*constant)
    return CellSpec(inputs, recurrent_weights, **settings)


def _output_weights(cell: CellSpec) -> str:
    """The dataset that tells how many outputs a cell has."""
    return str(cell.projection or cell.recurrent)


def _state(call: Call, value: Value | None, place: int) -> Signal | str | None:
    """A state in which one direction begins: a signal, a dataset, or None where it is zero."""
    if value is None or are_zeros([value]):
        return None
    if isinstance(value, Signal):
        state = value.cut(0, slice(place, place + 1, 1)) if value.axes[0] == STACK else None
        if state is None:
            raise call.unusable(
                f"begins in a state of axes {', '.join(value.axes)}; expected those of layers and "
                "directions, sequences and units"
            )
        return state
    constant = value.of if isinstance(value, ArrayCopies) else value
    name = direction_name(constant.name, place) if isinstance(constant, Known) else ""
    if name not in call.file.datasets:
        raise call.unusable("begins in a state that is not one for all sequences; expected zeros")
    return name


def _side_by_side(call: Call, steps: Signal) -> Signal:
    """All steps, with the directions side by side in the axis of units."""
    signal = steps if call.setting("batch_first") else steps.transposed((0, 2, 1, 3))
    *outer, directions, units = signal.shape
    merged = signal.reshaped([*outer, directions * units], _never)
    assert merged is not None
    return merged


def _never(signal: Signal, *, is_by_unit: bool) -> SignalPart:
    raise ValueError("steps cannot be laid side by side here")


def _by_direction(call: Call, end: Signal) -> Signal:
    """States with the axis of directions first."""
    return end.transposed((1, 0, 2)) if call.setting("batch_first") else end


ATEN: dict[str, Operator] = {
    **dict.fromkeys(STATES, _recurrent),
    "aten.activation": _activation,
    "aten.batch_norm": _batch_norm,
    "aten.leaky_relu": _leaky_relu,
    "aten.pool_of_all": _pool_of_all,
    REFUSED: _refused,
    "aten.zeros": _zeros,
}
