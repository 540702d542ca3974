"""Where HDF5 keeps names, links, attributes and texts: local, fractal and global heaps."""

from bisect import bisect_right
from collections.abc import Iterator
from struct import Struct

import msgspec

from .source import Broken, Fields, FileBytes, NotRead, checksum, filled
from .trees import new_tree

# What stands before the objects of a collection, and before each of them, besides its length.
COLLECTION_BYTES = 8
# How `struct` calls numbers of so many bytes.
LENGTHS = {2: "H", 4: "I", 8: "Q"}


def local_heap(source: FileBytes, address: int) -> Fields:
    """The names of an old group."""
    what = f"the heap of names at byte {address:,}"
    head = source.fields(address, 8 + 2 * source.length_bytes + source.offset_bytes, what, b"HEAP")
    head.version(0)
    head.skip(3)
    size = head.length()
    head.skip(source.length_bytes)
    return source.fields(head.place(), size, what)


class GlobalHeap:
    """The objects of all collections of a file, each of which is read once.

    They are texts of any length.
    """

    def __init__(self, source: FileBytes) -> None:
        self._source = source
        self._read: dict[int, dict[int, bytes]] = {}

    def objects(self, address: int) -> dict[int, bytes]:
        """The objects of a collection, by their numbers.

        Raises
        ------
        Broken
        """
        found = self._read.get(address)
        if found is None:
            found = self._read[address] = self._collection(address)
        return found

    def _collection(self, address: int) -> dict[int, bytes]:
        what = f"the heap of texts at byte {address:,}"
        source = self._source
        head = COLLECTION_BYTES + filled(source.length_bytes)
        begin = source.fields(address, 8 + source.length_bytes, what, b"GCOL")
        begin.version(1)
        begin.skip(3)
        size = begin.length()
        if size < head:
            raise Broken(f"{what} is said to have {size} bytes")
        data = source.look(address, size, what)
        numbers = Struct(f"<H6x{LENGTHS[source.length_bytes]}").unpack_from
        found: dict[int, bytes] = {}
        at = head
        while at + head <= size:
            number, length = numbers(data, at)
            if number == 0 and length:  # what is free is the last
                break
            at += head
            if not number or at + length > size:
                raise Broken(f"{what} does not lead to its end")
            found[number] = data[at : at + length]
            at += -(-length // 8) * 8
        source.spend(16 * len(found), what)
        return found


class _Heap(msgspec.Struct, frozen=True):
    """What a fractal heap says of itself.

    Parameters
    ----------
    width : int
        Blocks in a row.
    first, most : int
        The bytes of the blocks of the first row, and of the largest that hold objects.
    bits : int
        Of a place in it.
    root : int or None
    rows : int
        Of the root; 0 where that is a block of objects.
    huge : int or None
        The tree of objects that stand outside.
    id_bytes, length_bytes : int
        Of an object's name, and of its length in one.
    is_checked : bool
        Whether each block has a checksum.
    """

    width: int
    first: int
    most: int
    bits: int
    root: int | None
    rows: int
    huge: int | None
    id_bytes: int
    length_bytes: int
    is_checked: bool

    @property
    def bytes_of_place(self) -> int:
        return (self.bits + 7) // 8

    def rows_of(self, size: int) -> int:
        """How many rows a block of blocks has that is of a size in the heap."""
        return max(size.bit_length() - (self.first * self.width).bit_length() + 1, 0)


class FractalHeap:
    """The links or attributes of one object, where they are many.

    Raises
    ------
    Broken
    NotRead
    """

    def __init__(self, source: FileBytes, address: int) -> None:
        self._source = source
        self._what = f"the heap at byte {address:,}"
        self._heap = _read_heap(source, address, self._what)
        # Where each block of objects begins in the heap and in the file, and its size.
        self._blocks: list[tuple[int, int, int]] | None = None
        self._contents: dict[int, bytes] = {}
        self._huge: dict[int, tuple[int, int]] | None = None

    def object(self, name: bytes) -> bytes:
        """An object, by its identifier."""
        heap, what = self._heap, self._what
        if len(name) < heap.id_bytes or name[0] >> 6:
            raise Broken(f"{what} is asked for an object of another version")
        kind = name[0] >> 4 & 3
        fields = Fields(name[: heap.id_bytes], self._source, what, 1)
        if kind == 0:
            return self._managed(
                fields.number(heap.bytes_of_place), fields.number(heap.length_bytes)
            )
        if kind == 1:
            return self._outside(fields)
        if kind == 2:
            length = (name[0] & 15) + 1
            if heap.id_bytes > 18:  # a longer one has its length in more bits
                length = ((name[0] & 15) << 8 | fields.number(1)) + 1
            return fields.take(length)
        raise Broken(f"{what} is asked for an object of kind {kind}")

    def _managed(self, offset: int, length: int) -> bytes:
        if self._blocks is None:
            self._blocks = sorted(self._list_blocks())
        at = bisect_right(self._blocks, offset, key=lambda block: block[0]) - 1
        start, address, size = self._blocks[at] if at >= 0 else (0, 0, 0)
        if offset + length > start + size:
            raise Broken(f"{self._what} has no object at {offset:,} of {length:,} bytes")
        if start not in self._contents:
            self._contents[start] = self._content(address, size)
        return self._contents[start][offset - start : offset - start + length]

    def _content(self, address: int, size: int) -> bytes:
        """A block of objects, whose beginning counts too."""
        heap, source = self._heap, self._source
        data = source.look(address, size, self._what)
        head = 5 + source.offset_bytes + heap.bytes_of_place
        if data[:5] != b"FHDB\0":
            raise Broken(f"{self._what} has a block that begins with {data[:4]!r}")
        if heap.is_checked:
            said = int.from_bytes(data[head : head + 4], "little")
            if checksum(data[:head] + bytes(4) + data[head + 4 :]) != said:
                raise Broken(f"{self._what} has a block without the checksum that it says")
        return data

    def _list_blocks(self) -> Iterator[tuple[int, int, int]]:
        heap, source, what = self._heap, self._source, self._what
        if heap.root is None:
            return
        if heap.rows == 0:
            yield 0, heap.root, heap.first
            return
        seen: set[int] = set()
        pending = [(0, heap.root, heap.rows)]
        while pending:
            start, address, rows = pending.pop()
            if address in seen or rows > heap.bits:
                raise Broken(f"{what} leads in circles")
            seen.add(address)
            head = 5 + source.offset_bytes + heap.bytes_of_place
            size = head + rows * heap.width * source.offset_bytes + 4
            fields = source.checked(address, size, what, b"FHIB")
            fields.skip(head - 4)
            for row in range(rows):
                size = heap.first << max(row - 1, 0)
                for _ in range(heap.width):
                    place = fields.address()
                    if place is not None and size <= heap.most:
                        yield start, place, size
                    elif place is not None:
                        pending.append((start, place, heap.rows_of(size)))
                    start += size

    def _outside(self, fields: Fields) -> bytes:
        """A huge object, which stands outside the heap."""
        heap, source = self._heap, self._source
        if heap.id_bytes - 1 >= source.offset_bytes + source.length_bytes:
            return source.look(fields.place(), fields.length(), self._what)
        if self._huge is None:
            self._huge = {}
            for record in new_tree(source, heap.huge, 1) if heap.huge is not None else ():
                address, length = record.place(), record.length()
                self._huge[record.length()] = address, length
        number = fields.number(min(heap.id_bytes - 1, source.length_bytes))
        if number not in self._huge:
            raise Broken(f"{self._what} has no huge object {number:,}")
        return source.look(*self._huge[number], self._what)


def _read_heap(source: FileBytes, address: int, what: str) -> _Heap:
    size = 22 + 12 * source.length_bytes + 3 * source.offset_bytes + 4
    start = source.look(address, 9, what)
    if int.from_bytes(start[7:9], "little"):
        raise NotRead(
            "keeps its links or attributes compressed, which is not read; save it again without "
            "(h5repack, or h5py, writes it so)"
        )
    head = source.checked(address, size, what, b"FRHP")
    head.version(0)
    id_bytes = head.number(2)
    head.skip(2)
    flags, most_managed = head.number(1), head.number(4)
    head.skip(source.length_bytes)
    huge = head.address()
    head.skip(source.length_bytes + source.offset_bytes + 8 * source.length_bytes)
    width, first, most = head.number(2), head.length(), head.length()
    bits = head.number(2)
    head.skip(2)
    root, rows = head.address(), head.number(2)
    powers = all(number > 0 and number & number - 1 == 0 for number in (width, first, most))
    if not powers or bits > 64 or most < first or width > 2**15:
        raise Broken(f"{what} says that its blocks are of {first:,} to {most:,} bytes")
    lengths = ((most.bit_length() + 6) // 8, (most_managed.bit_length() + 7) // 8 or 1)
    return _Heap(
        *(width, first, most, bits, root, rows, huge, id_bytes, min(lengths), bool(flags & 2))
    )
