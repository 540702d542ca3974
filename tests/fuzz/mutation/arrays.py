"""NumPy's files and safetensors: the header claims something else than what is there."""

import ast
import json
import random
import struct
import warnings
from typing import Any

from .bytes import NUMBERS, damaged
from .documents import changed, json_text

TYPES = [
    *(
        "<f8",
        ">f8",
        "<f4",
        "<f2",
        "<f16",
        "<i8",
        ">i4",
        "|u1",
        "|b1",
        "<c16",
        "|O",
        "|S5",
        "<U9",
        "<M8[s]",
    ),
    *(
        "<m8[ns]",
        "|V8",
        "<U999999999",
        "|S2147483647",
        "|V2147483648",
        "<U4611686018427387904",
        "f",
        "O",
    ),
    *(
        "<f99999",
        "(3,)f8",
        "(1000000,1000000)<f8",
        "f8,f8",
        "",
        "\x1b[1m",
        "<i3",
        "i",
        "|S0",
        "<U0",
    ),
]
DESCRIPTIONS: list[Any] = [
    *(
        [("a", "<f8")],
        [("a", "<f8"), ("a", "<f8")],
        [("a", "|O")],
        [("", "<f8", (2,))],
        [],
        None,
        5,
    ),
    *([("a", [("b", [("c", "<f8")])])], [("a", "<f8", (10**9, 10**9))], {"names": ["a"]}, [("a",)]),
    *([["a", "<f8"]], (1,), b"<f8", [("x" * 5000, "<f8")], [("a", "<f8")] * 300, True, 1.5),
]
SIZES: list[Any] = [*NUMBERS, -1, -(2**63), 10**30, 1.0, True, None, "3", (3,), [3]]
SHAPES: list[Any] = [
    *((), (0,), (0, 10**12), (10**12, 0), (2**63, 0), (2**64,), (1,) * 65, (1,) * 5000, (2,) * 64),
    *(
        (2**32, 2**32),
        (-1, -1),
        (-3, -2),
        (3, -1),
        (2**62, 4),
        5,
        None,
        [3],
        "abc",
        (True,),
        {3},
        {},
    ),
]


def npy_changed(data: bytes, rng: random.Random) -> bytes:
    """The header of an .npy: type, order or shape."""
    assert data[:6] == b"\x93NUMPY"
    wide = data[6] > 1
    begin = 12 if wide else 10
    end = begin + struct.unpack("<I" if wide else "<H", data[8:begin])[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python's about numbers before words
        header = ast.literal_eval(data[begin:end].decode("latin1"))
    numbers = data[end:]
    match rng.randrange(9):
        case 0 | 1:
            header["descr"] = rng.choice(TYPES)
        case 2:
            header["descr"] = rng.choice(DESCRIPTIONS)
        case 3:
            header["shape"] = rng.choice(SHAPES)
        case 4:
            shape = list(header["shape"]) or [1]
            shape[rng.randrange(len(shape))] = rng.choice(SIZES)
            header["shape"] = tuple(shape)
        case 5:
            header["fortran_order"] = rng.choice((True, False, None, 1, "a", []))
        case 6:
            numbers = damaged(numbers, rng)
        case 7:
            odd = rng.choice(
                (b"\xff" * 8, struct.pack("<d", float("nan")), struct.pack("<d", 1e308))
            )
            numbers = odd * (len(numbers) // 8)
        case 8:
            header.pop(rng.choice(list(header))) if rng.random() < 0.5 else header.update({"a": 1})
    text = repr(header)
    if rng.random() < 0.15:
        odd = [
            "(" * 300,
            "[" * 2000,
            "-" * 3000,
            "9" * 5000,
            "1if 1else 1",
            "{}" * 9,
            "x" * 20_000,
            "#",
            "\n",
        ]
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(odd) + text[at:]
    return npy(text, numbers, rng.choice((1, 1, 1, 2, 3, data[6])))


def npy(header: str, numbers: bytes, version: int = 1) -> bytes:
    """An .npy with whatever header."""
    text = header.encode("utf-8") + b"\n"
    size = struct.pack("<H", len(text) & 0xFFFF) if version == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + numbers


def safetensors_changed(data: bytes, rng: random.Random) -> bytes:
    """The header of a safetensors file: names, types, shapes, places."""
    (size,) = struct.unpack("<Q", data[:8])
    header, numbers = json.loads(data[8 : 8 + size]), data[8 + size :]
    match rng.randrange(4):
        case 0:
            tensor = rng.choice([each for each in header.values() if "shape" in each])
            tensor["shape"] = (
                list(rng.choice(SHAPES)) if rng.random() < 0.5 else [rng.choice(SIZES)]
            )
        case 1:
            tensor = rng.choice([each for each in header.values() if "dtype" in each])
            tensor["dtype"] = rng.choice(
                ("F64", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "U8", "\x1b", "")
            )
        case _:
            header = changed(header, rng)
    text = json.dumps(header, default=str).encode() if rng.random() < 0.3 else json_text(header)
    size = rng.choice(NUMBERS) if rng.random() < 0.2 else len(text)
    return struct.pack("<Q", size) + text + numbers
