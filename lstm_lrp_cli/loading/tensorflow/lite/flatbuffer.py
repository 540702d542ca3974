"""FlatBuffers: tables whose fields stand where a list of offsets says, read where they lie.

Every offset is one that anybody may have written: what leads out of the file, or claims more than
is honest, is a ValueError.

Source: flatbuffers.dev, "FlatBuffer Internals".
"""

import struct
from collections.abc import Iterator

from msgspec import Struct

# So much of a name is read; they are long where a converter joins those of several operators.
LONGEST_TEXT = 1000
# No list of sizes or of an operator's tensors is longer, and no model has more operators.
LONGEST_LIST = 1024
MOST_TABLES = 20_000


class FlatTable(Struct, frozen=True):
    """A table.

    Parameters
    ----------
    data : bytes
        The whole file.
    at : int
        Where the table begins.
    """

    data: bytes
    at: int

    def number(self, field: int, form: str, default: float = 0) -> float:
        """A field that is one number, in a form that `struct` knows."""
        place = self._place(field)
        return default if place is None else _number(self.data, place, form)

    def whole(self, field: int, form: str, default: int = 0) -> int:
        return int(self.number(field, form, default))

    def table(self, field: int) -> "FlatTable | None":
        place = self._place(field)
        return None if place is None else FlatTable(self.data, _followed(self.data, place))

    def tables(self, field: int) -> Iterator["FlatTable"]:
        """A field that is a list of tables."""
        begin, count = self._list(field, 4, MOST_TABLES)
        for number in range(count):
            yield FlatTable(self.data, _followed(self.data, begin + 4 * number))

    def numbers(self, field: int, form: str) -> tuple[float, ...]:
        """A field that is a list of numbers."""
        size = struct.calcsize(form)
        begin, count = self._list(field, size, LONGEST_LIST)
        return tuple(_number(self.data, begin + size * k, form) for k in range(count))

    def wholes(self, field: int, form: str) -> tuple[int, ...]:
        return tuple(map(int, self.numbers(field, form)))

    def text(self, field: int) -> str:
        begin, count = self.span(field)
        return self.data[begin : begin + min(count, LONGEST_TEXT)].decode("utf-8", "replace")

    def span(self, field: int) -> tuple[int, int]:
        """Where a field that is a list of bytes begins, and how many it has."""
        return self._list(field, 1, len(self.data))

    def _place(self, field: int) -> int | None:
        """Where a field's value stands; None where it has the value that it has if not said."""
        listed = self.at - int(_number(self.data, self.at, "<i"))
        if 4 + 2 * field >= _number(self.data, listed, "<H"):
            return None
        offset = int(_number(self.data, listed + 4 + 2 * field, "<H"))
        return self.at + offset if offset else None

    def _list(self, field: int, size: int, most: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        begin = _followed(self.data, place)
        count = int(_number(self.data, begin, "<I"))
        if count > most or begin + 4 + count * size > len(self.data):
            raise ValueError(f"a list claims {count:,} elements")
        return begin + 4, count


def root_of(data: bytes) -> FlatTable:
    """The table that a file is."""
    return FlatTable(data, _followed(data, 0))


def _followed(data: bytes, place: int) -> int:
    return place + int(_number(data, place, "<I"))


def _number(data: bytes, place: int, form: str) -> float:
    if not 0 <= place <= len(data) - struct.calcsize(form):
        raise ValueError(f"an offset leads to byte {place:,} of {len(data):,}")
    found: float = struct.unpack_from(form, data, place)[0]
    return found
