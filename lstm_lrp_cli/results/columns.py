"""Columns of Arrow as Python's values, and texts that repeat as one text."""

from typing import Any

import numpy as np
import pyarrow as pa

from lstm_lrp_cli.inputs.stream import whole_number
from lstm_lrp_cli.model import Floats, Integers


def is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def values_of(array: Any, kind: Any) -> list[Any]:
    """The values of an array, read as those of another type; None is null.

    A text that stands often in a column is one text, however long and often: as the file has it.

    Raises
    ------
    ArrowException
        They are no such values.
    """
    if pa.types.is_dictionary(array.type):
        words = values_of(array.dictionary, kind)
        return [None if place is None else words[place] for place in array.indices.to_pylist()]
    if is_list(kind) and is_list(array.type):
        values = there(array.flatten(), "a list has a null where it should have a value")
        return _lists(values_of(values, kind.value_type), array.value_lengths())
    if pa.types.is_struct(kind) and pa.types.is_struct(array.type):
        columns = [values_of(array.field(each.name), each.type) for each in kind]
        names = [each.name for each in kind]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        valid = array.is_valid().to_pylist()
        return [row if is_valid else None for row, is_valid in zip(rows, valid, strict=True)]
    found: list[Any] = array.cast(kind).to_pylist()
    return found


def _lists(values: list[Any], lengths: Any) -> list[list[Any] | None]:
    """Values that stand one after another, cut into lists of some lengths."""
    found: list[list[Any] | None] = []
    start = 0
    for length in lengths.to_pylist():
        found.append(None if length is None else values[start : start + length])
        start += length or 0
    return found


def there(
    array: Any, problem: str = "a sequence has no number, no position or no relevance"
) -> Any:
    """An array that must not have nulls."""
    if array.null_count:
        raise pa.ArrowInvalid(problem)
    return array


def numbers_of(array: Any) -> Floats:
    """Numbers in float64; nulls are NaN."""
    return np.asarray(array.cast(pa.float64()), dtype=np.float64)


def places_of(array: Any) -> Integers:
    """Whole numbers, of which none is null."""
    return np.asarray(array.cast(pa.int64()), dtype=np.int64)


def class_of(name: str | None) -> str | int | None:
    """A class as JSON lines have it: its label, or its index where there are no labels."""
    number = None if name is None else whole_number(name)
    return name if number is None or str(number) != name else number
