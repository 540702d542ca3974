"""From a block of input to what is written of it: what each of several processes does."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

from msgspec import Struct, structs

from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.explaining.explanation import Detail, Explanation
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.explaining.reconstruction import asked_model
from lstm_lrp_cli.explaining.windows import Carried
from lstm_lrp_cli.inputs.read import Block, sequences_of
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.outputs import OUTPUTS
from lstm_lrp_cli.outputs.writer import Layout, Report, Writer
from .figures import Figures
from .report import ExplainReport, Run

Result = TypeVar("Result")
Counted = TypeVar("Counted")

# A block has about so many steps, enough sequences for full batches; or fewer where many values are
# read or told of each, so that it stays within memory; or the least, where each sequence is run or
# told many times.
BLOCK_STEPS = 2**15
BLOCK_VALUES = 2**18
LEAST_BLOCK_STEPS = 2**8
# Whole sequences are written until they have so many values, whose text is sent on before the rest
# is made.
PIECE_VALUES = 2**16


def steps_of_block(values: int) -> int:
    """How many steps a block should have, if so many values are read or told of each."""
    return max(min(BLOCK_STEPS, BLOCK_VALUES // values), LEAST_BLOCK_STEPS)


class BlockRendering(ABC, Generic[Result, Counted]):
    """How blocks are computed, written and counted, window by window."""

    __slots__ = ()

    form: str
    carried: Carried

    @property
    @abstractmethod
    def model(self) -> Model: ...

    @property
    @abstractmethod
    def block_steps(self) -> int:
        """How many steps a block should have."""

    @abstractmethod
    def with_dates(self) -> Self:
        """The same, of sequences that say when their steps were."""

    @property
    def binary(self) -> bool:
        """Whether the file is one of bytes."""
        return False

    def sink(self, file: Any) -> AbstractContextManager[Any]:
        """What puts together a file of what writers write: of texts, the file itself."""
        return nullcontext(file)

    @abstractmethod
    def writer(self, file: Any, report: Report | None = None) -> Writer[Result]:
        """Write to a sink, or whatever takes the parts that it would be given.

        With the run's report, it is what opens and closes the file as well.
        """

    @abstractmethod
    def results(self, block: Block) -> Iterator[Result]:
        """What is computed of a block, window by window."""

    @abstractmethod
    def figures(self, result: Result) -> Counted:
        """What the report counts of a window."""

    def warnings(self, size: int) -> list[str]:
        """What the user should know of an output of so many characters; 0 of one of bytes."""
        return []

    def write(self, block: Block, writer: Writer[Result]) -> Iterator[Counted]:
        """Write a block, window by window, of each of which the figures come."""
        for result in self.results(block):
            writer.write(result)
            yield self.figures(result)

    def as_parts(self, block: Block) -> Iterator[tuple[list[Any], Counted, bool]]:
        """What a block is written as, in parts, to be sent to the process that writes.

        Beside each stands whether texts were marked.
        """
        file = _Parts()
        writer = self.writer(file)
        for figures in self.write(block, writer):
            yield file.parts, figures, writer.marked
            file.parts = []


class _Parts:
    """Keeps what is written to it, part by part."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def write(self, part: Any) -> None:
        self.parts.append(part)


# Beyond so many characters a browser takes long to open a page, and gigabytes to hold it.
LARGE_PAGE = 100_000_000


@dataclass(frozen=True, slots=True)
class Rendering(BlockRendering[Sequence[Explanation], Figures]):
    """How blocks are explained and written.

    Parameters
    ----------
    explainer : Explainer
    form : str
        One of OUTPUTS.
    about : dict
        What an output that is kept may tell of the run, as JSON has it.
    top : int or None
        Of how many values of each explanation is told; None is all.
    dated : bool
        Whether it is known when steps were.
    verbatim : bool
        Whether tables have texts as they are that a spreadsheet would run as formulas.
    carried : Carried
        What stateful LSTMs keep from block to block.
    """

    explainer: Explainer
    form: str
    about: Mapping[str, Any] = field(default_factory=dict)
    top: int | None = None
    dated: bool = False
    verbatim: bool = False
    carried: Carried = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "carried", Carried(self.explainer.model))

    @property
    def model(self) -> Model:
        return self.explainer.model

    def with_dates(self) -> Self:
        return replace(self, dated=True)

    @property
    def block_steps(self) -> int:
        """How many steps a block should have; few where each is run or written many times."""
        explainer = self.explainer
        model, methods, question = explainer.model, explainer.methods, explainer.question
        if question.every_step(model) or any(method.runs_often for method in methods):
            return LEAST_BLOCK_STEPS
        values = question.targets(model) * len(methods) * self._width
        return steps_of_block(max(values, *(each.step_values for each in model.inputs)))

    @property
    def _width(self) -> int:
        """How many values are told of each step of an explanation, at most."""
        layout = self.layout
        return max(layout.values(number) for number in range(len(layout.model.inputs)))

    @property
    def layout(self) -> Layout:
        return Layout(
            self.explainer, self.about, self.top, dated=self.dated, verbatim=self.verbatim
        )

    @property
    def binary(self) -> bool:
        return OUTPUTS[self.form].binary

    def sink(self, file: Any) -> AbstractContextManager[Any]:
        return OUTPUTS[self.form].sink(file, self.layout)

    def writer(self, file: Any, report: Report | None = None) -> Writer[Sequence[Explanation]]:
        return OUTPUTS[self.form].writer(file, structs.replace(self.layout, report=report))

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
        sequences = sequences_of(block, self.explainer.model)
        for window in self.explainer.windows(sequences, self.carried):
            yield from _pieces(window, self._width)

    def figures(self, result: Sequence[Explanation]) -> Figures:
        return Figures.of(result, self.explainer.model, self.explainer.methods)


class ToExplain(Struct, frozen=True):
    """What is asked of a model, without the model: it can be sent.

    Parameters
    ----------
    run : Run
    methods : sequence of Method
    target : str
        As it was given: of the target error, another model is explained.
    question : Question
    by, attention
        As of `Explainer`.
    form, top, verbatim
        As of `Rendering`.
    """

    command: ClassVar[str] = "explain"

    run: Run
    methods: Sequence[Method]
    target: str
    question: Question
    by: Detail | None
    attention: bool
    form: str
    top: int | None
    verbatim: bool

    def rendering(self, model: Model) -> Rendering:
        explainer = Explainer(
            asked_model(model, self.target),
            self.methods,
            target=self.question,
            by=self.by,
            attention=self.attention,
        )
        about = ExplainReport(explainer, self.run).about()
        return Rendering(explainer, self.form, about, self.top, verbatim=self.verbatim)


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
        if each.attention is not None:
            values += each.attention_values
    if piece:
        yield piece
