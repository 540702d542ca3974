"""Parts of an input: lines that begin in a range of bytes, or groups of rows; and URLs.

Blocks of a whole input end at multiples of their size, so that a part which begins at one has the
very blocks that the whole has there, and results do not depend on how it was cut.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lstm_lrp_cli.errors import UnusableInput

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from lstm_lrp_cli.model.model import Model

# About what a step takes in a text: a token, or each number of a series in JSON lines.
STEP_BYTES = 8
# What makes a pattern of the name of a file.
MAGIC = "*?["
# How much is read at a time where lines are counted.
CHUNK = 2**20
# How much of what a store says there is room for: some list all places where they looked.
TOLD = 200


class Span(NamedTuple):
    """A part of a file.

    Parameters
    ----------
    start, stop : int
        Of lines: those that begin at or behind the byte `start`, and before `stop`. Of Parquet: row
        groups by their numbers.
    first : int
        The number of its first line, or row, from 1.
    """

    start: int
    stop: int
    first: int


class StoreFailed(OSError):
    """A store did not answer, or refused: no fault of a file's, and it may go well another time."""


def block_bytes(model: Model, steps: int) -> int:
    """The bytes of a block of lines that has about so many steps."""
    return steps * sum(each.step_values for each in model.inputs) * STEP_BYTES


def is_url(source: str) -> bool:
    """Whether an input or output is a URL, as fsspec takes them; a folder may not be called so."""
    return "://" in source


def as_path(source: str) -> str:
    """A path of this machine's where a URL is of one; else what is given."""
    return source.partition("://")[2] if source.startswith(("file:///", "local:///")) else source


def file_system(url: str) -> tuple[Any, str]:
    """The store of a URL, as fsspec has it, and the path there.

    Raises
    ------
    UnusableInput
        There is no such kind of store, what reads it is not installed, or it cannot be reached.
    """
    try:
        import fsspec
    except ImportError as error:
        raise UnusableInput(
            url, "is a URL, which needs the package fsspec; pip install 'lstm-lrp-cli[remote]'"
        ) from error
    try:
        # Other processes, and other machines, write there as well: no listing is kept.
        found: tuple[Any, str] = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise UnusableInput(url, f"cannot be opened: {error}") from error
    except ValueError as error:
        raise UnusableInput(url, f"is no URL that fsspec knows: {error}") from error
    except Exception as error:  # some are connected to here, and each has its own
        raise UnusableInput(url, f"cannot be opened: {_told(error)}") from error
    return found


def open_at(path: str, start: int) -> Any:
    """Open a file or URL for reading bytes, from a place on."""
    if not is_url(path):
        file: Any = open(path, "rb")  # noqa: SIM115
        if start:  # a pipe has no other place
            file.seek(start)
        return file
    store, place = file_system(path)
    with asked(path, "cannot be opened"):
        raw = store.open(place, "rb")
        raw.seek(start)
    return io.BufferedReader(_Stored(raw, path), CHUNK)


class _Stored(io.RawIOBase):
    """A file of a store. Whatever the store raises amid it is one error, with its URL."""

    def __init__(self, file: Any, url: str) -> None:
        self._file, self._url = file, url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with asked(self._url, "stopped amid it"):
            return int(self._file.readinto(buffer))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def asked(url: str, problem: str = "cannot be reached") -> Iterator[None]:
    """While a store is asked for something, whatever it raises of its own is one error.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, IsADirectoryError
        The store says so.
    StoreFailed
    """
    try:
        yield
    except (IsADirectoryError, NotADirectoryError):
        raise
    except FileNotFoundError as error:
        cause = error.__cause__
        # Of a server that does not answer, or fails, fsspec says so as well.
        away = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
        if cause is None or not (away or getattr(cause, "status", 404) != 404):
            raise FileNotFoundError(errno.ENOENT, f"{problem}: {_told(error)}", url) from error
        raise StoreFailed(errno.EIO, f"{problem}: {_told(cause)}", url) from error
    except Exception as error:
        number = getattr(error, "errno", None) or errno.EIO
        raise StoreFailed(number, f"{problem}: {_told(error)}", url) from error


def _told(error: BaseException) -> str:
    """What an error of a store's says, on one line, with its kind."""
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return told if len(told) <= TOLD else f"{told[: TOLD - 3]}..."


@contextmanager
def from_line(path: str, start: int) -> Iterator[tuple[io.BufferedReader, int]]:
    """Open a file at the first line that begins at a place or behind it; and say where that is."""
    with open_at(path, max(start - 1, 0)) as file:
        at = start
        if start:
            at -= 1
            while not (skipped := file.readline(CHUNK)).endswith(b"\n") and skipped:
                at += len(skipped)
            at += len(skipped)
        yield file, at


@contextmanager
def from_span(
    path: str, file: io.BufferedReader, span: Span | None
) -> Iterator[tuple[io.BufferedReader, tuple[int, int, int] | None]]:
    """A file that is open at its beginning, or opened anew at a part of it; and which part."""
    if span is None:
        yield file, None
        return
    with from_line(path, span.start) as (at_part, at):
        yield at_part, (at, span.stop, span.first)


def count_lines(path: str, span: Span) -> int:
    """How many lines begin in a span of bytes.

    Raises
    ------
    OSError
    """
    with from_line(path, span.start) as (file, at):
        # One begins here, if there is anything, and one behind each line's end but the file's last.
        lines = int(at < span.stop and bool(file.peek(1)))
        ended = False
        while data := file.read(min(CHUNK, max(span.stop - 1 - at, 0))):
            lines += data.count(b"\n")
            at += len(data)
            ended = data.endswith(b"\n")
        return lines - (ended and not file.peek(1))
