"""The kinds of layer that a model is made of.

All weights are in the engine's own form: gates in the order i, f, g, o on the leading axis, and a
matrix as (outputs, inputs).
"""

from dataclasses import dataclass
from typing import Literal

from . import Floats

ActivationName = Literal[
    "linear",
    "relu",
    "tanh",
    "sigmoid",
    "softmax",
    "hard_sigmoid",
    "hard_sigmoid_relu6",
    "relu6",
    "elu",
    "selu",
    "silu",
    "softplus",
    "softsign",
    "exponential",
]
GateActivationName = Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_relu6"]
MergeName = Literal["concat", "sum", "mean", "product", "gate"]
DirectionMergeName = Literal["concat", "sum", "mean", "product"]
PoolName = Literal["mean", "max", "sum", "first", "last"]
Returns = Literal["last", "sequence"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A table of one vector a token.

    Parameters
    ----------
    weights : ndarray, shape (vocabulary, embedding)
    """

    weights: Floats


@dataclass(frozen=True, slots=True, eq=False)
class LstmCell:
    """The weights with which an LSTM reads a sequence in one direction.

    Parameters
    ----------
    input : ndarray, shape (4, hidden, inputs)
    recurrent : ndarray, shape (4, hidden, outputs)
    bias : ndarray, shape (4, hidden)
        The sum of all biases that the file keeps; zeros where it keeps none.
    backward : bool
        Whether it reads the sequence from its end.
    projection : ndarray, shape (outputs, hidden), or None
        What makes the hidden state of o tanh(c), as in Sak, Senior and Beaufays 2014, "Long
        Short-Term Memory Recurrent Neural Network Architectures". None where it is o tanh(c)
        itself; then there are as many outputs as hidden units.
    initial_hidden : ndarray, shape (outputs,), or None
    initial_cell : ndarray, shape (hidden,), or None
        The states before the first step, where none are carried to it; None is zero.
    """

    input: Floats
    recurrent: Floats
    bias: Floats
    backward: bool = False
    projection: Floats | None = None
    initial_hidden: Floats | None = None
    initial_cell: Floats | None = None

    @property
    def hidden_size(self) -> int:
        return int(self.input.shape[1])

    @property
    def output_size(self) -> int:
        return int(self.recurrent.shape[2])

    @property
    def input_size(self) -> int:
        return int(self.input.shape[2])


@dataclass(frozen=True, slots=True, eq=False)
class Lstm:
    """An LSTM that reads forwards, backwards, or both.

    Parameters
    ----------
    cells : tuple of LstmCell
        One, or the forward and the backward one, of the same sizes.
    merge : {"concat", "sum", "mean", "product"}
        How the hidden states of two cells become one output.
    returns : {"last", "sequence"}
        The hidden state after the last step that a cell reads, or that of every step.
    gate_activation : {"sigmoid", "hard_sigmoid", "hard_sigmoid_relu6"}
        What the input, forget and output gates go through.
    activation : ActivationName
        What the cell candidate and the cell state go through.
    stateful : bool
        Whether it begins a sequence in the states in which it ended an earlier one.
    """

    cells: tuple[LstmCell, ...]
    merge: DirectionMergeName = "concat"
    returns: Returns = "last"
    gate_activation: GateActivationName = "sigmoid"
    activation: ActivationName = "tanh"
    stateful: bool = False

    @property
    def output_size(self) -> int:
        size = self.cells[0].output_size
        return size * len(self.cells) if self.merge == "concat" else size


@dataclass(frozen=True, slots=True)
class Pool:
    """Pooling over the steps of a sequence, unit by unit.

    `first` and `last` are those steps of the sequence, in its own order.
    """

    kind: PoolName


@dataclass(frozen=True, slots=True)
class Flatten:
    """All steps of a sequence side by side, step after step, as one vector.

    Parameters
    ----------
    steps : int
        How many steps every sequence must have.
    """

    steps: int


@dataclass(frozen=True, slots=True)
class Reverse:
    """The steps of every sequence from the last to the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A linear map, of every step or of the one vector a sequence has become.

    Parameters
    ----------
    weights : ndarray, shape (outputs, inputs)
    bias : ndarray, shape (outputs,), or None
    """

    weights: Floats
    bias: Floats | None


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Every unit times its own factor, plus its own offset, as batch normalization at inference.

    Parameters
    ----------
    factors, offsets : ndarray, shape (units,)
    """

    factors: Floats
    offsets: Floats


@dataclass(frozen=True, slots=True)
class Activation:
    """A function applied unit by unit (softmax: over the units)."""

    kind: ActivationName


@dataclass(frozen=True, slots=True)
class StepSoftmax:
    """A softmax over the steps of a sequence, unit by unit: attention weights."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Several values made one.

    Parameters
    ----------
    kind : {"concat", "sum", "mean", "product", "gate"}
        Side by side, or unit by unit. A gate is a product whose first factor is a gate: attention
        weights, of one unit or as many as the second factor has.
    """

    kind: MergeName


Layer = (
    Embedding | Lstm | Pool | Flatten | Reverse | Dense | Scale | Activation | StepSoftmax | Merge
)
