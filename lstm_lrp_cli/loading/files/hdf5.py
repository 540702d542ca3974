"""HDF5 as a tree of named arrays."""

import mmap
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from . import ArrayFile, Stored, check_numeric, check_size, damaged

# What h5py raises at a file that is damaged.
DAMAGED = (OSError, RuntimeError, KeyError, ValueError, TypeError)


class Hdf5File(ArrayFile):
    """An HDF5 file. Only hard links are followed, so nothing outside the file is ever read."""

    format = "HDF5"

    def __init__(self, path: Path, content: BinaryIO | None = None) -> None:
        """Open a file, or its content where another file holds it."""
        super().__init__(path)
        self.documents = _Attributes(self)
        self._groups: list[str] = []
        # Where what is listed by another name stands: Keras on Windows joins names by backslashes.
        self._stored: dict[str, str] = {}
        with damaged(
            str(path),
            lambda error: (
                f"cannot be opened as HDF5: it is cut short or damaged ({_reason(error)}); "
                "copy or save it again"
            ),
            OSError,
        ):
            self._handle = self._file = h5py.File(content or path, "r")
        with (
            self._closed_if_refused(),
            damaged(
                str(path),
                lambda error: f"is a damaged HDF5 file ({_reason(error)}); copy or save it again",
                *DAMAGED,
            ),
        ):
            self._check_heap(content)
            self.datasets = self._list()

    def read(self, name: str) -> NDArray[Any]:
        where = self.where(name)
        dataset = self._file[self._stored.get(name, name)]
        if dataset.shape is None:
            raise UnusableInput(where, "is empty; expected numbers")
        if dataset.external or dataset.is_virtual:
            raise UnusableInput(
                where, "keeps its data in other files, which are not followed; copy the data in"
            )
        is_text = h5py.check_string_dtype(dataset.dtype) is not None
        with _readable(where):
            if not is_text:
                check_numeric(where, dataset.dtype)
            itemsize = max(dataset.dtype.itemsize, 16 if is_text else 1)
            check_size(where, dataset.shape, itemsize, self.size)
            array: NDArray[Any] = (
                np.asarray(dataset.asstr("utf-8")[...], np.str_) if is_text else dataset[...]
            )
        return array

    def attribute(self, group: str, name: str) -> Any:
        """An attribute of a group, or None where either is not there; bytes are decoded."""
        where = self.where(f"{group}@{name}")
        with _readable(where):
            holder = self._file.get(self._stored.get(group, group))
            if holder is None or name not in holder.attrs:
                return None
            stored = holder.attrs.get_id(name)
            check_size(where, stored.shape or (), max(stored.dtype.itemsize, 16), self.size)
            value = holder.attrs[name]
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, np.ndarray):
            return [
                v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value.ravel()
            ]
        return value

    def attribute_names(self, group: str) -> list[str]:
        """The names of a group's or dataset's attributes; none where it is not there."""
        with _readable(self.where(group), "its attributes "):
            holder = self._file.get(self._stored.get(group, group))
            return [] if holder is None else list(holder.attrs)

    def has_group(self, name: str) -> bool:
        """Whether a group of that name stands at the top of the file."""
        link = self._file.get(name, getlink=True)
        return isinstance(link, h5py.HardLink) and isinstance(self._file[name], h5py.Group)

    def children(self, group: str) -> list[str]:
        """The groups inside a group, or at the top of the file where that is empty, by name."""
        prefix = f"{group}/" if group else ""
        return sorted(
            name
            for name in self._groups
            if name.startswith(prefix) and "/" not in name[len(prefix) :]
        )

    def holds(self, group: str) -> bool:
        """Whether there is any dataset in a group, or in the groups inside it."""
        return any(name.startswith(f"{group}/") for name in self.datasets)

    def _check_heap(self, content: BinaryIO | None) -> None:
        _, length_bytes = self._file.id.get_create_plist().get_sizes()
        with nullcontext(content) if content else self.path.open("rb") as file:
            if has_endless_heap(file, length_bytes):
                raise UnusableInput(
                    str(self.path),
                    "is a damaged HDF5 file (its heap of texts does not lead to its end); copy or "
                    "save it again",
                )

    def _list(self) -> dict[str, Stored]:
        datasets: dict[str, Stored] = {}
        seen: set[int] = set()
        pending: list[tuple[str, h5py.Group]] = [("", self._file)]
        while pending:
            prefix, group = pending.pop()
            for key in group:
                name = prefix + key
                link = group.get(key, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise UnusableInput(
                        self.where(name),
                        f"is a link to another file ({link.filename}); external links are not "
                        "followed: copy the data in",
                    )
                if not isinstance(link, h5py.HardLink):
                    continue
                child = group[key]
                if isinstance(child, h5py.Dataset):
                    datasets[name] = _describe(child)
                elif isinstance(child, h5py.Group):
                    address = h5py.h5o.get_info(child.id).addr
                    if address not in seen:  # hard links may form circles
                        seen.add(address)
                        self._groups.append(name)
                        pending.append((f"{name}/", child))
        return self._by_slashes(datasets)

    def _by_slashes(self, datasets: dict[str, Stored]) -> dict[str, Stored]:
        """The same with slashes for the backslashes of names, unless two would have one name."""
        names = [*datasets, *self._groups]
        renamed = {name: name.replace("\\", "/") for name in names}
        if len(set(renamed.values())) < len(names) or all(map(str.__eq__, names, renamed.values())):
            return datasets
        self._stored = {new: old for old, new in renamed.items()}
        groups = {renamed[name] for name in self._groups}
        for name in list(groups):  # those that a joined name leads through are groups too
            parts = name.split("/")
            groups.update("/".join(parts[:k]) for k in range(1, len(parts)))
        self._groups = sorted(groups)
        return {renamed[name]: stored for name, stored in datasets.items()}


def refuse_table(file: ArrayFile, mend: str) -> None:
    """Refuse a file in which pandas keeps tables: their columns are no arrays of one name each.

    Raises
    ------
    UnusableInput
    """
    for group in dict.fromkeys(name.split("/")[0] for name in file.datasets):
        if f"{group}@pandas_type" in file.documents:
            raise UnusableInput(
                str(file.path), f"is a table that pandas wrote (to_hdf, `{group}`); {mend}"
            )


class _Attributes(Mapping[str, Any]):
    """A file's attributes by name: those of the file itself, or as `group@attribute`."""

    def __init__(self, file: Hdf5File) -> None:
        self._of = file

    def __getitem__(self, name: str) -> Any:
        group, _, attribute = name.rpartition("@")
        if attribute not in self._of.attribute_names(group or "/"):
            raise KeyError(name)
        return self._of.attribute(group or "/", attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._of.attribute_names("/"))

    def __len__(self) -> int:
        return len(self._of.attribute_names("/"))


def _describe(dataset: h5py.Dataset) -> Stored:
    if dataset.shape is None:
        return Stored((0,), "empty")
    text = h5py.check_string_dtype(dataset.dtype) is not None
    return Stored(dataset.shape, "text" if text else dataset.dtype.name)


def _readable(where: str, what: str = "") -> AbstractContextManager[None]:
    """Reads a part of a file, and refuses it where it is damaged."""
    return damaged(
        where,
        lambda error: f"{what}cannot be read ({_reason(error)}); save the file again",
        *DAMAGED,
    )


def _reason(error: Exception) -> str:
    """The one line of an h5py message that a user can use."""
    return str(error).strip("'\"").partition("\n")[0]


# The signature and the only version that there is.
COLLECTION = b"GCOL\x01"


def has_endless_heap(file: BinaryIO, length_bytes: int) -> bool:
    """Whether a collection of the global heap leads nowhere.

    Parameters
    ----------
    file : BinaryIO
        The whole HDF5 file.
    length_bytes : int
        The bytes of a length, as the file has them.
    """
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _has_endless(data, length_bytes)
    except (OSError, ValueError):  # in memory
        file.seek(0)
        return _has_endless(file.read(), length_bytes)


def _has_endless(data: bytes | mmap.mmap, length_bytes: int) -> bool:
    start = data.find(COLLECTION)
    # Collections do not overlap, so there is no room for more objects than this; a file in which
    # they seem to would take the square of its size to walk.
    left = len(data) // 8
    while start >= 0:
        walked = _objects(data, start, length_bytes, left)
        if walked is None:
            return True
        left -= walked
        start = data.find(COLLECTION, start + 1)
    return False


def _objects(data: bytes | mmap.mmap, start: int, length_bytes: int, most: int) -> int | None:
    """How many objects a collection has; None if they do not lead to its end, or are too many."""
    # The collection and each object begin with 8 bytes and a length, filled up to a multiple of 8.
    head = 8 + _filled(length_bytes)

    def length(at: int) -> int:
        return int.from_bytes(data[at + 8 : at + 8 + length_bytes], "little")

    end = start + length(start)
    if end > len(data):
        return 0  # the library refuses it, or these are no collection but numbers like it
    at, count = start + head, 0
    while at + head <= end:
        size = length(at)
        # Object 0 is the free space, whose size counts its own beginning.
        is_free = data[at : at + 2] == b"\0\0"
        step = size if is_free else head + _filled(size)
        count += 1
        if step == 0 or count > most:
            return None
        at += step
    return count


def _filled(size: int) -> int:
    return -(-size // 8) * 8
