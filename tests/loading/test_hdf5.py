"""The reader of HDF5 against h5py, which is the HDF5 library's: the same to the last bit."""

import itertools
import os
import random
import time
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.opening import open_arrays

BITS = np.random.default_rng(18)
VERSIONS = ["earliest", "v108", "v110", "latest"]
NUMBERS = [
    *("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u8"),
    "?",
]
# How the parts of a file begin.
SIGNATURES = [
    *(b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"BTHD", b"BTLF"),
    *(b"FAHD", b"FADB", b"EAHD", b"EAIB", b"EADB"),
]
NUMBERS_OF_HARM = [0, 1, 2, 3, 255, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]


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
    sparse = file.create_dataset(
        "holes that grow", (90, 3), "u2", chunks=(2, 2), maxshape=(None, 3)
    )
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


def read_all(path: Path) -> str:
    """Read whatever a file has; the first error's text, or nothing."""
    errors = []
    try:
        with Hdf5File(path) as file:
            for name in file.datasets:
                try:
                    file.read(name)
                except UnusableInput as error:
                    errors.append(str(error))
            for name in ["/", *file.children(""), *file.datasets]:
                try:
                    for key in file.attribute_names(name):
                        file.attribute(name, key)
                except UnusableInput as error:
                    errors.append(str(error))
    except UnusableInput as error:
        errors.append(str(error))
    return errors[0] if errors else ""


class TestHostile:
    """Whatever is wrong with a file is one error, in little time and memory."""

    @pytest.fixture(autouse=True)
    def in_time(self):
        begun = time.process_time()
        yield
        assert time.process_time() - begun < 5

    @pytest.fixture
    def in_memory(self):
        tracemalloc.start()
        yield
        assert tracemalloc.get_traced_memory()[1] < 250 * 2**20
        tracemalloc.stop()

    @pytest.mark.parametrize("kind", ["earliest", "latest"])
    @pytest.mark.parametrize("trusting", [False, True])
    def test_damage(self, tmp_path, monkeypatch, kind, trusting):
        """With the checksums right too, by which else the most is found out."""
        path = tmp_path / "m.h5"
        with h5py.File(path, "w", libver=(kind, "latest"), track_order=True) as file:
            file["texts"] = ["a", "bc"]
            group = file.create_group("many")
            for k in range(10):
                group.attrs[f"a{k}"] = group[f"d{k}"] = k
            for most in ((None, 3), (None, None), (9, 9)):
                file.create_dataset(
                    f"chunks {most}", data=np.ones((9, 3)), chunks=(2, 1), maxshape=most
                )
        if trusting:
            home = "lstm_lrp_cli.loading.files.hdf5"
            monkeypatch.setattr(f"{home}.source.sound", lambda data, what: data[:-4])
        whole, rng = path.read_bytes(), random.Random(kind)
        ends = [whole.find(each) for each in SIGNATURES if each in whole]
        refused = 0
        for _ in range(40):
            data = bytearray(whole)
            for _ in range(rng.choice([1, 2, 8])):
                at = rng.choice([rng.randrange(len(data)), rng.choice(ends) + rng.randrange(60)])
                new = rng.choice(NUMBERS_OF_HARM).to_bytes(8, "little")[: rng.choice([1, 2, 4, 8])]
                data[at : at + len(new)] = new
            path.write_bytes(data)
            refused += bool(read_all(path))
        assert refused > 10

    def test_many_texts_that_are_one(self, tmp_path, in_memory):
        """100 kB named 100,000 times are 10 GB."""
        path = tmp_path / "m.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("words", data=["x" * 100_000], dtype=h5py.string_dtype())
            file.create_dataset("all", (100_000,), h5py.string_dtype(), chunks=(100_000,))
            file["all"][:1] = "y"
        data = path.read_bytes()
        with h5py.File(path) as file:
            first = file["words"].id.get_offset()
            chunk = file["all"].id.get_chunk_info(0)
        name = data[first : first + 16]
        at = chunk.byte_offset
        path.write_bytes(data[:at] + name * 100_000 + data[at + 16 * 100_000 :])
        with Hdf5File(path) as file:
            found = file.read("all")
        assert len({id(each) for each in found}) == 1  # one text, and no table as wide

    def test_heaps_of_texts_that_overlap(self, tmp_path):
        """Each reaches to the end of the last: walked one by one, these would take hours."""
        path, count = tmp_path / "m.h5", 20_000
        heaps = np.zeros((count, 4), "<u8")
        heaps[:, 0] = int.from_bytes(b"GCOL\x01", "little")
        heaps[:, 1] = 32 * np.arange(count, 0, -1)
        heaps[:, 2] = np.arange(1, count + 1)  # one object, which covers where the next begins
        heaps[:-1, 3] = 16
        with h5py.File(path, "w") as file:
            file["heaps"] = heaps
            file.create_dataset("words", data=[""] * count, dtype=h5py.string_dtype())
            first, at = (file[name].id.get_offset() for name in ("heaps", "words"))
        names = np.zeros(count, [("length", "<u4"), ("at", "<u8"), ("number", "<u4")])
        names["length"][:-1], names["number"] = 16, np.arange(1, count + 1)
        names["at"] = first + 32 * np.arange(count)
        data = path.read_bytes()
        path.write_bytes(data[:at] + names.tobytes() + data[at + names.nbytes :])
        with Hdf5File(path) as file, pytest.raises(UnusableInput, match=r"words: .* many times"):
            file.read("words")

    def test_chunks_that_are_one(self, tmp_path):
        path, rows = tmp_path / "m.h5", 300
        values = np.zeros((rows, 50_000), "u1")
        values[0] = BITS.integers(0, 256, 50_000)
        with h5py.File(path, "w") as file:
            kept = {"chunks": (1, 50_000), "compression": "gzip"}
            chunks = file.create_dataset("W", data=values, **kept).id
            found = [chunks.get_chunk_info(k) for k in range(rows)]
        data, large = bytearray(path.read_bytes()), found[0]
        for each in found[1:]:
            at = data.index(each.byte_offset.to_bytes(8, "little"))
            data[at - 32 : at - 28] = large.size.to_bytes(4, "little")
            data[at : at + 8] = large.byte_offset.to_bytes(8, "little")
        path.write_bytes(data)
        assert "W: cannot be read (the chunks of W are far larger" in read_all(path)

    def test_a_header_that_goes_on_in_circles(self, tmp_path):
        path = tmp_path / "m.h5"
        with h5py.File(path, "w") as file:
            for k in range(20):
                file.attrs[f"attribute {k}"] = k  # so that the header goes on elsewhere
        data = bytearray(path.read_bytes())
        root = int.from_bytes(data[64:72], "little")
        at = root + 16
        while data[at : at + 2] != b"\x10\0":
            at += 8 + int.from_bytes(data[at + 2 : at + 4], "little")
        data[at + 8 : at + 16] = (root + 16).to_bytes(8, "little")
        data[root + 2 : root + 4] = b"\xff\xff"
        path.write_bytes(data)
        assert "goes on in circles" in read_all(path)

    def test_a_chunk_of_gigabytes(self, tmp_path, in_memory):
        path = tmp_path / "m.h5"
        with h5py.File(path, "w") as file:
            kept = {"chunks": (2**28,), "maxshape": (None,), "compression": "gzip"}
            file.create_dataset("W", (3,), "f4", **kept)
        with Hdf5File(path) as file, pytest.raises(UnusableInput, match="W: has chunks of 1,073,7"):
            file.read("W")

    @pytest.mark.parametrize("filters", [{"compression": "gzip"}, {"compression": "lzf"}])
    def test_a_chunk_that_unpacks_to_more(self, tmp_path, filters, in_memory):
        path = tmp_path / "m.h5"
        with h5py.File(path, "w") as file:
            for name, size in (("small", 100), ("large", 10**7)):
                file.create_dataset(name, (size,), "u1", chunks=(size,), **filters)[:] = 1
            small, large = (file[name].id.get_chunk_info(0) for name in ("small", "large"))
        data = bytearray(path.read_bytes())
        # The tree of the small one names the chunk of the large one.
        at = data.index(small.byte_offset.to_bytes(8, "little"))
        assert data[at - 24 : at - 20] == small.size.to_bytes(4, "little")
        data[at : at + 8] = large.byte_offset.to_bytes(8, "little")
        data[at - 24 : at - 20] = large.size.to_bytes(4, "little")
        path.write_bytes(data)
        with Hdf5File(path) as file, pytest.raises(UnusableInput, match="more than it should"):
            file.read("small")

    def test_a_chunk_of_another_checksum(self, tmp_path):
        path = tmp_path / "m.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("W", data=np.arange(9.0), chunks=(9,), fletcher32=True)
            at = file["W"].id.get_chunk_info(0).byte_offset
        data = bytearray(path.read_bytes())
        data[at + 9] ^= 1
        path.write_bytes(data)
        assert "W: cannot be read (a chunk does not have the checksum" in read_all(path)

    def test_a_source_that_is_a_pipe(self, tmp_path):
        """The library opens it to tell the shape, and waits for ever."""
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no pipes with names")
        os.mkfifo(tmp_path / "pipe")
        path = tmp_path / "m.h5"
        with h5py.File(path, "w", libver="latest") as file:
            space = h5py.h5s.create_simple((4, 2), (h5py.h5s.UNLIMITED, 2))
            every = h5py.h5s.create_simple((4, 2), (h5py.h5s.UNLIMITED, 2))
            every.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), block=(1, 2))
            kept = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            kept.set_virtual(every, str(tmp_path / "pipe").encode(), b"/x", every)
            h5py.h5d.create(file.id, b"W", h5py.h5t.NATIVE_FLOAT, space, kept)
        with Hdf5File(path) as file:
            assert file.datasets["W"].shape == (4, 2)
            with pytest.raises(UnusableInput, match="in other files, which are not followed"):
                file.read("W")

    def test_filters_that_are_not_read(self, tmp_path):
        path = tmp_path / "m.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("W", data=np.arange(9), chunks=(9,), scaleoffset=0)
        assert "W: is compressed by scaleoffset (filter 6), which is not read" in read_all(path)

    def test_groups_without_end(self, tmp_path):
        path = tmp_path / "m.h5"
        with h5py.File(path, "w", libver="latest") as file:
            group: Any = file
            for _ in range(300):
                group = group.create_group("g" * 30)
        assert "has groups in groups, 200 levels deep" in read_all(path)

    def test_one_of_several_files(self, tmp_path):
        with h5py.File(tmp_path / "m%d.h5", "w", driver="family", memb_size=2**20) as file:
            file["W"] = np.ones(3)
        assert "is one of several files" in read_all(tmp_path / "m0.h5")


def test_a_block_of_the_users_may_stand_before(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["W"] = np.arange(3)
    with path.open("r+b") as file:
        file.write(b"whatever its user wrote")
    with open_arrays(path) as found:
        assert found.format == "HDF5"
        assert found.read("W").tolist() == [0, 1, 2]


def test_what_fills_a_dataset_may_never_have_been_set(tmp_path):
    """Old libraries say so by a size of -1, as in files of oscilloscopes."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["W"] = np.arange(3.0)
        file.create_dataset("V", data=np.arange(3.0), chunks=(2,))
    content = path.read_bytes()
    for unset in ("0202020100000000", "0203020100000000"):
        assert content.count(bytes.fromhex(unset)) == 1
        content = content.replace(bytes.fromhex(unset), bytes.fromhex("01030200ffffffff"))
    path.write_bytes(content)
    assert_same(path)


def test_pages_of_a_list_of_chunks_that_grows(tmp_path):
    """Where one axis may grow, 130,000 chunks come before those that are listed in pages."""
    path = tmp_path / "m.h5"
    written = [0, 3, 19, 40, 131_000, 131_100, 140_000, 142_000, 149_999]
    with h5py.File(path, "w", libver="latest") as file:
        kept = {"chunks": (1,), "maxshape": (None,), "fillvalue": 7}
        dataset = file.create_dataset("x", (150_000,), "u1", **kept)
        for number, at in enumerate(written):
            dataset[at] = 100 + number
    with Hdf5File(path) as file:
        read = file.read("x")
    assert np.flatnonzero(read != 7).tolist() == written
    assert read[written].tolist() == list(range(100, 109))
