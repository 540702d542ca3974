"""A summary as one page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TextIO

import jinja2
from markupsafe import Markup

from lstm_lrp_cli import __version__
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

TEMPLATE, STYLE = "page.html.j2", "page.css"


def write_page(summary: Summary, file: TextIO) -> None:
    """Write a summary as HTML. All text of it is escaped, and a policy forbids the rest."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        signed=signed,
        method_title=method_title,
        target_title=target_title,
        position_rows=position_rows,
        tenth_rows=tenth_rows,
        dropped_note=dropped_note,
    )
    style = f"\n{_read(STYLE)}"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = environment.from_string(_read(TEMPLATE)).generate(
        summary=summary,
        typical_tokens=TYPICAL,
        style=Markup(f"<style>{style}</style>"),
        style_hash=Markup(f"'sha256-{digest}'"),
        version=__version__,
    )
    file.writelines(page)


def _read(name: str) -> str:
    """A file of the package."""
    return (resources.files(__package__) / name).read_text("utf-8")
