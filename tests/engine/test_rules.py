"""The epsilon rule, on numbers that can be checked by hand, and on all others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lstm_lrp_cli.engine.layers import dense
from lstm_lrp_cli.engine.records import Value
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Dense

# Two output units, with denominators z + eps s of 2.5 and -1.
Z = np.array([[2.0, -0.5]])
RELEVANCE = np.array([[5.0, 2.0]])
BIAS = np.array([1.0, -1.5])

EPS = st.floats(1e-3, 0.5)
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5)

property_test = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def numbers(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Floats]:
    """Numbers of both signs, zeros and the smallest among them."""
    width = 32 if dtype == "float32" else 64
    tiny = float(np.finfo(dtype).smallest_subnormal)
    some = st.floats(-1e3, 1e3, width=width) | st.sampled_from([0.0, -0.0, tiny, -tiny])
    return arrays(dtype, shape, elements=some)


def drawn_outputs(dtype: str, data: st.DataObject) -> tuple[Floats, Floats]:
    """Relevance of some outputs, and the outputs, of which a zero is a positive one."""
    shape = data.draw(SHAPES)
    return data.draw(numbers(dtype, shape)), data.draw(numbers(dtype, shape)) + 0.0


def divided(
    rule: LrpRule, relevance: Floats, z: Floats, values: Floats | None = None
) -> tuple[Floats, Floats]:
    """The messages, written to `values` where given, and what stabilizers get of them."""
    values = np.full_like(z, np.nan) if values is None else values
    stabilizers = np.full((2, len(z)), np.nan, dtype=z.dtype)
    rule.divide(relevance, z, values, stabilizers, np.full((2, *z.shape), np.nan, dtype=z.dtype))
    return values, stabilizers


def test_by_default_eps_is_a_thousandth_and_biases_absorb_their_part() -> None:
    assert LrpRule() == LrpRule(eps=1e-3, bias_factor=0.0)


class TestDividing:
    """R_j / (z_j + eps s_j), with s_j = 1 where z_j >= 0, else -1."""

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @property_test
    @given(st.data(), EPS)
    def test_gives_the_messages_and_what_stabilizers_get(
        self, dtype: str, data: st.DataObject, eps: float
    ) -> None:
        relevance, z = drawn_outputs(dtype, data)
        s = np.where(z >= 0, 1.0, -1.0).astype(dtype)
        eps_s = np.dtype(dtype).type(eps) * s
        expected = relevance / (z + eps_s)
        found, stabilizers = divided(LrpRule(eps), relevance, z)
        np.testing.assert_array_equal(found, expected)
        terms = eps_s * expected
        size = np.abs(terms).sum(axis=1)
        rounding = 8 * np.finfo(dtype).eps * size
        assert np.all(np.abs(stabilizers[0] - terms.sum(axis=1)) <= rounding)
        assert np.all(np.abs(stabilizers[1] - size) <= rounding)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @property_test
    @given(st.data(), EPS)
    def test_may_write_the_messages_over_the_relevance(
        self, dtype: str, data: st.DataObject, eps: float
    ) -> None:
        relevance, z = drawn_outputs(dtype, data)
        apart = divided(LrpRule(eps), relevance, z)
        over = divided(LrpRule(eps), relevance, z, values=relevance)
        assert over[0] is relevance
        np.testing.assert_array_equal(over[0], apart[0])
        np.testing.assert_array_equal(over[1], apart[1])

    def test_leaves_relevance_and_outputs_as_they_were(self) -> None:
        relevance, z = RELEVANCE.copy(), Z.copy()
        divided(LrpRule(), relevance, z)
        assert relevance.tolist() == RELEVANCE.tolist()
        assert z.tolist() == Z.tolist()

    def test_messages_take_a_negative_zero_for_a_positive_one(self) -> None:
        zeros, relevance = np.array([[0.0, -0.0]]), np.array([[3.0, 3.0]])
        messages = LrpRule(eps=0.5).messages(relevance, zeros, None, 1)
        assert messages.values.tolist() == [[6.0, 6.0]]


class TestEpsOfZero:
    """What is divided by exactly 0 has nowhere to go but to the stabilizer."""

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_leaves_all_to_the_stabilizer_where_the_output_is_zero(self, dtype: str) -> None:
        relevance = np.array([[3.0, -4.0, 5.0, 0.0]], dtype=dtype)
        z = np.array([[0.0, 0.0, -2.0, 0.0]], dtype=dtype)
        values, stabilizers = divided(LrpRule(0.0), relevance, z)
        assert values.tolist() == [[0.0, 0.0, -2.5, 0.0]]
        assert stabilizers.tolist() == [[-1.0], [7.0]]
        assert values.dtype == stabilizers.dtype == dtype

    def test_an_eps_that_float32_takes_for_zero_is_zero(self) -> None:
        relevance, z = np.float32([[3.0, 5.0]]), np.float32([[0.0, -2.0]])
        values, stabilizers = divided(LrpRule(1e-60), relevance, z)
        assert values.tolist() == [[0.0, -2.5]]
        assert stabilizers.tolist() == [[3.0], [3.0]]

    def test_a_negative_zero_is_a_zero(self) -> None:
        messages = LrpRule(0.0).messages(np.array([[3.0]]), np.array([[-0.0]]), None, 1)
        assert messages.values.tolist() == [[0.0]]
        assert messages.stabilizers.tolist() == [[3.0], [3.0]]

    def test_at_bias_factor_1_the_lower_units_share_it(self) -> None:
        rule = LrpRule(0.0, bias_factor=1.0)
        messages = rule.messages(np.array([[3.0, 2.0]]), np.array([[0.0, 4.0]]), BIAS, 2)
        assert messages.share.tolist() == [[(3.0 - 0.75) / 2]]
        assert messages.stabilizers.tolist() == [[0.0], [0.0]]

    def test_may_write_the_messages_over_the_relevance(self) -> None:
        relevance, z = np.array([[3.0, 5.0]]), np.array([[0.0, -2.0]])
        values, stabilizers = divided(LrpRule(0.0), relevance, z, values=relevance)
        assert values.tolist() == [[0.0, -2.5]]
        assert stabilizers.tolist() == [[3.0], [3.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_messages_keep_the_precision(dtype: str) -> None:
    ones = np.ones((1, 2), dtype=dtype)
    assert LrpRule().messages(ones, ones, None, 2).values.dtype == dtype


def test_a_message_is_the_relevance_divided_by_the_stabilized_output() -> None:
    messages = LrpRule(eps=0.5).messages(RELEVANCE, Z, BIAS, 4)
    assert messages.values.tolist() == [[2.0, -2.0]]


def test_an_output_of_zero_divides_by_eps() -> None:
    messages = LrpRule(eps=0.5).messages(np.array([[3.0]]), np.array([[0.0]]), None, 1)
    assert messages.values.tolist() == [[6.0]]
    assert messages.stabilizers.tolist() == [[3.0], [3.0]]


def test_at_bias_factor_0_biases_and_stabilizers_absorb_all_of_their_part() -> None:
    messages = LrpRule(eps=0.5).messages(RELEVANCE, Z, BIAS, 4)
    assert messages.share.tolist() == [[0.0]]
    assert messages.biases.tolist() == [5.0]  # 1 * 2 + -1.5 * -2
    assert messages.stabilizers.tolist() == [[2.0], [2.0]]  # 0.5 * 2 + -0.5 * -2


def test_at_bias_factor_1_the_lower_units_share_all_of_it() -> None:
    messages = LrpRule(eps=0.5, bias_factor=1.0).messages(RELEVANCE, Z, BIAS, 4)
    assert messages.share.tolist() == [[1.75]]  # (5 + 2) / 4
    assert messages.biases.tolist() == [0.0]
    assert messages.stabilizers.tolist() == [[0.0], [0.0]]


def test_in_between_the_bias_factor_divides_it() -> None:
    messages = LrpRule(eps=0.5, bias_factor=0.25).messages(RELEVANCE, Z, BIAS, 4)
    assert messages.share.tolist() == [[0.4375]]
    assert messages.biases.tolist() == [3.75]
    assert messages.stabilizers.tolist() == [[1.5], [1.5]]


def test_by_size_what_stabilizers_absorb_does_not_cancel() -> None:
    messages = LrpRule(eps=0.5).messages(np.array([[5.0, -2.0]]), Z, None, 4)
    assert messages.stabilizers.tolist() == [[0.0], [2.0]]  # 0.5 * 2 + -0.5 * 2


def test_without_a_bias_only_stabilizers_absorb() -> None:
    messages = LrpRule(eps=0.5).messages(RELEVANCE, Z, None, 4)
    assert messages.biases.tolist() == [0.0]
    assert messages.stabilizers.tolist() == [[2.0], [2.0]]


def test_every_row_may_have_its_own_number_of_lower_units() -> None:
    two, rule = np.array([0, 0]), LrpRule(eps=0.5, bias_factor=1.0)
    messages = rule.messages(RELEVANCE[two], Z[two], BIAS, np.array([2, 7]))
    assert messages.share.tolist() == [[3.5], [1.0]]


def test_what_is_absorbed_is_summed_in_float64() -> None:
    ones = np.ones((1, 2), dtype=np.float32)
    messages = LrpRule(eps=1.0).messages(ones, ones, ones[0], 2)
    assert messages.values.dtype == messages.share.dtype == np.float32
    assert messages.biases.dtype == messages.stabilizers.dtype == np.float64


class TestADenseLayer:
    """z = (2.5, -1), so that messages are (1, -1): W^T times them is (2, 1.5)."""

    layer = Dense(np.array([[1.0, 2.0], [-1.0, 0.5]]), np.array([0.5, -0.25]))
    record = dense.DenseRecord.of(layer, [Value(np.array([[1.0, 0.5]]))])
    relevance = np.array([[3.0, 1.5]])

    def test_its_outputs(self) -> None:
        assert self.record.outputs.tolist() == [[2.5, -1.0]]

    def test_inputs_get_their_products_and_the_rest_is_absorbed(self) -> None:
        [down], shares = self.record.relevance(self.relevance, LrpRule(eps=0.5))
        assert down.tolist() == [[2.0, 0.75]]
        assert shares.biases.tolist() == [0.75]  # 0.5 * 1 + -0.25 * -1
        assert shares.stabilizers.tolist() == [[1.0], [1.0]]  # 0.5 * 1 + -0.5 * -1
        assert shares.initial_state.tolist() == [0.0]

    def test_at_bias_factor_1_both_inputs_get_half_of_the_rest(self) -> None:
        rule = LrpRule(eps=0.5, bias_factor=1.0)
        [down], shares = self.record.relevance(self.relevance, rule)
        assert down.tolist() == [[2.875, 1.625]]
        assert shares.biases.tolist() == [0.0]
        assert shares.stabilizers.tolist() == [[0.0], [0.0]]

    def test_running_it_leaves_its_bias_as_it_was(self) -> None:
        again = dense.DenseRecord.of(self.layer, [Value(np.array([[1.0, 0.5]]))])
        assert again.outputs.tolist() == [[2.5, -1.0]]
