"""ONNX's LSTM, GRU and RNN operators as the mapping of recurrent layers.

An LSTM's gates are stacked in the order i, o, f, c, where c is the cell candidate g, a GRU's in the
order z, r, h, where h is the candidate n. Weights have one slice for each direction, (gates hidden,
inputs), and biases are two, side by side.
"""

import math
from collections.abc import Sequence
from typing import Any, cast, get_args

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.activations import SELU_ALPHA, SELU_SCALE
from lstm_lrp_cli.loading.layers.cells import CellSpec, InitialSpec
from lstm_lrp_cli.loading.layers.recurrent import GruSpec, LstmSpec, RecurrentSpec, RnnSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec
from lstm_lrp_cli.loading.operators.arrays import ArrayCopies, Known, are_zeros
from lstm_lrp_cli.loading.operators.file import bias_names, direction_name
from lstm_lrp_cli.loading.operators.layers import DIRECTIONS, RAW_INPUT, Call, Value
from lstm_lrp_cli.loading.operators.parts import SignalPart
from lstm_lrp_cli.loading.operators.signal import BATCH, FEATURE, STACK, TIME, Signal
from lstm_lrp_cli.loading.operators.views import RecurrentNode
from lstm_lrp_cli.model.recurrent import ActivationName, GateActivationName

GATE_ORDER = ["i", "o", "f", "g"]
GRU_ORDER = ["z", "r", "n"]
# The functions that each has one after the other, where a node does not say.
FUNCTIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}
# Where a node takes the states that it begins in.
STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
# The operators that are activations of cells too, and what alpha, beta and gamma of each are where
# a node does not say.
ACTIVATIONS: dict[str, dict[str, float]] = {
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Relu": {},
    "Selu": {"alpha": SELU_ALPHA, "gamma": SELU_SCALE},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
}


def activation(operator: str, settings: dict[str, float]) -> ActivationName | None:
    """What lrp calls one of ACTIVATIONS with its settings; None where it has none."""

    def set_to(**wanted: float) -> bool:
        return all(math.isclose(settings[key], wanted[key], rel_tol=1e-6) for key in wanted)

    match operator.lower():
        case "sigmoid" | "tanh" | "relu" | "softsign" | "softplus" as name:
            return name
        case "elu" if set_to(alpha=1):
            return "elu"
        case "selu" if set_to(alpha=SELU_ALPHA, gamma=SELU_SCALE):
            return "selu"
        case "hardsigmoid" if set_to(alpha=0.2, beta=0.5):
            return "hard_sigmoid"
        case "hardsigmoid" if set_to(alpha=1 / 6, beta=0.5):
            return "hard_sigmoid_relu6"
    return None


def follow_recurrent(call: Call) -> list[Value]:
    """An LSTM, GRU or RNN node: all steps of its directions, and the states after the last of each.

    Raises
    ------
    UnusableInput
        It is given other axes than those of steps, sequences and features, or the lengths of
        sequences; or it computes what lrp does not.
    """
    if call.value(4) is not None and not call.is_length(4, call.signal()):
        raise call.unusable(
            "is given lengths of sequences (sequence_lens) that are no input of the graph, or of "
            "other sequences; export the model without packing: lrp runs each sequence at its own "
            "length"
        )
    _refuse_settings(call)
    cells, states = _cells(call)
    settings = _settings(call, len(cells))
    hidden = int(call.constant(2).array.shape[-1])
    return recurrent(call, settings, cells, hidden, states, is_batch_first=call.setting("layout"))


def recurrent(
    call: Call,
    settings: RecurrentSpec,
    cells: dict[bool, CellSpec],
    hidden: int,
    states: Sequence[Signal | str | None] = (),
    *,
    is_batch_first: bool,
) -> list[Value]:
    """What a recurrent layer makes of the first input: all steps, and the states at the end.

    Parameters
    ----------
    settings : LstmSpec, GruSpec or RnnSpec
        All but the directions and what it returns.
    cells : dict
        One for each direction, by whether it reads backwards.
    hidden : int
    states : sequence
        Of the first direction the hidden state that it begins in, and of an LSTM the cell state,
        then those of the second: a signal where another layer gives it, a dataset or None (zeros)
        else. Only looked at where one is a signal.
    is_batch_first : bool
        Whether sequences are the first axis, and steps the second.

    Returns
    -------
    list of Signal
        Of axes (steps, directions, sequences, units), or (sequences, steps, directions, units); the
        hidden states, and of an LSTM the cell states, without the axis of steps.
    """
    signal = call.signal()
    steps, sequences = (1, 0) if is_batch_first else (0, 1)
    axes = signal.axes
    batch = axes[sequences] if len(axes) == 3 else ""
    if (
        batch not in (BATCH, STACK)
        or axes[steps] != TIME
        or axes[2] != FEATURE
        or (batch == STACK and not signal.is_unit(sequences))
    ):
        raise call.unusable(
            f"is given axes of {', '.join(axes)}; expected those of steps, sequences and features"
        )
    sources = [call.source(signal)]
    if any(isinstance(state, Signal) for state in states):
        sources.append(_handed(call, states, hidden))
    number = str(len(call.layers.recurrent))
    node = RecurrentNode(call.node, sources, hidden, cells, settings)
    call.layers.recurrent[number] = node
    parts = np.array([[SignalPart(number, hidden, backward)] for backward in cells], dtype=object)
    if batch == STACK:
        parts = parts[np.newaxis] if is_batch_first else parts[:, np.newaxis]
    order = (batch, TIME, STACK, FEATURE) if is_batch_first else (TIME, STACK, batch, FEATURE)
    end = np.frompyfunc(
        lambda part: replace(part, pooled="first" if part.backward else "last"), 1, 1
    )
    cell = np.frompyfunc(lambda part: replace(part, is_cell=True), 1, 1)
    ends = tuple(label for label in order if label != TIME)
    made = [Signal(order, parts, signal.sizes), Signal(ends, end(parts), signal.sizes)]
    if isinstance(settings, LstmSpec):
        made.append(Signal(ends, cell(end(parts)), signal.sizes))
    return list(made)


def _handed(call: Call, states: Sequence[Signal | str | None], hidden: int) -> str:
    """The layer that gives the states that a recurrent layer begins in, side by side."""
    given = next(state for state in states if isinstance(state, Signal))
    parts: list[SignalPart] = []
    for state in states:
        if isinstance(state, Signal):
            found = tuple(state.parts.reshape(-1))
            if TIME in state.axes or sum(part.size or 0 for part in found) != hidden:
                raise call.unusable(
                    f"begins in a state of axes {', '.join(state.axes)}; expected one vector of "
                    f"{hidden} units a sequence"
                )
            parts += found
        else:
            # A constant beside states that a layer gives: whatever these are, times 0.
            source = call.layers.of(tuple(given.parts.reshape(-1)))
            constant = BatchNormSpec(scale=0.0, offset=state)
            parts.append(call.add([source], hidden, batch_norm=constant))
    return call.layers.of(tuple(parts))


def _refuse_settings(call: Call) -> None:
    peepholes = call.value(7)
    if call.setting("clip") is not None:
        raise call.unusable("clips its cells (clip), which lrp does not compute")
    if call.setting("input_forget"):
        raise call.unusable("couples input and forget gate (input_forget); expected gates apart")
    if not (peepholes is None or are_zeros([peepholes])):
        raise call.unusable("has peepholes (P), which lrp does not compute; expected none")


def _cells(call: Call) -> tuple[dict[bool, CellSpec], list[Signal | str | None]]:
    """The weights of each direction, and the states that each begins in."""
    bias = call.value(3)
    cells = {}
    given: list[Signal | str | None] = []
    for k, is_backward in enumerate(DIRECTIONS[call.setting("direction", "forward")]):
        names = [direction_name(_weights(call, place), k) for place in (1, 2)]
        biases: list[str] = []
        if not (bias is None or are_zeros([bias])):
            biases = bias_names(_weights(call, 3), k)
        for name in (*names, *biases):
            if name not in call.file.datasets:
                raise call.unusable(f"finds no `{name}`: its weights are of another shape")
        more: dict[str, Any] = {}
        if call.node.op == "GRU" and biases:
            more = {"bias": biases[0], "recurrent_bias": biases[1]}
        elif biases:
            more = {"bias": [*biases]}
        states = [_state(call, place, k) for place in STATES[call.node.op]]
        if any(isinstance(state, Signal) for state in states):
            given += states
        else:
            given += states
            constant = [state if isinstance(state, str) else None for state in states]
            if any(constant):
                more["initial"] = InitialSpec(*constant)
        cells[is_backward] = CellSpec(names[0], names[1], **more)
    if any(isinstance(state, Signal) for state in given):
        cells = {side: replace(cell, initial=None) for side, cell in cells.items()}
    return cells, given


def _settings(call: Call, directions: int) -> RecurrentSpec:
    """All that a mapping says of the layer but its directions and what it returns."""
    functions = _functions(call, directions)
    if call.node.op == "RNN":
        [(name, kind)] = functions
        return RnnSpec(layout="units_by_features", activation=_known(call, name, kind))
    gates, *cells = functions
    if gates[1] not in get_args(GateActivationName):
        raise call.unusable(
            f"has gates of activation {gates[0]}; lrp explains Sigmoid, and HardSigmoid with beta "
            "0.5 and alpha 0.2 (Keras 2) or 1/6 (Keras 3)"
        )
    if cells[0] != cells[-1]:
        raise call.unusable(
            f"has cells of activations {cells[0][0]} and {cells[-1][0]}; expected one for both"
        )
    more: dict[str, Any] = {
        "layout": "gates_by_features",
        "activation": _known(call, *cells[0]),
        "recurrent_activation": cast(GateActivationName, gates[1]),
    }
    if call.node.op == "GRU":
        reset = "after" if call.setting("linear_before_reset") else "before"
        return GruSpec(gate_order=GRU_ORDER, reset=reset, **more)  # type: ignore[arg-type]
    return LstmSpec(gate_order=GATE_ORDER, **more)


def _known(call: Call, name: str, kind: ActivationName | None) -> ActivationName:
    if kind is None:
        raise call.unusable(f"has cells of activation {name}, which lrp does not know")
    return kind


def _weights(call: Call, place: int) -> str:
    value = call.value(place)
    if not isinstance(value, Known):
        raise call.unusable("has weights that the input changes; expected constants")
    return value.name


def _state(call: Call, place: int, direction: int) -> Signal | str | None:
    """One direction's initial state: a signal, a dataset, or None where it is zero."""
    value = call.value(place)
    if value is None or are_zeros([value]):
        return None
    if isinstance(value, Signal):
        at = 1 if call.setting("layout") else 0
        state = (
            value.cut(at, slice(direction, direction + 1, 1)) if value.axes[at] == STACK else None
        )
        if state is None or math.prod(state.parts.shape[:-1]) != 1:
            if value.parts.reshape(-1)[0].layer.startswith(RAW_INPUT):
                raise call.unusable(
                    f"begins in states that the input `{call.node.inputs[place]}` gives; expected "
                    "zeros, or what a layer gives: export the model without that input"
                )
            raise call.unusable(
                f"begins in a state of axes {', '.join(value.axes)}; expected those of directions, "
                "sequences and units"
            )
        return state
    constant = value.of if isinstance(value, ArrayCopies) else value
    if not isinstance(constant, Known):
        raise call.unusable(
            f"begins in `{call.node.inputs[place]}`; expected zeros, a constant, or what a layer "
            "gives"
        )
    name = direction_name(constant.name, direction)
    if name not in call.file.datasets:
        raise call.unusable(
            f"begins in a state, `{constant.name}`, that is not one for all sequences"
        )
    return name


def _functions(call: Call, directions: int) -> list[tuple[str, ActivationName | None]]:
    """The functions of a node, those of one direction: what it calls each, and what lrp does."""
    defaults = {operator.lower(): settings for operator, settings in ACTIVATIONS.items()}
    wanted = FUNCTIONS[call.node.op]
    names = [name.lower() for name in call.setting("activations", [])] or wanted * directions
    alphas = iter(call.setting("activation_alpha", []))
    betas = iter(call.setting("activation_beta", []))
    found = []
    for name in names:
        settings = {
            key: next(alphas if key == "alpha" else betas, default)
            for key, default in defaults.get(name, {}).items()
        }
        found.append((f"{name} {settings or ''}".strip(), activation(name, settings)))
    count = len(wanted)
    if len(found) != count * directions or found != found[:count] * directions:
        raise call.unusable("has other activations in one direction; expected the same in both")
    return found[:count]
