"""What a report says of the sequences that were read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Several
from itertools import zip_longest
from typing import Any

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.explaining.explanation import unknown_places
from lstm_lrp_cli.inputs.batching import cut_off, masked_steps, real_lengths
from lstm_lrp_cli.inputs.sequence import Part, Sequence, each_input
from lstm_lrp_cli.model import Integers
from lstm_lrp_cli.model.model import Input, Model
from .numbers import counted

SHOWN_EMPTY = 5
COUNTED_TOGETHER = 256


class PartFigures(Struct):
    """What a report counts of what one input was given.

    Parameters
    ----------
    steps, masked, unknown : int
        The steps of all sequences that the model is run on, those that its mask passes over, and
        unknown tokens, but for those that are cut off.
    padded, cut, overlong : int
        Sequences that were filled up, that were cut, and that were run whole though they are longer
        than the padding that the model was trained on.
    """

    steps: int = 0
    masked: int = 0
    unknown: int = 0
    padded: int = 0
    cut: int = 0
    overlong: int = 0

    @classmethod
    def of(cls, read: Input, parts: Several[Part], lengths: Integers, masked: int) -> PartFigures:
        """Count what is given of several sequences, which have so many real steps."""
        found = cls(int(lengths.sum()), masked, sum([part.unknown for part in parts]))
        padding = read.padding
        if padding is not None and padding.length:
            given = np.array([len(part.inputs) for part in parts], dtype=np.intp)
            if read.leaves_out:
                given -= [part.unknown for part in parts]
            found.padded = int((given < padding.fills).sum())
            longer = int((given > padding.length).sum())
            found.cut, found.overlong = (0, longer) if padding.truncate is None else (longer, 0)
            if found.cut and found.unknown and not read.leaves_out:
                found.unknown -= sum(_cut_unknown(part, read) for part in parts if part.unknown)
        return found

    def __add__(self, later: PartFigures) -> PartFigures:
        return PartFigures(
            self.steps + later.steps,
            self.masked + later.masked,
            self.unknown + later.unknown,
            self.padded + later.padded,
            self.cut + later.cut,
            self.overlong + later.overlong,
        )

    def text(self, read: Input) -> str:
        """How much was read."""
        aside = []
        if read.vocabulary:
            unknown = "more unknown and left out" if read.leaves_out else "unknown"
            aside.append(f"{self.unknown:,} {unknown}")
        if self.masked:
            aside.append(f"{self.masked:,} more masked")
        unit = "token" if read.embedding is not None else "step" if read.steps else "vector"
        text = counted(self.steps, unit)
        return f"{text} ({', '.join(aside)})" if aside else text

    def as_object(self) -> dict[str, int]:
        """The counts as JSON has them."""
        return {
            "tokens": self.steps,
            "masked_tokens": self.masked,
            "unknown_tokens": self.unknown,
            "padded_sequences": self.padded,
            "cut_sequences": self.cut,
        }


def _cut_unknown(part: Part, read: Input) -> int:
    """How many unknown tokens of a sequence that is too long are cut off."""
    return int(cut_off(part.inputs, read.padding)[unknown_places(part, read)].sum())


class InputFigures(Struct):
    """What a report counts of sequences. Those of one block after another are merged.

    Parameters
    ----------
    sequences, empty : int
        Sequences, and those that the model is run on no step of.
    first_empty : list of int or str
        The numbers of the first empty sequences; of several files, with the file of each.
    of_inputs : list of PartFigures
        One for each input; none before something was counted.
    """

    sequences: int = 0
    empty: int = 0
    first_empty: list[int | str] = field(default_factory=list)
    of_inputs: list[PartFigures] = field(default_factory=list)

    @property
    def together(self) -> PartFigures:
        """Those of all inputs."""
        return sum(self.of_inputs, start=PartFigures())

    def add_input(self, later: InputFigures) -> None:
        """Add the figures of sequences that come after these."""
        self.sequences += later.sequences
        self.empty += later.empty
        self.first_empty = [*self.first_empty, *later.first_empty][:SHOWN_EMPTY]
        pairs = zip_longest(self.of_inputs, later.of_inputs, fillvalue=PartFigures())
        self.of_inputs = [one + other for one, other in pairs]

    def count_input(self, sequences: Several[Sequence], model: Model) -> None:
        """Count the sequences of one block, before which there were none."""
        lengths = real_lengths(sequences, model)
        self.sequences = len(sequences)
        masked = masked_steps(sequences, model)
        self.of_inputs = [
            PartFigures.of(read, parts, lengths[k], masked[k])
            for k, (read, parts) in enumerate(each_input(sequences, model))
        ]
        # A vector is always there.
        of_steps = [
            own for read, own in zip(model.inputs, lengths, strict=True) if read.steps
        ] or lengths
        nothing = np.sum(of_steps, axis=0) == 0
        empty = [sequences[k].number for k in np.flatnonzero(nothing).tolist()]
        self.empty = len(empty)
        self.first_empty = [*empty[:SHOWN_EMPTY]]

    def watch(self, sequences: Iterable[Sequence], model: Model) -> Iterator[Sequence]:
        """Count sequences as they are read, some at a time; all of them, once there are no more."""
        some: list[Sequence] = []
        try:
            for sequence in sequences:
                some.append(sequence)
                yield sequence
                if len(some) == COUNTED_TOGETHER:
                    self._count_some(some, model)
                    some = []
        finally:
            self._count_some(some, model)

    def _count_some(self, sequences: Several[Sequence], model: Model) -> None:
        if sequences:
            counted_now = InputFigures()
            counted_now.count_input(sequences, model)
            self.add_input(counted_now)

    def input_text(self, name: str, model: Model) -> str:
        """How much was read, from an input of that name."""
        whole = f"{name}: {counted(self.sequences, 'sequence')}"
        return ", ".join([whole, *self._each(model, lambda found, read: found.text(read))])

    def input_object(self, model: Model) -> dict[str, Any]:
        """The counts as JSON has them; of several inputs, those of each as well."""
        found = self.together.as_object()
        counts: dict[str, Any] = {
            "sequences": self.sequences,
            "tokens": found["tokens"],
            "masked_tokens": found["masked_tokens"],
            "unknown_tokens": found["unknown_tokens"],
            "empty_sequences": self.empty,
            "padded_sequences": found["padded_sequences"],
            "cut_sequences": found["cut_sequences"],
        }
        if model.several_inputs:
            each = self.of_inputs or [PartFigures()] * len(model.inputs)
            objects = (own.as_object() for own in each)
            counts["inputs"] = dict(zip(model.input_names, objects, strict=True))
        return counts

    def padded_text(self, model: Model) -> str | None:
        """How many sequences were filled up; None where none was."""

        def filled(found: PartFigures, read: Input) -> str | None:
            if not found.padded or read.padding is None:
                return None
            text = counted(found.padded, "sequence")
            return f"{text}, {read.padding.side}, to {read.padding.length} steps"

        return "; ".join(self._each(model, filled)) or None

    def cut_text(self, model: Model) -> str | None:
        """How many sequences were cut; None where none was."""

        def cut(found: PartFigures, read: Input) -> str | None:
            if not found.cut or read.padding is None:
                return None
            side = "beginning" if read.padding.truncate == "pre" else "end"
            text = counted(found.cut, "sequence")
            return f"{text}, at the {side}, to {read.padding.length} steps"

        return "; ".join(self._each(model, cut)) or None

    def _each(
        self, model: Model, tell: Callable[[PartFigures, Input], str | None]
    ) -> Iterator[str]:
        """What is told of each input, behind its name where there are several."""
        of_inputs = self.of_inputs or [PartFigures()] * len(model.inputs)
        for name, read, found in zip(model.input_names, model.inputs, of_inputs, strict=True):
            text = tell(found, read)
            if text is not None:
                yield f"{name}: {text}" if model.several_inputs else text

    def input_warnings(self, model: Model, of_empty: str) -> Iterator[str]:
        """What the user should know of the input.

        Parameters
        ----------
        of_empty : str
            What became of empty sequences.
        """
        if self.empty:
            vectors = [
                name
                for name, read in zip(model.input_names, model.inputs, strict=True)
                if not read.steps
            ]
            if vectors:
                of_empty = f"run with nothing but {', '.join(vectors)}"
            more = ", ..." if self.empty > SHOWN_EMPTY else ""
            which = ", ".join(map(str, self.first_empty)) + more
            yield f"{counted(self.empty, 'empty sequence')} (counted from 0: {which}): {of_empty}"
        yield from self._each(model, _overlong)
        yield from self._each(model, _guessed_side)


def _overlong(found: PartFigures, read: Input) -> str | None:
    """A warning about sequences that are longer than those of the training."""
    padding = read.padding
    if padding is None or not found.overlong or "truncate" in padding.told:
        return None
    return (
        f"{found.overlong:,} of the sequences exceed the {padding.length} steps that the "
        "model was trained on; they were run whole. If training cut them, say where: "
        f"{_said_of(read, 'padding: {truncate: pre}')}, their beginning, or post, their end"
    )


def _guessed_side(found: PartFigures, read: Input) -> str | None:
    """A warning about a side that is taken for granted."""
    padding = read.padding
    if padding is None or not found.padded or "side" in padding.told:
        return None
    return (
        f"{counted(found.padded, 'sequence')} shorter than {padding.length} steps: filled "
        "up in front, though nothing says the side; say "
        f"{_said_of(read, 'padding: {side: pre}')}, or post"
    )


def _said_of(read: Input, key: str) -> str:
    """A key as a mapping has it: that of one of several inputs stands in `inputs`."""
    return key if read.name is None else f"inputs: [{{name: {read.name}, {key}}}]"
