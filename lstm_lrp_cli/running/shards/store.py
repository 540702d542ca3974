"""The folder or URL where parts go: a file is seen there when it is whole, or never."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.spans import asked, file_system, is_url
from lstm_lrp_cli.running.partial import made_beside, remove_left_below

# Small files that are asked of a store at once.
TOGETHER = 500
# Bytes that wait to be written at once; and up to so many a file is one request to a store.
BUFFER = 2**16
SMALL = 2**22
WRITTEN = "cannot be written"
# Stores of files in folders, which have to be made. Asked for one, others would make a bucket.
FOLDERS = {"file", "local", "sftp", "ssh", "ftp", "smb", "hdfs", "arrow_hdfs", "webhdfs", "memory"}


class Store(Protocol):
    """A folder of files, by their names below it, whose parts are separated by slashes."""

    root: str

    def placed(self, name: str) -> Any:
        """A context with a file for bytes, which is placed where all went well."""

    def read(self, names: Iterable[str]) -> Iterator[bytes | None]:
        """The content of small files, in turn; None of those that are not there."""

    def names(self, folder: str) -> set[str]:
        """The names of all files in a folder and below it, as far as they are known by name."""

    def sizes(self, names: Iterable[str]) -> Iterator[int | None]:
        """The bytes of files, in turn; None of those that are not there."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def clean(self) -> None:
        """Remove what processes that were killed left on its way."""


def open_store(root: str) -> Store:
    """The store of a folder, which need not be there, or of a URL.

    Raises
    ------
    UnusableInput
    """
    return RemoteStore(root) if is_url(root) else FolderStore(root)


class FolderStore:
    """A folder of this machine, or one that several machines see."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/") or "/"
        self._root = Path(root)

    @contextmanager
    def placed(self, name: str) -> Iterator[BinaryIO]:
        target = self._root / name
        with ExitStack() as stack:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = stack.enter_context(made_beside(target, str(target), takes_away=False))
            except OSError as error:
                problem = f"cannot be written: {error.strerror}"
                raise UnusableInput(str(target), problem) from error
            with io.BufferedWriter(partial.opened(), BUFFER) as file:
                yield file
            partial.place()

    def read(self, names: Iterable[str]) -> Iterator[bytes | None]:
        for name in names:
            try:
                yield (self._root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                yield None

    def names(self, folder: str) -> set[str]:
        found = set()
        for path, _, files in os.walk(self._root / folder):
            below = Path(path).relative_to(self._root / folder).as_posix()
            found |= {name if below == "." else f"{below}/{name}" for name in files}
        return found

    def sizes(self, names: Iterable[str]) -> Iterator[int | None]:
        for name in names:
            try:
                yield (self._root / name).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                yield None

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            (self._root / name).unlink()

    def clean(self) -> None:
        remove_left_below(self._root)


class _Upload(io.RawIOBase):
    """A file on its way to a store: in one request if it is small, else in several."""

    def __init__(self, store: Any, path: str, url: str) -> None:
        self._store, self._path, self._url = store, path, url
        self._small = bytearray()
        self._large: Any = None
        if not FOLDERS.isdisjoint(
            [store.protocol] if isinstance(store.protocol, str) else store.protocol
        ):
            with asked(url, WRITTEN):
                store.makedirs(path.rpartition("/")[0], exist_ok=True)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        with asked(self._url, WRITTEN):
            if self._large is None and len(self._small) + len(view) > SMALL:
                self._large = self._store.open(self._path, "wb", autocommit=False)
                self._large.write(bytes(self._small))
            (self._small.extend if self._large is None else self._large.write)(view)
        return len(view)

    def commit(self) -> None:
        with asked(self._url, WRITTEN):
            if self._large is None:
                self._store.pipe_file(self._path, bytes(self._small))
                return
            try:
                self._large.close()
                self._large.commit()
            except BaseException:
                with suppress(Exception):  # what went wrong first is told
                    self.discard()
                raise

    def discard(self) -> None:
        if self._large is not None:
            self._large.discard()


class RemoteStore:
    """A store that fsspec knows; each process has its own connections to it."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._opened = os.getpid(), file_system(self.root)

    @property
    def _fs(self) -> Any:
        if self._opened[0] != os.getpid():
            self._opened = os.getpid(), file_system(self.root)
        return self._opened[1][0]

    @property
    def _path(self) -> str:
        return self._opened[1][1]

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    @contextmanager
    def placed(self, name: str) -> Iterator[BinaryIO]:
        """An upload that is completed at the end, and thrown away where anything fails.

        `with fsspec.open(...)` would complete it, and leave what is cut off to be taken for whole.
        """
        upload = _Upload(self._fs, self._at(name), f"{self.root}/{name}")
        try:
            with io.BufferedWriter(upload, BUFFER) as file:
                yield file
        except BaseException:
            with suppress(Exception):  # what went wrong first is told
                upload.discard()
            raise
        upload.commit()

    def read(self, names: Iterable[str]) -> Iterator[bytes | None]:
        rest = iter(names)
        while some := [self._at(name) for name in islice(rest, TOGETHER)]:
            with asked(self.root):
                # Names with *, ? or [ in them are patterns to `cat`.
                found = self._fs.cat_ranges(some, None, None, on_error="return")
                for one in found:
                    if isinstance(one, Exception) and not isinstance(one, FileNotFoundError):
                        raise one
            for one in found:
                yield None if isinstance(one, FileNotFoundError) else one

    def names(self, folder: str) -> set[str]:
        below = self._at(folder)
        try:
            with asked(f"{self.root}/{folder}"):
                found = self._fs.find(below)
        except FileNotFoundError:
            return set()
        return {path.removeprefix(f"{below}/") for path in found}

    def sizes(self, names: Iterable[str]) -> Iterator[int | None]:
        folder, there = "", dict[str, int]()
        for path in map(self._at, names):
            # Of names that follow each other in a folder, one listing tells all.
            if path.rpartition("/")[0] != folder:
                folder = path.rpartition("/")[0]
                try:
                    with asked(self.root):
                        listed = self._fs.ls(folder, detail=True)
                except FileNotFoundError:
                    listed = []
                there = {each["name"]: each["size"] for each in listed}
            yield there.get(path)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), asked(f"{self.root}/{name}"):
            self._fs.rm_file(self._at(name))

    def clean(self) -> None:
        """Nothing is seen there of what was not completed."""
