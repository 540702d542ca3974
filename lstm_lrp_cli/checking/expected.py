"""What the user's own framework computed: scores, and relevance where they have it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.formats import open_weights
from lstm_lrp_cli.loading.npy import open_npy
from lstm_lrp_cli.loading.weight_file import shape_text
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.csv_rows import csv_rows
from lstm_lrp_cli.sequences.lines import decoded_lines
from lstm_lrp_cli.sequences.stream import open_input

NOT_SCORES = frozenset({"sequence", "id", "label", "text", "tokens", "predicted", "target"})


@dataclass(frozen=True, slots=True, eq=False)
class ExpectedRelevance:
    """The relevance of one sequence, and for which target."""

    values: NDArray[Any]
    target: str | int | None


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What every sequence of the input should come to.

    Parameters
    ----------
    where : str
        The file.
    scores : ndarray, shape (sequences, classes)
        Scores, or probabilities.
    relevance : dict
        Of the sequences for which the file has it, by their number.
    """

    where: str
    scores: NDArray[Any]
    relevance: dict[int, ExpectedRelevance] = field(default_factory=dict)


class _JsonScores(Struct):
    scores: list[float]
    relevance: list[float | list[float]] | None = None
    target: str | int | None = None


def read_expected(path: Path, model: Model) -> Expected:
    """Read expected scores from .npy, .npz (`scores`), .csv or .jsonl.

    Raises
    ------
    UnusableInput
        The file cannot be used, or has another number of scores than the model.
    """
    match path.suffix.lower():
        case ".npy":
            expected = Expected(str(path), np.asarray(open_npy(path, str(path))))
        case ".npz":
            expected = Expected(str(path), _from_npz(path))
        case ".csv":
            with open_input(str(path)) as opened:
                lines = decoded_lines(opened.file, str(path))
                expected = Expected(str(path), _from_csv(lines, str(path)))
        case ".jsonl" | ".ndjson":
            with open_input(str(path)) as opened:
                expected = _from_json_lines(decoded_lines(opened.file, str(path)), str(path))
        case _:
            raise UnusableInput(
                str(path), "expected scores are read from .npy, .npz, .csv or .jsonl files"
            )
    return _checked(expected, model)


def _checked(expected: Expected, model: Model) -> Expected:
    scores = expected.scores
    if scores.dtype.kind not in "fiu":
        raise UnusableInput(expected.where, f"holds {scores.dtype} elements; expected numbers")
    if scores.ndim == 1 and model.classes == 1:
        scores = scores[:, np.newaxis]
    if scores.ndim != 2 or scores.shape[1] != model.classes:
        raise UnusableInput(
            expected.where,
            f"has scores of shape {shape_text(scores.shape)}; "
            f"expected (sequences, {model.classes}), one for each output of the model",
        )
    return Expected(expected.where, scores.astype(np.float64), expected.relevance)


def _from_npz(path: Path) -> NDArray[Any]:
    with open_weights(path).file as file:
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


def _from_json_lines(lines: Iterator[tuple[str, str]], where: str) -> Expected:
    decoder = msgspec.json.Decoder(_JsonScores | list[float])
    scores: list[list[float]] = []
    relevance: dict[int, ExpectedRelevance] = {}
    for number, (line, place) in enumerate(lines):
        try:
            found = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UnusableInput(
                place, f'{error}; expected {{"scores": [..]}} or a list of scores'
            ) from error
        if isinstance(found, list):
            found = _JsonScores(found)
        if scores and len(found.scores) != len(scores[0]):
            raise UnusableInput(
                place, f"has {len(found.scores)} scores; the lines before have {len(scores[0])}"
            )
        scores.append(found.scores)
        if found.relevance is not None:
            try:
                values = np.array(found.relevance, dtype=np.float64)
            except ValueError as error:
                raise UnusableInput(place, "its `relevance` is ragged") from error
            relevance[number] = ExpectedRelevance(values, found.target)
    if not scores:
        raise UnusableInput(where, "is empty; expected one line of scores a sequence")
    return Expected(where, np.array(scores), relevance)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
