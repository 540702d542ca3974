"""Run the commands of the tutorial and the guides, and write what they print below them.

Run it from anywhere, with the package installed, and what a page's `<!-- needs: ... -->` names:

    python docs/make_output.py

On these pages, a block of shell below `<!-- checked -->` is run, in the order of the page and in
one folder that has `sample_models`. A block below `<!-- prints -->` is what the one before it
prints, on standard output and error; `<!-- write: FILE -->` writes the block below to that file.
"""

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from shell import run_script  # noqa: E402

PAGES = (DOCS / "tutorial.md", DOCS / "understanding.md", *sorted((DOCS / "how-to").glob("*.md")))
STEP = re.compile(
    r"^(?P<head><!-- (?P<kind>checked|prints|write)(: (?P<file>[^\n]+))? -->\n```\w*\n)"
    r"(?P<block>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def needs(page: Path) -> Sequence[str]:
    """The programs and packages that a page's commands need."""
    named = re.search(r"^<!-- needs: (.*) -->$", page.read_text("utf-8"), re.MULTILINE)
    return named[1].split(", ") if named else ()


def renewed(page: Path, folder: Path) -> str:
    """The page's text, with what its commands print when they are run in a folder."""
    (folder / "sample_models").symlink_to(ROOT / "sample_models")
    printed = ""

    def run(step: re.Match[str]) -> str:
        nonlocal printed
        if step["kind"] == "prints":
            return f"{step['head']}{printed}```"
        if step["kind"] == "write":
            (folder / step["file"]).write_text(step["block"], encoding="utf-8")
        else:
            # A pipe fails with any of its parts.
            output = run_script(f"set -uo pipefail\n{step['block']}", folder, folder / "statuses")
            printed = "".join(f"{line.rstrip()}\n" for line in output.strip("\n").splitlines())
        return step[0]

    return STEP.sub(run, page.read_text("utf-8"))


def main() -> None:
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(renewed(page, Path(folder)), encoding="utf-8")
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
