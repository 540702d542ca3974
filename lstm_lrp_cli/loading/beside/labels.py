"""The names of classes, in a file beside the model: an encoder, a saved array, text or JSON."""

import json
import os
from pathlib import Path
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.files.formats import NPY, read_text_file
from lstm_lrp_cli.loading.files.seen import is_pickle, look
from lstm_lrp_cli.loading.pickles.files import read_pickle_file
from lstm_lrp_cli.loading.pickles.numpy import PickledArray, read_npy
from lstm_lrp_cli.loading.pickles.values import Unordered
from .scikit_learn import encoded_labels, public
from .vocabulary_text import LARGEST_ID

ALLOWED_BYTES = 2**24
LONGEST_SHOWN = 60
PICKLES = (".pkl", ".pickle", ".joblib", ".jl", ".sav", ".save")
WHAT = (
    "labels: scikit-learn's LabelEncoder, OneHotEncoder or LabelBinarizer by pickle or joblib, "
    ".npy, .json, or .txt, one label a line"
)


def read_labels(path: Path) -> list[str]:
    """Read the names of classes, in the order of the classes.

    Raises
    ------
    UnusableInput
        There is no such file, or it is of no labels.
    """
    where = str(path)
    if os.path.exists(where) and not os.path.isfile(where):
        raise UnusableInput(where, f"is no file; expected {WHAT}")
    if os.path.isfile(where):
        seen = look(path)
        if NPY.is_it(seen):
            return labels_of(read_npy(path, where), where)
        if path.suffix.lower() in PICKLES or is_pickle(seen):
            read = read_pickle_file(path, WHAT)
            is_plain = isinstance(read.value, list | tuple | dict | PickledArray)
            if read.asked or not is_plain:
                return labels_of(encoded_labels(read, path), where)
            return labels_of(read.value, where)
        if path.suffix.lower() == ".npy":
            raise UnusableInput(where, f"is not what numpy.save writes; expected {WHAT}")
    text = read_text_file(path, ALLOWED_BYTES, WHAT)
    if path.suffix.lower() != ".json":
        lines = text.removesuffix("\n").split("\n")
        return labels_of([line.removesuffix("\r") for line in lines], where)
    with damaged(where, lambda e: f"is not valid JSON: {e}", ValueError, RecursionError):
        document = json.loads(text)
    if isinstance(document, dict) and isinstance(document.get("id2label"), dict):
        document = document["id2label"]  # config.json of Hugging Face's transformers
    return labels_of(document, where)


def labels_of(value: Any, where: str) -> list[str]:
    """The names of classes that a value is: a list, {label: class} or {class: label}.

    Parameters
    ----------
    where : str
        What errors call it.

    Raises
    ------
    UnusableInput
        It is none of these, or a class has no label or two.
    """
    if isinstance(value, PickledArray):
        with damaged(where, lambda error: f"holds {error}", ValueError):
            value = value.values()
    if isinstance(value, dict):
        value = _in_order(value, where)
    if isinstance(value, Unordered):
        raise UnusableInput(where, "holds a set, which has no order; expected a list of labels")
    if not isinstance(value, list | tuple):
        found = type(value).__name__
        raise UnusableInput(where, f"holds {found}; expected a list of labels or {{label: class}}")
    return [_text(each, number, where) for number, each in enumerate(value)]


def _in_order(value: dict[Any, Any], where: str) -> list[Any]:
    """The labels of {label: class}, or of {class: label}, whose numbers JSON has as texts."""
    pairs = list(value.items())
    if all(_number(number) is not None for number, _ in pairs):
        pairs = [(label, number) for number, label in pairs]
    found: dict[int, Any] = {}
    for label, number in pairs:
        place = _number(number)
        if place is None or place in found:
            problem = f"has {_shown(number)} as the class of {_shown(label)}"
            raise UnusableInput(where, f"{problem}; expected 0, 1, 2, ..., each once")
        found[place] = label
    missing = next((k for k in range(len(found)) if k not in found), None)
    if missing is not None:
        raise UnusableInput(where, f"has no label of class {missing}; expected one for each")
    return [found[k] for k in range(len(found))]


def _number(value: Any) -> int | None:
    """The number of a class."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_ID else None


def _shown(value: Any) -> str:
    """A value in a message: what is in a list of a pickle may have no end."""
    if not isinstance(value, str | bytes | int | float | None):
        return public(value)
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _text(label: Any, number: int, where: str) -> str:
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if not isinstance(label, str | int | float):
        found = f"has {public(label)} as label {number}"
        raise UnusableInput(where, f"{found}; expected a text or a number")
    return str(label)
