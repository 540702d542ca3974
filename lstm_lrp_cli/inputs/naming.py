"""What the names of files and arrays tell: formats, and an order."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from .stream import compression_of

InputFormat = Literal["txt", "jsonl", "csv", "npy", "npz", "h5"]
INPUT_FORMATS: tuple[InputFormat, ...] = get_args(InputFormat)

ENDINGS: dict[str, InputFormat] = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".npy": "npy",
    ".npz": "npz",
    ".h5": "h5",
    ".hdf5": "h5",
}


def format_ending(path: Path) -> str:
    """The ending that tells a file's format, in lower case: ".csv" of "x.CSV.gz", "" of "x"."""
    named = path.with_suffix("") if compression_of(path) else path
    return named.suffix.lower()


def whole_number(text: str) -> int | None:
    """The number that a text of decimal digits is; None for other text, or a number beyond use."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people do: series2 before series10."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", name)
        numbers = [(whole_number(part), part) for part in parts]
        return [(1, 0, part) if number is None else (0, number, "") for number, part in numbers]

    return sorted(names, key=key)
