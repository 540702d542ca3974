"""Stateful layers run as Keras runs them, batch after batch, from states of zero on."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from installed import spec_of
from models import TESTS

BATCH, STEPS, FEATURES = 3, 4, 2
SIZES = (BATCH, STEPS, FEATURES)

pytestmark = pytest.mark.filterwarnings("ignore")


def alone(layers):
    return [layers.LSTM(5, stateful=True), layers.Dense(2)]


def stacked(layers):
    return [
        layers.LSTM(5, stateful=True, return_sequences=True),
        layers.LSTM(4, return_sequences=True),
        layers.LSTM(3, stateful=True),
        layers.Dense(2, activation="softmax"),
    ]


def bidirectional(layers):
    return [layers.Bidirectional(layers.LSTM(4, stateful=True)), layers.Dense(2)]


def bidirectional_steps(layers):
    inner = layers.LSTM(4, stateful=True, return_sequences=True)
    return [
        layers.Bidirectional(inner, merge_mode="sum"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(2),
    ]


def backwards(layers):
    return [layers.LSTM(4, stateful=True, go_backwards=True), layers.Dense(2)]


def by_step(layers):
    return [
        layers.LSTM(4, stateful=True, return_sequences=True),
        layers.TimeDistributed(layers.Dense(2)),
    ]


def masked(layers):
    return [
        layers.Masking(-1.0),
        layers.Bidirectional(layers.LSTM(4, stateful=True)),
        layers.Dense(2),
    ]


def masked_stack(layers):
    return [
        layers.Masking(-1.0),
        layers.LSTM(4, stateful=True, return_sequences=True),
        layers.LSTM(4, stateful=True),
        layers.Dense(2),
    ]


def gru(layers):
    return [layers.GRU(5, stateful=True), layers.Dense(2)]


def gru_before(layers):
    return [layers.GRU(5, stateful=True, reset_after=False), layers.Dense(2)]


def gru_bidirectional(layers):
    return [layers.Bidirectional(layers.GRU(4, stateful=True)), layers.Dense(2)]


def gru_backwards_steps(layers):
    return [
        layers.GRU(4, stateful=True, go_backwards=True, return_sequences=True),
        layers.TimeDistributed(layers.Dense(2)),
    ]


def simple(layers):
    return [layers.SimpleRNN(5, stateful=True), layers.Dense(2)]


def simple_relu_bidirectional(layers):
    inner = layers.SimpleRNN(4, stateful=True, activation="relu", return_sequences=True)
    return [
        layers.Bidirectional(inner, merge_mode="ave"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(2),
    ]


def mixed_stack(layers):
    return [
        layers.Conv1D(4, 2, padding="causal"),
        layers.GRU(5, stateful=True, return_sequences=True),
        layers.LSTM(4, stateful=True, return_sequences=True),
        layers.SimpleRNN(3, return_sequences=True),
        layers.SimpleRNN(3, stateful=True),
        layers.Dense(2, activation="softmax"),
    ]


def gru_masked(layers):
    return [
        layers.Masking(-1.0),
        layers.GRU(4, stateful=True, return_sequences=True),
        layers.SimpleRNN(4, stateful=True),
        layers.Dense(2),
    ]


BUILDS = [alone, stacked, bidirectional, bidirectional_steps, backwards, by_step]
BUILDS += [gru, gru_before, gru_bidirectional, gru_backwards_steps]
BUILDS += [simple, simple_relu_bidirectional, mixed_stack]
MASKED = [masked, masked_stack, gru_masked]


@pytest.fixture
def saved(framework, tmp_path):
    """A model of random weights that was saved, its input of four batches, and its outputs."""

    def saved(build, ending, *, mask=False):
        keras = framework("keras")
        keras.utils.set_random_seed(4)
        layers = build(keras.layers)
        net = keras.Sequential([keras.Input(batch_shape=SIZES), *layers])
        for variable in net.trainable_variables:
            variable.assign(np.random.default_rng(9).normal(scale=0.7, size=variable.shape))
        rng = np.random.default_rng(2)
        inputs = rng.normal(size=(4 * BATCH, STEPS, FEATURES)).astype(np.float32)
        if mask:
            inputs[rng.random((4 * BATCH, STEPS)) < 0.4] = -1.0
            inputs[5] = -1.0  # which leaves the states as they are
        path = tmp_path / f"model{ending}"
        net.save(path)
        scores = net.predict(inputs, batch_size=BATCH, verbose=0)
        np.save(tmp_path / "x.npy", inputs)
        np.save(tmp_path / "y.npy", scores)
        return path

    return saved


@pytest.fixture
def forward_check(run, tmp_path):
    """The forward check of a model, with more options."""

    def check(path, *options, input="x.npy", mapping=None):
        if mapping is not None:
            (tmp_path / "given.yaml").write_text(mapping)
            options = (*options, "--mapping", tmp_path / "given.yaml")
        result = run("check", path, tmp_path / input, "--format", "json", *options)
        assert result.exit_code in (0, 1), result.output
        *rest, found = json.loads(result.stdout)["checks"]
        assert all(each["passed"] for each in rest)
        return found

    return check


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("build", [*BUILDS, *MASKED])
def test_the_scores_are_those_that_keras_predicted(saved, forward_check, tmp_path, build, ending):
    path = saved(build, ending, mask=build in MASKED)
    scores = ("--expected", tmp_path / "y.npy")
    assert forward_check(path, *scores)["passed"]
    assert not forward_check(path, *scores, mapping="stateful: null\n")["passed"]
    assert not forward_check(path, *scores, mapping="stateful: 2\n")["passed"]


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("build", [*BUILDS, masked, gru_masked])
def test_keras_runs_what_the_file_says(saved, forward_check, build, ending):
    """A mapping that says otherwise fails, with states that begin anew or of another batch."""
    path = saved(build, ending, mask=build in MASKED)
    keras = ("--against", "keras")
    assert forward_check(path, *keras)["passed"]
    for mapping in ("stateful: null\n", "stateful: 2\n", "stateful: 5\n"):
        assert not forward_check(path, *keras, mapping=mapping)["passed"]


def test_a_last_batch_may_have_fewer_sequences(saved, forward_check, tmp_path):
    path = saved(alone, ".keras")
    np.save(tmp_path / "part.npy", np.load(tmp_path / "x.npy")[:10])
    found = forward_check(path, "--against", "keras", input="part.npy")
    assert found["passed"]
    assert found["compared"] == 10


def test_sequences_of_a_batch_may_differ_in_length(framework, forward_check, tmp_path):
    """Each goes on from where its own place in the batch was left."""
    keras = framework("keras")
    net = keras.Sequential([keras.Input(batch_shape=(BATCH, None, FEATURES)), *alone(keras.layers)])
    net.save(tmp_path / "model.keras")
    rng = np.random.default_rng(6)
    lines = [rng.normal(size=(n, FEATURES)).tolist() for n in (2, 5, 2, 1, 1, 7, 3, 2, 3, 4)]
    given = tmp_path / "in.jsonl"
    given.write_text("".join(json.dumps({"values": each}) + "\n" for each in lines))
    options = ("--against", "keras")
    found = forward_check(tmp_path / "model.keras", *options, input="in.jsonl")
    assert found["passed"]
    assert found["compared"] == len(lines)
    other = forward_check(
        tmp_path / "model.keras", *options, input="in.jsonl", mapping="stateful: null\n"
    )
    assert not other["passed"]


def test_the_states_that_keras_begins_with_are_not_those_of_another_run(saved, run, tmp_path):
    """Random sequences, of which a check has 64, in batches of 3."""
    path = saved(bidirectional, ".keras")
    for _ in range(2):
        assert run("check", path, "--against", "keras").exit_code == 0


def test_torchs_modules_carry_nothing(run, framework, tmp_path):
    """So they would fail where lrp is right."""
    torch = framework("torch")
    modules = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(3, 4), "fc": torch.nn.Linear(4, 2)})
    torch.save(modules.state_dict(), tmp_path / "model.pt")
    (tmp_path / "model.yaml").write_text("stateful: 2\n")
    result = run("check", tmp_path / "model.pt", "--against", "torch")
    assert result.exit_code == 3
    assert "begin every sequence anew, and the mapping says `stateful`" in result.stderr


@pytest.mark.parametrize(("mapping", "passed"), [("stateful: 3\n", True), ("stateful: 2\n", False)])
def test_in_tensorflow(saved, tmp_path, mapping, passed):
    """In a process of its own: Keras runs on one backend in each."""
    spec_of("tensorflow")
    path = saved(masked, ".keras", mask=True)
    (tmp_path / "model.yaml").write_text(mapping)
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    command = [sys.executable, "-m", "lstm_lrp_cli", "check", path, tmp_path / "x.npy"]
    result = subprocess.run(
        [*map(str, command), "--against", "tensorflow", "--format", "json"],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(TESTS.parent)},
        check=False,
    )
    assert result.returncode == (0 if passed else 1), result.stderr
    *_, found = json.loads(result.stdout)["checks"]
    assert found["passed"] is passed
    assert found["tolerance"] == 1e-10
    assert "stateful" not in result.stderr
