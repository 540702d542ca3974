"""`--target error`: an autoencoder explained, predicted and judged by its reconstruction error."""

import numpy as np
import pytest
from models import json_lines, table

FEATURES, HIDDEN, STEPS = 3, 4, 6
MAPPING = """\
format: 1
task: regression
layers:
  - lstm:
      gate_order: [i, f, g, o]
      layout: gates_by_features
      forward: {input: w, recurrent: u, bias: b}
      returns: sequence
  - dense: {weights: d, layout: classes_by_features, bias: null}
"""


class Autoencoder:
    """A model that gives back its input step by step, and two sequences that it was not given."""

    def __init__(self, folder):
        rng = np.random.default_rng(3)
        self.model, self.mapping = folder / "model.npz", folder / "model.yaml"
        weights = {"w": (4 * HIDDEN, FEATURES), "u": (4 * HIDDEN, HIDDEN), "b": (4 * HIDDEN,)}
        np.savez(
            self.model,
            **{name: rng.normal(size=shape) * 0.5 for name, shape in weights.items()},
            d=rng.normal(size=(FEATURES, HIDDEN)),
        )
        self.mapping.write_text(MAPPING)
        self.series = folder / "series.npy"
        self.values = rng.normal(size=(5, STEPS, FEATURES)) * 0.1
        self.values[2, 3, 1] = 6.0  # spoilt
        np.save(self.series, self.values)


@pytest.fixture
def autoencoder(tmp_path):
    return Autoencoder(tmp_path)


@pytest.fixture
def errors(run, autoencoder):
    """NumPy's own mean of squares, of the outputs that `lrp predict` gives without a target."""
    rows = table(run("predict", autoencoder.model, autoencoder.series, "-q").stdout)
    scores = [[float(row[f"score:{unit}"]) for unit in range(FEATURES)] for row in rows]
    outputs = np.array(scores).reshape(autoencoder.values.shape)
    return np.square(outputs - autoencoder.values).mean(axis=(1, 2))


def test_it_is_predicted(run, autoencoder, errors):
    result = run("predict", autoencoder.model, autoencoder.series, "--target", "error", "-q")
    rows = table(result.stdout)
    assert list(rows[0]) == ["sequence", "score:error"]
    np.testing.assert_allclose([float(row["score:error"]) for row in rows], errors, rtol=1e-12)


@pytest.mark.parametrize("jobs", [1, 2])
def test_it_is_explained(run, autoencoder, errors, jobs):
    options = ("--target", "error", "--format", "jsonl", "--eps", "1e-9", "--jobs", jobs, "-q")
    found = json_lines(run("explain", autoencoder.model, autoencoder.series, *options).stdout)
    assert {each["target"] for each in found} == {"error"}
    scores = [each["scores"][0] for each in found]
    np.testing.assert_allclose(scores, errors, rtol=1e-12)
    for each in found:
        shares = each["ledger"]
        assert abs(shares["residual"]) < 1e-12
    spoilt = np.abs(np.array(found[2]["relevance"]))
    assert np.unravel_index(spoilt.argmax(), spoilt.shape) == (3, 1)


def test_it_is_in_every_row_of_a_table(run, autoencoder):
    rows = table(run("explain", autoencoder.model, autoencoder.series, "--target", "error").stdout)
    assert len(rows) == 5 * STEPS * FEATURES
    assert {row["target"] for row in rows} == {"error"}


def test_methods_are_compared_by_it(run, autoencoder):
    """The scores of a model by step have no curves; its error has."""
    options = (autoencoder.model, autoencoder.series, "--min-length", 1, "--draws", 1)
    refused = run("evaluate", *options)
    assert refused.exit_code == 2
    judged = run("evaluate", *options, "--target", "error", "--methods", "lrp-all,random")
    assert judged.exit_code == 0, judged.output
    assert "5 sequences" in judged.stdout


def test_two_methods_are_set_side_by_side(run, autoencoder):
    options = ("--target", "error", "--methods", "lrp-all,occlusion")
    result = run("compare", autoencoder.model, "--input", autoencoder.series, *options)
    assert result.exit_code == 0, result.output
    assert "5 explanations compared" in result.stdout


def test_it_is_checked(run, autoencoder, errors, tmp_path):
    np.save(tmp_path / "errors.npy", errors[:, np.newaxis])
    options = (autoencoder.model, autoencoder.series, "--target", "error")
    assert run("check", *options, "--expected", tmp_path / "errors.npy").exit_code == 0
    np.save(tmp_path / "others.npy", errors[:, np.newaxis] + 0.1)
    assert run("check", *options, "--expected", tmp_path / "others.npy").exit_code == 1
    refused = run("check", *options, "--against", "torch")
    assert refused.exit_code == 2
    assert "no framework gives a reconstruction error" in refused.stderr


@pytest.mark.parametrize("command", ["explain", "predict", "evaluate", "check"])
def test_what_is_no_autoencoder_is_refused(run, autoencoder, command):
    autoencoder.mapping.write_text(MAPPING.replace("returns: sequence", "returns: last"))
    result = run(command, autoencoder.model, autoencoder.series, "--target", "error")
    assert result.exit_code == 2
    assert "gives 3 values a sequence for steps of 3 features" in result.stderr


def test_a_step_has_no_error_of_its_own(run, autoencoder):
    options = ("--target", "error", "--step", "last")
    result = run("explain", autoencoder.model, autoencoder.series, *options)
    assert result.exit_code == 2
    assert "one score a sequence" in result.stderr
