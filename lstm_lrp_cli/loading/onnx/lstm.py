"""ONNX's LSTM operator as the mapping of an LSTM.

Its gates are stacked in the order i, o, f, c, where c is the cell candidate g; its weights have one
slice for each direction, (4 hidden, inputs), and its bias is two, side by side.
"""

import math
from collections.abc import Container, Sequence
from typing import cast, get_args

import msgspec
from msgspec import Struct

from lstm_lrp_cli.engine.activations import SELU_ALPHA, SELU_SCALE
from lstm_lrp_cli.loading.mapping.schema import CellSpec, GateNames, InitialSpec, LstmSpec
from lstm_lrp_cli.model.layers import ActivationName, GateActivationName, Returns
from .arrays import ArrayCopies, Known, OnnxNode, are_zeros
from .file import bias_names, direction_name

GATE_ORDER = ["i", "o", "f", "g"]
# For each direction, whether it reads backwards.
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}

# What alpha and beta of an activation are where a node does not say.
DEFAULTS: dict[str, dict[str, float]] = {
    "sigmoid": {},
    "tanh": {},
    "relu": {},
    "softsign": {},
    "softplus": {},
    "elu": {"alpha": 1.0},
    "selu": {"alpha": SELU_ALPHA, "gamma": SELU_SCALE},
    "hardsigmoid": {"alpha": 0.2, "beta": 0.5},
}


class OnnxLstm(Struct, frozen=True):
    """An LSTM node.

    Parameters
    ----------
    node : OnnxNode
    source : str
        The layer that feeds it.
    hidden : int
    cells : dict
        One for each direction, by whether it reads backwards.
    settings : LstmSpec
        All but the directions and what it returns.
    """

    node: OnnxNode
    source: str
    hidden: int
    cells: dict[bool, CellSpec]
    settings: LstmSpec

    def spec(self, backward: tuple[bool, ...], returns: Returns) -> LstmSpec:
        """The mapping of some of its directions."""
        return msgspec.structs.replace(
            self.settings,
            forward=self.cells[False] if False in backward else None,
            backward=self.cells[True] if True in backward else None,
            returns=returns,
        )


def activation(name: str, settings: dict[str, float]) -> ActivationName | None:
    """What lrp calls an activation of ONNX with its settings; None where it has none."""

    def set_to(**wanted: float) -> bool:
        return all(math.isclose(settings[key], wanted[key], rel_tol=1e-6) for key in wanted)

    match name:
        case "sigmoid" | "tanh" | "relu" | "softsign" | "softplus":
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


def read_lstm(
    node: OnnxNode, values: Sequence[object], source: str, datasets: Container[str]
) -> OnnxLstm:
    """Read an LSTM node.

    Parameters
    ----------
    node : OnnxNode
    values : sequence
        What its eight inputs are; None where one is left out.
    source : str
        The layer that feeds it.
    datasets : container of str
        What the file holds.

    Raises
    ------
    UnusableInput
        It computes what lrp does not.
    """
    _, weights, recurrent, bias, _, hidden, cell, peepholes = values
    if node.attributes.get("clip") is not None:
        raise node.unusable("clips its cells (clip), which lrp does not compute")
    if node.attributes.get("input_forget"):
        raise node.unusable("couples input and forget gate (input_forget); expected gates apart")
    if not (peepholes is None or are_zeros([peepholes])):
        raise node.unusable("has peepholes (P), which lrp does not compute; expected none")
    backward = DIRECTIONS[node.attributes.get("direction", "forward")]
    cells = {}
    for k, is_backward in enumerate(backward):
        names = [direction_name(_weights(node, part), k) for part in (weights, recurrent)]
        biases: list[str | GateNames] = []
        if not (bias is None or are_zeros([bias])):
            biases += bias_names(_weights(node, bias), k)
        for name in (*names, *biases):
            if name not in datasets:
                raise node.unusable(f"finds no `{name}`: its weights are of another shape")
        states = [_state(node, state, k, datasets) for state in (hidden, cell)]
        initial = InitialSpec(*states) if any(states) else None
        cells[is_backward] = CellSpec(names[0], names[1], bias=biases or None, initial=initial)
    gates, activation = _activations(node, len(backward))
    settings = LstmSpec(
        gate_order=GATE_ORDER,
        layout="gates_by_features",
        activation=activation,
        recurrent_activation=gates,
    )
    assert isinstance(recurrent, Known)
    return OnnxLstm(node, source, int(recurrent.array.shape[-1]), cells, settings)


def _weights(node: OnnxNode, value: object) -> str:
    if not isinstance(value, Known):
        raise node.unusable("has weights that the input changes; expected constants")
    return value.name


def _state(node: OnnxNode, value: object, direction: int, datasets: Container[str]) -> str | None:
    """The dataset of an initial state; None where it is zero."""
    if value is None or are_zeros([value]):
        return None
    constant = value.of if isinstance(value, ArrayCopies) else value
    if not isinstance(constant, Known):
        raise node.unusable(
            "is given its initial state from outside; expected zeros or a constant: export the "
            "model without that input"
        )
    name = direction_name(constant.name, direction)
    if name not in datasets:
        raise node.unusable(
            f"begins in a state, `{constant.name}`, that is not one for all sequences"
        )
    return name


def _activations(node: OnnxNode, directions: int) -> tuple[GateActivationName, ActivationName]:
    """What the gates go through, and what cell candidate and cell state go through."""
    names = [name.lower() for name in node.attributes.get("activations", [])]
    names = names or ["sigmoid", "tanh", "tanh"] * directions
    alphas = iter(node.attributes.get("activation_alpha", []))
    betas = iter(node.attributes.get("activation_beta", []))
    found = []
    for name in names:
        settings = {
            key: next(alphas if key == "alpha" else betas, default)
            for key, default in DEFAULTS.get(name, {}).items()
        }
        found.append((activation(name, settings), f"{name} {settings or ''}".strip()))
    if len(found) != 3 * directions or any(found[k] != found[k % 3] for k in range(len(found))):
        raise node.unusable("has other activations in one direction; expected the same in both")
    gates, candidate, state = found[:3]
    if gates[0] not in get_args(GateActivationName):
        raise node.unusable(
            f"has gates of activation {gates[1]}; lrp explains Sigmoid, and HardSigmoid with beta "
            "0.5 and alpha 0.2 (Keras 2) or 1/6 (Keras 3)"
        )
    if candidate != state:
        raise node.unusable(
            f"has cells of activations {candidate[1]} and {state[1]}; expected one for both"
        )
    if candidate[0] is None:
        raise node.unusable(f"has cells of activation {candidate[1]}, which lrp does not know")
    return cast(GateActivationName, gates[0]), candidate[0]
