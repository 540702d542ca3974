"""Arrays that elementwise operations run through fast hold what any others hold."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from lstm_lrp_cli.engine.arrays import ALIGNMENT, aligned_empty, row_dots

DTYPES = st.sampled_from([np.dtype("float32"), np.dtype("float64")])

property_test = settings(max_examples=200, deadline=None, derandomize=True, database=None)


@property_test
@given(array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9), DTYPES)
def test_an_aligned_array_starts_at_a_multiple_of_64_bytes(
    shape: tuple[int, ...], dtype: np.dtype[np.floating]
) -> None:
    array = aligned_empty(shape, dtype)
    assert ALIGNMENT == 64
    if array.size:  # else there is no first value, and NumPy cuts nothing off an empty slice
        assert array.ctypes.data % 64 == 0
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable


def test_aligned_arrays_do_not_overlap() -> None:
    arrays = [aligned_empty((3, 5), np.dtype("float64")) for _ in range(50)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [np.unique(array).tolist() for array in arrays] == [[number] for number in range(50)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@property_test
@given(st.integers(0, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_row_dots_are_the_dot_products_of_rows(
    dtype: Any, rows: int, units: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=(rows, units)).astype(dtype) for _ in range(2))
    products, kept = a * b, b.copy()
    out = np.full(rows, np.nan, dtype=dtype)
    row_dots(a, b, out)
    rounding = units * np.finfo(dtype).eps * np.abs(products).sum(axis=1)
    assert np.all(np.abs(out - products.sum(axis=1)) <= rounding)
    np.testing.assert_array_equal(b, kept)
