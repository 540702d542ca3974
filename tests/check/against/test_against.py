"""`lrp check --against`, with a framework made up for it; tests/frameworks has the real ones."""

import json
import sys

import msgspec
import numpy as np
import pytest
from models import KERAS, PYTORCH

from lstm_lrp_cli.check.against import FRAMEWORKS, open_framework, torch
from lstm_lrp_cli.check.against.framework import Framework
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.forward import Given, Runner, outputs
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model

TEXT = "not bad\nthe film is bad\nbad\n"


class Fake:
    """A framework that computes what the engine does, but for what a test makes wrong."""

    def __init__(self) -> None:
        self.dtype = "float64"
        self.gives = "scores"
        self.masks = False
        self.change = lambda scores: scores
        self.given: list[np.ndarray] = []

    def open(self, loaded):
        model = loaded.model

        def run(inputs):
            self.given.append(inputs)
            n, steps = inputs.shape[:2]
            packing = Packing(np.full(n, steps))
            ids = packing.pack(inputs.reshape(n * steps, -1)[:, 0])
            given = Given(ids, packing, model.only_input.embedding)
            scores = Runner(model).forward([given]).scores
            if self.gives == "probabilities":
                scores = outputs(model, scores)
            if model.by_step:
                scores = scores[packing.by_sequence].reshape(n, steps, -1)
            return self.change(scores)

        return Framework("fake 1.2", np.dtype(self.dtype), self.gives, self.masks, run)


@pytest.fixture
def fake(monkeypatch):
    fake = Fake()
    monkeypatch.setattr(torch, "open_torch", fake.open)
    return fake


@pytest.fixture
def check(run, small, fake):
    def check(*options, text=TEXT):
        path = small.write("in.txt", text)
        return run("check", small.save(), path, "--against", "torch", *options)

    return check


def forward_check(result):
    document = json.loads(result.stdout)
    return next(each for each in document["checks"] if each["name"] == "forward")


def test_the_table_and_the_json_say_which_version_ran(check):
    result = check()
    assert result.exit_code == 0
    assert "scores of fake 1.2 in float64" in result.stdout
    document = json.loads(check("--format", "json").stdout)
    assert document["against"] == "fake 1.2 in float64"
    assert "fake 1.2" in forward_check(check("--format", "json"))["meaning"]


def test_scores_that_differ_fail(check, fake):
    fake.change = lambda scores: scores + 1e-9
    result = check("--format", "json")
    assert result.exit_code == 1
    assert forward_check(result)["worst"] == pytest.approx(1e-9, rel=1e-3)


@pytest.mark.parametrize(
    ("theirs", "ours", "allowed"),
    [
        ("float64", "float64", 1e-10),
        ("float32", "float64", 1e-5),
        ("float64", "float32", 1e-5),
        ("float32", "float32", 1e-5),
    ],
)
def test_the_tolerance_is_that_of_the_lower_precision(check, fake, theirs, ours, allowed):
    fake.dtype = theirs
    options = ("--dtype", ours, "--format", "json")
    assert forward_check(check(*options))["tolerance"] == allowed
    assert forward_check(check(*options, "--tolerance", 0.5))["tolerance"] == 0.5


def test_probabilities_are_compared_with_probabilities(check, fake, small):
    small.dense["activation"] = "softmax"
    fake.gives = "probabilities"
    result = check("--format", "json")
    assert result.exit_code == 0
    assert (
        forward_check(result)["meaning"] == "probabilities = probabilities of fake 1.2 in float64"
    )


def test_logarithms_of_probabilities_are_compared_as_such(check, fake, small):
    small.dense["activation"] = "softmax"
    fake.gives = "probabilities"
    fake.change = np.log
    result = check("--format", "json")
    assert result.exit_code == 0
    meaning = "log-probabilities = log-probabilities of fake 1.2 in float64"
    assert forward_check(result)["meaning"] == meaning
    fake.change = lambda likely: np.log(likely) - 0.01
    assert check().exit_code == 1


def test_sequences_are_run_in_groups_of_one_length_with_those_of_a_batch_alone(check, fake):
    lines = "".join("the film " * length + "\n" for length in (3, 1, 3, 2, 1))
    result = check("--format", "json", text=lines)
    assert forward_check(result)["compared"] == 5
    assert sorted(each.shape for each in fake.given) == [(1, 4), (2, 2), (2, 6)]


def test_a_long_corpus_is_run_window_by_window(run, fake, monkeypatch):
    from lstm_lrp_cli.explaining import windows as corpus

    monkeypatch.setattr(corpus, "BATCH_BYTES", 2**16)  # so that it has many windows
    result = run("check", KERAS.model, KERAS.sequences, "--against", "torch", "--format", "json")
    assert result.exit_code == 0
    assert forward_check(result)["compared"] == 100
    assert max(each.size for each in fake.given) < 512


def test_padding_is_given_as_the_model_is_trained_with_it(check, fake, small):
    small.mapping["padding"] = {"side": "post", "length": 4, "value": 2}
    assert check().exit_code == 0
    [given] = fake.given
    assert sorted(given.tolist()) == [[0, 1, 2, 4], [3, 4, 2, 2], [4, 2, 2, 2]]


def test_masked_steps_are_left_out_where_a_framework_has_no_mask(check, fake, small):
    small.mapping["padding"] = {"masked": True, "value": 3}
    assert check().exit_code == 0
    assert [each.tolist() for each in fake.given] == [[[0, 1, 2, 4]], [[4], [4]]]


def test_a_framework_that_masks_is_given_all_steps(check, fake, small):
    small.mapping["padding"] = {"masked": True, "value": 3, "length": 3}
    fake.masks = True
    check()  # it fails: this one does not mask
    assert [each.tolist() for each in fake.given] == [[[0, 1, 2, 4]], [[3, 3, 4], [3, 3, 4]]]


class TestScoresAtEveryStep:
    @pytest.fixture(autouse=True)
    def by_step(self, small):
        small.lstm["returns"] = "sequence"

    def test_all_are_compared(self, check, fake):
        assert check().exit_code == 0
        fake.change = lambda scores: scores + np.array([0.0, 0.0, 1e-3])
        assert check().exit_code == 1

    def test_padding_and_masked_steps_are_not(self, check, fake, small):
        small.mapping["padding"] = {"side": "pre", "length": 6}
        assert check().exit_code == 0
        small.mapping["padding"] = {"masked": True, "value": 3}
        assert check().exit_code == 0


def test_sequences_without_steps_are_not_run_and_it_says_so(check):
    result = check("--format", "json", text=TEXT + "\n\n")
    assert result.exit_code == 0
    assert forward_check(result)["compared"] == 3
    assert "fake 1.2 in float64 was not run on 2 sequences without steps" in result.stderr


def test_without_input_random_sequences_are_run(run, fake):
    result = run("check", PYTORCH.model, "--against", "torch", "--format", "json")
    assert result.exit_code == 0
    assert forward_check(result)["compared"] == 64
    assert "not compared" not in result.stderr


class TestErrors:
    @pytest.mark.parametrize("name", FRAMEWORKS)
    def test_a_framework_that_is_not_installed(self, monkeypatch, name):
        """It is named with the command that installs it, before anything else is done."""
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setenv("KERAS_BACKEND", "torch")  # one is chosen where none is
        loaded = load_model(KERAS.model, None, np.dtype(np.float64))
        form = {"onnxruntime": "ONNX", "torch": "PyTorch"}.get(name, "HDF5")
        contents = msgspec.structs.replace(loaded.contents, format=form)
        with pytest.raises(UnusableInput) as raised:
            open_framework(name, msgspec.structs.replace(loaded, contents=contents))
        assert str(raised.value).startswith(
            f"--against {name}: needs {name}, which is not installed: python -m pip install {name}"
        )

    def test_the_command_says_so(self, run, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        monkeypatch.setenv("KERAS_BACKEND", "torch")  # which is set for the process
        result = run("check", KERAS.model, KERAS.sequences, "--against", "tensorflow")
        assert result.exit_code == 3
        assert result.stderr.startswith("lrp: --against tensorflow: needs tensorflow, which is not")

    @pytest.mark.parametrize("name", FRAMEWORKS)
    def test_a_file_of_another_format(self, run, monkeypatch, name):
        """It is refused, whether or not the framework is there: nothing would be checked."""
        monkeypatch.setitem(sys.modules, name, None)
        result = run("check", PYTORCH.model, PYTORCH.sequences, "--against", name)
        assert result.exit_code == 3
        assert result.stderr.startswith(f"lrp: --against {name}: {PYTORCH.model} is NPZ, which ")
        assert "would agree, whatever it says" in result.stderr
        assert "compare by --expected scores.npy:" in result.stderr
        assert result.stderr.splitlines()[-1].startswith('numpy.save("scores.npy", ')

    def test_what_runs_the_file_is_named(self, run):
        result = run("check", KERAS.model, KERAS.sequences, "--against", "torch")
        assert "(a whole Keras model is run by --against keras)" in result.stderr

    def test_both_ways_to_compare(self, run):
        options = ("--against", "torch", "--expected", KERAS.expected)
        result = run("check", KERAS.model, KERAS.sequences, *options)
        assert result.exit_code == 2
        assert "--expected and --against exclude each other" in result.stderr

    def test_a_framework_that_is_not_known(self, run):
        result = run("check", KERAS.model, KERAS.sequences, "--against", "theano")
        assert result.exit_code == 2
        assert "torch" in result.stderr

    def test_what_a_framework_raises(self, check, fake):
        def fail(scores):
            raise ZeroDivisionError("too\nmany lines")

        fake.change = fail
        result = check()
        assert result.exit_code == 3
        assert result.stderr == (
            "lrp: fake 1.2: does not run input of shape (1, 4): ZeroDivisionError: too\n"
        )

    def test_numbers_of_another_shape(self, check, fake):
        fake.change = lambda scores: scores[:, :2]
        result = check()
        assert result.exit_code == 3
        assert "gives numbers of shape (1, 2), lrp (1, 3)" in result.stderr
