"""The outputs. A new one is a file in this folder and a line in OUTPUTS.

One of bytes has a line in SINKS besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from lstm_lrp_cli.sequences.naming import format_ending

if TYPE_CHECKING:
    from lstm_lrp_cli.explaining.explanation import Explanation
    from .writer import Layout, Sink, Writer

    ExplanationWriter = Writer[Sequence[Explanation]]


def _tsv(file: TextIO, layout: Layout) -> ExplanationWriter:
    from .table import TableWriter

    return TableWriter(file, layout, delimiter="\t")


def _csv(file: TextIO, layout: Layout) -> ExplanationWriter:
    from .table import TableWriter

    return TableWriter(file, layout, delimiter=",")


def _jsonl(file: TextIO, layout: Layout) -> ExplanationWriter:
    from .jsonl import JsonLinesWriter

    return JsonLinesWriter(file, layout)


def _terminal(file: TextIO, layout: Layout) -> ExplanationWriter:
    from .heatmap import HeatMapWriter

    return HeatMapWriter(file, layout)


def _html(file: TextIO, layout: Layout) -> ExplanationWriter:
    from .html import HtmlWriter

    return HtmlWriter(file, layout)


def _markdown(file: TextIO, layout: Layout) -> ExplanationWriter:
    from .markdown import MarkdownWriter

    return MarkdownWriter(file, layout)


def _parquet(sink: Sink, layout: Layout) -> ExplanationWriter:
    from .parquet import RowsWriter

    return RowsWriter(sink, layout)


def _nested(sink: Sink, layout: Layout) -> ExplanationWriter:
    from .parquet import NestedWriter

    return NestedWriter(sink, layout)


def _npz(sink: Sink, layout: Layout) -> ExplanationWriter:
    from .npz import NpzWriter

    return NpzWriter(sink, layout)


# Imported where used: rich is not needed to write a table.
OUTPUTS: dict[str, Callable[[Any, Layout], ExplanationWriter]] = {
    "tsv": _tsv,
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "parquet-nested": _nested,
    "npz": _npz,
    "markdown": _markdown,
    "terminal": _terminal,
    "html": _html,
}

# Those that can tell of the strongest alone; in the others, every relevance has its place.
TOP_OUTPUTS = ("tsv", "csv", "terminal")


def _parquet_sink(file: BinaryIO, layout: Layout) -> Sink:
    from .parquet import rows_sink

    return rows_sink(file, layout)


def _nested_sink(file: BinaryIO, layout: Layout) -> Sink:
    from .parquet import nested_sink

    return nested_sink(file, layout)


def _npz_sink(file: BinaryIO, layout: Layout) -> Sink:
    from .npz import NpzSink

    return NpzSink(file, layout)


# The outputs that are files of bytes, and what puts those together of what writers write.
SINKS: dict[str, Callable[[BinaryIO, Layout], Sink]] = {
    "parquet": _parquet_sink,
    "parquet-nested": _nested_sink,
    "npz": _npz_sink,
}

# Those for people, who are told of a token as a whole, and of a step if they ask for it.
PICTURES = frozenset({"html", "markdown", "terminal"})
# Those that tell every value unless they are asked for less.
WHOLE_UNASKED = frozenset({"npz"})


ENDINGS = {
    "": "tsv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".html": "html",
    ".htm": "html",
    ".parquet": "parquet",
    ".npz": "npz",
    ".md": "markdown",
}


def format_of(path: Path) -> str | None:
    """The format that a file's ending asks for, TSV where it has none; None if it is unknown."""
    return ENDINGS.get(format_ending(path))
