"""Sequences that a program has in memory: texts, tokens, ids, arrays and tables."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from .features import places_of_features, tell_left_out
from .sequence import Sequence, check_named, joined, together
from .series import checked_values, sequences_of_array, whole_numbers
from .tokens import Encoded, Tokenizer, gold_class

# A longer text is no name of a file.
LONGEST_NAME = 4096
# How many texts are looked up at once.
TOGETHER = 256


def sequences(inputs: Any, model: Model, labels: Iterable[Any] | None = None) -> Iterator[Sequence]:
    """Make sequences of what a program has in memory.

    Parameters
    ----------
    inputs : str, iterable, array or table
        For a model that takes tokens: a text; several texts, such as a list, a generator or a
        column of a table; tokens, as a list of lists of str; token ids, as a list of ints or array
        of shape (steps,), or several of them, as a list of lists or array (sequences, steps).
        For a model that takes numbers: an array (steps, features), or several, as a list of arrays
        or an array (sequences, steps, features); of one feature, an array (steps,) will do; a table
        whose columns are features. Whatever has `__array__` is an array. Or sequences as they are.
        For a model with several inputs, a dict that has for each, by its name, what a model with
        that input alone would take; or an iterable of dicts, one for each sequence. An input that
        is one vector a sequence takes an array (sequences, features), or a table.
    model : Model
    labels : iterable of str or int, optional
        The true class of each: a label of the model, or a number; None where it is not known.

    Yields
    ------
    Sequence
        In the order given, made as they are asked for.

    Raises
    ------
    UnusableInput
        One of them is not what the model takes; it names the sequence by its number, from 0.

    Examples
    --------
    >>> one, two = lrp.sequences(["a fine film", "a bore"], model, labels=["positive", None])
    >>> one.tokens, one.gold, two.gold
    (('a', 'fine', 'film'), 1, None)
    """
    found = _found(inputs, model)
    return found if labels is None else _labelled(found, labels, model)


def _found(inputs: Any, model: Model) -> Iterator[Sequence]:
    if model.several_inputs:
        return _of_several(inputs, model)
    if isinstance(inputs, str) and len(inputs) < LONGEST_NAME and os.path.isfile(inputs):
        message = f"{inputs!r} is a file, and taken for a text; lrp.read reads it"
        warnings.warn(message, stacklevel=4)
    if isinstance(inputs, bytes | dict) or not isinstance(inputs, Iterable | Sequence):
        raise _unlike("input", inputs, model)
    if hasattr(inputs, "columns"):
        return _of_table(inputs, model)
    array = _array(inputs)
    if array is not None:
        return _of_numbers(array, model)
    return _of_items(iter([inputs] if isinstance(inputs, str | Sequence) else inputs), model)


def _of_several(inputs: Any, model: Model) -> Iterator[Sequence]:
    """Sequences of a model with several inputs, given by name: all of each, or one by one."""
    if isinstance(inputs, dict):
        check_named(map(str, inputs), model, "input", "key")
        places = [f"input {name}" for name in model.input_names]
        streams = [
            _named_input(inputs[name], model, number)
            for number, name in enumerate(model.input_names)
        ]
        return together(streams, model, places)
    if isinstance(inputs, Sequence):
        inputs = [inputs]
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable):
        raise _unlike("input", inputs, model)
    return _of_dicts(inputs, model)


def _of_dicts(items: Iterable[Any], model: Model) -> Iterator[Sequence]:
    for number, item in enumerate(items):
        where = f"sequence {number}"
        if isinstance(item, Sequence):
            if len(item.parts) != len(model.inputs):
                raise UnusableInput(
                    where, f"has {len(item.parts)} inputs, and the model {len(model.inputs)}"
                )
            yield item
            continue
        if not isinstance(item, dict):
            raise _unlike(where, item, model)
        check_named(map(str, item), model, where, "key")
        own = [
            list(_named_input([item[name]], model, k)) for k, name in enumerate(model.input_names)
        ]
        yield joined(number, [only for [only] in own])


def _named_input(inputs: Any, model: Model, number: int) -> Iterator[Sequence]:
    """What is given for one input, whose errors name it."""
    try:
        yield from _found(inputs, model.reading(number))
    except UnusableInput as error:
        where = f"{model.input_names[number]}: {error.where}"
        raise UnusableInput(where, error.problem) from error


def _of_items(items: Iterator[Any], model: Model) -> Iterator[Sequence]:
    """Sequences one by one, which are what the first of them is; or the items of one sequence."""
    begin = list(islice(items, 1))
    if not begin:
        return iter(())
    first, items = begin[0], chain(begin, items)
    if isinstance(first, Sequence):
        return items
    if isinstance(first, str):
        return _of_words(items, model, _cut)
    if _is_number(first) or (not model.takes_tokens and np.ndim(first) == 1):
        # One sequence: of ids, of single numbers, or of steps; of vectors, one each.
        return _of_numbers(_numbers(list(items), "input"), model)
    if not model.takes_tokens:
        return _of_series(items, model)
    return _of_words(items, model, _tokens)


def _of_numbers(array: Any, model: Model) -> Iterator[Sequence]:
    read = model.only_input
    if read.embedding is None and read.steps and array.ndim == 1 and read.size == 1:
        array = array[:, np.newaxis]
    return sequences_of_array(array, model, "input")


def _of_table(table: Any, model: Model) -> Iterator[Sequence]:
    """The one series of a table with a column for each feature, or a vector of each row."""
    if model.takes_tokens:
        raise UnusableInput(
            "input", "is a table, and the model takes tokens; give one column of it, the texts"
        )
    table, names = _features(table, model, "input")
    values = _numbers(table, "input")
    if not model.only_input.steps:
        for number, row in enumerate(values):
            yield Sequence(number, *_checked(row, names, model, f"sequence {number}"))
        return
    yield Sequence(0, *_checked(values, names, model, "input"))


def _of_series(items: Iterable[Any], model: Model) -> Iterator[Sequence]:
    for number, item in enumerate(items):
        where = f"sequence {number}"
        names = None
        if hasattr(item, "columns"):
            item, names = _features(item, model, where)
        yield Sequence(number, *_checked(_numbers(item, where), names, model, where))


def _features(table: Any, model: Model, where: str) -> tuple[Any, tuple[str, ...]]:
    """The columns of a table that are the model's features, in their order, and their names."""
    names, read = tuple(map(str, table.columns)), model.only_input
    places = places_of_features(names, read, where)
    if places is None:
        return table, names
    tell_left_out(names, read, where)
    return table[[table.columns[place] for place in places]], read.features or ()


def _checked(values: Any, names: tuple[str, ...] | None, model: Model, where: str) -> Any:
    """The inputs, tokens and features of a sequence."""
    array, features = checked_values(values, names, model, where)
    return array, None, features


def _of_words(
    items: Iterable[Any],
    model: Model,
    look_up: Callable[[Tokenizer, list[Any], int, Model], Iterable[Encoded]],
) -> Iterator[Sequence]:
    """Texts, tokens or ids, looked up some at a time."""
    if not model.takes_tokens:
        raise UnusableInput("input", f"is text, and the model takes {_wanted(model)}")
    tokenizer, items = Tokenizer(model.only_input), iter(items)
    start = 0
    while some := list(islice(items, TOGETHER)):
        try:
            encoded = list(look_up(tokenizer, some, start, model))
        except UnusableInput:
            # One by one, so that the error names its sequence, behind those before it.
            encoded = []
            for place, item in enumerate(some, start):
                (found,) = look_up(tokenizer, [item], place, model)
                yield Sequence(place, found.ids, found.tokens, unknown=found.unknown)
        for place, found in enumerate(encoded, start):
            yield Sequence(place, found.ids, found.tokens, unknown=found.unknown)
        start += len(some)


def _cut(tokenizer: Tokenizer, texts: list[Any], first: int, model: Model) -> Iterable[Encoded]:
    for number, text in enumerate(texts, first):
        if not isinstance(text, str):
            raise _unlike(f"sequence {number}", text, model)
    where = f"sequence {first}"
    return tokenizer.of_tokens([tokenizer.cut(text, where) for text in texts], where)


def _tokens(tokenizer: Tokenizer, items: list[Any], first: int, model: Model) -> Iterable[Encoded]:
    """Tokens that are cut already, or ids, one sequence after the other."""
    for number, item in enumerate(items, first):
        where = f"sequence {number}"
        if isinstance(item, str | bytes | dict) or not isinstance(item, Iterable):
            raise _unlike(where, item, model)
        own = np.asarray(item).tolist() if hasattr(item, "__array__") else list(item)
        if all(isinstance(token, str) for token in own):
            yield from tokenizer.of_tokens([own], where)
        elif all(map(_is_number, own)) and _ids(own, where).dtype.kind in "iu":
            yield from tokenizer.of_ids([[int(number) for number in own]], where)
        else:
            raise UnusableInput(where, "its tokens are neither all texts nor all whole numbers")


def _ids(own: list[Any], where: str) -> NDArray[Any]:
    return whole_numbers(_numbers(own, where))


def _labelled(found: Iterator[Sequence], labels: Iterable[Any], model: Model) -> Iterator[Sequence]:
    """Sequences with their true classes, of which there must be as many."""
    own = iter([labels] if isinstance(labels, str | int) else labels)
    nothing = object()
    for sequence in found:
        where = f"sequence {sequence.number}"
        label = next(own, nothing)
        if label is nothing:
            raise UnusableInput(where, "has no label; expected as many labels as sequences")
        gold = None if label is None else gold_class(str(label), model, where)
        yield replace(sequence, gold=gold)
    if next(own, nothing) is not nothing:
        raise UnusableInput("labels", "are more than the sequences; expected one for each")


def _array(inputs: Any) -> Any:
    """An array of numbers; None of what is none, such as a list, or a column of texts."""
    if not hasattr(inputs, "__array__"):
        return None
    array = np.asarray(inputs)
    return None if array.dtype.kind in "OUST" else array


def _numbers(values: Any, where: str) -> Any:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise UnusableInput(where, f"is no array of numbers: {error}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _unlike(where: str, found: Any, model: Model) -> UnusableInput:
    missing = found is None or found != found
    what = f"is missing ({found})" if missing else f"is of type {type(found).__name__}"
    return UnusableInput(where, f"{what}; the model takes {_wanted(model)}")


def _wanted(model: Model) -> str:
    if model.several_inputs:
        names = ", ".join(f"{name!r}: .." for name in model.input_names)
        return f"several inputs, in a dict: {{{names}}}"
    read = model.only_input
    if read.embedding is not None:
        return "tokens: a text, several texts, lists of tokens, or lists of token ids"
    if not read.steps:
        return f"vectors: an array of shape (sequences, {read.size})"
    return f"numbers: arrays of shape (steps, {read.size}), or one (sequences, steps, {read.size})"
