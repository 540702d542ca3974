"""The scores of a model in parts: contextual decomposition over the whole graph.

Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions
from LSTMs", decompose an LSTM under a linear layer. The conventions for all other layers are this
project's own (docs/mathematics.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.layers import dense, merging, steps
from lstm_lrp_cli.engine.layers.steps import MaxRecord
from lstm_lrp_cli.engine.lstm import LstmRecord
from lstm_lrp_cli.engine.lstm.inputs import in_reading_order
from lstm_lrp_cli.engine.perturbation import Copies
from lstm_lrp_cli.engine.records import Record
from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.layers import (
    Activation,
    Dense,
    Flatten,
    Layer,
    Merge,
    MergeName,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from lstm_lrp_cli.model.layers import MODEL_INPUT
from . import cell as cell_decomposition
from .cell import ComputedParts, InputParts, Parts, activated, product

NO_STEPS: Booleans = np.zeros(0, dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class DecomposedOutput:
    """What a node gave.

    Parameters
    ----------
    parts : Parts
        Of shape (rows, units) by step, else (copies, units).
    relevant_steps : ndarray of bool, shape (rows,)
        By step: the rows that are of relevant steps. Else none, shape (0,).
    """

    parts: Parts
    relevant_steps: Booleans

    def read_by(self, cell: LstmCell, copies: Copies) -> ComputedParts:
        return ComputedParts(cell, _in_order(cell, self.parts, copies))


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """A model's input.

    Parameters
    ----------
    features : ndarray, shape (originals, features)
        Of the rows that copies are of, each once.
    places : ndarray of int, shape (rows,)
        Where among them the row is that each is a copy of.
    relevant : ndarray of bool, shape (rows,) or (rows, features)
    """

    features: Floats
    places: Integers
    relevant: Booleans

    @classmethod
    def of(cls, trace: Trace, copies: Copies, relevant: Booleans) -> Input:
        originals, places = np.unique(copies.rows, return_inverse=True)
        features, embedding = trace.inputs[originals], trace.model.embedding
        return cls(features if embedding is None else embedding.weights[features], places, relevant)

    @property
    def entries(self) -> Booleans:
        """The relevant entries, shape (rows, features), or (rows, 1) of whole steps."""
        return self.relevant if self.relevant.ndim > 1 else self.relevant[:, np.newaxis]

    @property
    def parts(self) -> Parts:
        copied = self.features[self.places]
        return Parts(copied * self.entries, copied * ~self.entries)

    @property
    def relevant_steps(self) -> Booleans:
        return self.relevant if self.relevant.ndim == 1 else np.zeros(len(self.places), dtype=bool)

    def read_by(self, cell: LstmCell, copies: Copies) -> InputParts:
        return InputParts(
            cell,
            self.features,
            in_reading_order(cell, self.places, copies.packing),
            in_reading_order(cell, self.entries, copies.packing),
        )


# What a node is given.
DecomposedValue = DecomposedOutput | Input


# What overflows shows in the scores, which the caller checks.
@np.errstate(over="ignore", invalid="ignore")
def decompose(trace: Trace, copies: Copies, relevant: Booleans) -> Parts:
    """Decompose all scores of copies of sequences, of each of which some input is relevant.

    Parameters
    ----------
    trace : Trace
        The originals' forward pass.
    copies : Copies
    relevant : ndarray of bool, shape (rows,) or (rows, features)
        Of the copies: the relevant steps, or single entries of them. What the biases of an LSTM
        give to its cell state by themselves is relevant at relevant steps, and not at those of
        which single entries are relevant.

    Returns
    -------
    Parts
        Of shape (copies, classes), or (rows, classes) of a model by step.
    """
    values: dict[int, DecomposedValue] = {MODEL_INPUT: Input.of(trace, copies, relevant)}
    for place, (node, record) in enumerate(zip(trace.model.nodes, trace.records, strict=True)):
        sources = [values[source] for source in node.sources]
        values[place] = _run(node.layer, record, sources, copies)
    outputs = [values[output].parts for output in trace.model.outputs]
    return _merged("concat", outputs)


def _run(
    layer: Layer, record: Record, sources: Sequence[DecomposedValue], copies: Copies
) -> DecomposedValue:
    """Run a layer on parts, given the originals' forward pass of it."""
    source, packing = sources[0], copies.packing
    marked = source.relevant_steps
    match layer:
        case Lstm():
            assert isinstance(record, LstmRecord)
            return _lstm(record, source, copies)
        case Pool():
            return DecomposedOutput(_pooled(layer, record, source.parts, copies), NO_STEPS)
        case Flatten():
            return DecomposedOutput(
                source.parts.each(lambda part: steps.flatten(layer, part, packing).outputs),
                NO_STEPS,
            )
        case Reverse():
            return DecomposedOutput(
                source.parts.each(lambda part: part[packing.reverse]), marked[packing.reverse]
            )
        case StepSoftmax():
            weights = record.outputs[copies.rows]
            return DecomposedOutput(Parts(np.zeros_like(weights), weights), marked)
        case Dense():
            parts = source.parts
            irrelevant = dense.run(layer, parts.irrelevant, None).outputs  # and its bias
            return DecomposedOutput(Parts(parts.relevant @ layer.weights.T, irrelevant), marked)
        case Scale():
            parts = source.parts
            irrelevant = dense.scale(layer, parts.irrelevant, None).outputs
            return DecomposedOutput(Parts(parts.relevant * layer.factors, irrelevant), marked)
        case Activation():
            return DecomposedOutput(activated(layer.kind, source.parts), marked)
        case Merge():
            merged = _merged(layer.kind, [each.parts for each in sources])
            marked = np.logical_or.reduce([each.relevant_steps for each in sources])
            return DecomposedOutput(merged, marked)
        case _:
            raise TypeError(layer)


def _lstm(record: LstmRecord, source: DecomposedValue, copies: Copies) -> DecomposedValue:
    """Run the cells of an LSTM on parts, and merge their hidden states."""
    returns_last = record.layer.returns == "last"
    marked = source.relevant_steps
    directions = []
    for each in record.cells:
        cell = each.cell
        inputs = source.read_by(cell, copies)
        run = cell_decomposition.run(
            each, copies, inputs, in_reading_order(cell, marked, copies.packing)
        )
        if returns_last:
            directions.append(run.at_end())
        else:
            directions.append(_in_order(cell, run.at_steps(), copies))
    return DecomposedOutput(
        _merged(record.layer.merge, directions), NO_STEPS if returns_last else marked
    )


def _in_order(cell: LstmCell, parts: Parts, copies: Copies) -> Parts:
    """Bring parts from the sequences' order to that in which a cell reads them, or back."""
    return parts.each(lambda part: in_reading_order(cell, part, copies.packing))


def _pooled(layer: Pool, record: Record, parts: Parts, copies: Copies) -> Parts:
    """Pool parts over steps. A maximum's are those of the step that has the largest whole value."""
    packing = copies.packing
    if layer.kind != "max":
        return parts.each(lambda part: steps.pool(layer, part, packing).outputs)
    assert isinstance(record, MaxRecord)
    winners = record.winners[copies.sequences[: packing.started]]
    at = packing.offsets[copies.originals.step[winners]] + np.arange(packing.started)[:, np.newaxis]

    def picked(part: Floats) -> Floats:
        outputs = np.zeros((packing.batch, part.shape[1]), dtype=part.dtype)
        outputs[: packing.started] = np.take_along_axis(part, at, axis=0)
        return outputs

    return parts.each(picked)


def _merged(kind: MergeName, parts: Sequence[Parts]) -> Parts:
    """Merge one or more values of shape (n, units). A gate multiplies both parts of its signal."""
    match kind:
        case "gate":
            gate, signal = parts[0].whole, parts[1]
            return signal.each(lambda part: gate * part)
        case "product":
            return reduce(product, parts)
        case _:
            return Parts(
                merging.merge(kind, [part.relevant for part in parts]),
                merging.merge(kind, [part.irrelevant for part in parts]),
            )
