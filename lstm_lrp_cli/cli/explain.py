"""`lrp explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.outputs.registry import OUTPUTS
from lstm_lrp_cli.running.stream import stream
from .options.arguments import (
    assume_option,
    choose_format,
    dtype_option,
    input_argument,
    input_options,
    mapping_option,
    methods_option,
    model_argument,
    output_options,
    question_options,
    refuse_bytes,
    refuse_same_file,
    resolve_question,
    rule_options,
    setting_options,
)
from .options.help import Command
from .options.settings import refuse_values_of_steps, resolve_methods

if TYPE_CHECKING:
    from lstm_lrp_cli.explaining.question import Step
    from lstm_lrp_cli.outputs.writer import Detail
    from lstm_lrp_cli.sequences.naming import InputFormat


@click.command(
    cls=Command,
    examples=(
        "lrp explain model.h5 sentences.txt",
        "lrp explain model.h5 labelled.txt --labelled --target gold --top 5",
        "lrp explain model.npz ids.txt --ids --target 2 -o relevance.tsv",
        "zcat corpus.gz | lrp explain model.h5 - --format jsonl | jq .relevance",
    ),
    rare=(
        "assume",
        "input_format",
        "bias_factor",
        "steps",
        "baseline",
        "span",
        "seed",
        "no_pager",
        "dtype",
        "jobs",
    ),
)
@model_argument
@input_argument()
@mapping_option
@assume_option
@input_options
@methods_option("--method")
@question_options
@rule_options
@dtype_option
@setting_options
@click.option(
    "--by",
    type=click.Choice(["token", "dimension", "step", "feature"]),
    metavar="UNIT",
    help="token, dimension, step or feature.  [default: token; feature in numeric series]",
)
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N", help="Tell of the N strongest of each alone."
)
@output_options(OUTPUTS, "a heat map")
def explain(
    model: Path,
    input: str,
    mapping: Path | None,
    assume: bool,
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
    top: int | None,
    form: str | None,
    output: Path | None,
    report: Path | None,
    jobs: int | None,
    quiet: bool,
    no_pager: bool,
) -> None:
    """Explain the predictions of MODEL for the sequences in INPUT.

    INPUT is text, one sequence a line; JSON lines; or numeric series: .csv, .npy, .npz or .h5.
    All may be compressed. - is standard input.
    """
    import numpy as np

    from lstm_lrp_cli.loading.load import load_model
    from lstm_lrp_cli.running.blocks import Rendering
    from lstm_lrp_cli.running.report import ExplainReport, Run
    from lstm_lrp_cli.sequences.read import Source, read_blocks
    from lstm_lrp_cli.sequences.stream import display_name

    refuse_same_file({"-o": output, "--report": report}, {"MODEL": model, "INPUT": Path(input)})
    form = choose_format(form, output, OUTPUTS)
    refuse_bytes(form, output)
    read = load_model(model, mapping, np.dtype(dtype), assume)
    loaded = read.model
    question = resolve_question(loaded, target, step, labelled=labelled, default_step=None)
    detail = choose_detail(by, series=loaded.embedding is None, whole=OUTPUTS[form].whole_unasked)
    if top is not None and not OUTPUTS[form].tells_top:
        telling = [each.name for each in OUTPUTS.values() if each.tells_top]
        raise click.UsageError(
            f"--top: {form} has a place for every relevance; expected --format "
            f"{', '.join(telling)}."
        )
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
    source = Source(input, input_format, ids, labelled)
    run = Run(
        display_name(str(model)), display_name(input), tuple(read.assumptions), tuple(read.warnings)
    )
    summary = ExplainReport(loaded, methods, run)
    about = summary.about(detail)
    rendering = Rendering(loaded, methods, question, form, detail, about, top)
    if rendering.reach == "features":
        refuse_values_of_steps(methods, loaded)
    blocks = read_blocks(source, loaded, rendering.block_steps)
    stream(
        rendering,
        blocks,
        summary,
        output=output,
        report=report,
        jobs=jobs,
        quiet=quiet,
        no_pager=no_pager,
    )


def choose_detail(by: Detail | None, *, series: bool, whole: bool = False) -> Detail:
    """How finely relevance is told, where the option fits the model.

    Parameters
    ----------
    whole : bool
        Whether every value is told where nothing is asked for.
    """
    allowed: tuple[Detail, ...] = ("feature", "step") if series else ("token", "dimension")
    if by is None:
        return "dimension" if whole and not series else allowed[0]
    if by not in allowed:
        kind = "takes numbers" if series else "takes tokens"
        raise click.BadParameter(
            f"the model {kind}; expected {' or '.join(allowed)}.", param_hint="--by"
        )
    return by
