"""What attention reads, some queries of some sequences at a time, and how well keys fit queries."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.model import Booleans, Floats
from lstm_lrp_cli.model.layers import Attention

# What is computed of pairs of a query and a step takes about so much memory at a time.
BLOCK_BYTES = 2**22


class Block(Struct, frozen=True):
    """Some queries of sequences that all have as many queries, and as many steps.

    Parameters
    ----------
    first, sequences : int
        The first of the sequences, and their number.
    query, step : int
        The first row of the first sequence, where sequences stand one after the other.
    queries, steps : int
        How many each sequence has.
    begin, end : int
        Which of a sequence's queries, from one up to another.
    """

    first: int
    sequences: int
    query: int
    step: int
    queries: int
    steps: int
    begin: int
    end: int

    def of_queries(self, rows: Floats, heads: int) -> Floats:
        """The part that is the block's of all queries' rows, (sequences, heads, queries, units)."""
        own = rows[self.query : self.query + self.sequences * self.queries]
        by_head = own.reshape(self.sequences, self.queries, heads, rows.shape[1] // heads)
        return by_head[:, self.begin : self.end].transpose(0, 2, 1, 3)

    def of_steps(self, rows: Floats, heads: int) -> Floats:
        """The part that is the block's of all steps' rows, (sequences, heads, steps, units)."""
        own = rows[self.step : self.step + self.sequences * self.steps]
        by_head = own.reshape(self.sequences, self.steps, heads, rows.shape[1] // heads)
        return by_head.transpose(0, 2, 1, 3)


class Fit(NamedTuple):
    """How well the keys of a block fit its queries.

    Parameters
    ----------
    fits : ndarray, shape (sequences, heads, queries, steps)
    weights : ndarray, shape (sequences, heads, queries, steps)
        Their softmax over the steps that each query sees, and 0 at others.
    """

    fits: Floats
    weights: Floats


class Read(Struct, frozen=True, eq=False):
    """What attention is given, sequence after sequence: sequences of one length lie side by side.

    Parameters
    ----------
    queries : ndarray, shape (queries, units)
    values, keys : ndarray, shape (rows, units)
    asking : Packing
        The queries' steps; one vector a sequence is one step.
    packing : Packing
        The steps of values and keys.
    """

    layer: Attention
    queries: Floats
    values: Floats
    keys: Floats
    asking: Packing
    packing: Packing

    def blocks(self, depth: int = 1) -> Iterator[Block]:
        """All queries of all sequences that have steps, a bounded number of pairs at a time.

        Parameters
        ----------
        depth : int
            How many numbers are computed of each pair of a query and a step in each head.
        """
        pairs = np.stack([self.asking.lengths, self.packing.lengths], axis=1)
        borders = np.flatnonzero(np.any(pairs[1:] != pairs[:-1], axis=1)) + 1
        starts = [0, *borders.tolist()] if len(pairs) else []
        query = step = 0
        for first, stop in zip(starts, [*starts[1:], len(pairs)], strict=True):
            queries, steps = pairs[first].tolist()
            if queries and steps:
                whole = Block(first, stop - first, query, step, queries, steps, 0, queries)
                yield from self._cut(whole, depth)
            query += (stop - first) * queries
            step += (stop - first) * steps

    def _cut(self, whole: Block, depth: int) -> Iterator[Block]:
        of_query = self.layer.heads * whole.steps * depth * self.queries.itemsize
        most = max(BLOCK_BYTES // of_query, 1)
        together, at_once = max(most // whole.queries, 1), min(most, whole.queries)
        for k in range(0, whole.sequences, together):
            some = replace(
                whole,
                first=whole.first + k,
                sequences=min(together, whole.sequences - k),
                query=whole.query + k * whole.queries,
                step=whole.step + k * whole.steps,
            )
            for begin in range(0, whole.queries, at_once):
                yield replace(some, begin=begin, end=min(begin + at_once, whole.queries))

    @property
    def units(self) -> int:
        """Of queries and keys, in each head."""
        return int(self.queries.shape[1]) // self.layer.heads

    @property
    def value_units(self) -> int:
        """Of values, in each head."""
        return int(self.values.shape[1]) // self.layer.heads

    @property
    def fit_depth(self) -> int:
        """How many numbers a fit is computed of, of each pair of a query and a step."""
        return 1 if self.layer.kind == "dot" else self.units

    @property
    def factors(self) -> Floats:
        """Of additive attention, shape (heads, 1, 1, units)."""
        factors = self.layer.factors
        if factors is None:
            factors = np.ones(self.queries.shape[1], dtype=self.queries.dtype)
        return factors.reshape(self.layer.heads, 1, 1, -1)

    def apart(self, block: Block) -> tuple[Floats, Floats, Floats]:
        """The queries, values and keys of a block."""
        heads = self.layer.heads
        return (
            block.of_queries(self.queries, heads),
            block.of_steps(self.values, heads),
            block.of_steps(self.keys, heads),
        )

    def sums(self, block: Block) -> Floats:
        """q + k of each pair, shape (sequences, heads, queries, steps, units)."""
        queries, _, keys = self.apart(block)
        return queries[:, :, :, np.newaxis] + keys[:, :, np.newaxis]

    def fit(self, block: Block) -> Fit:
        """How well the keys of a block fit its queries."""
        queries, _, keys = self.apart(block)
        if self.layer.kind == "dot":
            fits = queries @ keys.swapaxes(2, 3)
            fits *= fits.dtype.type(self.layer.scale)
        else:
            fits = np.sum(np.tanh(self.sums(block)) * self.factors, axis=4)
        seen = fits
        if self.layer.causal:
            seen = np.where(self.seen(block), fits, fits.dtype.type(-np.inf))
        weights = np.exp(seen - seen.max(axis=3, keepdims=True))
        weights /= weights.sum(axis=3, keepdims=True)
        return Fit(fits, weights)

    def seen(self, block: Block) -> Booleans:
        """Which steps each query of a block may see, shape (queries, steps)."""
        if not self.layer.causal:
            return np.ones((block.end - block.begin, block.steps), dtype=bool)
        seen: Booleans = np.arange(block.begin, block.end)[:, np.newaxis] >= np.arange(block.steps)
        return seen
