"""Sequences that a program has in memory: texts, tokens, ids, arrays and tables."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Unpack

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput, WrongUsage
from lstm_lrp_cli.model.model import Model
from .arrays.labels import golds_of
from .sequence import Sequence, check_named, joined, together
from .series import checked_values, sequences_of_array, whole_numbers
from .tables.columns import NOTHING_TOLD, ByInput, Columns, named_columns
from .tables.memory import MemoryTable, is_table, with_index
from .tables.roles import USUAL_SERIES, AsSeries, SeriesOptions, as_series
from .tables.text import row_blocks, sequences_of_rows, text_columns
from .tables.wide import read_wide
from .tokens import Encoded, Tokenizer, gold_class

# A longer text is no name of a file.
LONGEST_NAME = 4096
# How many texts are looked up at once.
TOGETHER = 256
# About how many characters they have.
TOGETHER_SIZE = 2**16


def sequences(
    inputs: Any,
    model: Model,
    labels: Iterable[Any] | None = None,
    *,
    text: ByInput | None = None,
    label: str | None = None,
    id: str | None = None,
    **series: Unpack[SeriesOptions],
) -> Iterator[Sequence]:
    """Make sequences of what a program has in memory.

    Parameters
    ----------
    inputs : str, iterable, array or table
        For a model that takes tokens: a text; several texts, such as a list, a generator or a
        column of a table; tokens, as a list of lists of str; token ids, as a list of ints or array
        of shape (steps,), or several of them, as a list of lists or array (sequences, steps).
        For a model that takes numbers: an array (steps, features), or several, as a list of arrays
        or an array (sequences, steps, features); of one feature, an array (steps,) will do; a table
        whose columns are features, and whose index or a column may have dates, or several of them.
        Whatever has `__array__` is an array. Or sequences as they are.
        For a model with several inputs, a dict that has for each, by its name, what a model with
        that input alone would take; or an iterable of dicts, one for each sequence. An input that
        is one vector a sequence takes an array (sequences, features), or a table.
    model : Model
    labels : iterable of str or int, or array, optional
        The true class of each: a label of the model, or a number; None where it is not known. An
        array of numbers may be one-hot, (sequences, classes).
    text : str, or dict of str to str, optional
        Of a table of pandas, polars, pyarrow or datasets, or a dict of columns: the one with the
        texts, or with lists of tokens or ids; `text` where it is called so. Of a model with several
        inputs, a column for each by its name.
    label, id : str, optional
        Its columns of the true classes, and of what sequences are called. A table of numbers has a
        `label` alone, of which that of a sequence's last row is taken.
    **series
        Of a table of numbers: `window` and `stride`, how many rows make a sequence, and how many
        further the next begins; `group`, the column that tells several series apart; `date`, that
        of the dates, which is found where it is not given.

    Yields
    ------
    Sequence
        In the order given, made as they are asked for.

    Raises
    ------
    UnusableInput
        One of them is not what the model takes; it names the sequence by its number, from 0.
    ValueError
        Columns are named of what is no table of texts.

    Examples
    --------
    >>> one, two = lrp.sequences(["a fine film", "a bore"], model, labels=["positive", None])
    >>> one.tokens, one.gold, two.gold
    (('a', 'fine', 'film'), 1, None)
    >>> table = {"review": ["a fine film", "a bore"], "stars": ["positive", "negative"]}
    >>> [each.gold for each in lrp.sequences(table, model, text="review", label="stars")]
    [1, 0]
    """
    if not isinstance(model, Model):
        found = type(model).__name__
        raise WrongUsage(f"is of type {found}; expected what `load` gives, behind inputs", "model")
    if hasattr(inputs, "collect_schema") and hasattr(inputs, "collect"):
        raise UnusableInput("input", "is a table that is yet to be made; expected its .collect()")
    columns, asked = named_columns(text, label, id), as_series(**series)
    of_numbers = is_table(inputs) and not (model.several_inputs or model.takes_tokens)
    if of_numbers and columns.told_beside_labels is None:
        found = _of_table(inputs, asked, label, model)
    elif asked.options:
        raise WrongUsage("is of a table of numbers", asked.options[0].removeprefix("--"))
    else:
        found = _of_texts(inputs, columns, model) if columns.told else _found(inputs, model)
    return found if labels is None else _labelled(found, labels, model)


def _found(inputs: Any, model: Model) -> Iterator[Sequence]:
    if is_table(inputs) and model.takes_tokens:
        return _of_texts(inputs, NOTHING_TOLD, model)
    if model.several_inputs:
        return _of_several(inputs, model)
    if isinstance(inputs, str) and len(inputs) < LONGEST_NAME and os.path.isfile(inputs):
        message = f"{inputs!r} is a file, and taken for a text; lrp.read reads it"
        warnings.warn(message, stacklevel=4)
    if isinstance(inputs, bytes | dict) or not isinstance(inputs, Iterable | Sequence):
        raise _unlike("input", inputs, model)
    if is_table(inputs):
        return _of_table(inputs, USUAL_SERIES, None, model)
    array = _array(inputs)
    if array is not None:
        return _of_numbers(array, model)
    if hasattr(inputs, "to_pylist"):  # of pyarrow's columns, whose items are its own
        inputs = inputs.to_pylist()
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


def _of_texts(table: Any, columns: Columns, model: Model) -> Iterator[Sequence]:
    """The texts of a table, a sequence a row."""
    if not (model.takes_tokens and (is_table(table) or isinstance(table, dict))):
        keyword = (columns.told or "").removeprefix("--")
        raise WrongUsage("names a column of a table of texts, and the input is none", keyword)
    rows = MemoryTable(table)
    asked = text_columns(rows, columns, model, labelled=columns.label is not None)
    blocks = row_blocks(rows, asked, TOGETHER_SIZE, ids=False)
    return chain.from_iterable(sequences_of_rows(block, model) for block in blocks)


def _of_table(
    table: Any, asked: AsSeries, label: str | None, model: Model, where: str = ""
) -> Iterator[Sequence]:
    """Series with a column for each feature, or a vector of each row."""
    table, name = with_index(table)
    if asked.date is None and name is not None:
        asked = replace(asked, date=name)
    row = f"{where}: row" if where else "row"
    return read_wide(MemoryTable(table, where or "input", row), asked, label, model)


def _of_series(items: Iterable[Any], model: Model) -> Iterator[Sequence]:
    for number, item in enumerate(items):
        where = f"sequence {number}"
        if is_table(item):
            whole = AsSeries(window=max(len(item), 1)) if model.only_input.steps else USUAL_SERIES
            for one in _of_table(item, whole, None, model, where):
                yield replace(one, number=number, id=None)
        else:
            yield Sequence(number, *_checked(_numbers(item, where), None, model, where))


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
    array = _array(labels)
    if array is not None and array.ndim:
        labels = golds_of(array, model, "labels")
    own = iter([labels] if isinstance(labels, str | int) else labels)
    nothing = object()
    for sequence in found:
        where = f"sequence {sequence.number}"
        label = next(own, nothing)
        if label is nothing:
            raise UnusableInput(where, "has no label; expected as many labels as sequences")
        told = array is None and label is not None
        gold = gold_class(str(label), model, where) if told else label
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
