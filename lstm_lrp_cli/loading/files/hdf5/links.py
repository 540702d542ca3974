"""What a group of an HDF5 file links to, and the attributes of whatever has some."""

from collections.abc import Iterator

from msgspec import Struct

from .headers import SHARED, Header, Headers, Says, aligned
from .heaps import FractalHeap, local_heap
from .source import Broken, Fields
from .trees import GROUPS, new_tree, old_tree

# What a tree of version 2 is of.
LINKS_BY_NAME, ATTRIBUTES_BY_NAME = 5, 8
# What a link of the new kind may be.
HARD, EXTERNAL = 0, 64


class Link(Struct, frozen=True):
    """A link of a group.

    Parameters
    ----------
    name : str
    target : int or None
        Where what it links to stands in this file; None if it may be anywhere.
    file : str or None
        The other file in which that is, if it is one.
    """

    name: str
    target: int | None
    file: str | None = None


class Attribute(Struct, frozen=True):
    """An attribute, undecoded: its type, its shape and its data."""

    datatype: bytes
    dataspace: bytes
    data: bytes


def decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def links_of(headers: Headers, header: Header) -> list[Link]:
    """The links of a group, by name, or in the order in which they were made if it tracks that."""
    symbols = header.first(Says.SYMBOLS)
    if symbols is not None:
        found = [(name, 0, link) for name, link in _old_links(headers, symbols.body)]
    else:
        found = list(_new_links(headers, header))
    info = header.first(Says.LINK_INFO)
    tracked = info is not None and len(info.body) > 1 and bool(info.body[1] & 1)
    found.sort(key=lambda each: each[1] if tracked else each[0])
    return [link for _, _, link in found]


def _old_links(headers: Headers, body: bytes) -> Iterator[tuple[bytes, Link]]:
    """The links of a group with a table of symbols."""
    source = headers.source
    fields = Fields(body, source, "a group")
    tree, heap = fields.place(), fields.place()
    names: Fields | None = None
    entry = source.length_bytes + source.offset_bytes + 24
    seen: set[int] = set()
    for _, address in old_tree(source, tree, GROUPS, source.length_bytes):
        what = f"the group's node at byte {address:,}"
        if address in seen:
            raise Broken(f"{what} is listed twice")
        seen.add(address)
        head = source.fields(address, 8, what, b"SNOD")
        head.version(1)
        head.skip(1)
        count = head.number(2)
        node = source.fields(address + 8, count * entry, what)
        for _ in range(count):
            names = names or local_heap(source, heap)
            names.at = node.length()
            target, kind = node.address(), node.number(4)
            node.skip(20)
            name = names.text()
            source.spend(len(name), what)
            is_soft = kind == 2
            yield name, Link(decoded(name), None if is_soft else target)


def _new_links(headers: Headers, header: Header) -> Iterator[tuple[bytes, int, Link]]:
    """The links of a group whose header has them, or a heap that it names."""
    source = headers.source
    for message in header.of(Says.LINK):
        yield _link(Fields(message.body, source, "a link"))
    info = header.first(Says.LINK_INFO)
    if info is None:
        return
    for record, heap in _in_heap(Fields(info.body, source, "a group"), 8, LINKS_BY_NAME):
        record.skip(4)
        data = heap.object(record.take(record.left))
        source.spend(len(data), "a link")
        yield _link(Fields(data, source, "a link"))


def _in_heap(fields: Fields, order_bytes: int, kind: int) -> Iterator[tuple[Fields, FractalHeap]]:
    """The records of what a header has no room for, and the heap in which it is.

    Parameters
    ----------
    fields : Fields
        The message that says where both stand, if there is such.
    order_bytes : int
        How many bytes it has of the order in which all was made, where that is tracked.
    kind : int
        What the tree of the records is of.
    """
    fields.version(0)
    fields.skip(order_bytes * (fields.number(1) & 1))
    heap_at, tree = fields.address(), fields.address()
    if heap_at is None or tree is None:
        return
    heap = FractalHeap(fields.source, heap_at)
    for record in new_tree(fields.source, tree, kind):
        yield record, heap


def _link(fields: Fields) -> tuple[bytes, int, Link]:
    """The name of a link, when it was made, and what it is."""
    fields.version(1)
    flags = fields.number(1)
    kind = fields.number(1) if flags & 8 else HARD
    order = fields.number(8) if flags & 4 else 0
    fields.skip(1 if flags & 16 else 0)
    name = fields.take(fields.number(1 << (flags & 3)))
    if kind == HARD:
        return name, order, Link(decoded(name), fields.address())
    file = None
    if kind == EXTERNAL:
        fields.skip(3)
        file = decoded(fields.text())
    return name, order, Link(decoded(name), None, file)


def attributes_of(headers: Headers, header: Header) -> dict[str, Attribute]:
    """The attributes of whatever has a header, in the order in which HDF5 lists them."""
    found = [(order, *_attribute(headers, body)) for order, body in _bodies(headers, header)]
    found.sort(key=lambda each: each[0] if header.in_order else each[1])
    return {decoded(name): attribute for _, name, attribute in found}


def _bodies(headers: Headers, header: Header) -> Iterator[tuple[int, bytes]]:
    """Each attribute's message, and when it was made."""
    source = headers.source
    for message in header.of(Says.ATTRIBUTE):
        yield message.order, headers.body(message, "an attribute")
    info = header.first(Says.ATTRIBUTE_INFO)
    if info is None:
        return
    fields = Fields(info.body, source, "the attributes")
    for record, heap in _in_heap(fields, 2, ATTRIBUTES_BY_NAME):
        name, flags, order = record.take(8), record.number(1), record.number(4)
        if flags & SHARED:  # the heap of the file's shared messages has it
            body = headers.shared(b"\3\1", Says.ATTRIBUTE, "an attribute")
        else:
            body = heap.object(name)
        source.spend(len(body), "the attributes")
        yield order, body


def _attribute(headers: Headers, body: bytes) -> tuple[bytes, Attribute]:
    fields = Fields(body, headers.source, "an attribute")
    version = fields.version(1, 2, 3)
    flags = fields.number(1)
    if version == 1:  # which has none there
        flags = 0
    sizes = [fields.number(2) for _ in range(3)]
    fields.skip(version == 3)
    name, datatype, dataspace = (fields.take(aligned(size, version)) for size in sizes)
    if flags & 1:
        datatype = headers.shared(datatype, Says.DATATYPE, "an attribute's type")
    if flags & 2:
        dataspace = headers.shared(dataspace, Says.DATASPACE, "an attribute's shape")
    return name.partition(b"\0")[0], Attribute(datatype, dataspace, fields.take(fields.left))
