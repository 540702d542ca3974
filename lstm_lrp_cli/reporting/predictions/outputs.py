"""The outputs of predictions: those of explanations, by the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from lstm_lrp_cli.reporting.predictions.layout import PredictionLayout
    from lstm_lrp_cli.reporting.writer import Writer
    from lstm_lrp_cli.scaling.prediction import Predictions

    PredictionWriter = Writer[Predictions]


def _tsv(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    from lstm_lrp_cli.reporting.predictions.table import PredictionTableWriter

    return PredictionTableWriter(file, layout, delimiter="\t")


def _csv(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    from lstm_lrp_cli.reporting.predictions.table import PredictionTableWriter

    return PredictionTableWriter(file, layout, delimiter=",")


def _jsonl(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    from lstm_lrp_cli.reporting.predictions.jsonl import PredictionJsonLinesWriter

    return PredictionJsonLinesWriter(file, layout)


def _terminal(file: TextIO, layout: PredictionLayout) -> PredictionWriter:
    from lstm_lrp_cli.reporting.predictions.screen import ScreenWriter

    return ScreenWriter(file, layout)


# Imported where used: rich is not needed to write a table.
OUTPUTS: dict[str, Callable[[TextIO, PredictionLayout], PredictionWriter]] = {
    "tsv": _tsv,
    "csv": _csv,
    "jsonl": _jsonl,
    "terminal": _terminal,
}
