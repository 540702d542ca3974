"""Sequences as packed batches, with the padding that the model was trained on."""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from functools import cached_property
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.model import Input, Model
from lstm_lrp_cli.model.text import Padding
from .sequence import Part, Sequence, each_input, pieces
from .tokens import SKIPPED


class Packed(Struct, frozen=True, eq=False, dict=True):
    """What one input is given of a batch's sequences, step by step.

    Real steps are those that the model is run on: neither masked nor left out by the tokenizer.

    Parameters
    ----------
    array : ndarray, shape (rows,) or (rows, features)
    packing : Packing
    given : ndarray of int, shape (batch,)
        The steps of each sequence as it was read.
    positions : ndarray of int, shape (rows - padding,)
        Where each row that is not padding stands among all steps of all sequences, in order.
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding, where there are any.
    """

    array: NDArray[Any]
    packing: Packing
    given: Integers
    positions: Integers
    padding: Booleans | None = None

    @classmethod
    def of_real(cls, array: NDArray[Any], packing: Packing) -> "Packed":
        """Steps of which all are real, such as those that a model makes of its input's."""
        return cls(array, packing, packing.lengths, np.arange(packing.rows))

    def per_sequence(self, rows: Floats) -> list[Floats]:
        """Cut values of packed rows, shape (rows, ...), into one array a sequence.

        Padding is left out. Steps that are not real have NaN: they have no value.
        """
        flat = rows[self.own_rows]
        if len(flat) < self.given.sum():
            steps = np.full((self.given.sum(), *rows.shape[1:]), np.nan, dtype=rows.dtype)
            steps[self.positions] = flat
            flat = steps
        return pieces(flat, self.given.tolist())

    def kept(self) -> list[Booleans]:
        """Which steps of each sequence are real."""
        steps = np.zeros(self.given.sum(), dtype=bool)
        steps[self.positions] = True
        return pieces(steps, self.given.tolist())

    @cached_property
    def own_sequence(self) -> Integers:
        """The sequence of each row that is not padding, in ascending order."""
        return self.packing.sequence[self.own_rows]

    @cached_property
    def real(self) -> Integers:
        """How many real steps each sequence has, shape (batch,)."""
        return np.bincount(self.own_sequence, minlength=self.packing.batch)

    def find(self, numbers: Integers) -> tuple[Integers, Integers]:
        """One real step of each sequence: its packed row, and its position as it was given.

        Both are of shape (batch,), and -1 where the sequence has no such step.

        Parameters
        ----------
        numbers : ndarray of int, shape (batch,)
            Which of the real steps, from 0.
        """
        rows, positions = np.full((2, len(numbers)), -1, dtype=np.intp)
        there = np.flatnonzero((numbers >= 0) & (numbers < self.real))
        places = (np.cumsum(self.real) - self.real + numbers)[there]
        rows[there] = self.own_rows[places]
        positions[there] = self.positions[places] - (np.cumsum(self.given) - self.given)[there]
        return rows, positions

    @cached_property
    def own_rows(self) -> Integers:
        """The packed rows that are not padding, in the order of sequences."""
        rows = self.packing.by_sequence
        return rows if self.padding is None else rows[~self.padding[rows]]


class Batch(Struct, frozen=True, eq=False, dict=True):
    """Sequences as the engine takes them: at every input, none is longer than the one before.

    Parameters
    ----------
    sequences : tuple of Sequence
    packed : tuple of Packed
        Of each input of the model.
    """

    sequences: tuple[Sequence, ...]
    packed: tuple[Packed, ...]

    @cached_property
    def real(self) -> Integers:
        """How many real steps each sequence has, of all inputs together, shape (batch,)."""
        first, *others = (each.real for each in self.packed)
        return sum(others, start=first)

    def steps_of(self, steps: Packing) -> Packed:
        """What is known of steps that a model has scores of: an input's, or of its own making."""
        for each in self.packed:
            if each.packing is steps:
                return each
        return Packed.of_real(np.empty(steps.rows), steps)


def make_batch(sequences: Several[Sequence], model: Model) -> Batch:
    """Pack sequences, padded or masked as the model's mapping says.

    Of a model with several inputs, their lengths must fit, as those of `batches` do.
    """
    prepared = [
        prepare([part.inputs for part in parts], read)
        for read, parts in each_input(sequences, model)
    ]
    if len(prepared) == 1 and np.any(np.diff(prepared[0].lengths) > 0):
        order = np.argsort(-prepared[0].lengths, kind="stable")
        return make_batch([sequences[k] for k in order], model)
    return Batch(tuple(sequences), tuple(map(_packed, prepared, model.inputs)))


def _packed(prepared: "Prepared", read: Input) -> Packed:
    packing, inputs = Packing(prepared.lengths), prepared.inputs
    if read.own_scaling is not None:
        inputs = read.own_scaling.of(inputs)
    return Packed(
        packing.pack(inputs),
        packing,
        prepared.given,
        np.flatnonzero(prepared.kept),
        packing.pack(prepared.padding) if prepared.padding.any() else None,
    )


def batches(sequences: Several[Sequence], model: Model, most: int, rows: int) -> Iterator[Batch]:
    """Group sequences of like length into batches, of at most so many sequences and rows.

    A sequence of more rows is a batch of its own. Of a model with several inputs, a batch has no
    sequence that is longer than the one before at any of them.
    """
    lengths = _lengths(sequences, model)
    first, *others = lengths
    # Sorted by the lengths of the others, and then of the first.
    order = np.lexsort([-each for each in (first, *others)])
    sizes = sum(others, start=first)[order]
    ends = np.cumsum(np.maximum(sizes, 1))
    longer = np.zeros(len(order), dtype=bool)
    if others:
        grown = [np.diff(each[order]) > 0 for each in lengths]
        longer[1:] = np.any(grown, axis=0)
    begins = np.append(np.flatnonzero(longer), len(order))
    start = taken = 0
    while start < len(order):
        within = int(np.searchsorted(ends, taken + rows, side="right"))
        apart = int(begins[np.searchsorted(begins, start, side="right")])
        stop = min(max(within, start + 1), start + most, apart)
        yield make_batch([sequences[place] for place in order[start:stop].tolist()], model)
        start, taken = stop, int(ends[stop - 1])


def _lengths(sequences: Several[Sequence], model: Model) -> list[Integers]:
    """The rows of each sequence, at each input.

    Of a model with one input at most so many, which is known without a look at the steps.
    """
    found = []
    for read, parts in each_input(sequences, model):
        if model.several_inputs:
            lengths = _real_lengths([part.inputs for part in parts], read)
        else:
            lengths = np.array([len(part.inputs) for part in parts], dtype=np.intp)
        found.append(np.maximum(lengths, 0 if read.padding is None else read.padding.fills))
    return found


class Prepared(Struct, frozen=True, eq=False):
    """The steps of some sequences for the engine, one sequence after another.

    Parameters
    ----------
    inputs : ndarray, shape (rows,) or (rows, features)
    given : ndarray of int, shape (sequences,)
        The steps of each sequence as it was given.
    lengths : ndarray of int, shape (sequences,)
        The rows of each sequence.
    padding : ndarray of bool, shape (rows,)
        The rows that are padding.
    kept : ndarray of bool, shape (steps,)
        The steps, of all that were given, that are among the rows.
    """

    inputs: NDArray[Any]
    given: Integers
    lengths: Integers
    padding: Booleans
    kept: Booleans


def prepare(sequences: Several[NDArray[Any]], read: Input) -> Prepared:
    """Scale, cut and pad sequences, or leave out those of their steps that the model's mask skips.

    Parameters
    ----------
    sequences : sequence of ndarray, shape (steps,) or (steps, features)
    read : Input
        What the model does to its input itself is not done here.
    """
    inputs, padding = _scaled(np.concatenate(sequences), read), read.padding
    given: Integers = np.array(list(map(len, sequences)), dtype=np.intp)
    lengths = given
    kept = _kept(inputs, given, padding)
    if not kept.all():
        inputs = inputs[kept]
        lengths = _kept_lengths(kept, given)
    if padding is None or not padding.fills:
        return Prepared(inputs, given, lengths, np.zeros(len(inputs), dtype=bool), kept)
    missing = np.maximum(padding.fills - lengths, 0)
    # Whether it is padding, and how long it is, of each stretch of rows.
    stretches = [(True, missing), (False, lengths)]
    ordered = stretches if padding.side == "pre" else stretches[::-1]
    filling = np.repeat(
        np.tile([flag for flag, _ in ordered], len(lengths)),
        np.stack([length for _, length in ordered], axis=1).ravel(),
    )
    filled = np.full((len(filling), *inputs.shape[1:]), padding.value, dtype=inputs.dtype)
    filled[~filling] = inputs
    return Prepared(filled, given, lengths + missing, filling, kept)


def real_lengths(sequences: Several[Sequence], model: Model) -> list[Integers]:
    """How many real steps each sequence has at each input, each of shape (sequences,)."""
    return [
        _real_lengths([part.inputs for part in parts], read)
        for read, parts in each_input(sequences, model)
    ]


def _real_lengths(inputs: list[NDArray[Any]], read: Input) -> Integers:
    lengths = np.array(list(map(len, inputs)), dtype=np.intp)
    if not read.skips or not len(inputs):
        return lengths
    steps = _scaled(np.concatenate(inputs), read)
    return _kept_lengths(_kept(steps, lengths, read.padding), lengths)


def real_steps(part: Part, read: Input) -> Booleans:
    """Which steps of one sequence are real at an input, shape (steps,)."""
    lengths = np.array([len(part.inputs)], dtype=np.intp)
    return _kept(_scaled(part.inputs, read), lengths, read.padding)


def masked_steps(sequences: Several[Sequence], model: Model) -> list[int]:
    """How many steps of all sequences the model's masks pass over, at each input."""
    return [_masked_steps(parts, read) for read, parts in each_input(sequences, model)]


def _masked_steps(parts: Several[Part], read: Input) -> int:
    padding = read.padding
    if padding is None or not padding.masked or not parts:
        return 0
    inputs = [part.inputs for part in parts]
    lengths = np.array(list(map(len, inputs)), dtype=np.intp)
    steps = _scaled(np.concatenate(inputs), read)
    return int((_uncut(steps, lengths, padding) & ~_unmasked(steps, padding)).sum())


def _scaled(inputs: NDArray[Any], read: Input) -> NDArray[Any]:
    """Steps as the model's padding and mask have them."""
    return inputs if read.scaling is None else read.scaling.of(inputs)


def cut_off(inputs: NDArray[Any], padding: Padding | None) -> Booleans:
    """The steps of one sequence that are cut off, since it is too long."""
    lengths = np.array([len(inputs)], dtype=np.intp)
    return _uncut(inputs, lengths, None) & ~_uncut(inputs, lengths, padding)


def _kept_lengths(kept: Booleans, given: Integers) -> Integers:
    """How many steps of each sequence are kept, of so many that were given."""
    ends = np.cumsum(given)
    until = np.concatenate([[0], np.cumsum(kept)])
    lengths: Integers = until[ends] - until[ends - given]
    return lengths


def _uncut(inputs: NDArray[Any], lengths: Integers, padding: Padding | None) -> Booleans:
    """The steps that the model is given: not skipped by the tokenizer, and not cut off."""
    kept: Booleans = inputs != SKIPPED if inputs.ndim == 1 else np.ones(len(inputs), dtype=bool)
    if padding is None or padding.truncate is None or lengths.max() <= padding.length:
        return kept
    uncut = _kept_lengths(kept, lengths)
    counts, ends = np.repeat(uncut, lengths), np.repeat(np.cumsum(uncut), lengths)
    # From 0, which of the steps of its sequence each is, of those that the tokenizer keeps.
    places = np.cumsum(kept) - 1 - (ends - counts)
    if padding.truncate == "post":
        return kept & (places < padding.length)
    return kept & (places >= counts - padding.length)


def _kept(inputs: NDArray[Any], lengths: Integers, padding: Padding | None) -> Booleans:
    """The steps that are run: those that the model is given and its mask does not skip."""
    kept = _uncut(inputs, lengths, padding)
    if padding is not None and padding.masked:
        kept &= _unmasked(inputs, padding)
    return kept


def _unmasked(inputs: NDArray[Any], padding: Padding) -> Booleans:
    """The steps that are not the value that a mask skips."""
    if inputs.ndim == 1:
        unmasked: Booleans = inputs != padding.value
    else:
        # In float32, as frameworks do: the same number in float64 may not be equal.
        unmasked = (inputs.astype(np.float32) != np.float32(padding.value)).any(axis=1)
    return unmasked
