"""`lrp predict`."""

import click

from lstm_lrp_cli.outputs import PREDICTION_OUTPUTS
from lstm_lrp_cli.running.stream import Destination, stream
from .options.arguments import choose_format, output_options, refuse_same_file
from .options.help import Command
from .options.inputs import InputOptions, input_argument
from .options.model import ModelOptions, model_options
from .options.shards import RARE, ShardOptions, shard_options, write_parts


@click.command(
    cls=Command,
    examples=(
        "lrp predict model.h5 sentences.txt -o predictions.tsv",
        "lrp predict model.h5 IMDB.csv --text review --label sentiment",
        "zcat corpus.gz | lrp predict model.h5 - --format jsonl | jq .predicted",
    ),
    rare=RARE,
)
@model_options
@input_argument()
@click.option(
    "--target",
    type=click.Choice(["error"]),
    metavar="error",
    help="Of an autoencoder, its reconstruction error alone.",
)
@output_options(PREDICTION_OUTPUTS)
@shard_options
def predict(
    of: ModelOptions,
    given: InputOptions,
    target: str | None,
    form: str | None,
    to: Destination,
    shards: ShardOptions,
) -> None:
    """Predict with MODEL for the sequences in INPUT, and explain nothing.

    Writes the scores, probabilities and predicted class of every sequence; where the model gives
    scores at every step, of every step. With --labelled, the report has the accuracy, and which
    classes were taken for which.

    INPUT is text, JSON lines, a table or numeric series, also compressed; of several inputs
    NAME=FILE for each; - is standard input.
    """
    from lstm_lrp_cli.explaining.question import refuse_labels
    from lstm_lrp_cli.explaining.reconstruction import asked_model
    from lstm_lrp_cli.inputs.read import read_blocks
    from lstm_lrp_cli.running.predictions import PredictReport, ToPredict
    from lstm_lrp_cli.running.report import Run

    refuse_same_file(to.written, of.files | given.files)
    whole = of.load(to.written)
    model = asked_model(whole, target)
    if given.labelled:
        refuse_labels(model)
    form = choose_format(form, to, PREDICTION_OUTPUTS)
    asking = ToPredict(target, given.labelled, form, to.verbatim)
    rendering = asking.rendering(whole)
    report = PredictReport(rendering.layout, Run(of.name, given.name))
    if to.folder is None:
        shards.refuse()
        blocks = read_blocks(given.source, model, rendering.block_steps)
        stream(rendering, blocks, report, to)
    else:
        write_parts(of.dtype, given, whole, asking, report, to, shards)
