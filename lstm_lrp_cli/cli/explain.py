"""`lrp explain`."""

from __future__ import annotations

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
from lstm_lrp_cli.cli.output import refuse_same_file
from lstm_lrp_cli.cli.stream import choose_format, output_options, stream

if TYPE_CHECKING:
    from lstm_lrp_cli.reporting.writer import Detail
    from lstm_lrp_cli.scaling.question import Step
    from lstm_lrp_cli.sequences.naming import InputFormat


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
@output_options("a heat map")
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
    rendering = Rendering(loaded, methods, question, form, detail)
    if rendering.reach == "features":
        refuse_values_of_steps(methods, loaded)
    source = Source(input, input_format, ids, labelled)
    run = Run(
        display_name(str(model)),
        display_name(input),
        methods,
        dtype,
    )
    summary = Summary(loaded, run)
    blocks = read_blocks(source, loaded, rendering.block_bytes)
    stream(rendering, blocks, summary, output=output, report=report, jobs=jobs, quiet=quiet)


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
