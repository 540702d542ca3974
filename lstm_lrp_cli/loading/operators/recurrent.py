"""ONNX's LSTM operator as the mapping of an LSTM.

Its gates are stacked in the order i, o, f, c, where c is the cell candidate g; its weights have one
slice for each direction, (4 hidden, inputs), and its bias is two, side by side.
"""

import math
from typing import cast, get_args

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.activations import SELU_ALPHA, SELU_SCALE
from lstm_lrp_cli.loading.layers.cells import CellSpec, InitialSpec
from lstm_lrp_cli.loading.layers.datasets import GateNames
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.model.recurrent import ActivationName, GateActivationName
from .arrays import ArrayCopies, Known, are_zeros
from .file import bias_names, direction_name
from .layers import DIRECTIONS, Call, RecurrentNode, Value
from .signal import BATCH, FEATURE, STACK, TIME, Signal, SignalPart

GATE_ORDER = ["i", "o", "f", "g"]
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


def follow_lstm(call: Call) -> list[Value]:
    """An LSTM node: all steps of its directions, and the state after the last of each.

    Raises
    ------
    UnusableInput
        It is given other axes than those of steps, sequences and features, or the lengths of
        sequences; or it computes what lrp does not.
    """
    signal = call.signal()
    layout = call.setting("layout", 0)
    steps, sequences = (1, 0) if layout else (0, 1)
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
    if call.value(4) is not None and not call.is_length(4, signal):
        raise call.unusable(
            "is given the lengths of sequences (sequence_lens); export the model without "
            "packing: lrp runs each sequence at its own length"
        )
    lstm = _read(call, call.source(signal))
    name = str(len(call.layers.lstms))
    call.layers.lstms[name] = lstm
    parts = np.array(
        [[SignalPart(name, lstm.hidden, backward)] for backward in lstm.cells], dtype=object
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


def _read(call: Call, source: str) -> RecurrentNode:
    bias, peepholes = call.value(3), call.value(7)
    if call.setting("clip") is not None:
        raise call.unusable("clips its cells (clip), which lrp does not compute")
    if call.setting("input_forget"):
        raise call.unusable("couples input and forget gate (input_forget); expected gates apart")
    if not (peepholes is None or are_zeros([peepholes])):
        raise call.unusable("has peepholes (P), which lrp does not compute; expected none")
    directions = DIRECTIONS[call.setting("direction", "forward")]
    cells = {}
    for k, is_backward in enumerate(directions):
        names = [direction_name(_weights(call, place), k) for place in (1, 2)]
        biases: list[str | GateNames] = []
        if not (bias is None or are_zeros([bias])):
            biases += bias_names(_weights(call, 3), k)
        for name in (*names, *biases):
            if name not in call.file.datasets:
                raise call.unusable(f"finds no `{name}`: its weights are of another shape")
        states = [_state(call, place, k) for place in (5, 6)]
        initial = InitialSpec(*states) if any(states) else None
        cells[is_backward] = CellSpec(names[0], names[1], bias=biases or None, initial=initial)
    gates, activation = _activations(call, len(directions))
    settings = LstmSpec(
        gate_order=GATE_ORDER,
        layout="gates_by_features",
        activation=activation,
        recurrent_activation=gates,
    )
    return RecurrentNode(call.node, source, int(call.constant(2).array.shape[-1]), cells, settings)


def _weights(call: Call, place: int) -> str:
    value = call.value(place)
    if not isinstance(value, Known):
        raise call.unusable("has weights that the input changes; expected constants")
    return value.name


def _state(call: Call, place: int, direction: int) -> str | None:
    """The dataset of an initial state; None where it is zero."""
    value = call.value(place)
    if value is None or are_zeros([value]):
        return None
    constant = value.of if isinstance(value, ArrayCopies) else value
    if not isinstance(constant, Known):
        raise call.unusable(
            "is given its initial state from outside; expected zeros or a constant: export the "
            "model without that input"
        )
    name = direction_name(constant.name, direction)
    if name not in call.file.datasets:
        raise call.unusable(
            f"begins in a state, `{constant.name}`, that is not one for all sequences"
        )
    return name


def _activations(call: Call, directions: int) -> tuple[GateActivationName, ActivationName]:
    """What the gates go through, and what cell candidate and cell state go through."""
    defaults = {operator.lower(): settings for operator, settings in ACTIVATIONS.items()}
    names = [name.lower() for name in call.setting("activations", [])]
    names = names or ["sigmoid", "tanh", "tanh"] * directions
    alphas = iter(call.setting("activation_alpha", []))
    betas = iter(call.setting("activation_beta", []))
    found = []
    for name in names:
        settings = {
            key: next(alphas if key == "alpha" else betas, default)
            for key, default in defaults.get(name, {}).items()
        }
        found.append((activation(name, settings), f"{name} {settings or ''}".strip()))
    if len(found) != 3 * directions or any(found[k] != found[k % 3] for k in range(len(found))):
        raise call.unusable("has other activations in one direction; expected the same in both")
    gates, candidate, state = found[:3]
    if gates[0] not in get_args(GateActivationName):
        raise call.unusable(
            f"has gates of activation {gates[1]}; lrp explains Sigmoid, and HardSigmoid with beta "
            "0.5 and alpha 0.2 (Keras 2) or 1/6 (Keras 3)"
        )
    if candidate != state:
        raise call.unusable(
            f"has cells of activations {candidate[1]} and {state[1]}; expected one for both"
        )
    if candidate[0] is None:
        raise call.unusable(f"has cells of activation {candidate[1]}, which lrp does not know")
    return cast(GateActivationName, gates[0]), candidate[0]
