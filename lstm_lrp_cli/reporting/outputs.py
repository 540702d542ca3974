"""The outputs. A new one is a file in this folder and a line in OUTPUTS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lstm_lrp_cli.sequences.naming import format_ending

if TYPE_CHECKING:
    from lstm_lrp_cli.reporting.writer import Layout, Writer
    from lstm_lrp_cli.sequences.explanation import Explanation

    ExplanationWriter = Writer[Sequence[Explanation]]


def _tsv(file: TextIO, layout: Layout) -> ExplanationWriter:
    from lstm_lrp_cli.reporting.table import TableWriter

    return TableWriter(file, layout, delimiter="\t")


def _csv(file: TextIO, layout: Layout) -> ExplanationWriter:
    from lstm_lrp_cli.reporting.table import TableWriter

    return TableWriter(file, layout, delimiter=",")


def _jsonl(file: TextIO, layout: Layout) -> ExplanationWriter:
    from lstm_lrp_cli.reporting.jsonl import JsonLinesWriter

    return JsonLinesWriter(file, layout)


def _terminal(file: TextIO, layout: Layout) -> ExplanationWriter:
    from lstm_lrp_cli.reporting.heatmap import HeatMapWriter

    return HeatMapWriter(file, layout)


def _html(file: TextIO, layout: Layout) -> ExplanationWriter:
    from lstm_lrp_cli.reporting.html.writer import HtmlWriter

    return HtmlWriter(file, layout)


# Imported where used: rich is not needed to write a table.
OUTPUTS: dict[str, Callable[[TextIO, Layout], ExplanationWriter]] = {
    "tsv": _tsv,
    "csv": _csv,
    "jsonl": _jsonl,
    "terminal": _terminal,
    "html": _html,
}


ENDINGS = {
    "": "tsv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".html": "html",
    ".htm": "html",
}


def format_of(path: Path) -> str | None:
    """The format that a file's ending asks for, TSV where it has none; None if it is unknown."""
    return ENDINGS.get(format_ending(path))
