"""Compressed files: how they are called, how they begin, and what opens them."""

import importlib
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
    module : str
        The module that reads and writes it, imported when a file is opened: few are compressed.
    """

    ending: str
    magic: bytes
    module: str

    def open(self, file: Any, mode: str, **settings: Any) -> Any:
        """Open a path or a binary file, for reading or writing, as `open` does."""
        return importlib.import_module(self.module).open(file, mode, **settings)


COMPRESSIONS = (
    Compression(".gz", b"\x1f\x8b", "gzip"),
    Compression(".xz", b"\xfd7zXZ\x00", "lzma"),
    Compression(".bz2", b"BZh", "bz2"),
)


def damage() -> tuple[type[Exception], ...]:
    """What reading damaged data raises, whatever it is compressed with."""
    import lzma
    import zlib

    return EOFError, OSError, lzma.LZMAError, zlib.error


def compression_of(path: Path) -> Compression | None:
    """What a file's name says it is compressed with."""
    ending = path.suffix.lower()
    return next((known for known in COMPRESSIONS if known.ending == ending), None)
