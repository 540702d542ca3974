"""How blocks are explained and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.blocks import (
    LEAST_BLOCK_STEPS,
    PIECE_VALUES,
    BlockRendering,
    steps_of_block,
)
from lstm_lrp_cli.reporting.figures import Figures
from lstm_lrp_cli.reporting.outputs import OUTPUTS, PICTURES, SINKS
from lstm_lrp_cli.reporting.writer import WHOLE, Detail, Layout, Report, Writer
from lstm_lrp_cli.scaling.carried import Carried
from lstm_lrp_cli.scaling.corpus import explain_corpus
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.explanation import Explanation
from lstm_lrp_cli.sequences.read import Block, sequences_of

# Beyond so many characters a browser takes long to open a page, and gigabytes to hold it.
LARGE_PAGE = 100_000_000


@dataclass(frozen=True, slots=True)
class Rendering(BlockRendering[Sequence[Explanation], Figures]):
    """How blocks are explained and written.

    Parameters
    ----------
    form : str
        One of OUTPUTS.
    about : dict
        What an output that is kept may tell of the run, as JSON has it.
    top : int or None
        Of how many values of each explanation is told; None is all.
    carried : Carried
        What stateful LSTMs keep from block to block.
    """

    model: Model
    methods: tuple[Method, ...]
    question: Question
    form: str
    detail: Detail
    about: Mapping[str, Any] = field(default_factory=dict)
    top: int | None = None
    carried: Carried = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "carried", Carried(self.model))

    @property
    def reach(self) -> Reach:
        """How finely relevance is needed; a picture shows tokens as a whole."""
        told_whole = self.form in PICTURES and self.detail == "dimension"
        return "features" if self.detail in WHOLE and not told_whole else "steps"

    @property
    def block_steps(self) -> int:
        """How many steps a block should have; few where each is run or written many times."""
        if self.question.every_step(self.model) or any(
            method.runs_often for method in self.methods
        ):
            return LEAST_BLOCK_STEPS
        values = self.question.targets(self.model) * len(self.methods) * self._width
        return steps_of_block(max(values, self.model.step_values))

    @property
    def _width(self) -> int:
        """How many values are told of each step of an explanation."""
        return self.model.input_size if self.detail in WHOLE else 1

    @property
    def layout(self) -> Layout:
        return Layout(self.model, self.detail, self.methods, self.about, self.top)

    @property
    def binary(self) -> bool:
        return self.form in SINKS

    def sink(self, file: Any) -> AbstractContextManager[Any]:
        return SINKS[self.form](file, self.layout) if self.binary else nullcontext(file)

    def writer(self, file: Any, report: Report | None = None) -> Writer[Sequence[Explanation]]:
        return OUTPUTS[self.form](file, replace(self.layout, report=report))

    def warnings(self, size: int) -> list[str]:
        """A page may become too large to be looked at."""
        if self.form != "html" or size <= LARGE_PAGE:
            return []
        return [
            f"the page has {size / 1e6:,.0f} MB, and browsers are slow with more than "
            f"{LARGE_PAGE / 1e6:.0f}; explain fewer sequences, or take --format jsonl"
        ]

    def results(self, block: Block) -> Iterator[Sequence[Explanation]]:
        """All explanations of some sequences, a piece of each window after the other."""
        sequences = sequences_of(block, self.model)
        for window in explain_corpus(
            self.model, sequences, self.methods, self.question, self.reach, self.carried
        ):
            yield from _pieces(window, self._width)

    def figures(self, result: Sequence[Explanation]) -> Figures:
        return Figures.of(result, self.model, self.methods)


def _pieces(window: Sequence[Explanation], width: int) -> Iterator[list[Explanation]]:
    """Cut a window between sequences, where about so many values are told that fit in memory."""
    piece: list[Explanation] = []
    values = 0
    for each in window:
        if values >= PIECE_VALUES and each.sequence is not piece[-1].sequence:
            yield piece
            piece, values = [], 0
        piece.append(each)
        values += len(each.sequence) * width
    if piece:
        yield piece
