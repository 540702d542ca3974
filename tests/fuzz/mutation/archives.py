"""Zip archives: members are others, and the archive says of them what is not so."""

import io
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from functools import cache

from .arrays import npy_changed
from .bytes import damaged, word_changed
from .documents import json_changed
from .hdf5 import hdf5_rewritten, structure_changed
from .pickles import pickle_changed
from .text import cell_changed

Members = list[tuple[str, bytes]]
NAMES = [
    "",
    "/",
    "../x",
    "a/" * 300,
    "\x1b[2J",
    "x.npy",
    "config.json",
    "data.pkl",
    "é",
    "a\nb",
    "\\",
]


def members_of(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(each.filename, archive.read(each)) for each in archive.infolist()]


def archive_of(members: Members, way: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", way) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one name twice
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, way)
    return file.getvalue()


def pickle_in_archive(data: bytes, rng: random.Random) -> bytes:
    """The first pickle of a zip archive, and the rest as it was."""
    members = members_of(data)
    at = next(k for k, (_, content) in enumerate(members) if content.startswith(b"\x80"))
    members[at] = members[at][0], pickle_changed(members[at][1], rng)
    return archive_of(members)


def member_changed(data: bytes, rng: random.Random) -> bytes:
    """The content of a member, as somebody changes it who knows its format."""
    members = members_of(data)
    # What says how the others are to be read, more often.
    texts = [k for k, (_, each) in enumerate(members) if each[:1] in b"{[\x80" and each]
    at = rng.choice(texts) if texts and rng.random() < 0.6 else rng.randrange(len(members))
    name, content = members[at]
    mutator = _knowing(content)
    try:
        content = mutator(content, rng)
    except Exception:  # it is something else
        content = damaged(content, rng)
    members[at] = name, content
    return archive_of(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def _knowing(content: bytes) -> Callable[[bytes, random.Random], bytes]:
    if content.startswith(b"\x93NUMPY"):
        return npy_changed
    if content.startswith(b"\x80"):
        return pickle_changed
    if content[:1] in (b"{", b"["):
        return json_changed
    if content.startswith(b"\x89HDF"):
        return hdf5_rewritten if len(content) % 2 else structure_changed
    return cell_changed if len(content) % 3 == 0 else damaged


def members_changed(data: bytes, rng: random.Random) -> bytes:
    """Which members there are, and by which names."""
    members = members_of(data)
    at = rng.randrange(len(members))
    name, content = members[at]
    match rng.randrange(9):
        case 0:
            del members[at]
        case 1:
            members.append((name, damaged(content, rng)))
        case 2:
            other = rng.randrange(len(members))
            members[at], members[other] = (name, members[other][1]), (members[other][0], content)
        case 3:
            members[at] = rng.choice(NAMES), content
        case 4:
            members.append((rng.choice(NAMES), content))
        case 5:
            members[at] = name, b""
        case 6:
            members[at] = name, content * rng.choice((2, 100))
        case 7:
            return _with(members, at, _bomb())
        case 8:
            members += [(f"{name}{k}", content[:100]) for k in range(rng.choice((10, 3000)))]
    return archive_of(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


@cache
def _bomb() -> bytes:
    return bytes(60_000_000)


def _with(members: Members, at: int, content: bytes) -> bytes:
    members[at] = members[at][0], members[at][1] + content
    return archive_of(members, zipfile.ZIP_DEFLATED)


def directory_changed(data: bytes, rng: random.Random) -> bytes:
    """What the archive says of its members: sizes, places, sums, ways to compress, flags."""
    found = bytearray(data)
    signature = rng.choice((b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02"))
    starts, at = [], found.find(signature)
    while at >= 0:
        starts.append(at)
        at = found.find(signature, at + 4)
    at = rng.choice(starts)
    length = {b"PK\x01\x02": 46, b"PK\x03\x04": 30, b"PK\x05\x06": 22}[signature]
    part = bytes(found[at + 4 : at + length])
    if rng.random() < 0.3:  # the way of compressing, flags
        place = at + (10 if signature == b"PK\x01\x02" else 8)
        struct.pack_into(
            "<H", found, min(place, len(found) - 2), rng.choice((0, 1, 8, 9, 12, 14, 99))
        )
    else:
        found[at + 4 : at + length] = word_changed(part, rng)
    return bytes(found)
