"""Files that are no weights, or not in a form that is read, are refused as what they are."""

import gzip
import io
import json
import lzma
import pathlib
import pickle
import shlex
import tarfile
import zipfile
from collections import OrderedDict

import h5py
import numpy as np
import pytest
from protobuf import field
from torch_files import cell, save, save_safetensors, weights

SERIES = np.linspace(-1, 1, 30).reshape(2, 5, 3)


# As TensorFlow writes them: the operations that a graph uses, its tags; its nodes.
OPERATIONS = field(2, field(1, field(1, b"AddV2") + field(2, field(1, b"x"))) * 100)
NODE = field(1, b"lstm/kernel") + field(2, b"Const") + field(5, b"\n\x05dtype")
META_GRAPH = field(1, OPERATIONS + field(4, b"serve") + field(5, b"2.15.0")) + field(2, NODE)
SAVED_MODEL = field(1, 1) + field(2, META_GRAPH)
GRAPH = field(1, NODE) * 3 + field(4, field(1, 21))
CORE_ML = field(1, 5) + field(2, field(1, field(1, b"x")) + field(10, field(1, b"y")))
INDEX = b"\0\0\x06\x08\x01\x1a\x02\x08\x01" + bytes(40) + bytes.fromhex("57fb808b247547db")
KERAS_JSON = json.dumps({"class_name": "Sequential", "config": {"layers": []}}).encode()


def in_zip(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return content.getvalue()


def in_tar(*names):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return content.getvalue()


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


# What a file holds, what is said of it and, as far as it says, what can be done.
FILES = {
    "SavedModel": (SAVED_MODEL, "is a TensorFlow SavedModel without variables. Save"),
    "frozen graph": (GRAPH, "is a frozen TensorFlow graph. Save the model that it was frozen from"),
    "graph as text": (b'node {\n  name: "x"\n}\n', "is a TensorFlow graph as text; save the Keras"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3\x14\0", "is a damaged TensorFlow Lite file ("),
    "checkpoint": (INDEX, "is part of a TensorFlow checkpoint. Keep its weights"),
    "list of checkpoints": (
        b'model_checkpoint_path: "model.ckpt-1"\n',
        "is the list of a TensorFlow checkpoint's files. Keep its weights",
    ),
    "Core ML": (CORE_ML, "is a Core ML model; its weights are fused"),
    "ONNX Runtime": (b"\x20\0\0\0ORTM\0\0", "is a model in ONNX Runtime's own format; give the"),
    "TorchScript": (
        in_zip("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py", "m/data/0"),
        "is a TorchScript program. Save its state dict:",
    ),
    "AOTInductor": (
        in_zip("m/archive_format", "m/data/aotinductor/model/model.so"),
        "is a package of AOTInductor: compiled code, which is never executed. Save the program",
    ),
    "PyTorch before 0.1.10": (
        in_tar("sys_info", "pickle", "tensors", "storages"),
        "is a file of PyTorch before 0.1.10. If you trust it, save it again where torch is",
    ),
    "pickle": (pickle.dumps({"a": 1}), "is a bare pickle, which is never executed; load it in"),
    "pickle of a class": (pickle.dumps(pathlib.PurePosixPath("a")), "is a bare pickle of `pathlib"),
    "old pickle of a class": (
        pickle.dumps(OrderedDict(a=1), 2),
        "is a bare pickle of `collections.OrderedDict`, which is never executed; load it",
    ),
    "Deeplearning4j": (
        in_zip("configuration.json", "coefficients.bin"),
        "is a model of Deeplearning4j; save its parameters by name",
    ),
    "zip": (in_zip("run/model.h5", "run/notes.txt"), "it holds run/model.h5: unpack it, and give"),
    "Excel": (in_zip("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook; expected"),
    "Parquet": (b"PAR1\x15\x04\x15\0PAR1", "is a Parquet table; expected weights; MODEL comes"),
    "SQLite": (b"SQLite format 3\0\x10\0", "is a database of SQLite; expected weights"),
    "Arrow": (b"ARROW1\0\0\xff\xff", "is a table of Arrow; expected weights"),
    "MATLAB": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "is a MATLAB file (.mat); read it by"),
    "array": (npy(SERIES), "is one NumPy array (.npy). MODEL comes before INPUT"),
    "gzip": (gzip.compress(b"x" * 99), "is compressed by gzip; unpack it first"),
    "xz": (lzma.compress(b"x" * 99), "is compressed; unpack it first"),
    "tar": (in_tar("model.pt"), "is a tar archive; unpack it first"),
    "Keras JSON": (KERAS_JSON, "is a Keras architecture without weights; save the whole model"),
    "Keras YAML": (
        b"backend: tensorflow\nclass_name: Sequential\nconfig: {}\n",
        "is a Keras architecture without weights; save the whole model",
    ),
    "TensorFlow.js": (
        b'{"format": "layers-model", "modelTopology": {"class_name": "Sequential"}}',
        "is a model of TensorFlow.js; save the Keras model",
    ),
    "mapping": (b"vocabulary: vocab.txt\nlayers:\n", "is a mapping. MODEL is the weight file"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "is a pointer of Git LFS, and not the file itself; fetch it by `git lfs pull`",
    ),
    "web page": (b"\n<!DOCTYPE html>\n<html>", "is a web page; download the file itself"),
    "CSV": (b"sequence,step,a\n0,0,1\n", "is text that begins with `sequence,step,a`; expected a"),
    "text": ("der Film ist gr\u00fcn\n".encode(), "begins with `der Film ist gr\u00fcn`; expected"),
}


@pytest.fixture
def refused(run, tmp_path):
    """What is said of a file as MODEL by every command that takes one, the same by all."""

    def inspect(path):
        ids = tmp_path / "ids.txt"
        ids.write_text("1 2\n")
        commands = (
            *(("inspect", path), ("explain", path, ids), ("predict", path, ids)),
            *(("check", path, ids), ("convert", path, tmp_path / "out.npz")),
            *(("evaluate", path, ids), ("match", path, ids, "--expected", ids)),
        )
        found = {run(*each).stderr for each in commands}
        assert len(found) == 1, found
        assert all(run(*each).exit_code == 3 for each in commands[:1])
        return found.pop()

    return inspect


@pytest.mark.parametrize("name", ["m", "m.onnx", "m.h5"])
@pytest.mark.parametrize(("content", "message"), FILES.values(), ids=FILES)
def test_a_file_is_told_by_its_content_whatever_it_is_called(run, tmp_path, content, message, name):
    path = tmp_path / name
    path.write_bytes(content)
    result = run("inspect", path)
    assert result.exit_code == 3
    first, *_ = result.stderr.splitlines()
    assert first.startswith(f"lrp: {path}: is ")
    assert message in first
    assert result.stderr.isprintable() or set("\n") == {c for c in result.stderr if c < " "}


@pytest.mark.parametrize("kind", ["SavedModel", "pickle", "array", "text", "TorchScript"])
def test_every_command_says_the_same(refused, tmp_path, kind):
    content, message = FILES[kind]
    path = tmp_path / "m.model"
    path.write_bytes(content)
    assert message in refused(path)


class TestFolders:
    @pytest.mark.parametrize("given", ["saved", "saved/saved_model.pb"])
    def test_a_saved_model_without_variables_may_be_one_of_constants(
        self, refused, tmp_path, given
    ):
        folder = tmp_path / "saved"
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(SAVED_MODEL)
        error = refused(tmp_path / given)
        assert "is a TensorFlow SavedModel without variables. Save the model" in error
        assert f"tf2onnx.convert --saved-model {folder} --output saved.onnx" in error

    @pytest.mark.parametrize(
        "end", ["", "/checkpoint", "/m.ckpt-7", "/m.ckpt-7.index", "/m.ckpt-7.data-00000-of-00001"]
    )
    def test_a_checkpoint_of_tensorflow_by_any_of_its_names(self, refused, tmp_path, end):
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "checkpoint").write_text('model_checkpoint_path: "m.ckpt-7"\n')
        (folder / "m.ckpt-7.data-00000-of-00001").write_bytes(bytes(range(200)))
        without_index = {
            "": "is a folder of TensorFlow checkpoints; it names none",
            "/checkpoint": "m.ckpt-7.index: there is no such file",
            "/m.ckpt-7": "there is no such model file",
            "/m.ckpt-7.index": "there is no such model file",
        }.get(end, f"found = tf.train.load_checkpoint('{folder}/m.ckpt-7')")
        assert without_index in refused(f"{folder}{end}")
        (folder / "m.ckpt-7.index").write_bytes(INDEX)
        assert "m.ckpt-7.index: is not the whole index of a" in refused(f"{folder}{end}")

    def test_others_say_what_they_hold(self, refused, tmp_path):
        folder = tmp_path / "runs"
        folder.mkdir()
        assert "runs: is a directory; expected a model file\n" in refused(folder)
        for name in ("b.pt", "a.h5", "notes.txt", "c.onnx", "d.keras"):
            (folder / name).write_text("")
        error = refused(folder)
        assert "it holds a.h5, b.pt, c.onnx and 1 more: give one of them" in error
        (folder / "config.json").write_text("{}")
        (folder / "model.weights.h5").write_text("")
        assert "is an unpacked .keras file; zip its files" in refused(folder)

    def test_a_name_cannot_leave_the_lines_that_it_stands_in(self, run, tmp_path):
        folder = tmp_path / "a'); import os #\n\x1b[2Jb"
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(SAVED_MODEL)
        lines = run("inspect", folder).stderr.splitlines()
        assert len(lines) == 2
        assert shlex.split(lines[1])[4] == "DIR"
        folder = folder.rename(tmp_path / "a'; rm *;")
        line = run("inspect", folder).stderr.splitlines()[1]
        assert shlex.split(line)[4] == str(folder)


class TestHdf5:
    def test_a_table_of_pandas(self, run, tmp_path):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file["df/block0_values"] = np.ones((3, 2))
            file["df"].attrs["pandas_type"] = "frame"
        result = run("inspect", tmp_path / "m.h5")
        assert result.exit_code == 3
        assert "is a table that pandas wrote (to_hdf, `df`); expected weights" in result.stderr


class TestWhatIsReadIsNotTakenForOthers:
    def test_safetensors_whose_length_is_the_signature_of_another(self, run, tmp_path):
        """The first bytes are the header's length: here those of pickles, zips and gzip."""
        for length in (0x0280, 0x0480, 0x4B50, 0x8B1F, 0x0108):
            path = tmp_path / "m.safetensors"
            save_safetensors(path, weights(), {"": ""})
            spare = length - int.from_bytes(path.read_bytes()[:8], "little")
            while spare < 0:
                length, spare = length + 2**16, spare + 2**16
            save_safetensors(path, weights(), {"": " " * spare})
            assert path.read_bytes()[:8] == length.to_bytes(8, "little")
            assert run("inspect", path).exit_code == 0

    def test_text_that_begins_like_a_zip(self, run, tmp_path):
        (tmp_path / "m").write_text("PKs are primary keys\n")
        assert "is text that begins with `PKs are" in run("inspect", tmp_path / "m").stderr


class TestInput:
    """The same files as INPUT: what they are, and what is expected there."""

    @pytest.fixture
    def model(self, tmp_path):
        head = {"fc.weight": np.ones((2, 2), dtype=np.float32)}
        return save(tmp_path / "model.pt", cell("lstm.", 3, 2) | head)

    @pytest.fixture
    def said(self, run, model, tmp_path):
        def explain(path, *options, input=None):
            result = run("explain", model, path, "-o", tmp_path / "o.tsv", *options, input=input)
            assert result.exit_code == 3, result.stderr
            assert len(result.stderr.splitlines()) == 1
            return result.stderr

        return explain

    @pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
    @pytest.mark.parametrize("name", ["x", "x.csv", "x.npy", "x.jsonl"])
    @pytest.mark.parametrize(
        "kind", ["SQLite", "pickle of a class", "SavedModel", "PyTorch before 0.1.10"]
    )
    def test_is_told_by_its_content(self, said, tmp_path, kind, name, piped):
        content, message = FILES[kind]
        (tmp_path / name).write_bytes(content)
        what = message.split(";")[0].split(". ")[0]
        error = said("-", input=content) if piped else said(tmp_path / name)
        assert what in error
        assert "expected a series: .npy (sequences, steps, features)" in error
        assert "iconv" not in error

    def test_is_asked_for_tokens_where_the_model_takes_them(self, run, tmp_path):
        (tmp_path / "x.txt").write_bytes(FILES["SQLite"][0])
        model = save(tmp_path / "model.pt", weights())
        error = run("predict", model, tmp_path / "x.txt", "--ids").stderr
        assert "is a database of SQLite; expected tokens: .txt with a sequence a line" in error

    def test_an_archive_without_arrays(self, said, tmp_path):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("notes.txt", "hello")
        error = said(tmp_path / "x.zip")
        assert "is a zip archive without arrays; expected a series: .npy (sequences, " in error

    def test_what_has_an_input_in_it_is_told_how_to_give_it(self, said, tmp_path):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("my series.csv", "a,b")
        assert f"unzip -p {tmp_path / 'x.zip'} 'my series.csv' | lrp" in said(tmp_path / "x.zip")
        (tmp_path / "x.pkl").write_bytes(b"\x80\x04cpandas.core.frame\nDataFrame\n)\x81}b.")
        assert "; write the data frame by df.to_parquet" in said(tmp_path / "x.pkl")
        (tmp_path / "x.xlsx").write_bytes(FILES["Excel"][0])
        assert said(tmp_path / "x.xlsx").endswith("; save its sheet as CSV\n")

    @pytest.mark.parametrize("name", ["x.json", "x.jsonl", "-"])
    def test_an_array_of_json_is_no_lines(self, said, tmp_path, name):
        content = b'[\n {"values": [[1.0, 2.0]]}\n]'
        (tmp_path / name).write_bytes(content)
        error = said("-", input=content) if name == "-" else said(tmp_path / name)
        assert "is one JSON array of objects; expected JSON lines" in error

    def test_bytes_that_are_no_text_are_not_to_be_converted(self, said, tmp_path):
        (tmp_path / "x.csv").write_bytes(b"\x89PNG\r" + bytes(9))
        error = said(tmp_path / "x.csv")
        assert "byte 1 (0x89) is not UTF-8; there are null bytes too, so it is no text" in error
        for encoding, name in (("utf-16", "utf-16"), ("latin1", "latin1"), ("cp1252", "cp1252")):
            column = "“a”" if encoding == "cp1252" else "é"
            (tmp_path / "x.csv").write_bytes(f"sequence,step,{column}\n".encode(encoding))
            assert f"iconv -f {name} -t utf-8" in said(tmp_path / "x.csv")

    def test_models_and_workbooks(self, said, model, tmp_path):
        assert "model.pt: is a PyTorch file; expected a series" in said(model)
        (tmp_path / "x.xlsx").write_bytes(FILES["Excel"][0])
        assert "is an Excel workbook; expected a series" in said(tmp_path / "x.xlsx")

    @pytest.mark.parametrize(
        ("name", "form"), [("x.csv", "npy"), ("x.npz", "npy"), ("x.h5", "npy")]
    )
    def test_an_array_under_another_name(self, said, tmp_path, name, form):
        (tmp_path / name).write_bytes(npy(SERIES))
        assert f"is a .{form} file by what is in it; call it so" in said(tmp_path / name)

    def test_arrays_of_other_names_are_asked_about_if_several_fit(self, said, tmp_path):
        np.savez(tmp_path / "a.npz", X_test=SERIES, X_train=SERIES)
        assert (
            "a.npz: holds X_test (2, 5, 3), X_train (2, 5, 3), any of which may be the sequences; "
            "name one: --array X_test"
        ) in said(tmp_path / "a.npz")
        np.savez(tmp_path / "b.npz", one=SERIES[..., :2], other=SERIES[..., :2])
        assert "holds one (2, 5, 2), other (2, 5, 2); expected one array" in said(
            tmp_path / "b.npz"
        )
        with h5py.File(tmp_path / "c.h5", "w") as file:
            file["train/X"] = file["test/X"] = SERIES
        assert "/X (2, 5, 3), any of which may be the sequences; name one: --array t" in said(
            tmp_path / "c.h5"
        )
        with h5py.File(tmp_path / "d.h5", "w") as file:
            file["df/block0_values"] = np.ones((3, 2))
            file["df"].attrs["pandas_type"] = "frame"
        assert "is a table that pandas wrote (to_hdf, `df`); write its" in said(tmp_path / "d.h5")

    @pytest.mark.parametrize(
        ("shape", "hint"),
        [
            ((2, 3, 5), "has shape (2, 3, 5); .*: if its features stand before its steps"),
            ((2, 5, 3, 1), "expected (sequences, steps, 3), or (steps, 3) of one sequence"),
            ((5,), "has shape (5); expected (sequences, steps, 3)"),
            ((), "has shape (); expected (sequences, steps, 3)"),
        ],
    )
    def test_arrays_of_other_shapes(self, said, tmp_path, shape, hint):
        np.save(tmp_path / "x.npy", np.ones(shape))
        error = said(tmp_path / "x.npy")
        for part in hint.split(".*"):
            assert part in error

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("form", ["npy", "x.npz", "npz", "x.h5", "h5", "csv", "jsonl"])
    def test_what_is_no_number_is_named_by_series_step_and_feature(
        self, said, tmp_path, form, value
    ):
        series = np.concatenate([SERIES, SERIES])
        series[2, 3, 1] = value
        path = tmp_path / f"in.{form}"
        named = {f"s{k}": each for k, each in enumerate(series)}
        if form == "npy":
            np.save(path, series)
        elif form in ("x.npz", "npz"):
            np.savez(path, **({"x": series} if form == "x.npz" else named))
        elif form in ("x.h5", "h5"):
            with h5py.File(path, "w") as file:
                for name, array in ({"x": series} if form == "x.h5" else named).items():
                    file[name] = array
        elif form == "csv":
            rows = [
                f"s{k},{step},{','.join(map(str, row))}\n"
                for k, each in enumerate(series)
                for step, row in enumerate(each.tolist())
            ]
            path.write_text("sequence,step,feature_0,feature_1,feature_2\n" + "".join(rows))
        else:  # as Python's json writes what JSON does not have
            lines = [json.dumps({"values": each}) for each in series.tolist()]
            path.write_text("\n".join(lines))
        error = said(path)
        assert {"npy": "sequence 2", "x.npz": "x: sequence 2", "x.h5": "x: sequence 2"}.get(
            form, {"csv": "sequence s2, step 3", "jsonl": "line 3"}.get(form, "s2")
        ) in error
        assert "step 3" in error
        assert "feature_1" in error
        assert str(value) in error
        assert "expected" in error

    def test_what_float32_cannot_hold_is_said_so(self, said, tmp_path):
        series = SERIES.copy()
        series[1, 0, 2] = 1e300
        np.save(tmp_path / "x.npy", series)
        assert (
            "sequence 1: feature `feature_2` is 1e+300 at step 0, which float32 cannot hold"
        ) in said(tmp_path / "x.npy", "--dtype", "float32")


class TestOtherFiles:
    """Files of other formats where text is expected beside a model, and results."""

    def test_a_mapping_and_a_vocabulary(self, run, tmp_path):
        model = save(tmp_path / "m.pt", weights())
        (tmp_path / "words.pkl").write_bytes(pickle.dumps(OrderedDict(a=1)))
        result = run("inspect", model, "--mapping", tmp_path / "words.pkl")
        assert result.exit_code == 3
        assert "words.pkl: is a bare pickle of `collections.OrderedDict`" in result.stderr
        assert "expected a short YAML mapping" in result.stderr
        (tmp_path / "m.yaml").write_text("vocabulary: words.pkl\n")
        result = run("inspect", model)
        assert result.exit_code == 3
        assert "words.pkl: holds ids up to 1, the embedding has" in result.stderr

    @pytest.mark.parametrize("command", ["summarize", "compare"])
    def test_results(self, run, tmp_path, command):
        (tmp_path / "m.tflite").write_bytes(FILES["tar"][0])
        (tmp_path / "r.jsonl").write_text("{}")
        others = [tmp_path / "r.jsonl"] if command == "compare" else []
        result = run(command, tmp_path / "m.tflite", *others)
        assert result.exit_code == 3
        assert (
            "m.tflite: is a tar archive; expected what `lrp explain` writes as JSON"
        ) in result.stderr

    def test_results_as_npz(self, run, small):
        """They are read nowhere but as scores to compare with."""
        text = small.write("in.txt", "the film is not bad\nbad film\n")
        model, results = small.save(), small.folder / "r.npz"
        assert run("explain", model, text, "-o", results).exit_code == 0
        (small.folder / "r.jsonl").write_text(
            run("explain", model, text, "--format", "jsonl").stdout
        )
        for command in (
            ("compare", small.folder / "r.jsonl", results),
            ("compare", results, small.folder / "r.jsonl"),
            ("summarize", results),
            ("predict", results, text),
            ("inspect", results),
            ("convert", results, small.folder / "c.npz"),
            ("predict", model, results),
        ):
            result = run(*command)
            assert result.exit_code == 3, command
            assert "r.npz: is what `lrp explain` writes as NPZ; expected " in result.stderr
        result = run("check", model, text, "--expected", results)
        assert result.exit_code == 0, result.output
