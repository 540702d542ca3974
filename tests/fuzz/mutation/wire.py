"""Protobufs and FlatBuffers, without their schema."""

import copy
import random
import struct
from os.path import commonpath

from lstm_lrp_cli.loading.tensorflow.wire import MAGIC, table_entries
from .bytes import NUMBERS, TEXTS, damaged

Field = tuple[int, int, "bytes | int | list[Field]"]
DEEPEST = 12


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = place = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << place
        at, place = at + 1, place + 7
        if byte < 128 or place > 63:
            return number, at


def parsed(data: bytes, depth: int = 0) -> list[Field] | None:
    """The fields of a message, bytes as messages where they may be; None where it is none."""
    fields: list[Field] = []
    at = 0
    try:
        while at < len(data):
            tag, at = _number(data, at)
            number, kind = tag >> 3, tag & 7
            if number == 0 or kind not in (0, 1, 2, 5):
                return None
            if kind == 0:
                value, at = _number(data, at)
                fields.append((number, kind, value))
                continue
            if kind == 2:
                size, at = _number(data, at)
            else:
                size = 8 if kind == 1 else 4
            if at + size > len(data):
                return None
            part = data[at : at + size]
            at += size
            inner = parsed(part, depth + 1) if kind == 2 and size > 1 and depth < DEEPEST else None
            fields.append((number, kind, part if inner is None else inner))
    except IndexError:
        return None
    return fields


def written(fields: list[Field]) -> bytes:
    found = bytearray()
    for number, kind, value in fields:
        found += varint(number << 3 | kind)
        if isinstance(value, int):
            found += varint(value)
        else:
            content = written(value) if isinstance(value, list) else value
            found += (varint(len(content)) if kind == 2 else b"") + content
    return bytes(found)


def _lists(fields: list[Field]) -> list[list[Field]]:
    found, waiting = [], [fields]
    while waiting:
        each = waiting.pop()
        found.append(each)
        waiting += [value for _, _, value in each if isinstance(value, list)]
    return [each for each in found if each]


def protobuf_changed(data: bytes, rng: random.Random) -> bytes:
    """Fields are missing, there twice, elsewhere, or have another number or value."""
    fields = parsed(data)
    if not fields:
        return damaged(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        lists = _lists(fields)
        if not lists:
            break
        held = rng.choice(lists)
        at = rng.randrange(len(held))
        number, kind, value = held[at]
        match rng.randrange(9):
            case 0:
                del held[at]
            case 1:
                held[at:at] = [held[at]] * rng.choice((1, 2, 500))
            case 2:
                other = rng.choice(lists)
                held[at] = number, *copy.deepcopy(other[rng.randrange(len(other))][1:])
            case 3:
                held[at] = rng.choice((1, 2, 3, 4, 5, 7, 20, 536_870_911, number + 1)), kind, value
            case 4:
                nest = written([(number, kind, value)])
                for _ in range(rng.choice((3, 200, 3000))):
                    nest = varint(number << 3 | 2) + varint(len(nest)) + nest
                held[at] = number, 2, nest
            case _ if isinstance(value, int):
                held[at] = number, kind, rng.choice((*NUMBERS, value + 1, value * 2, -value, -1))
            case _ if isinstance(value, bytes) and kind == 2:
                changed = rng.choice((rng.choice(TEXTS), b"", value + value, damaged(value, rng)))
                held[at] = number, kind, changed
            case _ if isinstance(value, bytes):
                held[at] = number, kind, struct.pack("<Q", rng.choice(NUMBERS))[: len(value)]
            case _:
                other = rng.choice(lists)
                held.append(copy.deepcopy(other[rng.randrange(len(other))]))
    return written(fields)


def sums() -> list[int]:
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        found.append(byte)
    return found


SUMS = sums()


def masked(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ SUMS[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def index_changed(data: bytes, rng: random.Random) -> bytes:
    """The entries of a checkpoint's table, written as a table whose check sums are right."""
    entries = list(table_entries(data))
    at = rng.randrange(len(entries))
    key, value = entries[at]
    match rng.randrange(6):
        case 0:
            del entries[at]
        case 1:
            entries[at] = damaged(key, rng), value
        case 2:
            entries[at] = key, damaged(value, rng)
        case _:
            entries[at] = key, protobuf_changed(value, rng)
    if rng.random() < 0.9:
        entries = sorted(dict(entries).items())
    blocks, handles = b"", []
    per_block = rng.choice((1, 3, len(entries) + 1))
    for begin in range(0, len(entries), per_block):
        group = entries[begin : begin + per_block]
        block = _block(group, rng)
        handles.append((group[-1][0], varint(len(blocks)) + varint(len(block) - 5)))
        blocks += block
    index = _block(handles, rng)
    footer = varint(0) + varint(0) + varint(len(blocks)) + varint(len(index) - 5)
    return blocks + index + footer.ljust(40, b"\0") + MAGIC


def _block(entries: list[tuple[bytes, bytes]], rng: random.Random) -> bytes:
    """Entries, each with what differs from the key before, and the sum."""
    found, last = b"", b""
    for key, value in entries:
        shared = len(commonpath([last, key])) if rng.random() < 0.95 else len(last) + 1
        found += varint(shared) + varint(len(key) - shared) + varint(len(value))
        found += key[shared:] + value
        last = key
    found += struct.pack("<II", 0, 1) + b"\0"
    return found + struct.pack("<I", masked(found))
