"""Run the commands of the tutorial and the guides, and write what they print below them.

Run it from anywhere, with the package installed, and what a page's `<!-- needs: ... -->` names:

    python docs/make_output.py

On these pages, the blocks of shell below `<!-- checked -->` are run one after another, by one
shell, in a folder that has `sample_models`. A block below `<!-- prints -->` is what the one before
it prints, on standard output and error.
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

PAGES = (
    *(DOCS / f"{name}.md" for name in ("tutorial", "understanding", "assumptions")),
    *sorted((DOCS / "how-to").glob("*.md")),
)
STEP = re.compile(
    r"^(?P<head><!-- (?P<kind>checked|prints) -->\n```\w*\n)(?P<block>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
# Stands between what one block prints and the next.
END = "-- end of the block --"


def needs(page: Path) -> Sequence[str]:
    """The programs and packages that a page's commands need."""
    named = re.search(r"^<!-- needs: (.*) -->$", page.read_text("utf-8"), re.MULTILINE)
    return named[1].split(", ") if named else ()


def renewed(page: Path, folder: Path) -> str:
    """The page's text, with what its commands print when they are run in a folder."""
    (folder / "sample_models").symlink_to(ROOT / "sample_models")
    text = page.read_text("utf-8")
    blocks = [step["block"] for step in STEP.finditer(text) if step["kind"] == "checked"]
    # A pipe fails with any of its parts.
    script = "set -uo pipefail\n" + "".join(f"{block}echo '{END}'\n" for block in blocks)
    outputs = iter(run_script(script, folder, folder / "statuses").split(f"{END}\n"))
    printed = ""

    def shown(step: re.Match[str]) -> str:
        nonlocal printed
        if step["kind"] == "checked":
            printed = next(outputs)
            return step[0]
        lines = (f"{line.rstrip()}\n" for line in printed.rstrip().lstrip("\n").splitlines())
        return f"{step['head']}{''.join(lines)}```"

    return STEP.sub(shown, text)


def main() -> None:
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(renewed(page, Path(folder)), encoding="utf-8")
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
