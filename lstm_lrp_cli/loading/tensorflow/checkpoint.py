"""TensorFlow's checkpoints: an index of names, and files with the numbers, one after another.

A SavedModel keeps its variables as one, in a folder of its own.

Source: TensorFlow, core/protobuf/tensor_bundle.proto and core/util/tensor_bundle.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, Stored, bfloat16, check_shape, damaged
from .objects import Objects, only_text
from .wire import Data, fields, messages, table_entries, whole

# What TensorFlow calls the types by number; 7 is text.
DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "text",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
# About a hundred bytes a variable.
LARGEST_INDEX = 64 * 2**20
MOST_SHARDS = 10_000
# What TensorFlow 2 puts behind the path of an object that is a variable.
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# Where it keeps which objects there are, and which of them has what by what name.
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
LARGEST_GRAPH = 64 * 2**20
PARTS = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")
LISTING = "checkpoint"
LISTED = re.compile(r'^model_checkpoint_path: *"([^"]+)"', re.MULTILINE)


class _Variable(Struct, frozen=True):
    """Where a variable stands."""

    stored: Stored
    shard: int
    offset: int
    size: int


class CheckpointFile(ArrayFile):
    """A checkpoint, by any of its files; every place is checked before anything is read.

    A variable of TensorFlow 2 is called by the path on which layers have it, for the file may have
    it under another, such as `variables/1`.

    Raises
    ------
    UnusableInput
        It is damaged, or a part of it is missing or leads out of its folder.
    """

    format = "TensorFlow checkpoint"

    def __init__(self, path: Path) -> None:
        self.path, self.documents = path, {}
        self._prefix = self._prefix_of(path)
        index = self._inside(Path(f"{self._prefix}.index"))
        size = index.stat().st_size
        if size > LARGEST_INDEX:
            raise UnusableInput(
                str(index), f"has {size:,} bytes; no such index is honest, so it is not read"
            )
        self._shards: list[Path] = []
        with damaged(
            str(index),
            lambda error: f"is not the whole index of a checkpoint ({error}); copy it again",
            *(ValueError, IndexError),
        ):
            self._entries = dict(self._listed(index.read_bytes()))
        sizes = [each.stat().st_size for each in self._shards]
        self.size = size + sum(sizes)
        for name, entry in self._entries.items():
            if entry.offset + entry.size > sizes[entry.shard]:
                raise UnusableInput(
                    self.where(name),
                    f"is said to stand from byte {entry.offset:,} to "
                    f"{entry.offset + entry.size:,}; {self._shards[entry.shard].name} has "
                    f"{sizes[entry.shard]:,}; copy the checkpoint again",
                )
        self.objects = self._read_objects(index)
        named = {key: name for name, key in self.objects.variables().items()}
        self._entries = {
            named.get(key, key.removesuffix(VALUE)): entry for key, entry in self._entries.items()
        }
        self.datasets = {name: entry.stored for name, entry in self._entries.items()}

    @property
    def files(self) -> tuple[Path, ...]:
        index = Path(f"{self._prefix}.index")
        return (*super().files, index, *self._shards, index.with_name(LISTING))

    def read(self, name: str) -> NDArray[Any]:
        entry, where = self._entries[name], self.where(name)
        if entry.stored.dtype == "text":
            raise UnusableInput(where, "holds text; expected numbers")
        check_shape(where, entry.stored.shape)
        array = np.frombuffer(self._bytes(entry), _dtype(entry.stored)).reshape(entry.stored.shape)
        return bfloat16(array) if entry.stored.dtype == "bfloat16" else array

    def _read_objects(self, index: Path) -> Objects:
        """What TensorFlow 2 writes of the objects that have the variables; TensorFlow 1 none."""
        entry = self._entries.pop(OBJECTS, None)
        if entry is None:
            return Objects([])
        if entry.size > LARGEST_GRAPH or entry.stored != Stored((), "text"):
            raise UnusableInput(str(index), f"`{OBJECTS}` is not what TensorFlow writes by it")
        with damaged(
            self.where(OBJECTS),
            lambda error: f"is damaged ({error}); copy the checkpoint again",
            ValueError,
        ):
            return Objects.of(only_text(self._bytes(entry)))

    def _bytes(self, entry: _Variable) -> bytes:
        with self._shards[entry.shard].open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size)

    def _prefix_of(self, path: Path) -> Path:
        """What the names of all its files begin with."""
        listing = path / LISTING if path.is_dir() else path
        if listing.name != LISTING:
            return Path(PARTS.sub("", str(path)))
        found = LISTED.search(self._inside(listing).read_text("utf-8", "replace"))
        if found is None:
            raise UnusableInput(str(listing), "names no checkpoint; give one of its files")
        return listing.parent / re.split(r"[/\\]", found[1])[-1]

    def _inside(self, path: Path) -> Path:
        """A file of the checkpoint, that stands where the checkpoint does."""
        if not path.is_file():
            raise UnusableInput(
                str(path), "there is no such file, which belongs to the model; copy it whole"
            )
        if not path.resolve().is_relative_to(self._root().resolve()):
            raise UnusableInput(
                str(path), "is a link that leads out of its folder, so it is not read; copy the "
                "file itself"
            )  # fmt: skip
        return path

    def _root(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def _listed(self, data: bytes) -> Iterator[tuple[str, _Variable]]:
        entries = table_entries(data)
        key, header = next(entries, (b"-", b""))
        shards = whole(header, 1)
        if key or not 1 <= shards <= MOST_SHARDS:
            raise ValueError("it does not begin with the number of its files")
        if whole(header, 2):
            raise ValueError("its numbers are big-endian")
        for number in range(shards):
            name = f"{self._prefix}.data-{number:05}-of-{shards:05}"
            self._shards.append(self._inside(Path(name)))
        for key, value in entries:
            name = key.decode("utf-8")
            yield name, self._entry(name, value)

    def _entry(self, name: str, value: bytes) -> _Variable:
        """What the index says of a variable."""
        number, shard, offset, size = (whole(value, each) for each in (1, 3, 4, 5))
        if next(messages(value, 7), None) is not None:
            raise ValueError(f"`{name}` is kept in slices")
        if number not in DTYPES:
            raise ValueError(f"`{name}` is of type {number}")
        if shard >= len(self._shards):
            raise ValueError(f"`{name}` is in file {shard} of {len(self._shards)}")
        shape = tuple(_sizes(value))
        stored = Stored(shape, DTYPES[number])
        claimed = 0 if stored.dtype == "text" else _dtype(stored).itemsize * math.prod(shape)
        if stored.dtype != "text" and claimed != size:
            raise ValueError(f"`{name}` of {claimed:,} bytes is said to take {size:,}")
        return _Variable(stored, shard, offset, size)


def _sizes(value: Data) -> Iterator[int]:
    for shape in messages(value, 2):
        for number, dimension in fields(shape):
            if number == 2 and isinstance(dimension, memoryview):
                size = whole(dimension, 1)
                if size >= 2**63:
                    raise ValueError("a variable has an open shape")
                yield size


def _dtype(stored: Stored) -> np.dtype[Any]:
    return np.dtype("uint16" if stored.dtype == "bfloat16" else stored.dtype).newbyteorder("<")


class SavedModelFile(CheckpointFile):
    """The variables of a SavedModel, by its folder or the file of its graph."""

    format = "SavedModel"

    def __init__(self, path: Path) -> None:
        self.folder = path if path.is_dir() else path.parent
        super().__init__(self.folder)

    def _prefix_of(self, path: Path) -> Path:
        return path / "variables" / "variables"

    @property
    def files(self) -> tuple[Path, ...]:
        return (*super().files, *self.folder.glob("*.pb"), *self.folder.glob("assets/*"))

    def variables_of(self, path: str) -> dict[str, str]:
        """The datasets that an object has, by the path to each from it."""
        named = {key: name for name, key in self.objects.variables().items()}
        found = self.objects.variables(path)
        return {each: named.get(key, key.removesuffix(VALUE)) for each, key in found.items()}

    def content(self, name: str, limit: int) -> bytes | None:
        """One of its files; None where it has none of that name.

        Raises
        ------
        UnusableInput
            It leads out of the folder, or is larger than the limit.
        """
        path = self.folder / name
        if not path.exists():
            return None
        size = self._inside(path).stat().st_size
        if size > limit:
            raise UnusableInput(
                str(path), f"has {size:,} bytes; no such file is honest, so it is not read"
            )
        return path.read_bytes()
