"""Arrays are aligned, and lie in memory that is used again once nothing refers to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lrp_cli.engine import arrays
from lstm_lrp_cli.engine.arrays import ALIGNMENT, KEPT_FROM, aligned_empty, row_dots

property_test = settings(max_examples=100, deadline=None, derandomize=True, database=None)

FLOAT32 = np.dtype("float32")
LARGE = (KEPT_FROM, 1)


@pytest.fixture
def memory(monkeypatch):
    fresh = arrays._Memory()
    monkeypatch.setattr(arrays, "_memory", fresh)
    return fresh


@pytest.mark.parametrize("shape", [(), (0,), (3,), (7, 5), LARGE])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_start_at_a_multiple_of_64_bytes(shape, dtype):
    array = aligned_empty(shape, np.dtype(dtype))
    assert array.ctypes.data % ALIGNMENT == 0 or not array.size
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable


def test_large_arrays_lie_in_memory_that_is_idle_again(memory):
    first = aligned_empty(LARGE, FLOAT32)
    place = first.ctypes.data
    del first
    assert aligned_empty(LARGE, FLOAT32).ctypes.data == place


@pytest.mark.parametrize(
    "part",
    [
        lambda array: array[3:5],
        lambda array: array.T,
        lambda array: array.reshape(-1)[::2],
        lambda array: array.view(np.uint32)[-1:],
        lambda array: next(iter(array)),
        lambda array: memoryview(array)[2:3],
    ],
)
def test_memory_that_any_part_of_an_array_lies_in_is_never_given_twice(memory, part):
    """Whatever still refers to the memory: a view, a view of a view, another type."""
    kept = part(aligned_empty(LARGE, FLOAT32))
    others = [aligned_empty(LARGE, FLOAT32) for _ in range(3)]
    for other in others:
        other[...] = 1.0
    lies_in = np.asarray(kept)
    assert not any(np.shares_memory(lies_in, other) for other in others)


def test_a_smaller_array_may_lie_in_a_larger_block(memory):
    aligned_empty((2 * KEPT_FROM, 1), FLOAT32)
    aligned_empty(LARGE, FLOAT32)
    assert len(memory._blocks) == 1


def test_there_are_never_more_blocks_than_arrays_at_one_time(memory):
    kept = aligned_empty(LARGE, FLOAT32)
    for times in range(2, 9):  # each too large for the block before
        pair = [aligned_empty((times * KEPT_FROM, 1), FLOAT32) for _ in range(2)]
        assert len(memory._blocks) == 3
        del pair
    kept[...] = 1.0
    assert max(map(len, memory._blocks)) == 8 * 4 * KEPT_FROM + ALIGNMENT


def test_small_arrays_are_left_to_numpy(memory):
    aligned_empty((10, 10), FLOAT32)
    assert memory._blocks == []


def test_aligned_arrays_do_not_overlap() -> None:
    arrays = [aligned_empty((3, 5), np.dtype("float64")) for _ in range(50)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [np.unique(array).tolist() for array in arrays] == [[number] for number in range(50)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@property_test
@given(st.integers(0, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_row_dots_are_the_dot_products_of_rows(dtype, rows, units, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(size=(rows, units)).astype(dtype) for _ in range(2))
    products, kept = a * b, b.copy()
    out = np.full(rows, np.nan, dtype=dtype)
    row_dots(a, b, out)
    rounding = units * np.finfo(dtype).eps * np.abs(products).sum(axis=1)
    assert np.all(np.abs(out - products.sum(axis=1)) <= rounding)
    np.testing.assert_array_equal(b, kept)
