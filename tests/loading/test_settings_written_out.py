"""Settings that are no arrays are written out with a model, whatever kind of number they are."""

import numpy as np
import pytest

from lstm_lrp_cli.loading.convert import WRITERS, convert
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.written import commented
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Attention,
    Dense,
    Layer,
    Node,
    Normalize,
    Pool,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell

FLOAT64 = np.dtype(np.float64)


@pytest.fixture
def again(tmp_path):
    """A layer behind an LSTM of every step, written out with it and read back."""

    def again(layer: Layer, sources: int = 1) -> Layer:
        rng = np.random.default_rng(1)
        cell = LstmCell(rng.random((4, 2, 3)), rng.random((4, 2, 2)), np.zeros((4, 2)))
        nodes = (
            Node(Lstm((cell,), returns="sequence"), (MODEL_INPUT,)),
            Node(layer, (0,) * sources),
            Node(Pool("last"), (1,)),
            Node(Dense(np.eye(2), None), (2,)),
        )
        model = Model(nodes, (3,), (Head(2),), FLOAT64, (Input(3),))
        found = convert(model, "plain")
        with (tmp_path / "plain.npz").open("wb") as file:
            WRITERS["npz"](file, found.arrays)
        (tmp_path / "plain.yaml").write_text(commented("A model.", found.document, {}), "utf-8")
        return load_model(tmp_path / "plain.npz", None, FLOAT64).model.nodes[1].layer

    return again


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize("padding", ["same", (0, 0), (4, 0), (1, 2)])
@pytest.mark.parametrize("stride", [1, 3])
def test_windows_with_gaps_keep_them(again, kind, padding, stride):
    layer = WindowPool(kind, Window(3, stride, 2, padding), counts_padding=kind == "mean")
    assert again(layer) == layer


def test_numbers_of_numpy_are_numbers(again):
    """As a model made in Python has them: 1 / np.sqrt(units) is no float of Python's."""
    scale = 1 / np.sqrt(2.0)
    assert again(Attention(scale=scale), sources=3).scale == scale
    epsilon, ones = np.float64(1e-7), np.ones(2)
    for groups in (None, 2):
        assert again(Normalize(ones, ones, epsilon, groups)).epsilon == epsilon
