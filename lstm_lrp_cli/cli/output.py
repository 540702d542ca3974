"""Where output goes: standard output, or a file that appears whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from lstm_lrp_cli.errors import UnusableInput


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Open a file for text, or standard output where there is no path.

    The file is written beside its place under another name and moved there when all went well.
    A path that is no regular file (a pipe, /dev/null) is written to directly.
    """
    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8", newline="") as file:
                yield file
            return
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        file = partial.open("x", encoding="utf-8", newline="")
    except OSError as error:
        raise UnusableInput(str(path), f"cannot be written: {error.strerror}") from error
    try:
        with file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
