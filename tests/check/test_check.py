"""A check keeps its worst case, and passes only where something was compared."""

import math

from hypothesis import given
from hypothesis import strategies as st

from lstm_lrp_cli.explaining.sizes import Check

CHECK = Check("name", "meaning", tolerance=0.1)


def test_the_worst_deviation_and_its_sequence_are_kept():
    check = CHECK.seen(0.01, 0).seen(0.05, 1).seen(0.02, 2)
    assert (check.worst, check.sequence, check.compared) == (0.05, 1, 3)
    assert check.passed


def test_a_deviation_over_the_tolerance_fails():
    assert not CHECK.seen(0.01, 0).seen(0.2, 1).seen(0.01, 2).passed


def test_what_is_not_a_number_is_the_worst_and_fails():
    check = CHECK.seen(0.5, 0).seen(math.nan, 1).seen(0.9, 2)
    assert math.isnan(check.worst)
    assert check.sequence == 1
    assert not check.passed


@given(st.lists(st.sampled_from([0.0, 0.05, 0.2, math.nan])), st.integers(0, 9))
def test_what_was_seen_in_two_parts_is_as_if_seen_in_one(deviations, cut):
    def seen(numbers):
        check = CHECK
        for sequence in numbers:
            check = check.seen(deviations[sequence], sequence)
        return check

    numbers = range(len(deviations))
    assert repr(seen(numbers[:cut]).merged(seen(numbers[cut:]))) == repr(seen(numbers))


def test_nothing_compared_is_nothing_proved():
    assert not CHECK.passed
