"""Whatever a file calls its parts, messages are lines of printable text that end in the mend."""

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_files import cell, matrix, save, save_safetensors, weights

from lstm_lrp_cli.terminal.text import LONGEST_MESSAGE, LONGEST_NAME, legible

GOLDEN = Path(__file__).parents[1] / "golden"
CLEAR = "\x1b[2J\x1b]0;owned\x07"
NAMES = {
    "escapes": f"a{CLEAR}b",
    "C1 controls": "a\x9b2Jb\x85c\x7f",
    "line ends": "a\nlrp: all is well\rb\u2028c\x0bd",
    "turned round": "a\u202eb\u2066c",
    "long": "n" * 100_000,
    "long, of words": "no end " * 20_000,
    "long and of escapes": CLEAR * 10_000,
    "quotes": "a`b" * 5_000,
}


def clean(text, lines=None):
    """Whether a text is safe on a terminal: printable, and not long."""
    shown = text.split("\n")
    assert all(line.isprintable() for line in shown), [line for line in shown if line]
    assert max(map(len, shown)) <= LONGEST_MESSAGE + len("Error: ")
    if lines is not None:
        assert len(text.splitlines()) == lines
    return text


@pytest.fixture
def error(run):
    """What is said where lrp stops, in one line."""

    def call(*arguments, status=3, lines=1, **settings):
        result = run(*arguments, **settings)
        assert result.exit_code == status, result.output
        return clean(result.stderr, lines)

    return call


@pytest.fixture(params=NAMES.values(), ids=NAMES)
def name(request):
    return request.param


class TestModels:
    def test_a_dataset_that_is_not_understood(self, error, tmp_path, name):
        path = save(tmp_path / "m.pt", weights() | {f"{name}.weight_g": matrix(3)})
        assert "save it as m.yaml:\n" in error("predict", path, path, lines=None)

    def test_a_dataset_of_a_gru(self, error, tmp_path, name):
        path = save(tmp_path / "m.pt", cell(name, 3, 2, gates=3))
        message = error("predict", path, path, lines=None)
        assert "there is no linear layer behind the GRU" in message
        assert "save it as m.yaml:\n" in message

    def test_datasets_that_are_listed(self, error, tmp_path, name):
        path = tmp_path / "m.npz"
        with zipfile.ZipFile(path, "w") as archive:
            for k in range(9):
                with archive.open(f"{k}{name[:60_000]}.npy".replace("\x00", ""), "w") as file:
                    np.lib.format.write_array(file, matrix(2))
        error("predict", path, path)

    def test_a_class_in_a_pickle(self, error, tmp_path, name):
        module = name.replace("\n", "").encode("utf-8")
        with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
            archive.writestr("m/data.pkl", b"\x80\x02c" + module + b"\nNet\n)\x81.")
        assert "save `model.state_dict()`" in error("predict", tmp_path / "m.pt", tmp_path)
        (tmp_path / "m.pkl").write_bytes(b"\x80\x02c" + module[:3000] + b"\nNet\n)\x81.")
        assert "which is never executed; load it" in error("predict", tmp_path / "m.pkl", tmp_path)

    def test_a_tensor_of_safetensors(self, error, tmp_path, name):
        path = tmp_path / "m.safetensors"
        save_safetensors(path, {name: matrix(2, 2)})
        path.write_bytes(path.read_bytes()[:-4])
        assert "copy or save it again" in error("predict", path, path)

    def test_a_layer_of_keras(self, error, tmp_path, name):
        document = {
            "class_name": "Sequential",
            "config": {"layers": [{"class_name": "Mine", "config": {"name": name}}]},
        }
        # Only the latest version of the format has attributes of more than 64 KiB.
        with h5py.File(tmp_path / "m.h5", "w", libver="latest") as file:
            file.attrs["model_config"] = json.dumps(document)
            file.create_group("model_weights")
        found = error("predict", tmp_path / "m.h5", tmp_path)
        assert "docs/mapping.md has the kinds" in found

    def test_a_folder_and_text(self, error, tmp_path, name):
        (tmp_path / "m").write_text(name)
        error("inspect", tmp_path / "m")

    def test_labels(self, run, tmp_path, name):
        """They are shown by the report, and by the error that lists them."""
        labels = {"labels": [f"{k}{name}" for k in range(3)]}
        path = save(tmp_path / "m.pt", weights(), lambda state: {"state_dict": state} | labels)
        (tmp_path / "ids.txt").write_text("1 2 3\n")
        wrong = run("explain", path, tmp_path / "ids.txt", "--ids", "--target", "zzz")
        assert wrong.exit_code == 2
        clean(wrong.stderr)
        assert all(
            line.isprintable()
            for line in run("predict", path, tmp_path / "ids.txt", "--ids").stderr.split("\n")
        )

    def test_a_document_of_json_holds_the_name_and_no_control(self, run, tmp_path, name):
        path = save(tmp_path / "m.pt", {name: matrix(2, 2)})
        result = run("inspect", path, "--format", "json")
        assert set(json.loads(result.stdout)["datasets"]) == {name}
        assert not any(c in result.stdout for c in "\x1b\x07\x7f\x85\x9b")


def test_inputs_of_a_model(run, tmp_path):
    """Whose names stand in what `inspect` shows."""
    data = (GOLDEN / "tflite" / "heads.tflite").read_bytes()
    path = tmp_path / "m.tflite"
    path.write_bytes(data.replace(b"serving_default_ids", b"serving\x1b[31m\x00a[b]ds"))
    shown = run("inspect", path).stdout
    assert "[b]ds" in shown
    clean(shown.translate(str.maketrans("", "", "\u2500")))


class TestInput:
    def test_columns_and_sequences(self, error, tmp_path, name):
        path = save(tmp_path / "m.pt", cell("lstm.", 1, 2) | {"fc.weight": matrix(2, 2)})
        told = json.dumps(name[:9_000])[1:-1].replace('"', "")
        (tmp_path / "in.csv").write_text(f'sequence,step,"{told}"\n"{told}",0,"nan"\n')
        assert "expected a finite number" in error("predict", path, tmp_path / "in.csv")

    def test_features_of_json_lines(self, error, tmp_path, name):
        path = save(tmp_path / "m.pt", cell("lstm.", 1, 2) | {"fc.weight": matrix(2, 2)})
        line = {"values": [[1.0, 2.0]], "features": [name, f"{name}1"]}
        (tmp_path / "in.jsonl").write_text(json.dumps(line))
        assert "the model takes 1" in error("predict", path, tmp_path / "in.jsonl")


class TestArguments:
    @pytest.mark.parametrize("name", [NAMES["escapes"], NAMES["line ends"], NAMES["turned round"]])
    def test_names_of_files(self, error, run, tmp_path, name):
        folder = tmp_path / name
        folder.mkdir()
        error("inspect", folder)
        error("inspect", folder / "none")
        path = save(folder / "m.pt", weights())
        clean(run("inspect", path).stdout.translate(str.maketrans("", "", "\u2500")))
        error("predict", path, folder / "none.txt")
        (folder / "ids.txt").write_text("1 2 3\n")
        report = run("predict", path, folder / "ids.txt", "--ids")
        assert report.exit_code == 0
        clean(report.stderr)
        converted = run("convert", path, folder / "out.npz")
        assert converted.exit_code == 0, converted.stderr
        clean(converted.stderr)

    def test_options_and_commands(self, error, tmp_path, name):
        name = name[:50_000]
        error(name, status=2, lines=None)
        error(f"--{name}", status=2, lines=None)
        error("inspect", f"--{name}", status=2, lines=None)
        error("predict", "--dtype", name, tmp_path, tmp_path, status=2, lines=None)


@settings(max_examples=300, deadline=None)
@given(st.text(), st.text(max_size=50), st.text(max_size=2000))
def test_a_message_is_printable_short_and_keeps_its_ends(name, place, more):
    message = f"m.h5: {place}: layer `{name * 50}` {more}: it is so; save the file again"
    shown = legible(message)
    assert shown.isprintable() or {"\u200c", "\u200d"} & set(shown)
    assert len(shown) <= LONGEST_MESSAGE
    assert shown.startswith("m.h5: ")
    assert shown.endswith(": it is so; save the file again")


def test_what_is_short_is_shown_as_it_is():
    for text in (
        "m.h5: layer `a b`: is no layer",
        "x" * (LONGEST_NAME - 1),
        "film \u201egut\u201c",
    ):
        assert legible(text) == text
