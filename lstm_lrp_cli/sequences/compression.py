"""Compressed files: how they are called, how they begin, and what opens them."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Compression:
    """One way of compressing.

    Parameters
    ----------
    ending : str
        Of the names of files.
    magic : bytes
        What the data begins with.
    open : callable
        Opens a path or a binary file, for reading or writing, as `open` does.
    """

    ending: str
    magic: bytes
    open: Callable[..., Any]


COMPRESSIONS = (
    Compression(".gz", b"\x1f\x8b", gzip.open),
    Compression(".xz", b"\xfd7zXZ\x00", lzma.open),
    Compression(".bz2", b"BZh", bz2.open),
)


def compression_of(path: Path) -> Compression | None:
    """What a file's name says it is compressed with."""
    ending = path.suffix.lower()
    return next((known for known in COMPRESSIONS if known.ending == ending), None)
