"""Where the chunks of a dataset stand: the six ways in which HDF5 lists them."""

import math
from collections.abc import Callable, Iterator
from enum import IntEnum
from operator import mul

import numpy as np
from msgspec import Struct

from .source import Broken, Fields, FileBytes
from .trees import CHUNKS, new_tree, old_tree

PLAIN, FILTERED = 10, 11  # what a tree of version 2 is of


class Index(IntEnum):
    """How the chunks are listed; OLD by a tree of version 1."""

    OLD = 0
    SINGLE = 1
    IMPLICIT = 2
    FIXED = 3
    EXTENSIBLE = 4
    TREE = 5


class Chunk(Struct, frozen=True):
    """A chunk.

    Parameters
    ----------
    place : tuple of int
        Which it is along each axis.
    size : int
        Of its bytes in the file.
    mask : int
        A bit for each filter, set where it was left out.
    """

    place: tuple[int, ...]
    address: int
    size: int
    mask: int = 0


class Chunked(Struct, frozen=True):
    """How a dataset is cut into chunks, and where they are listed.

    Parameters
    ----------
    index : Index
    address : int or None
        None where none was written.
    shape : tuple of int
        Of a chunk.
    size : int
        Of a chunk's bytes, before filters.
    grid : tuple of int
        How many chunks there are along each axis.
    most : tuple of int or None
        How many there may be; None is without end.
    is_filtered : bool
    single : tuple of int
        The bytes and the mask of a single chunk that is filtered.
    plain_edges : bool
        Whether chunks that reach beyond the dataset are not filtered.
    """

    index: Index
    address: int | None
    shape: tuple[int, ...]
    size: int
    grid: tuple[int, ...]
    most: tuple[int | None, ...]
    is_filtered: bool
    single: tuple[int, int] = (0, 0)
    plain_edges: bool = False

    @property
    def count(self) -> int:
        return math.prod(self.grid)


def chunks_of(source: FileBytes, chunked: Chunked, what: str) -> Iterator[Chunk]:
    """The chunks that were written, in whatever order.

    Raises
    ------
    Broken
    """
    if chunked.address is None or not chunked.count:
        return
    for chunk in LISTED[chunked.index](source, chunked, chunked.address, what):
        # The dataset may have been larger.
        if all(0 <= at < size for at, size in zip(chunk.place, chunked.grid, strict=True)):
            yield chunk


def _old(source: FileBytes, chunked: Chunked, address: int, what: str) -> Iterator[Chunk]:
    rank = len(chunked.shape)
    for key, place in old_tree(source, address, CHUNKS, 8 + 8 * (rank + 1)):
        size, mask, *starts = (
            np.frombuffer(key[:8], "<u4").tolist() + np.frombuffer(key[8:], "<u8").tolist()
        )
        at = tuple(start // edge for start, edge in zip(starts, chunked.shape, strict=False))
        if any(start % edge for start, edge in zip(starts, chunked.shape, strict=False)):
            raise Broken(f"a chunk of {what} begins amid another")
        yield Chunk(at, place, size, mask)


def _single(source: FileBytes, chunked: Chunked, address: int, what: str) -> Iterator[Chunk]:
    size, mask = chunked.single if chunked.is_filtered else (chunked.size, 0)
    yield Chunk((0,) * len(chunked.shape), address, size, mask)


def _implicit(source: FileBytes, chunked: Chunked, address: int, what: str) -> Iterator[Chunk]:
    most = _bounded(chunked, what)
    steps = [math.prod(most[axis + 1 :]) for axis in range(len(most))]
    for place in np.ndindex(*chunked.grid):
        number = sum(map(mul, place, steps))
        yield Chunk(place, address + number * chunked.size, chunked.size)


def _fixed(source: FileBytes, chunked: Chunked, address: int, what: str) -> Iterator[Chunk]:
    name = f"the chunks' array of {what}"
    head = source.checked(address, 12 + source.length_bytes + source.offset_bytes, name, b"FAHD")
    head.version(0)
    head.skip(1)
    element, page_bits, count = head.number(1), head.number(1), head.length()
    data = head.address()
    if data is None:
        return
    prefix = 6 + source.offset_bytes
    most = _bounded(chunked, what)
    if count > math.prod(most):
        raise Broken(f"{name} is of {count:,} chunks, and there may be {math.prod(most):,}")
    page = 2**page_bits
    if count <= page:
        fields = source.checked(data, prefix + count * element + 4, name, b"FADB")
        fields.skip(prefix - 4)
        yield from _elements(fields, chunked, 0, count, most)
        return
    pages = -(-count // page)
    bitmap = (pages + 7) // 8
    fields = source.checked(data, prefix + bitmap + 4, name, b"FADB")
    fields.skip(prefix - 4)
    for number in _written(fields.take(bitmap), pages):
        here = min(page, count - number * page)
        at = data + prefix + bitmap + 4 + number * (page * element + 4)
        entries = source.checked(at, here * element + 4, name, b"")
        yield from _elements(entries, chunked, number * page, here, most)


def _written(flags: bytes, count: int, first: int = 0) -> list[int]:
    """Which of some pages were written, by a flag each; the first of a byte is its highest bit."""
    bits = np.unpackbits(np.frombuffer(flags, np.uint8))
    return np.flatnonzero(bits[first : first + count]).tolist()


def _elements(
    fields: Fields, chunked: Chunked, first: int, count: int, most: tuple[int, ...]
) -> Iterator[Chunk]:
    """The chunks that some elements of an array name, the first of which has a number."""
    source = fields.source
    width = fields.left // count if count else 0
    for number in range(first, first + count):
        entry = Fields(fields.take(width), source, fields.what)
        address = entry.address()
        size, mask = chunked.size, 0
        if chunked.is_filtered:
            size, mask = entry.number(width - source.offset_bytes - 4), entry.number(4)
        if address is not None:
            yield Chunk(_place(number, most), address, size, mask)


def _place(number: int, most: tuple[int, ...]) -> tuple[int, ...]:
    """Which chunk along each axis one is by its number; the first axis has no bound."""
    found: list[int] = []
    for size in reversed(most[1:]):
        number, at = divmod(number, size)
        found.append(at)
    return (number, *reversed(found))


def _bounded(chunked: Chunked, what: str) -> tuple[int, ...]:
    """How many chunks there may be along each axis."""
    most = [each for each in chunked.most if each]
    if len(most) < len(chunked.most):
        raise Broken(f"the chunks of {what} are listed as if it could not grow, and it can")
    return tuple(most)


class _Array(Struct, frozen=True):
    """How an extensible array is laid out.

    Parameters
    ----------
    element, place_bytes : int
        The bytes of an element, and of an element's number.
    in_index, smallest, pointers, page : int
        How many elements the index block has itself, the smallest block of data, and a page; how
        many blocks a super block has at least.
    supers : int
        How many super blocks there may be.
    """

    element: int
    place_bytes: int
    in_index: int
    smallest: int
    pointers: int
    page: int
    supers: int

    def blocks(self, number: int) -> tuple[int, int]:
        """How many blocks of data the super block of a number has, and how large they are."""
        return 1 << number // 2, self.smallest << (number + 1) // 2


def _extensible(source: FileBytes, chunked: Chunked, address: int, what: str) -> Iterator[Chunk]:
    """Chunks of a dataset of which one axis may grow."""
    name = f"the chunks' array of {what}"
    size = 16 + 6 * source.length_bytes + source.offset_bytes
    head = source.checked(address, size, name, b"EAHD")
    head.version(0)
    head.skip(1)
    element, bits, in_index, smallest, pointers, page_bits = head.take(6)
    head.skip(4 * source.length_bytes)
    count = head.length()  # of the last that was written
    head.skip(source.length_bytes)
    index = head.address()
    powers = all(each and not each & (each - 1) for each in (smallest, pointers))
    if not powers or bits > 64 or page_bits > 32 or pointers < 2:
        raise Broken(f"{name} is laid out as no such array is")
    supers = 1 + bits - (smallest.bit_length() - 1)
    layout = _Array(
        *(element, (bits + 7) // 8, in_index, smallest, pointers, 1 << page_bits, supers)
    )
    growing = [axis for axis, most in enumerate(chunked.most) if most is None]
    if index is None:
        return
    if len(growing) != 1:
        raise Broken(f"the chunks of {what} are listed as if one axis could grow")
    # What may grow comes first.
    axis = growing[0]
    rest = [each or 1 for each in chunked.most if each is not None]
    turned = (0, *rest)
    for chunk in _Extensible(source, chunked, layout, turned, name).read(index, count):
        place = list(chunk.place[1:])
        place.insert(axis, chunk.place[0])
        yield Chunk(tuple(place), chunk.address, chunk.size, chunk.mask)


class _Extensible:
    """Reads an extensible array; `most` has its chunks along each axis, the growing one first."""

    def __init__(
        self, source: FileBytes, chunked: Chunked, layout: _Array, most: tuple[int, ...], name: str
    ) -> None:
        self._source, self._chunked, self._layout = source, chunked, layout
        self._most, self._name = most, name

    def read(self, address: int, count: int) -> Iterator[Chunk]:
        """The chunks, up to a number."""
        source, layout = self._source, self._layout
        first = 2 * (layout.pointers.bit_length() - 1)
        direct = 2 * (layout.pointers - 1)
        own = max(layout.supers - first, 0)
        prefix = 6 + source.offset_bytes
        size = prefix + layout.in_index * layout.element
        size += (direct + own) * source.offset_bytes + 4
        fields = source.checked(address, size, self._name, b"EAIB")
        fields.skip(prefix - 4)
        elements = Fields(fields.take(layout.in_index * layout.element), source, self._name)
        yield from _elements(elements, self._chunked, 0, layout.in_index, self._most)
        at = layout.in_index
        for number in range(min(first, layout.supers)):
            blocks, length = layout.blocks(number)
            for _ in range(blocks):
                place = fields.address()
                if place is not None and at < count:
                    yield from self._data(place, at, length, None)
                at += length
        for number in range(first, layout.supers):
            place = fields.address()
            blocks, length = layout.blocks(number)
            if place is not None and at < count:
                yield from self._super(place, at, blocks, length)
            at += blocks * length

    def _super(self, address: int, at: int, blocks: int, length: int) -> Iterator[Chunk]:
        source, layout = self._source, self._layout
        pages = length // layout.page if length > layout.page else 0
        bitmap = (pages + 7) // 8
        prefix = 6 + source.offset_bytes + layout.place_bytes
        size = prefix + blocks * (bitmap + source.offset_bytes) + 4
        fields = source.checked(address, size, self._name, b"EASB")
        fields.skip(prefix - 4)
        flags = fields.take(blocks * bitmap)
        for number in range(blocks):
            place = fields.address()
            if place is not None:
                written = _written(flags, pages, number * pages) if pages else None
                yield from self._data(place, at + number * length, length, written)

    def _data(
        self, address: int, at: int, length: int, written: list[int] | None
    ) -> Iterator[Chunk]:
        """A block of elements, which are in pages where it is said which of those were written."""
        source, layout = self._source, self._layout
        prefix = 6 + source.offset_bytes + layout.place_bytes
        if written is None:
            size = prefix + length * layout.element + 4
            fields = source.checked(address, size, self._name, b"EADB")
            fields.skip(prefix - 4)
            yield from _elements(fields, self._chunked, at, length, self._most)
            return
        source.checked(address, prefix + 4, self._name, b"EADB")
        size = layout.page * layout.element + 4
        for number in written:
            fields = source.checked(address + prefix + 4 + number * size, size, self._name, b"")
            here = at + number * layout.page
            yield from _elements(fields, self._chunked, here, layout.page, self._most)


def _tree(source: FileBytes, chunked: Chunked, address: int, what: str) -> Iterator[Chunk]:
    rank = len(chunked.shape)
    for record in new_tree(source, address, FILTERED if chunked.is_filtered else PLAIN):
        place, size, mask = record.place(), chunked.size, 0
        if chunked.is_filtered:
            size, mask = record.number(record.left - 4 - 8 * rank), record.number(4)
        yield Chunk(tuple(record.number(8) for _ in range(rank)), place, size, mask)


LISTED: dict[Index, Callable[[FileBytes, Chunked, int, str], Iterator[Chunk]]] = {
    Index.OLD: _old,
    Index.SINGLE: _single,
    Index.IMPLICIT: _implicit,
    Index.FIXED: _fixed,
    Index.EXTENSIBLE: _extensible,
    Index.TREE: _tree,
}
