"""Contenders timed in turn, so that whatever else the machine does meets all of them alike."""

import gc
import importlib.util
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info


@dataclass(frozen=True, slots=True)
class Contender:
    """Something to be timed, and how many tokens it gets through in one run."""

    name: str
    tokens: int
    run: Callable[[], object]
    description: str = ""


def seconds_of(run: Callable[[], object]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turn(contenders: Sequence[Contender], repeats: int) -> dict[str, list[float]]:
    """The seconds of each contender in every round, after one round that is not counted.

    Every round begins with another contender, so that none always follows the same one.
    """
    for contender in contenders:
        contender.run()
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(repeats):
        gc.collect()
        first = turn % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            seconds[contender.name].append(seconds_of(contender.run))
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(own: Sequence[float], other: Sequence[float]) -> list[float]:
    """Round by round, so that both are of the same moment."""
    return [a / b for a, b in zip(own, other, strict=True)]


def beside(contenders: Sequence[Contender], repeats: int) -> dict[str, Any]:
    """Tokens per second of each, and how many times faster the first is, round by round."""
    seconds = in_turn(contenders, repeats)
    rates = {each.name: [each.tokens / s for s in seconds[each.name]] for each in contenders}
    own, *others = (each.name for each in contenders)
    found = {
        each.name: {"description": each.description, "tokens_per_second": spread(rates[each.name])}
        for each in contenders
    }
    return {
        "contenders": found,
        "ratios": {o: spread(ratios(rates[own], rates[o])) for o in others},
    }


def machine() -> dict[str, Any]:
    """What is measured on: the machine, and the versions of what runs on it."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text("utf-8") if info.exists() else "")
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": ", ".join(
            f"{b['internal_api']} {b['version']} ({b.get('architecture')})" for b in blas
        ),
        "torch": metadata.version("torch") if importlib.util.find_spec("torch") else None,
        "lrp": metadata.version("lstm-lrp-cli"),
    }
