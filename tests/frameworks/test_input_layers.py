"""Layers that belong to an input, as Keras runs them: what makes ids of text, and what scales."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from installed import spec_of

import lstm_lrp_cli as lrp
from lstm_lrp_cli.inputs.batching import prepare
from lstm_lrp_cli.loading.load import load_model

PROGRAM = Path(__file__).parents[1] / "support" / "keras_inputs.py"
SERIES = [
    *("adapted", "settings", "one_for_all", "rescaled", "rescaled_each", "twice", "backwards"),
    *("still", "amid", "forecast", "beside", "masked", "both"),
]
GIVEN = {"still": "still.npz", "masked": "masked.npz", "both": "both.npz"}
TEXTS = [
    *("masked", "filled", "open", "open_unmasked", "more_rows", "characters", "in_settings"),
    *("standardize_lower", "standardize_strip_punctuation", "standardize_None"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What Keras saves of a family, in a folder."""
    folders = {}

    def save(family):
        if family not in folders:
            spec_of("keras")
            spec_of("tensorflow")
            folders[family] = tmp_path_factory.mktemp(family)
            program = (sys.executable, PROGRAM, family, folders[family])
            subprocess.run(program, check=True, capture_output=True)
        return folders[family]

    return save


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", SERIES)
def test_numbers_that_are_scaled(run, saved, name, ending):
    folder = saved("series")
    model, given = folder / f"{name}{ending}", folder / GIVEN.get(name, "x.npz")
    found = run("check", model, given, "--expected", folder / f"{name}.npy", "--format", "json")
    assert found.exit_code == 0, found.stdout + found.stderr
    assert np.ptp(np.load(folder / f"{name}.npy")) > 1e-3
    # The table has the user's numbers, and relevance is that of what the first layer has.
    first = lrp.load(model).inputs[0]
    if name in ("amid", "beside"):
        assert first.own_scaling is None
        return
    values = np.load(given)["series" if name == "both" else "x"][0]
    [told, *_] = run("explain", model, given, "--format", "jsonl", "-q").stdout.splitlines()
    shown = json.loads(told)["values"]
    shown = shown["series"] if name == "both" else shown
    np.testing.assert_allclose(np.array(shown, dtype=float), values, rtol=1e-6)


@pytest.mark.parametrize("name", TEXTS)
def test_text_that_becomes_ids(run, saved, name):
    folder = saved("text")
    wanted = json.loads((folder / "ids.json").read_text("utf-8"))[name]
    for path in sorted(folder.glob(f"{name}.[kh]*")):
        model = load_model(path, None, np.dtype("float64")).model
        for sequence, ids in zip(lrp.read(folder / "texts.txt", model), wanted, strict=True):
            own = prepare([sequence.inputs], model.inputs[0]).inputs.tolist()
            assert own == (ids if name == "filled" else [number for number in ids if number])
        check = ("check", path, folder / "texts.txt", "--expected", folder / f"{name}.npy")
        found = run(*check)
        assert found.exit_code == 0, found.stdout + found.stderr
        assert ("it is assumed" in found.stderr) == (name == "open_unmasked")


@pytest.mark.parametrize("name", ["tokens", "unmasked_tokens"])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_tokens_that_become_ids(saved, name, ending):
    folder = saved("text")
    model = lrp.load(folder / f"{name}{ending}")
    expected, wanted = (
        np.load(folder / f"{name}.npy"),
        json.loads((folder / "ids.json").read_text()),
    )
    for row, cut in enumerate(np.load(folder / "cut.npy").tolist()):
        tokens = [token for token in cut if token]
        [found] = lrp.predict(model, [tokens])
        [sequence] = lrp.sequences([tokens], model)
        assert sequence.inputs.tolist() == wanted[name][row][: len(tokens)]
        if name == "tokens" or len(tokens) == len(cut):
            np.testing.assert_allclose(found.probabilities, expected[row], atol=1e-5)
