"""HDF5: its structures' words are others, or h5py writes the file in another way."""

import io
import json
import random
import struct
from typing import Any

import h5py
import numpy as np

from .bytes import NUMBERS, words_replaced
from .documents import changed, json_text

SIGNATURES = [
    b"TREE",
    b"SNOD",
    b"HEAP",
    b"GCOL",
    b"OHDR",
    b"OCHK",
    b"FRHP",
    b"FHDB",
    b"FHIB",
    b"BTHD",
]
SIGNATURES += [b"BTLF", b"BTIN", b"FSHD", b"EAHD", b"EADB", b"FAHD", b"FADB", b"\x89HDF"]
CHECKED = (b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD", b"BTLF", b"BTIN", b"EAHD", b"FAHD")


def structure_changed(data: bytes, rng: random.Random) -> bytes:
    """Words near the beginning of a structure: sizes, counts, versions, places."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        signature = rng.choice([each for each in SIGNATURES if each in data])
        starts, at = [], data.find(signature)
        while at >= 0:
            starts.append(at)
            at = data.find(signature, at + 4)
        at = rng.choice(starts)
        width = rng.choice((1, 1, 2, 4, 8))
        place = at + len(signature) + rng.randrange(rng.choice((8, 40, 200)))
        match rng.randrange(4):
            case 0:
                word = struct.pack("<Q", rng.choice(starts))
            case 1:
                word = struct.pack("<Q", rng.randrange(len(data)))
            case 2:
                word = struct.pack("<Q", rng.choice(NUMBERS))
            case _:
                word = rng.randbytes(8)
        found[place : place + width] = word[:width]
        if signature in CHECKED and rng.random() < 0.9:
            _check_again(found, at, signature)
    return bytes(found[: len(data)])


def addresses_changed(data: bytes, rng: random.Random) -> bytes:
    """What looks like a place in the file is another place of it, or none."""
    words = np.frombuffer(data[: len(data) // 8 * 8], "<u8")
    likely = np.flatnonzero((words >= 48) & (words < len(data)))
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = 8 * int(rng.choice(likely.tolist()))
        choices = (
            int(words[rng.choice(likely.tolist())]),
            rng.randrange(len(data)),
            2**64 - 1,
            0,
            at,
        )
        found[at : at + 8] = struct.pack("<Q", rng.choice((*choices, rng.choice(NUMBERS))))
    return bytes(found)


def headers_changed(data: bytes, rng: random.Random) -> bytes:
    """Words in what is no array: where there are zeros all around, or few different bytes."""
    found = data
    for _ in range(5):
        at = rng.randrange(max(1, len(data) - 256))
        part = data[at : at + 256]
        if part.count(0) > 100:
            found = data[:at] + bytes(words_replaced(part, rng)) + data[at + 256 :]
            break
    return found


def _check_again(found: bytearray, at: int, signature: bytes) -> None:
    """Make the check sum right again, where the structure's length can be told simply."""
    if signature == b"OHDR":
        flags, place = found[at + 5], at + 6
        place += 16 * bool(flags & 32) + 4 * bool(flags & 16)
        width = 1 << (flags & 3)
        length = int.from_bytes(found[place : place + width], "little")
        end = place + width + length
    else:
        # Where the sum was before is not told: it stands where it fits the bytes before it.
        return
    if at < end <= len(found) - 4:
        found[end : end + 4] = struct.pack("<I", lookup3(bytes(found[at:end])))


def lookup3(data: bytes) -> int:
    """The check sum of HDF5's newer structures (Bob Jenkins, lookup3, hashlittle)."""
    mask = 0xFFFFFFFF

    def turned(value: int, bits: int) -> int:
        return (value << bits | value >> (32 - bits)) & mask

    a = b = c = (0xDEADBEEF + len(data)) & mask
    at = 0
    while len(data) - at > 12:
        x, y, z = struct.unpack_from("<III", data, at)
        a, b, c = (a + x) & mask, (b + y) & mask, (c + z) & mask
        a = (a - c & mask) ^ turned(c, 4)
        c = c + b & mask
        b = (b - a & mask) ^ turned(a, 6)
        a = a + c & mask
        c = (c - b & mask) ^ turned(b, 8)
        b = b + a & mask
        a = (a - c & mask) ^ turned(c, 16)
        c = c + b & mask
        b = (b - a & mask) ^ turned(a, 19)
        a = a + c & mask
        c = (c - b & mask) ^ turned(b, 4)
        b = b + a & mask
        at += 12
    rest = data[at:]
    if not rest:
        return c
    x, y, z = struct.unpack("<III", rest.ljust(12, b"\0"))
    a, b, c = (a + x) & mask, (b + y) & mask, (c + z) & mask
    c = (c ^ b) - turned(b, 14) & mask
    a = (a ^ c) - turned(c, 11) & mask
    b = (b ^ a) - turned(a, 25) & mask
    c = (c ^ b) - turned(b, 16) & mask
    a = (a ^ c) - turned(c, 4) & mask
    b = (b ^ a) - turned(a, 14) & mask
    return (c ^ b) - turned(b, 24) & mask


def hdf5_rewritten(data: bytes, rng: random.Random) -> bytes:
    """The same tree as h5py writes it, but for an attribute, an array or a link."""
    file = io.BytesIO(data)
    with h5py.File(file, "r+", libver=rng.choice(("earliest", "latest"))) as tree:
        datasets: list[str] = []
        groups: list[str] = ["/"]
        tree.visititems(
            lambda name, each: (datasets if hasattr(each, "dtype") else groups).append(name)
        )
        holders = [(name, key) for name in ("/", *datasets, *groups) for key in tree[name].attrs]
        match rng.randrange(4):
            case 0 | 1 if holders:
                _other_attribute(tree, *rng.choice(holders), rng)
            case 2 if datasets:
                _other_dataset(tree, rng.choice(datasets), rng)
            case _:
                _other_link(tree, rng.choice(groups), rng.choice([*datasets, *groups]), rng)
    return file.getvalue()


def _other_attribute(tree: Any, name: str, key: str, rng: random.Random) -> None:
    attributes = tree[name].attrs
    value = attributes[key]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if isinstance(text, str) and text[:1] in "{[" and rng.random() < 0.8:
        document = json_text(changed(json.loads(text), rng))
        attributes[key] = document.decode("utf-8", "replace").replace("\0", "")[:60_000]
        return
    del attributes[key]
    others = [
        *(
            None,
            5,
            1.5,
            "",
            "\x1b[1m",
            b"\xff\xfe",
            [],
            [b"a", b"b"],
            ["a"] * 1000,
            np.zeros((0, 3)),
            "x" * 9000,
        ),
        *(
            h5py.Empty("f8"),
            np.array([b"kernel:0"]),
            np.float32(1),
            [[1, 2], [3, 4]],
            "é",
            True,
            np.nan,
        ),
        *(np.zeros(3, [("a", "<f8"), ("b", "S3")]), value, np.arange(500)),
    ]
    other = rng.choice(others)
    if other is not None:
        attributes[key] = other


def _other_dataset(tree: Any, name: str, rng: random.Random) -> None:
    array = tree[name][()]
    attributes = dict(tree[name].attrs)
    del tree[name]
    big = (10**6, 10**6)
    match rng.randrange(14):
        case 0:
            return
        case 1:
            tree.create_dataset(name, big, "f8", chunks=(1000, 1000))
        case 2:
            tree.create_dataset(name, (10**12, *np.shape(array)[1:]), "f4", chunks=True)
        case 3:
            tree.create_dataset(
                name, data=array, chunks=True, compression="gzip", shuffle=True, fletcher32=True
            )
        case 4:
            tree.create_dataset(
                name, data=np.asarray(array, rng.choice((">f8", "f2", "i8", "?", "c16", "u1")))
            )
        case 5:
            tree.create_dataset(name, data=["a\x1b[1m", "b"] * 5, dtype=h5py.string_dtype())
        case 6:
            kind = h5py.vlen_dtype(rng.choice(("f8", "i4")))
            tree.create_dataset(name, (5,), kind)
        case 7:
            other = rng.choice(
                (h5py.Empty("f8"), np.nan, np.inf, 1e308, np.array([], "f4"), np.zeros((0, 3)))
            )
            tree.create_dataset(name, data=other)
        case 8:
            layout = h5py.VirtualLayout((rng.choice((10, 10**9)), 3), "f8", maxshape=(None, 3))
            layout[:5] = h5py.VirtualSource(
                rng.choice(("fifo", ".", "/dev/zero")), "x", shape=(5, 3)
            )
            tree.create_virtual_dataset(name, layout, fillvalue=0)
        case 9:
            outside = [(rng.choice(("model.h5", "/dev/zero", "fifo")), 0, rng.choice((24, 10**12)))]
            tree.create_dataset(name, (3,), "f8", external=outside)
        case 10:
            tree.create_dataset(name, data=np.zeros(np.shape(array), [("a", "f8"), ("b", "i4")]))
        case 11:
            tree.create_dataset(name, (1,) * 32, "f8")
        case 12:
            tree.create_dataset(name, data=np.asarray(array).T)
        case _:
            tree.create_dataset(
                name, data=np.resize(array, np.add(np.shape(array), rng.choice((1, -1))))
            )
    tree[name].attrs.update(attributes)


def _other_link(tree: Any, group: str, name: str, rng: random.Random) -> None:
    holder = tree[group]
    match rng.randrange(6):
        case 0:
            holder["again"] = tree[name]  # a circle, where it is a group that holds this one
        case 1:
            holder["soft"] = h5py.SoftLink(rng.choice(("/soft", "/nowhere", name, "..", "/")))
        case 2:
            holder["outside"] = h5py.ExternalLink(
                rng.choice(("model.h5", "/dev/zero", "fifo")), "/"
            )
        case 3:
            for k in range(rng.choice((10, 500))):
                holder[f"many{k}"] = 1.0
        case 4:
            for _ in range(rng.choice((5, 300))):
                holder = holder.create_group("g")
        case _ if name != "/":
            holder[rng.choice(("kernel:0", "\x1b[1m", "é", "a" * 3000, "bias"))] = tree[name]
            del tree[name]
