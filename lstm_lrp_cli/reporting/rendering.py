"""From a block of input to what is written of it: what each of several processes does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO, cast

from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.figures import Figures
from lstm_lrp_cli.reporting.outputs import OUTPUTS
from lstm_lrp_cli.reporting.writer import WHOLE, Detail, Layout, Writer
from lstm_lrp_cli.scaling.corpus import explain_corpus
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.read import Block, sequences_of

# A block is about so many bytes of input, or fewer where more than one value is told of each token,
# so that its text stays within memory.
BLOCK_BYTES = 2**17
LEAST_BLOCK_BYTES = 2**11


@dataclass(frozen=True, slots=True)
class Rendering:
    """How blocks are explained and written.

    Parameters
    ----------
    form : str
        One of OUTPUTS.
    """

    model: Model
    methods: tuple[Method, ...]
    question: Question
    form: str
    detail: Detail

    @property
    def reach(self) -> Reach:
        """How finely relevance is needed; the picture of a series shows its features."""
        picture = self.form == "terminal" and self.model.embedding is None
        return "features" if self.detail in WHOLE or picture else "steps"

    @property
    def block_bytes(self) -> int:
        """How large blocks should be; small where each sequence is run or written many times."""
        if self.question.every_step(self.model) or any(
            method.runs_often for method in self.methods
        ):
            return LEAST_BLOCK_BYTES
        width = self.model.input_size if self.detail in WHOLE else 1
        values = self.question.targets(self.model) * len(self.methods) * width
        return max(BLOCK_BYTES // values, LEAST_BLOCK_BYTES)

    @property
    def layout(self) -> Layout:
        return Layout(self.model, self.detail, several_methods=len(self.methods) > 1)

    def writer(self, file: TextIO) -> Writer:
        return OUTPUTS[self.form](file, self.layout)

    def write(self, block: Block, writer: Writer) -> Iterator[Figures]:
        """Explain a block and write it, window by window, of each of which the figures come."""
        sequences = sequences_of(block, self.model)
        for explanations in explain_corpus(
            self.model, sequences, self.methods, self.question, self.reach
        ):
            writer.write(explanations)
            yield Figures.of(explanations, self.model, self.methods)

    def as_text(self, block: Block) -> Iterator[tuple[list[str], Figures]]:
        """What a block is written as, in parts, to be sent to the process that writes."""
        file = _Parts()
        for figures in self.write(block, self.writer(cast(TextIO, file))):
            yield file.parts, figures
            file.parts = []


class _Parts(io.TextIOBase):
    """Keeps what is written to it, part by part."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        self.parts.append(text)
        return len(text)
