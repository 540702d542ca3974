"""The forward pass of a whole model over a packed batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.layers import MODEL_INPUT, Each, Embedding, Layer, Node
from lstm_lrp_cli.model.model import Model, OutputActivation
from lstm_lrp_cli.model.recurrent import Gru, Lstm, Recurrent, SimpleRnn
from . import recurrent
from .activations import ACTIVATIONS
from .arrays import Copies, Packing
from .graph import run_nodes
from .layers import KINDS
from .layers.merging import concatenated
from .records import Record, Value, packing_of
from .recurrent import Begun, EndingRecord
from .recurrent.inputs import TokenTable, TokenValue, cell_inputs, numeric_inputs
from .recurrent.states import NOTHING_CARRIED, CellStates, States

# The arrays of one sequence that take more are not kept: they are made again, stretch by stretch.
LONG_BYTES = 256 * 2**20


class Given(Struct, frozen=True, eq=False):
    """What one input of a model is given of a batch.

    Parameters
    ----------
    array : ndarray, shape (rows,) of token ids, or (rows, features) of numbers
    packing : Packing
        Of its steps; an input without steps has one row a sequence.
    embedding : Embedding or None
        What ids are looked up in; None of numbers.
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding, where there are any: for those who explain, the model runs on
        them too.
    is_sequence : bool
        Whether it has steps.
    ids : ndarray of int, shape (rows,), or None
        Of numbers that tokens were looked up as, the tokens.
    """

    array: NDArray[Any]
    packing: Packing
    embedding: Embedding | None = None
    padding: Booleans | None = None
    is_sequence: bool = True
    ids: Integers | None = None

    @property
    def tokens(self) -> Integers | None:
        """The ids of the tokens, where it has any."""
        return self.ids if self.embedding is None else self.array

    @property
    def features(self) -> int:
        """Of every step, after the embedding."""
        return int((self.array if self.embedding is None else self.embedding.weights).shape[1])

    @property
    def embedded(self) -> Floats:
        """What the first layers are given, shape (rows, features)."""
        return self.array if self.embedding is None else self.embedding.weights[self.array]

    @property
    def steps(self) -> Packing | None:
        return self.packing if self.is_sequence else None

    def of(self, copies: Copies) -> "Given":
        """The same of copies of the sequences; which rows are padding is left out."""
        copied = copies.of(self.packing)
        return Given(
            self.array[copied.rows], copied.packing, self.embedding, None, self.is_sequence
        )


class Trace(Struct, frozen=True, eq=False):
    """A forward pass, and the records from which its scores can be explained.

    Parameters
    ----------
    model : Model
    given : sequence of Given
        One an input of the model.
    records : sequence of Record
        One a node of the model.
    scores : ndarray, shape (batch, classes), or (rows, classes) of a model by step
    steps : Packing or None
        Those of the scores of a model by step. It is that of an input where they are its steps.
    begun : States
        The states with which stateful layers began.
    """

    model: Model
    given: Sequence[Given]
    records: Sequence[Record]
    scores: Floats
    steps: Packing | None = None
    begun: States = NOTHING_CARRIED

    @property
    def batch(self) -> int:
        return self.given[0].packing.batch

    @property
    def packings(self) -> list[Packing]:
        """Of the inputs."""
        return [each.packing for each in self.given]

    @property
    def ended(self) -> States:
        """The states in which stateful layers ended."""
        return States(
            {
                place: record.ended
                for place, record in enumerate(self.records)
                if isinstance(record, EndingRecord) and record.layer.stateful
            }
        )


class Runner(Struct, frozen=True, eq=False):
    """Runs a model over packed batches.

    Parameters
    ----------
    model : Model
    tables : sequence of (TokenTable or None)
        One an input, made for a wider choice of tokens, so that it serves several batches. It must
        hold every id of the input. None is one of each batch's own; so is no table at all.
    keep_gates : bool
        Whether the records keep the gates' activations, which only some methods need.
    """

    model: Model
    tables: Sequence[TokenTable | None] = ()
    keep_gates: bool = False

    # What overflows shows in the scores, which the caller checks.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def forward(self, given: Sequence[Given], begun: States = NOTHING_CARRIED) -> Trace:
        """Run the model over a packed batch.

        Parameters
        ----------
        given : sequence of Given
            One an input.
        begun : States
            The states with which stateful layers begin each sequence; all others, and all where
            none are given, begin with the initial ones.
        """
        model = self.model
        values: dict[int, Value | TokenValue] = {
            MODEL_INPUT - k: self._value(k, each) for k, each in enumerate(given)
        }
        run = self._run_long if self.is_long(given) else self._run
        records = run_nodes(model.nodes, values, lambda place, sources: run(place, sources, begun))
        scores = concatenated([_whole(values[output].array) for output in model.outputs])
        steps = records[model.outputs[0]].steps
        return Trace(model, given, records, scores, steps, begun)

    def _value(self, number: int, given: Given) -> Value | TokenValue:
        if given.embedding is None:
            return Value(given.array, given.steps)
        table = self.tables[number] if self.tables else None
        place = MODEL_INPUT - number
        table = table or TokenTable.of(self.model, place, given.embedding, given.array)
        return TokenValue(table, given.array, given.packing)

    def _run(self, place: int, sources: Sequence[Value | TokenValue], begun: States) -> Record:
        layer = self.model.nodes[place].layer
        if isinstance(layer, Recurrent):
            read, *given = sources
            states = _begun(begun.cells.get(place), [_computed(source) for source in given])
            packing = read.packing
            if packing is None:
                raise ValueError("a recurrent layer reads steps")
            inputs = cell_inputs(place, layer, read, packing)
            return recurrent.run(layer, inputs, packing, states, self.keep_gates)
        return self.run_layer(layer, [_computed(source) for source in sources])

    def is_long(self, given: Sequence[Given]) -> bool:
        """Whether it is one sequence of which the layers' arrays are not to be kept."""
        if given[0].packing.batch != 1 or not all(each.packing.rows for each in given):
            return False
        rows = sum(each.packing.rows for each in given)
        return rows * row_bytes(self.model, self.keep_gates) > LONG_BYTES

    def _run_long(self, place: int, sources: Sequence[Value | TokenValue], begun: States) -> Record:
        """Run a node on one long sequence, of which values may be `Rows`."""
        from . import stretches

        layer = self.model.nodes[place].layer
        if isinstance(layer, Recurrent):
            read, *given = sources
            states = _begun(begun.cells.get(place), [_computed(source) for source in given])
            return stretches.run_recurrent(place, layer, read, states, self.keep_gates)
        return stretches.run_layer(layer, sources, self.run_layer)

    def run_layer(self, layer: Layer, sources: Sequence[Value]) -> Record:
        """Run a layer that is not given tokens, nor states that are carried to it."""
        if isinstance(layer, Recurrent):
            read, *given = sources
            packing = packing_of(read)
            inputs = numeric_inputs(layer, read.array, packing)
            return recurrent.run(layer, inputs, packing, _begun(None, given), self.keep_gates)
        if isinstance(layer, Each):
            from .layers.each import EachRecord

            return EachRecord.of(layer, sources, self.run_layer)
        return KINDS[type(layer)].run(layer, sources)


def _whole(array: Any) -> Floats:
    """An array, or all `Rows` of a long sequence."""
    found: Floats = array if isinstance(array, np.ndarray) else array.whole()
    return found


def _computed(source: Value | TokenValue) -> Value:
    return source if isinstance(source, Value) else Value(source.array, source.packing)


def _begun(carried: Sequence[CellStates] | None, given: Sequence[Value]) -> Begun:
    """The states that a recurrent layer begins in: a second source gives them."""
    return Begun(carried, given[0].array if given else None)


def outputs(model: Model, scores: Floats) -> Floats:
    """What the model's framework puts out for scores of shape (n, classes)."""
    return _activated(model, scores, [head.activation for head in model.heads])


def originals(model: Model, scores: Floats) -> Floats | None:
    """What a regressor's scores of shape (n, classes) come to in the units of the user's values.

    None where nothing says how these were scaled. Of no scores, (n, 0), it is nothing.
    """
    scaling = model.output_scaling
    if scaling is None:
        return None
    return scaling.undone(outputs(model, scores)) if scores.size else scores


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
    embeddings = [each.embedding for each in model.inputs if each.embedding is not None]
    values = sum(each.weights.shape[1] for each in embeddings)
    values += _row_values(model.nodes, keep_gates)
    return int(max(values, 1)) * model.dtype.itemsize


def _row_values(nodes: Sequence[Node], keep_gates: bool) -> int:
    """About how many numbers the nodes of a graph take for each step of its inputs."""
    total = 0
    made: dict[int, int] = {}  # steps, for each step of the inputs, or for each vector
    for place, node in enumerate(nodes):
        layer = node.layer
        steps = max(made.get(source, 1) for source in node.sources)
        match layer:
            case Lstm() | Gru() | SimpleRnn():
                values = recurrent.step_values(layer, keep_gates)
            case Each():
                values = _row_values(layer.nodes, keep_gates)
            case _:
                values = KINDS[type(layer)].values(layer)
                steps = KINDS[type(layer)].steps(layer, steps)
        made[place] = steps
        total += steps * values
    return total
