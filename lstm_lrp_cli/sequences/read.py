"""Reading sequences from whatever the user has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences import lines, series
from lstm_lrp_cli.sequences.naming import ENDINGS, InputFormat, format_ending
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.sequences.stream import BOM, OpenInput, display_name, on_disk, open_input


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


def read_sequences(source: Source, model: Model) -> Iterator[Sequence]:
    """Read the sequences of an input one by one, in its order.

    Raises
    ------
    UnusableInput
        The input cannot be used, or holds no sequence.
    """
    where = display_name(source.path)
    number = -1
    with open_input(source.path) as opened:
        form = (
            source.format
            or ENDINGS.get(format_ending(Path(source.path)))
            or _by_beginning(opened.beginning, model)
        )
        if form in ("txt", "csv") and (form == "csv") == (model.embedding is not None):
            raise UnusableInput(where, _mismatch(form, model))
        if source.labelled and form not in ("txt", "jsonl"):
            raise UnusableInput(
                where, f"has no labels (.{form}); they are read from text and JSON lines"
            )
        for sequence in _read(opened, form, where, model, source):
            number = sequence.number
            yield sequence
    if number < 0:
        raise UnusableInput(where, "is empty; expected at least one sequence")


def _read(
    opened: OpenInput, form: InputFormat, where: str, model: Model, source: Source
) -> Iterator[Sequence]:
    file, ids, labelled = opened.file, source.ids, source.labelled
    match form:
        case "txt":
            yield from lines.read_text(file, where, model, ids=ids, labelled=labelled)
        case "jsonl":
            yield from lines.read_json_lines(file, where, model, ids=ids, labelled=labelled)
        case "csv":
            yield from series.read_csv(lines.decoded_lines(file, where), where, model)
        case "npy":
            with on_disk(opened, ".npy") as path:
                yield from series.read_array(path, where, model)
        case "npz" | "h5":
            with on_disk(opened, f".{form}") as path:
                yield from series.read_arrays(path, where, model)


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


def _mismatch(form: InputFormat, model: Model) -> str:
    if form == "txt":
        return (
            f"is text, and the model takes {model.input_size} numbers a step; "
            "expected a series: .csv, .npy, .npz or .h5"
        )
    return "is a numeric series, and the model takes tokens; expected .txt or .jsonl"
