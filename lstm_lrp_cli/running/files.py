"""Where output goes: standard output, or a file that appears whole or not at all."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.stream import Compression, compression_of
from lstm_lrp_cli.terminal.text import PlainScreen
from .partial import Partial, made_beside

STANDARD_OUTPUT = Path("-")
TEXT: dict[str, Any] = {"encoding": "utf-8", "newline": ""}
# Bytes that wait to be written at once.
BUFFER = 2**16


def open_output(path: Path | None) -> AbstractContextManager[TextIO]:
    """Open a file for text, or standard output where there is no path or it is "-".

    The file is written beside its place under another name and moved there when all went well;
    a link goes on pointing at it. It is compressed where its name ends in .gz, .xz or .bz2. A
    path that is no regular file (a pipe, /dev/null) is written to directly.

    Raises
    ------
    UnusableInput
        If it cannot be written.
    """
    return _opened(path, "t")


def open_binary(path: Path | None) -> AbstractContextManager[BinaryIO]:
    """Open a file for bytes, or standard output, as `open_output` does for text."""
    return _opened(path, "b")


@contextmanager
def open_together(paths: Sequence[Path]) -> Iterator[Sequence[BinaryIO]]:
    """Open several files for bytes, which appear when all are whole, or none of them does."""
    targets = []
    for path in paths:
        if (target := _target(path)) is None:
            raise UnusableInput(str(path), "is no regular file; expected a file's name")
        targets.append(target)
    with ExitStack() as stack:
        pairs = zip(targets, paths, strict=True)
        partials = [stack.enter_context(_beside(target, path)) for target, path in pairs]
        with ExitStack() as writing:
            yield [writing.enter_context(_buffered(partial, "wb")) for partial in partials]
        for partial in partials:
            partial.place()


@contextmanager
def _opened(path: Path | None, kind: str) -> Iterator[Any]:
    """Open a file or standard output for text ("t") or bytes ("b")."""
    if path is None or path == STANDARD_OUTPUT:
        with _standard_output(kind) as file:
            yield file
    elif (target := _target(path)) is None:
        with _direct(path, f"a{kind}") as file:
            yield _shown(file)
    else:
        with _beside(target, path) as partial:
            with _buffered(partial, f"w{kind}", compression_of(path)) as file:
                yield file
            partial.place()


@contextmanager
def _standard_output(kind: str) -> Iterator[Any]:
    file: Any = sys.stdout
    if file is None:
        raise UnusableInput("standard output", "is closed; name a file with -o")
    is_data = kind == "b" or (isinstance(file, io.TextIOWrapper) and not file.isatty())
    if is_data and kind == "t":
        file.reconfigure(encoding="utf-8")  # data is UTF-8 whatever the locale is
    if is_data and isinstance(file.buffer, io.RawIOBase):
        # As with PYTHONUNBUFFERED: a long write may be cut short, and the rest be lost.
        encoding = "utf-8" if kind == "t" else None
        with open(file.fileno(), f"w{kind}", encoding=encoding, closefd=False) as buffered:
            yield buffered
        return
    file = file if kind == "t" else file.buffer
    yield _shown(file)
    file.flush()


def _shown(file: Any) -> Any:
    """A file as it is, or a terminal that takes nothing of what is written for orders."""
    return PlainScreen(file) if isinstance(file, io.TextIOWrapper) and file.isatty() else file


def _target(path: Path) -> Path | None:
    """The regular file that is to be made or replaced; None where there is something else."""
    target = Path(os.path.realpath(path))
    # /dev/stdout may lead to a file, and is yet no place to move another one to.
    in_device = str(path.absolute()).startswith(("/dev/", "/proc/"))
    return None if in_device or (target.exists() and not target.is_file()) else target


@contextmanager
def _beside(target: Path, asked_for: Path) -> Iterator[Partial]:
    """A file that is on its way to a target, by the name that was asked for in errors."""
    with ExitStack() as stack:
        try:
            partial = stack.enter_context(made_beside(target, str(asked_for)))
        except OSError as error:
            raise _not_written(asked_for, error) from error
        yield partial


@contextmanager
def _buffered(partial: Partial, mode: str, compression: Compression | None = None) -> Iterator[Any]:
    """Write to a file, compressed or not; it is closed, and not placed yet."""
    with ExitStack() as stack:
        file: Any = stack.enter_context(io.BufferedWriter(partial.opened(), BUFFER))
        if compression is not None:
            file = stack.enter_context(compression.open(file, "wb"))
        if mode.endswith("t"):
            file = stack.enter_context(io.TextIOWrapper(file, **TEXT))
        yield file


def _direct(path: Path, mode: str) -> Any:
    """Open a pipe or a device, compressed where its name says so."""
    compression = compression_of(path)
    opener: Any = compression.open if compression else open
    try:
        return opener(path, mode, **(TEXT if mode.endswith("t") else {}))
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> UnusableInput:
    return UnusableInput(str(path), f"cannot be written: {error.strerror}")
