"""`.pt2` of torch.export.save: what torch computes of a module, lrp computes of the file alone."""

import warnings

import numpy as np
import pytest

import lstm_lrp_cli as lrp

torch = pytest.importorskip("torch")

from torch_modules import MODULES, inputs_of, made  # noqa: E402
from torch_scripts import SCRIPTS, STEPS, given, written  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def exported(module, inputs, path, **settings):
    torch.export.save(torch.export.export(module, tuple(inputs), **settings), path)
    return path


def scores(path, inputs, batch_axis=0):
    """What lrp makes of each sequence of a batch."""
    model = lrp.load(path)
    arrays = [np.moveaxis(each.numpy(), batch_axis, 0) for each in inputs]
    given = (
        arrays[0] if len(arrays) == 1 else [dict(zip(model.inputs, row)) for row in zip(*arrays)]
    )
    return model, np.stack([each.scores for each in lrp.predict(model, list(given))])


def before_the_end(module, inputs):
    """What torch computes before a softmax or sigmoid at the end, which lrp's scores stand before."""
    with torch.no_grad():
        return module(*inputs)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_needs_no_mapping(name, tmp_path):
    module, inputs = made(name), inputs_of(name)
    model, found = scores(exported(module, [inputs], tmp_path / "model.pt2"), [inputs])
    with torch.no_grad():
        expected = module(inputs).numpy()
    if name == "two-lstms":
        assert model.heads[0].activation == "sigmoid"
        found = 1 / (1 + np.exp(-found))
    assert np.abs(found - expected).max() < 1e-10


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_forward_is_followed_however_it_is_written(name, tmp_path):
    module, inputs = written(name), given(name, 3)
    path = exported(module, inputs, tmp_path / "model.pt2")
    model, found = scores(path, inputs, batch_axis=int(name == "time first"))
    with torch.no_grad():
        expected = module(*inputs)
    assert found is not None, (model, expected)
