"""Arrays of NumPy, as input, as weights and in archives."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np

from fuzz.mutation.archives import archive_of
from fuzz.mutation.arrays import npy
from fuzz.seeds import Seed
from fuzz.seeds.inputs import TEXT, npy_of
from fuzz.seeds.models import series_model, small_model
from . import several

BIG = 10**12


def _header(descr: str = "'<f8'", shape: str = "(2, 3, 3)", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"


HEADERS = {
    "shape_zero": _header(shape=f"({BIG}, 0)"),
    "shape_zero_ids": _header("'<i8'", f"({BIG}, 0)"),
    "shape_zeros": _header(shape=f"(0, {BIG}, 3)"),
    "shape_long": _header(shape="(" + "9" * 4_000 + ",)"),
    "shape_longest": _header(shape="(" + "9" * 9_000 + ",)"),
    "shape_64": _header(shape=f"({2**63}, 0)"),
    "shape_65": _header(shape=f"({2**64}, 0, 1)"),
    "shape_product": _header(shape=f"({2**32}, {2**32})"),
    "shape_negative": _header(shape="(-1, -18)"),
    "shape_bool": _header(shape="(True, 18)"),
    "shape_dimensions": _header(shape="(" + "1," * 70 + ")"),
    "shape_many": _header(shape="(" + "1," * 4_000 + ")"),
    "shape_list": _header(shape="[2, 3, 3]"),
    "shape_float": _header(shape="(2.0, 3, 3)"),
    "type_text": _header("'<U999999999'", "(1,)"),
    "type_void": _header("'|V2147483648'", "(1,)"),
    "type_void_zero": _header("'|V0'", f"({BIG},)"),
    "type_text_zero": _header("'<U0'", f"({BIG},)"),
    "type_object": _header("'|O'", "(3,)"),
    "type_time": _header("'<M8[s]'", "(18,)"),
    "type_float_16": _header("'<f16'", "(9,)"),
    "type_complex": _header("'<c16'", "(9,)"),
    "type_half": _header("'<f2'", "(72,)"),
    "type_array": _header("'(1000000,1000000)<f8'", "(1,)"),
    "type_list": _header("[('a', '<f8')] * 9", "(18,)"),
    "type_fields": _header(repr([(f"f{k}", "<f8") for k in range(300)]), "(0,)"),
    "type_nested": _header("[('a', " * 90 + "'<f8'" + ")]" * 90, "(18,)"),
    "type_escapes": _header("'\\x1b[2J'"),
    "order": _header(order="'\\x1b[2J'"),
    "parentheses": "(" * 9_000,
    "minus": "-" * 9_000 + "1",
    "braces": "{" * 9_000,
    "powers": "9**9**9**9",
    "products": "'a' * 10**10",
    "sum": "+".join(["1"] * 4_000),
    "comprehension": "[x for x in range(10**10)]",
    "strings": "'a' " * 9_000,
    "nul": "\0" * 900,
    "none": "",
}
LONG_HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3, 3)," + " " * 5_000_000 + "}"


def _input(header: str, folder: Path, version: int = 1) -> Seed:
    data = npy(header, bytes(144), version)
    return Seed(
        "in.npy", data, ("explain", "model.npz", "in.npy", "--format", "tsv"), series_model(folder)
    )


def _ids(header: str, folder: Path) -> Seed:
    files = small_model(folder)
    return Seed("in.npy", npy(header, bytes(144)), ("predict", "model.npz", "in.npy"), files)


def _weights(header: str, folder: Path) -> Seed:
    files = small_model(folder) | {"in.txt": TEXT}
    with zipfile.ZipFile(io.BytesIO(files.pop("model.npz"))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["E.npy"] = npy(header, bytes(144))
    data = archive_of(list(members.items()), zipfile.ZIP_DEFLATED)
    return Seed("model.npz", data, ("predict", "model.npz", "in.txt"), files)


def _expected(header: str, folder: Path) -> Seed:
    files = small_model(folder) | {"in.txt": TEXT}
    command = ("check", "model.npz", "in.txt", "--expected", "e.npy")
    return Seed("e.npy", npy(header, bytes(144)), command, files)


several("npy", {name: lambda folder, h=each: _input(h, folder) for name, each in HEADERS.items()})
several("npy_ids", {name: lambda folder, h=each: _ids(h, folder) for name, each in HEADERS.items()})
several(
    "npz_weights",
    {name: lambda folder, h=each: _weights(h, folder) for name, each in HEADERS.items()},
)
several(
    "npy_expected",
    {name: lambda folder, h=each: _expected(h, folder) for name, each in HEADERS.items()},
)
several("npy", {"long_header": lambda folder: _input(LONG_HEADER, folder, 2)})


def _npz(members: list[tuple[str, bytes]], folder: Path, way: int = zipfile.ZIP_DEFLATED) -> Seed:
    command = ("explain", "model.npz", "in.npz", "--format", "tsv")
    return Seed("in.npz", archive_of(members, way), command, series_model(folder))


def _encrypted(folder: Path) -> Seed:
    seed = _npz([("x.npy", npy_of(np.ones((2, 3, 3))))], folder)
    data = bytearray(seed.data)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1
    return Seed(seed.spoilt, bytes(data), seed.command, seed.others)


def _claims(folder: Path) -> Seed:
    """A member that says it is far larger than it is."""
    seed = _npz([("x.npy", npy_of(np.ones((2, 3, 3))))], folder)
    data = bytearray(seed.data)
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 2**32 - 2)
    return Seed(seed.spoilt, bytes(data), seed.command, seed.others)


def _bomb() -> bytes:
    return npy_of(np.zeros((2, 10**7, 3)))


several(
    "npz",
    {
        "bomb": lambda folder: _npz([("x.npy", _bomb())], folder),
        "bombs": lambda folder: _npz(
            [(f"x{k}.npy", _bomb()[:60_000_000]) for k in range(5)], folder
        ),
        "encrypted": _encrypted,
        "claims": _claims,
        "no_member": lambda folder: _npz([], folder),
        "members": lambda folder: _npz(
            [(f"x{k}.npy", b"") for k in range(60_000)], folder, zipfile.ZIP_STORED
        ),
        "bzip2": lambda folder: _npz(
            [("x.npy", npy_of(np.ones((2, 3, 3))))], folder, zipfile.ZIP_BZIP2
        ),
        "lzma": lambda folder: _npz(
            [("x.npy", npy_of(np.ones((2, 3, 3))))], folder, zipfile.ZIP_LZMA
        ),
        "escapes": lambda folder: _npz(
            [("\x1b[2J\u202e.npy", npy_of(np.ones((2, 3))))] * 2, folder
        ),
        "names": lambda folder: _npz([("x" * 60_000 + ".npy", npy_of(np.ones((2, 3))))], folder),
        "digits": lambda folder: _npz(
            [("9" * 6_000 + ".npy", npy_of(np.ones((2, 3)))), ("1.npy", npy_of(np.ones((2, 3))))],
            folder,
        ),
        "one_name": lambda folder: _npz([("x.npy", npy_of(np.ones((2, 3, 3))))] * 2, folder),
    },
)
