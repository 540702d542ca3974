"""Numeric series: CSV, and NumPy and HDF5 arrays."""

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, shape_text
from lstm_lrp_cli.loading.files.numpy import open_npy
from lstm_lrp_cli.loading.opening import open_arrays
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Input, Model
from .features import places_of_features, tell_left_out
from .sequence import Sequence, check_named, together
from .stream import natural_order, whole_number
from .tokens import Tokenizer

# A float32 holds all whole numbers up to it.
LARGEST_ID = 2**24


def read_csv(lines: Iterable[tuple[str, str]], where: str, model: Model) -> Iterator[Sequence]:
    """Read rows of `sequence,step,FEATURE,...`; the rows of a sequence stand together, in order.

    Parameters
    ----------
    lines : iterable of (text, place)
    """
    rows = csv_rows(lines, where)
    header = [name.strip() for name in next(rows, ([], where))[0]]
    if not header:
        return
    if header[:2] != ["sequence", "step"] or len(header) < 3:
        raise UnusableInput(
            f"{where}: line 1",
            f"found the header `{','.join(header)[:60]}`; expected sequence,step,FEATURE,...",
        )
    features = tuple(header[2:])
    places = places_of_features(features, model.only_input, f"{where}: line 1")
    if places is not None:
        tell_left_out(features, model.only_input, where)
        features = model.only_input.features or ()
    _check_width(len(features), features, model.only_input, f"{where}: line 1")
    finished: set[str] = set()
    current: str | None = None
    values: list[list[float]] = []
    last_step = 0.0
    for row, place in rows:
        if len(row) != len(header):
            raise UnusableInput(place, f"has {len(row)} fields; expected {len(header)}")
        name = row[0]
        step = _number(row[1], "step", f"{place}: sequence {name}")
        if name != current:
            if current is not None:
                yield _of_rows(len(finished), current, values, features, model, where)
                finished.add(current)
            if name in finished:
                raise UnusableInput(
                    place, f"sequence {name} goes on after another; sort the file by sequence, step"
                )
            current, values = name, []
        elif not step > last_step:
            raise UnusableInput(
                place, f"step {row[1]} after {last_step:g}; expected the steps in order"
            )
        last_step = step
        at = f"{place}: sequence {name}, step {row[1]}"
        own = row[2:] if places is None else [row[2 + column] for column in places]
        values.append([_number(text, key, at) for key, text in zip(features, own, strict=True)])
    if current is not None:
        yield _of_rows(len(finished), current, values, features, model, where)


def read_array(path: Path, where: str, model: Model) -> Iterator[Sequence]:
    """Read a .npy array: (N, T, features), or one series (T, features).

    For a model with an embedding, (N, T) or (T,) token ids.
    """

    yield from sequences_of_array(open_npy(path, where), model, where)


def read_arrays(path: Path, where: str, model: Model) -> Iterator[Sequence]:
    """Read an .npz or HDF5 file: one array `x` (N, T, features), or one array a sequence.

    For a model with several inputs, one array for each, of all sequences, by its name.
    """
    try:
        file = open_arrays(path)
    except UnusableInput as error:  # a spooled input is not to be called by its temporary name
        raise UnusableInput(where, error.problem) from error
    with file:
        _refuse_table(file, where)
        if model.several_inputs:
            check_named(file.datasets, model, where, "array")
            yield from together(
                [
                    sequences_of_array(file.read(name), model.reading(k), f"{where}: {name}")
                    for k, name in enumerate(model.input_names)
                ],
                model,
                [f"{where}: {name}" for name in model.input_names],
            )
            return
        _check_names(file, where, model.only_input)
        if list(file.datasets) == ["x"]:
            yield from sequences_of_array(file.read("x"), model, f"{where}: x")
        else:
            for number, name in enumerate(natural_order(file.datasets)):
                yield _of_array(number, name, file.read(name), model, f"{where}: {name}")


def sequences_of_array(array: NDArray[Any], model: Model, where: str) -> Iterator[Sequence]:
    """The sequences of one array, or the one that it is."""
    read = model.only_input
    dimensions = _dimensions(read)
    if array.dtype.kind not in "fiu":
        raise UnusableInput(where, f"holds {array.dtype} elements; expected numbers")
    if read.parts is not None and array.ndim == dimensions + 1 and array.shape[2] == read.parts:
        # Sequences of sequences, whose steps stand one after another.
        array = array.reshape(len(array), -1, *array.shape[3:])
    if array.ndim not in (dimensions, dimensions - 1) or (
        array.shape[-1] != read.size and read.embedding is None
    ):
        raise UnusableInput(where, _misshaped(array.shape, read))
    if array.ndim < dimensions:
        yield _of_array(0, None, array, model, where)
        return
    for number, series in enumerate(array):
        yield _of_array(number, None, series, model, f"{where}: sequence {number}")


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


def _refuse_table(file: ArrayFile, where: str) -> None:
    from lstm_lrp_cli.loading.files.hdf5 import refuse_table

    try:
        refuse_table(file, "write its numbers as .npy or .csv")
    except UnusableInput as error:
        raise UnusableInput(where, error.problem) from error


def _check_names(file: ArrayFile, where: str, read: Input) -> None:
    """Refuse arrays of several sequences each, which only one may be, under the name `x`."""
    shapes = {name: stored.shape for name, stored in file.datasets.items()}
    several = [name for name, shape in shapes.items() if len(shape) >= _dimensions(read)]
    if several and list(shapes) != ["x"]:
        held = ", ".join(f"{name} {shape_text(shape)}" for name, shape in [*shapes.items()][:8])
        more = f" and {len(shapes) - 8} more" if len(shapes) > 8 else ""
        named = several[0] if several[0].isidentifier() else "..."
        raise UnusableInput(
            where,
            f"holds {held}{more}; expected one array of all sequences under the name x and no "
            f'other: numpy.savez("x.npz", x={named}); or one array for each sequence',
        )


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
    if not features and read.features and len(read.features) == values.shape[1]:
        features = read.features
    features = features or tuple(f"feature_{index}" for index in range(values.shape[1]))
    if len(features) != values.shape[1]:
        raise UnusableInput(
            where, f"names {len(features)} features; its steps have {values.shape[1]} values"
        )
    places = places_of_features(features, read, where)
    if places is not None:
        values, features = values[:, places], read.features or ()
    if len(set(features)) < len(features):
        raise UnusableInput(where, f"names a feature twice: {', '.join(features)}")
    _check_width(values.shape[1], features, read, where)
    with np.errstate(over="ignore", invalid="ignore"):
        # What is scaled before it is given to the model is rounded only then.
        numbers: Floats = values.astype(model.dtype if read.scaling is None else np.float64)
        wrong = np.argwhere(~np.isfinite(read.scaled(numbers)))
    if len(wrong):
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


def _of_rows(
    number: int,
    name: str,
    rows: list[list[float]],
    features: tuple[str, ...],
    model: Model,
    where: str,
) -> Sequence:
    values, _ = checked_values(np.array(rows), features, model, f"{where}: sequence {name}")
    return Sequence(
        number, values, features=features, id=int(name) if name == str(whole_number(name)) else name
    )


def _of_array(
    number: int, name: str | None, array: NDArray[Any], model: Model, where: str
) -> Sequence:
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
    if array.dtype.kind == "f" and array.size and np.all(np.abs(array) < LARGEST_ID):
        ids = array.astype(np.int64)
        return ids if np.array_equal(ids, array) else array
    return array


def _dimensions(read: Input) -> int:
    """Of an array that holds several sequences."""
    return 3 if read.embedding is None and read.steps else 2


def _number(text: str, key: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise UnusableInput(place, f"{key} is `{text}`; expected a number") from error
    if not math.isfinite(number):
        raise UnusableInput(
            place, f"{key} is `{text}`; expected a finite number: fill what is missing"
        )
    return number


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
