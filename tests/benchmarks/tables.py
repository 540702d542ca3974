"""What was measured as tables, for the terminal and for the documentation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; its first columns are names, and the others numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As documentation has it."""
        lines = [self.columns, [":--", *["--:"] * (len(self.columns) - 1)], *self.rows]
        shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"**{self.title}**\n\n{shown}\n"


def tables(results: Mapping[str, Any]) -> dict[str, list[Table]]:
    """All tables of what was measured, part by part."""
    found = {
        name: TABLES[name](results["parts"][name]["rows"])
        for name in TABLES
        if name in results["parts"]
    }
    return {
        "machine": [_machine(results)],
        **found,
        "targets": [_targets(results["targets"])],
        "bounds": [_bounds(results["bounds"])],
    }


def number(value: float) -> str:
    """A number in three digits, or more where they stand before the point."""
    if abs(value) < 100:
        return f"{value:#.3g}"
    digits = len(str(int(abs(value))))
    return f"{round(value, 3 - digits):,.0f}"


def percent(share: float) -> str:
    """A share in percent, small ones with a digit more."""
    return f"{share:.0%}" if abs(share) >= 0.095 else f"{share:.1%}"


def model_of(row: Row) -> str:
    """A row's model, precision and threads in words."""
    both = " both ways" if row["directions"] == 2 else ""
    threads = f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
    return f"({row['embedding']}, {row['hidden']}){both} {row['dtype']}, {threads}"


def between(spread: Row) -> str:
    """A median, with the least and the greatest value."""
    return f"{number(spread['median'])} ({number(spread['min'])} to {number(spread['max'])})"


def _machine(results: Mapping[str, Any]) -> Table:
    described = {
        **results["machine"],
        **{f"{name}, measured": part["date"] for name, part in results["parts"].items()},
    }
    rows = [
        [name, ", ".join(value) if isinstance(value, list) else str(value)]
        for name, value in described.items()
    ]
    return Table("Machine and versions", ["", ""], rows)


def _throughput(rows: Sequence[Row]) -> list[Table]:
    def rate(row: Row, name: str) -> str:
        return number(row["contenders"][name]["tokens_per_second"]["median"])

    beside_torch = [row for row in rows if "forward" in row["ratios"]]
    peers = [
        [
            model_of(row),
            rate(row, "engine"),
            rate(row, "forward"),
            between(row["ratios"]["forward"]),
            rate(row, "gradient x input"),
            between(row["ratios"]["gradient x input"]),
        ]
        for row in beside_torch
    ]
    batches = [
        [model_of(row), *(row["contenders"][name]["description"] for name in PEERS)]
        for row in beside_torch
    ]
    plain = [
        [
            model_of(row),
            rate(row, "engine"),
            rate(row, "per sequence"),
            between(row["ratios"]["per sequence"]),
            rate(row, "per sequence, vectors"),
            between(row["ratios"]["per sequence, vectors"]),
        ]
        for row in rows
        if "per sequence" in row["ratios"]
    ]
    model = "model (embedding, hidden)"
    return [
        Table(
            "Tokens per second beside PyTorch",
            [model, "engine", *(head for name in PEERS for head in (name, f"engine / {name}"))],
            peers,
        ),
        Table("The batches in which PyTorch was fastest", [model, *PEERS], batches),
        Table(
            "Tokens per second beside one sequence at a time, in float64 and one thread",
            [
                model,
                "engine",
                "per sequence",
                "engine / per sequence",
                "per sequence, vectors",
                "engine / per sequence, vectors",
            ],
            plain,
        ),
    ]


def _gradients(rows: Sequence[Row]) -> list[Table]:
    def rate(row: Row, name: str) -> str:
        return number(row["contenders"][name]["tokens_per_second"]["median"])

    shown = [
        [
            model_of(row),
            row["batch"],
            row["method"],
            rate(row, row["method"]),
            rate(row, row["fastest"]),
            row["contenders"][row["fastest"]]["description"],
            between(row["ratio"]),
        ]
        for row in rows
    ]
    columns = ["model (embedding, hidden)", "batch", "method", "engine", "PyTorch", "its batches"]
    return [Table("Gradients beside PyTorch's", [*columns, "engine / PyTorch"], shown)]


def _command(rows: Sequence[Row]) -> list[Table]:
    shown = [
        [
            model_of(row),
            f"{row['tokens']:,}",
            number(row["tokens_per_second"]["median"]),
            number(row["engine_tokens_per_second"]["median"]),
            between(row["of_engine"]),
            number(row["memory"]["peak"]),
            number(row["memory"]["beyond"]),
        ]
        for row in rows
    ]
    columns = [
        "model (embedding, hidden)",
        "tokens",
        "tokens per second",
        "engine alone",
        "command / engine",
        "peak memory, MB",
        "beyond that of one sentence, MB",
    ]
    return [Table("`lrp explain corpus.txt -o out.tsv`", columns, shown)]


def _series(rows: Sequence[Row]) -> list[Table]:
    def rate(row: Row, name: str) -> str:
        found = row["contenders"].get(name)
        return number(found["tokens_per_second"]["median"]) if found else ""

    def ratio(row: Row, name: str) -> str:
        return between(row["ratios"][name]) if name in row["ratios"] else ""

    names = ("gradient x input", "command")
    shown = [
        [
            row["input"],
            f"{row['steps']:,}",
            rate(row, "engine"),
            *(show(row, name) for name in names for show in (rate, ratio)),
        ]
        for row in rows
    ]
    heads = (head for name in names for head in (name, f"engine / {name}"))
    columns = ["input", "steps", "engine", *heads]
    return [Table("Steps per second, every value told, (.., 60) float32, 1 thread", columns, shown)]


def _scaling(rows: Sequence[Row]) -> list[Table]:
    found = []
    for varied in dict.fromkeys(row["varied"] for row in rows):
        shown = [
            [f"{row['value']:,}", between(row["microseconds_per_token"])]
            for row in rows
            if row["varied"] == varied
        ]
        found.append(Table(f"Cost by {varied}", [varied, "microseconds per token"], shown))
    return found


def _shares(rows: Sequence[Row]) -> list[Table]:
    found = []
    for row in rows:
        taken = row["microseconds_per_token"]
        whole = taken["engine"]["median"]
        shown = [
            [
                part["part"],
                number(taken[part["part"]]["median"]),
                percent(part["of_engine"]),
                percent(part["of_limit"]),
                part["limit"],
            ]
            for part in row["parts"]
        ]
        rest = number(row["rest"]), percent(row["rest"] / whole)
        shown.append(["rest of the engine", *rest, "", ""])
        bounds = {
            "engine, if nothing lay between its parts": parts_alone(row),
            "engine, if all its parts ran at their limits": parts_at_limits(row),
        }
        for name, bound in bounds.items():
            shown.append([name, number(bound), percent(bound / whole), "", ""])
        title = f"{model_of(row)}: the engine takes {number(whole)} μs per token"
        columns = ["part", "μs per token", "of the engine's time", "of the limit", "limit"]
        found.append(Table(title, columns, shown))
        limits = [[name, number(rate / 1e9)] for name, rate in row["limits"].items()]
        title = f"The limits in {row['dtype']}, as measured beside that"
        found.append(Table(title, ["limit", "10⁹ a second"], limits))
    return found


def parts_alone(row: Row) -> float:
    """Of a row of shares, what the engine's parts take together, in μs a token."""
    return float(row["microseconds_per_token"]["engine"]["median"] - row["rest"])


def parts_at_limits(row: Row) -> float:
    """What the engine's parts would take together if the machine did its most, in μs a token."""
    taken = row["microseconds_per_token"]
    return sum(
        taken[part["part"]]["median"] * part["of_limit"]
        for part in row["parts"]
        if part["limit"] not in ("read", "write")
    )


def _choices(rows: Sequence[Row]) -> list[Table]:
    shown = [
        [row["choice"], row["alternative"], f"{row['hidden']}", between(row["ratio"])]
        for row in rows
    ]
    columns = ["chosen", "alternative", "hidden", "alternative / chosen"]
    return [Table("Time of the alternative", columns, shown)]


def _startup(rows: Sequence[Row]) -> list[Table]:
    shown = [
        [
            row["command"],
            number(1e3 * row["seconds"]),
            row["yardstick"],
            number(1e3 * row["yardstick_seconds"]),
            number(row["ratio"]),
        ]
        for row in rows
    ]
    return [Table("Start-up", ["command", "ms", "beside", "ms", "ratio"], shown)]


def _targets(rows: Sequence[Row]) -> Table:
    shown = [
        [row["target"], row["needed"], number(row["found"]), "met" if row["met"] else "not met"]
        for row in rows
    ]
    return Table("Targets", ["target", "needed", "found", ""], shown)


def _bounds(rows: Sequence[Row]) -> Table:
    keys = ("engine", "allowed", "parts_alone", "parts_at_limits")
    shown = [[row["target"], *(number(row[key]) for key in keys)] for row in rows]
    columns = [
        "target",
        "engine",
        "what the target allows",
        "if nothing lay between the engine's parts",
        "if these ran at their limits",
    ]
    return Table("Microseconds per token", columns, shown)


PEERS = ("forward", "gradient x input")
# The parts in the order in which they are shown.
TABLES: dict[str, Callable[[Sequence[Row]], list[Table]]] = {
    "throughput": _throughput,
    "gradients": _gradients,
    "command": _command,
    "series": _series,
    "scaling": _scaling,
    "shares": _shares,
    "choices": _choices,
    "start-up": _startup,
}
