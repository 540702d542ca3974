"""`lrp explain`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.cli.methods import refuse_values_of_steps, resolve_methods
from lstm_lrp_cli.cli.options import (
    dtype_option,
    input_options,
    mapping_option,
    methods_option,
    model_argument,
    question_options,
    resolve_question,
    rule_options,
    setting_options,
)
from lstm_lrp_cli.cli.output import STANDARD_OUTPUT, open_output, refuse_same_file
from lstm_lrp_cli.cli.progress import progress
from lstm_lrp_cli.reporting.outputs import OUTPUTS, format_of

if TYPE_CHECKING:
    from lstm_lrp_cli.reporting.rendering import Rendering
    from lstm_lrp_cli.reporting.summary import Summary
    from lstm_lrp_cli.reporting.writer import Detail
    from lstm_lrp_cli.scaling.question import Step
    from lstm_lrp_cli.sequences.naming import InputFormat
    from lstm_lrp_cli.sequences.read import Block

MOST_USUAL_JOBS = 8


@click.command()
@model_argument
@click.argument("input")
@mapping_option
@input_options
@methods_option("--method")
@question_options
@rule_options
@dtype_option
@setting_options
@click.option(
    "--by",
    type=click.Choice(["token", "dimension", "step", "feature"]),
    help="How finely relevance is told.  [default: token; feature in numeric series]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(OUTPUTS)),
    help="[default: terminal (a heat map) on a terminal, else by the ending of -o, else tsv]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE (.gz, .xz, .bz2: compressed).",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the report to FILE (.json: as JSON).  [default: standard error]",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that share the work.  [default: one for each core, at most 8]",
)
@click.option("-q", "--quiet", is_flag=True, help="No report, warnings or progress.")
def explain(
    model: Path,
    input: str,
    mapping: Path | None,
    ids: bool,
    labelled: bool,
    input_format: InputFormat | None,
    method: tuple[str, ...],
    target: str,
    step: Step | None,
    eps: float,
    bias_factor: float,
    dtype: str,
    steps: int | None,
    baseline: str | None,
    span: slice | None,
    seed: int | None,
    by: Detail | None,
    form: str | None,
    output: Path | None,
    report: Path | None,
    jobs: int | None,
    quiet: bool,
) -> None:
    """Explain the predictions of MODEL for the sequences in INPUT.

    INPUT is text, one sequence a line; JSON lines; or a numeric series: .csv, .npy, .npz or .h5.
    Compressed files (.gz, .xz, .bz2) are read as they are; - is standard input.

    \b
    lrp explain model.h5 sentences.txt
    lrp explain model.npz ids.txt --ids --target 2 -o relevance.tsv
    zcat corpus.gz | lrp explain model.h5 - --format jsonl | jq .relevance
    """
    import numpy as np

    from lstm_lrp_cli.loading.load import load_model
    from lstm_lrp_cli.reporting.rendering import Rendering
    from lstm_lrp_cli.reporting.summary import Run, Summary
    from lstm_lrp_cli.reporting.writer import WHOLE
    from lstm_lrp_cli.sequences.read import Source, read_blocks
    from lstm_lrp_cli.sequences.stream import display_name

    refuse_same_file({"-o": output, "--report": report}, {"MODEL": model, "INPUT": Path(input)})
    loaded = load_model(model, mapping, np.dtype(dtype)).model
    question = resolve_question(loaded, target, step, labelled=labelled, default_step=None)
    detail = choose_detail(by, series=loaded.embedding is None)
    form = form or choose_format(output)
    methods = resolve_methods(
        method,
        loaded,
        eps=eps,
        bias_factor=bias_factor,
        steps=steps,
        baseline=baseline,
        span=span,
        seed=seed,
    )
    if detail in WHOLE:
        refuse_values_of_steps(methods, detail)
    rendering = Rendering(loaded, methods, question, form, detail)
    source = Source(input, input_format, ids, labelled)
    run = Run(
        display_name(str(model)),
        display_name(input),
        methods,
        dtype,
    )
    summary = Summary(loaded, run)
    blocks = read_blocks(source, loaded, rendering.block_bytes)
    to_terminal = output is None and sys.stdout is not None and sys.stdout.isatty()
    told = not quiet and not to_terminal
    if form == "terminal":
        show(rendering, blocks, summary, output, told)
    else:
        write(rendering, blocks, summary, output, told, jobs or usual_jobs())
    if report is not None and report != STANDARD_OUTPUT:
        with open_output(report) as file:
            is_json = report.suffix.lower() == ".json"
            file.write(summary.as_json() if is_json else summary.as_text())
    if not quiet:
        if report is None or report == STANDARD_OUTPUT:
            click.echo(summary.as_text(), err=True, nl=False)
        for warning in summary.warnings():
            click.echo(f"lrp: warning: {warning}", err=True)


def write(
    rendering: Rendering,
    blocks: Iterator[Block],
    summary: Summary,
    output: Path | None,
    told: bool,
    jobs: int,
) -> None:
    """Write what several processes make of the blocks."""
    from lstm_lrp_cli.scaling.sharing import shared_out
    from lstm_lrp_cli.scaling.threads import one_blas_thread

    with (
        one_blas_thread(),
        open_output(output) as file,
        # Before there is a thread that draws, since processes are copies of this one.
        shared_out(rendering.as_text, blocks, jobs) as rendered,
        progress(told) as tell,
    ):
        writer = rendering.writer(file)
        for number, (parts, figures) in enumerate(rendered):
            if number == 0:
                writer.open()
            file.writelines(parts)
            summary.merge(figures)
            tell(summary.figures.sequences)
        writer.close()


def show(
    rendering: Rendering,
    blocks: Iterator[Block],
    summary: Summary,
    output: Path | None,
    told: bool,
) -> None:
    """Print a picture for people, whose end tells of all that came before."""
    from lstm_lrp_cli.scaling.threads import one_blas_thread

    with one_blas_thread(), open_output(output) as file, progress(told) as tell:
        writer = rendering.writer(file)
        for number, block in enumerate(blocks):
            if number == 0:
                writer.open()
            for figures in rendering.write(block, writer):
                summary.merge(figures)
                tell(summary.figures.sequences)
        writer.close()


def usual_jobs() -> int:
    """One process for each core that this one may use, within limits: each takes memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, MOST_USUAL_JOBS)


def choose_format(output: Path | None) -> str:
    """The format where none is asked for: a heat map on a terminal, else by the file's ending."""
    if output is None or output == STANDARD_OUTPUT:
        return "terminal" if sys.stdout and sys.stdout.isatty() else "tsv"
    form = format_of(output)
    if form is None:
        raise click.BadParameter(
            f"the ending of {output.name} is of no format; add --format, or end it in "
            ".tsv, .csv or .jsonl.",
            param_hint="-o",
        )
    return form


def choose_detail(by: Detail | None, *, series: bool) -> Detail:
    """How finely relevance is told, where the option fits the model."""
    allowed: tuple[Detail, ...] = ("feature", "step") if series else ("token", "dimension")
    if by is None:
        return allowed[0]
    if by not in allowed:
        kind = "takes numbers" if series else "takes tokens"
        raise click.BadParameter(
            f"the model {kind}; expected {' or '.join(allowed)}.", param_hint="--by"
        )
    return by
