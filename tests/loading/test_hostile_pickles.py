"""Pickles beside a model that would run something, or fill the memory: refused, at once."""

import bz2
import io
import json
import lzma
import os
import pickle
import struct
import sys
import time
import types
import zlib

import numpy as np
import pytest

import lstm_lrp_cli as lrp
from lstm_lrp_cli.loading.beside.labels import read_labels
from lstm_lrp_cli.loading.beside.scikit_learn import read_scaler
from lstm_lrp_cli.loading.pickles import files, machine, reader

# Seconds of the processor's. What is refused at once takes milliseconds.
AT_ONCE = 5.0
NOISE = np.random.default_rng(0).bytes(500)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def refused(tmp_path):
    """Write a file and read it: it is refused in one line, at once, and nothing was run."""

    def refuse(data, name="scaler.pkl", read=read_scaler):
        (tmp_path / name).write_bytes(data)
        begin = time.process_time()
        with pytest.raises(lrp.UnusableInput) as caught:
            read(tmp_path / name)
        assert time.process_time() - begin < AT_ONCE
        assert not (tmp_path / "executed").exists()
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ")
        assert len(message.splitlines()) == 1
        assert len(message) < 1000
        return message.removeprefix(f"{tmp_path / name}: ")

    return refuse


@pytest.fixture
def library(monkeypatch):
    """Classes under scikit-learn's names, to pickle objects of; none of them is needed to read."""
    homes = {
        "sklearn.preprocessing._data": ("StandardScaler", "MinMaxScaler", "PowerTransformer"),
        "sklearn.preprocessing._label": ("LabelEncoder",),
        "sklearn.preprocessing._encoders": ("OneHotEncoder",),
        "sklearn.pipeline": ("Pipeline",),
        "sklearn.svm._classes": ("SVC",),
    }
    made = {}
    for home, names in homes.items():
        parts = home.split(".")
        for k in range(1, len(parts) + 1):
            name = ".".join(parts[:k])
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        for name in names:
            made[name] = type(name, (), {"__module__": home})
    for kind in made.values():
        setattr(sys.modules[kind.__module__], kind.__name__, kind)

    def make(name, **attributes):
        value = made[name]()
        vars(value).update(attributes)
        return value

    return make


@pytest.fixture
def attack(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/executed",)

    return Attack()


def fitted(**others):
    return {
        "with_mean": True,
        "with_std": True,
        "mean_": np.zeros(2),
        "scale_": np.ones(2),
        "n_features_in_": 2,
    } | others


PLACES = {
    "in its place": lambda make, it: it,
    "as an attribute that is read": lambda make, it: make("StandardScaler", **fitted(mean_=it)),
    "as one that is not": lambda make, it: make("StandardScaler", **fitted(var_=it)),
    "as the name of a column": lambda make, it: make(
        "StandardScaler", **fitted(feature_names_in_=np.array(["a", it], dtype=object))
    ),
    "as a number": lambda make, it: make("StandardScaler", **fitted(n_features_in_=it)),
    "in a list": lambda make, it: make("StandardScaler", **fitted(more=[[[it]]])),
    "as a key": lambda make, it: make("StandardScaler", **fitted(more={it: 1})),
    "as a step": lambda make, it: make(
        "Pipeline", steps=[("a", make("StandardScaler", **fitted())), ("b", it)]
    ),
    "beside it": lambda make, it: {"scaler": make("StandardScaler", **fitted()), "more": it},
}


def test_the_honest_ones_are_read(library, tmp_path):
    """Else the others would be refused for another reason."""
    for protocol in PROTOCOLS:
        honest = library("StandardScaler", **fitted())
        pipeline = library("Pipeline", steps=[("a", honest), ("b", None)])
        for value in (honest, pipeline):
            (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(value, protocol))
            scaler = read_scaler(tmp_path / "scaler.pkl")
            assert len(scaler.steps) == 1
            assert scaler.size == 2


@pytest.mark.parametrize("kind", [list, tuple])
def test_several_at_once_are_told(library, refused, kind):
    several = kind([library("StandardScaler", **fitted()), library("MinMaxScaler")])
    message = refused(pickle.dumps(several))
    assert f"is a pickled {kind.__name__} of sklearn.preprocessing.StandardScaler, " in message
    assert "expected one of them: save each in a file of its own" in message


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_is_refused_wherever_it_stands(refused, library, attack, protocol, place):
    message = refused(pickle.dumps(place(library, attack), protocol))
    system = f"{os.system.__module__}.system"
    if place is PLACES["beside it"]:
        assert "is a pickled dict of" in message
    elif place is PLACES["in its place"]:
        assert message.startswith(f"is a pickled {system}; expected scikit-learn's Standard")
    else:
        assert f"that asks for {system}, which is not run; expected scikit-learn's" in message
    assert "save each in" in message or "say what it does by {minus: [..], divide: [..]}" in message


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_so_it_is_among_labels(refused, library, attack, protocol):
    texts = np.array(["a", attack], dtype=object)
    for value in (
        attack,
        texts,
        ["a", attack],
        {"a": 0, "b": attack},
        {0: "a", 1: attack},
        library("LabelEncoder", classes_=texts),
        library("OneHotEncoder", categories_=[texts], drop=None),
        library("LabelEncoder", classes_=np.array(["a", "b"]), more=attack),
    ):
        message = refused(pickle.dumps(value, protocol), "labels.pkl", read_labels)
        assert "expected" in message
    file = io.BytesIO()
    np.save(file, texts, allow_pickle=True)
    assert f"has {os.system.__module__}.system as label 1" in refused(
        file.getvalue(), "classes.npy", read_labels
    )


def test_everything_else_is_refused_by_its_name(refused, library):
    honest = library("StandardScaler", **fitted())
    other = library("SVC", C=1.0)
    assert refused(pickle.dumps(other)).startswith(
        "is a pickled sklearn.svm.SVC; expected scikit-learn's StandardScaler, MinMaxScaler, "
    )
    message = refused(pickle.dumps(library("Pipeline", steps=[("a", honest), ("b", other)])))
    assert "is a pickled sklearn.pipeline.Pipeline that asks for sklearn.svm.SVC" in message
    message = refused(pickle.dumps({"x": honest, "y": honest}))
    assert "dict of sklearn.preprocessing.StandardScaler, sklearn.preprocessing.Stand" in message
    assert "is a pickled list; expected" in refused(pickle.dumps([1, 2]))
    assert "is a pickled NumPy array; expected" in refused(pickle.dumps(np.ones(3)))
    message = refused(pickle.dumps(library("PowerTransformer")))
    assert "is a pickled sklearn.preprocessing.PowerTransformer; expected" in message
    message = refused(pickle.dumps(honest), "labels.pkl", read_labels)
    assert (
        "is a pickled sklearn.preprocessing.StandardScaler; expected scikit-learn's La" in message
    )


@pytest.mark.parametrize(
    ("columns", "drop", "problem"),
    [(1, "first", "leaves categories out (drop, "), (2, None, "was fitted to 2 columns, and not ")],
)
def test_an_encoder_of_other_things_than_all_labels(refused, library, columns, drop, problem):
    texts = np.array(["a", "b"], dtype=object)
    encoder = library("OneHotEncoder", categories_=[texts] * columns, drop=drop)
    message = refused(pickle.dumps(encoder), "labels.pkl", read_labels)
    assert message.startswith(f"is a sklearn.preprocessing.OneHotEncoder that {problem}")
    assert message.endswith("; list the labels themselves")


def test_labels_of_a_config_of_transformers(tmp_path):
    config = {"model_type": "lstm", "id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_labels(tmp_path / "config.json") == ["bad", "good"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_set_is_no_list_of_labels(refused, protocol):
    message = refused(pickle.dumps({"b", "a"}, protocol), "labels.pkl", read_labels)
    assert message == "holds a set, which has no order; expected a list of labels"


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({"mean_": None}, "mean_ is no array"),
        ({"mean_": np.zeros((2, 2))}, "mean_ is not one number a column"),
        ({"mean_": np.zeros(3)}, "its arrays are of 2 and 3 columns"),
        ({"n_features_in_": 5}, "its arrays are of 2 and 5 columns"),
        ({"mean_": np.array([0.0, np.nan])}, "mean_ has a number that is not finite"),
        ({"scale_": np.array([0.0, 1.0])}, "scale_ has a 0"),
        ({"mean_": np.array(["a", "b"])}, "mean_ is not one number a column"),
        ({"mean_": np.array([1, "b"], dtype=object)}, "objects; expected numbers"),
        ({"mean_": np.zeros(2, dtype=complex)}, "elements of NumPy's type c16; expected numbers"),
        ({"feature_names_in_": np.array(["a"], dtype=object)}, "feature_names_in_ are not as many"),
    ],
)
def test_a_scaler_that_was_not_fitted_or_is_changed(refused, library, attributes, found):
    data = pickle.dumps(library("StandardScaler", **fitted(**attributes)))
    message = refused(data)
    assert message.startswith("is a sklearn.preprocessing.StandardScaler that was not fitted, or")
    assert found in message
    assert message.endswith("fit it and save it again")
    unfitted = library("MinMaxScaler", feature_range=(0, 1))
    assert "(KeyError: 'min_')" in refused(pickle.dumps(unfitted))


# A list, tuple or dict of two of the one before: 2 ** 200 parts in all.
def doubled(begin, pair):
    return begin + b"q\x00" + (b"0" + pair) * 200


LISTS = doubled(b"]", b"](h\x00h\x00eq\x00")
BOMBS = {
    "lists": LISTS,
    "tuples": doubled(b")", b"h\x00h\x00\x86q\x00"),
    "dicts": doubled(b"}", b"}(K\x01h\x00K\x02h\x00uq\x00"),
    "lists of sets": doubled(b"\x8f", b"\x8f(h\x00h\x00\x90q\x00"),
    "a list in itself": b"]q\x00h\x00a",
    "a dict in itself": b"}q\x00K\x01h\x00s",
    "an object in itself": b"ca\nb\n)\x81q\x00}X\1\0\0\0ah\x00sb",
    "a deep nest": b"]" * 20_000 + b"a" * 19_999,
    "a deep nest of objects": b"ca\nb\nq\x000" + b"h\x00)\x81}N" * 10_000 + b"N" + b"sb" * 10_000,
}


def scaler_with(**attributes):
    """A pickle of a StandardScaler, whose attributes are instructions."""
    body = b"".join(
        b"X" + struct.pack("<I", len(name)) + name.encode() + value + b"s"
        for name, value in attributes.items()
    )
    return b"\x80\x02csklearn.preprocessing._data\nStandardScaler\n)\x81}" + body + b"b."


UNFOLDED = "it names its parts so often"


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
class TestMemoBombs:
    """Refused for what they come to, or where they nest alone for what they are not."""

    def test_in_place_of_a_scaler(self, refused, bomb):
        message = refused(b"\x80\x02" + bomb + b".")
        assert UNFOLDED in message or "expected scikit-learn's StandardScaler" in message

    def test_in_place_of_its_numbers(self, refused, bomb):
        message = refused(scaler_with(with_mean=b"\x88", with_std=b"\x88", mean_=bomb))
        found = UNFOLDED, "mean_ is no array", "that asks for a.b, which is not run"
        assert any(each in message for each in found)

    def test_in_place_of_labels(self, refused, bomb):
        for data in (
            b"\x80\x02" + bomb + b".",
            b"\x80\x02](" + bomb + b"e.",
            b"\x80\x02}X\1\0\0\0a" + bomb + b"s.",
        ):
            message = refused(data, "labels.pkl", read_labels)
            assert UNFOLDED in message or "expected" in message


COPIES = b"\x80\x02X\xe8\x03\0\0" + b"1" * 1000 + b"q\x000"
TEN_GB = 10**10


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x80\x04\x8e" + struct.pack("<Q", TEN_GB) + b"ab.", "10000000000 bytes are claimed"),
        (b"\x80\x04\x8d" + struct.pack("<Q", TEN_GB) + b"ab.", "10000000000 bytes are claimed"),
        (b"\x80\x05\x96" + struct.pack("<Q", TEN_GB) + b"ab.", "10000000000 bytes are claimed"),
        (b"\x80\x04\x95" + struct.pack("<Q", TEN_GB) + b"K\x01.", "is a pickled int; expected"),
        (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1.", "2147483647 bytes are claimed"),
        (b"\x80\x02\x8b" + struct.pack("<i", -5) + b"1.", "-5 bytes are claimed"),
        (b"L" + b"9" * 10**6 + b"L\n.", "is a pickled builtins.int; expected"),
        (b"F" + b"9" * 10**6 + b"\n.", "a number is spelled without end"),
        (b"g" + b"9" * 10**6 + b"\n.", "a number is spelled without end"),
        (
            COPIES + b"cbuiltins\nset\nh\x00\x85R0" * 1000 + b"N.",
            "copies more values than it holds",
        ),
        (b"\x80\x02h\x07.", "damaged pickle (KeyError: 7)"),
        (b"\x80\x02" + b"(" * 1000 + b".", "is a pickled type; expected"),
        (b"S'a\\q'\n.", "is a damaged pickle (KeyError: b'q')"),
        (b"S'a\\x4'\n.", "is a damaged pickle (KeyError: b'x')"),
        (b"S'a\n.", "a text is not in quotes"),
        (b"ca\tb\nc\rd\n)R.", "is a pickled a?b.c?d; expected"),
        (b"\x80\x05\x97.", "the instruction b'\\x97', which is not known"),
        (b"\x80\x02U\x011Q.", "it keeps a part of itself elsewhere"),
        (b"ZF0x000000000000000", "is compressed by joblib before 0.9.3; save it again"),
        (b"\x04\x22\x4d\x18" + b"\0" * 99, "is compressed by LZ4, which Python does not have"),
        (b"", "is empty"),
    ],
)
def test_claims_and_copies(refused, data, found):
    assert found in refused(data)


def array_of(kind, shape, data):
    """A pickle of a scaler whose mean_ is a NumPy array of such a type, shape and data."""
    return scaler_with(
        with_mean=b"\x88",
        with_std=b"\x88",
        mean_=b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R(K\x01"
        + b"".join(b"\x8a\x08" + struct.pack("<q", size) for size in shape)
        + (b"\x85", b"\x86", b"\x87")[len(shape) - 1]
        + b"cnumpy\ndtype\nX"
        + struct.pack("<I", len(kind))
        + kind
        + b"K\0K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"
        + data
        + b"tb",
    )


@pytest.mark.parametrize(
    ("kind", "shape", "data", "found"),
    [
        (b"f8", (TEN_GB,), b"C\x01a", "an array claims 80000000000 bytes, and does not have as"),
        (b"f8", (2**62, 2**62), b"C\x01a", "more than any machine has"),
        (b"f8", (-2,), b"C\x01a", "an array has an axis of -2 elements"),
        (b"U999999999", (3,), b"C\x01a", "is a damaged pickle (TypeError: data type"),
        (b"O8", (TEN_GB,), b"]", "an array of 10000000000 objects does not have as many"),
        (b"U0", (TEN_GB,), b"C\0", "an array claims 10000000000 elements of no bytes"),
        (b"S0", (TEN_GB,), b"C\0", "an array claims 10000000000 elements of no bytes"),
        (b"U9999999", (3,), b"C\x01a", "an array claims 119999988 bytes, and does not"),
        (b"f8", (0, 2**40, 2**40), b"C\0", "more than any machine has"),
        (b"O8", (1,), LISTS, "an array of 1 objects does not have as many"),
        (b"O8", (1,), b"](" + b"]" + b"e", "objects; expected numbers"),
        (b"V8", (1,), b"C\x0812345678", "elements of NumPy's type V8; expected numbers"),
        (b"x8", (1,), b"C\x0812345678", "an array's element type is none of NumPy's"),
    ],
)
def test_arrays_that_claim_what_is_not_there(refused, kind, shape, data, found):
    assert found in refused(array_of(kind, shape, data))


def test_what_is_called_an_array_and_is_none_is_no_text_either(refused):
    assert "is not what numpy.save writes" in refused(b"a\nb\nc\n", "labels.npy", read_labels)


PACKERS = {
    "zlib": lambda data: zlib.compress(data, 9),
    "gzip": lambda data: zlib_as_gzip(data),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


def zlib_as_gzip(data):
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("many", "found"),
    [
        (b"]" * 2**17, "it is made of more parts than a file of its size honestly holds"),
        (b"}0" * 2**17, "it is made of more parts"),
        (b"ca\nb\n" * 2**17, "it is made of more parts"),
        (b"N\x850" * 2**17, "it is made of more parts"),
        (b"ca\nb\nq\0" + b"h\0)\x810" * 2**17, "it is made of more parts"),
        (b"N" * 2**18, "it has more instructions than a file of its size honestly"),
    ],
)
def test_many_parts_that_take_no_place_in_the_file(refused, monkeypatch, many, found):
    """A byte asks for a list of 56; of a compressed file hardly a bit does."""
    monkeypatch.setattr(machine, "ALLOWED_PARTS", 2**15)
    monkeypatch.setattr(reader, "ALLOWED_STEPS", 2**17)
    assert found in refused(zlib.compress(many + b"."))


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
class TestCompressed:
    def test_what_unfolds_without_end(self, refused, pack, monkeypatch):
        """No more is unpacked than an honest file of its size may come to."""
        monkeypatch.setattr(files, "ALLOWED_BYTES", 2**20)
        packed = pack(b"\x80\x04\x8e" + struct.pack("<Q", TEN_GB) + bytes(3 * 2**20))
        assert "unpacks to more than 1," in refused(packed)

    def test_what_is_cut_or_damaged(self, refused, library, pack):
        packed = pack(pickle.dumps(library("StandardScaler", **fitted(more=NOISE))))
        assert "is cut short; copy or save it again" in refused(packed[:-20])
        turned = bytearray(packed)
        turned[len(packed) // 2] ^= 0xFF
        message = refused(bytes(turned))
        assert "save the file again" in message or "copy or save it again" in message

    def test_what_asks_for_a_call(self, refused, library, attack, pack):
        data = pickle.dumps(library("StandardScaler", **fitted(more=attack)))
        assert "which is not run" in refused(pack(data))


def test_lzma_that_asks_for_gigabytes(refused):
    """Its header says how large a dictionary is to be."""
    data = b"\x5d\x00\x00\x00\xff" + b"\xff" * 8 + b"\0" * 100
    assert "cannot be unpacked" in refused(data)


JOBLIB = b"\x80\x04\x8c\x13joblib.numpy_pickle\x8c\x11NumpyArrayWrapper\x93)\x81}"
DTYPE = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02%s\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xff"
DTYPE += b"J\xff\xff\xff\xffK\x00tb"


def wrapped(shape, kind=b"f8", more=b""):
    return (
        JOBLIB
        + b"(\x8c\x05shape"
        + shape
        + b"\x8c\x05order\x8c\x01C\x8c\x05dtype"
        + DTYPE % kind
        + more
        + b"ub"
    )


NESTED = wrapped(b"K\x01\x85", b"O8")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (wrapped(b"\x8a\x08" + struct.pack("<q", TEN_GB) + b"\x85"), "80000000000 bytes are cl"),
        (wrapped(b"\x8a\x08" + struct.pack("<q", -1) + b"\x85"), "has an axis of -1 elements"),
        (wrapped(b"K\x01\x85", more=b"\x8c\x1bnumpy_array_alignment_bytesK\x10"), "are left"),
        (NESTED * 1000, "pickles stand inside of each other"),
        (wrapped(LISTS), "is not made of whole numbers"),
    ],
)
def test_arrays_of_joblib(refused, data, found):
    assert found in refused(data + b"\x01.")
