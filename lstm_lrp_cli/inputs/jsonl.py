"""JSON lines: one sequence a line, of tokens, text or numbers; or with a key for each input."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from .documents import Document, rows_of_values, sequences_of_documents
from .lines import Lines
from .sequence import Sequence, joined, ways_to_give
from .tables.columns import ID, LABEL, Columns
from .tokens import gold_class

_DECODER = msgspec.json.Decoder(Document)
_OBJECTS = msgspec.json.Decoder(dict[str, Any])
_EMPTY = Document(tokens=[], values=[])
# What a line may have for the only input of a model.
OWN_KEYS = ("tokens", "text", "values", "features", "dates")
# Of those, what stands beside the values of an input, by its name where there are several.
BESIDE = ("features", "dates")
LISTED = 8
# How many numbers, or texts, a line may have before any of it is read. Each takes ten times the
# memory that it takes in the line.
MOST_VALUES = 2**24
MOST_TEXTS = 2**23
Read = TypeVar("Read")


class _Keys(Struct, frozen=True):
    """The keys that an object has for each input, and others; None where an input's is open."""

    inputs: tuple[str | None, ...]
    label: str | None
    id: str | None


def read_json_lines(
    lines: Lines, model: Model, *, ids: bool, labelled: bool, columns: Columns
) -> list[Sequence]:
    """Read one JSON object a line: tokens, ids as tokens, text, or a series' values.

    For a model with several inputs, an object has a key for each, by its name: a text, a list of
    tokens or of ids; of numbers a list, or a list of them for each step. Errors name the first
    line.
    """
    place = lines.place
    if model.several_inputs or columns.told:
        return _read_named(lines, model, _keys(columns, model), ids=ids, labelled=labelled)
    documents = [_document(line, place) for line in lines.texts()]
    golds = [_gold(each, model, place) if labelled else None for each in documents]
    return sequences_of_documents(documents, golds, lines.first - 1, model, ids=ids, place=place)


def _keys(columns: Columns, model: Model) -> _Keys:
    """What keys are called: as is told, or as usual where that is no input's name."""
    told, names = columns.of_inputs(model), model.input_names if model.several_inputs else ()
    return _Keys(
        tuple(key or name for key, name in zip(told, names or (None,), strict=True)),
        columns.label or (None if LABEL in names else LABEL),
        columns.id or (None if ID in names else ID),
    )


def _read_named(
    lines: Lines, model: Model, keys: _Keys, *, ids: bool, labelled: bool
) -> list[Sequence]:
    """Read lines with a key for each input."""
    place = lines.place
    objects = [_object(line, place) for line in lines.texts()]
    found: list[list[Sequence]] = []
    for number, name in enumerate(model.input_names):
        reading = model.reading(number)
        documents = [_of_input(each, number, keys, model, place) for each in objects]
        golds: list[int | None] = [None] * len(documents)
        if labelled and not found:
            key = keys.label or LABEL
            golds = [_gold(each, model, place, key) for each in documents]
        where = f"{place}: {name}" if model.several_inputs else place
        found.append(
            sequences_of_documents(documents, golds, lines.first - 1, reading, ids=ids, place=where)
        )
    if not model.several_inputs:
        return found[0]
    return [joined(own[0].number, own) for own in zip(*found, strict=True)]


def _object(line: str, place: str) -> dict[str, Any] | None:
    """The object that stands on a line; None where it is blank."""
    if not line.strip():
        return None
    _check_count(line, place)
    try:
        return _OBJECTS.decode(line)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        found = _as_python_writes(line, place, dict[str, Any])
        if found is None:
            raise UnusableInput(place, f"is not JSON: {error}") from error
        return found


def _of_input(
    found: dict[str, Any] | None, number: int, keys: _Keys, model: Model, place: str
) -> Document:
    """What an object holds for one input, as a line for that alone would have it."""
    key = keys.inputs[number]
    if found is None:
        if not all(each.steps for each in model.inputs):
            raise UnusableInput(place, "is blank, and a vector cannot be empty")
        return _EMPTY
    document: dict[str, Any] = {
        name: found[own]
        for name, own in (("id", keys.id), ("label", keys.label))
        if own is not None and own in found
    }
    spelled = {f"`$.{LABEL}": keys.label, f"`$.{ID}": keys.id}
    if key is None:
        document |= {name: found[name] for name in OWN_KEYS if name in found}
    else:
        if key not in found:
            raise UnusableInput(place, _without(key, found, model))
        document |= _given(found, key, number, model)
        spelled |= {f"`$.{name}": key for name in ("tokens", "text", "values")}
    try:
        return msgspec.convert(document, Document)
    except msgspec.ValidationError as error:
        problem = str(error)
        for usual, own in spelled.items():
            problem = problem.replace(usual, f"`$.{own}")
        raise UnusableInput(place, problem) from error


def _given(found: dict[str, Any], key: str, number: int, model: Model) -> dict[str, Any]:
    """What stands under an input's key, under the name of what it is."""
    read, value = model.inputs[number], found[key]
    if read.embedding is not None:
        return {"text" if isinstance(value, str) else "tokens": value}
    given = {"values": rows_of_values(value, read)}
    for key in BESIDE:
        beside = None if key in model.input_names else found.get(key)
        if model.several_inputs:
            beside = beside.get(model.input_names[number]) if isinstance(beside, dict) else None
        given[key] = beside
    return given


def _without(key: str, found: dict[str, Any], model: Model) -> str:
    """What is wrong with an object that has no such key."""
    if model.several_inputs:
        return f"has no `{key}`; {ways_to_give(model)}"
    there = ", ".join(list(found)[:LISTED]) or "no key at all"
    return f"has no `{key}`; it has {there}: expected the key in every line"


def _document(line: str, place: str) -> Document:
    if not line.strip():
        return _EMPTY
    _check_count(line, place)
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        found = _as_python_writes(line, place, Document)
        if found is None:
            raise UnusableInput(place, f"is not JSON: {error}") from error
        return found


def _check_count(line: str, place: str) -> None:
    """Refuse a line that would unfold to far more than it is."""
    if len(line) > MOST_TEXTS and (
        line.count(",") > MOST_VALUES or line.count('"') > 2 * MOST_TEXTS
    ):
        problem = f"has more than {MOST_VALUES:,} values, or {MOST_TEXTS:,} texts"
        raise UnusableInput(place, f"{problem}; expected a sequence of fewer: part it")


def _as_python_writes(line: str, place: str, kind: type[Read]) -> Read | None:
    """A line with NaN or Infinity, which are no JSON but stand in what Python's json writes.

    Where they are among the values, these are refused by their step and feature.
    """
    import json

    try:
        found = json.loads(line)
        msgspec.json.encode(found)
        return msgspec.convert(found, kind)
    except UnicodeEncodeError as error:
        problem = "holds half a character (a surrogate, as \\ud800); expected the character itself"
        raise UnusableInput(place, problem) from error
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (ValueError, RecursionError):
        return None


def _gold(document: Document, model: Model, place: str, key: str = LABEL) -> int | None:
    if document is _EMPTY:
        return None
    if document.label is None:
        raise UnusableInput(place, f"has no `{key}`; expected the sequence's true class")
    return gold_class(document.label, model, place)
