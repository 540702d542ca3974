"""The plain rules of layers with windows, normalization, gated units and attention, by hand."""

from typing import Any, get_args

import numpy as np
import pytest
from by_hand import SUM, adding, column, conv, graph, gru
from made_models import make_model
from numpy.testing import assert_allclose
from plain_gradient import derivative
from plain_lrp import Explanation, GateRule, explain

from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    Flatten,
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
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell


def explained(
    model: Model, sequence: Any, gates: GateRule = "lrp-all", delta: float = 0.0
) -> Explanation:
    """The only score without a stabilizer, so that shares are whole numbers."""
    as_given = (
        tuple(np.array(each, dtype=float) for each in sequence)
        if isinstance(sequence, tuple)
        else np.array(sequence, dtype=float)
    )
    return explain(model, as_given, 0, eps=0.0, bias_factor=delta, gates=gates)


def assert_shares(
    found: Explanation, relevance: Any, rest: dict[str, float] | None = None, score: Any = None
) -> None:
    of_inputs = found.relevance if isinstance(found.relevance, tuple) else (found.relevance,)
    expected = relevance if isinstance(relevance, tuple) else (relevance,)
    for each, numbers in zip(of_inputs, expected, strict=True):
        assert_allclose(each, numbers, rtol=0, atol=1e-12)
    for share in ("initial_state", "biases", "stabilizers", "padding"):
        assert getattr(found, share) == pytest.approx((rest or {}).get(share, 0.0), abs=1e-12)
    if score is not None:
        assert found.scores[0] == pytest.approx(score)


class TestWindows:
    def test_each_step_of_a_window_gets_its_term(self) -> None:
        # 21 + 32 of x = 1, 2, 3
        model = make_model(conv(1.0, 10.0), SUM, classes=1)
        assert_shares(explained(model, column(1, 2, 3)), column(1, 22, 30), score=53)

    def test_a_bias_is_shared_by_the_steps_that_there_are(self) -> None:
        model = make_model(conv(1.0, 10.0, bias=6.0, padding=(1, 0)), SUM, classes=1)
        # 10 x_0 + 6, and x_0 + 10 x_1 + 6
        assert_shares(explained(model, column(1, 2)), column(11, 20), {"biases": 12.0}, 43)
        assert_shares(explained(model, column(1, 2), delta=1.0), column(20, 23))

    def test_where_there_is_no_step_the_bias_keeps_all_whatever_delta_is(self) -> None:
        model = make_model(conv(1.0, bias=2.0, padding=(1, 0)), SUM, classes=1)
        assert_shares(explained(model, column(4), delta=1.0), column(6), {"biases": 2.0})

    def test_and_without_a_bias_the_stabilizer(self) -> None:
        after = Dense(np.ones((1, 1)), np.array([5.0]))
        model = make_model(conv(1.0, padding=(1, 0)), after, SUM, classes=1)
        found = explained(model, column(4), delta=1.0)
        assert_shares(found, column(9), {"stabilizers": 5.0}, 14)
        assert found.stabilizers_size == 5.0

    def test_groups_are_maps_of_their_own(self) -> None:
        layer = Convolution(np.ones((2, 1, 1)), np.array([2.0, 4.0]), Window(1), groups=2)
        model = make_model(layer, SUM, Dense(np.ones((1, 2)), None), classes=1)
        assert_shares(explained(model, [[10, 100]], delta=1.0), [[12, 104]])

    def test_means(self) -> None:
        window = Window(2, padding=(1, 0))
        model = make_model(WindowPool("mean", window), SUM, classes=1)
        assert_shares(explained(model, column(2, 4)), column(3, 2))
        counting = make_model(WindowPool("mean", window, True), SUM, classes=1)
        assert_shares(explained(counting, column(2, 4)), column(2, 2))

    def test_a_mean_has_one_share_for_all_units_of_its_steps(self) -> None:
        """Of units that are 0, the stabilizer has all, and delta gives it to two steps' units."""
        after = Dense(np.ones((1, 1)), np.array([8.0]))
        model = make_model(
            WindowPool("mean", Window(2)), Select(0, 1), after, SUM, classes=1, size=2
        )
        found = explained(model, [[0, 3], [0, 5]], delta=1.0)
        assert_shares(found, [[2, 2], [2, 2]], score=8)

    def test_the_largest_gets_all(self) -> None:
        model = make_model(WindowPool("max", Window(2, padding=(1, 1))), SUM, classes=1)
        assert_shares(explained(model, column(-3, -3, -4)), column(-6, -3, -4))

    @pytest.mark.parametrize("kind", ["mean", "max"])
    def test_without_a_step_a_pool_is_as_one_of_a_sequence_without_steps(self, kind: Any) -> None:
        after = Dense(np.ones((1, 1)), np.array([5.0]))
        layers = WindowPool(kind, Window(1, padding=(1, 0))), after, SUM
        found = explained(make_model(*layers, classes=1), column(4), delta=1.0)
        assert_shares(found, column(9), {"initial_state": 5.0})

    def test_added_steps_have_relevance_that_padding_absorbs(self) -> None:
        after = Dense(np.ones((1, 1)), np.array([2.0]))
        model = make_model(Pad(2, 1), after, SUM, classes=1)
        found = explained(model, column(3), delta=1.0)
        assert_shares(found, column(5), {"padding": 6.0}, 11)

    def test_copies_add_up_and_what_is_left_out_gets_none(self) -> None:
        model = make_model(Upsample(2), Crop(1, 0), SUM, classes=1)
        assert_shares(explained(model, column(1, 2)), column(1, 4))


class TestUnits:
    def test_layer_normalization_with_its_deviation_held_constant(self) -> None:
        # y_1 = 4 (x_1 - (x_0 + x_1) / 2) / 2 - 1
        layer = Normalize(np.array([2.0, 4.0]), np.array([1.0, -1.0]), epsilon=3.0)
        model = make_model(layer, Select(1, 2), SUM, classes=1)
        assert_shares(explained(model, [[1, 3]]), [[-1, 3]], {"biases": -1.0}, 1)
        assert_shares(explained(model, [[1, 3]], delta=1.0), [[-1.5, 2.5]])

    def test_a_norm_is_held_constant(self) -> None:
        model = make_model(UnitNorm(), UnitSum(), SUM, classes=1, size=2)
        assert_shares(explained(model, [[3, 4]]), [[0.6, 0.8]], score=1.4)

    def test_a_sum_shares_what_is_absorbed_by_its_units(self) -> None:
        after = Dense(np.ones((1, 1)), np.array([6.0]))
        model = make_model(UnitSum(), after, SUM, classes=1, size=2)
        assert_shares(explained(model, [[3, -3]], delta=1.0), [[3, 3]], score=6)

    def test_group_normalization_over_steps(self) -> None:
        # of unit 0, y_1 = (x_1 - (x_0 + x_1) / 2) / 2 + 1
        layer = Normalize(np.ones(2), np.ones(2), epsilon=3.0, groups=2)
        model = make_model(layer, Select(0, 1), Pool("last"), classes=1)
        assert_shares(
            explained(model, [[1, 7], [3, 9]]), [[-0.25, 0], [0.75, 0]], {"biases": 1.0}, 1.5
        )

    def test_merges(self) -> None:
        series = [[5.0, 3.0]]
        halves = [(SUM, (MODEL_INPUT,)), (Select(0, 1), (0,)), (Select(1, 2), (0,))]
        inputs = (Input(2),)
        difference = graph(*halves, (Merge("difference"), (1, 2)), inputs=inputs)
        assert_shares(explained(difference, series), [[5, -3]], score=2)
        largest = graph(*halves, (Merge("max"), (2, 1)), inputs=inputs)
        assert_shares(explained(largest, series), [[5, 0]], score=5)

    def test_a_difference_shares_what_is_absorbed_by_the_units_of_both(self) -> None:
        halves = [(SUM, (MODEL_INPUT,)), (Select(0, 1), (0,)), (Select(1, 2), (0,))]
        after = (Dense(np.ones((1, 1)), np.array([4.0])), (3,))
        model = graph(*halves, (Merge("difference"), (1, 2)), after, inputs=(Input(2),))
        assert_shares(explained(model, [[3.0, 3.0]], delta=1.0), [[2, 2]], score=4)

    def test_of_equal_ones_the_first_is_the_largest(self) -> None:
        model = graph(
            (Pool("first"), (MODEL_INPUT,)), (Pool("last"), (MODEL_INPUT,)), (Merge("max"), (1, 0))
        )
        assert_shares(explained(model, column(3, 3)), column(0, 3))

    def test_units_and_steps_that_change_places(self) -> None:
        model = make_model(Transpose(2), Pool("last"), Select(0, 1), classes=1, size=3)
        assert_shares(explained(model, [[1, 2, 3], [4, 5, 6]]), [[0, 0, 3], [0, 0, 0]])
        model = make_model(SUM, Unflatten(2), Pool("last"), Select(1, 2), classes=1, size=4)
        assert_shares(explained(model, [[1, 2, 3, 4]]), [[0, 0, 0, 4]])
        model = make_model(SUM, Repeat(3), SUM, classes=1)
        assert_shares(explained(model, column(5)), column(15))


class TestGru:
    """h = 0.3 * 2 + 0.7 n, of x = 1 after a state of 2, and r = 0.7."""

    def found(self, *, reset_after: bool, gates: GateRule) -> Explanation:
        return explained(make_model(gru(reset_after=reset_after), classes=1), column(1), gates)

    def test_signals_get_all_where_the_reset_gate_comes_after(self) -> None:
        # n = x + 0.5 + 0.7 (6 + 1): of 4.48, 0.7 for x, 0.35 for the bias, 3.43 for the product
        found = self.found(reset_after=True, gates="lrp-all")
        assert_shares(
            found, column(0.7), {"initial_state": 0.6 + 2.94, "biases": 0.35 + 0.49}, 5.08
        )

    def test_signals_get_all_where_it_comes_before(self) -> None:
        # n = x + 0.5 + 3 * 0.7 * 2
        found = self.found(reset_after=False, gates="lrp-all")
        assert_shares(found, column(0.7), {"initial_state": 0.6 + 2.94, "biases": 0.35}, 4.59)

    def test_half_to_the_gates(self) -> None:
        # z gets 0.3 and 2.24, which its state has; r gets 0.8575, which its input has
        found = self.found(reset_after=True, gates="lrp-half")
        state = 0.3 + 2.54 + 0.735
        shares = {"initial_state": state, "biases": 0.175 + 0.1225}
        assert_shares(found, column(0.35 + 0.8575), shares, 5.08)
        found = self.found(reset_after=False, gates="lrp-half")
        # of 1.995: x 0.35, the bias 0.175, the product 1.47
        shares = {"initial_state": 0.3 + 0.3 + 1.995 + 0.735, "biases": 0.175}
        assert_shares(found, column(0.35 + 0.735), shares, 4.59)

    def test_by_size_to_the_gates_of_which_one_is_1_less_z(self) -> None:
        # z * h' is 0.3 to 2, (1 - z) * n is 0.7 to 5.7, r * h' is 0.7 to 2
        found = self.found(reset_after=False, gates="lrp-abs")
        of_n = 3.99 * 5.7 / 6.4
        product = of_n * 4.2 / 5.7
        state = 0.6 + 3.99 * 0.7 / 6.4 + product * 2 / 2.7
        x = of_n / 5.7 + product * 0.7 / 2.7
        assert_shares(found, column(x), {"initial_state": state, "biases": of_n * 0.5 / 5.7}, 4.59)


class TestStates:
    def test_what_a_node_gives_as_states_has_its_relevance(self) -> None:
        # the encoder ends in 1 + 2, and the decoder adds 10 and 20
        model = graph((adding(), (MODEL_INPUT,)), (adding(10.0), (MODEL_INPUT, 0)))
        assert_shares(explained(model, column(1, 2)), column(11, 22), score=33)

    def test_without_steps_the_states_are_what_it_gives(self) -> None:
        after = Dense(np.ones((1, 1)), np.array([5.0]))
        inputs = (Input(1), Input(1, steps=False))
        model = graph((adding(), (-1, -2)), (after, (0,)), inputs=inputs)
        found = explained(model, (np.zeros((0, 1)), [3.0]), delta=1.0)
        assert_shares(found, (np.zeros((0, 1)), [8.0]), score=8)

    @pytest.mark.parametrize("returns", ["last", "sequence"])
    def test_of_cell_states_beside_hidden_ones_each_has_its_own(self, returns: Any) -> None:
        """h is o times c, of c = 3, and the first two units are the hidden ones."""
        weights = np.array([0.0, 0.0, 1.0, 0.0]).reshape(4, 1, 1)
        bias = np.array([2.5, 2.5, 0.0, 0.0]).reshape(4, 1)
        cells = tuple(
            LstmCell(weights, np.zeros((4, 1, 1)), bias, backward=backward)
            for backward in (False, True)
        )
        lstm = Lstm(cells, "concat", returns, "hard_sigmoid", "linear", gives_cell=True)
        factors = np.array([[1.0, 10.0, 100.0, 1000.0]])
        layers = (lstm, *([Pool("sum")] if returns == "sequence" else []), Dense(factors, None))
        found = explained(make_model(*layers, classes=1), column(3))
        assert_shares(found, column(3 * (0.5 + 5 + 100 + 1000)), score=3316.5)


class TestAttention:
    """Weights of 1/4 and 3/4 of values 8 and 4."""

    INPUTS = (Input(1, name="q", steps=False), Input(1, name="v"), Input(1, name="k"))
    KEYS = column(np.log(2.0), np.log(6.0))

    def found(
        self, gates: GateRule, layer: Attention | None = None, keys: Any = None
    ) -> Explanation:
        model = graph((layer or Attention(), (-1, -2, -3)), inputs=self.INPUTS)
        sequence = ([1.0], column(8, 4), self.KEYS if keys is None else keys)
        return explained(model, sequence, gates)

    def test_values_get_all(self) -> None:
        assert_shares(self.found("lrp-all"), ([0], column(2, 3), column(0, 0)), score=5)

    def test_half_to_the_weights_and_of_these_half_to_query_and_key(self) -> None:
        expected = ([1.25], column(1, 1.5), column(0.5, 0.75))
        assert_shares(self.found("lrp-half"), expected)

    def test_of_a_sum_in_additive_attention_each_gets_its_part(self) -> None:
        keys = column(1.0, -0.5)
        found = self.found("lrp-half", Attention("additive"), keys)
        weight = 1.0 / (1.0 + np.exp(np.tanh(0.5) - np.tanh(2.0)))
        first, second = 8.0 * weight / 2, 4.0 * (1.0 - weight) / 2
        expected = ([first / 2 + 2 * second], column(first, second), column(first / 2, -second))
        assert_shares(found, expected)

    def test_what_is_absorbed_is_shared_by_all_products_of_a_head(self) -> None:
        """Values that are 0 leave all to the stabilizer: a quarter for each of two times two."""
        after = Dense(np.array([[1.0, 0.0]]), np.array([4.0]))
        inputs = (Input(2, steps=False), Input(2), Input(2))
        model = graph((Attention(), (-1, -2, -3)), (after, (0,)), inputs=inputs)
        nothing = [[0, 1], [0, 1]]
        found = explained(model, ([1, 0], nothing, nothing), delta=1.0)
        assert found.scores.tolist() == [4.0]
        # the bias goes to the two units of the output, 2 each
        # of the first's 2 each product gets 2 / 4, beside the second's own terms
        expected = ([0, 0], [[1 / 2, 3 / 2], [1 / 2, 3 / 2]], np.zeros((2, 2)))
        assert_shares(found, expected)

    def test_where_nothing_is_seen_relevance_goes_to_the_initial_state(self) -> None:
        after = Dense(np.ones((1, 1)), np.array([5.0]))
        model = graph((Attention(), (-1, -2, -3)), (after, (0,)), inputs=self.INPUTS)
        none = np.zeros((0, 1))
        found = explained(model, ([1.0], none, none), delta=1.0)
        assert_shares(found, ([0.0], none, none), {"initial_state": 5.0})

    def test_a_causal_query_gives_to_what_it_saw(self) -> None:
        layer = Attention(scale=0.0, causal=True)  # equal weights
        model = graph((layer, (-1, -1, -1)), (Pool("first"), (0,)))
        assert_shares(explained(model, column(3, 5)), column(3, 0))
        model = graph((layer, (-1, -1, -1)), (SUM, (0,)))
        assert_shares(explained(model, column(3, 5)), column(3 + 1.5, 2.5))


class TestGraphs:
    def test_each_of_the_sequences_has_its_own(self) -> None:
        nodes = (Node(Pool("max"), (MODEL_INPUT,)),)
        model = make_model(Each(nodes, 0, steps=2), SUM, classes=1)
        assert_shares(explained(model, column(1, 2, 4, 3)), column(0, 2, 4, 0), score=6)

    def test_what_is_absorbed_inside_is_in_the_account(self) -> None:
        nodes = (
            Node(Pad(1, 0), (MODEL_INPUT,)),
            Node(Dense(np.ones((1, 1)), np.array([2.0])), (0,)),
        )
        model = make_model(Each(nodes, 1, steps=1), SUM, classes=1)
        assert_shares(explained(model, column(3, 4)), column(3, 4), {"biases": 8.0}, 15)
        found = explained(model, column(3, 4), delta=1.0)
        assert_shares(found, column(5, 6), {"padding": 4.0})

    def test_a_layer_that_two_nodes_have_is_two_maps(self) -> None:
        shared = Dense(np.array([[2.0]]), np.array([1.0]))
        inputs = (Input(1), Input(1))
        model = graph(
            (SUM, (-1,)),
            (SUM, (-2,)),
            (shared, (0,)),
            (shared, (1,)),
            (Merge("difference"), (2, 3)),
            inputs=inputs,
        )
        found = explained(model, (column(5), column(1, 1)))
        assert_shares(found, (column(10), column(-2, -2)), {"biases": 0.0}, 6)


@pytest.mark.parametrize("seed", range(10))
def test_without_biases_and_stabilizer_it_is_gradient_times_input(seed: int) -> None:
    """Of what is linear piece by piece (Ancona et al. 2018), whose derivative is found elsewise."""
    rng = np.random.default_rng(seed)
    nodes = (
        Node(Convolution(rng.normal(size=(4, 1, 3)), None, Window(3, padding="same"), 2), (-1,)),
        Node(LeakyRelu(rng.uniform(0.1, 0.9, size=4)), (0,)),
        Node(WindowPool("max", Window(2, 2, padding=(1, 1))), (1,)),
        Node(Upsample(2), (2,)),
        Node(Convolution(rng.normal(size=(3, 4, 2)), None, Window(2, dilation=2)), (3,)),
        Node(WindowPool("mean", Window(2, padding=(1, 0)), True), (4,)),
        Node(Pad(1, 1), (5,)),
        Node(Crop(0, 1), (6,)),
        Node(Activation("relu"), (7,)),
        Node(SUM, (8,)),
        Node(Flatten(7), (-1,)),
        Node(Dense(rng.normal(size=(3, 14)), None), (10,)),
        Node(Merge("max"), (9, 11)),
        Node(Merge("difference"), (12, 11)),
        Node(Dense(rng.normal(size=(2, 3)), None), (13,)),
    )
    model = Model(nodes, (14,), (Head(2),), np.dtype("float64"), (Input(2),))
    series = rng.normal(size=(7, 2))
    found = explain(model, series, 1, eps=0.0, bias_factor=0.0)
    expected = np.zeros(series.shape)
    for at in np.ndindex(*series.shape):
        along = np.zeros(series.shape)
        along[at] = series[at]
        expected[at] = derivative(model, series, along, 1)
    assert_allclose(found.relevance, expected, rtol=1e-9, atol=1e-12)
    assert found.scores[1] == pytest.approx(found.tokens)


def test_all_rules_for_gates_are_about_products() -> None:
    """A rule says nothing where there is no gate."""
    model = make_model(conv(1.0, 2.0, bias=1.0), SUM, classes=1)
    first, *others = (
        explained(model, column(1, 2, 3), gates).relevance for gates in get_args(GateRule)
    )
    assert all(np.array_equal(first, other) for other in others)
