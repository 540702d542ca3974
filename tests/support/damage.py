"""Files as they come from broken disks and worse."""

import random

BYTES = [b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"99999999", b"1e400", b"nan", b"[[[["]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The data with bytes changed, added, repeated or missing in a few places."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(5):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                del changed[at : at + rng.randrange(1, 9)]
            case 3:
                changed[at : at + 8] = rng.choice(BYTES)
            case 4:
                changed = changed[:at] or changed
    return bytes(changed)
