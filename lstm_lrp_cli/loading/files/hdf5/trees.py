"""The two kinds of trees by which HDF5 finds links, attributes and chunks."""

from collections.abc import Iterator

from msgspec import Struct

from .source import Broken, Fields, FileBytes

GROUPS, CHUNKS = 0, 1  # what a tree of version 1 is of
# The beginning and the checksum of a node of version 2.
NODE_BYTES = 10


def old_tree(
    source: FileBytes, address: int, kind: int, key_bytes: int
) -> Iterator[tuple[bytes, int]]:
    """The key and the address of each child of a version 1 tree's lowest nodes, in order.

    Raises
    ------
    Broken
    """
    what = f"the tree at byte {address:,}"
    head = 8 + 2 * source.offset_bytes
    seen: set[int] = set()
    pending: list[tuple[int, int | None]] = [(address, None)]
    while pending:
        at, expected = pending.pop()
        if at in seen:
            raise Broken(f"{what} leads in circles")
        seen.add(at)
        begin = source.fields(at, head, what, b"TREE")
        found, level, count = begin.number(1), begin.number(1), begin.number(2)
        if found != kind or expected not in (None, level):
            raise Broken(f"{what} has a node of another kind or level")
        fields = source.fields(
            at + head, count * (key_bytes + source.offset_bytes) + key_bytes, what
        )
        entries = [(fields.take(key_bytes), fields.place()) for _ in range(count)]
        if level == 0:
            yield from entries
        else:
            pending.extend((child, level - 1) for _, child in reversed(entries))


class _Form(Struct, frozen=True):
    """How the nodes of a tree of version 2 are written.

    Parameters
    ----------
    record_bytes : int
    node_bytes : int
    count_bytes : int
        Of the number of records that a child has itself.
    total_bytes : tuple of int
        By level, of the number of records that a child and all below it have.
    most : tuple of int
        By level, of how many records a node has room.
    """

    record_bytes: int
    node_bytes: int
    count_bytes: int
    total_bytes: tuple[int, ...]
    most: tuple[int, ...]


def new_tree(source: FileBytes, address: int, *kinds: int) -> Iterator[Fields]:
    """The records of a version 2 tree, in order.

    Parameters
    ----------
    kinds : int
        What records are expected.

    Raises
    ------
    Broken
    """
    what = f"the tree at byte {address:,}"
    size = 4 + 12 + source.offset_bytes + 2 + source.length_bytes + 4
    head = source.checked(address, size, what, b"BTHD")
    head.version(0)
    if (kind := head.number(1)) not in kinds:
        raise Broken(f"{what} is of kind {kind}")
    node_bytes, record_bytes, depth = head.number(4), head.number(2), head.number(2)
    head.skip(2)
    root, count = head.address(), head.number(2)
    if root is None or count == 0:
        return
    form = _form(source, node_bytes, record_bytes, depth, what)
    walk = _Walk(source, kind, form, what)
    # A node of which all below one of its children was given goes on with its next record.
    open_nodes = [walk.node(root, count, depth)]
    while open_nodes:
        records, children, level = open_nodes[-1]
        if children:
            open_nodes.append(walk.node(*children.pop(), level - 1))
            continue
        if not records:
            open_nodes.pop()
            if open_nodes and open_nodes[-1][0]:
                yield walk.record(open_nodes[-1][0].pop())
            continue
        yield walk.record(records.pop())


class _Walk:
    """Reads the nodes of a tree of version 2, each once."""

    def __init__(self, source: FileBytes, kind: int, form: _Form, what: str) -> None:
        self._source, self._kind, self._form, self._what = source, kind, form, what
        self._seen: set[int] = set()

    def node(
        self, address: int, count: int, level: int
    ) -> tuple[list[bytes], list[tuple[int, int]], int]:
        """A node's records and children, the first of each last, and its level."""
        form, source, what = self._form, self._source, self._what
        if address in self._seen:
            raise Broken(f"{what} leads in circles")
        self._seen.add(address)
        if count > form.most[level]:
            raise Broken(f"{what} has a node of {count} records, and room for {form.most[level]}")
        pointer = source.offset_bytes + form.count_bytes + form.total_bytes[level]
        size = NODE_BYTES + count * form.record_bytes + (count + 1) * pointer * (level > 0)
        fields = source.checked(address, size, what, b"BTIN" if level else b"BTLF")
        fields.version(0)
        if fields.number(1) != self._kind:
            raise Broken(f"{what} has a node of another kind")
        records = [fields.take(form.record_bytes) for _ in range(count)]
        children: list[tuple[int, int]] = []
        for _ in range((count + 1) * (level > 0)):
            children.append((fields.place(), fields.number(form.count_bytes)))
            fields.skip(form.total_bytes[level])
        return records[::-1], children[::-1], level

    def record(self, data: bytes) -> Fields:
        return Fields(data, self._source, self._what)


def _form(source: FileBytes, node_bytes: int, record_bytes: int, depth: int, what: str) -> _Form:
    """How much room nodes have, of which follows how many bytes their counts take."""
    if record_bytes == 0 or node_bytes > source.size or depth > 32:
        raise Broken(f"{what} says that its nodes are of {node_bytes:,} bytes, {depth} levels")
    most = [(node_bytes - NODE_BYTES) // record_bytes]
    count_bytes = _bytes_for(most[0])
    below, totals = most[0], [0]
    for level in range(1, depth + 1):
        totals.append(0 if level == 1 else _bytes_for(below))
        pointer = source.offset_bytes + count_bytes + totals[level]
        most.append((node_bytes - NODE_BYTES - pointer) // (record_bytes + pointer))
        below = (most[level] + 1) * below + most[level]
    if min(most) < 1:
        raise Broken(f"{what} has no room for records in its nodes")
    return _Form(record_bytes, node_bytes, count_bytes, tuple(totals), tuple(most))


def _bytes_for(number: int) -> int:
    return (number.bit_length() - 1) // 8 + 1
