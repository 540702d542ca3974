"""Pages in a browser: Debian's chromium, and pip install -e '.[browser]'.

Without them these tests are skipped. With LRP_REQUIRE_BROWSER set, as in CI, they fail instead.
"""

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, opened_browser, show
from click.testing import CliRunner

from lstm_lrp_cli.cli import main


@pytest.fixture(scope="session")
def browser():
    there = importlib.util.find_spec("playwright") is not None and chromium() is not None
    if not there and not os.environ.get("LRP_REQUIRE_BROWSER"):
        pytest.skip("chromium or playwright is not installed")
    with opened_browser() as browser:
        yield browser


@dataclass
class Reports:
    """Opens what `lrp explain` writes, and notes what a browser complains of.

    Attributes
    ----------
    faults : list of str
        Errors and warnings of the console, errors of scripts, and everything that was fetched.
    """

    browser: Any
    folder: Path
    faults: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)

    def write(self, *arguments: object) -> Path:
        path = self.folder / "report.html"
        options = [*map(str, arguments), "-q", "-o", str(path)]
        result = CliRunner().invoke(main, ["explain", *options])
        assert result.exit_code == 0, result.output
        return path

    def open(self, *arguments: object, **context: object) -> Any:
        """The page that these arguments give, as a browser shows it."""
        path = self.write(*arguments)
        page = self.page(**context)
        page.on("request", lambda each: self._note(each.url, each.url != path.as_uri()))
        show(page, path)
        return page

    def page(self, **context: object) -> Any:
        options = {"viewport": {"width": 1200, "height": 900}, **context}
        self.contexts.append(self.browser.new_context(**options))
        page = self.contexts[-1].new_page()
        page.on("console", lambda each: self._note(each.text, each.type in ("error", "warning")))
        page.on("pageerror", lambda error: self._note(str(error), True))
        return page

    def _note(self, text: str, is_fault: bool) -> None:
        if is_fault:
            self.faults.append(text)


@pytest.fixture
def reports(browser, tmp_path):
    """Open reports; none may have a fault at the end."""
    opened = Reports(browser, tmp_path)
    yield opened
    for context in opened.contexts:
        context.close()
    assert opened.faults == []
