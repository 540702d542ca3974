"""The forward pass of a whole model over a packed batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine import dense, lstm, pooling
from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.engine.record import Record
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import Activation, Dense, Embedding, Lstm, Pool
from lstm_lrp_cli.model.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A forward pass, and the records from which its scores can be explained.

    Parameters
    ----------
    packing : Packing
    records : sequence of Record
        One a layer, without the embedding.
    scores : ndarray, shape (batch, classes)
    """

    packing: Packing
    records: Sequence[Record]
    scores: Floats


# What overflows shows in the scores, which the caller checks.
@np.errstate(over="ignore", invalid="ignore")
def forward(model: Model, inputs: NDArray[Any], packing: Packing) -> Trace:
    """Run a model over a packed batch.

    Parameters
    ----------
    inputs : ndarray, shape (rows,) of token ids, or (rows, features) of numbers
        Ids where the model begins with an embedding.
    packing : Packing
    """
    records: list[Record] = []
    embedding = model.embedding
    values: Floats = inputs if embedding is None else embedding.weights[inputs]
    steps: Packing | None = packing
    for layer in model.layers:
        record: Record
        match layer:
            case Embedding():
                continue
            case Lstm():
                record = lstm.run(layer, values, packing)
                steps = None if layer.returns == "last" else steps
            case Pool():
                record = pooling.run(layer, values, packing)
                steps = None
            case Dense():
                record = dense.run(layer, values, steps)
            case Activation():
                record = dense.activate(layer, values, packing.batch)
        records.append(record)
        values = record.outputs
    return Trace(packing, records, values)


def outputs(model: Model, scores: Floats) -> Floats:
    """What the model's framework puts out for scores of shape (batch, classes)."""
    return np.asarray(ACTIVATIONS[model.output_activation](scores))
