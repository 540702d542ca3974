"""The safetensors format: a JSON header, and the tensors' bytes one after another."""

import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from . import ArrayFile, Stored, bfloat16, check_size, damaged

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
# What the format itself allows.
LONGEST_HEADER = 100_000_000
# So much of it may be something else than texts: it describes 50,000 tensors and more.
LONGEST_STRUCTURE = 5_000_000
MOST_TEXTS = 500_000
TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
LENGTH = struct.Struct("<Q")
# The tensors' bytes begin at a multiple of it, so that they can be used where they lie.
ALIGNMENT = 8


class SafetensorsFile(ArrayFile):
    """A safetensors file. Every offset is checked against the file before anything is read."""

    format = "safetensors"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        size = self.size
        with path.open("rb") as file:
            beginning = file.read(LENGTH.size)
            length = LENGTH.unpack(beginning)[0] if len(beginning) == LENGTH.size else size
            if length > min(size - LENGTH.size, LONGEST_HEADER):
                problem = f"its header claims {length:,} bytes, the file has {size:,}"
                raise UnusableInput(str(path), _not_whole(problem))
            text = file.read(length)
        self._data = LENGTH.size + length
        with damaged(
            str(path),
            lambda error: _not_whole(f"its header is not of the format ({error!r})"),
            *(ValueError, KeyError, TypeError, AttributeError, RecursionError),
        ):
            if len(text) > LONGEST_STRUCTURE:
                _check_structure(text)
            header = json.loads(text)
            metadata = header.pop("__metadata__", None) or {}
            self.documents = {str(k): str(v) for k, v in metadata.items()}
            self._entries = {name: _entry(entry) for name, entry in header.items()}
        for name, (stored, begin, end) in self._entries.items():
            claimed = _dtype(stored).itemsize * math.prod(stored.shape)
            if not 0 <= begin <= end <= size - self._data or end - begin != claimed:
                problem = (
                    f"tensor `{name}` of {claimed:,} bytes is said to stand from byte {begin:,} "
                    f"to {end:,}; the file has {size - self._data:,} bytes of tensors"
                )
                raise UnusableInput(str(path), _not_whole(problem))
        self.datasets = {name: stored for name, (stored, _, _) in self._entries.items()}

    def read(self, name: str) -> NDArray[Any]:
        stored, begin, end = self._entries[name]
        check_size(self.where(name), stored.shape, _dtype(stored).itemsize, self.size)
        with self.path.open("rb") as file:
            file.seek(self._data + begin)
            array = np.frombuffer(file.read(end - begin), _dtype(stored)).reshape(stored.shape)
        return bfloat16(array) if stored.dtype == "bfloat16" else array


def _not_whole(problem: str) -> str:
    return f"is not a whole safetensors file: {problem}; copy or save it again"


def _check_structure(text: bytes) -> None:
    """Refuse a header of more values than any honest one: each takes many times its bytes."""
    texts = rest = 0
    begin = 0
    for found in TEXT.finditer(text):
        texts, rest, begin = texts + 1, rest + found.start() - begin, found.end()
        if texts > MOST_TEXTS or rest > LONGEST_STRUCTURE:
            break
    if texts > MOST_TEXTS or rest + len(text) - begin > LONGEST_STRUCTURE:
        raise ValueError("it describes more than any model has")


def _entry(entry: dict[str, Any]) -> tuple[Stored, int, int]:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError("expected whole numbers")
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"dtype {entry['dtype']}; expected one of {', '.join(DTYPES)}")
    return Stored(shape, DTYPES[entry["dtype"]]), begin, end


def _dtype(stored: Stored) -> np.dtype[Any]:
    return np.dtype("uint16" if stored.dtype == "bfloat16" else stored.dtype).newbyteorder("<")


def write_safetensors(file: BinaryIO, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers, one after another behind a header that says where each stands."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header = {}
    end = 0
    for name, array in arrays.items():
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": names[array.dtype.name],
            "shape": array.shape,
            "data_offsets": (begin, end),
        }
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % ALIGNMENT)
    file.write(LENGTH.pack(len(text)) + text)
    for array in arrays.values():
        file.write(array.astype(array.dtype.newbyteorder("<")).tobytes())
