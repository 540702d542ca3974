"""Sequences as packed batches, with the padding that the model was trained on."""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.packing import Packing
from lstm_lrp_cli.model.arrays import Booleans, Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.text import Padding
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.sequences.tokens import SKIPPED


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sequences from longest to shortest, as the engine takes them.

    Parameters
    ----------
    sequences : tuple of Sequence
    packing : Packing
    inputs : ndarray, shape (rows,) or (rows, features)
    padding : ndarray of bool, shape (rows,), or None
        The rows that are padding, where there are any.
    positions : ndarray of int, shape (rows - padding,)
        Where each row that is not padding stands among all steps of all sequences, in order.
    """

    sequences: tuple[Sequence, ...]
    packing: Packing
    inputs: NDArray[Any]
    padding: Booleans | None
    positions: Integers

    def per_sequence(self, rows: Floats) -> list[Floats]:
        """Cut values of packed rows, shape (rows, ...), into one array a sequence.

        Padding is left out. Steps that the model's mask skips get 0.
        """
        flat = rows[self.packing.by_sequence]
        if self.padding is not None:
            flat = flat[~self.padding[self.packing.by_sequence]]
        lengths = [len(sequence) for sequence in self.sequences]
        steps = np.zeros((sum(lengths), *rows.shape[1:]), dtype=rows.dtype)
        steps[self.positions] = flat
        return np.split(steps, np.cumsum(lengths)[:-1])

    def kept(self) -> list[Booleans]:
        """Which steps of each sequence the model runs: those that its mask does not skip."""
        lengths = [len(sequence) for sequence in self.sequences]
        steps = np.zeros(sum(lengths), dtype=bool)
        steps[self.positions] = True
        return np.split(steps, np.cumsum(lengths)[:-1])

    def rows_of(self, steps: Integers) -> Integers:
        """The packed row of one step of each sequence, shape (batch,).

        It is -1 where the sequence has no such step, or the model's mask skips it.
        """
        lengths = np.array([len(sequence) for sequence in self.sequences], dtype=np.intp)
        flat = self.packing.by_sequence
        if self.padding is not None:
            flat = flat[~self.padding[flat]]
        rows = np.full(lengths.sum(), -1, dtype=np.intp)
        rows[self.positions] = flat
        there = (steps >= 0) & (steps < lengths)
        found = np.full(len(lengths), -1, dtype=np.intp)
        found[there] = rows[(np.cumsum(lengths) - lengths + steps)[there]]
        return found


def make_batch(sequences: Several[Sequence], model: Model) -> Batch:
    """Pack sequences, padded or masked as the model's mapping says."""
    prepared = [prepare(sequence.inputs, model.padding) for sequence in sequences]
    order = sorted(range(len(sequences)), key=lambda k: -len(prepared[k].inputs))
    packing = Packing(np.array([len(prepared[k].inputs) for k in order], dtype=np.intp))
    padding = np.concatenate([prepared[k].padding for k in order])
    kept = np.concatenate([prepared[k].kept for k in order])
    return Batch(
        tuple(sequences[k] for k in order),
        packing,
        packing.pack(np.concatenate([prepared[k].inputs for k in order])),
        packing.pack(padding) if padding.any() else None,
        np.flatnonzero(kept),
    )


def batches(sequences: Several[Sequence], model: Model, rows: int) -> Iterator[Batch]:
    """Group sequences of like length into batches of about so many rows, or one sequence."""
    ordered = sorted(sequences, key=lambda sequence: -_padded_length(sequence, model.padding))
    start = taken = 0
    for stop, sequence in enumerate(ordered):
        length = max(_padded_length(sequence, model.padding), 1)
        if taken and taken + length > rows:
            yield make_batch(ordered[start:stop], model)
            start, taken = stop, 0
        taken += length
    if start < len(ordered):
        yield make_batch(ordered[start:], model)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One sequence's steps for the engine, which of them are padding, and which steps were kept."""

    inputs: NDArray[Any]
    padding: Booleans
    kept: Booleans


def prepare(inputs: NDArray[Any], padding: Padding | None) -> Prepared:
    """Pad a sequence's steps, or leave out those that the model's mask skips."""
    kept = np.ones(len(inputs), dtype=bool) if inputs.ndim > 1 else inputs != SKIPPED
    if padding is None or not padding.masked:
        inputs = inputs[kept]
    run = np.ones(len(inputs), dtype=bool)
    if padding is None:
        return Prepared(inputs, ~run, kept)
    if padding.masked:
        if inputs.ndim == 1:
            kept &= inputs != padding.value
        else:
            # In float32, as frameworks do: the same number in float64 may not be equal.
            kept = (inputs.astype(np.float32) != np.float32(padding.value)).any(axis=1)
        return Prepared(inputs[kept], np.zeros(kept.sum(), dtype=bool), kept)
    missing = max(padding.length - len(inputs), 0)
    filling = np.full((missing, *inputs.shape[1:]), padding.value, dtype=inputs.dtype)
    parts = [(filling, np.ones(missing, dtype=bool)), (inputs, ~run)]
    ordered = parts if padding.side == "pre" else parts[::-1]
    return Prepared(
        np.concatenate([part for part, _ in ordered]),
        np.concatenate([flags for _, flags in ordered]),
        kept,
    )


def _padded_length(sequence: Sequence, padding: Padding | None) -> int:
    if padding is None or padding.masked:
        return len(sequence)
    return max(len(sequence), padding.length)
