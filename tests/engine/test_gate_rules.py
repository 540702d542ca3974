"""The rules for gates, on numbers that can be checked by hand, and on all others."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.layers import merging
from lstm_lrp_cli.engine.methods import LRP_METHODS
from lstm_lrp_cli.engine.rules import GATE_RULES, GateRuleName, LrpRule, Split, split_product
from lstm_lrp_cli.model import Floats

# Two products: 0.5 * 1.0 and 0.25 * -1.25, so that q + a is 1.5 and -1.
GATE = np.array([[0.5, 0.25]])
SIGNAL = np.array([[1.0, -1.25]])
RELEVANCE = np.array([[6.0, 3.0]])

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=5)
ALL_RULES = pytest.mark.parametrize("gates", get_args(GateRuleName))

property_test = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def split(
    gates: GateRuleName, eps: float = 0.5, bias_factor: float = 0.0, signal: Floats = SIGNAL
) -> Split:
    return split_product(GATE, signal, RELEVANCE, LrpRule(eps, bias_factor, gates))


def test_every_rule_is_listed_and_is_a_method() -> None:
    assert tuple(GATE_RULES) == get_args(GateRuleName) == LRP_METHODS


def test_by_default_gates_get_nothing() -> None:
    assert LrpRule().gates == "lrp-all"
    assert not LrpRule().gives_to_gates


@ALL_RULES
def test_only_lrp_all_gives_nothing_to_gates(gates: GateRuleName) -> None:
    assert (split(gates).gate is not None) == LrpRule(gates=gates).gives_to_gates


class TestAll:
    def test_the_signal_gets_all(self) -> None:
        signal, gate, stabilizers = split("lrp-all")
        assert signal.tolist() == RELEVANCE.tolist()
        assert gate is None
        assert stabilizers is None


class TestHalf:
    def test_both_get_half(self) -> None:
        signal, gate, stabilizers = split("lrp-half")
        assert signal.tolist() == [[3.0, 1.5]]
        assert gate.tolist() == [[3.0, 1.5]]
        assert stabilizers is None


class TestProp:
    """With eps = 0.5, the denominators are 2 and -1.5, and the messages 3 and -2."""

    def test_both_get_their_value_times_the_message(self) -> None:
        signal, gate, _ = split("lrp-prop")
        assert signal.tolist() == [[3.0, 2.5]]
        assert gate.tolist() == [[1.5, -0.5]]

    def test_the_stabilizers_absorb_the_rest(self) -> None:
        _, _, stabilizers = split("lrp-prop")
        assert stabilizers.tolist() == [[2.5], [2.5]]  # 0.5 * 3 + -0.5 * -2

    def test_by_size_what_stabilizers_absorb_does_not_cancel(self) -> None:
        relevance, rule = np.array([[6.0, -3.0]]), LrpRule(0.5, 0.0, "lrp-prop")
        split = split_product(GATE, SIGNAL, relevance, rule)
        assert split.stabilizers.tolist() == [[0.5], [2.5]]  # 1.5 - 1, and 1.5 + 1

    def test_at_bias_factor_1_both_get_half_of_the_rest(self) -> None:
        signal, gate, stabilizers = split("lrp-prop", bias_factor=1.0)
        assert signal.tolist() == [[3.75, 3.0]]
        assert gate.tolist() == [[2.25, 0.0]]
        assert stabilizers.tolist() == [[0.0], [0.0]]

    def test_in_between_the_bias_factor_divides_it(self) -> None:
        signal, gate, stabilizers = split("lrp-prop", bias_factor=0.5)
        assert signal.tolist() == [[3.375, 2.75]]
        assert gate.tolist() == [[1.875, -0.25]]
        assert stabilizers.tolist() == [[1.25], [1.25]]

    def test_a_sum_of_zero_divides_by_eps(self) -> None:
        signal, gate, stabilizers = split("lrp-prop", signal=-GATE)
        assert signal.tolist() == [[-6.0, -1.5]]
        assert gate.tolist() == [[6.0, 1.5]]
        assert stabilizers.tolist() == [[9.0], [9.0]]

    def test_at_eps_0_a_sum_of_zero_leaves_all_to_the_stabilizer(self) -> None:
        signal, gate, stabilizers = split("lrp-prop", eps=0.0, signal=np.array([[-0.5, 0.75]]))
        assert signal.tolist() == [[0.0, 2.25]]
        assert gate.tolist() == [[0.0, 0.75]]
        assert stabilizers.tolist() == [[6.0], [6.0]]


class TestAbs:
    def test_both_get_their_part_of_the_sum_of_sizes(self) -> None:
        signal, gate, stabilizers = split("lrp-abs", signal=np.array([[1.0, -0.75]]))
        assert signal.tolist() == [[4.0, 2.25]]
        assert gate.tolist() == [[2.0, 0.75]]
        assert stabilizers is None

    def test_where_both_are_zero_the_signal_gets_all(self) -> None:
        zeros = np.zeros((1, 2))
        signal, gate, _ = split_product(zeros, zeros, RELEVANCE, LrpRule(gates="lrp-abs"))
        assert signal.tolist() == RELEVANCE.tolist()
        assert gate.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@ALL_RULES
@property_test
@given(st.data(), st.floats(1e-3, 0.5), st.sampled_from([0.0, 0.3, 1.0]))
def test_nothing_is_lost_of_the_relevance_of_products(
    gates: GateRuleName, dtype: str, data: st.DataObject, eps: float, bias_factor: float
) -> None:
    shape = data.draw(SHAPES)
    numbers = arrays(dtype, shape, elements=st.floats(-10, 10, width=32) | st.just(0.0))
    of_gates = arrays(dtype, shape, elements=st.floats(0, 1, width=32))
    gate, signal, relevance = data.draw(of_gates), data.draw(numbers), data.draw(numbers)
    given_before = relevance.copy()
    parts = split_product(gate, signal, relevance, LrpRule(eps, bias_factor, gates))
    np.testing.assert_array_equal(relevance, given_before)
    arrived = [part for part in (parts.signal, parts.gate) if part is not None]
    assert all(part.dtype == dtype for part in arrived)
    total = sum(part.sum(axis=1, dtype=np.float64) for part in arrived)
    sizes = sum(np.abs(part).sum(axis=1, dtype=np.float64) for part in arrived)
    if parts.stabilizers is not None:
        net, size = parts.stabilizers
        assert np.all(np.abs(net) <= size * (1 + 4 * np.finfo(dtype).eps))
        total, sizes = total + net, sizes + size
    expected = relevance.sum(axis=1, dtype=np.float64)
    # Half of a smallest number is 0: two roundings of such a size.
    rounding = 16 * np.finfo(dtype).eps * sizes + 8 * np.finfo(dtype).smallest_subnormal
    assert np.all(np.abs(total - expected) <= rounding)


class TestAttention:
    """A gate of one unit weighs all units of its step, and gets what it has of each."""

    signal = np.array([[1.0, -0.75], [0.5, 0.0]])
    relevance = np.array([[6.0, 4.0], [2.0, 1.0]])
    packing = Packing(np.array([2]))

    def weighed(self, gate: list[list[float]], rule: LrpRule) -> tuple[list[Floats | None], ...]:
        parts = [np.array(gate), self.signal]
        record = merging.run("gate", parts, self.packing)
        down, shares = record.relevance(self.relevance, rule)
        return list(down), [shares.initial_state, shares.biases, *shares.stabilizers]

    def test_by_lrp_all_gets_nothing(self) -> None:
        [gate, signal], shares = self.weighed([[0.5], [0.5]], LrpRule())
        assert gate is None
        assert signal.tolist() == self.relevance.tolist()
        assert [share.tolist() for share in shares] == [[0.0]] * 4

    def test_by_lrp_half_gets_half_of_all_units(self) -> None:
        [gate, signal], shares = self.weighed([[0.5], [0.5]], LrpRule(gates="lrp-half"))
        assert gate.tolist() == [[5.0], [1.5]]
        assert signal.tolist() == [[3.0, 2.0], [1.0, 0.5]]
        assert [share.tolist() for share in shares] == [[0.0]] * 4

    def test_by_lrp_abs_gets_of_each_unit_by_its_size(self) -> None:
        [gate, signal], _ = self.weighed([[0.25], [0.5]], LrpRule(gates="lrp-abs"))
        np.testing.assert_allclose(gate, [[6 * 0.2 + 4 * 0.25], [1 + 1]])
        np.testing.assert_allclose(signal, [[6 * 0.8, 4 * 0.75], [1, 0]])

    def test_by_lrp_prop_stabilizers_absorb_of_every_step(self) -> None:
        rule = LrpRule(0.5, 0.0, "lrp-prop")
        [gate, signal], shares = self.weighed([[0.5], [0.5]], rule)
        # q + a is (1.5, -0.25) and (1, 0.5), the messages (3, -4 / 0.75) and (4 / 3, 1).
        np.testing.assert_allclose(gate, [[1.5 - 8 / 3], [2 / 3 + 0.5]])
        np.testing.assert_allclose(signal, [[3, 4], [2 / 3, 0]])
        absorbed = 1.5 + 8 / 3 + 2 / 3 + 0.5
        np.testing.assert_allclose(shares, [[0], [0], [absorbed], [absorbed]])

    def test_a_gate_of_as_many_units_gets_each_units_own(self) -> None:
        gates = [[0.5, 0.25], [0.5, 0.5]]
        [gate, _], _ = self.weighed(gates, LrpRule(gates="lrp-half"))
        assert gate.tolist() == [[3.0, 2.0], [1.0, 0.5]]
