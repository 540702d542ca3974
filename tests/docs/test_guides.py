"""Every command of the tutorial and the guides runs, in the order of its page, and prints what the
page shows."""

import re
import sys
from pathlib import Path

import pytest
from installed import program_or_package

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    DOCS / "tutorial.md",
    DOCS / "understanding.md",
    DOCS / "assumptions.md",
    *sorted((DOCS / "how-to").glob("*.md")),
]


@pytest.fixture
def make_output(monkeypatch):
    """The script that runs the commands."""
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.delitem(sys.modules, "make_output", raising=False)
    import make_output

    return make_output


def comparable(text):
    """Without what differs from machine to machine: last digits, and where residuals are worst."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"[ ─━]+", " ", line)
        if re.search(r"\de-\d|residual 0$", line):  # one machine's 0 is another's 1e-11
            line = re.sub(r"[-\d.e]*\d", "N", line)
        lines.append(re.sub(r"\d+\.\d{8,}", lambda number: f"{float(number[0]):.6g}", line))
    return lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_shows_what_its_commands_print(make_output, tmp_path, page):
    for name in make_output.needs(page):
        program_or_package(name)
    renewed = make_output.renewed(page, tmp_path)
    shown = page.read_text("utf-8")
    assert comparable(renewed) == comparable(shown), "run python docs/make_output.py"
    assert (tmp_path / "statuses").exists(), "no command is checked"


def test_every_page_with_such_commands_is_run(make_output):
    assert set(make_output.PAGES) == set(PAGES)
