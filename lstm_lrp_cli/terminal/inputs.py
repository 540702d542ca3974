"""What a report says of the sequences that were read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass, field

import numpy as np

from lstm_lrp_cli.inputs.batching import masked_steps, real_lengths
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.model import Model
from .numbers import counted

SHOWN_EMPTY = 5


@dataclass(slots=True)
class InputFigures:
    """What a report counts of sequences. Those of one block after another are merged.

    Parameters
    ----------
    sequences, steps, masked, unknown, empty : int
        Sequences, the steps of all that the model is run on, those that its mask passes over,
        unknown tokens, and sequences that the model is run on no step of.
    first_empty : list of int
        The numbers of the first empty sequences.
    padded, cut, overlong : int
        Sequences that were filled up, that were cut, and that were run whole though they are longer
        than the padding that the model was trained on.
    """

    sequences: int = 0
    steps: int = 0
    masked: int = 0
    unknown: int = 0
    empty: int = 0
    first_empty: list[int] = field(default_factory=list)
    padded: int = 0
    cut: int = 0
    overlong: int = 0

    def add_input(self, later: InputFigures) -> None:
        """Add the figures of sequences that come after these."""
        self.sequences += later.sequences
        self.steps += later.steps
        self.masked += later.masked
        self.unknown += later.unknown
        self.empty += later.empty
        self.first_empty = [*self.first_empty, *later.first_empty][:SHOWN_EMPTY]
        self.padded += later.padded
        self.cut += later.cut
        self.overlong += later.overlong

    def count_input(self, sequences: Several[Sequence], model: Model) -> None:
        """Count the sequences of one block, before which there were none."""
        lengths = real_lengths(sequences, model)
        self.sequences = len(sequences)
        self.steps = int(lengths.sum())
        self.unknown = sum([sequence.unknown for sequence in sequences])
        self.masked = masked_steps(sequences, model)
        empty = [sequences[k].number for k in np.flatnonzero(lengths == 0).tolist()]
        self.empty = len(empty)
        self.first_empty = empty[:SHOWN_EMPTY]
        padding = model.padding
        if padding is not None and padding.length:
            given = np.array([len(sequence.inputs) for sequence in sequences], dtype=np.intp)
            if model.leaves_out:
                given -= [sequence.unknown for sequence in sequences]
            self.padded = int((given < padding.fills).sum())
            longer = int((given > padding.length).sum())
            self.cut, self.overlong = (0, longer) if padding.truncate is None else (longer, 0)

    def watch(self, sequences: Iterable[Sequence], model: Model) -> Iterator[Sequence]:
        """Count sequences one by one as they are read."""
        for sequence in sequences:
            one = type(self)()
            InputFigures.count_input(one, [sequence], model)
            self.add_input(one)
            yield sequence

    def input_text(self, name: str, model: Model) -> str:
        """How much was read, from an input of that name."""
        step = "token" if model.embedding is not None else "step"
        aside = []
        if model.vocabulary:
            unknown = "more unknown and left out" if model.leaves_out else "unknown"
            aside.append(f"{self.unknown:,} {unknown}")
        if self.masked:
            aside.append(f"{self.masked:,} more masked")
        text = f"{name}: {counted(self.sequences, 'sequence')}, {counted(self.steps, step)}"
        return f"{text} ({', '.join(aside)})" if aside else text

    def input_object(self) -> dict[str, int]:
        """The counts as JSON has them."""
        return {
            "sequences": self.sequences,
            "tokens": self.steps,
            "masked_tokens": self.masked,
            "unknown_tokens": self.unknown,
            "empty_sequences": self.empty,
            "padded_sequences": self.padded,
            "cut_sequences": self.cut,
        }

    def padded_text(self, model: Model) -> str | None:
        """How many sequences were filled up; None where none was."""
        if not self.padded or model.padding is None:
            return None
        filled = counted(self.padded, "sequence")
        return f"{filled}, {model.padding.side}, to {model.padding.length} steps"

    def cut_text(self, model: Model) -> str | None:
        """How many sequences were cut; None where none was."""
        if not self.cut or model.padding is None:
            return None
        side = "beginning" if model.padding.truncate == "pre" else "end"
        return f"{counted(self.cut, 'sequence')}, at the {side}, to {model.padding.length} steps"

    def input_warnings(self, model: Model, of_empty: str) -> Iterator[str]:
        """What the user should know of the input.

        Parameters
        ----------
        of_empty : str
            What became of empty sequences.
        """
        if self.empty:
            more = ", ..." if self.empty > SHOWN_EMPTY else ""
            which = ", ".join(map(str, self.first_empty)) + more
            yield f"{counted(self.empty, 'empty sequence')} (counted from 0: {which}): {of_empty}"
        padding = model.padding
        if padding is None:
            return
        if self.overlong and "truncate" not in padding.told:
            yield (
                f"{self.overlong:,} of the sequences exceed the {padding.length} steps that the "
                "model was trained on; they were run whole. If training cut them, say where: "
                "padding: {truncate: pre}, their beginning, or post, their end"
            )
        if self.padded and "side" not in padding.told:
            yield (
                f"{counted(self.padded, 'sequence')} shorter than {padding.length} steps: filled "
                "up in front, though nothing says the side; say padding: {side: pre}, or post"
            )
