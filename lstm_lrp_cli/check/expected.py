"""What the user's own framework computed: scores, and relevance where they have it.

`Expectation` is what the checks ask, whether the numbers stand in a file (`Expected`) or are being
computed (`Live`, of `against`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput, reading
from lstm_lrp_cli.inputs.batching import Batch, Packed
from lstm_lrp_cli.inputs.lines import decoded_lines
from lstm_lrp_cli.inputs.series import csv_rows
from lstm_lrp_cli.inputs.stream import open_input
from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.loading.files.numpy import open_npy
from lstm_lrp_cli.loading.opening import open_arrays
from lstm_lrp_cli.model import Booleans
from lstm_lrp_cli.model.model import Model
from .kinds import KINDS, Kind

NOT_SCORES = frozenset({"sequence", "id", "label", "text", "tokens", "predicted", "target", "date"})


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedRelevance:
    """The relevance of one sequence, for which target, and where it stands.

    It is that of each input, by its name; None is the name of the only one.
    """

    values: Mapping[str | None, NDArray[Any]]
    target: str | int | None
    where: str


class Expectation(Protocol):
    """Where the numbers come from that a model's own are compared with, batch by batch.

    `framework` is what computes them, None where they stand in a file. `compared_with` is what
    knows the model of itself; None where a framework is told by the mapping how layers are
    connected. `kinds` has what they may be; where that is left open, what deviates least is meant,
    of what they can be. `tolerance` is what they may differ by where the user does not say it.
    `abreast` is how many sequences may be asked for before later ones are, in their order; None is
    all in any order.
    """

    @property
    def framework(self) -> str | None: ...

    @property
    def compared_with(self) -> str | None: ...

    @property
    def kinds(self) -> Sequence[Kind]: ...

    @property
    def tolerance(self) -> float: ...

    @property
    def abreast(self) -> int | None: ...

    def of_batch(
        self, batch: Batch, shapes: Sequence[tuple[int, ...]], steps: Packed | None
    ) -> Sequence[NDArray[Any] | None]:
        """The numbers of each sequence, whose shapes should be those; None where there are none.

        Of a model by step, `steps` are those of the scores.
        """
        ...

    @property
    def relevance(self) -> Mapping[int, ExpectedRelevance]: ...

    def check_count(self, sequences: int) -> None:
        """Refuse numbers of more sequences than there are."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What every sequence of the input should come to.

    Parameters
    ----------
    where : str
        The file.
    scores : sequence of ndarray, each of shape (classes,), or (steps, classes)
        Scores, or probabilities, of each sequence; of a model by step, of each of its steps.
    relevance : dict
        Of the sequences for which the file has it, by their number.
    """

    where: str
    scores: Sequence[NDArray[Any]]
    relevance: Mapping[int, ExpectedRelevance] = field(default_factory=dict)

    @property
    def framework(self) -> None:
        return None

    @property
    def by_step(self) -> bool:
        """Whether each sequence has scores at every step."""
        return any(scores.ndim == 2 for scores in self.scores)

    @property
    def compared_with(self) -> str:
        return self.where

    @property
    def kinds(self) -> Sequence[Kind]:
        """Scores; or what comes of them, where all that are compared could be such."""
        return KINDS

    @property
    def tolerance(self) -> float:
        return 1e-5

    @property
    def abreast(self) -> None:
        return None

    def of_batch(
        self, batch: Batch, shapes: Sequence[tuple[int, ...]], steps: Packed | None
    ) -> Sequence[NDArray[Any] | None]:
        """The numbers of each sequence, whose shapes should be those."""
        numbers = [sequence.number for sequence in batch.sequences]
        kept, read = (steps or batch.packed[0]).kept(), batch.packed[0].given.tolist()
        return list(map(self.of, numbers, shapes, kept, read))

    def of(self, number: int, shape: tuple[int, ...], kept: Booleans, read: int) -> NDArray[Any]:
        """The scores of one sequence of so many steps read, whose shape should be that.

        What stands behind a sequence's last step fills an array up, and is not looked at. Scores at
        every step may be those of the steps alone that are `kept`, since frameworks are given no
        others of a sequence that is cut; NaN stands at the rest.
        """
        if number >= len(self.scores):
            raise UnusableInput(
                self.where, f"holds {len(self.scores)} rows of scores; the input has more sequences"
            )
        scores = self.scores[number]
        if len(shape) == scores.ndim == 2 and shape[0] == 0 < min(read, len(scores)):
            raise UnusableInput(
                self.where,
                f"has scores of {len(scores)} steps for sequence {number}; the model makes none of "
                f"its {read} steps, so that there is nothing to compare",
            )
        if len(shape) == scores.ndim == 2 and len(scores) == kept.sum() < shape[0]:
            given, scores = scores, np.full((len(kept), scores.shape[1]), np.nan)
            scores[kept] = given
        elif len(shape) == 2:
            scores = scores[: shape[0]]
        if scores.shape != shape:
            raise UnusableInput(
                self.where,
                f"has scores of shape {shape_text(scores.shape)} for sequence {number}; "
                f"expected {shape_text(shape)}",
            )
        return scores

    def check_count(self, sequences: int) -> None:
        """Refuse scores of more sequences than there are."""
        if sequences != len(self.scores):
            raise UnusableInput(
                self.where,
                f"holds {len(self.scores)} rows of scores; the input has {sequences} sequences",
            )


_Amounts = list[float | list[float | None] | None]


class _JsonScores(Struct):
    scores: list[float | list[float | None] | None]
    relevance: _Amounts | dict[str, _Amounts] | None = None
    target: str | int | None = None


def read_expected(path: Path, model: Model) -> Expected:
    """Read expected scores from .npy, .npz (`scores`), .csv or .jsonl.

    Raises
    ------
    UnusableInput
        The file cannot be used, or has another number of scores than the model.
    """
    with reading(str(path)):
        return _expected(path, model)


def _expected(path: Path, model: Model) -> Expected:
    match path.suffix.lower():
        case ".npy":
            return _from_array(np.asarray(open_npy(path, str(path))), str(path), model)
        case ".npz":
            return _from_array(_from_npz(path), str(path), model)
        case ".csv":
            with open_input(str(path)) as opened:
                lines = decoded_lines(opened.file, str(path))
                return _from_array(_from_csv(lines, str(path)), str(path), model)
        case ".jsonl" | ".ndjson":
            with open_input(str(path)) as opened:
                lines = decoded_lines(opened.file, str(path))
                return _from_json_lines(lines, str(path), model)
        case _:
            raise UnusableInput(
                str(path), "expected scores are read from .npy, .npz, .csv or .jsonl files"
            )


def read_form_of_scores(path: Path) -> tuple[int, int]:
    """How many axes the scores of a file have, sequences counted, and how many there are last.

    Raises
    ------
    UnusableInput
        The file cannot be used.
    """
    with reading(str(path)):
        return _form_of_scores(path)


def _form_of_scores(path: Path) -> tuple[int, int]:
    match path.suffix.lower():
        case ".npy":
            shape = open_npy(path, str(path)).shape
        case ".npz":
            shape = _from_npz(path).shape
        case ".csv":
            with open_input(str(path)) as opened:
                shape = _from_csv(decoded_lines(opened.file, str(path)), str(path)).shape
        case _:
            with open_input(str(path)) as opened:
                line, place = next(decoded_lines(opened.file, str(path)), ("", str(path)))
                scores = [each for each in _decoded(line, place).scores if each is not None]
                shape = (1, *np.shape(_of_any_form(scores, place)))
    return len(shape), int(shape[-1]) if len(shape) > 1 else 1


def _from_array(scores: NDArray[Any], where: str, model: Model) -> Expected:
    """Scores as one array: (sequences, classes), or (sequences, steps, classes) by step."""
    if scores.dtype.kind not in "fiu":
        raise UnusableInput(where, f"holds {scores.dtype} elements; expected numbers")
    dimensions = 3 if model.by_step else 2
    if scores.ndim == dimensions - 1 and model.classes == 1:
        scores = scores[..., np.newaxis]
    if scores.ndim != dimensions or scores.shape[-1] != model.classes:
        steps = "steps, " if model.by_step else ""
        raise UnusableInput(
            where,
            f"has scores of shape {shape_text(scores.shape)}; "
            f"expected (sequences, {steps}{model.classes}), one for each output of the model",
        )
    return Expected(where, list(scores.astype(np.float64)))


def _from_npz(path: Path) -> NDArray[Any]:
    with open_arrays(path) as file:
        names = list(file.datasets)
        name = "scores" if "scores" in names else names[0]
        if name != "scores" and len(names) > 1:
            raise UnusableInput(
                str(path), f"holds {', '.join(names[:8])}; expected an array `scores`"
            )
        return file.read(name)


def _from_csv(lines: Iterator[tuple[str, str]], where: str) -> NDArray[Any]:
    rows = list(csv_rows(lines, where))
    if not rows:
        raise UnusableInput(where, "is empty; expected one row of scores a sequence")
    columns = list(range(len(rows[0][0])))
    if not all(_is_number(text) for text in rows[0][0]):
        header, _ = rows.pop(0)
        columns = [i for i, name in enumerate(header) if name.strip().lower() not in NOT_SCORES]
    scores = []
    for row, place in rows:
        try:
            scores.append([float(row[column]) for column in columns])
        except (ValueError, IndexError) as error:
            raise UnusableInput(
                place, f"found `{','.join(row)[:60]}`; expected {len(columns)} scores"
            ) from error
    return np.array(scores).reshape(len(scores), len(columns))


def _from_json_lines(lines: Iterator[tuple[str, str]], where: str, model: Model) -> Expected:
    scores: list[NDArray[Any]] = []
    relevance: dict[int, ExpectedRelevance] = {}
    for number, (line, place) in enumerate(lines):
        found = _decoded(line, place)
        scores.append(_of_line(found.scores, place, model))
        if found.relevance is not None:
            named: dict[Any, Any] = {None: found.relevance}
            if isinstance(found.relevance, dict):
                named = found.relevance
            try:
                values = {
                    name: np.array(amounts, dtype=np.float64) for name, amounts in named.items()
                }
            except ValueError as error:
                raise UnusableInput(place, "its `relevance` is ragged") from error
            relevance[number] = ExpectedRelevance(values, found.target, place)
    if not scores:
        raise UnusableInput(where, "is empty; expected one line of scores a sequence")
    return Expected(where, scores, relevance)


_DECODER = msgspec.json.Decoder(_JsonScores | list[float | list[float | None] | None])


def _decoded(line: str, place: str) -> _JsonScores:
    try:
        found = _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnusableInput(
            place, f'{error}; expected {{"scores": [..]}} or a list of scores'
        ) from error
    return _JsonScores(found) if isinstance(found, list) else found


def _of_any_form(scores: list[Any], place: str) -> NDArray[Any]:
    """Scores of one line as an array, whatever its axes."""
    try:
        return np.array(scores, dtype=np.float64)
    except ValueError as error:
        raise UnusableInput(place, "its `scores` are ragged") from error


def _of_line(scores: list[Any], place: str, model: Model) -> NDArray[Any]:
    """The scores of one line: a list, or one list a step, which may be null where it is masked."""
    if model.by_step:
        scores = [[None] * model.classes if each is None else each for each in scores]
    array = _of_any_form(scores, place)
    if not array.size and model.by_step:
        array = array.reshape(0, model.classes)
    if array.ndim != 1 + model.by_step or array.shape[-1] != model.classes:
        kind = "a list of them for each step" if model.by_step else "one for each output"
        raise UnusableInput(
            place,
            f"has scores of shape {shape_text(array.shape)}; expected {model.classes}, {kind}",
        )
    return array


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
