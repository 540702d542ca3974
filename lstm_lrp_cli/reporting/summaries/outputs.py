"""The outputs of summaries. A new one is a file in this folder and a line in OUTPUTS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from lstm_lrp_cli.summarizing.summary import Summary


def _table(summary: Summary, file: TextIO) -> None:
    from lstm_lrp_cli.reporting.summaries.table import print_summary

    print_summary(summary, file)


def _json(summary: Summary, file: TextIO) -> None:
    import msgspec

    from lstm_lrp_cli.reporting.document import json_document

    file.write(json_document(msgspec.to_builtins(summary)))


def _html(summary: Summary, file: TextIO) -> None:
    from lstm_lrp_cli.reporting.summaries.html import write_page

    write_page(summary, file)


# Imported where used: rich is not needed to write JSON.
OUTPUTS: dict[str, Callable[[Summary, TextIO], None]] = {
    "table": _table,
    "json": _json,
    "html": _html,
}

ENDINGS = {".json": "json", ".html": "html", ".htm": "html"}
