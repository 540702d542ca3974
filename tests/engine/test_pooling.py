"""Pooling over steps, and the relevance that goes back to them."""

import numpy as np
import pytest

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.layers import steps
from lstm_lrp_cli.engine.records import Value
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Pool, PoolName

# Three sequences, of 3, 2 and 0 steps, of two units each.
SEQUENCES = [[[1.0, -5.0], [4.0, -2.0], [1.0, -2.0]], [[3.0, 0.0], [3.0, -1.0]], []]
PACKING = Packing(np.array([3, 2, 0]))
RULE = LrpRule(eps=0.5)


def pooled(kind: PoolName) -> steps.SumRecord | steps.MaxRecord:
    flat = np.array([step for sequence in SEQUENCES for step in sequence])
    return steps.pool(Pool(kind), [Value(PACKING.pack(flat), PACKING)])


def by_sequence(rows: Floats) -> list[list[list[float]]]:
    flat = rows[PACKING.by_sequence].tolist()
    return [flat[:3], flat[3:]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sum", [[6.0, -9.0], [6.0, -1.0], [0.0, 0.0]]),
        ("mean", [[2.0, -3.0], [3.0, -0.5], [0.0, 0.0]]),
        ("max", [[4.0, -2.0], [3.0, 0.0], [0.0, 0.0]]),
    ],
)
def test_values_and_zero_for_a_sequence_without_steps(
    kind: PoolName, expected: list[list[float]]
) -> None:
    np.testing.assert_allclose(pooled(kind).outputs, expected, rtol=1e-15)


def test_the_largest_of_negative_values_is_negative() -> None:
    rows = np.array([[-3.0], [-1.0], [-2.0]])
    pooled_rows = steps.pool(Pool("max"), [Value(rows, Packing(np.array([3])))])
    assert pooled_rows.outputs.tolist() == [[-1.0]]


def test_max_gives_all_to_the_first_step_of_the_largest_value() -> None:
    relevance = np.array([[10.0, 20.0], [30.0, 40.0], [0.0, 0.0]])
    [down], _ = pooled("max").relevance(relevance, RULE)
    assert by_sequence(down) == [[[0.0, 0.0], [10.0, 20.0], [0.0, 0.0]], [[30.0, 40.0], [0.0, 0.0]]]


def test_max_absorbs_nothing() -> None:
    _, shares = pooled("max").relevance(np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]), RULE)
    for share in (shares.biases, *shares.stabilizers, shares.initial_state):
        assert share.tolist() == [0.0, 0.0, 0.0]


def test_sum_gives_each_step_its_part_of_the_stabilized_sum() -> None:
    relevance = np.array([[6.5, 9.5], [13.0, 3.0], [0.0, 0.0]])  # messages 1, -1; 2, -2
    [down], shares = pooled("sum").relevance(relevance, RULE)
    assert by_sequence(down) == [[[1.0, 5.0], [4.0, 2.0], [1.0, 2.0]], [[6.0, 0.0], [6.0, 2.0]]]
    assert shares.stabilizers.tolist() == [[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]


def test_mean_is_a_linear_map_with_one_over_the_steps_as_its_weights() -> None:
    relevance = np.array([[7.5, 10.5], [7.0, 2.0], [0.0, 0.0]])  # messages 3, -3; 2, -2
    [down], shares = pooled("mean").relevance(relevance, RULE)
    expected = [[[1.0, 5.0], [4.0, 2.0], [1.0, 2.0]], [[3.0, 0.0], [3.0, 1.0]]]
    for found, wanted in zip(by_sequence(down), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
    np.testing.assert_allclose(shares.stabilizers, [[3.0, 2.0, 0.0]] * 2, rtol=1e-14)


@pytest.mark.parametrize("kind", ["sum", "mean"])
def test_at_bias_factor_1_all_units_of_all_steps_share_the_stabilizers_part(kind: PoolName) -> None:
    relevance = np.array([[6.5, 9.5], [13.0, 3.0], [0.0, 0.0]])
    [without], shares = pooled(kind).relevance(relevance, RULE)
    [down], none = pooled(kind).relevance(relevance, LrpRule(RULE.eps, bias_factor=1.0))
    of_units = shares.stabilizers[0, :2] / [3 * 2, 2 * 2]
    np.testing.assert_allclose(down - without, of_units[PACKING.sequence, np.newaxis] * [1, 1])
    assert not none.stabilizers.any()


@pytest.mark.parametrize("kind", ["sum", "mean", "max"])
def test_relevance_of_a_sequence_without_steps_goes_to_the_initial_state(kind: PoolName) -> None:
    _, shares = pooled(kind).relevance(np.array([[1.0, 1.0], [1.0, 1.0], [3.0, -5.0]]), RULE)
    assert shares.initial_state.tolist() == [0.0, 0.0, -2.0]
    assert shares.stabilizers[:, 2].tolist() == [0.0, 0.0]
