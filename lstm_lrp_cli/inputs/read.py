"""Reading sequences from whatever the user has."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from . import lines, series
from .documents import Document, sequences_of_documents
from .jsonl import read_json_lines
from .lines import Lines
from .sequence import Sequence, check_named, together, ways_to_give
from .stream import (
    STANDARD_INPUT,
    TABLES,
    InputFormat,
    OpenInput,
    display_name,
    on_disk,
    open_input,
)
from .tables.columns import NOTHING_TOLD, Columns, by_input
from .tables.opening import open_table
from .tables.text import RowBlock, row_blocks, sequences_of_rows, text_columns
from .telling import KEYED, check_content, check_fit, form_by_beginning, named_form

# How many steps are read at a time where sequences are wanted one by one.
READ_STEPS = 2**11
# About what a step takes in a text: a token, or each number of a series in JSON lines.
STEP_BYTES = 8
# A sequence takes about as much beside its steps as so many of them.
OBJECT_STEPS = 4


@dataclass(frozen=True, slots=True)
class Source:
    """Where sequences come from, and how they are written there.

    Parameters
    ----------
    path : str
        A file, or "-" for standard input.
    format : str or None
        None leaves it to the file's ending, then to how its data begins.
    ids : bool
        Text lines hold token ids.
    labelled : bool
        Every sequence comes with its true class.
    others : tuple of str
        Further files. For a model with several inputs there may be one for each, and then all are
        given as NAME=FILE; labels stand in the first of them that may have any.
    columns : Columns
        Which columns of a table, or keys of JSON lines, hold what.
    sentences : tuple of str
        Texts in place of a file, a sequence each; of several inputs NAME=TEXT.
    """

    path: str
    format: InputFormat | None = None
    ids: bool = False
    labelled: bool = False
    others: tuple[str, ...] = ()
    columns: Columns = NOTHING_TOLD
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Lines of text or of JSON that are yet to be read, in another process if need be."""

    lines: Lines
    form: InputFormat
    source: Source


# Series are read where their file is: their blocks are sequences already.
Block = LineBlock | RowBlock | list[Sequence]


def read_sequences(source: Source, model: Model) -> Iterator[Sequence]:
    """Read the sequences of an input one by one, in its order.

    Raises
    ------
    UnusableInput
        The input cannot be used, or holds no sequence. What was read before comes first.
    """
    for block in read_blocks(source, model, READ_STEPS):
        yield from sequences_of(block, model)


def read_blocks(source: Source, model: Model, steps: int) -> Iterator[Block]:
    """Cut an input into blocks of about so many steps, each of whole sequences, in its order.

    Blocks are cheap to make and to send to another process, and the same however the input comes
    in, from a file or through a pipe.

    Raises
    ------
    UnusableInput
        The input cannot be used, or holds no sequence. What was read before comes first.
    """
    if source.sentences:
        yield list(_of_sentences(source, model))
        return
    files = _files(source, model)
    if files is not None:
        yield from _groups(_of_files(files, source, model), steps)
        return
    where = display_name(source.path)
    empty = True
    form = named_form(source.path, source.format)
    with _opened(source.path) as opened:
        told = source.columns.told
        form = form or form_by_beginning(opened.beginning, model, columns=told is not None)
        check_content(opened, form, where, model)
        check_fit(form, where, model, told)
        if source.labelled and not _may_have_labels(form, model):
            raise UnusableInput(
                where,
                f"has no labels (.{form}); they are read from text, JSON lines and tables of text",
            )
        for block in _blocks(opened, form, where, model, source, steps):
            empty = False
            yield block
    if empty:
        raise UnusableInput(where, "is empty; expected at least one sequence")


def sequences_of(block: Block, model: Model) -> Iterator[Sequence]:
    """The sequences of a block, in order.

    Raises
    ------
    UnusableInput
        A line cannot be used. The sequences before it come first.
    """
    if isinstance(block, list):
        yield from block
        return
    if isinstance(block, RowBlock):
        yield from sequences_of_rows(block, model)
        return
    source, form = block.source, block.form

    def read(some: Lines) -> list[Sequence]:
        if form == "txt":
            return lines.read_text(some, model, ids=source.ids, labelled=source.labelled)
        return read_json_lines(
            some, model, ids=source.ids, labelled=source.labelled, columns=source.columns
        )

    yield from lines.read_in_order(block.lines, read)


def _opened(path: str) -> AbstractContextManager[OpenInput]:
    """An input that is open; of a folder, whose files are opened as they are read, its place."""
    if Path(path).is_dir():
        return nullcontext(OpenInput(io.BufferedReader(io.BytesIO()), b"", Path(path)))
    return open_input(path)


def _may_have_labels(form: InputFormat | None, model: Model) -> bool:
    """Whether true classes may stand in a file: in any but arrays, and series of numbers."""
    return form in ("txt", "jsonl") or (form in TABLES and model.takes_tokens)


def _of_sentences(source: Source, model: Model) -> Iterator[Sequence]:
    """Sequences given as texts; of several inputs, the first texts of each are the first one's."""
    named = by_input(source.sentences, model, "SENTENCE")
    streams, places = [], []
    for number, (name, texts) in enumerate(named.items()):
        place = f"--text {name}" if model.several_inputs else "--text"
        if model.inputs[number].embedding is None:
            raise UnusableInput(
                place, "gives a sentence, and the model takes numbers; name a file as INPUT"
            )
        documents = [Document(text=text) for text in texts]
        streams.append(
            sequences_of_documents(
                documents,
                [None] * len(texts),
                0,
                model.reading(number),
                ids=source.ids,
                place=place,
            )
        )
        places.append(place)
    yield from together(streams, model, places) if model.several_inputs else streams[0]


def _blocks(
    opened: OpenInput, form: InputFormat, where: str, model: Model, source: Source, steps: int
) -> Iterator[Block]:
    file = opened.file
    if form in TABLES and model.takes_tokens:
        with open_table(opened, form, where, source.columns.delimiter) as table:
            if table.columns:
                columns = text_columns(table, source.columns, model, labelled=source.labelled)
                yield from row_blocks(table, columns, steps * STEP_BYTES, ids=source.ids)
        return
    match form:
        case "txt" | "jsonl":
            values = sum(each.step_values for each in model.inputs)
            for some in lines.blocks_of_lines(file, where, steps * values * STEP_BYTES):
                yield LineBlock(some, form, source)
        case "csv":
            yield from _groups(
                series.read_csv(lines.decoded_lines(file, where), where, model), steps
            )
        case "npy":
            with on_disk(opened, ".npy") as path:
                yield from _groups(series.read_array(path, where, model), steps)
        case "npz" | "h5":
            with on_disk(opened, f".{form}") as path:
                yield from _groups(series.read_arrays(path, where, model), steps)


def _files(source: Source, model: Model) -> list[str] | None:
    """The file of each input, where each has one of its own; None where one has all.

    Raises
    ------
    UnusableInput
        An input has none, or several, or a file is of no input.
    """
    given, names = (source.path, *source.others), model.input_names
    if not model.several_inputs:
        if source.others:
            where = display_name(source.others[0])
            raise UnusableInput(where, "is a second INPUT, and the model has one input")
        return None
    parted = [path.partition("=") for path in given]
    if len(given) == 1 and parted[0][0] not in names:
        return None
    for path, (name, equals, _) in zip(given, parted, strict=True):
        if not equals or name not in names:
            raise UnusableInput(display_name(path), f"names no input; {ways_to_give(model)}")
    found = {name: path for name, _, path in parted}
    if len(found) < len(parted):
        raise UnusableInput("INPUT", f"gives an input twice; {ways_to_give(model)}")
    check_named(found, model, "INPUT", "file")
    if list(found.values()).count(STANDARD_INPUT) > 1:
        raise UnusableInput("standard input", "can be read once; name a file beside it")
    return [found[name] for name in names]


def _of_files(files: list[str], source: Source, model: Model) -> Iterator[Sequence]:
    """Sequences of which each input stands in a file of its own."""
    names, columns = model.input_names, source.columns
    forms = [named_form(path, source.format) for path in files]
    with_labels = None
    if source.labelled:
        with_labels = next(
            (k for k, form in enumerate(forms) if _may_have_labels(form, model.reading(k))), None
        )
        if with_labels is None:
            raise UnusableInput(
                display_name(files[0]),
                "has no labels, nor has another input's file; they are read from .txt, .jsonl and "
                "tables of text",
            )
    by_input([each for each in columns.text if "=" in each], model, "COLUMN")
    streams = []
    for number, (path, form) in enumerate(zip(files, forms, strict=True)):
        reading, labelled = model.reading(number), number == with_labels
        keyed = form in KEYED and reading.takes_tokens
        own = columns.of_file(names[number], keyed=keyed, labelled=labelled)
        one = Source(path, source.format, source.ids, labelled, columns=own)
        streams.append(read_sequences(one, reading))
    yield from together(streams, model, list(map(display_name, files)))


def _groups(sequences: Iterator[Sequence], steps: int) -> Iterator[list[Sequence]]:
    """Groups of about so many steps. Where reading fails, yield what there is first."""
    group: list[Sequence] = []
    held = 0
    try:
        for sequence in sequences:
            group.append(sequence)
            held += len(sequence) + OBJECT_STEPS
            if held >= steps:
                yield group
                group, held = [], 0
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
