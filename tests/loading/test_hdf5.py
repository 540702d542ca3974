"""The reader of HDF5 against h5py, which is the HDF5 library's: the same to the last bit."""

import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lstm_lrp_cli.loading.files.hdf5 import Hdf5File

BITS = np.random.default_rng(18)
VERSIONS = ["earliest", "v108", "v110", "latest"]
NUMBERS = [
    *("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u8"),
    "?",
]


def by_h5py(path: Path) -> dict[str, Any]:
    """All that h5py reads of a file: arrays and attributes in the order in which it lists them."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    pending: list[tuple[str, h5py.Group]] = []
    with h5py.File(path) as file:
        pending.append(("", file))
        seen.add(h5py.h5o.get_info(file.id).addr)
        found["@"] = attributes(file)
        while pending:
            prefix, group = pending.pop()
            for key in group:
                if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                    continue
                child, name = group[key], prefix + key
                if isinstance(child, h5py.Dataset):
                    found[name] = array(child)
                    found[f"{name}@"] = attributes(child)
                elif isinstance(child, h5py.Group):
                    address = h5py.h5o.get_info(child.id).addr
                    if address not in seen:
                        seen.add(address)
                        pending.append((f"{name}/", child))
                        found[f"{name}@"] = attributes(child)
    return found


def array(dataset: h5py.Dataset) -> np.ndarray | None:
    if dataset.shape is None:
        return None
    if h5py.check_string_dtype(dataset.dtype):
        return np.asarray(dataset.asstr("utf-8")[...], np.str_)
    return dataset[...]


def attributes(holder: Any) -> dict[str, Any]:
    found = {}
    for name, value in holder.attrs.items():
        if isinstance(value, h5py.Empty):
            value = None
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, np.ndarray):
            value = [v.decode() if isinstance(v, bytes) else v for v in value.ravel()]
        found[name] = value
    return found


def assert_same(path: Path) -> None:
    expected = by_h5py(path)
    with Hdf5File(path) as file:
        arrays = [name for name in expected if not name.endswith("@")]
        assert list(file.datasets) == arrays
        for name, value in expected.items():
            if name.endswith("@"):
                holder = name[:-1] or "/"
                assert file.attribute_names(holder) == list(value), name
                for key, said in value.items():
                    assert_same_value(file.attribute(holder, key), said, f"{name}{key}")
            elif value is None:
                assert file.datasets[name].dtype == "empty"
            else:
                read = file.read(name)
                assert read.shape == value.shape == file.datasets[name].shape
                text = value.dtype.kind == "U"
                assert file.datasets[name].dtype == ("text" if text else value.dtype.name)
                if text:
                    assert read.tolist() == value.tolist(), name
                else:
                    assert read.dtype == value.dtype, name
                    assert read.tobytes() == value.tobytes(), name


def assert_same_value(read: Any, said: Any, where: str) -> None:
    assert type(read) is type(said), where
    if isinstance(said, list):
        for ours, theirs in itertools.zip_longest(read, said):
            assert_same_value(ours, theirs, where)
    elif isinstance(said, np.generic):
        assert (read.dtype, read.tobytes()) == (said.dtype, said.tobytes()), where
    else:
        assert read == said, where


def some(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Bits of any kind: numbers that are none, infinities, and the smallest are among them."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return BITS.integers(0, 2, shape).astype(bool)
    return BITS.bytes(int(np.prod(shape)) * kind.itemsize) and np.frombuffer(
        BITS.bytes(int(np.prod(shape)) * kind.itemsize), kind
    ).reshape(shape)


def write_arrays(file: h5py.Group) -> None:
    for dtype in NUMBERS:
        file.create_dataset(f"of {dtype}", data=some(dtype, (3, 4)))
    file["scalar"] = 3.5
    file["nothing"] = h5py.Empty("f4")
    file.create_dataset("no rows", (0, 3), "f4")
    file["names"] = np.array([b"one", b"", b"three  "], "S7")
    file.create_dataset("texts", data=["a", "", "ä" * 40, "last"], dtype=h5py.string_dtype())
    file.create_dataset("grid of texts", data=[["a", "b"], ["c", "d"]], dtype=h5py.string_dtype())
    file.create_dataset("ascii", data=["a", "bc"], dtype=h5py.string_dtype("ascii", 5))
    file.create_dataset("never written", (2, 3), ">f4", fillvalue=1.25)
    file.create_dataset("zeros", (2, 3), "i2")
    file.create_dataset("texts never written", (3,), h5py.string_dtype())
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((4, 2))
    made = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32BE, space, compact)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, some("<f4", (4, 2)))
    for padding, name in ((h5py.h5t.STR_SPACEPAD, b"blanks"), (h5py.h5t.STR_NULLTERM, b"ended")):
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(6)
        kind.set_strpad(padding)
        made = h5py.h5d.create(file.id, name, kind, h5py.h5s.create_simple((3,)))
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([b"a b", b"abcdef", b""], "S6"), kind)
    for name, bits in (("brain", (15, 7, 8, 0, 7)), ("quarter", (7, 2, 5, 0, 2))):
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_fields(*bits)
        kind.set_size((bits[0] + 1) // 8)
        kind.set_ebias(2 ** (bits[2] - 1) - 1)
        made = h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple((5,)))
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1.5, -0.0, 3e-5, np.inf, -2], "f4"))


def write_chunks(file: h5py.Group) -> None:
    for number, (shape, chunks, most) in enumerate(
        [
            ((6, 5), (6, 5), None),
            ((7, 5), (8, 8), (None, None)),
            ((7, 5), (2, 3), None),
            ((7, 5), (2, 3), (20, 9)),
            ((50, 3), (1, 2), (None, 3)),
            ((3, 50), (2, 1), (9, None)),
            ((9, 8, 3), (2, 3, 2), (9, None, 7)),
            ((9, 8), (2, 3), (None, None)),
            ((40, 30), (1, 2), (None, None)),
            ((60, 50), (1, 2), None),
        ]
    ):
        for filters in (
            {},
            {"compression": "gzip", "shuffle": True},
            {"compression": "lzf", "fletcher32": True},
        ):
            name = f"chunks {number} {'-'.join(map(str, filters))}"
            data = np.round(BITS.normal(size=shape), 1).astype(">f4")
            file.create_dataset(name, data=data, chunks=chunks, maxshape=most, **filters)
    sparse = file.create_dataset("holes", (90, 3), "<i4", chunks=(2, 2), fillvalue=-7)
    sparse[70:75, 1] = 5
    sparse = file.create_dataset("holes that grow", (90, 3), "u2", chunks=(2, 2), maxshape=(None, 3))
    sparse[70:75, 1] = 5
    shrunk = file.create_dataset("shrunk", data=np.arange(40), chunks=(3,), maxshape=(None,))
    shrunk.resize((11,))
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_chunk((3, 2))
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    space = h5py.h5s.create_simple((7, 3), (8, 9))
    made = h5py.h5d.create(file.id, b"early", h5py.h5t.NATIVE_INT32, space, early)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(21, dtype="i4").reshape(7, 3))
    texts = [f"token {k}" * (k % 5) for k in range(300)]
    file.create_dataset(
        "many texts", data=texts, dtype=h5py.string_dtype(), chunks=(40,), compression="gzip"
    )


def write_tree(file: h5py.Group, track: bool) -> None:
    few = file.create_group("few", track_order=track)
    many = file.create_group("many", track_order=track)
    for holder, count in ((few, 3), (many, 90)):
        for k in reversed(range(count)):
            holder.create_group(f"g{k * 37 % 91}", track_order=track)["v"] = k
            holder.attrs[f"a{k * 37 % 91}"] = k
    many["again"] = file["/"]
    many["soft"] = h5py.SoftLink("/few/g0")
    deep = file
    for k in range(20):
        deep = deep.create_group(f"deeper{k}")
    deep["W"] = np.arange(3)
    file["type"] = np.dtype("<f8")
    file.create_dataset("of a type", data=[1.0, 2.0], dtype=file["type"])
    file["other name"] = file["few/g0/v"]
    for name, value in {
        "text": "ä text",
        "bytes": np.bytes_(b"bytes"),
        "texts": ["the", "film", ""],
        "bytes each": np.array([b"a", b"bcd"]),
        "number": np.float32(2.5),
        "numbers": np.arange(6, dtype=">i4").reshape(2, 3),
        "flag": True,
        "none": np.zeros(0),
        "empty": h5py.Empty("S1"),
        "ü": 1,
    }.items():
        file.attrs[name] = value
    file.attrs.create("typed", 3.0, dtype=file["type"])


@pytest.mark.parametrize("low", VERSIONS)
@pytest.mark.parametrize("track", [False, True])
def test_all_that_h5py_writes(tmp_path, low, track):
    block = 1024 if track else 0
    path = tmp_path / "m.h5"
    with h5py.File(
        path, "w", libver=(low, "latest"), track_order=track, userblock_size=block
    ) as file:
        write_arrays(file)
        write_chunks(file)
        write_tree(file, track)
        if low != "earliest":
            file.attrs["long"] = np.arange(20_000.0)
    assert_same(path)
