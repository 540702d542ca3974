"""Files made on purpose, which claim, nest, repeat or name what no honest file does.

Each is written anew, so that the corpus stays small.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from fuzz.seeds import Seed

# What makes the files of a name, in an empty folder that it may use.
Maker = Callable[[Path], Seed]
CASES: dict[str, Maker] = {}


def several(name: str, makers: dict[str, Maker]) -> None:
    """Add files that are alike."""
    CASES.update({f"{name}_{each}": maker for each, maker in makers.items()})


def all_cases() -> Iterator[tuple[str, Maker]]:
    from . import arrays, corpus, inputs, mappings, models, pickles  # noqa: F401 - they add theirs

    yield from CASES.items()
