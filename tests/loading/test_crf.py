"""A CRF at the end of a tagger: its emissions are explained, and every command says so.

The packages that have such a layer beside Keras (`keras_contrib`, `tensorflow_addons`) run on no
version of Keras that is installed here. So their files are written by hand: settings and names of
weights are those of their own sources, `layers/crf.py` of both, in an .h5 as Keras 2 writes it. The
state dicts have the names of `torchcrf` (pytorch-crf) and AllenNLP.
"""

import json
import warnings

import h5py
import numpy as np
import pytest
import yaml
from models import json_lines

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.safetensors import write_safetensors

STEPS, FEATURES, UNITS, TAGS = 5, 3, 4, 3
RNG = np.random.default_rng(4)
CONTRIB = {
    "learn_mode": "join",
    "test_mode": "viterbi",
    "use_boundary": True,
    "use_bias": True,
    "sparse_target": True,
    "chain_initializer": {},
    "activation": "linear",
    "unroll": False,
}
ADDONS = {
    "use_boundary": True,
    "use_bias": True,
    "use_kernel": True,
    "chain_initializer": {},
    "activation": "linear",
}
TOLD = "its scores are the emissions of a CRF"


def matrix(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def lstm_layer():
    return layer(
        *("LSTM", "lstm"),
        units=UNITS,
        return_sequences=True,
        use_bias=True,
        go_backwards=False,
        activation="tanh",
        recurrent_activation="sigmoid",
        stateful=False,
        batch_input_shape=[None, None, FEATURES],
    )


LSTM = {
    "lstm/kernel:0": matrix(FEATURES, 4 * UNITS),
    "lstm/recurrent_kernel:0": matrix(UNITS, 4 * UNITS),
    "lstm/bias:0": matrix(4 * UNITS),
}


def write_h5(path, layers, weights, wiring=None):
    """A whole model as Keras 2 writes it: Sequential, or with the calls of a functional one."""
    body = {"name": "tagger", "layers": layers, **(wiring or {})}
    kind = "Functional" if wiring else "Sequential"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": kind, "config": body})
        file.attrs["keras_version"] = "2.11.0"
        file.attrs["backend"] = "tensorflow"
        group = file.create_group("model_weights")
        names = [each["config"]["name"] for each in layers]
        group.attrs["layer_names"] = [name.encode() for name in names]
        for name in names:
            own = {key: value for key, value in weights.items() if key.split("/")[0] == name}
            of_layer = group.create_group(name)
            of_layer.attrs["weight_names"] = [key.encode() for key in own]
            for key, value in own.items():
                of_layer[key] = value
    return path


def emissions(array, kernel, bias):
    """What a dense layer gives of every step of the LSTM, computed by hand."""
    kernel_, recurrent, offset = LSTM.values()
    hidden = cell = np.zeros(UNITS)
    found = []
    for step in array:
        gates = step @ kernel_ + hidden @ recurrent + offset
        i, f, c, o = np.split(gates, 4)
        i, f, o = (1 / (1 + np.exp(-each)) for each in (i, f, o))
        cell = f * cell + i * np.tanh(c)
        hidden = o * np.tanh(cell)
        found.append(hidden @ kernel + bias)
    return np.array(found)


def contrib(folder, **changes):
    """The sequential model of keras_contrib."""
    weights = {
        "crf_1/kernel:0": matrix(UNITS, TAGS),
        "crf_1/chain_kernel:0": matrix(TAGS, TAGS),
        "crf_1/bias:0": matrix(TAGS),
        "crf_1/left_boundary:0": matrix(TAGS),
        "crf_1/right_boundary:0": matrix(TAGS),
    }
    masking = layer("Masking", "masking", mask_value=0.0, batch_input_shape=[None, None, FEATURES])
    before = [masking] if changes.pop("masked", False) else []
    crf = layer("CRF", "crf_1", **{"units": TAGS, **CONTRIB, **changes})
    path = write_h5(folder / "contrib.h5", [*before, lstm_layer(), crf], LSTM | weights)
    return path, weights["crf_1/kernel:0"], weights["crf_1/bias:0"]


def addons(folder, outputs=(0,), behind=None, **changes):
    """The functional model of tensorflow_addons."""
    weights = {
        "crf/chain_kernel:0": matrix(TAGS, TAGS),
        "crf/left_boundary:0": matrix(TAGS),
        "crf/right_boundary:0": matrix(TAGS),
        "crf/dense/kernel:0": matrix(UNITS, TAGS),
        "crf/dense/bias:0": matrix(TAGS),
    }
    settings = {**ADDONS, **changes}
    if not settings["use_kernel"]:
        weights = dict(list(weights.items())[:3])
        weights |= {"dense/kernel:0": matrix(UNITS, TAGS), "dense/bias:0": matrix(TAGS)}
    entries = [
        layer("InputLayer", "in", batch_input_shape=[None, None, FEATURES]),
        lstm_layer(),
        layer("Dense", "dense", units=TAGS, activation="softmax", use_bias=True),
        layer("Addons>CRF", "crf", units=TAGS, **settings),
        *([behind] if behind else []),
    ]
    if settings["use_kernel"]:
        del entries[2]
    before = None
    for entry in entries:
        entry["name"] = entry["config"]["name"]
        entry["inbound_nodes"] = [[[before, 0, 0, {}]]] if before else []
        before = entry["name"]
    wiring = {
        "input_layers": [["in", 0, 0]],
        "output_layers": [[before, 0, number] for number in outputs],
    }
    path = write_h5(folder / "addons.h5", entries, LSTM | weights, wiring)
    own = "crf/dense" if settings["use_kernel"] else "dense"
    return path, weights[f"{own}/kernel:0"], weights[f"{own}/bias:0"]


def loaded(path, **options):
    with pytest.warns(UserWarning, match=TOLD) as told:
        model = lrp.load(path, **options)
    assert len(told) == 1 + ("truncate" in str(told[-1].message))  # nothing else is in doubt
    return model


def scores_of(model, array):
    [found] = lrp.predict(model, [array])
    return found.scores


def test_the_energies_of_keras_contrib_are_the_negatives_of_scores(tmp_path):
    """The least energy is the best, in its Viterbi decoding and its marginal probabilities."""
    path, kernel, bias = contrib(tmp_path)
    model, array = loaded(path), RNG.normal(size=(STEPS, FEATURES))
    energies = emissions(array, kernel, bias)
    np.testing.assert_allclose(scores_of(model, array), -energies, rtol=1e-10)
    assert model.by_step
    [found] = lrp.predict(model, [array])
    assert list(found.predicted) == energies.argmin(axis=1).tolist()


def test_masked_steps_have_no_emissions(tmp_path):
    path, kernel, bias = contrib(tmp_path, masked=True)
    array = RNG.normal(size=(STEPS, FEATURES))
    array[3:] = 0.0
    found = scores_of(loaded(path), array)
    np.testing.assert_allclose(found[:3], -emissions(array[:3], kernel, bias), rtol=1e-10)
    assert len(found) == 3 or np.isnan(found[3:]).all()


@pytest.mark.parametrize("outputs", [(0,), (1,), (0, 1, 2, 3)])
def test_the_dense_layer_inside_that_of_tensorflow_addons(tmp_path, outputs):
    path, kernel, bias = addons(tmp_path, outputs)
    model, array = loaded(path), RNG.normal(size=(STEPS, FEATURES))
    np.testing.assert_allclose(scores_of(model, array), emissions(array, kernel, bias), rtol=1e-10)


def test_emissions_that_another_layer_makes_are_taken_as_they_are(tmp_path):
    """Its softmax is no probability of tags, but what the CRF is given."""
    path, kernel, bias = addons(tmp_path, use_kernel=False)
    model, array = loaded(path), RNG.normal(size=(STEPS, FEATURES))
    powers = np.exp(emissions(array, kernel, bias))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores_of(model, array), expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "changes", "said"),
    [
        (contrib, {"activation": "relu"}, "has activation `relu`"),
        (addons, {"activation": "softmax"}, "has activation `softmax`"),
        (addons, {"behind": layer("Activation", "act", activation="tanh")}, "fed by the CRF `crf`"),
    ],
)
def test_what_would_be_no_emission_is_refused(tmp_path, make, changes, said):
    path, *_ = make(tmp_path, **changes)
    with pytest.raises(UnusableInput, match=said):
        lrp.load(path)


def test_a_crf_of_nobody_known_is_refused(tmp_path):
    """Its weights may mean anything, and its energies may have either sign."""
    crf = layer("CRF", "crf", units=TAGS, use_bias=True, activation="linear")
    weights = {"crf/kernel:0": matrix(UNITS, TAGS), "crf/bias:0": matrix(TAGS)}
    path = write_h5(tmp_path / "other.h5", [lstm_layer(), crf], LSTM | weights)
    with pytest.raises(UnusableInput, match="of neither keras_contrib nor tensorflow_addons"):
        lrp.load(path)


def test_weights_without_names_are_not_guessed(tmp_path):
    path, *_ = contrib(tmp_path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/crf_1"]
        names = [f"crf_1/vars/{number}".encode() for number in range(5)]
        for name, old in zip(names, group.attrs["weight_names"], strict=True):
            group[name.decode()] = group[old][()]
        group.attrs["weight_names"] = names
    with pytest.raises(UnusableInput, match="the file names no `kernel` of it"):
        lrp.load(path)


STATE = {
    "lstm.weight_ih_l0": matrix(4 * UNITS, FEATURES),
    "lstm.weight_hh_l0": matrix(4 * UNITS, UNITS),
    "lstm.bias_ih_l0": matrix(4 * UNITS),
    "lstm.bias_hh_l0": matrix(4 * UNITS),
    "fc.weight": matrix(TAGS, UNITS),
    "fc.bias": matrix(TAGS),
}
CRF = {
    "crf.start_transitions": matrix(TAGS),
    "crf.end_transitions": matrix(TAGS),
    "crf.transitions": matrix(TAGS, TAGS),
}


def write_state(folder, *parts):
    path = folder / "model.safetensors"
    with path.open("wb") as file:
        write_safetensors(file, {name: array for part in parts for name, array in part.items()})
    return path


@pytest.mark.parametrize(
    "crf",
    [
        CRF,
        {"transitions": matrix(TAGS, TAGS)},
        {**CRF, "crf._constraint_mask": matrix(TAGS + 2, TAGS + 2)},
    ],
    ids=["torchcrf", "transitions alone", "AllenNLP"],
)
@pytest.mark.parametrize("both", [False, True])
def test_a_state_dict_with_a_crf_tags_every_step(tmp_path, crf, both):
    """What the linear layer is given is no question any more."""
    state = dict(STATE)
    if both:
        state |= {f"{name}_reverse": each for name, each in STATE.items() if "_l0" in name}
        state["fc.weight"] = matrix(TAGS, 2 * UNITS)
    path = write_state(tmp_path, state, crf)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = lrp.load(path)
    texts = [str(each.message) for each in told]
    assert [text for text in texts if TOLD in text and all(name in text for name in crf)]
    assert any("is given every step's output" in text for text in texts)
    assert not any("weights that no layer uses" in text for text in texts)
    assert model.by_step
    assert model.classes == TAGS


def test_transitions_of_other_tags_are_asked_about(tmp_path):
    path = write_state(tmp_path, STATE, {"crf.transitions": matrix(TAGS + 2, TAGS + 2)})
    with pytest.raises(UnusableInput, match=r"nothing says what crf\.transitions are for"):
        lrp.load(path)


@pytest.mark.parametrize("command", ["explain", "predict", "check", "inspect"])
def test_every_command_tells_it(run, tmp_path, command):
    path, *_ = contrib(tmp_path)
    np.save(tmp_path / "in.npy", RNG.normal(size=(2, STEPS, FEATURES)))
    options = [] if command == "inspect" else [tmp_path / "in.npy"]
    if command in ("explain", "check"):
        options += ["--step", "last"]
    result = run(command, path, *options)
    assert result.exit_code == 0, result.stderr
    said = " ".join((result.stdout if command == "inspect" else result.stderr).split())
    assert TOLD in said
    assert "crf_1/chain_kernel" in said


def test_a_mapping_that_leaves_the_transitions_out_has_said_it(run, tmp_path):
    path = write_state(tmp_path, STATE, CRF)
    written = tmp_path / "written.yaml"
    result = run("inspect", path, "--write-mapping", written)
    assert result.exit_code == 0, result.stderr
    said = yaml.safe_load(written.read_text())
    assert said["unused"] == ["crf.transitions", "crf.start_transitions", "crf.end_transitions"]
    np.save(tmp_path / "in.npy", RNG.normal(size=(2, STEPS, FEATURES)))
    options = ("predict", path, tmp_path / "in.npy", "--format", "jsonl")
    told = run(*options)
    assert TOLD in told.stderr
    silent = run(*options, "--mapping", written)
    assert silent.exit_code == 0
    assert TOLD not in silent.stderr
    assert json_lines(silent.stdout) == json_lines(told.stdout)
    # Layers alone do not say it.
    del said["unused"]
    written.write_text(yaml.safe_dump(said))
    assert TOLD in run(*options, "--mapping", written).stderr


def test_negative_weights_are_written_out_and_converted(run, tmp_path):
    path, *_ = contrib(tmp_path)
    array = RNG.normal(size=(STEPS, FEATURES))
    expected = scores_of(loaded(path), array)
    written, copy = tmp_path / "written.yaml", tmp_path / "copy.safetensors"
    assert run("inspect", path, "--write-mapping", written).exit_code == 0
    assert "negative: true" in written.read_text()
    np.testing.assert_array_equal(scores_of(lrp.load(path, written), array), expected)
    assert run("convert", path, copy).exit_code == 0
    np.testing.assert_allclose(scores_of(lrp.load(copy), array), expected, rtol=1e-6)
