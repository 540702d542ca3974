"""Which format an input has, and whether it is what its name says and the model takes."""

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.formats import (
    ARROW,
    HDF5,
    NPY,
    NPZ,
    PARQUET,
    Format,
    format_of,
    in_shell,
    what_it_is,
)
from lstm_lrp_cli.loading.files.seen import Seen, is_lone_pickle, pickled_class
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
# How an array of JSON objects begins.
_ARRAY = re.compile(rb'(\xef\xbb\xbf)?\s*\[\s*\{\s*"')
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
    is_list = format_ending(Path(where)) == ".json" and first_line.startswith(b"[")
    if is_list or _is_object(first_line) or _ARRAY.match(beginning):
        return "jsonl"  # which says what is missing; as text it would be explained without a word
    return "txt" if model.takes_tokens and not columns else "csv"


def _is_object(line: bytes) -> bool:
    """Whether a line is a JSON object that has a key."""
    try:
        return line.startswith(b"{") and bool(msgspec.json.decode(line, type=dict[str, Any]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


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
        mend = _mend(seen)
        raise UnusableInput(where, f"{what_it_is(seen)} without arrays; {_wanted(model)}{mend}")
    if form in _FORMATS:
        if format_of(seen) is _FORMATS[form]:
            return
        if form == "arrow" and beginning.startswith(_STREAM):
            return
    elif is_text(beginning):
        _check_lines(beginning, form, where)
        return
    found = what_it_is(seen)
    for signature, other in _SIGNATURES.items():
        if beginning.startswith(signature) and format_of(seen) in _FORMATS.values():
            raise UnusableInput(
                where,
                f"is a .{other} file by what is in it; call it so, or give --input-format {other}",
            )
    if found:
        raise UnusableInput(where, f"{found}; {_wanted(model)}{_mend(seen)}")


def _check_lines(beginning: bytes, form: InputFormat, where: str) -> None:
    """Refuse JSON that is not in lines."""
    if form == "jsonl" and _ARRAY.match(beginning):
        raise UnusableInput(
            where,
            "is one JSON array of objects; expected JSON lines, an object a line: `jq -c '.[]'` "
            "makes them, and so does pandas: df.to_json(path, orient='records', lines=True)",
        )


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
        of = "tables of text (.csv, .tsv, .parquet, .arrow) and JSON lines"
        if labels_beside and form in TABLES:
            problem = f"is .{form}, and the model takes numbers: {told} is for {of}; leave it out"
        else:
            problem = (
                f"is .{form}, and has no column for {told}: that is for {of}; leave it out, or say "
                "what the file is by --input-format"
            )
        raise UnusableInput(where, problem)


def _mend(seen: Seen) -> str:
    """What makes an input of a file that has one in it; "" where that is not known."""
    if seen.holds("xl/workbook.xml"):
        return "; save its sheet as CSV"
    if is_lone_pickle(seen) and pickled_class(seen.beginning).startswith("pandas."):
        return "; write the data frame by df.to_parquet or df.to_csv"
    if format_of(seen) is not NPZ:
        return ""
    inside = [name for name in seen.names if format_ending(Path(name)) in ENDINGS]
    if len(inside) == 1:
        place = ("FILE.zip", "NAME")
        if inside[0].isprintable() and seen.path.is_file():
            place = (in_shell(seen.path), shlex.quote(inside[0]))
        return f"; unpack it, or pipe what is in it: unzip -p {' '.join(place)} | lrp ... -"
    return "; unpack it" if inside else ""


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
