"""Take the pictures of the HTML report in docs/images.

Run it from anywhere, with the package installed, and what the tests in tests/browser need:

    python docs/make_screenshots.py
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
sys.path.insert(0, str(ROOT / "tests" / "support"))

from browser import opened_browser, show  # noqa: E402

LRP = (sys.executable, "-m", "lstm_lrp_cli")
THEMES = ("light", "dark")
SIZE = {"width": 1160, "height": 860}


@dataclass(frozen=True, slots=True)
class Screenshot:
    """A picture of a report, in every theme.

    Parameters
    ----------
    name : str
        The files' names, without theme and ending.
    folder : str
        Where the command runs, in sample_models.
    arguments : sequence of str
        Those of `lrp explain`.
    choices : dict
        What is chosen in the page, by the label of the choice.
    focus : str
        What has the focus, as a CSS selector.
    keys : sequence of str
        What is pressed there.
    """

    name: str
    folder: str
    arguments: Sequence[str]
    choices: dict[str, str]
    focus: str
    keys: Sequence[str]


SCREENSHOTS = (
    Screenshot(
        "report",
        "sentiment_keras",
        ("model.h5", "labelled.txt", "--labelled"),
        {"Outcome": "wrong", "Sort by": "score"},
        ".row .token",
        ("End",),
    ),
    Screenshot(
        "report-series",
        "weather_series",
        ("model.h5", "series.csv"),
        {"Predicted": "rain"},
        ".series",
        ("Home", "End", "ArrowLeft", "ArrowDown", "ArrowDown"),
    ),
)


def take(screenshot: Screenshot, theme: str, browser: Any, path: Path) -> None:
    """Write a report and take its picture."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        subprocess.run(
            [*LRP, "explain", *screenshot.arguments, "-q", "-o", str(report)],
            cwd=ROOT / "sample_models" / screenshot.folder,
            check=True,
        )
        page = browser.new_page(viewport=SIZE, color_scheme=theme)
        show(page, report)
        for label, option in screenshot.choices.items():
            page.get_by_label(label, exact=True).select_option(option)
        page.locator(screenshot.focus).first.focus()
        for key in screenshot.keys:
            page.keyboard.press(key)
        page.screenshot(path=path)
        page.close()


def main() -> None:
    with opened_browser() as browser:
        for screenshot in SCREENSHOTS:
            for theme in THEMES:
                path = IMAGES / f"{screenshot.name}-{theme}.png"
                take(screenshot, theme, browser, path)
                print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
