"""What every framework offers the comparison, and how its absence and its errors are told."""

import importlib
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.check.expected import ExpectedRelevance
from lstm_lrp_cli.check.kinds import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.batching import Batch, Packed, Prepared, prepare
from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model import Integers
from lstm_lrp_cli.model.model import Input, Model

LONGEST_REASON = 300
# What rounding may make of scores, relative to those over 1.
ROUNDING = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}
# What gives a model's scores in each framework's own code.
SCORES = {
    "keras": "model.predict(x)",
    "onnxruntime": "session.run(None, {name: x})[0]",
    "tensorflow": "model.predict(x)",
    "torch": "model(x).detach().numpy()",
}
# What runs files of a format.
RUN_BY = {
    "HDF5": "a whole Keras model is run by --against keras",
    "Keras": "--against keras runs it",
    "ONNX": "--against onnxruntime runs it",
    "torch.export": "--against torch runs it",
    **dict.fromkeys(("PyTorch", "safetensors"), "--against torch runs its modules"),
}


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
    run_several : callable or None
        What runs one sequence of a model of several inputs, given what each is given of it.
    """

    name: str
    dtype: np.dtype[Any]
    gives: Kind
    masks: bool
    run: Callable[[NDArray[Any]], NDArray[Any]]
    is_whole: bool = True
    carrying: Carrying | None = None
    run_several: Callable[[Sequence[NDArray[Any]]], NDArray[Any]] | None = None


def as_laid_out(sizes: Sequence[Any], features: int, *, is_turned: bool = False) -> str:
    """How a graph takes sequences of numbers, by the sizes that it says of its input.

    Parameters
    ----------
    sizes : sequence
        Numbers, or what stands for those that are left open.
    is_turned : bool
        Whether, where the sizes leave it open, features come before steps.

    Returns
    -------
    str
        "flat" where the one feature has no axis, "turned" where features come before steps, else
        "".
    """
    if len(sizes) == 2 and features == 1 and sizes[1] != 1:
        return "flat"
    if len(sizes) == 3 and sizes[1] == features and (sizes[2] != features or is_turned):
        return "turned"
    return ""


def refuse_others(option: str, title: str, loaded: LoadedModel, formats: Collection[str]) -> None:
    """Refuse a file that a framework does not load, before it is asked for.

    Raises
    ------
    UnusableInput
        Its format is none of those.
    """
    path, form = loaded.contents.path, loaded.contents.format
    if form not in formats:
        found = f"is {form}, which {title} does not load"
        raise proves_nothing(option, path, found, RUN_BY.get(form, ""))


def proves_nothing(option: str, path: Path, found: str, instead: str = "") -> UnusableInput:
    """An error about a file that a framework cannot run by itself.

    Parameters
    ----------
    option : str
        The name that `--against` was given.
    found : str
        What the file is, or lacks.
    instead : str
        What else would be a check.
    """
    return UnusableInput(
        f"--against {option}",
        f"{path} {found}{f' ({instead})' if instead else ''}. Layers that the mapping arranges on "
        "both sides would agree, whatever it says. Where your own model is, save its scores, and "
        "compare by --expected scores.npy:",
        f'import numpy\nnumpy.save("scores.npy", {SCORES[option]})',
    )


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


@dataclass(slots=True, eq=False)
class Live:
    """A framework that runs beside the engine.

    Parameters
    ----------
    model : Model
    ran : Framework
    left_out : int
        How many sequences had no step, and were not run.
    """

    model: Model
    ran: Framework
    left_out: int = 0
    relevance: dict[int, ExpectedRelevance] = field(default_factory=dict)

    @property
    def framework(self) -> str:
        return f"{self.ran.name} in {self.ran.dtype}"

    @property
    def compared_with(self) -> str | None:
        return self.framework if self.ran.is_whole else None

    @property
    def kinds(self) -> Sequence[Kind]:
        """What the framework gives; behind a softmax its logarithm may have been taken as well."""
        gives = self.ran.gives
        return (gives, "log-probabilities") if gives == "probabilities" else (gives,)

    @property
    def abreast(self) -> int | None:
        """How many sequences run side by side, where they are not run in any order."""
        return None if self.ran.carrying is None else self.ran.carrying.abreast

    @property
    def tolerance(self) -> float:
        return max(ROUNDING[self.ran.dtype], ROUNDING[self.model.dtype])

    def of_batch(
        self, batch: Batch, shapes: Sequence[tuple[int, ...]], steps: Packed | None
    ) -> Sequence[NDArray[Any] | None]:
        """The numbers of each sequence; None of one without steps, which no framework runs."""
        if self.model.several_inputs:
            return self._of_several(batch, shapes, steps)
        own = steps is not None and steps is not batch.packed[0]
        read = self.model.only_input
        fed = [self._given(sequence.inputs, read).inputs for sequence in batch.sequences]
        groups: dict[int, list[int]] = {}
        for place, inputs in enumerate(fed):
            groups.setdefault(len(inputs), []).append(place)
        numbers: list[NDArray[Any] | None] = [None] * len(fed)
        for length, places in groups.items():
            if not length:
                self.left_out += len(places)
                continue
            sequences = np.array([batch.sequences[place].number for place in places])
            shape = (*shapes[places[0]][:1],) if own else (length,) * self.model.by_step
            found = self._run(np.stack([fed[place] for place in places]), sequences, shape)
            for place, each in zip(places, found, strict=True):
                inputs = batch.sequences[place].inputs
                of_input = self.model.by_step and not own
                numbers[place] = self._of_steps(inputs, each, read) if of_input else each
        return numbers

    def check_count(self, sequences: int) -> None:
        """There are as many as there are sequences."""

    def _of_several(
        self, batch: Batch, shapes: Sequence[tuple[int, ...]], steps: Packed | None
    ) -> Sequence[NDArray[Any] | None]:
        """The same of a model of several inputs, one sequence at a time."""
        run = self.ran.run_several
        if run is None:
            raise UnusableInput(
                self.ran.name,
                "is run on models of one input; save the scores of yours, and compare by "
                "--expected scores.npy",
            )
        scored = [number for number, each in enumerate(batch.packed) if each is steps]
        numbers: list[NDArray[Any] | None] = []
        for sequence, shape in zip(batch.sequences, shapes, strict=True):
            parts = list(zip(self.model.inputs, sequence.parts, strict=True))
            fed = [self._given(part.inputs, read).inputs for read, part in parts]
            if not all(map(len, fed)):
                self.left_out += 1
                numbers.append(None)
                continue
            with asking(self.ran.name, "does not run the inputs of one sequence"):
                found = np.asarray(run(fed))
            if scored:
                read, part = parts[scored[0]]
                self._check_shape(found, (len(fed[scored[0]]), self.model.classes))
                found = self._of_steps(part.inputs, found, read)
            else:
                self._check_shape(found, shape)
            numbers.append(found)
        return numbers

    def _check_shape(self, found: NDArray[Any], expected: tuple[int, ...]) -> None:
        """Refuse numbers of another shape than lrp's."""
        if found.shape != expected:
            raise UnusableInput(
                self.ran.name,
                f"gives numbers of shape {shape_text(found.shape)}, lrp {shape_text(expected)}; "
                "does the mapping describe this model?",
            )

    def _given(self, inputs: NDArray[Any], read: Input) -> Prepared:
        """What the framework is given of a sequence at an input."""
        padding = read.padding
        if padding is not None and padding.masked and self.ran.masks:
            # One step of padding is a sequence without steps that such a framework does run.
            side, length = padding.side or "pre", max(padding.length, 1)
            read = replace(read, padding=replace(padding, masked=False, side=side, length=length))
        return prepare([inputs], read)

    def _run(
        self, inputs: NDArray[Any], sequences: Integers, by_step: tuple[int, ...]
    ) -> NDArray[Any]:
        """Run sequences of one length, which have those numbers in the whole input.

        Parameters
        ----------
        by_step : tuple of int
            How many steps have scores, where steps have any.
        """
        carrying = self.ran.carrying
        with asking(self.ran.name, f"does not run input of shape {shape_text(inputs.shape)}"):
            if carrying is None:
                found = np.asarray(self.ran.run(inputs))
            else:
                found = np.asarray(carrying.run(inputs, sequences % carrying.abreast))
        self._check_shape(found, (len(inputs), *by_step, self.model.classes))
        return found

    def _of_steps(self, inputs: NDArray[Any], found: NDArray[Any], read: Input) -> NDArray[Any]:
        """The numbers of a sequence's own steps; 0, as lrp's, of those that are skipped."""
        given = self._given(inputs, read)
        numbers = np.zeros((len(inputs), self.model.classes), dtype=found.dtype)
        numbers[given.kept] = found[~given.padding]
        numbers[~prepare([inputs], read).kept] = 0
        return numbers
