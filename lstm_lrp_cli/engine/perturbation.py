"""What a score loses as sequences are changed, each change in a copy of its own."""

from collections.abc import Callable

import numpy as np

from lstm_lrp_cli.engine.copies import Copies, copies
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.memory import row_bytes
from lstm_lrp_cli.engine.relevance import Chosen
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers

# The copies that are run at a time take about so much memory.
COPIES_BYTES = 64 * 2**20


def explained_rows(trace: Trace, chosen: Chosen, padding: Booleans | None) -> Integers:
    """The rows that are not padding, of sequences that have a chosen score."""
    explained = np.ones(trace.packing.rows, dtype=bool) if padding is None else ~padding
    if chosen.rows is not None:
        explained &= chosen.rows[trace.packing.sequence] >= 0
    return np.flatnonzero(explained)


def losses(
    trace: Trace, chosen: Chosen, rows: Integers, changed: Callable[[Copies], Trace]
) -> Floats:
    """What the chosen score loses by each of many changes, shape (changes,), in float64.

    Parameters
    ----------
    rows : ndarray of int, shape (changes,)
        The row at which each changes its sequence.
    changed : callable
        Runs copies with their changes, whose numbers are those of the changes.
    """
    sequences = trace.packing.sequence[rows]
    lost = chosen.of(trace.scores)[sequences]
    most_rows = COPIES_BYTES // row_bytes(trace.model)
    for some in copies(trace.packing, sequences, most_rows):
        lost[some.numbers] -= some.chosen(chosen).of(changed(some).scores)
    return lost
