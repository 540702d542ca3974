"""NumPy's .npz: all explanations one after another in a few arrays, none of them pickled."""

import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import IO, Any, BinaryIO

import msgspec
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lstm_lrp_cli.engine.forward import originals
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.explanation import Explanation, ledger_object
from lstm_lrp_cli.inputs.stream import spooling
from lstm_lrp_cli.model import Floats, Integers
from .writer import Joined, Layout, Sink, Writer, amount_names, numbers_of

# What stands where there is no class or step.
NONE = -1
# Arrays up to this size wait in memory, larger ones in temporary files.
IN_MEMORY = 2**20
# By name, what is to be appended to the arrays: to offsets, the lengths of the pieces.
Arrays = dict[str, NDArray[Any]]
# What the features of each input are called.
FeatureNames = tuple[frozenset[tuple[str, ...]], ...]


class NpzWriter(Writer[Sequence[Explanation]]):
    """Gives arrays to a sink, and what the features of their sequences are called."""

    def __init__(self, sink: Sink, layout: Layout) -> None:
        self._sink = sink
        self._layout = layout

    @classmethod
    def sink(cls, file: BinaryIO, layout: Layout) -> Sink:
        return NpzSink(file, layout)

    def open(self) -> None:
        self._sink.open()

    def write(self, explanations: Sequence[Explanation], /) -> None:
        for part in self._layout.parts_in_columns(explanations):
            named = tuple(
                frozenset(own.features for own in joined.parts if own.features)
                for joined in _inputs(part, self._layout)
            )
            self._sink.write((arrays_of(part, self._layout), named))

    def close(self) -> None:
        self._sink.close()


class NpzSink(Sink):
    """Gathers arrays in temporary files, for only at the end it is known how long they are."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self._features: FeatureNames = (frozenset(),) * len(layout.model.inputs)
        self._stack = ExitStack()
        self._arrays = arrays_of([], layout)  # without rows, they show types and shapes
        self._rows = dict.fromkeys(self._arrays, 0)
        self._ends = dict.fromkeys(self._arrays, 0)  # of the pieces, by the names of offsets
        self._gathered: dict[str, IO[bytes]] = {}

    def open(self) -> None:
        for name in self._arrays:
            file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (the stack closes it)
            self._gathered[name] = self._stack.enter_context(file)
            if _is_offsets(name):
                self._append(name, np.zeros(1, dtype=np.int64))

    def write(self, part: tuple[Arrays, FeatureNames], /) -> None:
        arrays, features = part
        pairs = zip(self._features, features, strict=True)
        self._features = tuple(before | found for before, found in pairs)
        if max(map(len, self._features)) > 1:
            raise UnusableInput(
                "--format npz",
                "the features do not have the same names in all sequences; expected one list of "
                "names, or a format that names them for each, such as parquet",
            )
        for name, array in arrays.items():
            if _is_offsets(name):
                array = self._ends[name] + np.cumsum(array)
                self._ends[name] = int(array[-1]) if len(array) else self._ends[name]
            self._append(name, array)

    def close(self) -> None:
        with zipfile.ZipFile(self._file, "w") as archive:
            for name, names in self._names().items():
                with _member(archive, name) as member:
                    npy.write_array(member, names, allow_pickle=False)
            for name, array in self._arrays.items():
                header = {
                    "descr": npy.dtype_to_descr(array.dtype),
                    "fortran_order": False,
                    "shape": (self._rows[name], *array.shape[1:]),
                }
                self._gathered[name].seek(0)
                with _member(archive, name) as member:
                    npy.write_array_header_1_0(member, header)
                    shutil.copyfileobj(self._gathered[name], member, IN_MEMORY)

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _append(self, name: str, array: NDArray[Any]) -> None:
        with spooling():
            self._gathered[name].write(array.tobytes())
        self._rows[name] += len(array)

    def _names(self) -> dict[str, NDArray[np.str_]]:
        """What does not grow: what numbers in the other arrays mean."""
        layout, model = self._layout, self._layout.model
        names = {
            "about": np.array(msgspec.json.encode(layout.about).decode("utf-8")),
            "methods": _names_array(method.name for method in layout.methods),
            "targets": _names_array(map(model.target_name, range(model.targets))),
            "ledger_names": _names_array(amount_names(layout)),
        }
        if model.several_inputs:
            names["inputs"] = _names_array(model.input_names)
        for joined, found in zip(_inputs([], layout), self._features, strict=True):
            if joined.read.embedding is None:
                names[_of_input("features", joined)] = _names_array(next(iter(found), ()))
        return names


def arrays_of(explanations: Sequence[Explanation], layout: Layout) -> Arrays:
    """The arrays of some explanations, or of none: then they show the shapes."""
    model = layout.model
    sequences = [each.sequence for each in explanations]
    methods = {method.name: place for place, method in enumerate(layout.methods)}
    arrays: Arrays = {
        "sequence": numbers_of(explanations),
        "method": _integers(methods[each.method] for each in explanations),
        "target": _integers(each.target_number if each.scored else None for each in explanations),
        "predicted": _integers(each.predicted_number for each in explanations),
        "label": _integers(each.gold for each in sequences),
        "scores": _scores(explanations, layout),
        "ledger": _ledgers(explanations, amount_names(layout)),
    }
    if model.output_scaling is not None:
        arrays["original"] = _originals(explanations, layout)
    inputs = [(joined, _arrays_of_input(joined)) for joined in _inputs(explanations, layout)]
    for joined, (relevance, _) in inputs:
        arrays |= {_of_input(name, joined): array for name, array in relevance.items()}
    arrays |= _texts("id", ["" if each.id is None else str(each.id) for each in sequences])
    if layout.asked.of_difference:
        arrays["against"] = _integers(each.against_number for each in explanations)
    if model.by_step:
        arrays["step"] = _integers(each.step for each in explanations)
    for joined, (_, given) in inputs:
        arrays |= {_of_input(name, joined): array for name, array in given.items()}
    return arrays


def _inputs(explanations: Sequence[Explanation], layout: Layout) -> list[Joined]:
    return [Joined(explanations, layout, number) for number in range(len(layout.model.inputs))]


def _arrays_of_input(joined: Joined) -> tuple[Arrays, Arrays]:
    """What one input has: the relevance, and what it was given."""
    relevance = {"offsets": joined.lengths, "relevance": joined.relevance}
    dates: Arrays = {}
    if joined.layout.dated:
        dates = _texts("date", [date or "" for date in joined.dates])
    if joined.read.embedding is not None:
        return relevance, _texts("token", joined.tokens) | dates
    return relevance, {"values": joined.values} | dates


def _of_input(name: str, joined: Joined) -> str:
    """What an array of one input is called: where there are several, by its name as well."""
    model = joined.layout.model
    return f"{name}:{model.input_names[joined.number]}" if model.several_inputs else name


def _is_offsets(name: str) -> bool:
    """Whether an array has the ends of pieces, whatever its input is called."""
    return name.partition(":")[0].endswith("offsets")


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A member of an archive, to be written; without a date, so that the same run gives the same.

    It may become longer than 4 GiB.
    """
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _scores(explanations: Sequence[Explanation], layout: Layout) -> Floats:
    """The scores of each, shape (explanations, classes); NaN where there are none."""
    scores = np.full((len(explanations), layout.model.classes), np.nan, dtype=layout.model.dtype)
    for row, each in zip(scores, explanations, strict=True):
        if each.scored:
            row[:] = each.scores
    return scores


def _originals(explanations: Sequence[Explanation], layout: Layout) -> Floats:
    """The same in original units."""
    found = originals(layout.model, _scores(explanations, layout))
    assert found is not None
    return found


def _ledgers(explanations: Sequence[Explanation], names: list[str]) -> Floats:
    """The amounts of these names, shape (explanations, names); NaN where a ledger has none."""
    found = [{} if each.ledger is None else ledger_object(each.ledger) for each in explanations]
    amounts = [[ledger.get(name, np.nan) for name in names] for ledger in found]
    return np.array(amounts, dtype=np.float64).reshape(len(explanations), len(names))


def _integers(values: Iterable[int | None]) -> Integers:
    return np.fromiter((NONE if each is None else each for each in values), dtype=np.int64)


def _names_array(names: Iterable[str | int]) -> NDArray[np.str_]:
    return np.array([str(name) for name in names], dtype=np.str_)


def _texts(name: str, texts: list[str]) -> Arrays:
    """Texts one after another in UTF-8, and their lengths; a fixed width would be the longest's."""
    encoded = [text.encode("utf-8") for text in texts]
    return {
        f"{name}_offsets": np.fromiter(map(len, encoded), dtype=np.int64),
        f"{name}_bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
    }
