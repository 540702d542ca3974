"""Copies of the sequences of a packed batch: each is of the right sequence, and none is missing."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lrp_cli.engine.arrays import CopiedSteps, Copies, Packing, copies
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.model import Integers

property_test = settings(deadline=None, derandomize=True, database=None)
packings = st.lists(st.integers(0, 9), min_size=1, max_size=6).map(
    lambda lengths: Packing(np.array(sorted(lengths, reverse=True), dtype=np.intp))
)
budgets = st.integers(1, 60)


def of_rows(packing: Packing, most_rows: int = 1000) -> list[tuple[Copies, CopiedSteps]]:
    """A copy of its sequence for every row."""
    return [(some, some.of(packing)) for some in copies([packing], packing.sequence, most_rows)]


def copied(steps: CopiedSteps, copy: int) -> list[int]:
    """The rows that one copy is made of, from its first step to its last."""
    own: list[int] = steps.rows[steps.packing.sequence == copy].tolist()
    return own


def test_a_copy_has_the_rows_of_its_sequence() -> None:
    """The rows of two sequences, of three steps and of two, are a0, b0, a1, b1, a2."""
    [(found, steps)] = of_rows(Packing(np.array([3, 2, 0])))
    assert found.numbers.tolist() == [0, 2, 4, 1, 3]
    assert found.sequences.tolist() == [0, 0, 0, 1, 1]
    assert steps.packing.lengths.tolist() == [3, 3, 3, 2, 2]
    assert steps.rows.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]


def test_a_row_is_found_in_its_copy() -> None:
    [(found, steps)] = of_rows(Packing(np.array([3, 2, 0])))
    # In the copies of its own sequence's steps, each step marked in one.
    assert steps.places(found.numbers).tolist() == [0, 6, 12, 3, 9]
    assert steps.places(np.array([-1, 2, -1, -1, 1])).tolist() == [-1, 6, -1, -1, 4]


@property_test
@given(packings, budgets)
def test_every_row_has_one_copy_of_its_sequence(packing: Packing, most_rows: int) -> None:
    numbers: list[int] = []
    for some, steps in of_rows(packing, most_rows):
        numbers += some.numbers.tolist()
        assert some.sequences.tolist() == packing.sequence[some.numbers].tolist()
        for copy, sequence in enumerate(some.sequences):
            assert copied(steps, copy) == np.flatnonzero(packing.sequence == sequence).tolist()
    assert sorted(numbers) == list(range(packing.rows))


@property_test
@given(packings, budgets)
def test_rows_are_copied_within_the_budget_and_no_smaller_a_piece_than_need_be(
    packing: Packing, most_rows: int
) -> None:
    pieces = [steps.packing.lengths.tolist() for _, steps in of_rows(packing, most_rows)]
    for lengths in pieces:
        assert sum(lengths) <= most_rows or len(lengths) == 1
    for lengths, later in pairwise(pieces):
        assert sum(lengths) + later[0] > most_rows


@property_test
@given(packings, budgets)
def test_a_marked_row_is_a_copy_of_the_row_that_it_marks(packing: Packing, most_rows: int) -> None:
    for some, steps in of_rows(packing, most_rows):
        places = steps.places(some.numbers)
        assert steps.rows[places].tolist() == some.numbers.tolist()
        assert steps.packing.sequence[places].tolist() == list(range(steps.packing.batch))


@property_test
@given(packings, budgets, st.data())
def test_any_number_of_copies_in_any_order(
    packing: Packing, most_rows: int, data: st.DataObject
) -> None:
    asked = np.array(
        data.draw(st.lists(st.integers(0, packing.batch - 1), max_size=20)), dtype=np.intp
    )
    found = {
        number: copied(some.of(packing), copy)
        for some in copies([packing], asked, most_rows)
        for copy, number in enumerate(some.numbers.tolist())
    }
    expected = [np.flatnonzero(packing.sequence == sequence).tolist() for sequence in asked]
    assert [found[number] for number in range(len(asked))] == expected


@property_test
@given(packings, budgets, st.data())
def test_the_chosen_scores_of_copies_are_those_of_their_sequences(
    packing: Packing, most_rows: int, data: st.DataObject
) -> None:
    targets = np.array([data.draw(st.integers(0, 3)) for _ in range(packing.batch)])
    rows = np.array([data.draw(step_or_none(packing, k)) for k in range(packing.batch)])
    for some, steps in of_rows(packing, most_rows):
        assert Chosen(targets).of_copies(some, None).rows is None
        chosen = Chosen(targets, rows).of_copies(some, packing)
        assert chosen.targets.tolist() == targets[some.sequences].tolist()
        assert chosen.rows is not None
        originals = np.where(chosen.rows < 0, -1, steps.rows[chosen.rows])
        assert originals.tolist() == rows[some.sequences].tolist()


def step_or_none(packing: Packing, sequence: int) -> st.SearchStrategy[int]:
    """One of the rows of a sequence, or -1."""
    own: Integers = np.flatnonzero(packing.sequence == sequence)
    return st.sampled_from([-1, *own.tolist()])
