"""The layers that a model is a chain of.

All weights are in the engine's own form: gates in the order i, f, g, o on the leading axis, and a
matrix as (outputs, inputs).
"""

from dataclasses import dataclass
from typing import Literal

from lstm_lrp_cli.model.arrays import Floats

ActivationName = Literal["linear", "relu", "tanh", "sigmoid", "softmax", "hard_sigmoid"]
GateActivationName = Literal["sigmoid", "hard_sigmoid"]
MergeName = Literal["concat", "sum", "mean", "product"]
PoolName = Literal["mean", "max", "sum"]
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
    recurrent : ndarray, shape (4, hidden, hidden)
    bias : ndarray, shape (4, hidden)
        The sum of all biases that the file keeps; zeros where it keeps none.
    backward : bool
        Whether it reads the sequence from its end.
    """

    input: Floats
    recurrent: Floats
    bias: Floats
    backward: bool = False

    @property
    def hidden_size(self) -> int:
        return int(self.input.shape[1])

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
    gate_activation : {"sigmoid", "hard_sigmoid"}
        What the input, forget and output gates go through.
    """

    cells: tuple[LstmCell, ...]
    merge: MergeName = "concat"
    returns: Returns = "last"
    gate_activation: GateActivationName = "sigmoid"

    @property
    def output_size(self) -> int:
        hidden = self.cells[0].hidden_size
        return hidden * len(self.cells) if self.merge == "concat" else hidden


@dataclass(frozen=True, slots=True)
class Pool:
    """Pooling over the steps of a sequence, unit by unit."""

    kind: PoolName


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


@dataclass(frozen=True, slots=True)
class Activation:
    """A function applied unit by unit (softmax: over the units)."""

    kind: ActivationName


Layer = Embedding | Lstm | Pool | Dense | Activation
