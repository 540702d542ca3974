"""The scores of a model in parts: contextual decomposition over the whole graph.

Murdoch, Liu and Yu 2018, "Beyond Word Importance: Contextual Decomposition to Extract Interactions
from LSTMs", decompose an LSTM under a linear layer. The conventions for all other layers are this
project's own (docs/mathematics.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstm_lrp_cli.model import Booleans
from lstm_lrp_cli.model.layers import MODEL_INPUT
from .arrays import Copies
from .forward import Given, Trace
from .graph import part_nodes
from .layers.merging import merged_parts
from .parts import Parted, PartedInput, Parts


# What overflows shows in the scores, which the caller checks.
@np.errstate(over="ignore", invalid="ignore")
def decompose(trace: Trace, copies: Copies, relevant: Sequence[Booleans | None]) -> Parts:
    """Decompose all scores of copies of sequences, of each of which some input is relevant.

    Parameters
    ----------
    trace : Trace
        The originals' forward pass.
    copies : Copies
    relevant : sequence of ndarray of bool, each of shape (rows,) or (rows, features), or None
        Of each input of the copies: the relevant steps, or single entries of them; None where
        nothing is. What the biases of a recurrent layer give to its state by themselves is relevant
        at relevant steps, and not at those of which single entries are relevant.

    Returns
    -------
    Parts
        Of shape (copies, classes), or (rows, classes) of a model by step.
    """
    values: dict[int, Parted] = {
        MODEL_INPUT - k: _input(given, copies, marked)
        for k, (given, marked) in enumerate(zip(trace.given, relevant, strict=True))
    }
    part_nodes(trace.model.nodes, trace.records, values, copies)
    return merged_parts("concat", [values[output].parts for output in trace.model.outputs])


def _input(given: Given, copies: Copies, relevant: Booleans | None) -> PartedInput:
    copied = copies.of(given.packing)
    originals, places = np.unique(copied.rows, return_inverse=True)
    features, embedding = given.array[originals], given.embedding
    if embedding is not None:
        features = embedding.weights[features]
    if relevant is None:
        relevant = np.zeros(copied.packing.rows, dtype=bool)
    return PartedInput(features, places, relevant, copied.packing if given.is_sequence else None)
