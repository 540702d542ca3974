"""How far relevance agrees within a sequence: in its order (Spearman), or in its size (Pearson)."""

import numpy as np

from lstm_lrp_cli.model.arrays import Floats, Integers

# Of two steps the correlation is 1 or -1, whatever is compared.
LEAST_STEPS = 3


def correlations(values: Floats, sequence: Integers) -> Floats:
    """Rank correlations within each sequence, shape (methods, methods, sequences).

    NaN where all values of a sequence are equal.
    """
    return linear_correlations(
        np.stack([average_ranks(each, sequence) for each in values]), sequence
    )


def linear_correlations(values: Floats, sequence: Integers) -> Floats:
    """Pearson's correlations within each sequence, shape (methods, methods, sequences).

    NaN where all values of a sequence are equal.

    Parameters
    ----------
    values : ndarray, shape (methods, steps)
    sequence : ndarray of int, shape (steps,)
        The sequence of each, in ascending order; every sequence has steps.
    """
    starts = np.searchsorted(sequence, np.arange(sequence.max() + 1))
    lowest, highest = (each.reduceat(values, starts, axis=-1) for each in (np.minimum, np.maximum))
    # Halves, since a difference of large numbers may overflow; and relative to the range, lest the
    # products of small ones vanish. The mean of equal numbers need not be one of them.
    reach = highest / 2 - lowest / 2
    centred = values / 2 - lowest[:, sequence] / 2
    np.divide(centred, reach[:, sequence], out=centred, where=reach[:, sequence] > 0)
    centred -= (_totals(centred, sequence) / np.bincount(sequence))[:, sequence]
    products: Floats = _totals(centred[:, np.newaxis] * centred, sequence)
    own = np.sqrt(np.einsum("iis->is", products))
    scale = own[:, np.newaxis] * own
    there = reach > 0
    found = np.full_like(products, np.nan)
    np.divide(products, scale, out=found, where=there[:, np.newaxis] & there)
    return found


def average_ranks(values: Floats, sequence: Integers) -> Floats:
    """The rank of each value, equal ones having the mean of theirs, shape (steps,).

    Ranks of one sequence go on where those of the one before end, which correlation does not see.
    """
    order = np.lexsort((values, sequence))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (np.diff(values[order]) != 0) | (np.diff(sequence[order]) != 0)
    starts = np.flatnonzero(fresh)
    sizes = np.diff(np.append(starts, len(order)))
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(starts + (sizes - 1) / 2, sizes)
    return ranks


def _totals(values: Floats, sequence: Integers) -> Floats:
    """Sums over each sequence, along the last axis."""
    starts = np.searchsorted(sequence, np.arange(sequence.max() + 1))
    totals: Floats = np.add.reduceat(values, starts, axis=-1)
    return totals
