"""The plain contextual decomposition of windows, gated units and attention, by hand."""

from typing import Any

import numpy as np
import pytest
from by_hand import SUM, adding, column, conv, graph
from made_models import make_model
from numpy.testing import assert_allclose
from plain_decomposition import Parts, decompose, decompose_entry

from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    LeakyRelu,
    Merge,
    Node,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Reverse,
    Select,
    UnitNorm,
    UnitSum,
    Upsample,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.model import Input, Model
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell


def assert_parts(parts: Parts, relevant: Any, irrelevant: Any) -> None:
    assert_allclose(parts.relevant, relevant, rtol=0, atol=1e-12)
    assert_allclose(parts.irrelevant, irrelevant, rtol=0, atol=1e-12)


def series(*numbers: float) -> Any:
    return np.array(column(*numbers), dtype=float)


def counted(*layers: Any, size: int = 1) -> Model:
    """A cell behind some layers that sees nothing of them, and counts their steps by its bias."""
    return make_model(*layers, adding(0.0, 1.0), classes=1, size=size)


class TestRelevantSteps:
    """How many of the steps that a cell reads are relevant as wholes, and how many are not."""

    @staticmethod
    def counts(model: Model, steps: int, *positions: int) -> tuple[float, float]:
        parts = decompose(model, series(*range(1, steps + 1)), positions)
        return float(parts.relevant[0]), float(parts.irrelevant[0])

    def test_of_a_window_any_step_is_enough(self) -> None:
        model = counted(conv(1.0, 1.0))
        assert [self.counts(model, 3, t) for t in range(3)] == [(1, 1), (2, 0), (1, 1)]
        model = counted(WindowPool("max", Window(2, 2)))
        assert [self.counts(model, 4, t) for t in range(4)] == [(1, 1)] * 4

    def test_padding_is_never_relevant(self) -> None:
        model = counted(conv(1.0, padding=(2, 0)))
        assert self.counts(model, 1, 0) == (1, 2)
        assert self.counts(counted(Pad(1, 2)), 2, 0, 1) == (2, 3)
        # of 0 x x 0 0, the first step alone
        assert self.counts(counted(Pad(1, 2), Crop(0, 4)), 2, 0, 1) == (0, 1)

    def test_of_steps_that_are_copied_left_out_or_turned_round(self) -> None:
        assert self.counts(counted(Upsample(3)), 2, 1) == (3, 3)
        assert self.counts(counted(Crop(1, 0)), 3, 0) == (0, 2)
        assert self.counts(counted(Crop(1, 0)), 3, 1) == (1, 1)
        assert self.counts(counted(Reverse(), Crop(1, 0)), 3, 2) == (0, 2)

    def test_steps_that_are_made_of_a_vector_are_not(self) -> None:
        assert self.counts(counted(SUM, Repeat(3)), 2, 0, 1) == (0, 3)

    def test_in_a_graph_for_each_they_are_its_own(self) -> None:
        cell = adding(0.0, 1.0)
        inside = Each((Node(cell, (MODEL_INPUT,)),), 0, steps=2)
        assert self.counts(make_model(inside, SUM, classes=1), 4, 1, 2) == (2, 2)
        of_vectors = Each((Node(SUM, (MODEL_INPUT,)),), 0, steps=2)
        assert self.counts(counted(of_vectors), 4, 1, 2) == (0, 2)
        of_steps = Each((Node(Upsample(2), (MODEL_INPUT,)),), 0, steps=2)
        assert self.counts(counted(of_steps), 4, 1, 2) == (4, 4)

    def test_of_attention_they_are_the_querys(self) -> None:
        inputs = (Input(1), Input(1))
        model = graph((Attention(), (-2, -1, -1)), (adding(0.0, 1.0), (0,)), inputs=inputs)
        given = series(1, 2, 3), series(1, 2)
        assert_parts(decompose(model, given, [0, 1, 2]), [0], [2])
        assert_parts(decompose(model, given, [0], of_input=1), [1], [1])


class TestWindows:
    def test_a_convolution_has_its_bias_in_the_rest(self) -> None:
        model = make_model(conv(1.0, 10.0, bias=5.0), SUM, classes=1)
        assert_parts(decompose(model, series(1, 2, 3), [1]), [22], [1 + 30 + 10])

    def test_a_mean_is_of_both_parts(self) -> None:
        model = make_model(WindowPool("mean", Window(2, padding=(1, 0))), SUM, classes=1)
        assert_parts(decompose(model, series(2, 4), [0]), [3], [2])

    def test_the_largest_keeps_its_parts(self) -> None:
        model = make_model(WindowPool("max", Window(2, padding=(1, 0))), SUM, classes=1)
        assert_parts(decompose(model, series(2, 4, 4), [1]), [8], [2])


class TestUnits:
    def test_normalization_divides_both_parts_by_the_deviation_of_the_whole(self) -> None:
        layer = Normalize(np.array([2.0, 4.0]), np.array([1.0, -1.0]), epsilon=3.0)
        model = make_model(layer, SUM, classes=2)
        # of (1, 3), whose mean is 2 and deviation 2: 3 alone is (-1.5, 1.5), 1 alone (0.5, -0.5)
        parts = decompose_entry(model, np.array([[1.0, 3.0]]), 0, 1)
        assert_parts(parts, [-1.5, 3], [0.5 + 1, -1 - 1])

    def test_a_norm_is_that_of_the_whole(self) -> None:
        model = make_model(UnitNorm(), UnitSum(), SUM, classes=1, size=2)
        assert_parts(decompose_entry(model, np.array([[3.0, 4.0]]), 0, 1), [0.8], [0.6])

    def test_a_leak_is_an_activation(self) -> None:
        model = make_model(SUM, LeakyRelu(np.array([0.5])), classes=1)
        # 2 alone gives 2, after -3 it gives 1; -3 alone gives -1.5, after 2 it gives -2.5
        assert_parts(decompose(model, series(2, -3), [0]), [1.5], [-2])

    def test_merges(self) -> None:
        nodes = (Pool("first"), (MODEL_INPUT,)), (Pool("last"), (MODEL_INPUT,))
        difference = graph(*nodes, (Merge("difference"), (0, 1)))
        assert_parts(decompose(difference, series(5, 3), [1]), [-3], [5])
        largest = graph(*nodes, (Merge("max"), (0, 1)))
        assert_parts(decompose(largest, series(5, 3), [1]), [0], [5])
        assert_parts(decompose(largest, series(5, 5), [0]), [5], [0])


class TestRecurrent:
    def test_without_gates_the_bias_is_relevant_where_the_step_is(self) -> None:
        model = make_model(adding(1.0, 1.0), classes=1)
        assert_parts(decompose(model, series(1, 2), [0]), [2], [3])
        assert_parts(decompose(model, series(1, 2), [1]), [3], [2])
        assert_parts(decompose_entry(model, series(1, 2), 1, 0), [2], [3])

    @pytest.mark.parametrize("reset_after", [True, False])
    def test_the_gates_of_a_gru_are_whole(self, reset_after: bool) -> None:
        """z = 0.2 x + 0.5 and r = 0.5, n = x + 1 + 0.5 (h + 1), or + 0.5 h."""
        cell = GruCell(
            input=np.array([0.0, 1.0, 1.0]).reshape(3, 1, 1),
            recurrent=np.array([0.0, 0.0, 1.0]).reshape(3, 1, 1),
            bias=np.array([0.0, 0.0, 1.0]).reshape(3, 1),
            recurrent_bias=np.ones(1) if reset_after else None,
            reset_after=reset_after,
        )
        layer = Gru((cell,), gate_activation="hard_sigmoid", activation="linear")
        model = make_model(layer, classes=1)
        bias = 1.5 if reset_after else 1.0
        # z = 0.7 and 0.9
        first = 0.3 * (1 + bias)
        by_first, by_second = (0.9 + 0.1 * 0.5) * first, 0.1 * (2 + bias)
        assert_parts(decompose(model, series(1, 2), [0]), [by_first], [by_second])
        assert_parts(decompose(model, series(1, 2), [1]), [by_second], [by_first])
        of_number = (0.9 + 0.1 * 0.5) * 0.3
        rest = by_first + by_second - of_number
        assert_parts(decompose_entry(model, series(1, 2), 0, 0), [of_number], [rest])

    def test_states_are_irrelevant_unless_a_node_gives_them(self) -> None:
        inputs = (Input(1), Input(1, steps=False))
        model = graph((adding(10.0), (-1, -2)), inputs=inputs)
        given = series(1, 2), np.array([7.0])
        assert_parts(decompose(model, given, [0]), [10], [27])
        assert_parts(decompose(model, given, [0], of_input=1), [7], [30])
        assert_parts(decompose_entry(model, given, 0, 0, of_input=1), [7], [30])

    def test_cell_states_have_their_own_parts(self) -> None:
        """c adds up g = x, h is c / 2."""
        weights = np.array([0.0, 0.0, 1.0, 0.0]).reshape(4, 1, 1)
        bias = np.array([2.5, 2.5, 0.0, 0.0]).reshape(4, 1)
        cell = LstmCell(weights, np.zeros((4, 1, 1)), bias)
        lstm = Lstm((cell,), "sum", "last", "hard_sigmoid", "linear", gives_cell=True)
        model = make_model(lstm, classes=2)
        assert_parts(decompose(model, series(1, 2), [1]), [1, 2], [0.5, 1])


def test_attention_weights_are_whole() -> None:
    inputs = (Input(1, steps=False), Input(1))
    key = Dense(np.array([[1.0]]), None)
    value = Dense(np.array([[4.0]]), np.array([1.0]))
    layer = Attention(scale=np.log(3.0))
    model = graph((key, (-2,)), (value, (-2,)), (layer, (-1, 1, 0)), inputs=inputs)
    given = np.array([1.0]), series(1, 2)  # weights of 1/4 and 3/4, of values 4 + 1 and 8 + 1
    assert_parts(decompose(model, given, [0]), [0], [1 + 6 + 1])
    assert_parts(decompose(model, given, [0], of_input=1), [1], [6 + 1])
    assert_parts(decompose(model, given, [1], of_input=1), [6], [1 + 1])


def test_each_of_the_sequences_is_parted_by_itself() -> None:
    nodes = (Node(Pool("max"), (MODEL_INPUT,)),)
    model = make_model(Each(nodes, 0, steps=2), SUM, classes=1)
    assert_parts(decompose(model, series(1, 2, 4, 3), [0, 2, 3]), [4], [2])


def test_groups_of_a_convolution_stay_apart() -> None:
    layer = Convolution(np.array([[[2.0]], [[3.0]]]), None, Window(1), groups=2)
    model = make_model(layer, SUM, Select(1, 2), classes=1, size=2)
    assert_parts(decompose_entry(model, np.array([[5.0, 7.0]]), 0, 0), [0], [21])
    assert_parts(decompose_entry(model, np.array([[5.0, 7.0]]), 0, 1), [21], [0])
