"""What the project promises, and whether it was measured so."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tables import model_of, number, parts_alone, parts_at_limits

Row = Mapping[str, Any]

# What is promised of the engine is so in float32. By embedding and hidden size: times as fast as
# PyTorch with as many threads.
FORWARD = {(60, 60): 1.0, (128, 256): 1.2, (300, 512): 1.5}
GRADIENT = {(60, 60): 3.0, (128, 256): 4.0, (300, 512): 5.0}
# Of the gradient methods: times as fast as PyTorch's autograd on the same batch.
AUTOGRAD = 1.0
# At the first of these sizes: times as fast as one sequence at a time in float64.
FIRST = (60, 60)
PER_SEQUENCE = 100.0
# The whole command there.
OF_ENGINE = 0.6
MEGABYTES_BEYOND = 200.0
MEMORY_GROWTH = 1.1
# Times as long as the imports that a command cannot do without.
STARTUP = {"lrp --version": 1.3, "lrp explain": 1.5}


def judge(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every promise about what was measured, with what was found."""
    rows = {name: part["rows"] for name, part in parts.items()}
    return [
        *_throughput(rows.get("throughput", [])),
        *_gradients(rows.get("gradients", [])),
        *_command(rows.get("command", [])),
        *_startup(rows.get("start-up", [])),
    ]


def bounds(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the targets of the engine allow for a token, beside what its parts alone take.

    For each model whose parts were measured, in microseconds. A part is an operation of NumPy; what
    they take together bounds every engine that is made of them.
    """
    rows = {name: part["rows"] for name, part in parts.items()}
    shares = {model_of(row): row for row in rows.get("shares", [])}
    return [
        {
            "target": what,
            "engine": _microseconds(row, "engine"),
            "allowed": _microseconds(row, peer) / promised,
            "parts_alone": parts_alone(shares[model_of(row)]),
            "parts_at_limits": parts_at_limits(shares[model_of(row)]),
        }
        for row in rows.get("throughput", [])
        if model_of(row) in shares
        for what, peer, promised in _promises(row)
    ]


def _microseconds(row: Row, contender: str) -> float:
    """What it takes for a token."""
    return 1e6 / float(row["contenders"][contender]["tokens_per_second"]["median"])


def _throughput(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for what, peer, promised in _promises(row):
            yield _at_least(what, promised, row["ratios"][peer]["median"])


def _promises(row: Row) -> Iterator[tuple[str, str, float]]:
    """What is promised of the engine: in words, beside which contender, and how many times."""
    if row["dtype"] != "float32":
        return
    size, at = (row["embedding"], row["hidden"]), model_of(row)
    for peer, promised in (("forward", FORWARD), ("gradient x input", GRADIENT)):
        if size in promised and peer in row["ratios"]:
            yield f"engine / PyTorch's {peer}, {at}", peer, promised[size]
    if size == FIRST and "per sequence" in row["ratios"]:
        what = f"engine / one sequence at a time in float64 and one thread, {at}"
        yield what, "per sequence", PER_SEQUENCE


def _gradients(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        what = f"{row['method']} / PyTorch's, {row['batch']}, {model_of(row)}"
        yield _at_least(what, AUTOGRAD, row["ratio"]["median"])


def _command(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    least: dict[str, Row] = {}
    for row in rows:
        if (row["embedding"], row["hidden"]) != FIRST or row["dtype"] != "float32":
            continue
        at = model_of(row)
        smaller = least.setdefault(at, row)
        if row is smaller:
            what = f"command / engine, {row['tokens']:,} tokens, {at}"
            yield _at_least(what, OF_ENGINE, row["of_engine"]["median"])
            what = f"peak memory beyond that for one sentence, in MB, {at}"
            yield _at_most(what, MEGABYTES_BEYOND, row["memory"]["beyond"])
        else:
            growth = row["memory"]["peak"] / smaller["memory"]["peak"]
            what = f"peak memory, {row['tokens']:,} / {smaller['tokens']:,} tokens, {at}"
            yield _at_most(what, MEMORY_GROWTH, growth)


def _startup(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for command, allowed in STARTUP.items():
            if row["command"].startswith(command):
                yield _at_most(f"{row['command']} / {row['yardstick']}", allowed, row["ratio"])


def _at_least(what: str, needed: float, found: float) -> dict[str, Any]:
    return _judged(what, f"at least {number(needed)}", found, found >= needed)


def _at_most(what: str, needed: float, found: float) -> dict[str, Any]:
    return _judged(what, f"at most {number(needed)}", found, found <= needed)


def _judged(what: str, needed: str, found: float, met: bool) -> dict[str, Any]:
    return {"target": what, "needed": needed, "found": found, "met": met}
