"""Honest files of each kind, small, with the commands that read them and how they are damaged."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from fuzz.mutation import Mutator

TESTS = Path(__file__).parents[2]
GOLDEN = TESTS / "golden"


@dataclass(frozen=True)
class Seed:
    """A folder with a file that is to be spoilt, and a command that reads it.

    Parameters
    ----------
    spoilt : str
        The name of the file that is damaged.
    command : tuple of str
        Arguments of `lrp`, run in the folder.
    others : dict of str to bytes
        The other files, by their names in the folder.
    """

    spoilt: str
    data: bytes
    command: tuple[str, ...]
    others: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Parameters
    ----------
    seeds : function
        Makes them, in an empty folder that it may use.
    mutators : dict of function to int
        How somebody damages them who knows the format, with weights.
    """

    seeds: Callable[[Path], list[Seed]]
    mutators: dict[Mutator, int]


@cache
def read(name: str) -> bytes:
    """A golden file."""
    return (GOLDEN / name).read_bytes()


def inspected(name: str, **options: str) -> Seed:
    """A golden model that says all of itself."""
    file = Path(name).name
    return Seed(file, read(name), ("inspect", file))
