"""From an input to an output and a report, block by block: what explain and predict share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from lstm_lrp_cli.terminal.messages import say_lines, warn
from lstm_lrp_cli.terminal.screen import progress
from .files import STANDARD_OUTPUT, open_binary, open_output

if TYPE_CHECKING:
    from lstm_lrp_cli.sequences.read import Block
    from .blocks import BlockRendering
    from .figures import RunFigures
    from .report import RunReport


MOST_USUAL_JOBS = 8
ONE_PROCESS = (
    "a stateful model's sequences begin where others end, so one process ran all of them, in order"
)
# Where a report's text begins, behind the names of its lines.
NAMES_WIDTH = 16

Counted = TypeVar("Counted", bound="RunFigures")


def stream(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: RunReport[Counted],
    *,
    output: Path | None,
    report: Path | None,
    jobs: int | None,
    quiet: bool,
    no_pager: bool,
) -> None:
    """Write what a rendering makes of an input's blocks, then the report."""
    to_terminal = output is None and sys.stdout is not None and sys.stdout.isatty()
    told = not quiet and not to_terminal
    if rendering.form == "terminal":
        size = 0
        opened = _paged() if to_terminal and not no_pager else None
        _show(rendering, blocks, summary, opened or open_output(output), told)
    else:
        shared = 1 if rendering.carried.is_needed else jobs or _usual_jobs()
        size = _write(rendering, blocks, summary, output, told, shared)
    if report is not None and report != STANDARD_OUTPUT:
        with open_output(report) as file:
            is_json = report.suffix.lower() == ".json"
            file.write(summary.as_json() if is_json else summary.as_text())
    if not quiet:
        if report is None or report == STANDARD_OUTPUT:
            say_lines(summary.as_text(), NAMES_WIDTH)
        warn((*summary.warnings(), *rendering.warnings(size)))
        if rendering.carried.is_needed and (jobs or 1) > 1:
            warn([f"--jobs {jobs}: {ONE_PROCESS}"])


def _write(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: RunReport[Counted],
    output: Path | None,
    told: bool,
    jobs: int,
) -> int:
    """Write what several processes make of the blocks; how many characters that is, if text."""
    from .processes import one_blas_thread, shared_out

    with (
        one_blas_thread(),
        (open_binary if rendering.binary else open_output)(output) as file,
        rendering.sink(file) as sink,
    ):
        # Before the processes, which then have what it imports.
        writer = rendering.writer(sink, summary)
        size = 0
        with (
            # Before there is a thread that draws, since processes are copies of this one.
            shared_out(rendering.as_parts, blocks, jobs) as rendered,
            progress(told) as tell,
        ):
            for number, (parts, figures) in enumerate(rendered):
                if number == 0:
                    writer.open()
                for part in parts:
                    sink.write(part)
                    size += 0 if rendering.binary else len(part)
                summary.merge(figures)
                tell(summary.figures.sequences)
            writer.close()
    return size


def _show(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: RunReport[Counted],
    opened: AbstractContextManager[TextIO],
    told: bool,
) -> None:
    """Print a picture for people, whose end tells of all that came before."""
    from .processes import one_blas_thread

    with one_blas_thread(), opened as file, progress(told) as tell:
        writer = rendering.writer(file, summary)
        for number, block in enumerate(blocks):
            if number == 0:
                writer.open()
            for figures in rendering.write(block, writer):
                summary.merge(figures)
                tell(summary.figures.sequences)
        writer.close()


def _paged() -> AbstractContextManager[TextIO] | None:
    """The pager, where there is one."""
    from lstm_lrp_cli.terminal.screen import open_pager, pager_command

    command = pager_command()
    return None if command is None else open_pager(command)


def _usual_jobs() -> int:
    """One process for each core that this one may use, within limits: each takes memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_USUAL_JOBS)
