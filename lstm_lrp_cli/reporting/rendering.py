"""How blocks are explained and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.blocks import BLOCK_BYTES, LEAST_BLOCK_BYTES, BlockRendering
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
        """All explanations of each window's sequences."""
        sequences = sequences_of(block, self.model)
        return explain_corpus(
            self.model, sequences, self.methods, self.question, self.reach, self.carried
        )

    def figures(self, result: Sequence[Explanation]) -> Figures:
        return Figures.of(result, self.model, self.methods)
