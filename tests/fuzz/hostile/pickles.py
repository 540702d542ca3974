"""Pickles that nest, repeat or claim: in .pt, before 1.6, in vocabularies and scalers."""

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

from fuzz.mutation.archives import archive_of
from fuzz.seeds import Seed
from fuzz.seeds.inputs import TEXT
from fuzz.seeds.models import SERIES, series_model, small_model
from . import several

SHARED = 60
LEVELS = 200_000
WORDS = 3_000_000


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _long(bits: int) -> bytes:
    return b"\x8b" + struct.pack("<I", bits // 8) + b"\x7f" * (bits // 8)


def _shared(first: bytes, holding: bytes) -> bytes:
    """A value that holds one twice that holds one twice, and so on."""
    steps = b"".join(holding % (k, k) + b"q%c0" % (k + 1) for k in range(SHARED))
    return first + b"q\x000" + steps + b"h%c" % SHARED


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
)


def _tensor(rest: bytes) -> bytes:
    """A tensor over four numbers, of which a file says what follows: place, shape, strides."""
    return TENSOR + rest + b"\x89ccollections\nOrderedDict\n)RtR"


# Values, each of which takes one place on the stack.
VALUES = {
    "shared_tuples": b"N" + b"2\x86" * SHARED,
    "shared_lists": _shared(b"]", b"](h%ch%ce"),
    "shared_dicts": _shared(b"}", b"}(K\x00h%cK\x01h%cu"),
    "shared_texts": _shared(_text("x" * 1000), b"](h%ch%ce"),
    "key_of_shared": b"}" + b"N" + b"2\x86" * SHARED + b"Ns",
    "set_of_shared": b"\x8f(" + b"N" + b"2\x86" * SHARED + b"\x90",
    "frozenset_of_shared": b"(" + b"N" + b"2\x86" * SHARED + b"\x91",
    "deep_tuple": b"N" + b"\x85" * LEVELS,
    "deep_list": b"]" * LEVELS + b"a" * (LEVELS - 1),
    "deep_dict": b"}" + b"K\x00}" * LEVELS + b"s" * LEVELS,
    "deep_reduce": b"N" + b"\x850ccollections\nOrderedDict\n)R" * 20_000,
    "list_in_itself": b"]q\x00h\x00a",
    "dict_in_itself": b"}q\x00K\x00h\x00s",
    "tuple_in_itself": b"]q\x00h\x00\x85q\x01a0h\x01",
    "long": _long(8 * 400_000),
    "long_key": b"}" + _long(8 * 400_000) + b"Ns",
    "text_int": b"I" + b"9" * 400_000 + b"\n",
    "many_marks": b"(" * LEVELS + b"l" * LEVELS,
    "memo": b"Nr\xff\xff\xff\xff",
    "memo_text": b"Np" + b"9" * 300 + b"\n",
    "colliding_keys": b"}("
    + b"".join(b"\x8a\x10" + (k * (2**61 - 1)).to_bytes(16, "little") + b"N" for k in range(30_000))
    + b"u",
    "colliding_set": b"\x8f("
    + b"".join(b"\x8a\x10" + (k * (2**61 - 1)).to_bytes(16, "little") for k in range(30_000))
    + b"\x90",
    "surrogate": b"X\x03\x00\x00\x00\xed\xa0\x80",
    "persistent": b"N" + b"2\x86" * SHARED + b"Q",
    "name": b"c" + b"x" * 100_000 + b"\n" + b"\x1b[2Jy" * 10_000 + b"\n)R",
    "reduce_on_none": b"N)R",
    "build_on_none": b"NNb",
    "tensor_dims": _tensor(b"K\x00(" + b"K\x01" * 500 + b"t(" + b"K\x00" * 500 + b"t"),
    "tensor_huge": _tensor(b"K\x00" + _long(64) + b"\x85K\x00\x85"),
    "tensor_zero": _tensor(b"K\x00(" + b"\x8a\x08" + b"\xff" * 7 + b"\x3fK\x00tK\x00K\x00\x86"),
    "tensor_stride_0": _tensor(b"K\x00J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86K\x00K\x00\x86"),
    "tensor_negative": _tensor(b"K\x00J\xfe\xff\xff\xffJ\xfe\xff\xff\xff\x86K\x01K\x01\x86"),
    "tensor_offset": _tensor(b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\x02\x85K\x01\x85"),
    "tensor_floats": _tensor(b"K\x00G" + struct.pack(">d", 2.0) + b"\x85K\x01\x85"),
    "tensor_shared_shape": _tensor(b"K\x00" + b"N" + b"2\x86" * SHARED + b"K\x01\x85"),
    "many_tensors": b"](" + b"".join([_tensor(b"K\x00K\x02\x85K\x01\x85")] * 20_000) + b"e",
}


def _content(value: bytes) -> bytes:
    """A checkpoint that has a value beside its weights' place."""
    return b"\x80\x02}(" + _text("labels") + value + _text("vocab") + b"Nu."


def _state(value: bytes) -> bytes:
    """A state dict, one of whose tensors is a value."""
    named = {"lstm.weight_hh_l0": _tensor(b"K\x00K\x04K\x01\x86K\x01K\x01\x86")}
    named |= {"lstm.bias_ih_l0": _tensor(b"K\x00K\x04\x85K\x01\x85")}
    pairs = b"".join(_text(name) + tensor for name, tensor in named.items())
    return b"\x80\x02}(" + pairs + _text("lstm.weight_ih_l0") + value + b"u."


def _pt(content: bytes) -> Seed:
    members = [("a/data.pkl", content), ("a/data/0", bytes(16))]
    return Seed("model.pt", archive_of(members, zipfile.ZIP_DEFLATED), ("inspect", "model.pt"))


def _old(content: bytes) -> Seed:
    heads = [
        pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    ]
    data = b"".join(heads) + content + pickle.dumps(["0"], 2) + struct.pack("<q", 4) + bytes(16)
    return Seed("model.pt", data, ("inspect", "model.pt"))


def _vocabulary(value: bytes, folder: Path) -> Seed:
    files = small_model(folder, vocabulary="v.pkl") | {"in.txt": TEXT}
    del files["vocab.txt"]
    return Seed("v.pkl", b"\x80\x02" + value + b".", ("predict", "model.npz", "in.txt"), files)


def _scaler(value: bytes, folder: Path) -> Seed:
    data = b"\x80\x02csklearn.preprocessing._data\nStandardScaler\n)\x81}(" + _text("mean_") + value
    data += _text("scale_") + value + _text("n_features_in_") + b"K\x03ub."
    return _scaler_file(data, folder)


def _scaler_file(data: bytes, folder: Path) -> Seed:
    files = series_model(folder, scaling="s.pkl") | {"in.csv": SERIES}
    return Seed("s.pkl", data, ("predict", "model.npz", "in.csv"), files)


def _labels(value: bytes, folder: Path) -> Seed:
    files = small_model(folder, labels="l.pkl") | {"in.txt": TEXT}
    data = (
        b"\x80\x02csklearn.preprocessing._label\nLabelEncoder\n)\x81}"
        + _text("classes_")
        + value
        + b"sb."
    )
    return Seed("l.pkl", data, ("predict", "model.npz", "in.txt"), files)


several("pt", {name: lambda _, v=value: _pt(_content(v)) for name, value in VALUES.items()})
several("pt_state", {name: lambda _, v=value: _pt(_state(v)) for name, value in VALUES.items()})
several("pt_old", {name: lambda _, v=value: _old(_content(v)) for name, value in VALUES.items()})
several(
    "vocabulary",
    {name: lambda folder, v=value: _vocabulary(v, folder) for name, value in VALUES.items()},
)
several(
    "scaler", {name: lambda folder, v=value: _scaler(v, folder) for name, value in VALUES.items()}
)
several(
    "labels", {name: lambda folder, v=value: _labels(v, folder) for name, value in VALUES.items()}
)


def _joblib(kind: bytes, shape: bytes, rest: bytes) -> bytes:
    """An array as joblib pickles it: what it is, and the numbers behind."""
    wrapper = b"\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
    wrapper += _text("subclass") + b"cnumpy\nndarray\n" + _text("shape") + shape + _text("order")
    wrapper += (
        _text("C") + _text("dtype") + b"cnumpy\ndtype\n" + _text(kind.decode()) + b"K\x00K\x01\x87R"
    )
    return wrapper + _text("allow_mmap") + b"\x88ub" + rest + b"."


several(
    "joblib",
    {
        "zlib_bomb": lambda folder: _scaler_file(zlib.compress(bytes(300_000_000), 9), folder),
        "claims": lambda folder: _scaler_file(
            _joblib(b"f8", _long(48) + b"\x85", bytes(64)), folder
        ),
        "negative": lambda folder: _scaler_file(
            _joblib(b"f8", b"J\xff\xff\xff\xff\x85", bytes(64)), folder
        ),
        "objects": lambda folder: _scaler_file(_joblib(b"O8", b"K\x03\x85", bytes(64)), folder),
        "texts": lambda folder: _scaler_file(
            _joblib(b"U999999999", b"K\x03\x85", bytes(64)), folder
        ),
    },
)


def _zip_of(size: int, name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(name, "w") as member:
            for _ in range(size // 10**7):
                member.write(bytes(10**7))
        archive.writestr("a/data/0", bytes(16))
    return file.getvalue()


several(
    "pt_archive",
    {
        "bomb": lambda _: Seed(
            "model.pt", _zip_of(600_000_000, "a/data.pkl"), ("inspect", "model.pt")
        ),
        "texts": lambda _: _pt(
            _content(b"](" + b"".join(_text(f"w{k}") for k in range(200_000)) + b"e")
        ),
        "nones": lambda _: _pt(_content(b"(" + b"N" * 20_000_000 + b"l")),
        "lists": lambda _: _pt(_content(b"(" + b"]" * 5_000_000 + b"l")),
        "dicts": lambda _: _pt(_content(b"(" + b"}" * 5_000_000 + b"l")),
        "bytes": lambda _: _pt(_content(b"](" + (b"C\xff" + bytes(255)) * 200_000 + b"e")),
        "instances": lambda _: _pt(_content(b"](" + b"ctorch.nn\nLinear\n)\x81" * 100_000 + b"e")),
    },
)
