"""Attention: sums of values over the steps of a sequence, weighted by how well keys fit queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.parts import NO_STEPS, Parted, PartedValue
from lstm_lrp_cli.engine.records import Record, Shares, Value, check_steps, packing_of
from lstm_lrp_cli.engine.rules import LrpRule, split_product
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Attention
from .attending import Block, Read


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRecord(Record):
    """Weights are gates of the values that they weigh; they are made anew where they are asked for.

    Parameters
    ----------
    read : Read
    steps : Packing or None
        The queries'; None where they are one vector a sequence.
    """

    read: Read
    outputs: Floats
    steps: Packing | None

    @classmethod
    def of(cls, layer: Attention, sources: Sequence[Value]) -> "AttentionRecord":
        """Attend from queries to values by their keys; a query that sees no step gets 0.

        Raises
        ------
        WrongSteps
            There are more keys or fewer than values.
        """
        queries, values, keys = sources
        packing, steps = packing_of(values), queries.packing
        if keys.packing is not packing:
            check_steps(packing_of(keys), packing.lengths, "attends by them to {} values")
        asking = steps or Packing.of_vectors(len(queries.array))
        if steps is None:  # one step sees all that there are
            layer = replace(layer, causal=False)
        read = Read(
            layer,
            queries.array[asking.by_sequence],
            values.array[packing.by_sequence],
            keys.array[packing.by_sequence],
            asking,
            packing,
        )
        outputs = np.zeros((asking.rows, values.array.shape[1]), dtype=values.array.dtype)
        for block in read.blocks(read.fit_depth):
            _, of_values, _ = read.apart(block)
            weights = read.fit(block).weights
            block.of_queries(outputs, layer.heads)[...] = weights @ of_values
        return cls(read, asking.pack(outputs), steps)

    def attention(self, sequence: int) -> Floats:
        """The weights in one sequence, shape (heads, queries, steps)."""
        from lstm_lrp_cli.engine.stretches.room import check_room

        read, own = self.read, []
        alone = self._alone(sequence)
        pairs = alone.asking.rows, alone.packing.rows
        check_room("the weights of attention", read.layer.heads, *pairs, self.outputs.itemsize)
        for block in alone.blocks(read.fit_depth):
            own.append(alone.fit(block).weights[0])
        if not own:
            shape = (read.layer.heads, alone.asking.rows, alone.packing.rows)
            return np.zeros(shape, dtype=self.outputs.dtype)
        return np.concatenate(own, axis=1)

    def _alone(self, sequence: int) -> Read:
        """What one sequence reads."""
        read = self.read
        asking, steps = (
            slice(int(lengths[:sequence].sum()), int(lengths[: sequence + 1].sum()))
            for lengths in (read.asking.lengths, read.packing.lengths)
        )
        return Read(
            read.layer,
            read.queries[asking],
            read.values[steps],
            read.keys[steps],
            Packing(read.asking.lengths[sequence : sequence + 1]),
            Packing(read.packing.lengths[sequence : sequence + 1]),
        )

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        passing = _Relevance(self, relevance, rule)
        for block in self.read.blocks(passing.depth):
            passing.take(block)
        return passing.arrived()

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        read, heads = self.read, self.read.layer.heads
        given = gradient[read.asking.by_sequence]
        down = Read(*_empty_like(read))
        for block in read.blocks(read.fit_depth):
            _, values, _ = read.apart(block)
            weights = read.fit(block).weights
            of_outputs = block.of_queries(given, heads)
            of_queries, of_values, of_keys = down.apart(block)
            of_values += weights.swapaxes(2, 3) @ of_outputs
            of_weights = of_outputs @ values.swapaxes(2, 3)
            weighted = weights * of_weights
            of_fits = weighted - weights * weighted.sum(axis=3, keepdims=True)
            for_queries, for_keys = self._fit_gradient(block, of_fits)
            of_queries += for_queries
            of_keys += for_keys
        return _packed(down)

    def _fit_gradient(self, block: Block, of_fits: Floats) -> tuple[Floats, Floats]:
        """The gradient by queries and keys, given that by the fits."""
        read = self.read
        if read.layer.kind == "dot":
            queries, _, keys = read.apart(block)
            scaled = of_fits * of_fits.dtype.type(read.layer.scale)
            return scaled @ keys, scaled.swapaxes(2, 3) @ queries
        slopes = (1.0 - np.square(np.tanh(read.sums(block)))) * read.factors
        of_sums = of_fits[..., np.newaxis] * slopes
        return of_sums.sum(axis=3), of_sums.sum(axis=2)

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        """The weights are those of the whole values; the values' parts go through one by one."""
        queries, values, _ = sources
        asking = Packing.of_vectors(len(copies.sequences))
        if self.steps is not None:
            asking = copies.of(self.steps).packing
        packing, heads = copies.of(self.read.packing).packing, self.read.layer.heads
        borders = np.flatnonzero(np.diff(copies.sequences)) + 1
        runs = [
            (run[0], len(run))
            for run in np.split(np.arange(len(copies.sequences)), borders)
            if len(run)
        ]

        def attended(part: Floats) -> Floats:
            ordered = part[packing.by_sequence]
            outputs = np.zeros((asking.rows, part.shape[1]), dtype=part.dtype)
            query = step = 0
            for first, count in runs:  # copies of one sequence
                lengths = int(asking.lengths[first]), int(packing.lengths[first])
                block = Block(first, count, query, step, *lengths, 0, lengths[0])
                weights = self.attention(copies.sequences[first])
                weighed = weights @ block.of_steps(ordered, heads)
                block.of_queries(outputs, heads)[...] = weighed
                query, step = query + count * lengths[0], step + count * lengths[1]
            return asking.pack(outputs)

        parts = values.parts.each(attended)
        if self.steps is None:
            return PartedValue(parts, None, NO_STEPS)
        return PartedValue(parts, asking, queries.relevant_steps)


def _empty_like(read: Read) -> tuple[Attention, Floats, Floats, Floats, Packing, Packing]:
    """What queries, values and keys get: nothing yet."""
    queries, values, keys = map(np.zeros_like, (read.queries, read.values, read.keys))
    return read.layer, queries, values, keys, read.asking, read.packing


def _packed(down: Read) -> list[Floats]:
    """What queries, values and keys get, as they are packed."""
    return [
        down.asking.pack(down.queries),
        down.packing.pack(down.values),
        down.packing.pack(down.keys),
    ]


class _Relevance:
    """Relevance on its way from the outputs of attention to what it read.

    Parameters
    ----------
    record : AttentionRecord
    relevance : ndarray, of the shape of the record's outputs
    rule : LrpRule
    """

    def __init__(self, record: AttentionRecord, relevance: Floats, rule: LrpRule) -> None:
        read = self._read = record.read
        self._rule, self._down = rule, Read(*_empty_like(read))
        self._given = relevance[read.asking.by_sequence]
        self._outputs = record.outputs[read.asking.by_sequence]
        self._stabilizers = np.zeros((2, read.packing.batch))
        lost = read.asking.total(relevance.sum(axis=1, dtype=np.float64))
        lost[read.packing.lengths > 0] = 0.0  # all others have queries that see a step
        self._unseen = lost

    @property
    def depth(self) -> int:
        """How many numbers are computed of each pair of a query and a step."""
        depth = self._read.fit_depth
        return max(depth, self._read.value_units) if self._rule.gives_to_gates else depth

    def arrived(self) -> tuple[Sequence[Floats | None], Shares]:
        """What the sources get, and what they don't."""
        down: list[Floats | None] = [*_packed(self._down)]
        if not self._rule.gives_to_gates:
            down[0] = down[2] = None
        return down, Shares(self._unseen, np.zeros(len(self._unseen)), self._stabilizers)

    def take(self, block: Block) -> None:
        """Pass on the relevance of a block's outputs."""
        read, rule, heads = self._read, self._rule, self._read.layer.heads
        fit, seen = read.fit(block), read.seen(block)
        given, outputs = (
            np.ascontiguousarray(block.of_queries(each, heads))
            for each in (self._given, self._outputs)
        )
        messages, absorbed = rule.unit_messages(given, outputs)
        self._absorb(block, absorbed)
        lower = seen.sum(axis=1)[:, np.newaxis] * read.value_units
        share = rule.shared(absorbed.sum(axis=3, keepdims=True), lower).astype(given.dtype)
        of_fits = self._to_values(block, fit.weights, messages, share * seen)
        if of_fits is not None:
            self._to_fits(block, fit.fits, of_fits)

    def _to_values(
        self, block: Block, weights: Floats, messages: Floats, share: Floats
    ) -> Floats | None:
        """Split that of products of weights and values; returned is what the weights get.

        Parameters
        ----------
        share : ndarray, shape (sequences, heads, queries, steps)
            What each product gets of stabilizers.
        """
        _, values, _ = self._read.apart(block)
        _, of_values, _ = self._down.apart(block)
        if not self._rule.gives_to_gates:
            of_values += values * (weights.swapaxes(2, 3) @ messages)
            of_values += share.sum(axis=2)[..., np.newaxis]
            return None
        gates = weights[..., np.newaxis]
        signals = np.broadcast_to(values[:, :, np.newaxis], (*weights.shape, values.shape[3]))
        products = gates * signals * messages[:, :, :, np.newaxis] + share[..., np.newaxis]
        # A row for each pair.
        flat = products.reshape(-1, values.shape[3])
        split = split_product(gates.reshape(-1, 1), signals.reshape(flat.shape), flat, self._rule)
        of_values += split.signal.reshape(products.shape).sum(axis=2)
        if split.stabilizers is not None:
            absorbed = split.stabilizers.reshape(2, block.sequences, -1).sum(axis=2)
            self._stabilizers[:, block.first : block.first + block.sequences] += absorbed
        assert split.gate is not None
        of_weights: Floats = split.gate.reshape(products.shape).sum(axis=4)
        return of_weights

    def _to_fits(self, block: Block, fits: Floats, relevance: Floats) -> None:
        """Pass on that of the fits, which is their weights', to queries and keys."""
        read, rule = self._read, self._rule
        queries, _, keys = read.apart(block)
        of_queries, _, of_keys = self._down.apart(block)
        messages, absorbed = rule.unit_messages(relevance, fits)
        self._absorb(block, absorbed)
        share = rule.shared(absorbed, read.units).astype(fits.dtype)
        if read.layer.kind == "dot":  # each term is a product without a gate: half to each
            messages = messages * fits.dtype.type(read.layer.scale)
            of_queries += 0.5 * queries * (messages @ keys)
            of_queries += 0.5 * share.sum(axis=3)[..., np.newaxis]
            of_keys += 0.5 * keys * (messages.swapaxes(2, 3) @ queries)
            of_keys += 0.5 * share.sum(axis=2)[..., np.newaxis]
            return
        sums = read.sums(block)
        terms = np.tanh(sums) * read.factors * messages[..., np.newaxis] + share[..., np.newaxis]
        messages, absorbed = rule.unit_messages(terms, sums)
        self._absorb(block, absorbed)
        handed_on = rule.shared(absorbed.sum(axis=4), 2 * read.units).astype(fits.dtype)
        of_queries += queries * messages.sum(axis=3) + handed_on.sum(axis=3)[..., np.newaxis]
        of_keys += keys * messages.sum(axis=2) + handed_on.sum(axis=2)[..., np.newaxis]

    def _absorb(self, block: Block, absorbed: Floats) -> None:
        """Add what stabilizers keep of a block, by its first axis the sequences'."""
        kept = self._rule.kept(absorbed.reshape(block.sequences, -1))
        self._stabilizers[:, block.first : block.first + block.sequences] += kept
