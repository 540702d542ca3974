"""Contenders timed in turn, so that whatever else the machine does meets all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


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


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Values as they were measured, with their median, least and greatest."""
    return {
        "values": list(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def rates(contenders: Sequence[Contender], seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Tokens per second of each contender, with its description."""
    return {
        contender.name: {
            "description": contender.description,
            "tokens": contender.tokens,
            "seconds": seconds[contender.name],
            "tokens_per_second": spread(
                [contender.tokens / taken for taken in seconds[contender.name]]
            ),
        }
        for contender in contenders
    }


def ratios(of: str, measured: dict[str, Any]) -> dict[str, Any]:
    """How many times faster one contender is than each other, round by round."""
    own = measured[of]["tokens_per_second"]["values"]
    return {
        name: spread(
            [a / b for a, b in zip(own, other["tokens_per_second"]["values"], strict=True)]
        )
        for name, other in measured.items()
        if name != of
    }
