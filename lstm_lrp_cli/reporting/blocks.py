"""From a block of input to what is written of it: what each of several processes does."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from lstm_lrp_cli.reporting.writer import Report, Writer
from lstm_lrp_cli.scaling.carried import Carried
from lstm_lrp_cli.sequences.read import Block

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
    def block_steps(self) -> int:
        """How many steps a block should have."""

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

    def as_parts(self, block: Block) -> Iterator[tuple[list[Any], Counted]]:
        """What a block is written as, in parts, to be sent to the process that writes."""
        file = _Parts()
        for figures in self.write(block, self.writer(file)):
            yield file.parts, figures
            file.parts = []


class _Parts:
    """Keeps what is written to it, part by part."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def write(self, part: Any) -> None:
        self.parts.append(part)
