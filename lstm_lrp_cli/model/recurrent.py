"""Recurrent layers, and the cells that read a sequence in one direction.

All weights are in the engine's own form: gates on the leading axis, of an LSTM in the order i, f,
g, o, and a matrix as (outputs, inputs).
"""

from typing import Literal

from msgspec import Struct

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
    "gelu",
    "gelu_tanh",
    "square",
]
GateActivationName = Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_relu6"]
DirectionMergeName = Literal["concat", "sum", "mean", "product"]
Returns = Literal["last", "sequence"]


class LstmCell(Struct, frozen=True, eq=False):
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


class Lstm(Struct, frozen=True, eq=False):
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
    gives_cell : bool
        Whether the cell states of all cells stand beside the merged hidden states in its output.

    Notes
    -----
    Fed by two nodes, it begins in the states that the second gives: one vector a sequence, of each
    cell the hidden state and the cell state, side by side.
    """

    cells: tuple[LstmCell, ...]
    merge: DirectionMergeName = "concat"
    returns: Returns = "last"
    gate_activation: GateActivationName = "sigmoid"
    activation: ActivationName = "tanh"
    stateful: bool = False
    gives_cell: bool = False

    @property
    def output_size(self) -> int:
        of_cells = sum(cell.hidden_size for cell in self.cells) if self.gives_cell else 0
        return _merged_size(self.cells, self.merge) + of_cells

    @property
    def state_size(self) -> int:
        return sum(cell.output_size + cell.hidden_size for cell in self.cells)


class GruCell(Struct, frozen=True, eq=False):
    """The weights with which a gated recurrent unit reads a sequence in one direction.

    r, z = sigmoid(W x + U h + b); n = tanh(W x + b + r (U h + b')), or, where the gate comes
    before the product, n = tanh(W x + b + U (r h)); h = z h + (1 - z) n. Cho et al. 2014, "Learning
    Phrase Representations using RNN Encoder-Decoder".

    Parameters
    ----------
    input : ndarray, shape (3, hidden, inputs)
        In the order r, z, n: the reset gate, the update gate, the candidate.
    recurrent : ndarray, shape (3, hidden, hidden)
    bias : ndarray, shape (3, hidden)
        The sum of all biases that the file keeps, but for that inside the reset gate.
    recurrent_bias : ndarray, shape (hidden,), or None
        b', which the reset gate multiplies too. None is zero, or where the gate comes before.
    reset_after : bool
        Whether the reset gate multiplies the product U h + b', and not h before it.
    backward : bool
    initial_hidden : ndarray, shape (hidden,), or None
    """

    input: Floats
    recurrent: Floats
    bias: Floats
    recurrent_bias: Floats | None = None
    reset_after: bool = True
    backward: bool = False
    initial_hidden: Floats | None = None

    @property
    def hidden_size(self) -> int:
        return int(self.input.shape[1])

    @property
    def output_size(self) -> int:
        return self.hidden_size

    @property
    def input_size(self) -> int:
        return int(self.input.shape[2])


class Gru(Struct, frozen=True, eq=False):
    """A GRU that reads forwards, backwards, or both; its settings are those of `Lstm`.

    Fed by two nodes, it begins in the hidden states of its cells that the second gives.
    """

    cells: tuple[GruCell, ...]
    merge: DirectionMergeName = "concat"
    returns: Returns = "last"
    gate_activation: GateActivationName = "sigmoid"
    activation: ActivationName = "tanh"
    stateful: bool = False

    @property
    def output_size(self) -> int:
        return _merged_size(self.cells, self.merge)

    @property
    def state_size(self) -> int:
        return sum(cell.hidden_size for cell in self.cells)


class RnnCell(Struct, frozen=True, eq=False):
    """The weights of h = a(W x + U h + b) in one direction (Elman 1990).

    Parameters
    ----------
    input : ndarray, shape (hidden, inputs)
    recurrent : ndarray, shape (hidden, hidden)
    bias : ndarray, shape (hidden,)
    backward : bool
    initial_hidden : ndarray, shape (hidden,), or None
    """

    input: Floats
    recurrent: Floats
    bias: Floats
    backward: bool = False
    initial_hidden: Floats | None = None

    @property
    def hidden_size(self) -> int:
        return int(self.input.shape[0])

    @property
    def output_size(self) -> int:
        return self.hidden_size

    @property
    def input_size(self) -> int:
        return int(self.input.shape[1])


class SimpleRnn(Struct, frozen=True, eq=False):
    """A recurrent layer without gates; its settings are those of `Gru`."""

    cells: tuple[RnnCell, ...]
    merge: DirectionMergeName = "concat"
    returns: Returns = "last"
    activation: ActivationName = "tanh"
    stateful: bool = False

    @property
    def output_size(self) -> int:
        return _merged_size(self.cells, self.merge)

    @property
    def state_size(self) -> int:
        return sum(cell.hidden_size for cell in self.cells)


RecurrentCell = LstmCell | GruCell | RnnCell
Recurrent = Lstm | Gru | SimpleRnn


def _merged_size(cells: tuple[RecurrentCell, ...], merge: DirectionMergeName) -> int:
    size = cells[0].output_size
    return size * len(cells) if merge == "concat" else size
