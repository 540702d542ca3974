"""From an input to an output and a report, block by block: what explain and predict share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeVar

from lstm_lrp_cli.terminal.screen import progress
from lstm_lrp_cli.terminal.text import say_lines, warn
from .files import STANDARD_OUTPUT, open_binary, open_output

if TYPE_CHECKING:
    from lstm_lrp_cli.inputs.read import Block
    from .blocks import BlockRendering
    from .figures import RunFigures
    from .report import RunReport


MOST_USUAL_JOBS = 8
ONE_PROCESS = (
    "a stateful model's sequences begin where others end, so one process ran all of them, in order"
)
MARKED = (
    "there are texts that a spreadsheet would take for formulas: they stand behind an apostrophe; "
    "--verbatim leaves them as they are"
)
# Where a report's text begins, behind the names of its lines.
NAMES_WIDTH = 16

Counted = TypeVar("Counted", bound="RunFigures")


class Destination(NamedTuple):
    """Where the output and the report go, and how many processes make them.

    Parameters
    ----------
    output : Path or None
        None and "-" are standard output.
    folder : str or None
        The folder or URL of parts instead.
    report : Path or None
        None and "-" are standard error.
    jobs : int or None
        None is one for each core.
    quiet : bool
        Whether neither report nor warnings nor progress are told.
    no_pager : bool
    verbatim : bool
        Whether tables have texts as they are that a spreadsheet would run as formulas.
    """

    output: Path | None = None
    folder: str | None = None
    report: Path | None = None
    jobs: int | None = None
    quiet: bool = False
    no_pager: bool = False
    verbatim: bool = False

    @property
    def written(self) -> dict[str, Path | None]:
        """The files that will be there, by their options."""
        return {"-o": self.output, "--report": self.report}


def stream(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: RunReport[Counted],
    to: Destination,
) -> None:
    """Write what a rendering makes of an input's blocks, then the report."""
    to_terminal = to.output is None and sys.stdout is not None and sys.stdout.isatty()
    told = not to.quiet and not to_terminal
    rendering, blocks = _with_dates(rendering, blocks)
    if rendering.form == "terminal":
        size, marked = 0, False
        opened = _paged() if to_terminal and not to.no_pager else None
        _show(rendering, blocks, summary, opened or open_output(to.output), told)
    else:
        jobs = 1 if rendering.carried.is_needed else to.jobs or usual_jobs()
        size, marked = _write(rendering, blocks, summary, to.output, told, jobs)
    tell(summary, to, (*rendering.warnings(size), *([MARKED] * marked)))
    if not to.quiet and rendering.carried.is_needed and (to.jobs or 1) > 1:
        warn([f"--jobs {to.jobs}: {ONE_PROCESS}"])


def tell(summary: RunReport[Any], to: Destination, more: Iterable[str]) -> None:
    """Write the report where it goes, and warn of what is in it, and of more."""
    report = None if to.report == STANDARD_OUTPUT else to.report
    if report is not None:
        with open_output(report) as file:
            is_json = report.suffix.lower() == ".json"
            file.write(summary.as_json() if is_json else summary.as_text())
    if not to.quiet:
        if report is None:
            say_lines(summary.as_text(), NAMES_WIDTH)
        warn((*summary.warnings(), *more))


def _with_dates(
    rendering: BlockRendering[Any, Counted], blocks: Iterator[Block]
) -> tuple[BlockRendering[Any, Counted], Iterator[Block]]:
    """Both, once it is known whether steps have dates, for which columns have a place."""
    from lstm_lrp_cli.inputs.read import are_dated

    dated, blocks = are_dated(blocks, rendering.model)
    return rendering.with_dates() if dated else rendering, blocks


def _write(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: RunReport[Counted],
    output: Path | None,
    told: bool,
    jobs: int,
) -> tuple[int, bool]:
    """Write what several processes make of the blocks.

    Returns
    -------
    int
        How many characters that is, if it is text.
    bool
        Whether it is a table with texts that are marked.
    """
    from lstm_lrp_cli.explaining.windows import one_blas_thread
    from .processes import shared_out

    with (
        one_blas_thread(),
        (open_binary if rendering.binary else open_output)(output) as file,
        rendering.sink(file) as sink,
    ):
        # Before the processes, which then have what it imports.
        writer = rendering.writer(sink, summary)
        size, marked = 0, False
        with (
            # Before there is a thread that draws, since processes are copies of this one.
            shared_out(rendering.as_parts, blocks, jobs) as rendered,
            progress(told) as count,
        ):
            for number, (parts, figures, marks) in enumerate(rendered):
                if number == 0:
                    writer.open()
                marked = marked or marks or writer.marked  # it may have names in a header
                for part in parts:
                    sink.write(part)
                    size += 0 if rendering.binary else len(part)
                summary.merge(figures)
                count(summary.figures.sequences)
            writer.close()
    return size, marked


def _show(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: RunReport[Counted],
    opened: AbstractContextManager[TextIO],
    told: bool,
) -> None:
    """Print a picture for people, whose end tells of all that came before."""
    from lstm_lrp_cli.explaining.windows import one_blas_thread

    with one_blas_thread(), opened as file, progress(told) as count:
        writer = rendering.writer(file, summary)
        for number, block in enumerate(blocks):
            if number == 0:
                writer.open()
            for figures in rendering.write(block, writer):
                summary.merge(figures)
                count(summary.figures.sequences)
        writer.close()


def _paged() -> AbstractContextManager[TextIO] | None:
    """The pager, where there is one."""
    from lstm_lrp_cli.terminal.screen import open_pager, pager_command

    command = pager_command()
    return None if command is None else open_pager(command)


def usual_jobs() -> int:
    """One process for each core that this one may use, within limits: each takes memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_USUAL_JOBS)
