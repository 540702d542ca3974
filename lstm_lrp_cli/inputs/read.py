"""Reading sequences from whatever the user has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.formats import HDF5, NPY, NPZ, format_of, what_it_is
from lstm_lrp_cli.model.model import Model
from . import lines, series
from .jsonl import read_json_lines
from .lines import Lines
from .sequence import Sequence, check_named, together, ways_to_give
from .stream import (
    BOM,
    ENDINGS,
    STANDARD_INPUT,
    InputFormat,
    OpenInput,
    display_name,
    format_ending,
    is_text,
    on_disk,
    open_input,
    seen_of,
)

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
    """

    path: str
    format: InputFormat | None = None
    ids: bool = False
    labelled: bool = False
    others: tuple[str, ...] = ()

    def alike(self, path: str) -> "Source":
        """Another file, which is written as this one is but for its format.

        It need not have labels where they are no part of what a line holds.
        """
        form = ENDINGS.get(format_ending(Path(path))) or self.format
        return Source(path, form, self.ids, self.labelled and form in (None, "txt"))


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Lines of text or of JSON that are yet to be read, in another process if need be."""

    lines: Lines
    form: InputFormat
    source: Source


# Series are read where their file is: their blocks are sequences already.
Block = LineBlock | list[Sequence]


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
    files = _files(source, model)
    if files is not None:
        yield from _groups(_of_files(files, source, model), steps)
        return
    where = display_name(source.path)
    empty = True
    with open_input(source.path) as opened:
        form = (
            source.format
            or ENDINGS.get(format_ending(Path(source.path)))
            or _by_beginning(opened.beginning, model)
        )
        _check_content(opened, form, where, model)
        if model.several_inputs:
            if form not in ("jsonl", "npz", "h5"):
                raise UnusableInput(where, f"is one .{form}, and {ways_to_give(model)}")
        elif form in ("txt", "csv") and (form == "csv") == model.takes_tokens:
            raise UnusableInput(where, _mismatch(form, model))
        if source.labelled and form not in ("txt", "jsonl"):
            raise UnusableInput(
                where, f"has no labels (.{form}); they are read from text and JSON lines"
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
    reader = lines.read_text if block.form == "txt" else read_json_lines
    ids, labelled = block.source.ids, block.source.labelled
    yield from lines.read_in_order(
        block.lines, lambda some: reader(some, model, ids=ids, labelled=labelled)
    )


def _blocks(
    opened: OpenInput, form: InputFormat, where: str, model: Model, source: Source, steps: int
) -> Iterator[Block]:
    file = opened.file
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
    with_labels = None
    if source.labelled:
        forms = [source.format or ENDINGS.get(format_ending(Path(path))) for path in files]
        with_labels = next((k for k, form in enumerate(forms) if form in ("txt", "jsonl")), None)
        if with_labels is None:
            raise UnusableInput(
                display_name(files[0]),
                "has no labels, nor has another input's file; they are read from .txt and .jsonl",
            )
    streams = [
        read_sequences(
            Source(path, source.format, source.ids, number == with_labels), model.reading(number)
        )
        for number, path in enumerate(files)
    ]
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


def _by_beginning(beginning: bytes, model: Model) -> InputFormat:
    """Tell a format by how its data begins; text, or a series as CSV, if it is nothing else."""
    for signature, form in _SIGNATURES.items():
        if beginning.startswith(signature):
            return form
    first_line = beginning.removeprefix(BOM).lstrip().split(b"\n", 1)[0]
    if model.several_inputs and first_line.startswith(b"{"):
        return "jsonl"
    keys = (b'"tokens"', b'"text"', b'"values"')
    if first_line.startswith(b"{") and any(key in first_line for key in keys):
        return "jsonl"
    return "txt" if model.takes_tokens else "csv"


_SIGNATURES: dict[bytes, InputFormat] = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"\x89HDF": "h5",
}


def _check_content(opened: OpenInput, form: InputFormat, where: str, model: Model) -> None:
    """Refuse a file of another format as what it is, before it is taken for text or arrays."""
    beginning = opened.beginning
    seen = seen_of(opened, where)
    is_npz = format_of(seen) is NPZ
    if is_npz and seen.names and not any(name.endswith(".npy") for name in seen.names):
        raise UnusableInput(where, f"{what_it_is(seen)} without arrays; {_wanted(model)}")
    if form in _SIGNATURES.values():
        if format_of(seen) is {"npz": NPZ, "h5": HDF5, "npy": NPY}[form]:
            return
    elif is_text(beginning):
        return
    found = what_it_is(seen)
    for signature, other in _SIGNATURES.items():
        if beginning.startswith(signature) and format_of(seen) in (NPZ, HDF5, NPY):
            raise UnusableInput(
                where,
                f"is a .{other} file by what is in it; call it so, or give --input-format {other}",
            )
    if found:
        raise UnusableInput(where, f"{found}; {_wanted(model)}")


def _mismatch(form: InputFormat, model: Model) -> str:
    if form == "txt":
        size = model.only_input.size
        return f"is text, and the model takes {size} numbers a step; {_wanted(model)}"
    return f"is a numeric series, and the model takes tokens; {_wanted(model)}"


def _wanted(model: Model) -> str:
    """What a model is given, as a message says it."""
    if model.several_inputs:
        return ways_to_give(model)
    if not model.takes_tokens:
        return (
            "expected a series: .npy (sequences, steps, features), .npz, .h5, or .csv with a "
            "header sequence,step,FEATURE,..."
        )
    return "expected tokens: .txt with a sequence a line, or .jsonl"
