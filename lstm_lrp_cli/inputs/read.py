"""Reading sequences from whatever the user has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.formats import HDF5, NPY, NPZ, format_of, what_it_is
from lstm_lrp_cli.model.model import Model
from . import lines, series
from .lines import Lines
from .sequence import Sequence
from .stream import (
    BOM,
    ENDINGS,
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
    """

    path: str
    format: InputFormat | None = None
    ids: bool = False
    labelled: bool = False


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
    where = display_name(source.path)
    empty = True
    with open_input(source.path) as opened:
        form = (
            source.format
            or ENDINGS.get(format_ending(Path(source.path)))
            or _by_beginning(opened.beginning, model)
        )
        _check_content(opened, form, where, model)
        if form in ("txt", "csv") and (form == "csv") == (model.embedding is not None):
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
    reader = lines.read_text if block.form == "txt" else lines.read_json_lines
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
            for some in lines.blocks_of_lines(file, where, steps * model.step_values * STEP_BYTES):
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
    keys = (b'"tokens"', b'"text"', b'"values"')
    if first_line.startswith(b"{") and any(key in first_line for key in keys):
        return "jsonl"
    return "csv" if model.embedding is None else "txt"


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
        return f"is text, and the model takes {model.input_size} numbers a step; {_wanted(model)}"
    return f"is a numeric series, and the model takes tokens; {_wanted(model)}"


def _wanted(model: Model) -> str:
    """What a model is given, as a message says it."""
    if model.embedding is None:
        return (
            "expected a series: .npy (sequences, steps, features), .npz, .h5, or .csv with a "
            "header sequence,step,FEATURE,..."
        )
    return "expected tokens: .txt with a sequence a line, or .jsonl"
