"""The forward pass of a whole model over a packed batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.layers import (
    Activation,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Merge,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.recurrent import Lstm
from lstm_lrp_cli.model.layers import MODEL_INPUT
from lstm_lrp_cli.model.model import Model, OutputActivation
from . import lstm
from .activations import ACTIVATIONS
from .arrays import Packing
from .layers import dense, merging, steps
from .lstm import LstmRecord
from .lstm.inputs import NOTHING_CARRIED, CellInput, States, TokenTable, numeric_inputs
from .records import Record


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A forward pass, and the records from which its scores can be explained.

    Parameters
    ----------
    model : Model
    packing : Packing
    inputs : ndarray, shape (rows,) of token ids, or (rows, features) of numbers
    records : sequence of Record
        One a node of the model.
    scores : ndarray, shape (batch, classes), or (rows, classes) of a model by step
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding, where there are any.
    begun : States
        The states with which stateful LSTMs began.
    """

    model: Model
    packing: Packing
    inputs: NDArray[Any]
    records: Sequence[Record]
    scores: Floats
    padding: Booleans | None = None
    begun: States = NOTHING_CARRIED

    @property
    def ended(self) -> States:
        """The states in which stateful LSTMs ended."""
        return States(
            {
                place: [cell.ended for cell in record.cells]
                for place, record in enumerate(self.records)
                if isinstance(record, LstmRecord) and record.layer.stateful
            }
        )

    @property
    def features(self) -> int:
        """Of every step, after the embedding."""
        embedding = self.model.embedding
        return int((self.inputs if embedding is None else embedding.weights).shape[1])

    @property
    def embedded(self) -> Floats:
        """What the first layers are given, shape (rows, features)."""
        embedding = self.model.embedding
        return self.inputs if embedding is None else embedding.weights[self.inputs]


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """What a node gave, or a model's numeric input.

    Parameters
    ----------
    array : ndarray, shape (rows, units) by step, else (batch, units)
    """

    array: Floats
    by_step: bool


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A model's input of tokens, embedded for the nodes that look at the embedding itself.

    Parameters
    ----------
    ids : ndarray of int, shape (rows,)
    """

    table: TokenTable
    ids: Integers
    by_step: bool = True

    @property
    def array(self) -> Floats:
        return self.table.embedding.weights[self.ids]


# What a node is given.
Value = Computed | Tokens


@dataclass(frozen=True, slots=True, eq=False)
class Runner:
    """Runs a model over packed batches.

    Parameters
    ----------
    model : Model
    table : TokenTable or None
        Made for a wider choice of tokens, so that it serves several batches. It must hold every id
        of the inputs. None is one of each batch's own.
    keep_gates : bool
        Whether the records keep the gates' activations, which only some methods need.
    """

    model: Model
    table: TokenTable | None = None
    keep_gates: bool = False

    # What overflows shows in the scores, which the caller checks.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def forward(
        self,
        inputs: NDArray[Any],
        packing: Packing,
        padding: Booleans | None = None,
        begun: States = NOTHING_CARRIED,
    ) -> Trace:
        """Run the model over a packed batch.

        Parameters
        ----------
        inputs : ndarray, shape (rows,) of token ids, or (rows, features) of numbers
            Ids where the model begins with an embedding.
        packing : Packing
        padding : ndarray of bool, shape (rows,), or None
            The rows that are padding, for those who explain the trace: the model runs on them too.
        begun : States
            The states with which stateful LSTMs begin each sequence; all others, and all where none
            are given, begin with the initial ones.
        """
        model = self.model
        values: dict[int, Value] = {}
        if model.embedding is None:
            values[MODEL_INPUT] = Computed(inputs, True)
        else:
            table = self.table or TokenTable.of(model, model.embedding, inputs)
            values[MODEL_INPUT] = Tokens(table, inputs)
        records: list[Record] = []
        for place, node in enumerate(model.nodes):
            sources = [values[source] for source in node.sources]
            if isinstance(node.layer, Lstm):
                read = _cell_inputs(place, node.layer, sources[0], packing)
                carried = begun.cells.get(place)
                record: Record = lstm.run(node.layer, read, packing, carried, self.keep_gates)
            else:
                record = run(node.layer, sources, packing)
            records.append(record)
            values[place] = Computed(record.outputs, _gives_steps(node.layer, sources[0]))
        scores = merging.concatenated([values[output].array for output in model.outputs])
        return Trace(model, packing, inputs, records, scores, padding, begun)


def run(layer: Layer, sources: Sequence[Value], packing: Packing) -> Record:
    """Run one layer that is no LSTM."""
    inputs = sources[0].array
    rows = packing if sources[0].by_step else None
    match layer:
        case Pool():
            return steps.pool(layer, inputs, packing)
        case Flatten():
            return steps.flatten(layer, inputs, packing)
        case Reverse():
            return steps.reverse(inputs, packing)
        case StepSoftmax():
            return steps.softmax(inputs, packing)
        case Dense():
            return dense.run(layer, inputs, rows)
        case Scale():
            return dense.scale(layer, inputs, rows)
        case Activation():
            return dense.activate(layer, inputs)
        case Merge():
            return merging.run(layer.kind, [source.array for source in sources], rows)
        case _:
            raise TypeError(layer)


def _cell_inputs(place: int, layer: Lstm, source: Value, packing: Packing) -> list[CellInput]:
    if isinstance(source, Tokens):
        return source.table.inputs(place, layer, source.ids, packing)
    return numeric_inputs(layer, source.array, packing)


def _gives_steps(layer: Layer, source: Value) -> bool:
    match layer:
        case Lstm():
            return layer.returns == "sequence"
        case Pool() | Flatten():
            return False
        case Dense() | Scale() | Activation() | Merge() | Reverse() | StepSoftmax():
            return source.by_step
        case _:
            raise TypeError(f"whether {type(layer).__name__} gives steps is not known")


def outputs(model: Model, scores: Floats) -> Floats:
    """What the model's framework puts out for scores of shape (n, classes)."""
    return _activated(model, scores, [head.activation for head in model.heads])


def probabilities(model: Model, scores: Floats) -> Floats:
    """The probabilities of classes whose scores are of shape (n, classes); values stay as they are.

    They are what the model puts out, or would with the softmax or sigmoid that it leaves to others.
    """
    return _activated(model, scores, model.likelihoods)


def _activated(model: Model, scores: Floats, kinds: Sequence[OutputActivation]) -> Floats:
    """The scores of each head after an activation of its own."""
    activated = np.empty_like(scores)
    for kind, at in zip(kinds, model.head_slices, strict=True):
        activated[:, at] = ACTIVATIONS[kind](scores[:, at])
    return activated


def row_bytes(model: Model, keep_gates: bool = False) -> int:
    """About what the engine's arrays take for each step of each sequence."""
    values, of_unit = 0, 8 if keep_gates else 5
    for layer in model.layers:
        match layer:
            case Embedding():
                values += layer.weights.shape[1]
            case Lstm():
                values += sum(of_unit * cell.hidden_size + cell.input_size for cell in layer.cells)
            case Dense():
                values += 3 * len(layer.weights)
            case Scale():
                values += 3 * len(layer.factors)
    return max(values, 1) * model.dtype.itemsize
