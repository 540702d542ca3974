"""The plain contextual decomposition does what its definitions say, on numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from msgspec.structs import replace
from numpy.testing import assert_allclose
from plain_decomposition import Parts, decompose, decompose_entry
from plain_forward import embedded, scores_of
from random_models import Case, cases

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Dense,
    Merge,
    Node,
    Pool,
    Reverse,
    StepSoftmax,
)
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell

property_test = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def a_cell(rng: np.random.Generator, inputs: int, hidden: int, *, backward: bool) -> LstmCell:
    return LstmCell(
        input=rng.normal(size=(4, hidden, inputs)),
        recurrent=rng.normal(size=(4, hidden, hidden)),
        bias=rng.normal(size=(4, hidden)),
        backward=backward,
    )


def one_unit(initial_cell: Floats | None = None) -> Model:
    """One unit whose gates are linear where it is used, whose output gate is open, and no U."""
    cell = LstmCell(
        input=np.array([1.0, 1.0, 1.0, 0.0]).reshape(4, 1, 1),
        recurrent=np.zeros((4, 1, 1)),
        bias=np.array([0.0, 0.0, 1.0, 2.5]).reshape(4, 1),
        initial_cell=initial_cell,
    )
    lstm = Lstm((cell,), gate_activation="hard_sigmoid", activation="linear")
    return make_model(lstm, classes=1)


def assert_parts(parts: Parts, relevant: object, irrelevant: object) -> None:
    assert_allclose(parts.relevant, relevant, rtol=0, atol=1e-12)
    assert_allclose(parts.irrelevant, irrelevant, rtol=0, atol=1e-12)


def assert_adds_up(parts: Parts, scores: Floats) -> None:
    largest = max(np.abs(parts.relevant).max(), np.abs(parts.irrelevant).max())
    assert_allclose(parts.whole, scores, rtol=0, atol=1e-12 * largest)


@property_test
@given(cases(), st.data())
def test_the_parts_add_up_to_every_score(case: Case, data: st.DataObject) -> None:
    for sequence in case.sequences:
        values = embedded(case.model, sequence)
        scores = scores_of(case.model, values)
        steps = range(len(values))
        positions = data.draw(st.sets(st.sampled_from(steps)) if steps else st.just(set()))
        assert_adds_up(decompose(case.model, sequence, positions), scores)
        if steps:
            step = data.draw(st.sampled_from(steps))
            feature = data.draw(st.integers(0, values.shape[1] - 1))
            assert_adds_up(decompose_entry(case.model, sequence, step, feature), scores)


@property_test
@given(cases())
def test_without_a_relevant_position_nothing_is_relevant(case: Case) -> None:
    for sequence in case.sequences:
        assert not decompose(case.model, sequence, ()).relevant.any()


class TestTheCell:
    """i = f = 0.5 + 0.2 x and g = x + 1, so that x = 1, 2 gives c = 0.7 * 2 and 0.9 * 1.4 + 2.7."""

    SERIES = np.array([[1.0], [2.0]])

    def test_the_first_step_passes_on_what_the_bias_of_the_forget_gate_keeps(self) -> None:
        # all of 1.4; then 0.5 * 1.4, for what the second step opens (0.2 * 2) is not the first's
        assert_parts(decompose(one_unit(), self.SERIES, [0]), [0.7], [0.56 + 2.7])

    def test_the_last_step_has_all_that_it_adds(self) -> None:
        assert_parts(decompose(one_unit(), self.SERIES, [1]), [2.7], [0.9 * 1.4])

    def test_both_steps_have_everything(self) -> None:
        assert_parts(decompose(one_unit(), self.SERIES, [0, 1]), [3.96], [0.0])

    def test_a_number_does_not_have_the_product_of_the_biases(self) -> None:
        # 1.4 less 0.5 * 1, of which the forget gate's bias keeps a half
        assert_parts(decompose_entry(one_unit(), self.SERIES, 0, 0), [0.45], [3.96 - 0.45])

    def test_without_biases_a_number_has_what_its_step_has(self) -> None:
        rng = np.random.default_rng(0)
        cell = replace(a_cell(rng, inputs=1, hidden=3, backward=False), bias=np.zeros((4, 3)))
        model = make_model(Lstm((cell,)), classes=3)
        series = rng.normal(size=(4, 1))
        for t in range(4):
            assert_parts(decompose_entry(model, series, t, 0), *decompose(model, series, [t]))

    def test_initial_states_are_irrelevant(self) -> None:
        parts = decompose(one_unit(np.ones(1)), self.SERIES[:1], [0])
        assert_parts(parts, [1.4], [0.7])

    def test_steps_of_a_linear_cell_with_constant_gates_have_what_they_alone_give(self) -> None:
        rng = np.random.default_rng(0)
        cell = a_cell(rng, inputs=3, hidden=2, backward=False)
        constant = np.array([0.0, 0.0, 1.0, 0.0])  # of the gates, only g looks at its inputs
        cell = replace(
            cell,
            input=cell.input * constant[:, None, None],
            recurrent=cell.recurrent * constant[:, None, None],
            bias=cell.bias * (1.0 - constant[:, None]),
        )
        model = make_model(Lstm((cell,), activation="linear"), classes=2)
        series = rng.normal(size=(4, 3))
        for t in range(4):
            alone = np.where(np.arange(4)[:, None] == t, series, 0.0)
            others = scores_of(model, series - alone)
            assert_parts(decompose(model, series, [t]), scores_of(model, alone), others)


@pytest.mark.parametrize("bias", [None, np.array([0.5, -2.0])])
def test_with_every_step_relevant_only_the_bias_of_a_dense_layer_is_not(
    bias: Floats | None,
) -> None:
    rng = np.random.default_rng(0)
    both = [(a_cell(rng, 3, 2, backward=False), a_cell(rng, 3, 2, backward=True))]
    both += [(a_cell(rng, 4, 2, backward=False), a_cell(rng, 4, 2, backward=True))]
    model = make_model(
        Lstm(both[0], returns="sequence"),
        Lstm(both[1]),
        Activation("tanh"),
        Dense(rng.normal(size=(2, 4)), bias),
        classes=2,
    )
    parts = decompose(model, rng.normal(size=(5, 3)), range(5))
    assert parts.irrelevant.tolist() == [0.0, 0.0] if bias is None else bias.tolist()


def test_a_step_is_relevant_where_a_reversed_sequence_has_it() -> None:
    cell = a_cell(np.random.default_rng(0), inputs=2, hidden=3, backward=True)
    series = np.random.default_rng(1).normal(size=(4, 2))
    backward = make_model(Lstm((cell,)), classes=3)
    reversed_first = make_model(Reverse(), Lstm((replace(cell, backward=False),)), classes=3)
    for t in range(4):
        expected = decompose(backward, series, [t])
        assert_parts(decompose(reversed_first, series, [t]), *expected)


class TestOtherLayers:
    def test_an_activation_gives_each_part_its_effect_first_and_second(self) -> None:
        model = make_model(Pool("sum"), Activation("relu"), classes=1)
        # relu: 2 alone gives 2, after -1 it gives 1; -1 alone gives 0, after 2 it gives -1
        assert_parts(decompose(model, np.array([[2.0], [-1.0]]), [0]), [1.5], [-0.5])

    def test_what_an_activation_makes_of_nothing_is_irrelevant(self) -> None:
        model = make_model(Pool("sum"), Activation("sigmoid"), classes=1)
        at_3 = 1.0 / (1.0 + np.exp(-3.0))
        assert_parts(decompose(model, np.array([[3.0]]), [0]), [at_3 - 0.5], [0.5])

    def test_a_product_is_relevant_where_every_factor_is(self) -> None:
        # (1 + 2) (3 + 4), of which 1 and 3 come of the first step
        nodes = (
            Node(Pool("sum"), (MODEL_INPUT,)),
            Node(Dense(np.array([[1.0, 0.0]]), None), (0,)),
            Node(Dense(np.array([[0.0, 1.0]]), None), (0,)),
            Node(Merge("product"), (1, 2)),
        )
        model = Model(nodes, (3,), (Head(1),), np.dtype("float64"), (Input(2),))
        assert_parts(decompose(model, np.array([[1.0, 3.0], [2.0, 4.0]]), [0]), [3.0], [18.0])

    def test_attention_weights_are_whole(self) -> None:
        # both steps weigh a half; the second feature is the signal
        nodes = (
            Node(Dense(np.array([[1.0, 0.0]]), None), (MODEL_INPUT,)),
            Node(StepSoftmax(), (0,)),
            Node(Dense(np.array([[0.0, 1.0]]), None), (MODEL_INPUT,)),
            Node(Merge("gate"), (1, 2)),
            Node(Pool("sum"), (3,)),
        )
        model = Model(nodes, (4,), (Head(1),), np.dtype("float64"), (Input(2),))
        assert_parts(decompose(model, np.array([[1.0, 3.0], [1.0, 5.0]]), [0]), [1.5], [2.5])

    def test_the_largest_step_keeps_its_parts_and_of_equal_ones_the_first(self) -> None:
        model = make_model(Pool("max"), classes=2)
        series = np.array([[1.0, 7.0], [4.0, 7.0]])
        assert_parts(decompose(model, series, [0]), [0.0, 7.0], [4.0, 0.0])
