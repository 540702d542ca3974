"""Tables of what was measured, for the terminal and for docs/benchmarks.md.

python tests/benchmarks/page.py

writes those of the page from docs/benchmarks.json, which run.py has written.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
PAGE, RESULTS = DOCS / "benchmarks.md", DOCS / "benchmarks.json"
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
MODEL, PEERS = "embedding, hidden", ("forward", "gradient x input")
Row = Mapping[str, Any]
Rows = Sequence[Row]
# Lines of text, the first of them the names of columns.
Table = list[list[str]]


def page() -> str:
    """The page, with the tables between its markers made anew."""
    found = shown(json.loads(RESULTS.read_text("utf-8")))
    return MARKED.sub(lambda mark: mark[1] + found[mark[2]] + mark[3], PAGE.read_text("utf-8"))


def shown(results: Mapping[str, Any]) -> dict[str, str]:
    """A table in Markdown for each part that was measured, and a line on the machine."""
    parts = results["parts"]
    days = sorted({part["date"][:10] for part in parts.values()})
    measured = {**results["machine"], "measured": " to ".join(days)}
    machine = "; ".join(f"{name} {value}" for name, value in measured.items()) + "\n"
    return {"machine": machine, **{name: _markdown(name, parts[name]["rows"]) for name in parts}}


def _markdown(name: str, rows: Rows) -> str:
    head, *lines = TABLES[name](rows)
    aligned = [head, [":--", *["--:"] * (len(head) - 1)], *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in aligned)


def number(value: float) -> str:
    """A number in three digits, or more where they stand before the point."""
    digits = 0 if abs(value) < 100 else len(str(int(abs(value))))
    return f"{round(value, 3 - digits):,.0f}" if digits else f"{value:#.3g}"


def _model(row: Row) -> str:
    return f"{row['embedding']}, {row['hidden']}{' both ways' * (row['directions'] == 2)}"


def _rate(row: Row, name: str) -> str:
    return number(row["contenders"][name]["tokens_per_second"]["median"])


def _ratios(row: Row, *names: str) -> list[str]:
    return [number(row["ratios"][n]["median"]) if n in row["ratios"] else "" for n in names]


def _throughput(rows: Rows) -> Table:
    """A line for each model and precision, three columns for each number of threads."""
    head, lines = [MODEL, "dtype"], {}
    for threads in dict.fromkeys(row["threads"] for row in rows):
        head += [f"{threads} thread{'s' * (threads > 1)}", *(f"/ {peer}" for peer in PEERS)]
    for row in rows:
        names = _model(row), row["dtype"]
        lines.setdefault(names, [*names]).extend([_rate(row, "engine"), *_ratios(row, *PEERS)])
    return [head, *lines.values()]


def _series(rows: Rows) -> Table:
    head = ["features", "engine", f"/ {PEERS[1]}", "command"]
    return [head] + [
        [str(r["features"]), _rate(r, "engine"), *_ratios(r, PEERS[1]), _rate(r, "command")]
        for r in rows
    ]


def _other_layers(rows: Rows) -> Table:
    """A convolution is beside PyTorch's, a GRU beside an LSTM."""
    lines = [
        [r["layer"], _rate(r, "engine"), *_ratios(r, "lstm"), *_ratios(r, PEERS[0])] for r in rows
    ]
    return [["layer", "steps per second", "/ LSTM", "/ PyTorch, 2 threads"], *lines]


def _command(rows: Rows) -> Table:
    head = ["jobs", "million words", "words per second", "/ engine", "peak MB", "beyond"]
    table = [[MODEL, *head]]
    for row in rows:
        rates = (row[name]["median"] for name in ("tokens_per_second", "of_engine"))
        figures = row["tokens"] / 1e6, *rates, *row["memory"].values()
        table.append([_model(row), str(row["threads"]), *map(number, figures)])
    return table


def _start_up(rows: Rows) -> Table:
    lines = [[r["command"], number(1e3 * r["seconds"]), number(r["ratio"])] for r in rows]
    return [["command", "ms", "ratio"], *lines]


TABLES = {
    "throughput": _throughput,
    "series": _series,
    "other-layers": _other_layers,
    "command": _command,
    "start-up": _start_up,
}

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
