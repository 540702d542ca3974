"""Pickles, instruction by instruction."""

import io
import pickletools
import random
import struct

from .bytes import NUMBERS, damaged

DEEP = (50, 500, 20_000, 200_000)
NAMES = [
    *(
        b"ccollections\nOrderedDict\n",
        b"cbuiltins\nset\n",
        b"cbuiltins\ngetattr\n",
        b"cos\nsystem\n",
    ),
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"c\n\n"),
    *(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"cbuiltins\nbytearray\n", b"c_codecs\nencode\n"),
    *(
        b"cbuiltins\nrange\n",
        b"ccollections\ndefaultdict\n",
        b"c\x1b[1m\n\x1b[2m\n",
        b"cx.y.z\n__\n",
    ),
    *(b"ctorch\nSize\n", b"ctorch\ndevice\n", b"cbuiltins\nfrozenset\n", b"ctorch\nFloatStorage\n"),
    *(b"ctorch.nn.modules.rnn\nLSTM\n", b"cbuiltins\ncomplex\n", b"cbuiltins\nslice\n"),
]
VALUES = [
    *(
        b"N",
        b"\x88",
        b"\x89",
        b"K\x00",
        b"K\x05",
        b"J\xff\xff\xff\xff",
        b"J\xff\xff\xff\x7f",
        b")",
        b"]",
        b"}",
    ),
    *(
        b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
        b"\x8a\xff" + b"\x7f" * 255,
        b"\x8b\xa0\x86\x01\x00" + b"\x7f" * 100_000,
    ),
    *(
        b"I99999999999999999999999\n",
        b"I" + b"9" * 5000 + b"\n",
        b"I\n",
        b"L\n",
        b"Fnan\n",
        b"Finf\n",
        b"Fx\n",
    ),
    *(
        b"G" + struct.pack(">d", 1e308),
        b"G" + b"\xff" * 8,
        b"X\x00\x00\x00\x00",
        b"X\x04\x00\x00\x00\x1b[1m",
    ),
    *(
        b"X\x03\x00\x00\x00\xed\xa0\x80",
        b"X\x02\x00\x00\x00\xff\xfe",
        b"C\x03abc",
        b"U\x03\xff\xfe\xfd",
        b"\x8f",
    ),
    *(
        b"\x96" + struct.pack("<Q", 4) + b"abcd",
        b"V\\ud800\n",
        b"S'a'\n",
        b"S\n",
        b"S'\\xff'\n",
        b"(d",
        b"(l",
    ),
    *(
        b"]]a",
        b"}]Ns",
        b"}}Ns",
        b"(\x90",
        b"]\x85\x85",
        b"K\x01K\x02\x86",
        b"\x8f(]\x90",
        b"]2a",
        b"}K\x002s",
    ),
    *(b"X\x09\x00\x00\x00\xe2\x80\xaeevilx", b"\x8c\x02\xc2\x9b", b"\x82\x01", b"\x97", b"\x98"),
]


def instructions(data: bytes) -> tuple[list[bytes], bytes]:
    """The instructions of the first pickle, and what stands behind it."""
    file = io.BytesIO(data)
    places = [place for _, _, place in pickletools.genops(file)]
    ends = [*places[1:], file.tell()]
    return [data[a:b] for a, b in zip(places, ends, strict=True)], data[file.tell() :]


def pickle_changed(data: bytes, rng: random.Random) -> bytes:
    """Instructions are missing, there twice, others, or have another argument."""
    steps, rest = instructions(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(steps))
        match rng.randrange(12):
            case 0:
                del steps[at]
            case 1:
                steps[at:at] = [steps[at]] * rng.choice((1, 2, 1000))
            case 2:
                other = rng.randrange(len(steps))
                steps[at], steps[other] = steps[other], steps[at]
            case 3 | 4:
                steps[_value(steps, rng)] = rng.choice(VALUES)
            case 5:
                steps[_value(steps, rng)] = rng.choice(NAMES)
            case 6 | 7:
                steps[at] = _other_argument(steps[at], rng)
            case 8:
                steps[at:at] = [
                    rng.choice(VALUES),
                    rng.choice((b"0", b"", b"2", b"\x85", b"R", b"b", b"\x81", b"Q")),
                ]
            case 9:
                steps[_value(steps, rng)] = _nest(rng)
            case 10:
                steps[at] = rng.choice(
                    (b"R", b"b", b"s", b"u", b"a", b"e", b"t", b"0", b"1", b"2", b"(", b"Q", b".")
                )
            case 11:
                steps[_value(steps, rng)] = steps[_value(steps, rng)]
        if not steps:
            break
    return b"".join(steps) + rest


def _value(steps: list[bytes], rng: random.Random) -> int:
    """An instruction that puts a value on the stack."""
    values = [
        k for k, step in enumerate(steps) if step[:1] in b"NKMJIFGXUVCTc)]}\x88\x89\x8a\x8c\x93"
    ]
    return rng.choice(values or range(len(steps)))


def _other_argument(step: bytes, rng: random.Random) -> bytes:
    code, argument = step[:1], step[1:]
    if not argument:
        return step
    if code in b"IFVScipgLP":  # lines
        return code + rng.choice((b"", b"-1", b"9" * 30, b"nan", argument[:-1] * 2)) + b"\n"
    if len(argument) in (1, 2, 4, 8):
        word = struct.pack("<Q", rng.choice(NUMBERS))[: len(argument)]
        return code + (word if code != b"G" else word[::-1])
    return code + damaged(argument, rng)


def _nest(rng: random.Random) -> bytes:
    """One value that holds others, in itself, very deep, or so often that nobody counts it."""
    count = rng.choice(DEEP)
    shared = min(count, 500)
    return rng.choice(
        (
            b"N" + b"\x85" * count,
            b"]" * count + b"a" * (count - 1),
            b"N" + b"2\x86" * shared,  # pairs of one and the same: 2 ** shared ends
            b"N" + b"2\x86" * shared + b"]" + b"s",
            b"}" + (b"N" + b"2\x86" * shared) + b"Ns",
            b"\x8f(" + b"N" + b"2\x86" * shared + b"\x90",
            b"(" + b"N" + b"2\x87" * min(shared, 3) + b"l",
            b"]" + b"2a" * 3,
            b"}" + b"X\x01\x00\x00\x00a" * 1 + b"}" * 1 + b"s",
            b"(" * count + b"t" * count,
            b"(" + b"K\x01" * count + b"t",
        )
    )


def one_of_several(data: bytes, rng: random.Random) -> bytes:
    """One of pickles that stand one behind the other, as torch wrote them before 1.6."""
    parts, rest = [], data
    while rest[:1] == b"\x80":
        try:
            steps, behind = instructions(rest)
        except ValueError:
            break
        parts.append(b"".join(steps))
        rest = behind
    at = rng.randrange(len(parts))
    parts[at] = pickle_changed(parts[at], rng)
    return b"".join(parts) + rest
