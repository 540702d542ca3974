"""Take the pictures of HTML reports and summaries in docs/images.

Run it from anywhere, with the package installed, and what the tests in tests/browser need:

    python docs/make_screenshots.py
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
sys.path.insert(0, str(ROOT / "tests" / "support"))

from browser import opened_browser, show  # noqa: E402
from shell import run_script  # noqa: E402

THEMES = ("light", "dark")
SIZE = {"width": 1160, "height": 860}


@dataclass(frozen=True, slots=True)
class Screenshot:
    """A picture of a page, in every theme.

    Parameters
    ----------
    name : str
        The files' names, without theme and ending.
    folder : str
        Of sample_models: where the commands run.
    commands : str
        What writes page.html.
    choices : dict
        What is chosen in a report, by the label of the choice.
    focus : str or None
        What has the focus in a report, as a CSS selector; None of a summary.
    keys : sequence of str
        What is pressed there.
    """

    name: str
    folder: str
    commands: str
    choices: dict[str, str] = field(default_factory=dict)
    focus: str | None = None
    keys: Sequence[str] = ()


SCREENSHOTS = (
    Screenshot(
        "report",
        "sentiment_keras",
        "lrp explain model.h5 labelled.txt --labelled -q -o page.html",
        {"Outcome": "wrong", "Sort by": "score"},
        ".row .token",
        ("End",),
    ),
    Screenshot(
        "report-series",
        "weather_series",
        "lrp explain model.h5 series.csv -q -o page.html",
        {"Predicted": "rain"},
        ".series",
        ("Home", "End", "ArrowLeft", "ArrowDown", "ArrowDown"),
    ),
    Screenshot(
        "summary",
        "sentiment_keras",
        r"""
        awk -F '\t' '$2 > 1 {print "positive\t" $3} $2 < -1 {print "negative\t" $3}' \
          data/movie_reviews.tsv > corpus.txt
        lrp explain model.h5 corpus.txt --labelled -q -o corpus.jsonl.gz
        lrp summarize corpus.jsonl.gz -o page.html
        """,
    ),
)


def take(screenshot: Screenshot, theme: str, browser: Any, path: Path) -> None:
    """Write a page and take its picture."""
    samples = ROOT / "sample_models"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sample in (samples / "data", *(samples / screenshot.folder).iterdir()):
            (folder / sample.name).symlink_to(sample)
        run_script(screenshot.commands, folder, folder / "statuses")
        page = browser.new_page(viewport=SIZE, color_scheme=theme)
        if screenshot.focus is None:
            page.goto((folder / "page.html").as_uri())
        else:
            show(page, folder / "page.html")
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
