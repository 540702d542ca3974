"""From a block of input to what is written of it: what each of several processes does."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TextIO, TypeVar, cast

from lstm_lrp_cli.reporting.writer import Report, Writer
from lstm_lrp_cli.sequences.read import Block

Result = TypeVar("Result")
Counted = TypeVar("Counted")

# A block is about so many bytes of input, or fewer where more than one value is told of each token,
# so that its text stays within memory.
BLOCK_BYTES = 2**17
LEAST_BLOCK_BYTES = 2**11


class BlockRendering(ABC, Generic[Result, Counted]):
    """How blocks are computed, written and counted, window by window."""

    __slots__ = ()

    form: str

    @property
    @abstractmethod
    def block_bytes(self) -> int:
        """How large blocks should be."""

    @abstractmethod
    def writer(self, file: TextIO, report: Report | None = None) -> Writer[Result]:
        """What writes results; with the run's report, what opens and closes the file as well."""

    @abstractmethod
    def results(self, block: Block) -> Iterator[Result]:
        """What is computed of a block, window by window."""

    @abstractmethod
    def figures(self, result: Result) -> Counted:
        """What the report counts of a window."""

    def warnings(self, characters: int) -> list[str]:
        """What the user should know of an output of so many characters."""
        return []

    def write(self, block: Block, writer: Writer[Result]) -> Iterator[Counted]:
        """Write a block, window by window, of each of which the figures come."""
        for result in self.results(block):
            writer.write(result)
            yield self.figures(result)

    def as_text(self, block: Block) -> Iterator[tuple[list[str], Counted]]:
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
