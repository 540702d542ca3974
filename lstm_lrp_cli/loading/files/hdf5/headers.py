"""Where an HDF5 file begins, and the messages by which it describes a group or a dataset."""

from enum import IntEnum

from msgspec import Struct

from .source import SIGNATURE, Broken, Fields, FileBytes, NotRead, filled

# Where a file may begin: what stands before belongs to its user.
BEGINNINGS = (0, *(512 << k for k in range(24)))
# What a message may have besides: it stands elsewhere, or nobody may read on who does not know it.
SHARED, MUST_BE_KNOWN = 0x02, 0x80
# What keeping a message takes besides what it says.
MESSAGE_BYTES = 32
# As many parts as this has no header of an honest file.
MOST_PARTS = 100_000


class Says(IntEnum):
    """The messages that are looked at."""

    DATASPACE = 0x01
    LINK_INFO = 0x02
    DATATYPE = 0x03
    OLD_FILL = 0x04
    FILL = 0x05
    LINK = 0x06
    EXTERNAL = 0x07
    LAYOUT = 0x08
    FILTERS = 0x0B
    ATTRIBUTE = 0x0C
    CONTINUED = 0x10
    SYMBOLS = 0x11
    DRIVER = 0x14
    ATTRIBUTE_INFO = 0x15


LAST_KNOWN = 0x18


class Message(Struct, frozen=True):
    """One message of a header.

    Parameters
    ----------
    order : int
        When it was made, where the header tracks that, else 0.
    """

    kind: int
    flags: int
    order: int
    body: bytes


class Header(Struct, frozen=True):
    """What describes a group, a dataset or a type.

    Parameters
    ----------
    messages : tuple of Message
    in_order : bool
        Whether its attributes stand in the order in which they were made, not by name.
    """

    messages: tuple[Message, ...]
    in_order: bool

    def of(self, kind: Says) -> list[Message]:
        return [each for each in self.messages if each.kind == kind]

    def first(self, kind: Says) -> Message | None:
        return next((each for each in self.messages if each.kind == kind), None)

    @property
    def is_dataset(self) -> bool:
        kinds = {each.kind for each in self.messages}
        return {Says.DATATYPE, Says.DATASPACE, Says.LAYOUT} <= kinds

    @property
    def is_group(self) -> bool:
        return any(each.kind in (Says.LINK_INFO, Says.SYMBOLS) for each in self.messages)


class Headers:
    """The headers of an open file, each of which is read once.

    Attributes
    ----------
    source : FileBytes
    root : int
        Where the header of the group at the top stands.
    """

    def __init__(self, source: FileBytes) -> None:
        self.source = source
        self._read: dict[int, Header] = {}
        self.root = _begin(source, self)

    def at(self, address: int) -> Header:
        """The header that stands at an address.

        Raises
        ------
        Broken
        """
        found = self._read.get(address)
        if found is None:
            found = self._read[address] = _read_header(self.source, address)
        return found

    def body(self, message: Message, what: str) -> bytes:
        """What a message says, be it where another header has it."""
        return (
            self.shared(message.body, message.kind, what)
            if message.flags & SHARED
            else (message.body)
        )

    def shared(self, body: bytes, kind: int, what: str) -> bytes:
        """A message that another header has."""
        fields = Fields(body, self.source, what)
        version = fields.version(1, 2, 3)
        by = fields.number(1)
        if version == 3 and by == 1:
            raise NotRead(
                f"keeps {what} in a table of shared messages, which is not read; save it again "
                "without (h5repack, or h5py, writes it so)"
            )
        fields.skip(6 if version == 1 else 0)
        header = self.at(fields.place())
        found = next((each for each in header.messages if each.kind == kind), None)
        if found is None or found.flags & SHARED:
            raise Broken(f"{what} is said to stand where it does not")
        return found.body


def _begin(source: FileBytes, headers: Headers) -> int:
    """Read the superblock; where the group at the top stands."""
    what = "its beginning"
    start = next((at for at in BEGINNINGS if at + 48 <= source.size and _signed(source, at)), None)
    if start is None:
        raise Broken("it has no signature of HDF5, or ends behind it")
    source.begin_at(start)
    version = source.raw(8, 1, what)[0]
    if version > 3:
        raise Broken(f"{what} is of version {version}")
    root, end, extension = _old_begin(source, version) if version < 2 else _new_begin(source)
    if end > source.size:
        raise Broken(f"it has {source.size:,} bytes and should have {end:,}: it is cut short")
    if extension is not None and headers.at(extension).first(Says.DRIVER):
        raise _of_several()
    return root


def _signed(source: FileBytes, at: int) -> bool:
    return source.raw(at, len(SIGNATURE), "its signature") == SIGNATURE


def _of_several() -> NotRead:
    return NotRead(
        "is one of several files that are one HDF5 file together (a family, or a split file); "
        "save it as one: h5repack writes it so"
    )


def _old_begin(source: FileBytes, version: int) -> tuple[int, int, int | None]:
    """Where the root stands, how long the file is, and where more of it is described."""
    what, size = "its beginning", 24 + 4 * version
    _set_sizes(source, *source.raw(13, 2, what))
    entry = source.length_bytes + source.offset_bytes
    fields = source.fields(size, 4 * source.offset_bytes + entry, what)
    base = fields.address() or 0
    fields.skip(source.offset_bytes)
    end = fields.place()
    if fields.address() is not None:
        raise _of_several()
    fields.length()  # where its name stands, which the root has none of
    return fields.place(), end - base, None


def _new_begin(source: FileBytes) -> tuple[int, int, int | None]:
    what = "its beginning"
    _set_sizes(source, *source.raw(9, 2, what))
    fields = source.checked(0, 16 + 4 * source.offset_bytes, what, SIGNATURE)
    fields.skip(4)
    base, extension, end = fields.address() or 0, fields.address(), fields.place()
    return fields.place(), end - base, extension


def _set_sizes(source: FileBytes, offset_bytes: int, length_bytes: int) -> None:
    if offset_bytes not in (2, 4, 8) or length_bytes not in (2, 4, 8):
        raise Broken(f"its addresses are said to have {offset_bytes} bytes, lengths {length_bytes}")
    source.offset_bytes, source.length_bytes = offset_bytes, length_bytes


def _read_header(source: FileBytes, address: int) -> Header:
    what = f"the header at byte {address:,}"
    begin = source.raw(address, 4, what)
    messages: list[Message] = []
    if begin == b"OHDR":
        flags = _read_new(source, address, messages, what)
        in_order = bool(flags & 0x04)
    else:
        _read_old(source, address, messages, what)
        in_order = False
    for message in messages:
        if message.flags & MUST_BE_KNOWN and message.kind > LAST_KNOWN:
            raise NotRead(
                f"has messages of kind {message.kind}, newer than what is read; save it again with "
                "an older format (h5py: libver='earliest')"
            )
    return Header(tuple(messages), in_order)


def _read_old(source: FileBytes, address: int, messages: list[Message], what: str) -> None:
    """Messages of version 1, each filled up to 8 bytes."""
    fields = source.fields(address, 16, what)
    fields.version(1)
    fields.skip(1)
    left = fields.number(2)
    fields.skip(4)
    parts = [(address + 16, fields.number(4))]
    seen: set[int] = set()
    while parts and left > 0:
        at, size = parts.pop(0)
        _once(at, seen, what)
        part = source.fields(at, size, what)
        while part.left >= 8 and left > 0:
            kind, length = part.number(2), part.number(2)
            flags = part.number(1)
            part.skip(3)
            left -= 1
            _add(Message(kind, flags, 0, part.take(length)), source, messages, parts)


def _read_new(source: FileBytes, address: int, messages: list[Message], what: str) -> int:
    """Messages of version 2; the header's flags."""
    version, flags = source.raw(address + 4, 2, what)
    if version != 2:
        raise Broken(f"{what} is of version {version}")
    head = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
    size_bytes = 1 << (flags & 0x03)
    size = int.from_bytes(source.raw(address + head, size_bytes, what), "little")
    head += size_bytes
    parts = [(address, head + size + 4)]
    seen: set[int] = set()
    while parts:
        at, length = parts.pop(0)
        _once(at, seen, what)
        part = source.checked(at, length, what, b"OHDR" if at == address else b"OCHK")
        part.skip(head - 4 if at == address else 0)
        ordered = bool(flags & 0x04)
        while part.left >= 4 + 2 * ordered:  # what is left is a gap
            kind, count, bits = part.number(1), part.number(2), part.number(1)
            order = part.number(2) if ordered else 0
            _add(Message(kind, bits, order, part.take(count)), source, messages, parts)
    return flags


def _once(at: int, seen: set[int], what: str) -> None:
    if at in seen or len(seen) > MOST_PARTS:
        raise Broken(f"{what} goes on in circles")
    seen.add(at)


def _add(
    message: Message, source: FileBytes, messages: list[Message], parts: list[tuple[int, int]]
) -> None:
    """Keep a message; what it says goes on elsewhere is to be read too."""
    if message.kind == Says.CONTINUED:
        fields = Fields(message.body, source, "a header that goes on elsewhere")
        parts.append((fields.place(), fields.length()))
    elif message.kind:  # else it is empty
        source.spend(len(message.body) + MESSAGE_BYTES, "a header")
        messages.append(message)


def dimensions(
    body: bytes, source: FileBytes, what: str
) -> tuple[tuple[int, ...] | None, tuple[int | None, ...]]:
    """A dataspace: its sizes, None where it is of nothing, and the most that they may become."""
    fields = Fields(body, source, f"the shape of {what}")
    version = fields.version(1, 2)
    rank, flags, kind = fields.number(1), fields.number(1), fields.number(1)
    if rank > 32:
        raise Broken(f"{what} is said to have {rank} axes")
    if version == 1:
        fields.skip(4)
    elif kind == 2:
        return None, ()
    shape = tuple(fields.length() for _ in range(rank))
    most: list[int | None] = list(shape)
    if flags & 1:
        endless = 2 ** (8 * source.length_bytes) - 1
        sizes = [fields.length() for _ in range(rank)]
        most = [None if size == endless else size for size in sizes]
    return shape, tuple(most)


def aligned(count: int, version: int) -> int:
    """How long a part of an old message is, which is filled up to 8 bytes."""
    return filled(count) if version == 1 else count
