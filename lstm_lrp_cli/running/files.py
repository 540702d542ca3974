"""Where output goes: standard output, or a file that appears whole or not at all."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.stream import compression_of
from lstm_lrp_cli.terminal.text import PlainScreen

STANDARD_OUTPUT = Path("-")


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
    with _placed(*targets) as partials, ExitStack() as stack:
        yield [
            stack.enter_context(_file(partial, path, "wb", is_compressed=False))
            for path, partial in zip(paths, partials, strict=True)
        ]


@contextmanager
def _opened(path: Path | None, kind: str) -> Iterator[Any]:
    """Open a file or standard output for text ("t") or bytes ("b")."""
    if path is None or path == STANDARD_OUTPUT:
        with _standard_output(kind) as file:
            yield file
    elif (target := _target(path)) is None:
        with _file(path, path, f"a{kind}") as file:
            yield _shown(file)
    else:
        with _placed(target) as [partial], _file(partial, path, f"w{kind}") as file:
            yield file


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
def _placed(*targets: Path) -> Iterator[list[Path]]:
    """Names to write to, which are moved to their places when all went well, and else removed."""
    partials = [target.with_name(f".{target.name}.{os.getpid()}.partial") for target in targets]
    try:
        yield partials
        for target, partial in zip(targets, partials, strict=True):
            partial.replace(target)
    finally:
        for partial in partials:
            partial.unlink(missing_ok=True)


def _file(path: Path, asked_for: Path, mode: str, *, is_compressed: bool = True) -> Any:
    """Open a file, compressed where the name that was asked for says so."""
    compression = compression_of(asked_for) if is_compressed else None
    opener: Any = compression.open if compression else open
    text = {"encoding": "utf-8", "newline": ""} if mode.endswith("t") else {}
    try:
        return opener(path, mode, **text)
    except OSError as error:
        raise UnusableInput(str(asked_for), f"cannot be written: {error.strerror}") from error
