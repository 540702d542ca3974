"""The plain forward pass of each kind of layer, on numbers worked by hand."""

from typing import Any

import numpy as np
import pytest
from by_hand import adding, column, gru
from numpy.testing import assert_allclose
from plain_activations import activate
from plain_forward import forward
from plain_windows import places

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    Layer,
    LeakyRelu,
    Merge,
    Node,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Select,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell, RnnCell, SimpleRnn


def assert_gives(layer: Layer, *sources: Any, gives: Any) -> None:
    found = forward(layer, [np.array(source, dtype=float) for source in sources])
    assert found.shape == np.shape(gives)
    assert_allclose(found, gives, rtol=0, atol=1e-12)


class TestWindows:
    X = column(1.0, 2.0, 3.0)

    @staticmethod
    def convolution(bias: float | None = None, **window: Any) -> Convolution:
        weights = np.array([[[1.0, 10.0]]])
        return Convolution(weights, None if bias is None else np.array([bias]), Window(2, **window))

    def test_without_padding_every_window_is_full(self) -> None:
        assert_gives(self.convolution(bias=0.5), self.X, gives=column(21.5, 32.5))

    def test_causal_padding_is_before(self) -> None:
        assert_gives(self.convolution(padding=(1, 0)), self.X, gives=column(10, 21, 32))

    def test_of_same_padding_the_odd_one_is_behind(self) -> None:
        assert_gives(self.convolution(padding="same"), self.X, gives=column(21, 32, 3))

    def test_strides(self) -> None:
        assert_gives(self.convolution(stride=2), self.X, gives=column(21))
        assert_gives(self.convolution(stride=2, padding="same"), self.X, gives=column(21, 3))

    def test_same_padding_of_a_wide_stride_may_leave_steps_out(self) -> None:
        assert places(Window(1, 3, padding="same"), 5) == [[(0, 0)], [(0, 3)]]

    def test_dilation(self) -> None:
        assert_gives(self.convolution(dilation=2), self.X, gives=column(31))
        assert_gives(self.convolution(dilation=2, padding="same"), self.X, gives=column(20, 31, 2))

    def test_fewer_steps_than_the_window_give_none(self) -> None:
        assert_gives(self.convolution(), self.X[:1], gives=np.zeros((0, 1)))
        assert_gives(self.convolution(dilation=2, stride=3), self.X[:1], gives=np.zeros((0, 1)))
        assert_gives(self.convolution(padding="same"), np.zeros((0, 1)), gives=np.zeros((0, 1)))

    def test_groups_have_inputs_and_outputs_of_their_own(self) -> None:
        weights = np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1)
        layer = Convolution(weights, None, Window(1), groups=2)
        assert_gives(layer, [[10.0, 100.0]], gives=[[10.0, 20.0, 300.0, 400.0]])

    def test_a_mean_is_of_the_steps_there_are_or_of_all_places(self) -> None:
        window = Window(2, padding=(1, 0))
        assert_gives(WindowPool("mean", window), self.X, gives=column(1, 1.5, 2.5))
        counting = WindowPool("mean", window, counts_padding=True)
        assert_gives(counting, self.X, gives=column(0.5, 1.5, 2.5))

    def test_padding_is_never_the_largest(self) -> None:
        layer = WindowPool("max", Window(2, padding=(1, 1)))
        assert_gives(layer, column(-3.0, -4.0), gives=column(-3, -3, -4))

    @pytest.mark.parametrize("kind", ["mean", "max"])
    def test_a_window_without_steps_gives_0(self, kind: Any) -> None:
        layer = WindowPool(kind, Window(1, padding=(1, 0)))
        assert_gives(layer, column(5.0), gives=column(0, 5))

    def test_steps_copied_added_and_left_out(self) -> None:
        assert_gives(Upsample(2), column(1, 2), gives=column(1, 1, 2, 2))
        assert_gives(Pad(1, 2), column(7), gives=column(0, 7, 0, 0))
        assert_gives(Crop(1, 1), column(1, 2, 3, 4), gives=column(2, 3))
        assert_gives(Crop(2, 1), column(1, 2), gives=np.zeros((0, 1)))
        assert_gives(Crop(0, 1), column(1, 2), gives=column(1))


class TestShapes:
    def test_of_steps_and_units(self) -> None:
        assert_gives(Unflatten(2), [1, 2, 3, 4], gives=[[1, 2], [3, 4]])
        assert_gives(Repeat(3), [1, 2], gives=[[1, 2]] * 3)
        assert_gives(Transpose(2), [[1, 2, 3], [4, 5, 6]], gives=[[1, 4], [2, 5], [3, 6]])
        assert_gives(Select(1, 3), [[1, 2, 3, 4]], gives=[[2, 3]])
        assert_gives(Select(0, 1), [1, 2], gives=[1])


class TestUnits:
    def test_merges(self) -> None:
        assert_gives(Merge("difference"), [1, 5], [3, 2], gives=[-2, 3])
        assert_gives(Merge("max"), [1, 5], [3, 2], [2, 7], gives=[3, 7])

    def test_a_leak_is_of_each_unit_or_of_all(self) -> None:
        assert_gives(LeakyRelu(np.array([0.5])), [[-2, 2, 0]], gives=[[-1, 2, 0]])
        assert_gives(LeakyRelu(np.array([0.5, 0.25])), [-4, -4], gives=[-2, -1])

    def test_layer_normalization_is_of_the_units_of_a_step(self) -> None:
        layer = Normalize(np.array([2.0, 4.0]), np.array([1.0, -1.0]), epsilon=3.0)
        assert_gives(layer, [[1, 3], [13, 11]], gives=[[0, 1], [2, -3]])
        assert_gives(layer, [1, 3], gives=[0, 1])

    def test_group_normalization_is_of_all_steps_and_the_units_of_a_group(self) -> None:
        of_each = Normalize(np.ones(2), np.zeros(2), epsilon=3.0, groups=2)
        # unit 0: mean 2, variance 1; unit 1: mean 10, variance 6, and so on
        assert_gives(of_each, [[1, 10], [3, 10]], gives=[[-0.5, 0], [0.5, 0]])
        of_all = Normalize(np.ones(2), np.zeros(2), epsilon=4.0, groups=1)
        assert_gives(of_all, [[-2, 4], [0, 6]], gives=np.array([[-4, 2], [-2, 4]]) / 14**0.5)

    def test_a_norm_is_of_the_units_of_a_step_and_never_0(self) -> None:
        assert_gives(UnitNorm(), [[3, 4], [0, 0]], gives=[[0.6, 0.8], [0, 0]])
        assert_gives(UnitNorm(), [3e-9, 4e-9], gives=[3e-3, 4e-3])

    def test_a_sum_is_one_unit(self) -> None:
        assert_gives(UnitSum(), [[1, 2], [3, 4]], gives=[[3], [7]])
        assert_gives(UnitSum(), [1, 2], gives=[3])

    @pytest.mark.parametrize(
        ("kind", "at_1", "slope"),
        [("gelu", 0.8413447460685429, 1.0833154705876864), ("gelu_tanh", 0.841191990608276, None)],
    )
    def test_gelu(self, kind: str, at_1: float, slope: float | None) -> None:
        """Phi(1), and Phi(1) + phi(1)."""
        found = activate(kind, np.array([1.0 + 1e-30j, -1.0]))
        assert_allclose(found.real, [at_1, at_1 - 1.0], rtol=0, atol=1e-12)
        if slope is None:
            (plus, minus) = activate(kind, np.array([1.0 + 1e-6, 1.0 - 1e-6]))
            slope = (plus - minus) / 2e-6
        assert found[0].imag / 1e-30 == pytest.approx(slope, rel=1e-8)


class TestRecurrent:
    def test_a_gru_whose_reset_gate_comes_after_the_product(self) -> None:
        # n = 1 + 0.5 + 0.7 (3 * 2 + 1), and h = 0.3 * 2 + 0.7 n
        assert_gives(gru(reset_after=True), column(1), gives=[0.6 + 0.7 * 6.4])

    def test_a_gru_whose_reset_gate_comes_before_it(self) -> None:
        # n = 1 + 0.5 + 3 (0.7 * 2)
        assert_gives(gru(reset_after=False), column(1), gives=[0.6 + 0.7 * 5.7])

    def test_without_gates(self) -> None:
        assert_gives(adding(10.0, 1.0), column(1, 2), gives=[32])
        assert_gives(adding(10.0, 1.0, returns="sequence"), column(1, 2), gives=column(11, 32))

    def test_a_backward_cell_gives_its_states_in_the_order_of_the_input(self) -> None:
        forth = adding().cells[0]
        back = RnnCell(forth.input, forth.recurrent, forth.bias, backward=True)
        both = SimpleRnn((forth, back), returns="sequence", activation="linear")
        assert_gives(both, column(1, 2), gives=[[1, 3], [3, 2]])
        last = SimpleRnn((forth, back), merge="product", activation="linear")
        assert_gives(last, column(1, 2), gives=[9])

    def test_it_begins_in_the_states_that_a_node_gives(self) -> None:
        assert_gives(adding(), column(1, 2), [100], gives=[103])
        assert_gives(adding(), np.zeros((0, 1)), [100], gives=[100])
        # z = 0.5 - 0.1 * 4, r = 0.7, n = 1.5 + 0.7 (3 * 4 + 1)
        assert_gives(gru(reset_after=True), column(1), [4], gives=[0.1 * 4 + 0.9 * 10.6])

    def test_states_of_an_lstm_are_hidden_and_cell_by_cell(self) -> None:
        """Gates are open and see nothing, g is the hidden state: c = c + h, and h = c."""
        bias = np.array([2.5, 2.5, 0.0, 2.5]).reshape(4, 1)
        recurrent = np.array([0.0, 0.0, 1.0, 0.0]).reshape(4, 1, 1)
        cells = tuple(
            LstmCell(np.zeros((4, 1, 1)), recurrent, bias, backward=backward)
            for backward in (False, True)
        )
        layer = Lstm(
            cells,
            returns="sequence",
            gate_activation="hard_sigmoid",
            activation="linear",
            gives_cell=True,
        )
        assert layer.output_size == layer.state_size == 4
        # forwards h = c = 1 + 10, then 22; backwards 2 + 30, then 64, at the first step
        found = [[11, 64, 11, 64], [22, 32, 22, 32]]
        assert_gives(layer, column(0, 0), [1, 10, 2, 30], gives=found)
        last = Lstm(cells, "sum", "last", "hard_sigmoid", "linear", gives_cell=True)
        assert_gives(last, column(0, 0), [1, 10, 2, 30], gives=[22 + 64, 22, 64])
        assert_gives(last, np.zeros((0, 1)), [1, 10, 2, 30], gives=[1 + 2, 10, 30])


class TestAttention:
    KEYS = column(np.log(2.0), np.log(6.0))  # weights of 1 to 3

    def test_of_one_vector_as_query(self) -> None:
        assert_gives(Attention(), [1], [[8, 0], [4, 4]], self.KEYS, gives=[5, 3])
        assert_gives(Attention(scale=0.0), [1], [[8, 0], [4, 4]], self.KEYS, gives=[6, 2])

    def test_of_queries_at_steps(self) -> None:
        queries = column(0, 1, -1)
        assert_gives(Attention(), queries, column(8, 4), self.KEYS, gives=column(6, 5, 7))

    def test_a_causal_query_sees_what_is_no_later(self) -> None:
        causal = Attention(causal=True)
        gives = column(8, 5, 7)
        assert_gives(causal, column(0, 1, -1), column(8, 4), self.KEYS, gives=gives)
        assert_gives(causal, [1], column(8, 4), self.KEYS, gives=[5])

    def test_additive(self) -> None:
        keys = column(0.5, -0.25)
        weight = 1.0 / (1.0 + np.exp(2.0 * (np.tanh(0.25) - np.tanh(1.0))))
        expected = 8.0 * weight + 4.0 * (1.0 - weight)
        additive = Attention("additive", factors=np.array([2.0]))
        assert_gives(additive, [0.5], column(8, 4), keys, gives=[expected])
        plain = 1.0 / (1.0 + np.exp(np.tanh(0.25) - np.tanh(1.0)))
        expected = 8.0 * plain + 4.0 * (1.0 - plain)
        assert_gives(Attention("additive"), [0.5], column(8, 4), keys, gives=[expected])

    def test_heads_have_units_of_their_own(self) -> None:
        keys = np.array(self.KEYS) * [[1.0, -1.0]]
        values = [[8, 8, 1], [4, 4, 1]]
        two = Attention(heads=2)
        assert_gives(two, [1, 1], np.array(values)[:, :2], keys, gives=[5, 7])
        four = np.array([[8, 0, 8, 0], [4, 4, 4, 4]])
        assert_gives(two, [1, 1], four, keys, gives=[5, 3, 7, 1])

    @pytest.mark.parametrize("kind", ["dot", "additive"])
    def test_without_steps_there_is_nothing_to_see(self, kind: Any) -> None:
        none: Floats = np.zeros((0, 2))
        assert_gives(Attention(kind), [1, 1], none, none, gives=[0, 0])
        assert_gives(Attention(kind), [[1, 1]], none, none, gives=[[0, 0]])


class TestEach:
    def test_one_vector_of_each(self) -> None:
        each = Each((Node(Pool("sum"), (MODEL_INPUT,)),), 0, steps=2)
        assert_gives(each, column(1, 2, 3, 4), gives=column(3, 7))

    def test_steps_of_each(self) -> None:
        nodes = (Node(adding(returns="sequence"), (MODEL_INPUT,)), Node(Crop(0, 1), (0,)))
        assert_gives(Each(nodes, 0, steps=2), column(1, 2, 3, 4), gives=column(1, 3, 3, 7))
        assert_gives(Each(nodes, 1, steps=2), column(1, 2, 3, 4), gives=column(1, 3))

    def test_none_of_none(self) -> None:
        nodes = (Node(Pool("sum"), (MODEL_INPUT,)), Node(Dense(np.ones((3, 1)), None), (0,)))
        assert_gives(Each(nodes, 1, steps=2), np.zeros((0, 1)), gives=np.zeros((0, 3)))
