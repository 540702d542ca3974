"""`lrp predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.outputs.registry import PREDICTION_OUTPUTS
from lstm_lrp_cli.running.stream import stream
from .options.arguments import (
    assume_option,
    choose_format,
    dtype_option,
    input_argument,
    input_options,
    mapping_option,
    model_argument,
    output_options,
    refuse_labels,
    refuse_same_file,
)
from .options.help import Command

if TYPE_CHECKING:
    from lstm_lrp_cli.sequences.naming import InputFormat


@click.command(
    cls=Command,
    examples=(
        "lrp predict model.h5 sentences.txt -o predictions.tsv",
        "lrp predict model.h5 labelled.txt --labelled --report report.json",
        "zcat corpus.gz | lrp predict model.h5 - --format jsonl | jq .predicted",
    ),
)
@model_argument
@input_argument()
@mapping_option
@assume_option
@input_options
@dtype_option
@output_options(PREDICTION_OUTPUTS, "a short table")
def predict(
    model: Path,
    input: str,
    mapping: Path | None,
    assume: bool,
    ids: bool,
    labelled: bool,
    input_format: InputFormat | None,
    dtype: str,
    form: str | None,
    output: Path | None,
    report: Path | None,
    jobs: int | None,
    quiet: bool,
    no_pager: bool,
) -> None:
    """Predict with MODEL for the sequences in INPUT, and explain nothing.

    Writes the scores, probabilities and predicted class of every sequence; where the model gives
    scores at every step, of every step. With --labelled, the report has the accuracy, and which
    classes were taken for which.

    INPUT is text, one sequence a line; JSON lines; or numeric series: .csv, .npy, .npz or .h5.
    All may be compressed. - is standard input.
    """
    import numpy as np

    from lstm_lrp_cli.loading.load import load_model
    from lstm_lrp_cli.outputs.predictions import PredictionLayout
    from lstm_lrp_cli.running.predictions import PredictionRendering, PredictReport
    from lstm_lrp_cli.running.report import Run
    from lstm_lrp_cli.sequences.read import Source, read_blocks
    from lstm_lrp_cli.sequences.stream import display_name

    refuse_same_file({"-o": output, "--report": report}, {"MODEL": model, "INPUT": Path(input)})
    read = load_model(model, mapping, np.dtype(dtype), assume)
    loaded = read.model
    if labelled:
        refuse_labels(loaded)
    layout = PredictionLayout(loaded, labelled)
    rendering = PredictionRendering(layout, choose_format(form, output, PREDICTION_OUTPUTS))
    run = Run(
        display_name(str(model)), display_name(input), tuple(read.assumptions), tuple(read.warnings)
    )
    summary = PredictReport(layout, run)
    source = Source(input, input_format, ids, labelled)
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
