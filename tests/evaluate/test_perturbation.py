"""Orders of steps, and what is told of a curve."""

import numpy as np
import pytest

from lstm_lrp_cli.evaluate.perturbation import Curve, perturbations, ranks_from_most


def test_ranks_begin_anew_in_each_sequence():
    values = np.array([0.1, 3.0, -2.0, 5.0, 7.0])
    ranks = ranks_from_most(values, np.array([0, 0, 0, 1, 1]))
    assert ranks.tolist() == [1, 0, 2, 1, 0]


def test_of_equal_steps_the_earlier_comes_first():
    ranks = ranks_from_most(np.array([1.0, 2.0, 2.0, 1.0]), np.zeros(4, dtype=int))
    assert ranks.tolist() == [2, 0, 1, 3]


def test_an_area_is_the_mean_height():
    curve = Curve(np.array([[1.0, 0.5, 0.0]]))
    assert curve.area == 0.5
    assert curve.spread is None
    assert curve.area_spread is None


def test_of_several_seeds_there_is_a_spread():
    curve = Curve(np.array([[1.0, 0.5, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.5]]))
    assert curve.areas.tolist() == [0.5, 1.0, 0.5]
    assert curve.area == pytest.approx(2 / 3)
    assert curve.area_spread == pytest.approx(np.sqrt(1 / 12))
    assert curve.spread.tolist() == [0.0, 0.5, 0.5]


def test_without_labels_no_sequence_is_right_or_wrong():
    assert {each.group for each in perturbations(gold=False)} == {"all"}
    assert {each.group for each in perturbations(gold=True)} == {"right", "wrong"}
