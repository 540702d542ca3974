"""What is changed as one, and what is put in its place: steps, features, and baselines."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.arrays import Copies
from lstm_lrp_cli.engine.forward import Given, Trace
from lstm_lrp_cli.engine.perturbation import run_replaced
from lstm_lrp_cli.engine.records import Reach, check_steps
from lstm_lrp_cli.model import Booleans, Floats, Integers
from .settings import InputGroups

ALONE = InputGroups()


def baseline_rows(sample: Floats | None, given: Given) -> Floats:
    """What a baseline has for the rows of an input: (1, features) for all, or (rows, features).

    Parameters
    ----------
    sample : ndarray, shape (1, features) or (steps, features), or None
        None is zero.

    Raises
    ------
    WrongSteps
        A sequence has another number of steps than the sample.
    """
    if sample is None:
        return np.zeros((1, given.features))
    if len(sample) == 1:
        return sample
    _check_length(given, len(sample), "has a baseline of {}")
    return sample[given.packing.step]


def _check_length(given: Given, steps: int, does: str) -> None:
    """Refuse sequences of another number of steps, but for those without any."""
    check_steps(given.packing, np.where(given.packing.lengths > 0, steps, 0), does)


def own_steps(given: Given) -> tuple[Integers, Integers, Integers]:
    """The rows of an input that are not padding, sequence after sequence.

    Returns
    -------
    rows : ndarray of int, shape (own,)
    steps : ndarray of int, shape (own,)
        Which of its sequence's own steps each is, from 0.
    lengths : ndarray of int, shape (own,)
        How many its sequence has.
    """
    packing = given.packing
    rows = packing.by_sequence
    if given.padding is not None:
        rows = rows[~given.padding[rows]]
    sequence = packing.sequence[rows]
    lengths = np.bincount(sequence, minlength=packing.batch)
    steps = np.arange(len(rows)) - (np.cumsum(lengths) - lengths)[sequence]
    return rows, steps, lengths[sequence]


def in_span(span: slice, steps: Integers, lengths: Integers) -> Booleans:
    """Which steps are of a span, as Python has it: from 0, from -1 backwards, cut to what there is.

    Parameters
    ----------
    steps, lengths : ndarray of int, shape (steps,)
        As `own_steps` gives them.
    """

    def bound(number: int | None, none: Integers) -> Integers:
        if number is None:
            return none
        return np.full_like(lengths, number) if number >= 0 else lengths + number

    start, stop = bound(span.start, np.zeros_like(lengths)), bound(span.stop, lengths)
    within: Booleans = (steps >= start) & (steps < stop)
    return within


def _units(groups: InputGroups, given: Given, explained: Integers) -> tuple[Integers, Integers]:
    """Some rows of an input, and which of them are one.

    Returns
    -------
    rows : ndarray of int, shape (explained,)
        Those that are one stand together.
    units : ndarray of int, shape (explained,)
        The number of each, from 0 on.
    """
    features = groups.features
    whole = features is not None and len(features) > 1
    if not (groups.spans or groups.every or groups.begins is not None or whole):
        return explained, np.arange(len(explained))
    rows, steps, lengths = own_steps(given)
    there = np.zeros(given.packing.rows, dtype=bool)
    there[explained] = True
    kept = there[rows]  # whole sequences are left out, so that steps are still in order
    rows, steps, lengths = rows[kept], steps[kept], lengths[kept]
    if groups.begins is not None and groups.ends is not None:
        if given.tokens is None:
            raise ValueError("words are told by the ids of tokens")
        ids = given.tokens[rows]
        begins = groups.begins[ids] | (steps == 0)
        begins[1:] |= groups.ends[ids[:-1]]
        return rows, np.cumsum(begins) - 1
    if whole:
        key = np.zeros_like(steps)
    elif groups.every:
        key = steps // groups.every
    else:
        key = steps + len(groups.spans)
        for number, span in reversed(list(enumerate(groups.spans))):
            key[in_span(span, steps, lengths)] = number
    order = np.lexsort((key, given.packing.sequence[rows]))
    rows, key = rows[order], key[order]
    begins = np.ones(len(rows), dtype=bool)
    sequence = given.packing.sequence[rows]
    begins[1:] = (key[1:] != key[:-1]) | (sequence[1:] != sequence[:-1])
    return rows, np.cumsum(begins) - 1


class Places(Struct, frozen=True, eq=False):
    """What of an input is changed as one, each in a copy of its own: steps, or features of steps.

    Change number u * `parts` + g is of unit u of steps, and of group g of their features.

    Parameters
    ----------
    number : int
        Of the input.
    given : Given
    rows, units : ndarray of int, shape (explained,)
        The rows that are changed, those of a unit together, and the unit of each.
    features : ndarray of int, shape (1 or steps, features), or None
        The group of each feature; None of whole steps.
    parts : int
        How many groups of features there are.
    """

    number: int
    given: Given
    rows: Integers
    units: Integers
    features: Integers | None
    parts: int

    @classmethod
    def of(
        cls, number: int, given: Given, explained: Integers, groups: InputGroups, reach: Reach
    ) -> Places:
        """The places of some rows of an input.

        Parameters
        ----------
        reach : {"features", "steps"}
            Whether features that are in no group are each changed alone, or whole steps.

        Raises
        ------
        WrongSteps
            A sequence has another number of steps than there are groups for.
        """
        features = groups.features
        if features is None and reach == "features":
            features = np.arange(given.features)[np.newaxis]
        elif features is not None and len(features) > 1:
            _check_length(given, len(features), "has groups for {}")
        rows, units = _units(groups, given, explained)
        parts = 1 if features is None else int(features.max()) + 1
        return cls(number, given, rows, units, features, parts)

    @property
    def sequences(self) -> Integers:
        """The sequence that each change is of."""
        starts = np.flatnonzero(np.diff(self.units, prepend=-1))
        return np.repeat(self.given.packing.sequence[self.rows[starts]], self.parts)

    def run(self, trace: Trace, some: Copies, filling: Floats, embedded: Floats | None) -> Trace:
        """Run copies with their changes, whose numbers are those of the changes.

        Parameters
        ----------
        filling : ndarray, shape (1 or rows, features)
            What is put in places.
        embedded : ndarray, shape (rows, features), or None
            What the input has; None of whole steps.
        """
        unit, part = np.divmod(some.numbers, self.parts)
        counts = np.bincount(self.units)
        of = np.repeat(np.arange(len(unit)), counts[unit])
        starts = (np.cumsum(counts) - counts)[unit]
        before = np.cumsum(counts[unit]) - counts[unit]
        rows = self.rows[np.arange(len(of)) + (starts - before)[of]]
        given = self.given
        places = some.of(given.packing).packing.offsets[given.packing.step[rows]] + of
        values = filling if len(filling) == 1 else filling[rows]
        if embedded is not None and self.features is not None:
            changed = self._features(rows) == part[of][:, np.newaxis]
            values = np.where(changed, values, embedded[rows])
        values = values.astype(trace.model.dtype)
        return run_replaced(trace, some, {self.number: (places, values)})

    def spread(self, lost: Floats) -> Floats:
        """What each change has, shape (changes,), shared evenly among all that it is of.

        Returns
        -------
        ndarray, shape (rows,) of steps, or (rows, features)
        """
        packing, of_units = self.given.packing, lost.reshape(-1, self.parts)
        if self.features is None:
            relevance = np.zeros(packing.rows)
            relevance[self.rows] = (of_units[:, 0] / np.bincount(self.units))[self.units]
            return relevance
        relevance = np.zeros((packing.rows, self.given.features))
        features, units = self._features(self.rows), self.units[:, np.newaxis]
        sizes = np.bincount((units * self.parts + features).ravel(), minlength=lost.size)
        shares = of_units / np.maximum(sizes.reshape(of_units.shape), 1)
        relevance[self.rows] = shares[units, features]
        return relevance

    def _features(self, rows: Integers) -> Integers:
        """The group of each feature of some rows, shape (1 or rows, features)."""
        features = self.features
        assert features is not None
        return features if len(features) == 1 else features[self.given.packing.step[rows]]
