"""Which format an input has, and whether it is what its name says and the model takes."""

from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.formats import (
    ARROW,
    HDF5,
    NPY,
    NPZ,
    PARQUET,
    Format,
    format_of,
    what_it_is,
)
from lstm_lrp_cli.model.model import Model
from .sequence import ways_to_give
from .stream import BOM, ENDINGS, TABLES, InputFormat, OpenInput, format_ending, is_text, seen_of
from .tables.columns import Columns
from .tables.opening import form_of_folder

# How a stream of Arrow begins.
_STREAM = b"\xff\xff\xff\xff"
_SIGNATURES: dict[bytes, InputFormat] = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"\x89HDF": "h5",
    b"PAR1": "parquet",
    b"ARROW1\0": "arrow",
    _STREAM: "arrow",
}
_FORMATS: dict[InputFormat, Format] = {
    "npy": NPY,
    "npz": NPZ,
    "h5": HDF5,
    "parquet": PARQUET,
    "arrow": ARROW,
}
# What holds a key or a column for each thing.
KEYED: tuple[InputFormat, ...] = ("jsonl", *TABLES)


def named_form(path: str, asked: InputFormat | None) -> InputFormat | None:
    """The format that is asked for, or that a name tells; None where it does not.

    Raises
    ------
    UnusableInput
        It is a folder, and another format is asked for.
    """
    return form_of_folder(path, asked) or asked or ENDINGS.get(format_ending(Path(path)))


def form_by_beginning(beginning: bytes, model: Model, where: str, *, columns: bool) -> InputFormat:
    """Tell a format by how its data begins; text, or a series as CSV, if it is nothing else.

    Parameters
    ----------
    columns : bool
        Whether columns are named, so that it is no text of a sequence a line.

    Raises
    ------
    UnusableInput
        It is JSON, but not of lines, and would be taken for text.
    """
    for signature, form in _SIGNATURES.items():
        if beginning.startswith(signature):
            return form
    first_line = beginning.removeprefix(BOM).lstrip().split(b"\n", 1)[0]
    if (model.several_inputs or columns) and first_line.startswith(b"{"):
        return "jsonl"
    keys = (b'"tokens"', b'"text"', b'"values"')
    if first_line.startswith(b"{") and any(key in first_line for key in keys):
        return "jsonl"
    if format_ending(Path(where)) == ".json" and first_line.startswith((b"[", b"{")):
        kept = "`text` or `tokens`" if model.takes_tokens else "`values`"
        raise UnusableInput(
            where,
            f"is JSON, and not an object a line with {kept}; expected such lines (.jsonl), which "
            "jq -c '.[]' makes of a list, or a table (.csv); or say what it is by --input-format",
        )
    return "txt" if model.takes_tokens and not columns else "csv"


def check_content(opened: OpenInput, form: InputFormat, where: str, model: Model) -> None:
    """Refuse a file of another format as what it is, before it is taken for text or arrays.

    Raises
    ------
    UnusableInput
    """
    beginning = opened.beginning
    if opened.plain_path is not None and opened.plain_path.is_dir():
        return
    seen = seen_of(opened, where)
    is_npz = format_of(seen) is NPZ
    if is_npz and seen.names and not any(name.endswith(".npy") for name in seen.names):
        raise UnusableInput(where, f"{what_it_is(seen)} without arrays; {_wanted(model)}")
    if form in _FORMATS:
        if format_of(seen) is _FORMATS[form]:
            return
        if form == "arrow" and beginning.startswith(_STREAM):
            return
    elif is_text(beginning):
        return
    found = what_it_is(seen)
    for signature, other in _SIGNATURES.items():
        if beginning.startswith(signature) and format_of(seen) in _FORMATS.values():
            raise UnusableInput(
                where,
                f"is a .{other} file by what is in it; call it so, or give --input-format {other}",
            )
    if found:
        raise UnusableInput(where, f"{found}; {_wanted(model)}")


def check_fit(form: InputFormat, where: str, model: Model, columns: Columns) -> None:
    """Refuse what a model does not take, whatever is in it.

    Raises
    ------
    UnusableInput
    """
    of_tokens = model.takes_tokens
    if model.several_inputs:
        if form not in ("jsonl", "npz", "h5") and not (form in TABLES and of_tokens):
            raise UnusableInput(where, f"is one .{form}, and {ways_to_give(model)}")
    elif form == "txt" and not of_tokens:
        size = model.only_input.size
        raise UnusableInput(
            where, f"is text, and the model takes {size} numbers a step; {_wanted(model)}"
        )
    labels_beside = form in ("npz", "h5") or (form in TABLES and not of_tokens)
    told = columns.told_beside_labels if labels_beside else columns.told
    if told == "--label" and form == "npy":
        raise UnusableInput(
            where, f"has one array, and none called {columns.label}; name a file: --label y.npy"
        )
    if told is not None and (labels_beside or form not in KEYED):
        raise UnusableInput(
            where,
            f"is .{form}, and has no column for {told}: that is for tables of text (.csv, .tsv, "
            ".parquet, .arrow) and JSON lines; leave it out, or say what the file is by "
            "--input-format",
        )


def _wanted(model: Model) -> str:
    """What a model is given, as a message says it."""
    if model.several_inputs:
        return ways_to_give(model)
    if not model.takes_tokens:
        return (
            "expected a series: .npy (sequences, steps, features), .npz, .h5, or a table with a "
            "column for each feature"
        )
    return "expected tokens: .txt with a sequence a line, .jsonl, or a table with --text COLUMN"
