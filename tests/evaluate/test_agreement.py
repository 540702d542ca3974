"""Rank correlation within sequences."""

import numpy as np
import pytest
from plain_evaluation import rank_correlation

from lstm_lrp_cli.evaluate.measures import Agreement
from lstm_lrp_cli.statistics.agreement import average_ranks, correlations


def test_equal_values_share_their_ranks():
    ranks = average_ranks(np.array([2.0, 1.0, 2.0, 3.0, 2.0]), np.zeros(5, dtype=int))
    assert ranks.tolist() == [2.0, 0.0, 2.0, 4.0, 2.0]


def test_correlations_are_those_of_single_sequences():
    rng = np.random.default_rng(0)
    lengths = [4, 9, 3, 17]
    sequence = np.repeat(np.arange(4), lengths)
    values = rng.integers(-3, 4, (3, len(sequence))).astype(float)  # with many ties
    found = correlations(values, sequence)
    for place in range(4):
        own = values[:, sequence == place].tolist()
        for left in range(3):
            for right in range(3):
                expected = rank_correlation(own[left], own[right])
                assert found[left, right, place] == pytest.approx(expected)


def test_a_sequence_without_an_order_is_left_out():
    agreement = Agreement(np.array([True, True]))
    sequence = np.repeat([0, 1], 4)
    agreement.add(np.array([[1.0, 2, 3, 4, 1, 2, 3, 4], [5.0] * 4 + [4.0, 3, 2, 1]]), sequence)
    np.testing.assert_allclose(agreement.mean(), [[1.0, -1.0], [-1.0, 1.0]])


def test_two_steps_have_no_agreement():
    agreement = Agreement(np.array([True, True]))
    agreement.add(np.array([[1.0, 2.0], [1.0, 2.0]]), np.zeros(2, dtype=int))
    assert np.isnan(agreement.mean()).all()


def test_what_has_no_signs_is_compared_with_sizes():
    values = np.array([[-3.0, 1.0, 2.0], [9.0, 1.0, 4.0]])
    agreement = Agreement(np.array([True, False]))
    agreement.add(values, np.zeros(3, dtype=int))
    assert agreement.mean()[0, 1] == pytest.approx(1.0)
