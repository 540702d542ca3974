"""PyTorch's files before 1.6: pickles one behind the other, and behind them the numbers.

They are a number that tells the format, its version, the writer's machine, what was saved, and the
names of the storages, each a pickle; then each storage as how many elements it has (int64) and
those. All numbers are little-endian, whatever the writer's machine was: see torch/csrc/generic/
serialization.cpp of PyTorch 1.5, `writeFileRaw`.
"""

import mmap
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.pickles.values import Foreign
from .pickled import STORAGES, TorchPickles

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
VERSION = 1001
# How many elements a storage has.
COUNT = struct.Struct("<q")
# How many bytes an element has, of storages that NumPy has no numbers for.
OTHER_SIZES = {
    "BFloat16Storage": 2,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
    "UntypedStorage": 1,
}


class LegacyTorch:
    """What torch.save wrote before 1.6, a `Container`."""

    byte_order: Literal["<", ">"] = "<"

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        with path.open("rb") as file:
            # Mapped: a pickle says nowhere how long it is, and what is behind it is large.
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            reader = TorchPickles(self._data, self.where)
            magic, version, _ = (reader.read() for _ in range(3))
            if magic != MAGIC_NUMBER or version != VERSION:
                found = f"version {version}" if magic == MAGIC_NUMBER else "another number"
                raise UnusableInput(
                    self.where, f"begins with {found}; expected PyTorch's format of {VERSION}"
                )
            self.content: Any = reader.read()
            self._places = self._found(reader)
        except BaseException:
            self._data.close()
            raise

    def numbers(self, key: str) -> bytes:
        """All bytes of a storage."""
        begin, end = self._places[key]
        return self._data[begin:end]

    def close(self) -> None:
        self._data.close()

    def _found(self, reader: TorchPickles) -> dict[str, tuple[int, int]]:
        """Where each storage begins and ends, behind the pickle of their names."""
        places: dict[str, tuple[int, int]] = {}
        keys = reader.read()
        at, whole = reader.at, len(self._data)
        for key in keys if isinstance(keys, list) else ():
            kind = reader.storages.get(key) if isinstance(key, str) else None
            if kind is None:
                raise self._damaged("lists a storage that no tensor is of")
            if at + COUNT.size > whole:
                raise self._damaged(f"ends before its storage `{key}`")
            (count,) = COUNT.unpack_from(self._data, at)
            begin, size = at + COUNT.size, count * self._size(kind)
            at = begin + size
            if not 0 <= size <= whole - begin:
                raise self._damaged(
                    f"has a storage `{key}` that claims {size:,} bytes; {whole - begin:,} are left"
                )
            places[key] = begin, at
        missing = next((key for key in reader.storages if key not in places), None)
        if missing is not None:
            raise self._damaged(f"does not list its storage `{missing}`")
        return places

    def _size(self, kind: Foreign) -> int:
        """How many bytes an element has."""
        if kind.name in OTHER_SIZES:
            return OTHER_SIZES[kind.name]
        if kind.name not in STORAGES:
            raise UnusableInput(
                self.where,
                f"has numbers in a `{kind}`, of which it is not known how many bytes each takes, "
                "so that those behind are not found; save `model.state_dict()` as .safetensors",
            )
        return np.dtype(STORAGES[kind.name]).itemsize

    def _damaged(self, problem: str) -> UnusableInput:
        return UnusableInput(self.where, f"{problem}; copy or save the file again")
