"""From an input to an output and a report, block by block: what explain and predict share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

import click

from lstm_lrp_cli.cli.options import Command, stacked
from lstm_lrp_cli.cli.output import STANDARD_OUTPUT, open_binary, open_output
from lstm_lrp_cli.cli.progress import progress
from lstm_lrp_cli.cli.say import say_lines, warn
from lstm_lrp_cli.reporting.outputs import ENDINGS, SINKS, format_of
from lstm_lrp_cli.sequences.compression import compression_of

if TYPE_CHECKING:
    from lstm_lrp_cli.reporting.blocks import BlockRendering
    from lstm_lrp_cli.reporting.inputs import InputFigures
    from lstm_lrp_cli.sequences.read import Block

MOST_USUAL_JOBS = 8
ONE_PROCESS = (
    "a stateful model's sequences begin where others end, so one process ran all of them, in order"
)
# Where a report's text begins, behind the names of its lines.
NAMES_WIDTH = 16

Counted = TypeVar("Counted")
Merged = TypeVar("Merged", contravariant=True)


class MergedReport(Protocol[Merged]):
    """What is told of a run beside its data."""

    @property
    def figures(self) -> InputFigures: ...

    def merge(self, figures: Merged, /) -> None:
        """Take in the figures of a block."""
        ...

    def as_object(self) -> dict[str, Any]: ...

    def as_json(self) -> str: ...

    def as_text(self) -> str: ...

    def warnings(self) -> list[str]: ...


def output_options(forms: Iterable[str], picture: str) -> Callable[[Command], Command]:
    """The options that say where data and report go, and how many processes make them.

    Parameters
    ----------
    forms : iterable of str
        The formats.
    picture : str
        What is shown on a terminal.
    """
    return stacked(
        click.option(
            "--format",
            "form",
            type=click.Choice(list(forms)),
            metavar="FORMAT",
            help=f"{', '.join(forms)}.  [default: terminal ({picture}) on one, "
            "else by -o's ending, else tsv]",
        ),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write to FILE (.gz, .xz, .bz2: compressed).",
        ),
        click.option(
            "--report",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The report; .json: as JSON.  [default: standard error]",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Processes that share the work.  [default: one for each core, at most 8]",
        ),
        click.option("-q", "--quiet", is_flag=True, help="No report, warnings or progress."),
        click.option("--no-pager", is_flag=True, help="Do not page what is shown on a terminal."),
    )


def choose_format(form: str | None, output: Path | None, forms: Container[str]) -> str:
    """The format that was asked for; else a picture on a terminal, or by the file's ending."""
    if form is not None:
        return form
    if output is None or output == STANDARD_OUTPUT:
        return "terminal" if _to_terminal(output) else "tsv"
    form = format_of(output)
    if form is None or form not in forms:
        *others, last = [ending for ending, known in ENDINGS.items() if ending and known in forms]
        raise click.BadParameter(
            f"the ending of {output.name} is of no format; add --format, or end it in "
            f"{', '.join(others)} or {last}.",
            param_hint="-o",
        )
    return form


def refuse_bytes(form: str, output: Path | None) -> None:
    """Refuse to show a file of bytes on a terminal, and to compress it as no reader expects."""
    if form not in SINKS:
        return
    if _to_terminal(output):
        raise click.UsageError(
            f"--format {form} is not for a terminal; name a file with -o, or redirect the output."
        )
    compression = None if output is None else compression_of(output)
    if compression is not None:
        raise click.BadParameter(
            f"a {form} file that is compressed as a whole is read by no program; "
            f"leave {compression.ending} out.",
            param_hint="-o",
        )


def _to_terminal(output: Path | None) -> bool:
    standard = output is None or output == STANDARD_OUTPUT
    return standard and sys.stdout is not None and sys.stdout.isatty()


def stream(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: MergedReport[Counted],
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
    summary: MergedReport[Counted],
    output: Path | None,
    told: bool,
    jobs: int,
) -> int:
    """Write what several processes make of the blocks; how many characters that is, if text."""
    from lstm_lrp_cli.scaling.sharing import shared_out
    from lstm_lrp_cli.scaling.threads import one_blas_thread

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
    summary: MergedReport[Counted],
    opened: AbstractContextManager[TextIO],
    told: bool,
) -> None:
    """Print a picture for people, whose end tells of all that came before."""
    from lstm_lrp_cli.scaling.threads import one_blas_thread

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
    from lstm_lrp_cli.cli.pager import open_pager, pager_command

    command = pager_command()
    return None if command is None else open_pager(command)


def _usual_jobs() -> int:
    """One process for each core that this one may use, within limits: each takes memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_USUAL_JOBS)
