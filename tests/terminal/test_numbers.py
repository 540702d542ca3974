"""Numbers are written as shortly as can be, and read back exactly."""

import math
import re

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lstm_lrp_cli.terminal.numbers import decimal, exact, rounded_each, texts

# Any number, and those that relevance is made of: near zero, near powers of ten and of two.
SINGLE = st.floats(width=32, allow_nan=False) | st.builds(
    lambda digits, exponent: float(np.float32(digits * 10.0**exponent)),
    st.integers(-(10**7), 10**7),
    st.integers(-14, 4),
)
POWERS_OF_TWO = np.ldexp(np.float32(1), np.arange(-126, 128)).astype(np.float32)
POWERS_OF_TEN = np.array([f"1e{exponent}" for exponent in range(-44, 39)], dtype=np.float32)
DOUBLE = st.floats(allow_nan=False) | st.floats(-10, 10)


def array(values, dtype=np.float32):
    return np.array(values, dtype=dtype)


@settings(deadline=None, derandomize=True)
@given(st.lists(SINGLE).map(array))
@example(POWERS_OF_TWO)
@example(POWERS_OF_TEN)
@example(np.nextafter(POWERS_OF_TEN, np.float32(np.inf)))
@example(np.nextafter(POWERS_OF_TEN, np.float32(0)))
@example(array([0.0, -0.0, np.inf, -np.inf, 1e-45, 1e-12, 1e6, 3.4028235e38]))
def test_single_precision_reads_back_with_no_more_digits_than_needed(values):
    """NumPy's own conversion to text, which is slow, is the judge.

    Both give the decimal nearest to the number among the shortest. Only where a number stands half
    way between two such decimals, which takes a sum of few powers of two, may the last digit be
    another; then both read back, and neither is longer.
    """
    found = exact(values)
    np.testing.assert_array_equal(array(found).view(np.uint32), values.view(np.uint32))
    for ours, theirs in zip(found, values.astype(np.str_).tolist(), strict=True):
        assert len(repr(abs(ours))) <= len(repr(abs(float(theirs))))


@settings(deadline=None, derandomize=True)
@given(st.lists(SINGLE).map(array) | st.lists(DOUBLE).map(lambda x: array(x, np.float64)))
@example(array([1e-5, 9.9e-5, 1e-4, 1e15, 1e16, 1e22, 0.0, -0.0, 5e-324, np.inf], np.float64))
@example(array([-1e-5, 1.2e-6, -1e-9, 9.99e-10, 1e-10, -1.5e-100, np.nan, -np.inf], np.float64))
@example(array([[]]).ravel())
def test_text_is_as_json_has_the_exact_number(values):
    """Python's own text, which may have another exponent, is the judge of its digits."""
    for text, number in zip(texts(values), exact(values), strict=True):
        if math.isfinite(number):
            assert text == msgspec.json.encode(number).decode()
            assert digits(text) == digits(repr(number))
            assert float(text).hex() == number.hex()
        else:
            assert text == ("" if math.isnan(number) else repr(number))


def digits(text):
    """Those that count, wherever the point is."""
    return re.sub(r"e.*|[-.]", "", text).strip("0")


@given(arrays(np.float32, st.tuples(st.integers(0, 3), st.integers(0, 3)), elements=SINGLE))
def test_the_shape_is_kept(values):
    found = exact(values)
    assert len(found) == len(values)
    for row, wanted in zip(found, values, strict=True):
        assert array(row).tolist() == wanted.tolist()


def test_double_precision_is_as_it_is():
    assert exact(np.array([[0.1, -1e-300]])) == [[0.1, -1e-300]]
    assert exact(np.array([0.1], dtype=np.float32)) == [0.1]


@settings(deadline=None, derandomize=True)
@given(st.lists(DOUBLE).map(lambda values: array(values, np.float64)))
@example(array([0.0, -0.0, np.inf, 5e-324, 1e-12, 999999.5, 1e6, -1.7e308, 0.1234565], np.float64))
def test_six_digits_are_kept_for_people(values):
    [found] = rounded_each([values])
    for number, kept in zip(values.tolist(), found, strict=True):
        assert float(f"{kept:.6g}") == kept
        assert kept == number or abs(kept - number) <= max(5.000001e-6 * abs(number), 5e-324)


def test_each_array_has_its_own_numbers():
    arrays = [np.array([[1.23456789], [2.0]]), np.zeros((0, 1)), np.array([[np.nan]])]
    first, second, third = rounded_each(arrays)
    assert (first, second) == ([[1.23457], [2.0]], [])
    assert np.isnan(third[0][0])
    assert rounded_each([]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "+0.00"),
        (1234567.891, "+1234567.89"),
        (-12345678.9, "-1.23e+07"),
        (6.9e71, "+6.9e+71"),
        (np.float32(-0.125), "-0.12"),
        (float("nan"), "+nan"),
    ],
)
def test_people_read_no_long_rows_of_digits(value, text):
    assert decimal(value, 2, "+") == text
    assert decimal(value, 2) == text.removeprefix("+")
