"""A browser without a window, to look at pages with."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Nothing is fetched, and nothing that a container lacks is needed.
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def chromium() -> str | None:
    """Where Debian's browser is; None where there is none."""
    return shutil.which("chromium")


@contextmanager
def opened_browser() -> Iterator[Any]:
    """Playwright's browser, driven from this process."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        yield browser
        browser.close()


def show(page: Any, path: Path) -> None:
    """Open a report, and wait until its sequences are there."""
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
