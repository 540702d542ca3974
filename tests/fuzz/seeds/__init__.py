"""Honest files of each kind, small, with the commands that read them and how they are damaged."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
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
    others : dict of str to bytes or None
        The other files, by their names in the folder; None is a named pipe that nobody writes to.
    """

    spoilt: str
    data: bytes
    command: tuple[str, ...]
    others: Mapping[str, bytes | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Parameters
    ----------
    seeds : function
        Makes them, in an empty folder that it may use.
    mutators : dict of function to int
        How somebody damages them who knows the format, with weights.
    needs : str
        The package that makes and reads them.
    """

    seeds: Callable[[Path], list[Seed]]
    mutators: dict[Mutator, int]
    needs: str = "numpy"

    @property
    def is_there(self) -> bool:
        """Whether what it needs is installed."""
        return find_spec(self.needs) is not None


@cache
def read(name: str) -> bytes:
    """A golden file."""
    return (GOLDEN / name).read_bytes()


def inspected(name: str) -> Seed:
    """A golden model that says all of itself."""
    file = Path(name).name
    return Seed(file, read(name), ("inspect", file))


def write(seed: Seed, data: bytes, folder: Path) -> None:
    """Put all files of a seed into a folder, with these bytes for those that are to be spoilt."""
    for name, content in {**seed.others, seed.spoilt: data}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            os.mkfifo(path)
        else:
            path.write_bytes(content)
