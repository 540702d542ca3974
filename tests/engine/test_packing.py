"""Packing: sequences of different lengths as one array, ordered by step and then by sequence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lrp_cli.engine.arrays import Packing


def packed(*lengths: int) -> Packing:
    return Packing(np.array(lengths, dtype=np.intp))


packings = st.lists(st.integers(0, 12), min_size=1, max_size=8).map(
    lambda lengths: packed(*sorted(lengths, reverse=True))
)
property_test = settings(deadline=None, derandomize=True, database=None)


def names(packing: Packing) -> list[str]:
    """The rows by name: b1 is the second step of the second sequence."""
    steps = zip(packing.sequence.tolist(), packing.step.tolist(), strict=True)
    return [f"{'abcdefgh'[sequence]}{step}" for sequence, step in steps]


def test_rows_are_ordered_by_step_and_then_by_sequence() -> None:
    assert names(packed(3, 2, 0)) == ["a0", "b0", "a1", "b1", "a2"]


def test_a_step_is_the_slice_of_the_sequences_that_still_run() -> None:
    packing = packed(3, 2, 0)
    assert packing.active.tolist() == [2, 2, 1]
    assert packing.offsets.tolist() == [0, 2, 4, 5]
    assert list(packing.slices()) == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_sequences_without_steps_count_in_the_batch_but_are_not_started() -> None:
    packing = packed(3, 2, 0, 0)
    assert (packing.batch, packing.started, packing.rows) == (4, 2, 5)


def test_the_last_row_of_each_started_sequence() -> None:
    packing = packed(3, 2, 2, 1, 0)
    assert [names(packing)[row] for row in packing.last] == ["a2", "b1", "c1", "d0"]


def test_each_row_behind_the_first_step_knows_its_sequences_row_before() -> None:
    packing = packed(3, 2, 1, 0)
    assert names(packing) == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert [names(packing)[row] for row in packing.previous] == ["a0", "b0", "a1"]
    assert packed(0, 0).previous.tolist() == []


def test_reversed_rows_show_each_sequence_from_its_own_end() -> None:
    packing = packed(3, 2, 0)
    assert [names(packing)[row] for row in packing.reverse] == ["a2", "b1", "a1", "b0", "a0"]


@property_test
@given(packings)
def test_reversing_twice_is_no_change(packing: Packing) -> None:
    assert packing.reverse[packing.reverse].tolist() == list(range(packing.rows))


def test_rows_can_be_brought_back_to_sequence_after_sequence() -> None:
    packing = packed(3, 2, 0)
    in_order = [names(packing)[row] for row in packing.by_sequence]
    assert in_order == ["a0", "a1", "a2", "b0", "b1"]
    assert packing.boundaries.tolist() == [0, 3]


@property_test
@given(packings)
def test_packing_is_undone_by_by_sequence(packing: Packing) -> None:
    flat = np.arange(2 * packing.rows).reshape(packing.rows, 2)
    np.testing.assert_array_equal(packing.pack(flat)[packing.by_sequence], flat)


@property_test
@given(packings)
def test_packed_rows_belong_to_the_sequence_and_step_that_they_had(packing: Packing) -> None:
    owners = np.repeat(np.arange(packing.batch), packing.lengths)
    steps = np.concatenate([np.arange(length) for length in packing.lengths])
    assert packing.pack(owners).tolist() == packing.sequence.tolist()
    assert packing.pack(steps).tolist() == packing.step.tolist()


def test_totals_are_of_each_sequence_with_0_for_one_without_steps() -> None:
    packing = packed(3, 2, 0)
    assert packing.total(np.array([1.0, 10.0, 2.0, 20.0, 4.0])).tolist() == [7.0, 30.0, 0.0]


def test_totals_of_float32_are_summed_in_float64() -> None:
    values = np.array([2.0**24, 1.0, 1.0], dtype=np.float32)
    total = packed(3).total(values)
    assert total.dtype == np.float64
    assert total.tolist() == [2.0**24 + 2.0]  # float32 would lose both ones


@pytest.mark.parametrize("lengths", [(0,), (0, 0, 0)])
def test_a_batch_of_nothing_but_empty_sequences(lengths: tuple[int, ...]) -> None:
    packing = packed(*lengths)
    assert (packing.batch, packing.started, packing.rows) == (len(lengths), 0, 0)
    assert list(packing.slices()) == []
    assert packing.total(np.zeros(0)).tolist() == [0.0] * len(lengths)
    for rows in (packing.reverse, packing.last, packing.by_sequence, packing.boundaries):
        assert rows.tolist() == []


def test_shorter_sequences_must_not_come_before_longer_ones() -> None:
    with pytest.raises(ValueError, match="from the longest to the shortest"):
        packed(2, 3)
