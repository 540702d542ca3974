"""Datasets and attributes of an HDF5 file as NumPy arrays and Python values."""

import math
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.loading.files import ALLOWED_BYTES, ALLOWED_EXPANSION, check_size
from .chunks import Chunk, Chunked, Index, chunks_of
from .datatypes import AT_ZERO, BLANKS, Datatype, datatype_of
from .filters import Filter, check_known, filters_of, undone
from .headers import Header, Headers, Says, dimensions
from .heaps import GlobalHeap
from .links import Attribute
from .source import NOWHERE, Broken, Fields, NotRead

# As wide a table of texts as NumPy keeps them is made, and no wider: else each is by itself.
WIDE_BYTES = ALLOWED_BYTES


class LayoutClass(IntEnum):
    """Where the elements of a dataset stand."""

    COMPACT = 0
    CONTIGUOUS = 1
    CHUNKED = 2
    VIRTUAL = 3


class Dataset(Struct, frozen=True):
    """A dataset before it is read.

    Parameters
    ----------
    shape : tuple of int or None
        None where it is of nothing.
    most : tuple of int or None
        What its sizes may become; None is without end.
    """

    header: Header
    datatype: Datatype
    shape: tuple[int, ...] | None
    most: tuple[int | None, ...]
    what: str


class Arrays:
    """Reads the datasets and attributes of an open file."""

    def __init__(self, headers: Headers) -> None:
        self._headers, self._source = headers, headers.source
        self._texts = GlobalHeap(headers.source)
        # Many datasets are of one type.
        self._types: dict[bytes, Datatype] = {}

    def describe(self, header: Header, name: str) -> Dataset:
        """What a dataset is.

        Raises
        ------
        Broken
        NotRead
        """
        source = self._source
        datatype = self._type(self._body(header, Says.DATATYPE, name), name)
        body = self._body(header, Says.DATASPACE, name)
        shape, most = dimensions(body, source, name)
        return Dataset(header, datatype, shape, most, name)

    def _type(self, body: bytes, what: str) -> Datatype:
        found = self._types.get(body)
        if found is None:
            found = self._types[body] = datatype_of(body, self._source, what)
        return found

    def is_elsewhere(self, dataset: Dataset) -> bool:
        """Whether other files have its elements."""
        if dataset.header.first(Says.EXTERNAL):
            return True
        begin = self._body(dataset.header, Says.LAYOUT, dataset.what)[:2]
        return len(begin) == 2 and begin[0] > 2 and begin[1] == LayoutClass.VIRTUAL

    def read(self, dataset: Dataset) -> NDArray[Any]:
        """The elements of a dataset of numbers or texts, whose size was checked.

        Raises
        ------
        Broken
        NotRead
        """
        datatype, shape = dataset.datatype, dataset.shape or ()
        stored = self._stored(dataset, shape)
        if not datatype.is_text:
            return datatype.numbers(stored)
        found = list(self._decoded(stored, datatype))
        longest = max(map(len, found), default=0)
        wide = 4 * longest * len(found) > WIDE_BYTES
        return np.array(found, object if wide else np.str_).reshape(shape)

    def attribute(self, attribute: Attribute, where: str) -> Any:
        """The value of an attribute: a text, a number, a list of such; None where it is empty."""
        source, what = self._source, "it"
        datatype = self._type(attribute.datatype, what)
        shape, _ = dimensions(attribute.dataspace, source, what)
        if shape is None:
            return None
        check_size(where, shape, max(datatype.size, 16), source.size)
        if datatype.dtype is None and not datatype.variable:
            raise NotRead(f"holds {datatype.name} elements; expected numbers or text")
        count = math.prod(shape)
        if count * datatype.size > len(attribute.data):
            raise Broken(f"{what} is shorter than its shape says")
        data = np.frombuffer(attribute.data[: count * datatype.size], np.uint8)
        stored = data.view(_elements(datatype))
        found: list[Any]
        if datatype.is_text:
            errors = "surrogateescape" if datatype.variable else "replace"
            found = list(self._decoded(stored, datatype, errors))
        else:
            found = list(datatype.numbers(stored))
        return found if shape else found[0]

    def _decoded(self, stored: Any, datatype: Datatype, errors: str = "strict") -> Iterator[str]:
        """Texts as they are stored, or as they are named."""
        if not datatype.variable:
            for each in np.ravel(stored).tolist():
                yield _cut(each, datatype.padding).decode("utf-8", errors)
            return
        yield from self._named(np.ravel(stored), errors)

    def _named(self, names: NDArray[Any], errors: str) -> Iterator[str]:
        """Texts that stand in heaps. Those named one after another mostly stand in one."""
        source = self._source
        nowhere = (0, NOWHERE[source.offset_bytes])
        # Of each its length, and the place and the number of what has it.
        parts = names.view(
            [("length", "<u4"), ("at", f"<u{source.offset_bytes}"), ("number", "<u4")]
        )
        last, objects, known = 0, dict[int, bytes](), dict[int, str]()
        left = ALLOWED_BYTES + ALLOWED_EXPANSION * source.size
        columns = (parts[key].tolist() for key in ("length", "at", "number"))
        for length, at, number in zip(*columns, strict=True):
            if at in nowhere:
                yield ""
                continue
            if at != last:
                last, objects, known = at, self._texts.objects(at), {}
            text = known.get(number)
            if text is None:
                found = objects.get(number)
                if found is None or length > len(found):
                    raise Broken(f"the heap of texts at byte {at:,} has no text {number} as long")
                left -= length
                if left < 0:
                    raise Broken("its texts are far longer than the file")
                text = known[number] = found[:length].partition(b"\0")[0].decode("utf-8", errors)
            yield text

    def _body(self, header: Header, kind: Says, what: str) -> bytes:
        message = header.first(kind)
        if message is None:
            raise Broken(f"{what} does not say its {kind.name.lower()}")
        return self._headers.body(message, what)

    def _stored(self, dataset: Dataset, shape: tuple[int, ...]) -> NDArray[Any]:
        """The elements as they are stored."""
        elements = _elements(dataset.datatype)
        size = math.prod(shape) * elements.itemsize
        if not size:
            return np.empty(shape, elements)
        what = dataset.what
        fields = Fields(
            self._body(dataset.header, Says.LAYOUT, what), self._source, f"the layout of {what}"
        )
        version = fields.version(1, 2, 3, 4, 5)
        rank = fields.number(1) if version < 3 else 0
        kind = fields.number(1)
        if version < 3:
            fields.skip(5)
        if kind == LayoutClass.CHUNKED:
            filters = self._filters(dataset)
            form = _chunked(fields, version, rank, dataset, bool(filters))
            return self._assembled(dataset, form, filters)
        if kind == LayoutClass.COMPACT:
            if version < 3:
                fields.skip(4 * rank)
            data = fields.take(fields.number(2 if version > 2 else 4))
            if len(data) < size:
                raise Broken(f"{what} has {len(data):,} bytes, and needs {size:,}")
            return np.frombuffer(data[:size], elements).reshape(shape).copy()
        if kind != LayoutClass.CONTIGUOUS:
            raise Broken(f"{what} has a layout of kind {kind}")
        address = fields.address()
        if address is None:
            return self._filled(dataset, shape)
        return self._source.array(address, size, what).view(elements).reshape(shape)

    def _filters(self, dataset: Dataset) -> tuple[Filter, ...]:
        message = dataset.header.first(Says.FILTERS)
        if message is None:
            return ()
        body = self._headers.body(message, dataset.what)
        filters = filters_of(body, self._source, dataset.what)
        check_known(filters)
        return filters

    def _filled(self, dataset: Dataset, shape: tuple[int, ...]) -> NDArray[Any]:
        """Elements that were never written."""
        elements = _elements(dataset.datatype)
        value = self._fill_value(dataset)
        if not any(value):
            return np.zeros(shape, elements)
        if len(value) != elements.itemsize:
            raise Broken(f"what fills {dataset.what} is not of its type")
        return np.full(shape, np.frombuffer(value, elements)[0], elements)

    def _fill_value(self, dataset: Dataset) -> bytes:
        """The bytes of an element that was never written; nothing where that is zero."""
        header = dataset.header
        message = header.first(Says.FILL)
        if message is not None:
            body = self._headers.body(message, dataset.what)
            fields = Fields(body, self._source, f"what fills {dataset.what}")
            version = fields.version(1, 2, 3)
            if version == 3:
                defined = bool(fields.number(1) & 0x20)
            else:
                fields.skip(2)
                defined = bool(fields.number(1)) or version == 1
            return _sized(fields) if defined else b""
        message = header.first(Says.OLD_FILL)
        if message is None:
            return b""
        body = self._headers.body(message, dataset.what)
        fields = Fields(body, self._source, f"what fills {dataset.what}")
        return _sized(fields)

    def _assembled(
        self, dataset: Dataset, form: Chunked, filters: tuple[Filter, ...]
    ) -> NDArray[Any]:
        """The chunks of a dataset, put together."""
        source, what, shape = self._source, dataset.what, dataset.shape or ()
        elements = _elements(dataset.datatype)
        most = ALLOWED_BYTES + ALLOWED_EXPANSION * source.size
        if form.size > most:
            raise NotRead(
                f"has chunks of {form.size:,} bytes in a file of {source.size:,}; no such file is "
                "honest, so it is not read"
            )
        found: NDArray[Any] | None = None
        seen: set[tuple[int, ...]] = set()
        unpacked = packed = 0
        for chunk in chunks_of(source, form, what):
            if chunk.place in seen:
                raise Broken(f"{what} has two chunks at one place")
            seen.add(chunk.place)
            unpacked += form.size
            packed += chunk.size
            # Chunks may reach beyond the dataset, and each stands by itself.
            if unpacked > 2 * most or packed > source.size:
                raise Broken(f"the chunks of {what} are far larger than it is, or than the file")
            data = self._chunk(chunk, form, shape, filters, what).view(elements)
            whole = data.reshape(form.shape)
            if form.count == 1 and form.shape == shape:
                return whole if whole.flags.writeable else whole.copy()
            if found is None:
                found = self._filled(dataset, shape)
            starts = [at * edge for at, edge in zip(chunk.place, form.shape, strict=True)]
            ends = [
                min(start + edge, end)
                for start, edge, end in zip(starts, form.shape, shape, strict=True)
            ]
            places = tuple(map(slice, starts, ends))
            parts = tuple(slice(end - start) for start, end in zip(starts, ends, strict=True))
            found[places] = whole[parts]
        return self._filled(dataset, shape) if found is None else found

    def _chunk(
        self,
        chunk: Chunk,
        form: Chunked,
        shape: tuple[int, ...],
        filters: tuple[Filter, ...],
        what: str,
    ) -> NDArray[np.uint8]:
        """The bytes of a chunk, before filters."""
        ends = ((at + 1) * edge for at, edge in zip(chunk.place, form.shape, strict=True))
        beyond = any(end > size for end, size in zip(ends, shape, strict=True))
        if not filters or (form.plain_edges and beyond):
            return self._source.array(chunk.address, form.size, f"a chunk of {what}")
        data = self._source.raw(chunk.address, chunk.size, f"a chunk of {what}")
        return undone(np.frombuffer(data, np.uint8), filters, chunk.mask, form.size)


def _sized(fields: Fields) -> bytes:
    """What fills a dataset, after its size; that is negative where it was never set."""
    size = fields.number(4)
    return fields.take(size) if size < 2**31 else b""


def _elements(datatype: Datatype) -> np.dtype[Any]:
    """What the bytes of an element are to NumPy."""
    if datatype.dtype is not None:
        return datatype.dtype
    return np.dtype(f"V{datatype.size}")


def _cut(text: bytes, padding: int | None) -> bytes:
    """A text of a fixed length without what fills it up; NumPy took zeros at the end."""
    if padding == AT_ZERO:
        return text.partition(b"\0")[0]
    return text.rstrip(b" ") if padding == BLANKS else text


def _chunked(
    fields: Fields, version: int, rank: int, dataset: Dataset, is_filtered: bool
) -> Chunked:
    """How a dataset is cut into chunks."""
    what, shape = dataset.what, dataset.shape or ()
    index, single, plain_edges = Index.OLD, (0, 0), False
    if version > 3:
        flags, rank, width = fields.number(1), fields.number(1), fields.number(1)
        edges = [fields.number(width) for _ in range(rank)]
        kind = fields.number(1)
        if kind not in range(1, 6):
            raise Broken(f"the chunks of {what} are listed in the way {kind}")
        index, plain_edges = Index(kind), bool(flags & 1)
        if index == Index.SINGLE and flags & 2:
            single = fields.length(), fields.number(4)
        fields.skip({Index.FIXED: 1, Index.EXTENSIBLE: 5, Index.TREE: 6}.get(index, 0))
        address = fields.address()
    else:
        rank = fields.number(1) if version == 3 else rank
        address = fields.address()
        edges = [fields.number(4) for _ in range(rank)]
    if len(edges) != len(shape) + 1 or not all(edges):
        raise Broken(f"{what} has {len(shape)} axes, and chunks of {len(edges) - 1}")
    if edges[-1] != dataset.datatype.size:
        raise Broken(f"{what} has elements of {dataset.datatype.size} bytes, chunks of {edges[-1]}")
    pieces = tuple(edges[:-1])
    grid = tuple(-(-size // edge) for size, edge in zip(shape, pieces, strict=True))
    most = tuple(
        None if size is None else -(-size // edge)
        for size, edge in zip(dataset.most, pieces, strict=True)
    )
    return Chunked(
        *(index, address, pieces, math.prod(edges), grid, most, is_filtered, single, plain_edges)
    )
