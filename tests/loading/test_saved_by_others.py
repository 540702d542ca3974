"""What fastai and Lightning save, by their own hand: see golden/torch/write.py."""

import json

import numpy as np
import pytest
from models import TESTS

GOLDEN = TESTS / "golden" / "torch"


@pytest.fixture
def checked(run, tmp_path):
    """Compare a file's scores with those of its framework."""
    expected = json.loads((GOLDEN / "expected.json").read_text())

    def check(name, *options):
        of_framework = expected[name.split("_")[0].split(".")[0]]
        inputs = of_framework.get("ids") or of_framework["series"]
        np.save(tmp_path / "x.npy", np.array(inputs))
        np.save(tmp_path / "y.npy", np.array(of_framework["scores"]))
        return run(
            *("check", GOLDEN / name, tmp_path / "x.npy", "--expected", tmp_path / "y.npy"),
            *("--tolerance", "1e-10", "--dtype", "float64", *options),
        )

    return check


@pytest.mark.parametrize("name", ["fastai_exported.pkl", "lightning.ckpt", "lightning_whole.pt"])
def test_loads_as_it_is(checked, name):
    result = checked(name)
    assert result.exit_code == 0, result.output


def test_an_exported_learner_leaves_nothing_open(checked):
    """LSTMs in a row, three ways of pooling, what stands between: fastai's code is known."""
    told = [line for line in checked("fastai_exported.pkl").stderr.splitlines() if "layers" in line]
    assert told == []


def test_a_saved_learner_says_what_a_state_dict_says(run, checked, tmp_path):
    """It asks; and its names are those of the exported one, dropout's copies apart."""
    result = checked("fastai_saved.pth")
    assert result.exit_code == 3
    assert "`1.layers.0.2.weight` takes 18 features, the LSTM gives 6" in result.stderr
    assert "encoder_dp" not in result.stderr
    written = tmp_path / "m.yaml"
    run("inspect", GOLDEN / "fastai_exported.pkl", "--write-mapping", written)
    result = checked("fastai_saved.pth", "--mapping", written)
    assert result.exit_code == 0, result.output


def test_the_weights_of_classes_in_a_loss_are_no_layer(checked):
    result = checked("lightning.ckpt")
    assert "criterion" not in result.stderr
