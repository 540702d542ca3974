"""How blocks are explained and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.blocks import BLOCK_BYTES, LEAST_BLOCK_BYTES, BlockRendering
from lstm_lrp_cli.reporting.figures import Figures
from lstm_lrp_cli.reporting.outputs import OUTPUTS
from lstm_lrp_cli.reporting.writer import WHOLE, Detail, Layout, Writer
from lstm_lrp_cli.scaling.corpus import explain_corpus
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.explanation import Explanation
from lstm_lrp_cli.sequences.read import Block, sequences_of


@dataclass(frozen=True, slots=True)
class Rendering(BlockRendering[Sequence[Explanation], Figures]):
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
        """How finely relevance is needed; a picture shows tokens as a whole."""
        told_whole = self.form == "terminal" and self.detail == "dimension"
        return "features" if self.detail in WHOLE and not told_whole else "steps"

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

    def writer(self, file: TextIO) -> Writer[Sequence[Explanation]]:
        return OUTPUTS[self.form](file, self.layout)

    def results(self, block: Block) -> Iterator[Sequence[Explanation]]:
        """All explanations of each window's sequences."""
        sequences = sequences_of(block, self.model)
        return explain_corpus(self.model, sequences, self.methods, self.question, self.reach)

    def figures(self, result: Sequence[Explanation]) -> Figures:
        return Figures.of(result, self.model, self.methods)
