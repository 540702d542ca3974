"""The outputs. A new one is a file in this folder and a line in OUTPUTS."""

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.reporting.writer import Detail, Writer


def _tsv(file: TextIO, model: Model, detail: Detail) -> Writer:
    from lstm_lrp_cli.reporting.table import TableWriter

    return TableWriter(file, model, detail, delimiter="\t")


def _csv(file: TextIO, model: Model, detail: Detail) -> Writer:
    from lstm_lrp_cli.reporting.table import TableWriter

    return TableWriter(file, model, detail, delimiter=",")


def _jsonl(file: TextIO, model: Model, detail: Detail) -> Writer:
    from lstm_lrp_cli.reporting.jsonl import JsonLinesWriter

    return JsonLinesWriter(file, model, detail)


def _terminal(file: TextIO, model: Model, detail: Detail) -> Writer:
    from lstm_lrp_cli.reporting.heatmap import HeatMapWriter

    return HeatMapWriter(file, model)


# Imported where used: rich is not needed to write a table.
OUTPUTS: dict[str, Callable[[TextIO, Model, Detail], Writer]] = {
    "tsv": _tsv,
    "csv": _csv,
    "jsonl": _jsonl,
    "terminal": _terminal,
}


def format_of(path: Path | None, on_terminal: bool) -> str:
    """The format where none is asked for: by the file's ending, a heat map on a terminal, TSV."""
    if path is not None:
        ending = path.suffix.removeprefix(".")
        return ending if ending in OUTPUTS and ending != "terminal" else "tsv"
    return "terminal" if on_terminal else "tsv"
