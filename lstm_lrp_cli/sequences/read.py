"""Reading sequences from whatever the user has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences import lines, series
from lstm_lrp_cli.sequences.sequence import Sequence
from lstm_lrp_cli.sequences.stream import display_name, local_copy, open_input

InputFormat = Literal["txt", "jsonl", "csv", "npy", "npz", "h5"]
INPUT_FORMATS: tuple[InputFormat, ...] = get_args(InputFormat)

ENDINGS: dict[str, InputFormat] = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".npy": "npy",
    ".npz": "npz",
    ".h5": "h5",
    ".hdf5": "h5",
}
COMPRESSED = (".gz", ".xz", ".bz2")


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
    with open_input(source.path) as file:
        beginning = file.peek(4096)
        form = source.format or _by_ending(source.path) or _by_beginning(beginning, model)
        if form in ("txt", "csv") and (form == "csv") == (model.embedding is not None):
            raise UnusableInput(where, _mismatch(form, model))
        if source.labelled and form not in ("txt", "jsonl"):
            raise UnusableInput(
                where, f"has no labels (.{form}); they are read from text and JSON lines"
            )
        match form:
            case "txt":
                sequences = lines.read_text(
                    file, where, model, ids=source.ids, labelled=source.labelled
                )
            case "jsonl":
                sequences = lines.read_json_lines(
                    file, where, model, ids=source.ids, labelled=source.labelled
                )
            case "csv":
                sequences = series.read_csv(lines.decoded_lines(file, where), where, model)
            case "npy" | "npz" | "h5":
                with local_copy(file, f".{form}") as path:
                    read = series.read_array if form == "npy" else series.read_arrays
                    for sequence in read(path, where, model):
                        number = sequence.number
                        yield sequence
                sequences = iter(())
        for sequence in sequences:
            number = sequence.number
            yield sequence
    if number < 0:
        raise UnusableInput(where, "is empty; expected at least one sequence")


def _by_ending(path: str) -> InputFormat | None:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return ENDINGS.get(suffixes[-1]) if suffixes else None


def _by_beginning(data: bytes, model: Model) -> InputFormat:
    """Tell a format by how its data begins; text if it is nothing else."""
    for signature, form in _SIGNATURES.items():
        if data.startswith(signature):
            return form
    first_line = data.split(b"\n", 1)[0]
    if first_line.lstrip().startswith(b"{"):
        try:
            document = msgspec.json.decode(first_line)
        except msgspec.DecodeError:
            document = {}
        if {"tokens", "text", "values"} & set(document):
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
