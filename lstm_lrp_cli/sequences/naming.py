"""What the names of files and arrays tell: formats, and an order."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

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
COMPRESSED_ENDINGS = (".gz", ".xz", ".bz2")


def format_ending(path: Path) -> str:
    """The ending that tells a file's format, in lower case: ".csv" of "x.CSV.gz", "" of "x"."""
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in COMPRESSED_ENDINGS:
        endings.pop()
    return endings[-1] if endings else ""


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people do: series2 before series10."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", name)
        return [(0, int(p), "") if p.isdecimal() and len(p) < 19 else (1, 0, p) for p in parts]

    return sorted(names, key=key)
