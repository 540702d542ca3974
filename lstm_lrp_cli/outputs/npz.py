"""NumPy's .npz: all explanations one after another in a few arrays, none of them pickled."""

import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Self

import msgspec
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lstm_lrp_cli.engine.ledger import Ledger
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.explanation import Explanation, ledger_object
from lstm_lrp_cli.model.arrays import Floats
from .writer import (
    Layout,
    Sink,
    amount_names,
    lengths_of,
    numbers_of,
    parts,
    relevance_of,
    tokens_of,
    values_of,
)

# What stands where there is no class or step.
NONE = -1
# Arrays up to this size wait in memory, larger ones in temporary files.
IN_MEMORY = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class NpzPart:
    """Some explanations.

    Parameters
    ----------
    arrays : dict of ndarray
        By name what is to be appended; to offsets, the lengths of the pieces.
    features : tuple of str or None
        The names of the features of the sequences that have some.
    """

    arrays: dict[str, NDArray[Any]]
    features: tuple[str, ...] | None = None


class NpzWriter:
    """Gives arrays to a sink."""

    def __init__(self, sink: Sink, layout: Layout) -> None:
        self._sink = sink
        self._layout = layout

    def open(self) -> None:
        self._sink.open()

    def write(self, explanations: Sequence[Explanation]) -> None:
        layout = self._layout
        for part in parts(explanations, layout.model.input_size if layout.whole else 1):
            self._sink.write(NpzPart(arrays_of(part, layout), _features(part)))

    def close(self) -> None:
        self._sink.close()


def arrays_of(explanations: Sequence[Explanation], layout: Layout) -> dict[str, NDArray[Any]]:
    """The arrays of some explanations, or of none: then they show the shapes."""
    model = layout.model
    sequences = [each.sequence for each in explanations]
    methods = {method.name: place for place, method in enumerate(layout.methods)}
    arrays = {
        "sequence": numbers_of(explanations),
        "method": _integers(methods[each.method] for each in explanations),
        "target": _integers(each.target_number if each.scored else NONE for each in explanations),
        "predicted": _integers(
            NONE if each.predicted_number is None else each.predicted_number
            for each in explanations
        ),
        "label": _integers(NONE if each.gold is None else each.gold for each in sequences),
        "scores": _scores(explanations, layout),
        "ledger": _ledgers([each.ledger for each in explanations], amount_names(layout)),
        "offsets": lengths_of(explanations),
        "relevance": relevance_of(explanations, layout),
        **_texts("id", ["" if each.id is None else str(each.id) for each in sequences]),
    }
    if model.by_step:
        arrays["step"] = _integers(
            NONE if each.step is None else each.step for each in explanations
        )
    if model.embedding is not None:
        return {**arrays, **_texts("token", tokens_of(explanations))}
    return {**arrays, "values": values_of(explanations, layout)}


class NpzSink:
    """Gathers arrays in temporary files, for only at the end it is known how long they are."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self._features: tuple[str, ...] | None = None
        self._stack = ExitStack()
        self._gathered: dict[str, _Gathered] = {}

    def open(self) -> None:
        for name, array in arrays_of([], self._layout).items():
            kind = _Offsets if name.endswith("offsets") else _Gathered
            file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (the stack closes it)
            self._gathered[name] = kind(array, self._stack.enter_context(file))

    def write(self, part: NpzPart) -> None:
        self._features = self._features or part.features
        if part.features not in (None, self._features):
            raise _named_differently()
        for name, array in part.arrays.items():
            self._gathered[name].append(array)

    def close(self) -> None:
        with zipfile.ZipFile(self._file, "w") as archive:
            for name, array in self._names().items():
                with _member(archive, name) as member:
                    npy.write_array(member, array, allow_pickle=False)
            for name, gathered in self._gathered.items():
                with _member(archive, name) as member:
                    gathered.copy_to(member)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _names(self) -> dict[str, NDArray[np.str_]]:
        """What does not grow: what numbers in the other arrays mean."""
        layout, model = self._layout, self._layout.model
        names = {
            "about": np.array(msgspec.json.encode(layout.about).decode("utf-8")),
            "methods": _names_array(method.name for method in layout.methods),
            "targets": _names_array(map(model.target_name, range(model.targets))),
            "ledger_names": _names_array(amount_names(layout)),
        }
        if model.embedding is None:
            names["features"] = _names_array(self._features or ())
        return names


class _Gathered:
    """An array that grows along its first axis.

    Parameters
    ----------
    array : ndarray
        As those that will be appended, without rows.
    file : binary file
        Where it is kept.
    """

    def __init__(self, array: NDArray[Any], file: IO[bytes]) -> None:
        self._dtype, self._shape = array.dtype, array.shape[1:]
        self._rows = 0
        self._file = file

    def append(self, array: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        self._rows += len(array)

    def copy_to(self, member: Any) -> None:
        """Write a .npy file."""
        header = {
            "descr": npy.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._shape),
        }
        npy.write_array_header_1_0(member, header)
        self._file.seek(0)
        shutil.copyfileobj(self._file, member, IN_MEMORY)


class _Offsets(_Gathered):
    """Where pieces of an array begin, and the last one ends; what is appended are lengths."""

    def __init__(self, array: NDArray[Any], file: IO[bytes]) -> None:
        super().__init__(array, file)
        self._end = 0
        super().append(np.zeros(1, dtype=array.dtype))

    def append(self, array: NDArray[Any]) -> None:
        ends = self._end + np.cumsum(array)
        super().append(ends)
        self._end = int(ends[-1]) if len(ends) else self._end


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    """A member of an archive, to be written; without a date, so that the same run gives the same.

    It may become longer than 4 GiB.
    """
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _features(explanations: Sequence[Explanation]) -> tuple[str, ...] | None:
    """What all sequences call their features; None where none has any."""
    found = {each.sequence.features for each in explanations if each.sequence.features}
    if len(found) > 1:
        raise _named_differently()
    return next(iter(found), None)


def _named_differently() -> UnusableInput:
    return UnusableInput(
        "--format npz",
        "the features do not have the same names in all sequences; expected one list of names, "
        "or a format that names them for each, such as parquet",
    )


def _scores(explanations: Sequence[Explanation], layout: Layout) -> Floats:
    """The scores of each, shape (explanations, classes); NaN where there are none."""
    model = layout.model
    scores = np.full((len(explanations), model.classes), np.nan, dtype=model.dtype)
    for place, each in enumerate(explanations):
        if each.scored:
            scores[place] = each.scores
    return scores


def _ledgers(ledgers: Sequence[Ledger | None], names: list[str]) -> Floats:
    """The amounts of these names, shape (ledgers, names); NaN where a ledger has none."""
    amounts = np.full((len(ledgers), len(names)), np.nan)
    for place, ledger in enumerate(ledgers):
        if ledger is not None:
            found = ledger_object(ledger)
            amounts[place] = [found.get(name, np.nan) for name in names]
    return amounts


def _integers(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, dtype=np.int64)


def _names_array(names: Iterable[str | int]) -> NDArray[np.str_]:
    return np.array([str(name) for name in names], dtype=np.str_)


def _texts(name: str, texts: list[str]) -> dict[str, NDArray[Any]]:
    """Texts one after another in UTF-8, and their lengths; a fixed width would be the longest's."""
    encoded = [text.encode("utf-8") for text in texts]
    return {
        f"{name}_offsets": np.fromiter(map(len, encoded), dtype=np.int64),
        f"{name}_bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
    }
