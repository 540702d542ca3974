"""Models that claim more than they have: refused in one line, before memory or time is taken."""

import importlib
import io
import json
import pickle
import struct
import time
import zipfile
import zlib
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from installed import spec_of

from lstm_lrp_cli.errors import UnusableInput, WrongUsage, lack_of_memory, printable, reading
from lstm_lrp_cli.loading.beside.labels import read_labels
from lstm_lrp_cli.loading.beside.vocabulary import _of_document as parsed_vocabulary
from lstm_lrp_cli.loading.beside.vocabulary_pieces import from_sentencepiece, from_tokenizer
from lstm_lrp_cli.loading.files import Stored, shape_problem
from lstm_lrp_cli.loading.files.numpy import npy_header, open_npy
from lstm_lrp_cli.loading.layers.datasets import Datasets
from lstm_lrp_cli.loading.load import load_model, read_contents
from lstm_lrp_cli.loading.opening import open_arrays
from lstm_lrp_cli.loading.pickles.reader import read_pickle

# Seconds of the processor's.
AT_ONCE = 5.0


@pytest.fixture
def refused():
    """Read what is refused: the message, of one line, which is there at once."""

    def refuse(read, *arguments):
        begin = time.process_time()
        with pytest.raises(UnusableInput) as caught:
            read(*arguments)
        assert time.process_time() - begin < AT_ONCE
        message = str(caught.value)
        assert "\n" not in message
        assert "cannot be understood" not in message  # which is the net, and tells little
        return message

    return refuse


def load(path):
    return load_model(path, None, np.dtype(np.float64))


class TestTheNet:
    @pytest.mark.parametrize(
        "error", [KeyError("hh"), OverflowError("too large"), StopIteration(), OSError("short")]
    )
    def test_what_a_reader_raises_is_one_error_with_its_kind(self, error):
        found = f"model.pt: .*{type(error).__name__}"
        with pytest.raises(UnusableInput, match=found), reading("model.pt"):
            raise error

    @pytest.mark.parametrize(
        "error",
        [
            UnusableInput("a", "b"),
            WrongUsage("c"),
            KeyboardInterrupt(),
            SystemExit(3),
            BrokenPipeError(32, "pipe"),
            FileNotFoundError(2, "no such file", "x"),
            DeprecationWarning("old"),
        ],
    )
    def test_what_is_no_fault_of_the_file_passes(self, error):
        with pytest.raises(type(error)) as caught, reading("model.pt"):
            raise error
        assert caught.value is error

    def test_an_interrupt_that_python_wraps_passes(self):
        with pytest.raises(RuntimeError), reading("model.pt"):
            raise RuntimeError("of a class") from KeyboardInterrupt()

    @pytest.mark.parametrize("name", ["", " ", "\u3000"])
    def test_a_file_whose_name_is_blank_is_seen(self, name):
        """A mapping may name one."""
        assert str(UnusableInput(name, "is none")) == f"'{printable(name)}': is none"

    def test_a_nest_is_told_as_such(self):
        with pytest.raises(UnusableInput, match="nested deeper"), reading("model.pt"):
            raise RecursionError

    def test_memory_is_told_with_what_asked_for_it(self):
        found = r"model.pt: there is not enough memory for .* \(1000000000000000,\)"
        with pytest.raises(UnusableInput, match=found), reading("model.pt"):
            np.zeros(10**15)

    def test_float32_is_told_only_where_half_may_do(self):
        def asked(shape, dtype):
            error = MemoryError("Unable to allocate 1.0 GiB for an array")
            error.shape, error.dtype = shape, np.dtype(dtype)
            return lack_of_memory(error)

        assert "--dtype float32" in asked((2**24,), "float64")
        assert "--dtype" not in asked((2**24,), "float32")
        assert "--dtype" not in asked((2**60,), "float64")
        assert lack_of_memory(MemoryError()) == "there is not enough memory"
        told = lack_of_memory(MemoryError("malloc of size 256 failed"))
        assert told == "there is not enough memory for 256 bytes"


@pytest.mark.parametrize(
    ("shape", "itemsize", "found"),
    [
        ((3, 4), 8, ""),
        ((), 8, ""),
        ((0, 5), 4, ""),
        ((np.int64(3),), 4, ""),
        ((1,) * 64, 1, ""),
        ((1,) * 65, 1, "has 65 axes"),
        ((-1,), 1, "an axis of -1"),
        ((0, 2**62, 2**62), 1, "more than any machine has"),
        ((2**60,), 8, "more than any machine has"),
        ((10**5000,), 1, "10^24 or more bytes"),
        ((True,), 1, "whole numbers"),
        ((1.0,), 1, "whole numbers"),
        ([1], 1, "whole numbers"),
    ],
)
def test_shapes(shape, itemsize, found):
    problem = shape_problem(shape, itemsize)
    assert found in problem
    assert bool(found) == bool(problem)


def npz(path, header, data=b"\0" * 8, length=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        claimed = len(header) if length is None else length
        begins = b"\x93NUMPY\x02\0" + struct.pack("<I", claimed)
        archive.writestr("a.npy", begins + header + data)
    return path


def header(descr="'<f8'", shape="(1,)"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()


class TestNpyHeaders:
    def test_an_honest_one(self, tmp_path):
        with open_arrays(npz(tmp_path / "a.npz", header())) as file:
            assert file.read("a").tolist() == [0.0]

    @pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 3), (2, 0, 3)])
    @pytest.mark.parametrize("dtype", ["<f4", ">f8", "?", "u1", "<i2", "c8", "U3"])
    def test_says_what_numpy_reads(self, shape, dtype):
        file = io.BytesIO()
        np.save(file, np.zeros(shape, dtype, order="F"))
        file.seek(8)
        expected = np.lib.format.read_array_header_1_0(file)
        end = file.tell()
        file.seek(0)
        assert npy_header(file) == expected
        assert file.tell() == end

    @pytest.mark.parametrize(
        ("data", "length", "found"),
        [
            (b" " * 20_000, 3_000_000_000, "its header claims 3,000,000,000 bytes"),
            (b"", 0, "its header claims 0 bytes"),
            (header(shape=f"({'-' * 9000}1,)"), None, "nested too deep"),
            (b"{'descr': " + b"(" * 5000 + b")" * 4000, None, "is not a NumPy array"),
            (header(shape="(0, 9223372036854775807, 4)"), None, "more than any machine has"),
            (header(shape=f"({'9' * 4000},)"), None, "more than any machine has"),
            (header(shape=f"({'1,' * 4000})"), None, "has 4000 axes"),
            (header(shape="(True,)"), None, "whole numbers"),
            (header(shape="(-1,)"), None, "an axis of -1"),
            (header("'<U999999999'"), None, "is not a NumPy array"),
            (header("[('a', '<f8', (1000000, 1000000))]"), None, "is not a NumPy array"),
            (header("1j"), None, "is not a NumPy array"),
            (header("'|V0'", "(10000000000,)"), None, "its header claims 0 bytes of data"),
            (b"\xff\xfe{'descr'", None, "is not a NumPy array"),
        ],
    )
    def test_hostile_ones(self, refused, tmp_path, data, length, found):
        path = npz(tmp_path / "a.npz", data, length=length)
        message = refused(open_arrays, path)
        assert found in message
        assert len(message) < 500


CELL = "forward: {input: W, recurrent: R}"
LSTM = f"lstm: {{gate_order: [i, f, g, o], layout: gates_by_features, {CELL}}}"


@pytest.fixture
def described(tmp_path):
    """A model of a few weights, with a mapping of those layers."""

    def make(layers, **arrays):
        numbers = np.random.default_rng(0)
        own = {"W": numbers.normal(size=(12, 2)), "R": numbers.normal(size=(12, 3))}
        own["D"] = numbers.normal(size=(2, 3))
        np.savez_compressed(tmp_path / "m.npz", **{**own, **arrays})
        (tmp_path / "m.yaml").write_text("format: 1\nlayers:\n" + "".join(layers))
        return tmp_path / "m.npz"

    return make


def doubled(kind, times):
    yield f"- name: x0\n  {LSTM}\n"
    for k in range(times):
        yield f"- name: x{k + 1}\n  from: [x{k}, x{k}]\n  merge: {kind}\n"


def nest(depth, indent=0):
    """Layers for each step, which are built once more behind themselves, at every depth."""
    space = " " * indent
    if depth == 0:
        yield f"{space}- activation: tanh\n"
        return
    yield f"{space}- name: a\n{space}  each:\n{space}    steps: 1\n{space}    layers:\n"
    yield from nest(depth - 1, indent + 6)
    yield f"{space}- name: b\n{space}  same: a\n"


class TestGraphs:
    def test_sums_of_one_thing_are_walked_once(self, described):
        dense = "- dense: {weights: D, layout: classes_by_features}\n"
        path = described([*doubled("sum", 100), dense])
        assert load(path).model.classes == 2

    def test_vectors_that_double(self, refused, described):
        message = refused(load, described([*doubled("concat", 31)]))
        assert "makes 1,610,612,736 numbers" in message

    def test_a_norm_of_more_units_than_the_file_has(self, refused, described):
        message = refused(load, described([*doubled("concat", 26), "- layer_norm: {}\n"]))
        assert "(layers[27].layer_norm) in a file of" in message

    def test_graphs_that_double(self, refused, described):
        message = refused(load, described([*nest(15), f"- {LSTM}\n"]))
        assert "more than 20,000 layers" in message

    def test_many_arrays_that_are_honest_one_by_one(self, refused, described):
        """Each is of 16 MiB, and 32 in the precision of the run."""
        big = {f"Z{k}": np.zeros((1024, 4096), np.float32) for k in range(4)}
        big |= {"R": np.zeros((12, 3)), "A": np.zeros((4096, 3), np.float32)}
        orders = ("classes_by_features", "features_by_classes") * 2
        layers = [f"- {LSTM}\n", "- dense: {weights: A, layout: classes_by_features}\n"]
        layers += [f"- dense: {{weights: Z{k}, layout: {o}}}\n" for k, o in enumerate(orders)]
        message = refused(load, described(layers, **big))
        assert "bytes with the others in a file of" in message

    def test_zeros_that_are_compressed_are_honest(self, tmp_path):
        """Of a float32 embedding, little trained: the run's float64 is not the file's claim."""
        zeros = Stored((2**23, 10), "float32")
        path = tmp_path / "m.npz"
        path.write_bytes(bytes(3 * 2**20))
        file = SimpleNamespace(
            datasets={"E": zeros}, size=path.stat().st_size, where=lambda name: f"{path}: {name}"
        )
        Datasets(file, np.dtype(np.float64), "m.yaml")._claim("E")
        file.datasets["E"] = Stored((2**23, 20), "float32")
        with pytest.raises(UnusableInput, match="save them uncompressed"):
            Datasets(file, np.dtype(np.float64), "m.yaml")._claim("E")


CONFIG = {"units": 3, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
CONFIG |= {"return_sequences": False, "go_backwards": False}


def keras(path, layers, outputs):
    """A .keras file of a functional model with an LSTM `l`, and those layers."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        group = file.create_group("layers/lstm/cell/vars")
        group["0"], group["1"], group["2"] = np.ones((2, 12)), np.ones((3, 12)), np.zeros(12)
    own = [
        layer("InputLayer", "i", [], batch_shape=[None, None, 2]),
        layer("LSTM", "l", ["i"], **CONFIG),
    ]
    config = {"name": "m", "layers": [*own, *layers], "input_layers": [["i", 0, 0]]}
    document = {"class_name": "Functional", "module": "keras", "config": config}
    config["output_layers"] = [outputs]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(document))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


def called(name, number=0):
    tensor = {"shape": [None, 2], "dtype": "float32", "keras_history": [name, number, 0]}
    return {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}


def layer(kind, name, sources, **config):
    return {
        "class_name": kind,
        "name": name,
        "module": "keras.layers",
        "config": {"name": name, **config},
        "inbound_nodes": [called(each) for each in sources],
    }


def twice(depth):
    """A model that calls its only layer twice, which is such a model."""
    inner = twice(depth - 1) if depth else layer("Activation", "n", [], activation="tanh")
    inner["inbound_nodes"] = [called("i"), called("n")]
    given = layer("InputLayer", "i", [], batch_shape=[None, 3])
    config = {"name": "n", "layers": [given, inner], "input_layers": [["i", 0, 0]]}
    config["output_layers"] = [["n", 2 if depth else 1, 0]]
    return {"class_name": "Functional", "module": "keras", "name": "n", "config": config}


class TestKeras:
    def test_models_that_are_called_twice_in_models_that_are(self, refused, tmp_path):
        for depth, is_read in ((1, True), (22, False)):
            model = {**twice(depth), "inbound_nodes": [called("l")]}
            path = keras(tmp_path / "m.keras", [model], ["n", 1, 0])
            if is_read:
                assert len(load(path).built) > 4
            else:
                assert "has more than 100,000 layers" in refused(load, path)

    def test_sizes_without_reason(self, refused, tmp_path):
        for kind, config in (
            ("RepeatVector", {"n": 10**15}),
            ("Reshape", {"target_shape": [10**9, 10**9]}),
        ):
            path = keras(tmp_path / "m.keras", [layer(kind, "x", ["l"], **config)], ["x", 0, 0])
            assert "expected 1 to 1,000,000" in refused(load, path)

    def test_a_layer_whose_weights_are_not_listed(self, refused, tmp_path):
        path = tmp_path / "m.h5"
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = ["lstm"]
            file.create_group("lstm")["kernel:0"] = np.zeros((2, 12))
        assert "has no attribute `weight_names`" in refused(read_contents, path, None)
        with h5py.File(path, "a") as file:
            file["lstm"].attrs["weight_names"] = 3.5
        assert "lstm@weight_names: is no list of names" in refused(read_contents, path, None)
        with h5py.File(path, "a") as file:
            file.attrs["layer_names"] = "lstm"
        assert "@layer_names: is no list of names" in refused(read_contents, path, None)


SHARED = b"]q\x00" + b"0](h\x00h\x00eq\x00" * 40


class TestPickles:
    def test_honest_sharing(self):
        one = b"\x80\x02](](K\x01K\x02eq\x00" + b"h\x00" * 1000 + b"e."
        assert read_pickle(one, "x") == [[1, 2]] * 1001

    def test_a_dict_that_holds_itself(self):
        found = read_pickle(b"\x80\x02}q\x00K\x01h\x00s.", "x")
        assert found[1] is found

    @pytest.mark.parametrize(
        ("data", "found"),
        [
            (b"\x80\x02" + SHARED + b".", "names its parts so often"),
            (b"\x80\x02}X\1\0\0\0a" + SHARED + b"s.", "names its parts so often"),
            (b"\x80\x02ca\nb\n" + SHARED + b"\x85R.", "names its parts so often"),
            # A text of 1 MB, a thousand times.
            (
                b"\x80\x02](X"
                + struct.pack("<I", 2**20)
                + b"a" * 2**20
                + b"q\x00"
                + b"h\x00" * 1000
                + b"e.",
                "names its parts so often",
            ),
            (b"\x80\x02}q\x00(K\x01h\x00K\x02h\x00u.", "hold each other"),
            (b"\x80\x02]q\x000N" + b"\x85" * 5000 + b"h\x00h\x00\x87.", "deeper than 1000"),
        ],
        ids=["lists", "inside", "of a class", "texts", "loops", "deep"],
    )
    def test_what_comes_to_more_than_the_file(self, refused, data, found):
        assert found in refused(read_pickle, data, "x")

    @pytest.mark.parametrize(
        "data",
        [b"](" + b"]" * 3_000_000 + b"e.", b"](" + b"G\x3f\xf0\0\0\0\0\0\0" * 2_000_000 + b"e."],
        ids=["lists", "numbers"],
    )
    def test_a_small_file_of_many_parts(self, refused, tmp_path, data):
        path = tmp_path / "it.pkl"
        path.write_bytes(zlib.compress(b"\x80\x02" + data, 1))
        assert "than a file of its size honestly holds" in refused(read_labels, path)


@pytest.mark.parametrize("order", "<>")
def test_texts_of_what_is_no_character(refused, tmp_path, order):
    """NumPy makes Python's texts of any 32 bits; what reads a letter of them breaks."""
    bits = np.array([0x110000, ord("a")], f"{order}u4")
    texts = np.frombuffer(bits.tobytes(), f"{order}U1")
    path = tmp_path / "labels.npy"
    np.save(path, texts)
    assert "a text has U+110000, which is no character" in refused(read_labels, path)
    assert "which is no character" in refused(open_npy, path, "y.npy")
    path = tmp_path / "labels.pkl"
    alone = pickle.dumps([np.str_("\U00100000")]).replace(b"\0\0\x10\0", b"\0\0\x11\0")
    for data in (pickle.dumps(texts), pickle.dumps(texts, protocol=2), alone):
        path.write_bytes(data)
        assert "which is no character" in refused(read_labels, path)
    path = tmp_path / "model.npz"
    np.savez(path, labels=texts)
    with open_arrays(path) as file:
        assert "which is no character" in refused(file.read, "labels")


def test_a_piece_whose_text_is_a_number(refused):
    """bytes() of a number are as many zeros."""
    data = b"\n\x08\n\x01a\x15\0\0\0\0" + b"\n\x06\x08\xff\xff\xff\xff\x0f"
    assert "a piece has no text" in refused(from_sentencepiece, "x", data)


@pytest.mark.parametrize(("count", "shape"), [(200, (500, 500)), (20, (1000, 1500))])
def test_constants_that_are_computed_come_to_few_times_their_file(refused, tmp_path, count, shape):
    """Of a small file and of a large one."""
    spec_of("onnx")
    onnx = importlib.import_module("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Mul", [f"c{k}"] * 2, [f"c{k + 1}"]) for k in range(count)]
    graph = helper.make_graph(
        [*nodes, helper.make_node("MatMul", ["x", f"c{count}"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", floats, ["n", "t", 2])],
        [helper.make_tensor_value_info("y", floats, None)],
        [onnx.numpy_helper.from_array(np.ones(shape, np.float32), "c0")],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert "makes constants of" in refused(load, path)


@pytest.mark.parametrize(
    "header",
    [
        '{"__metadata__": {' + ",".join(f'"{k}":""' for k in range(500_001)) + "}}",
        '{"w": [' + "[]," * 2_000_000 + "1]}",
        '{"w": "' + '\\"' * 2_500_000 + '", ' + " " * 5_000_001 + "}",
    ],
    ids=["texts", "lists", "blanks"],
)
def test_a_header_of_tensors_is_measured_before_it_is_understood(refused, tmp_path, header):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(64))
    assert "it describes more than any model has" in refused(load, path)


def test_a_header_of_tensors_may_hold_long_texts(tmp_path):
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    words = " ".join(f'"{k}"' for k in range(700_000))
    header = json.dumps({"__metadata__": {"words": words}, "w": tensor}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with open_arrays(path) as file:
        assert file.documents == {"words": words}
        assert file.read("w").tolist() == [0, 0]


@pytest.mark.parametrize("ending", ["npz", "pt", "keras"])
@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_whose_unpacking_has_no_bounds(refused, tmp_path, ending, way):
    path = tmp_path / f"m.{ending}"
    with zipfile.ZipFile(path, "w", way) as archive:
        archive.writestr("a/data.pkl", bytes(1_000_000))
    assert f"is compressed by method {way} of zip" in refused(load, path)


COLLIDING = {f"w{k}": k * (2**61 - 1) for k in range(30_000)}


@pytest.mark.parametrize("document", [COLLIDING, {"word2idx": COLLIDING}], ids=["plain", "inside"])
def test_ids_whose_hashes_are_all_the_same(refused, tmp_path, document):
    path = tmp_path / "v.json"
    refused(parsed_vocabulary, "v.json", document)
    path.write_text(json.dumps(COLLIDING))
    assert "as the class of" in refused(read_labels, path)


@pytest.mark.parametrize(
    ("normalizer", "message"),
    [
        (
            {
                "type": "Sequence",
                "normalizers": [{"type": "Replace", "pattern": {"String": "f"}, "content": "ff"}]
                * 40,
            },
            "times as long",
        ),
        ({"type": "Precompiled", "precompiled_charsmap": "AAAA" * 9}, "map claims 0 bytes"),
        ({"type": "Precompiled", "precompiled_charsmap": "/////w=="}, "map claims 4,294,967,295"),
    ],
)
def test_normalizers(refused, normalizer, message):
    document = {"model": {"type": "WordLevel", "vocab": {"the": 0}}, "normalizer": normalizer}
    assert message in refused(from_tokenizer, "x", document, b"")
