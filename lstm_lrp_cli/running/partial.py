"""A file that is written beside its place, under a name of its own, until it is whole.

The name cannot be guessed, and the file is made by this process or not at all: so what others put
into a folder is never written to. It is locked while it is written. A process that is killed leaves
it unlocked, and the next one with the same target takes it away.
"""

import atexit
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has none: there, what a killed process left stays
    fcntl = None

# Of the target's name so many bytes are in the other one, which has to be no longer than any.
KEPT_NAME = 100
# In a folder of more files than these, not all are looked at for what was left.
MOST_LOOKED_AT = 10_000
FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
FLAGS |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
# A new file is for whom the umask says.
NEW = 0o666
# Those that a process, by its number, has to remove, whatever keeps what wrote them from it.
_unplaced: dict[Path, int] = {}


class Partial:
    """A file on its way to a target.

    Parameters
    ----------
    path : Path
    descriptor : int
        Of the open file, which is locked until it is placed.
    target : Path
    called : str
        What errors call the target.
    """

    def __init__(self, path: Path, descriptor: int, target: Path, called: str) -> None:
        self.path = path
        self.descriptor = descriptor
        self.target = target
        self.called = called

    def opened(self) -> io.FileIO:
        """The file, to be written to and closed."""
        return _Named(os.dup(self.descriptor), "wb", self.called)

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def place(self) -> None:
        """Move it to its target. It stays locked until then."""
        if fcntl is None:
            self.close()
        try:
            os.replace(self.path, self.target)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.called) from error


class _TakenError(Exception):
    """There is something of that name."""


class _Named(io.FileIO):
    """A file whose errors name what it is to become."""

    def __init__(self, descriptor: int, mode: str, called: str) -> None:
        super().__init__(descriptor, mode)
        self._called = called

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            error.filename = self._called
            raise


@contextmanager
def made_beside(target: Path, called: str, *, takes_away: bool = True) -> Iterator[Partial]:
    """Make a file beside a target, which is removed at the end where it was not placed.

    It has the target's mode and owner, where there is one. Errors call it as they are told to.
    Before, what killed processes left on its way is taken away, unless that is done elsewhere.

    Raises
    ------
    OSError
        It cannot be made.
    """
    if takes_away:
        _remove_left(target)
    while True:
        path = target.with_name(f"{_prefix(target)}{os.urandom(8).hex()}.partial")
        _unplaced[path] = os.getpid()
        try:
            file = _made(path, target, called)
            if file is None:
                continue
            with closing(file):
                yield file
            return
        except _TakenError:
            _unplaced.pop(path)  # which is another's
        finally:
            if path in _unplaced:
                with suppress(OSError):
                    path.unlink()
                del _unplaced[path]


def _made(path: Path, target: Path, called: str) -> Partial | None:
    """The new file, locked; None where another process is just taking it away."""
    try:
        before = target.stat()
    except FileNotFoundError:
        before = None
    mode = NEW if before is None else stat.S_IMODE(before.st_mode) & 0o777
    try:
        file = Partial(path, os.open(path, FLAGS, mode), target, called)
    except FileExistsError as error:
        raise _TakenError from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, called) from error
    if before is not None:
        _like(file.descriptor, before, mode)
    try:
        if fcntl is not None:
            fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:
        return file  # of a file system without locks, on which nothing is taken away
    if os.fstat(file.descriptor).st_nlink:
        return file
    file.close()
    return None


def _like(descriptor: int, before: os.stat_result, mode: int) -> None:
    """Give a file the owner and the mode of the one that it replaces, as far as one may."""
    with suppress(OSError):
        made = os.fstat(descriptor)
        if hasattr(os, "fchown") and (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    with suppress(OSError):
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, mode)


def _prefix(target: Path) -> str:
    """How the names of files begin that are on their way to a target."""
    kept = os.fsencode(target.name)
    name = target.name if len(kept) <= KEPT_NAME else kept[:KEPT_NAME].decode("utf-8", "ignore")
    return f".{name}.lrp-"


def _remove_left(target: Path) -> None:
    """Remove what killed processes left on its way to a target."""
    if fcntl is None:
        return
    left = re.compile(rf"{re.escape(_prefix(target))}[0-9a-f]{{16}}\.partial")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in islice(entries, MOST_LOOKED_AT):
            if left.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unlocked(entry.path)


def remove_left_below(folder: Path) -> None:
    """Remove what killed processes left on its way to any file in a folder or below it."""
    if fcntl is None:
        return
    left = re.compile(r"\..+\.lrp-[0-9a-f]{16}\.partial")
    for path, _, names in os.walk(folder):
        for name in filter(left.fullmatch, names):
            with suppress(OSError):
                _remove_unlocked(os.path.join(path, name))


def _remove_unlocked(path: str) -> None:
    assert fcntl is not None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


@atexit.register
def _remove_unplaced() -> None:
    """A signal may come between the steps by which a file is removed."""
    for path, process in _unplaced.items():
        if process == os.getpid():
            with suppress(OSError):
                path.unlink()
