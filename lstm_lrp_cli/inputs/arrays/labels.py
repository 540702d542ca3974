"""True classes that are kept as an array: numbers, labels, or a column for each class."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.inputs.series import whole_numbers
from lstm_lrp_cli.inputs.tokens import gold_class
from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.loading.files.numpy import open_npy
from lstm_lrp_cli.loading.pickles.numpy import read_npy
from lstm_lrp_cli.model.model import Model

# How the header of a .npy file says that it holds Python's objects, and within how many bytes.
OBJECTS = b"'|O'"
HEADER = 128


def read_golds(path: Path, model: Model, where: str) -> list[int]:
    """The true classes of a .npy file, of Python's texts and numbers too; nothing in it is run.

    Raises
    ------
    UnusableInput
        It is no such file, or not of the model's classes.
    """
    if path.is_file() and _has_objects(path):
        return golds_of(_of_objects(read_npy(path, where).values(), where), model, where)
    return golds_of(open_npy(path, where), model, where)


def _has_objects(path: Path) -> bool:
    """Whether a file says that it holds Python's objects."""
    with suppress(OSError), path.open("rb") as file:
        return OBJECTS in file.read(HEADER)
    return False


def _of_objects(values: list[Any], where: str) -> NDArray[Any]:
    """Labels or numbers, as the column of a data frame has them."""
    for row, value in enumerate(values):
        if not isinstance(value, str | int | float):
            raise UnusableInput(
                f"{where}: row {row}",
                f"is {value!r:.40}; expected the number of a class, or a label",
            )
    if any(isinstance(value, str) for value in values):
        return np.array([str(value) for value in values])
    return np.array(values)


def golds_of(array: NDArray[Any], model: Model, where: str) -> list[int]:
    """The number of the true class of each sequence.

    Parameters
    ----------
    array : ndarray, shape (sequences,) or (sequences, 1), or one-hot (sequences, classes)
        Labels of the model as text, or class numbers.

    Raises
    ------
    UnusableInput
        It is none of these, or a row is no class of the model.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.ndim == 2 and array.shape[1] == model.targets and array.dtype.kind in "fiu":
        return _of_one_hot(array, where)
    array = whole_numbers(array) if array.ndim == 1 else array
    if array.ndim != 1 or array.dtype.kind not in "iuSU":
        _refuse(array, model, where)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    named, rows, which = np.unique(array, return_index=True, return_inverse=True)
    pairs = zip(named.tolist(), rows.tolist(), strict=True)
    classes = [gold_class(name, model, f"{where}: row {row}") for name, row in pairs]
    return [classes[place] for place in which.ravel().tolist()]


def _of_one_hot(array: NDArray[Any], where: str) -> list[int]:
    wrong = ((array != 0) & (array != 1)).any(axis=1) | ((array == 1).sum(axis=1) != 1)
    if wrong.any():
        row = int(wrong.argmax())
        found = ", ".join(f"{number:g}" for number in array[row, :8].tolist())
        raise UnusableInput(
            f"{where}: row {row}",
            f"is [{found}]; expected one 1 and else 0, or class numbers: y.argmax(axis=1)",
        )
    classes: list[int] = array.argmax(axis=1).tolist()
    return classes


def _refuse(array: NDArray[Any], model: Model, where: str) -> None:
    if array.ndim == 1 and array.dtype.kind == "f" and len(array):
        row = int((array != np.floor(array)).argmax())
        raise UnusableInput(
            f"{where}: row {row}", f"is {array[row]:g}; expected the number of a class, or a label"
        )
    raise UnusableInput(
        where,
        f"is {array.dtype} {shape_text(array.shape)}; expected the true classes: numbers or labels "
        f"(sequences,), or one-hot (sequences, {model.targets})",
    )


def with_golds(
    sequences: Iterator[Sequence], golds: list[int], where: str, of: str
) -> Iterator[Sequence]:
    """Sequences with their true classes, of which there must be as many.

    Parameters
    ----------
    where, of : str
        What messages call the classes, and the sequences.
    """
    count = 0
    for sequence in sequences:
        if count == len(golds):
            raise UnusableInput(
                where, f"holds {len(golds)} true classes, and {of} more sequences than that"
            )
        yield replace(sequence, gold=golds[count])
        count += 1
    if count < len(golds):
        raise UnusableInput(
            where, f"holds {len(golds)} true classes, and {of} {count} sequences; expected as many"
        )
