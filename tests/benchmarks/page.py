"""Write the tables of docs/benchmarks.md from docs/benchmarks.json, which run.py has written.

python tests/benchmarks/page.py
"""

import json
import re
from pathlib import Path

from tables import tables

DOCS = Path(__file__).parents[2] / "docs"
PAGE, RESULTS = DOCS / "benchmarks.md", DOCS / "benchmarks.json"
MARKED = re.compile(r"(<!-- tables: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page() -> str:
    """The page, with the tables between its markers made anew."""
    found = tables(json.loads(RESULTS.read_text("utf-8")))

    def filled(match: re.Match[str]) -> str:
        shown = [table.markdown() for table in found.get(match[2], []) if table.rows]
        return match[1] + "\n".join(shown or ["Not measured yet.\n"]) + match[3]

    return MARKED.sub(filled, PAGE.read_text("utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
