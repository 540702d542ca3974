"""Sequences of what a line of JSON or a row of a table holds: tokens, text, or numbers."""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Input, Model
from .lines import integers
from .sequence import Sequence
from .series import checked_values
from .tokens import Encoded, Tokenizer


class Document(Struct):
    """What is given of one sequence; keys of other purposes are let be."""

    tokens: list[str | int] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    values: list[list[float]] | UnsetType = UNSET
    features: list[str] | None = None
    dates: list[str] | None = None
    id: str | int | None = None
    label: str | float | bool | None = None


def sequences_of_documents(
    documents: Several[Document],
    golds: Several[int | None],
    first: int,
    model: Model,
    *,
    ids: bool,
    place: str,
) -> list[Sequence]:
    """What each document holds for the only input of a model, or the one that it reads.

    Parameters
    ----------
    golds : sequence of (int or None)
        The true class of each.
    first : int
        The number of the first sequence.
    ids : bool
        Whether texts are token ids.
    place : str
        What errors name.

    Raises
    ------
    UnusableInput
    """
    read = model.only_input
    numbered = enumerate(zip(documents, golds, strict=True), start=first)
    if read.embedding is None:
        return [_series(each, number, gold, model, place) for number, (each, gold) in numbered]
    encoded = _encoded(documents, Tokenizer(read), place, ids=ids)
    return [
        Sequence(number, of.ids, of.tokens, id=each.id, gold=gold, unknown=of.unknown)
        for of, (number, (each, gold)) in zip(encoded, numbered, strict=True)
    ]


def rows_of_values(value: Any, read: Input) -> Any:
    """Numbers as a list for each step: a vector is one step, single numbers are one each."""
    if not isinstance(value, list) or not value or isinstance(value[0], list):
        return value
    return [[each] for each in value] if read.steps else [value]


def _encoded(
    documents: Several[Document], tokenizer: Tokenizer, place: str, *, ids: bool
) -> Iterator[Encoded]:
    """The tokens of each document. Those of words that follow each other are looked up at once."""
    cut = [_cut(each, tokenizer, place, ids=ids) for each in documents]
    for are_ids, run in groupby(cut, key=itemgetter(0)):
        look_up = tokenizer.of_ids if are_ids else tokenizer.of_tokens
        yield from look_up([tokens for _, tokens in run], place)


def _cut(
    document: Document, tokenizer: Tokenizer, place: str, *, ids: bool
) -> tuple[bool, list[Any]]:
    """The tokens of one document, and whether they are ids."""
    if document.tokens is UNSET and document.text is UNSET:
        raise UnusableInput(
            place,
            "has neither `tokens` nor `text`; expected one of them, or name its text's key: "
            "--text KEY; if lines are text as they stand: --input-format txt",
        )
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
    document: Document, number: int, gold: int | None, model: Model, place: str
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
    dates = None if document.dates is None else tuple(document.dates)
    if dates is not None and len(dates) != len(array):
        raise UnusableInput(place, f"has {len(dates)} `dates` of {len(array)} steps")
    return Sequence(number, array, None, features, document.id, gold, dates=dates)
