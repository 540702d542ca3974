"""Numbers as sequences: checked against what the model takes."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Input, Model
from .lines import LONGEST_LINE
from .sequence import Sequence
from .tables.features import places_of_features
from .tokens import Tokenizer

# A float32 holds all whole numbers up to it.
LARGEST_ID = 2**24
# How many sequences without a step an array may have: they take no room in its file.
MOST_EMPTY = 100_000


def sequences_of_array(array: NDArray[Any], model: Model, where: str) -> Iterator[Sequence]:
    """The sequences of one array, or the one that it is."""
    read = model.only_input
    dimensions = dimensions_of(read)
    if array.dtype.kind not in "fiu":
        raise UnusableInput(where, f"holds {array.dtype} elements; expected numbers")
    if read.parts is not None and array.ndim == dimensions + 1 and array.shape[2] == read.parts:
        # Sequences of sequences, whose steps stand one after another.
        array = array.reshape(len(array), -1, *array.shape[3:])
    if array.ndim not in (dimensions, dimensions - 1) or (
        array.shape[-1] != read.size and read.embedding is None
    ):
        raise UnusableInput(where, _misshaped(array.shape, read))
    if not array.size and len(array) > MOST_EMPTY:
        problem = f"claims {len(array):,} sequences of no steps; expected some steps: save it again"
        raise UnusableInput(where, problem)
    if array.ndim < dimensions:
        yield sequence_of_array(0, None, array, model, where)
        return
    for number, series in enumerate(array):
        yield sequence_of_array(number, None, series, model, f"{where}: sequence {number}")


def _misshaped(shape: tuple[int, ...], read: Input) -> str:
    """What is wrong with the shape of a whole array, and what would be right."""
    found, size = f"has shape {shape_text(shape)}", read.size
    if read.embedding is not None:
        return f"{found}; expected token ids: (sequences, steps), or (steps,) of one sequence"
    if not read.steps:
        return f"{found}; expected vectors: (sequences, {size}), or ({size},) of one sequence"
    expected = f"expected (sequences, steps, {size}), or (steps, {size}) of one sequence"
    if read.parts is not None:
        expected += f", or (sequences, parts, {read.parts}, {size})"
    if len(shape) == 2 and size == 1:
        return f"{found}; {expected}: of sequences with one feature, array[..., numpy.newaxis]"
    if len(shape) == 3 and shape[1] == size:
        return f"{found}; {expected}: if its features stand before its steps, array.swapaxes(1, 2)"
    return f"{found}; {expected}"


def checked_values(
    values: NDArray[Any], features: tuple[str, ...] | None, model: Model, where: str
) -> tuple[Floats, tuple[str, ...]]:
    """Check a series against what the model takes, and name its features where it does not.

    Raises
    ------
    UnusableInput
        It is no matrix of finite numbers, or of another number of features than the model takes.
    """
    read = model.only_input
    if read.embedding is not None:
        raise UnusableInput(
            where, "is a numeric series; the model takes tokens (it has an embedding)"
        )
    values = _as_steps(values, read, where)
    named = features is not None
    if not features and read.features and len(read.features) == values.shape[1]:
        features = read.features
    features = features or tuple(f"feature_{index}" for index in range(values.shape[1]))
    if len(features) != values.shape[1]:
        raise UnusableInput(
            where, f"names {len(features)} features; its steps have {values.shape[1]} values"
        )
    places = places_of_features(features, read, where) if named else None
    if places is not None:
        values, features = values[:, places], read.features or ()
    if len(set(features)) < len(features):
        raise UnusableInput(where, f"names a feature twice: {', '.join(features)}")
    _check_width(values.shape[1], features, read, where)
    with np.errstate(over="ignore", invalid="ignore"):
        # What is scaled before it is given to the model is rounded only then.
        numbers: Floats = values.astype(model.dtype if read.scaling is None else np.float64)
        finite = np.isfinite(read.scaled(numbers))
    if not finite.all():
        wrong = np.argwhere(~finite)
        step, feature = wrong[0].tolist()
        value = values[step, feature]
        found = f"feature `{features[feature]}` is {value} at step {step}"
        more = f" (as are {len(wrong) - 1} more values)" if len(wrong) > 1 else ""
        if np.isfinite(value):
            scaled = ", scaled," if np.isfinite(numbers[step, feature]) else ""
            raise UnusableInput(where, f"{found}{more}, which{scaled} {model.dtype} cannot hold")
        raise UnusableInput(
            where, f"{found}{more}; expected finite numbers: fill or drop what is missing"
        )
    return numbers, features


def _as_steps(values: NDArray[Any], read: Input, where: str) -> NDArray[Any]:
    """Numbers as a row for each step; a vector is one step."""
    if values.dtype.kind not in "fiu":
        raise UnusableInput(where, f"holds {values.dtype} elements; expected numbers")
    if values.ndim == 1 and not read.steps:
        values = values[np.newaxis]
    elif values.ndim == 1 and read.size == 1:
        values = values[:, np.newaxis]
    if values.ndim != 2:
        raise UnusableInput(
            where, f"a sequence has shape {shape_text(values.shape)}; expected (steps, {read.size})"
        )
    if not read.steps and len(values) != 1:
        raise UnusableInput(
            where,
            f"has {len(values)} steps, and the model takes one vector a sequence; "
            f"expected {read.size} numbers",
        )
    return values


def sequence_of_array(
    number: int, name: str | None, array: NDArray[Any], model: Model, where: str
) -> Sequence:
    """The sequence that an array is, called by a name."""
    if model.only_input.embedding is None:
        values, features = checked_values(array, None, model, where)
        return Sequence(number, values, features=features, id=name)
    array = whole_numbers(array)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UnusableInput(
            where,
            f"a sequence is {array.dtype} {shape_text(array.shape)}; "
            "the model takes tokens, expected (steps,) integer ids, or a text",
        )
    (encoded,) = Tokenizer(model.only_input).of_ids([array.tolist()], where)
    return Sequence(number, encoded.ids, encoded.tokens, id=name)


def whole_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Ids as integers, as which frameworks read them too where they were saved as floats."""
    if array.dtype.kind == "f" and array.size and np.all(np.abs(array) < np.float64(LARGEST_ID)):
        ids = array.astype(np.int64)
        return ids if np.array_equal(ids, array) else array
    return array


def dimensions_of(read: Input) -> int:
    """Of an array that holds several sequences."""
    return 3 if read.embedding is None and read.steps else 2


def _check_width(found: int, features: tuple[str, ...], read: Input, where: str) -> None:
    if read.embedding is None and found != read.size:
        raise UnusableInput(
            where,
            f"has {found} feature{'s' * (found != 1)} ({', '.join(features[:8])}); "
            f"the model takes {read.size}",
        )


def csv_rows(lines: Iterable[tuple[str, str]], where: str) -> Iterator[tuple[list[str], str]]:
    """Split lines into rows, each with its place for error messages; empty lines are passed over.

    Parameters
    ----------
    lines : iterable of (text, place)
    """
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader(text for text, _ in lines)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise UnusableInput(
                f"{where}: line {reader.line_num}", f"is no CSV: {error}"
            ) from error
        if row is None:
            return
        if row:
            yield row, f"{where}: line {reader.line_num}"
