"""A summary as it is written: as tables, as JSON, or as a page that needs nothing but itself.

What a form needs is imported where it is written: the names of the forms are an option's choices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from .summary import Summary

STYLES = ("report.css", "summary.css")


def write_table(summary: Summary, file: TextIO) -> None:
    """Write a summary as tables for people."""
    from .table import print_summary

    print_summary(summary, file)


def write_json(summary: Summary, file: TextIO) -> None:
    """Write a summary as one JSON document."""
    import msgspec

    from lstm_lrp_cli.terminal.text import json_document

    file.write(json_document(msgspec.to_builtins(summary)))


def write_page(summary: Summary, file: TextIO) -> None:
    """Write a summary as HTML, in the style of the report.

    All text of it is escaped, and nothing else is loaded or run.
    """
    from lstm_lrp_cli import __version__
    from lstm_lrp_cli.outputs.html import element, rendered
    from lstm_lrp_cli.terminal.words import dropped_note, signed
    from .table import TYPICAL, method_title, position_rows, target_title, tenth_rows

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


OUTPUTS: dict[str, Callable[[Summary, TextIO], None]] = {
    "table": write_table,
    "json": write_json,
    "html": write_page,
}
ENDINGS = {".json": "json", ".html": "html", ".htm": "html"}
