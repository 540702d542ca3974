"""Reading sequences from whatever the user has."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import HALVES, UnusableInput, reading
from lstm_lrp_cli.model.model import Model
from . import lines
from .arrays import AsArrays
from .arrays.labels import read_golds, with_golds
from .arrays.reading import read_array, read_arrays
from .documents import Document, sequences_of_documents
from .jsonl import read_json_lines
from .lines import Lines
from .sequence import Sequence, check_named, together, ways_to_give
from .spans import STEP_BYTES, Span, block_bytes, from_span
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
from .tables.roles import USUAL_SERIES, AsSeries
from .tables.text import RowBlock, row_blocks, sequences_of_rows, text_columns
from .tables.wide import read_wide
from .telling import KEYED, check_content, check_fit, form_by_beginning, named_form

# How many steps are read at a time where sequences are wanted one by one.
READ_STEPS = 2**11
# A sequence takes about as much beside its steps as so many of them.
OBJECT_STEPS = 4


class Source(Struct, frozen=True):
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
    array : str or None
        The array that has the sequences, of a file with several.
    series : AsSeries
        How series are cut from a table of numbers.
    span : Span or None
        The part of a file of lines, or of a Parquet table of texts, that is read; None is all.
    """

    path: str
    format: InputFormat | None = None
    ids: bool = False
    labelled: bool = False
    others: tuple[str, ...] = ()
    columns: Columns = NOTHING_TOLD
    sentences: tuple[str, ...] = ()
    array: str | None = None
    series: AsSeries = USUAL_SERIES
    span: Span | None = None


class LineBlock(Struct, frozen=True):
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
    with reading(display_name(source.path)):
        yield from _read_blocks(source, model, steps)


def _read_blocks(source: Source, model: Model, steps: int) -> Iterator[Block]:
    if source.sentences:
        yield list(_of_sentences(source, model))
        return
    label = source.columns.label
    if label is not None and label.endswith(".npy"):
        yield from _labelled_by(source, label, model, steps)
        return
    files = _files(source, model)
    if files is not None:
        yield from _groups(_of_files(files, source, model), steps)
        return
    where = display_name(source.path)
    empty = True
    form = named_form(source.path, source.format)
    with _opened(source.path) as opened:
        told = source.columns.told is not None
        form = form or form_by_beginning(opened.beginning, model, where, columns=told)
        check_content(opened, form, where, model)
        check_fit(form, where, model, source.columns)
        _check_options(source, form, where, model)
        for block in _blocks(opened, form, where, model, source, steps):
            empty = False
            yield block
    if empty and source.span is None:
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
    how = {"ids": source.ids, "labelled": source.labelled}

    def read(some: Lines) -> list[Sequence]:
        with reading(some.place):
            if form == "txt":
                return lines.read_text(some, model, **how)
            return read_json_lines(some, model, columns=source.columns, **how)

    yield from lines.read_in_order(block.lines, read)


def _opened(path: str) -> AbstractContextManager[OpenInput]:
    """An input that is open; of a folder, whose files are opened as they are read, its place."""
    if Path(path).is_dir():
        return nullcontext(OpenInput(io.BufferedReader(io.BytesIO()), b"", Path(path), path))
    return open_input(path)


def _may_have_labels(form: InputFormat | None, model: Model, label: str | None) -> bool:
    """Whether true classes may stand in a file of one of several inputs."""
    if form in TABLES:
        return model.takes_tokens or label is not None
    return form in ("txt", "jsonl", "npz", "h5")


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
        if any(map(HALVES.search, texts)):
            raise UnusableInput(
                place, "is not UTF-8; expected a sentence in the terminal's encoding"
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


def _check_options(source: Source, form: InputFormat, where: str, model: Model) -> None:
    """Refuse what is said of an input in whose format it has no meaning."""
    of_numbers = form in TABLES and not model.takes_tokens
    if source.series.options and not of_numbers:
        options = ", ".join(source.series.options)
        raise UnusableInput(where, f"takes no {options}; only tables of numbers do, such as .csv")
    if form not in ("npz", "h5") and source.array is not None:
        raise UnusableInput(where, f"is .{form}; --array is for .npz and .h5")
    if source.labelled and source.columns.label is None and (of_numbers or form == "npy"):
        mend = "a column: --label COLUMN" if of_numbers else "a file: --label y.npy"
        raise UnusableInput(where, f"is .{form}, and has no labels of its own; name {mend}")


def _labelled_by(source: Source, label: str, model: Model, steps: int) -> Iterator[Block]:
    """Blocks of an input whose true classes stand in a .npy file, in its order."""
    where, of = display_name(label), display_name(source.path)
    classes = read_golds(Path(label), model, where)
    columns = replace(source.columns, label=None)
    without = replace(source, columns=columns, labelled=False)
    sequences = with_golds(read_sequences(without, model), classes, where, f"{of} has")
    yield from _groups(sequences, steps)


def are_dated(blocks: Iterator[Block], model: Model) -> tuple[bool, Iterator[Block]]:
    """Whether sequences of the first block say when their steps were; and all blocks.

    Steps of numbers alone have dates: of tokens nothing is waited for. Of lines, they are read only
    where they may say it; one that cannot be used is refused when it is its turn.

    Raises
    ------
    UnusableInput
        The first block cannot be read.
    """
    if all(each.embedding is not None for each in model.inputs):
        return False, blocks
    first = next(blocks, None)
    if first is None:
        return False, iter(())
    dated = False
    told = isinstance(first, LineBlock) and b'"dates"' in first.lines.data
    if told or isinstance(first, list):
        with suppress(UnusableInput):
            dated = any(sequence.has_dates for sequence in sequences_of(first, model))
    return dated, chain([first], blocks)


def _blocks(
    opened: OpenInput, form: InputFormat, where: str, model: Model, source: Source, steps: int
) -> Iterator[Block]:
    file = opened.file
    if form in TABLES and model.takes_tokens:
        with open_table(opened, form, where, source.columns.delimiter, source.span) as table:
            if table.columns:
                columns = text_columns(table, source.columns, model, labelled=source.labelled)
                yield from row_blocks(table, columns, steps * STEP_BYTES, ids=source.ids)
        return
    if form in TABLES:
        with open_table(opened, form, where, source.columns.delimiter) as table:
            series = read_wide(table, source.series, source.columns.label, model)
            yield from _groups(series, steps)
        return
    match form:
        case "txt" | "jsonl":
            size = block_bytes(model, steps)
            with from_span(source.path, file, source.span) as (some_file, part):
                for some in lines.blocks_of_lines(some_file, where, size, part):
                    yield LineBlock(some, form, source)
        case "npy":
            with on_disk(opened, ".npy") as path:
                yield from _groups(read_array(path, where, model), steps)
        case "npz" | "h5":
            with on_disk(opened, f".{form}") as path:
                asked = AsArrays(source.array, source.labelled, source.columns.label)
                yield from _groups(read_arrays(path, where, model, asked), steps)


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
    with_labels = _file_with_labels(forms, source, model) if source.labelled else None
    by_input([each for each in columns.text if "=" in each], model, "COLUMN")
    streams = []
    for number, (path, form) in enumerate(zip(files, forms, strict=True)):
        reading, labelled = model.reading(number), number == with_labels
        keyed = form in KEYED and reading.takes_tokens
        own = columns.of_file(names[number], keyed=keyed, labelled=labelled)
        of_numbers = form in TABLES and reading.only_input.steps and not reading.takes_tokens
        one = Source(
            path,
            source.format,
            source.ids,
            labelled,
            columns=own,
            array=source.array if form in ("npz", "h5") else None,
            series=source.series if of_numbers else USUAL_SERIES,
        )
        streams.append(read_sequences(one, reading))
    yield from together(streams, model, list(map(display_name, files)))


def _file_with_labels(forms: list[InputFormat | None], source: Source, model: Model) -> int | None:
    """Which of the files of several inputs has the true classes: the first that holds texts.

    Raises
    ------
    UnusableInput
        None can have any.
    """
    may = [
        number
        for number, form in enumerate(forms)
        if _may_have_labels(form, model.reading(number), source.columns.label)
    ]
    if not may:
        raise UnusableInput(
            display_name(source.path),
            "has no labels, nor has another input's file; they are read from .txt, .jsonl, tables "
            "and .npz, or of a file of their own: --label y.npy",
        )
    return min(may, key=lambda number: forms[number] in ("npz", "h5"))


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
