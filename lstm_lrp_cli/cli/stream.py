"""From an input to an output and a report, block by block: what explain and predict share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from lstm_lrp_cli.cli.options import Command, stacked
from lstm_lrp_cli.cli.output import STANDARD_OUTPUT, open_output
from lstm_lrp_cli.cli.progress import progress
from lstm_lrp_cli.reporting.outputs import format_of

if TYPE_CHECKING:
    from lstm_lrp_cli.reporting.blocks import BlockRendering
    from lstm_lrp_cli.reporting.inputs import InputFigures
    from lstm_lrp_cli.sequences.read import Block

MOST_USUAL_JOBS = 8

Counted = TypeVar("Counted")
Merged = TypeVar("Merged", contravariant=True)


class Report(Protocol[Merged]):
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


def output_options(picture: str, forms: Collection[str]) -> Callable[[Command], Command]:
    """The options that say where data and report go, and how many processes make them.

    Parameters
    ----------
    picture : str
        What is shown on a terminal.
    forms : collection of str
        The formats that the command writes.
    """
    return stacked(
        click.option(
            "--format",
            "form",
            type=click.Choice(list(forms)),
            help=f"[default: terminal ({picture}) on a terminal, else by the ending of -o, "
            "else tsv]",
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
            help="Write the report to FILE (.json: as JSON).  [default: standard error]",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Processes that share the work.  [default: one for each core, at most 8]",
        ),
        click.option("-q", "--quiet", is_flag=True, help="No report, warnings or progress."),
    )


def choose_format(output: Path | None, forms: Collection[str]) -> str:
    """The format where none is asked for: a picture on a terminal, else by the file's ending.

    Parameters
    ----------
    forms : collection of str
        The formats that the command writes.
    """
    if output is None or output == STANDARD_OUTPUT:
        return "terminal" if sys.stdout and sys.stdout.isatty() else "tsv"
    form = format_of(output)
    if form is None or form not in forms:
        *others, last = (f".{name}" for name in forms if format_of(Path(f"x.{name}")) == name)
        raise click.BadParameter(
            f"the ending of {output.name} is of no format; add --format, or end it in "
            f"{', '.join(others)} or {last}.",
            param_hint="-o",
        )
    return form


def stream(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: Report[Counted],
    *,
    output: Path | None,
    report: Path | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Write what a rendering makes of an input's blocks, then the report."""
    to_terminal = output is None and sys.stdout is not None and sys.stdout.isatty()
    told = not quiet and not to_terminal
    if rendering.form == "terminal":
        characters = 0
        _show(rendering, blocks, summary, output, told)
    else:
        characters = _write(rendering, blocks, summary, output, told, jobs or _usual_jobs())
    if report is not None and report != STANDARD_OUTPUT:
        with open_output(report) as file:
            is_json = report.suffix.lower() == ".json"
            file.write(summary.as_json() if is_json else summary.as_text())
    if not quiet:
        if report is None or report == STANDARD_OUTPUT:
            click.echo(summary.as_text(), err=True, nl=False)
        for warning in (*summary.warnings(), *rendering.warnings(characters)):
            click.echo(f"lrp: warning: {warning}", err=True)


def _write(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: Report[Counted],
    output: Path | None,
    told: bool,
    jobs: int,
) -> int:
    """Write what several processes make of the blocks; how many characters that is."""
    from lstm_lrp_cli.scaling.sharing import shared_out
    from lstm_lrp_cli.scaling.threads import one_blas_thread

    with (
        one_blas_thread(),
        open_output(output) as file,
        # Before there is a thread that draws, since processes are copies of this one.
        shared_out(rendering.as_text, blocks, jobs) as rendered,
        progress(told) as tell,
    ):
        writer = rendering.writer(file, summary)
        characters = 0
        for number, (parts, figures) in enumerate(rendered):
            if number == 0:
                writer.open()
            file.writelines(parts)
            characters += sum(map(len, parts))
            summary.merge(figures)
            tell(summary.figures.sequences)
        writer.close()
    return characters


def _show(
    rendering: BlockRendering[Any, Counted],
    blocks: Iterator[Block],
    summary: Report[Counted],
    output: Path | None,
    told: bool,
) -> None:
    """Print a picture for people, whose end tells of all that came before."""
    from lstm_lrp_cli.scaling.threads import one_blas_thread

    with one_blas_thread(), open_output(output) as file, progress(told) as tell:
        writer = rendering.writer(file, summary)
        for number, block in enumerate(blocks):
            if number == 0:
                writer.open()
            for figures in rendering.write(block, writer):
                summary.merge(figures)
                tell(summary.figures.sequences)
        writer.close()


def _usual_jobs() -> int:
    """One process for each core that this one may use, within limits: each takes memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_USUAL_JOBS)
