"""Tables of texts: a sequence a row, its text, true class and name by column."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput, reading, short
from lstm_lrp_cli.inputs.documents import Document, rows_of_values, sequences_of_documents
from lstm_lrp_cli.inputs.lines import LONGEST_LINE, TOO_LONG
from lstm_lrp_cli.inputs.sequence import Sequence, joined, ways_to_give
from lstm_lrp_cli.inputs.stream import whole_number
from lstm_lrp_cli.inputs.tokens import gold_class
from lstm_lrp_cli.model.model import Input, Model
from . import Row, Table, is_missing
from .columns import ID, LABEL, TEXT, Columns

# What columns of texts and of classes are often called, for the mend of an error.
TEXTS = ("review", "sentence", "content", "comment", "message", "body", "tweet", "document")
LABELS = ("sentiment", "target", "class", "category", "y", "stars", "rating")


class TextColumns(Struct, frozen=True):
    """The columns that are read, in the order of a row's values.

    Parameters
    ----------
    inputs : tuple of str
        One for each input of the model.
    label, id : str or None
    classes : tuple of str or None
        What the numbers of the label's column stand for, where the table tells it.
    """

    inputs: tuple[str, ...]
    label: str | None
    id: str | None
    classes: tuple[str, ...] | None

    @property
    def all(self) -> list[str]:
        return [*self.inputs, *(each for each in (self.label, self.id) if each is not None)]


class RowBlock(Struct, frozen=True):
    """Rows of a table that are yet to be read, in another process if need be.

    Parameters
    ----------
    rows : list of (values, place)
    first : int
        The number of the first row's sequence.
    columns : TextColumns
        Of which the values are.
    ids : bool
        Whether texts are token ids.
    """

    rows: list[Row]
    first: int
    columns: TextColumns
    ids: bool


def row_blocks(table: Table, columns: TextColumns, size: int, *, ids: bool) -> Iterator[RowBlock]:
    """Cut a table into blocks of about so many characters.

    Raises
    ------
    UnusableInput
        A row cannot be read. The rows before it come first.
    """
    rows: list[Row] = []
    held, first, ends = 0, table.first_row - 1, table.ends
    inputs = len(columns.inputs)
    try:
        for row in table.rows(columns.all):
            rows.append(row)
            held += sum(
                [len(cell) if isinstance(cell, str | list) else 1 for cell in row[0][:inputs]]
            )
            if held >= size or (ends and first + len(rows) in ends):
                yield RowBlock(rows, first, columns, ids)
                first += len(rows)
                rows, held = [], 0
    except UnusableInput:
        if rows:
            yield RowBlock(rows, first, columns, ids)
        raise
    if rows:
        yield RowBlock(rows, first, columns, ids)


def text_columns(table: Table, told: Columns, model: Model, *, labelled: bool) -> TextColumns:
    """Which columns of a table are read: those that are told, else `text`, `label` and `id`.

    Raises
    ------
    UnusableInput
        There is no such column, or none is told; the message lists those that there are.
    """
    usual = model.input_names if model.several_inputs else (TEXT,)
    inputs = tuple(
        column or name for column, name in zip(told.of_inputs(model), usual, strict=True)
    )
    for column, said in zip(inputs, told.of_inputs(model), strict=True):
        if said is None and column not in table.columns:
            raise UnusableInput(table.where, _not_told(column, table, told, model))
    label = (told.label or LABEL) if labelled else None
    if label is not None and told.label is None and label not in table.columns:
        likely = _likely_label(table.first(), inputs, model) or "COLUMN"
        raise UnusableInput(
            table.where,
            f"has no column `{label}`, but {table.listed}; say which has the true classes, for "
            f"instance {table.asking(label=likely)}",
        )
    id = told.id or (ID if ID in table.columns and ID not in (*inputs, label) else None)
    found = TextColumns(inputs, label, id, table.classes.get(label or ""))
    for name in found.all:
        table.place_of(name)
    return found


def sequences_of_rows(block: RowBlock, model: Model) -> Iterator[Sequence]:
    """The sequences of some rows. Where one is wrong, those before it come first.

    Raises
    ------
    UnusableInput
        A value is missing or of another type, or cannot be used; it names row and column.
    """
    try:
        found = _read(block, model)
    except UnusableInput:
        for number, row in enumerate(block.rows, block.first):
            yield from _read(RowBlock([row], number, block.columns, block.ids), model)
        return
    yield from found


def _read(block: RowBlock, model: Model) -> list[Sequence]:
    """All sequences of a block; errors name the first row of it."""
    place = block.rows[0][1]
    with reading(place):
        return _of_rows(block, model, place)


def _of_rows(block: RowBlock, model: Model, place: str) -> list[Sequence]:
    columns = block.columns
    width = len(columns.inputs)
    golds: list[int | None] = [None] * len(block.rows)
    if columns.label is not None:
        label, classes = columns.label, columns.classes
        golds = [gold_of(row[0][width], label, classes, model, row[1]) for row in block.rows]
    names = [
        None if columns.id is None else _name(row[0][-1], columns.id, row[1]) for row in block.rows
    ]
    found = []
    for number, column in enumerate(columns.inputs):
        read, reading = model.inputs[number], model.reading(number)
        documents = [
            _document(row[0][number], read, f"{row[1]}, column {column}") for row in block.rows
        ]
        for document, name in zip(documents, names, strict=True):
            document.id = name
        where = f"{place}, column {column}"
        found.append(
            sequences_of_documents(
                documents, golds, block.first, reading, ids=block.ids, place=where
            )
        )
    if len(found) == 1:
        return found[0]
    return [joined(own[0].number, own) for own in zip(*found, strict=True)]


def _document(value: Any, read: Input, place: str) -> Document:
    """What a cell holds for an input: a text, tokens, ids or numbers."""
    if is_missing(value):
        raise UnusableInput(place, f"is missing ({short(repr(value))}); fill it, or drop the row")
    of_tokens, several = read.embedding is not None, isinstance(value, list)
    if of_tokens and isinstance(value, str):
        if len(value) > LONGEST_LINE:
            raise UnusableInput(place, TOO_LONG)
        return Document(text=value)
    if of_tokens and several and all(type(each) in (str, int) for each in value):
        return Document(tokens=value)
    try:
        if several and not of_tokens:
            return Document(values=msgspec.convert(rows_of_values(value, read), list[list[float]]))
    except msgspec.ValidationError as error:
        raise UnusableInput(place, str(error)) from error
    expected = "a text" if of_tokens else "a list of numbers"
    raise UnusableInput(
        place, f"holds {short(repr(value))} ({type(value).__name__}); expected {expected}"
    )


def gold_of(
    value: Any, column: str, classes: tuple[str, ...] | None, model: Model, place: str
) -> int:
    """The true class that a cell of a column names.

    Parameters
    ----------
    classes : tuple of str or None
        What numbers in it stand for, where the table tells it.

    Raises
    ------
    UnusableInput
        It is missing, or names no class of the model.
    """
    place = f"{place}, column {column}"
    if is_missing(value) or value == "":
        raise UnusableInput(place, "is missing; expected the true class: fill it, or drop the row")
    if classes is not None and type(value) is int:
        return _of_class(value, classes, model, place)
    if not isinstance(value, str | int | float):
        raise UnusableInput(
            place,
            f"holds {short(repr(value))} ({type(value).__name__}); expected a label, or a number",
        )
    return gold_class(value, model, place)


def _of_class(value: int, classes: tuple[str, ...], model: Model, place: str) -> int:
    """The class of a number that the table has a name for, which must be the model's too."""
    if model.labels is None or not 0 <= value < len(classes):
        return gold_class(value, model, place)
    name = classes[value]
    if model.target_labelled(name) is None:
        raise UnusableInput(
            place,
            f"class {value} is `{name}` by the table, and the model's labels are "
            f"{', '.join(model.labels)}; call them alike in the mapping's `labels`",
        )
    return gold_class(name, model, place)


def _name(value: Any, column: str, place: str) -> str | int:
    """What a sequence is called."""
    if is_missing(value) or value == "":
        raise UnusableInput(f"{place}, column {column}", "is missing; expected an id for each row")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        number = whole_number(value)
        return number if number is not None and str(number) == value else value
    return value if type(value) is int else str(value)


def _not_told(column: str, table: Table, told: Columns, model: Model) -> str:
    """What is said where it is open which column has an input's text, and what is likely."""
    found = f"is a table of the columns {table.listed}"
    if model.several_inputs:
        asked = table.asking(text=f"{column}=COLUMN")
        return f"{found}, and has none `{column}`; name it: {asked}; or: {ways_to_give(model)}"
    if table.columns[:2] == ("sequence", "step"):
        return f"{found}: a numeric series, and the model takes tokens; expected text"
    row = {name: cell for name, cell in table.first().items() if name not in (told.label, told.id)}
    text = _likely_text(row)
    if text is None:
        asked = table.asking(text="COLUMN")
        return f"{found}, and the model takes tokens; expected a column of text: {asked}"
    likely = {"text": text}
    label = None if told.label else _likely_label(row, (text,), model)
    if label is not None:
        likely["label"] = label
    return (
        f"{found}, and the model takes tokens; say which has the texts, for instance "
        f"{table.asking(**likely)}"
    )


def _likely_text(row: Mapping[str, Any]) -> str | None:
    """The column that is called as texts are, else that with the longest one."""
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    named = [name for name in texts if name.lower() in (TEXT, *TEXTS)]
    by_length = sorted(texts, key=lambda name: len(texts[name]))
    return next(iter(named or reversed(by_length)), None)


def _likely_label(row: Mapping[str, Any], texts: tuple[str, ...], model: Model) -> str | None:
    """The column that is called as classes are, or holds one."""
    others = [name for name in row if name not in texts]
    named = [name for name in others if name.lower() in (LABEL, *LABELS)]
    holding = [name for name in others if model.target_labelled(str(row[name])) is not None]
    return next(iter(holding or named), None)
