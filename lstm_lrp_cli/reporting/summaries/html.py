"""A summary as one page that needs nothing but itself, in the style of the report."""

from __future__ import annotations

from typing import TextIO

from lstm_lrp_cli import __version__
from lstm_lrp_cli.reporting.html.page import element, rendered
from lstm_lrp_cli.reporting.summaries.words import (
    TYPICAL,
    dropped_note,
    method_title,
    position_rows,
    signed,
    target_title,
    tenth_rows,
)
from lstm_lrp_cli.summarizing.summary import Summary

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
