"""What every framework offers the comparison, and how its absence and its errors are told."""

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.checking.expected import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.arrays import Integers

LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, eq=False)
class Carrying:
    """How a framework runs a stateful model, from its initial states on.

    Parameters
    ----------
    abreast : int
        How many sequences run side by side: each has a slot of its own, in which one begins in the
        states in which the last one ended.
    run : callable
        As that of `Framework`, given the slots of the sequences too, shape (n,).
    """

    abreast: int
    run: Callable[[NDArray[Any], Integers], NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Framework:
    """A model in a framework, ready to be run.

    Parameters
    ----------
    name : str
        With its version, as `keras 3.15.1 (torch backend)`.
    dtype : numpy.dtype
        The precision in which it runs.
    gives : {"scores", "probabilities"}
        Whether its numbers are from before the last softmax or sigmoid, or from behind.
    masks : bool
        Whether it skips steps of padding itself; else it is given none where the model's are
        masked.
    run : callable
        Gives the numbers of sequences of one length, which is not 0. They are token ids, shape
        (n, steps), or numbers, shape (n, steps, features). What it gives is of shape (n, classes),
        or (n, steps, classes).
    is_whole : bool
        Whether it connects the layers as its own file says; else as the mapping does.
    carrying : Carrying or None
        What runs it instead, where the file says that it is stateful.
    """

    name: str
    dtype: np.dtype[Any]
    gives: Kind
    masks: bool
    run: Callable[[NDArray[Any]], NDArray[Any]]
    is_whole: bool = True
    carrying: Carrying | None = None


def import_framework(package: str, option: str, install: str) -> Any:
    """Import a package that `--against` needs, or say how to install it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(package)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            problem = f"needs {package}, which is not installed"
        else:
            problem = f"{package} cannot be imported ({_first_line(error)})"
        raise UnusableInput(
            f"--against {option}", f"{problem}: python -m pip install {install}"
        ) from error


@contextmanager
def asking(where: str, problem: str) -> Iterator[None]:
    """Turn whatever a framework raises into one error, and keep its warnings to itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (UnusableInput, MemoryError):
        raise
    except Exception as error:  # whatever the framework may raise
        raise UnusableInput(where, f"{problem}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:LONGEST_REASON]
