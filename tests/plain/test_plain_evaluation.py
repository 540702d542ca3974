"""The plain curves of deletion and insertion, on scores that say which positions are left."""

import numpy as np
from plain_evaluation import deletion, insertion, predicted, ranked

from lstm_lrp_cli.model.arrays import Floats

VALUES = np.array([[1.0], [2.0], [4.0]])
RELEVANCE = np.array([-1.0, 3.0, 3.0])


def sum_and_three(values: Floats) -> Floats:
    """Two scores: the sum of what is there, and 3."""
    return np.array([values.sum(), 3.0])


def test_of_equally_relevant_positions_the_earlier_is_first_in_both_orders() -> None:
    assert ranked(RELEVANCE, "most") == [1, 2, 0]
    assert ranked(-RELEVANCE, "least") == [1, 2, 0]
    assert ranked(np.zeros(3), "most") == ranked(np.zeros(3), "least") == [0, 1, 2]


def test_positions_are_taken_one_after_another() -> None:
    curve = deletion(sum_and_three, VALUES, [1, 2, 0], 3)
    assert curve[:, 0].tolist() == [7.0, 5.0, 1.0, 0.0]
    assert predicted(curve) == [0, 0, 1, 1]


def test_positions_are_given_one_after_another() -> None:
    curve = insertion(sum_and_three, VALUES, [1, 2, 0], 3)
    assert curve[:, 0].tolist() == [0.0, 2.0, 6.0, 7.0]
    assert predicted(curve) == [1, 1, 0, 0]


def test_a_short_sequence_stays_as_it_is_once_all_is_taken_or_given() -> None:
    assert deletion(sum_and_three, VALUES, [1, 2, 0], 5)[3:, 0].tolist() == [0.0, 0.0, 0.0]
    assert insertion(sum_and_three, VALUES, [1, 2, 0], 5)[3:, 0].tolist() == [7.0, 7.0, 7.0]


def test_of_equal_scores_the_first_is_predicted() -> None:
    assert predicted(np.array([[3.0, 3.0], [1.0, 2.0]])) == [0, 1]


def test_what_was_given_is_left_as_it_was() -> None:
    deletion(sum_and_three, VALUES, [1, 2, 0], 3)
    assert VALUES.tolist() == [[1.0], [2.0], [4.0]]
