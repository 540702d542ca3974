"""JSON lines: one sequence a line, of tokens, text or numbers; or with a key for each input."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Input, Model
from .lines import Lines, integers
from .sequence import Sequence, joined, ways_to_give
from .series import checked_values
from .tokens import Encoded, Tokenizer, gold_class


class _JsonSequence(Struct):
    """A line of JSON; keys of other purposes are let be."""

    tokens: list[str | int] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    values: list[list[float]] | UnsetType = UNSET
    features: list[str] | None = None
    id: str | int | None = None
    label: str | int | None = None


_DECODER = msgspec.json.Decoder(_JsonSequence)
_OBJECTS = msgspec.json.Decoder(dict[str, Any])
_EMPTY = _JsonSequence(tokens=[], values=[])
Read = TypeVar("Read")


def read_json_lines(lines: Lines, model: Model, *, ids: bool, labelled: bool) -> list[Sequence]:
    """Read one JSON object a line: tokens, ids as tokens, text, or a series' values.

    For a model with several inputs, an object has a key for each, by its name: a text, a list of
    tokens or of ids; of numbers a list, or a list of them for each step. Errors name the first
    line.
    """
    place = lines.place
    if model.several_inputs:
        return _read_named(lines, model, ids=ids, labelled=labelled)
    documents = [_document(line, place) for line in lines.texts()]
    golds = [_gold(each, model, place) if labelled else None for each in documents]
    return _sequences(documents, golds, lines, model, ids=ids)


def _sequences(
    documents: list[_JsonSequence],
    golds: list[int | None],
    lines: Lines,
    model: Model,
    *,
    ids: bool,
    place: str | None = None,
) -> list[Sequence]:
    """What each line holds for the only input of a model, or the one that it reads."""
    read, place = model.only_input, place or lines.place
    numbered = enumerate(zip(documents, golds, strict=True), start=lines.first - 1)
    if read.embedding is None:
        return [_series(each, number, gold, model, place) for number, (each, gold) in numbered]
    encoded = _encoded(documents, Tokenizer(read), place, ids=ids)
    return [
        Sequence(number, of.ids, of.tokens, id=each.id, gold=gold, unknown=of.unknown)
        for of, (number, (each, gold)) in zip(encoded, numbered, strict=True)
    ]


def _read_named(lines: Lines, model: Model, *, ids: bool, labelled: bool) -> list[Sequence]:
    """Read lines with a key for each input."""
    place = lines.place
    objects = [_object(line, place) for line in lines.texts()]
    found: list[list[Sequence]] = []
    for number, name in enumerate(model.input_names):
        reading = model.reading(number)
        documents = [_of_input(each, name, model, place) for each in objects]
        golds: list[int | None] = [None] * len(documents)
        if labelled and not found:
            golds = [_gold(each, model, place) for each in documents]
        where = f"{place}: {name}"
        found.append(_sequences(documents, golds, lines, reading, ids=ids, place=where))
    return [joined(own[0].number, own) for own in zip(*found, strict=True)]


def _object(line: str, place: str) -> dict[str, Any] | None:
    """The object that stands on a line; None where it is blank."""
    if not line.strip():
        return None
    try:
        return _OBJECTS.decode(line)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        found = _as_python_writes(line, place, dict[str, Any])
        if found is None:
            raise UnusableInput(place, f"is not JSON: {error}") from error
        return found


def _of_input(found: dict[str, Any] | None, name: str, model: Model, place: str) -> _JsonSequence:
    """What an object holds for one input, as a line for that alone would have it."""
    read = model.inputs[model.input_names.index(name)]
    if found is None:
        if not all(each.steps for each in model.inputs):
            raise UnusableInput(place, "is blank, and a vector cannot be empty")
        return _EMPTY
    if name not in found:
        raise UnusableInput(place, f"has no `{name}`; {ways_to_give(model)}")
    value = found[name]
    document: dict[str, Any] = {
        key: found[key] for key in ("id", "label") if key in found and key not in model.input_names
    }
    if read.embedding is None:
        document["values"] = _rows(value, read)
        names = None if "features" in model.input_names else found.get("features")
        document["features"] = names.get(name) if isinstance(names, dict) else None
    else:
        document["text" if isinstance(value, str) else "tokens"] = value
    try:
        return msgspec.convert(document, _JsonSequence)
    except msgspec.ValidationError as error:
        problem = str(error)
        for key in ("tokens", "text", "values"):
            problem = problem.replace(f"`$.{key}", f"`$.{name}")
        raise UnusableInput(place, problem) from error


def _rows(value: Any, read: Input) -> Any:
    """Numbers as a list for each step: a vector is one step, single numbers are one each."""
    if not isinstance(value, list) or not value or isinstance(value[0], list):
        return value
    return [[each] for each in value] if read.steps else [value]


def _document(line: str, place: str) -> _JsonSequence:
    if not line.strip():
        return _EMPTY
    try:
        return _DECODER.decode(line)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        found = _as_python_writes(line, place, _JsonSequence)
        if found is None:
            raise UnusableInput(place, f"is not JSON: {error}") from error
        return found


def _as_python_writes(line: str, place: str, kind: type[Read]) -> Read | None:
    """A line with NaN or Infinity, which are no JSON but stand in what Python's json writes.

    Where they are among the values, these are refused by their step and feature.
    """
    import json

    try:
        return msgspec.convert(json.loads(line), kind)
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    except (ValueError, RecursionError):
        return None


def _gold(document: _JsonSequence, model: Model, place: str) -> int | None:
    if document is _EMPTY:
        return None
    if document.label is None:
        raise UnusableInput(place, "has no `label`; expected the sequence's true class")
    return gold_class(document.label, model, place)


def _encoded(
    documents: list[_JsonSequence], tokenizer: Tokenizer, place: str, *, ids: bool
) -> Iterator[Encoded]:
    """The tokens of each line. Lines of words that follow each other are looked up at once."""
    cut = [_cut(each, tokenizer, place, ids=ids) for each in documents]
    for are_ids, run in groupby(cut, key=itemgetter(0)):
        look_up = tokenizer.of_ids if are_ids else tokenizer.of_tokens
        yield from look_up([tokens for _, tokens in run], place)


def _cut(
    document: _JsonSequence, tokenizer: Tokenizer, place: str, *, ids: bool
) -> tuple[bool, list[Any]]:
    """The tokens of one line, and whether they are ids."""
    if document.tokens is UNSET and document.text is UNSET:
        raise UnusableInput(place, "has neither `tokens` nor `text`; expected one of them")
    if document.tokens is UNSET:
        text = str(document.text)
        return ids, integers(text, place) if ids else tokenizer.cut(text, place)
    kinds = set(map(type, document.tokens))
    if len(kinds) > 1:
        raise UnusableInput(place, "its `tokens` mix texts and ids; expected one or the other")
    if str in kinds and ids:
        return True, integers(" ".join(map(str, document.tokens)), place)
    return str not in kinds, document.tokens


def _series(
    document: _JsonSequence, number: int, gold: int | None, model: Model, place: str
) -> Sequence:
    if document.values is UNSET:
        raise UnusableInput(
            place, "has no `values`; the model takes numbers, expected one list of them a step"
        )
    rows: Any = document.values
    widths = {len(row) for row in rows} or {model.only_input.size}
    if len(widths) > 1:
        raise UnusableInput(place, "its steps have different numbers of values")
    values = np.array(rows, dtype=np.float64).reshape(len(rows), *widths)
    names = tuple(document.features) if document.features else None
    array, features = checked_values(values, names, model, place)
    return Sequence(number, array, features=features, id=document.id, gold=gold)
