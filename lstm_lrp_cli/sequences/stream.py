"""Opening an input: a file or standard input, compressed or not."""

import bz2
import gzip
import io
import lzma
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from lstm_lrp_cli.errors import UnusableInput

STANDARD_INPUT = "-"


def display_name(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else source


@contextmanager
def open_input(source: str) -> Iterator[io.BufferedReader]:
    """Open an input for reading bytes; what is compressed (.gz, .xz, .bz2) is unfolded as read.

    Raises
    ------
    UnusableInput
        It cannot be opened, or the compressed data is damaged.
    """
    where = display_name(source)
    try:
        raw = sys.stdin.buffer if source == STANDARD_INPUT else open(source, "rb")  # noqa: SIM115
    except FileNotFoundError as error:
        raise UnusableInput(where, "there is no such input file") from error
    except IsADirectoryError as error:
        raise UnusableInput(where, "is a directory; expected a file of sequences") from error
    except OSError as error:
        raise UnusableInput(where, f"cannot be read: {error.strerror}") from error
    try:
        yield _unfolded(_peekable(raw))
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise UnusableInput(where, f"its compressed data is damaged: {error}") from error
    finally:
        if source != STANDARD_INPUT:
            raw.close()


@contextmanager
def local_copy(file: BinaryIO, suffix: str) -> Iterator[Path]:
    """Spool a stream to a temporary file, for formats that cannot be read in one go."""
    with tempfile.TemporaryDirectory(prefix="lrp-") as folder:
        path = Path(folder) / f"input{suffix}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        yield path


def _peekable(raw: BinaryIO) -> io.BufferedReader:
    # Under a test runner standard input may be a plain BytesIO, which cannot be peeked at.
    return raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))


def _unfolded(file: io.BufferedReader) -> io.BufferedReader:
    beginning = file.peek(6)
    if beginning.startswith(b"\x1f\x8b"):
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=file)))
    if beginning.startswith(b"\xfd7zXZ\x00"):
        return io.BufferedReader(cast(io.RawIOBase, lzma.LZMAFile(file)))
    if beginning.startswith(b"BZh"):
        return io.BufferedReader(cast(io.RawIOBase, bz2.BZ2File(file)))
    return file
