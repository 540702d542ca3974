"""`lrp explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.explaining.settings import SETTINGS
from lstm_lrp_cli.outputs import OUTPUTS
from lstm_lrp_cli.running.stream import Destination, stream
from .options.arguments import (
    QuestionOptions,
    choose_format,
    output_options,
    question_options,
    refuse_bytes,
    refuse_same_file,
)
from .options.help import Command
from .options.inputs import RARE, InputOptions, input_argument
from .options.methods import SettingOptions, methods_option, setting_options
from .options.model import ModelOptions, model_options
from .options.shards import RARE as OF_SHARDS
from .options.shards import ShardOptions, shard_options, write_parts

if TYPE_CHECKING:
    from lstm_lrp_cli.explaining.explanation import Detail


@click.command(
    cls=Command,
    examples=(
        'lrp explain model.h5 --text "A fine and moving film."',
        "lrp explain model.h5 IMDB.csv --text review --label sentiment --target gold",
        "zcat corpus.gz | lrp explain model.h5 - --format jsonl | jq .relevance",
    ),
    rare=(
        *("assume", "id", "ids", *RARE, "top", "bias_factor", "steps", "baseline", "groups"),
        *("span", "seed", "attention", "no_pager", "verbatim", "dtype", "jobs", *OF_SHARDS),
    ),
)
@model_options
@input_argument()
@methods_option("--method")
@question_options
@setting_options(*SETTINGS)
@click.option(
    "--by",
    type=click.Choice(["token", "dimension", "step", "feature"]),
    metavar="UNIT",
    help="token, dimension, step or feature.  [default: by INPUT]",
)
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N", help="Tell of the N strongest of each alone."
)
@click.option("--attention", is_flag=True, help="Tell of attention weights too, in jsonl.")
@output_options(OUTPUTS)
@shard_options
def explain(
    of: ModelOptions,
    given: InputOptions,
    method: tuple[str, ...],
    question: QuestionOptions,
    settings: SettingOptions,
    by: Detail | None,
    top: int | None,
    attention: bool,
    form: str | None,
    to: Destination,
    shards: ShardOptions,
) -> None:
    """Explain the predictions of MODEL for the sequences in INPUT.

    INPUT is text, JSON lines, a table or numeric series, also compressed; of several inputs
    NAME=FILE for each; - is standard input.
    """
    from lstm_lrp_cli.explaining.explanation import details_of
    from lstm_lrp_cli.explaining.settings import resolve_methods
    from lstm_lrp_cli.inputs.read import read_blocks
    from lstm_lrp_cli.running.blocks import ToExplain
    from lstm_lrp_cli.running.report import ExplainReport, Run

    read = of.files | given.files | settings.files(method)
    refuse_same_file(to.written, read)
    form = choose_format(form, to, OUTPUTS)
    refuse_bytes(form, to)
    whole = of.load(to.written)
    model = question.asked(whole)
    asked = question.of(model, labelled=given.labelled)
    if by is None and OUTPUTS[form].whole_unasked and model.takes_tokens:
        by = "dimension"
    details_of(model, by)  # which refuses what no input is told by
    if top is not None and not OUTPUTS[form].tells_top:
        telling = [each.name for each in OUTPUTS.values() if each.tells_top]
        raise click.UsageError(
            f"--top: {form} has a place for every relevance; expected --format "
            f"{', '.join(telling)}."
        )
    if attention and not OUTPUTS[form].tells_attention:
        raise click.UsageError(
            f"--attention: {form} has no place for attention weights; expected --format "
            f"{', '.join(each.name for each in OUTPUTS.values() if each.tells_attention)}."
        )
    if by == "dimension" and OUTPUTS[form].picture:
        by = "token"  # a picture shows tokens as a whole
    methods = resolve_methods(method, model, settings.given(method), given.source)
    run = Run(of.name, given.name)
    asking = ToExplain(run, methods, question.target, asked, by, attention, form, top, to.verbatim)
    rendering = asking.rendering(whole)
    report = ExplainReport(rendering.explainer, run)
    if to.folder is None:
        shards.refuse()
        blocks = read_blocks(given.source, model, rendering.block_steps)
        stream(rendering, blocks, report, to)
    else:
        write_parts(of.dtype, given, whole, asking, report, to, shards)
