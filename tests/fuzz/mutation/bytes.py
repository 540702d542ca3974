"""Damage by somebody who does not know the format: bytes, and words that may be sizes or places."""

import random
import struct

SHORT = [b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"99999999", b"1e400", b"nan", b"[[[["]
TEXTS = [
    *(b"\x1b[31m", b"\x9b2J", b"\xe2\x80\xae", b"\xc2\x85", b"\xe2\x80\xa8", b"\r", b"\x00"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\t", b'"', b"'", b"\n"),
    *(
        b"=1+1",
        b"-0",
        b"None",
        b"null",
        b"NaN",
        b"Infinity",
        b"1" * 5000,
        b"-1",
        b"1e999",
        b"{" * 99,
    ),
]
NUMBERS = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 65535, 65536, 10**6, 10**9, 2**31 - 1, 2**31]
NUMBERS += [2**32 - 1, 2**32, 10**12, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The data with bytes changed, added, repeated or missing in a few places."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(9):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 3:
                del changed[at : at + rng.choice((1, 2, 4, 8, 64, 512))]
            case 4:
                changed[at : at + 8] = rng.choice(SHORT)
            case 5:
                changed[at:at] = rng.choice(TEXTS)
            case 6:
                other = rng.randrange(len(changed) + 1)
                changed[at:at] = changed[other : other + rng.choice((1, 4, 16, 64, 512))]
            case 7:
                changed = words_replaced(bytes(changed), rng)
            case 8 if rng.random() < 0.3:
                changed = changed[:at] or changed
    return bytes(changed)


def words_replaced(data: bytes, rng: random.Random) -> bytearray:
    """A word that may be a size, a count or a place is another one."""
    changed = bytearray(data)
    width = rng.choice((1, 2, 4, 4, 8, 8))
    if len(changed) < width:
        return changed
    at = rng.randrange(len(changed) - width + 1)
    if rng.random() < 0.8:
        at -= at % width
    # One of the file's own words, of its size, of what sizes go wrong at.
    match rng.randrange(3):
        case 0:
            other = rng.randrange(len(changed) - width + 1)
            word = changed[other - other % width :][:width]
        case 1:
            word = struct.pack("<Q", rng.randrange(len(changed) + 2))[:width]
        case _:
            word = struct.pack(rng.choice("<>") + "Q", rng.choice(NUMBERS))
            word = word[:width] if word[0] else word[-width:]
    changed[at : at + width] = word
    return changed


def word_changed(data: bytes, rng: random.Random) -> bytes:
    """One to four words are others; the file is as long as it was."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = bytes(words_replaced(data, rng))
    return data


def at_the_end(data: bytes, rng: random.Random) -> bytes:
    """Damage in the last part, where some formats keep what they are."""
    begin = max(0, len(data) - rng.choice((16, 64, 512, 4096)))
    return data[:begin] + damaged(data[begin:], rng)


def at_the_beginning(data: bytes, rng: random.Random) -> bytes:
    """Damage in the first part, where most formats keep what they are."""
    end = rng.choice((16, 64, 512, 4096))
    return damaged(data[:end], rng) + data[end:]
