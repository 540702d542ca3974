"""A summary as one page that needs nothing but itself, in the style of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from lstm_lrp_cli import __version__
from lstm_lrp_cli.outputs.html import element, rendered
from lstm_lrp_cli.terminal.words import dropped_note, signed
from .summary import Summary
from .table import TYPICAL, method_title, position_rows, target_title, tenth_rows

if TYPE_CHECKING:
    from .summary import Summary


STYLES = ("report.css", "summary.css")


def write_page(summary: Summary, file: TextIO) -> None:
    """Write a summary as HTML. All text of it is escaped, and nothing else is loaded or run."""
    style, style_hash = element("style", STYLES)
    file.write(
        rendered(
            "summary.html.j2",
            summary=summary,
            style=style,
            style_hash=style_hash,
            version=__version__,
            typical_tokens=TYPICAL,
            signed=signed,
            method_title=method_title,
            target_title=target_title,
            position_rows=position_rows,
            tenth_rows=tenth_rows,
            dropped_note=dropped_note,
        )
    )


def _table(summary: Summary, file: TextIO) -> None:
    from .table import print_summary

    print_summary(summary, file)


def _json(summary: Summary, file: TextIO) -> None:
    import msgspec

    from lstm_lrp_cli.terminal.text import json_document

    file.write(json_document(msgspec.to_builtins(summary)))


def _html(summary: Summary, file: TextIO) -> None:
    # MOVED

    write_page(summary, file)


# Imported where used: rich is not needed to write JSON.
OUTPUTS: dict[str, Callable[[Summary, TextIO], None]] = {
    "table": _table,
    "json": _json,
    "html": _html,
}

ENDINGS = {".json": "json", ".html": "html", ".htm": "html"}
