"""What the project promises, and whether it was measured so."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tables import model_of, number

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


def _throughput(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["dtype"] != "float32":
            continue
        size, ratios = (row["embedding"], row["hidden"]), row["ratios"]
        at = model_of(row)
        for name, promised in (("forward", FORWARD), ("gradient x input", GRADIENT)):
            if size in promised and name in ratios:
                what = f"engine / PyTorch's {name}, {at}"
                yield _at_least(what, promised[size], ratios[name]["median"])
        if size == FIRST and "per sequence" in ratios:
            what = f"engine / one sequence at a time in float64 and one thread, {at}"
            yield _at_least(what, PER_SEQUENCE, ratios["per sequence"]["median"])


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
