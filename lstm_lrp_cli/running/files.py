"""Where output goes: standard output, or a file that appears whole or not at all."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, TextIO, cast

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.stream import compression_of

STANDARD_OUTPUT = Path("-")


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Open a file for text, or standard output where there is no path or it is "-".

    The file is written beside its place under another name and moved there when all went well;
    a link goes on pointing at it. It is compressed where its name ends in .gz, .xz or .bz2. A
    path that is no regular file (a pipe, /dev/null) is written to directly.
    """
    if path is None or path == STANDARD_OUTPUT:
        _refuse_closed_output()
        if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")  # data is UTF-8 whatever the locale is
            if isinstance(sys.stdout.buffer, io.RawIOBase):
                # As with PYTHONUNBUFFERED: a long write may be cut short, and the rest be lost.
                with open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False) as file:
                    yield file
                return
        yield sys.stdout
        sys.stdout.flush()
        return
    with _placed(path, "t") as file:
        yield cast(TextIO, file)


@contextmanager
def open_binary(path: Path | None) -> Iterator[BinaryIO]:
    """Open a file for bytes, or standard output, as `open_output` does for text."""
    if path is None or path == STANDARD_OUTPUT:
        _refuse_closed_output()
        buffer = sys.stdout.buffer
        if isinstance(buffer, io.RawIOBase):  # a long write may be cut short here too
            with open(sys.stdout.fileno(), "wb", closefd=False) as file:
                yield file
            return
        yield buffer
        buffer.flush()
        return
    with _placed(path, "b") as opened:
        yield cast(BinaryIO, opened)


def _refuse_closed_output() -> None:
    if sys.stdout is None:
        raise UnusableInput("standard output", "is closed; name a file with -o")


@contextmanager
def _placed(path: Path, kind: str) -> Iterator[IO[Any]]:
    """Open a file that comes to its place when it is whole, for text ("t") or bytes ("b")."""
    target = Path(os.path.realpath(path))
    # /dev/stdout may lead to a file, and is yet no place to move another one to.
    in_device = str(path.absolute()).startswith(("/dev/", "/proc/"))
    if in_device or (target.exists() and not target.is_file()):
        with _opened(path, path, f"a{kind}") as file:
            yield file
        return
    partial = _partial(target)
    try:
        with _opened(partial, path, f"w{kind}") as file:
            yield file
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def open_together(paths: Sequence[Path]) -> Iterator[Sequence[BinaryIO]]:
    """Open several files for bytes, which appear when all are whole, or none of them does."""
    targets = [Path(os.path.realpath(path)) for path in paths]
    partials = [_partial(target) for target in targets]
    try:
        with ExitStack() as stack:
            files = []
            for path, target, partial in zip(paths, targets, partials, strict=True):
                if target.exists() and not target.is_file():
                    raise UnusableInput(str(path), "is no regular file; expected a file's name")
                try:
                    files.append(stack.enter_context(partial.open("wb")))
                except OSError as error:
                    raise _unwritable(path, error) from error
            yield files
        for target, partial in zip(targets, partials, strict=True):
            partial.replace(target)
    except BaseException:
        for partial in partials:
            partial.unlink(missing_ok=True)
        raise


def _partial(target: Path) -> Path:
    """Where a file is written before it is moved to its place."""
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def _opened(path: Path, asked_for: Path, mode: str) -> IO[Any]:
    """Open a file, compressed where the name that was asked for says so."""
    compression = compression_of(asked_for)
    opener = compression.open if compression else open
    try:
        if mode.endswith("b"):
            return cast(BinaryIO, opener(path, mode))
        return cast(TextIO, opener(path, mode, encoding="utf-8", newline=""))
    except OSError as error:
        raise _unwritable(asked_for, error) from error


def _unwritable(path: Path, error: OSError) -> UnusableInput:
    return UnusableInput(str(path), f"cannot be written: {error.strerror}")
