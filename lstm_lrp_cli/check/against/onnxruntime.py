"""ONNX Runtime: an .onnx file as it is, one sequence at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.check.kinds import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model.model import Model
from .framework import Framework, as_laid_out, asking, import_framework, refuse_others

ERRORS_ALONE = 3
DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}
# So many steps tell the axis of a batch of one from that of steps.
PROBE = 3


def open_onnxruntime(loaded: LoadedModel) -> Framework:
    """Load the .onnx file.

    Raises
    ------
    UnusableInput
        It is none, or ONNX Runtime refuses it.
    """
    refuse_others("onnxruntime", "ONNX Runtime", loaded, ("ONNX",))
    runtime = import_framework("onnxruntime", "onnxruntime", "onnxruntime")
    model, path = loaded.model, loaded.contents.path
    where = f"--against onnxruntime: {path}"
    with asking(where, "ONNX Runtime does not load it"):
        options = runtime.SessionOptions()
        options.log_severity_level = ERRORS_ALONE
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        several = _Several(session, model, where) if model.several_inputs else None
        running = several or _Single(session, model, where)
    linear = all(head.activation == "linear" for head in model.heads)
    gives: Kind = "scores" if linear else "probabilities"
    return Framework(
        f"onnxruntime {runtime.__version__}",
        running.dtype,
        gives,
        masks=False,
        run=running.run,
        run_several=None if several is None else several.run_one,
    )


class _Session:
    """An ONNX Runtime session, and what its outputs are to the model."""

    def __init__(self, session: Any, model: Model, where: str) -> None:
        self._session, self._model, self._where = session, model, where
        outputs = session.get_outputs()
        wanted = list(dict.fromkeys(head.name for head in model.heads))
        named = {each.name: each for each in outputs}
        chosen = [named[name] for name in wanted if name in named]
        if len(chosen) < len(wanted):
            chosen = outputs[: len(wanted)]
        self._outputs = [each.name for each in chosen]
        wide = all(each.type == "tensor(double)" for each in chosen)
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if wide else np.float32)

    def _dtype(self, each: Any) -> np.dtype[Any]:
        if each.type not in DTYPES:
            raise UnusableInput(
                self._where, f"its input `{each.name}` is of {each.type}; expected numbers"
            )
        return DTYPES[each.type]

    def _of_others(self, others: Sequence[Any], steps: int) -> dict[str, NDArray[Any]]:
        """Other inputs: the length of the sequence, and states, which are zero at first."""
        found: dict[str, NDArray[Any]] = {}
        for each in others:
            dtype = self._dtype(each)
            shape = [size if isinstance(size, int) else 1 for size in each.shape]
            if dtype.kind == "i" and len(shape) == 1:
                found[each.name] = np.full(shape, steps, dtype=dtype)
            elif dtype.kind == "f":
                found[each.name] = np.zeros(shape, dtype=dtype)
            else:
                raise UnusableInput(
                    self._where,
                    f"has an input `{each.name}` of {each.type}; expected sequences, their lengths "
                    "and initial states alone. Compare by --expected",
                )
        return found


class _Several(_Session):
    """One of several inputs, which the model calls as the graph does."""

    def __init__(self, session: Any, model: Model, where: str) -> None:
        super().__init__(session, model, where)
        named = {each.name: each for each in session.get_inputs()}
        missing = [name for name in model.input_names if name not in named]
        if missing:
            raise UnusableInput(
                where, f"has no input `{missing[0]}` ({', '.join(named)}); compare by --expected"
            )
        self._inputs = [named.pop(name) for name in model.input_names]
        self._others = list(named.values())

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        raise UnusableInput(self._where, "has several inputs; expected what each is given")

    def run_one(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The numbers of one sequence: (classes,), or (steps, classes)."""
        inputs = {}
        for each, part, read in zip(self._inputs, parts, self._model.inputs, strict=True):
            given = part if read.steps else part.reshape(-1)
            if len(each.shape) > given.ndim:
                axis = self._batch_axis(each) if read.steps else 0
                size = each.shape[axis]
                given = np.stack([given] * (size if isinstance(size, int) else 1), axis=axis)
            inputs[each.name] = given.astype(self._dtype(each))
        longest = max(len(part) for part in parts)
        found = self._session.run(self._outputs, inputs | self._of_others(self._others, longest))
        axis = self._batch_axis(self._inputs[0]) if self._model.by_step else 0
        return np.concatenate([part.take(0, axis) for part in found], axis=-1)

    def _batch_axis(self, given: Any) -> int:
        """The axis of sequences: of one, or called as one of every other input."""
        shared = set.intersection(*(set(each.shape) for each in self._inputs))
        for axis, size in enumerate(given.shape[:2]):
            is_name = isinstance(size, str)
            if size == 1 or (is_name and (size in shared or "batch" in size.lower())):
                return axis
        return 0


class _Single(_Session):
    """The one input of sequences."""

    def __init__(self, session: Any, model: Model, where: str) -> None:
        super().__init__(session, model, where)
        rank = 2 if model.takes_tokens else 3
        given = session.get_inputs()
        self._layout = ""
        if len(given) == 1 and not model.takes_tokens:
            self._layout = as_laid_out(given[0].shape, model.inputs[0].size)
        rank -= self._layout == "flat"
        candidates = [
            each for size in (rank, rank - 1) for each in given if len(each.shape) == size
        ]
        if not candidates:
            raise UnusableInput(where, f"has no input of {rank} axes, for batch and steps")
        self._input = candidates[0]
        self._others = [each for each in given if each is not self._input]
        self._axis = None if len(self._input.shape) < rank else self._batch_axis()

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return np.stack([self._run_one(steps) for steps in inputs])

    def _run_one(self, steps: NDArray[Any]) -> NDArray[Any]:
        """The numbers of one sequence: (classes,), or (steps, classes)."""
        parts = self._raw(steps, self._axis)
        if not self._model.by_step:
            parts = parts if self._axis is None else [part[0] for part in parts]
            return np.concatenate([part.reshape(-1) for part in parts], axis=-1)
        parts = [self._of_first(part, len(steps)) for part in parts]
        return np.concatenate([part.reshape(len(steps), -1) for part in parts], axis=-1)

    def _of_first(self, part: NDArray[Any], steps: int) -> NDArray[Any]:
        """The scores of the first sequence, step by step."""
        if self._axis is None:
            return part
        classes = sum(head.size for head in self._model.heads)
        if part.ndim == 2 and part.shape[1] == classes and len(part) % steps == 0:
            return part[:steps]  # all steps of all sequences one below the other
        one: NDArray[Any] = part.take(0, self._axis)
        is_turned = one.shape == (classes, steps) and classes != steps
        return one.T if is_turned and len(self._outputs) == 1 else one

    def _raw(self, steps: NDArray[Any], axis: int | None) -> list[NDArray[Any]]:
        """The outputs for one sequence, which fills a batch where the size of that is fixed."""
        given = steps.astype(self._dtype(self._input))
        if self._layout:
            given = given[..., 0] if self._layout == "flat" else given.swapaxes(0, 1)
        if axis is not None:
            size = self._input.shape[axis]
            given = np.stack([given] * (size if isinstance(size, int) else 1), axis=axis)
        inputs = {self._input.name: given} | self._of_others(self._others, len(steps))
        found: list[NDArray[Any]] = self._session.run(self._outputs, inputs)
        return found

    def _batch_axis(self) -> int:
        """The axis of sequences; the other one of the first two is that of steps."""
        if self._layout == "turned":
            return 0
        sizes = self._input.shape[:2]
        for axis in (0, 1):
            size, other = sizes[axis], sizes[1 - axis]
            if size == 1 or "batch" in str(size).lower():
                return axis
            if isinstance(other, int) and other > 1 and not isinstance(size, int):
                return axis  # the number of steps is fixed
        fixed = [size for size in self._input.shape if isinstance(size, int)]
        return (
            self._probed_axis() if len(fixed) < len(self._input.shape) else self._disturbed_axis()
        )

    def _disturbed_axis(self) -> int:
        """The axis of sequences, by whether others than the first change as what is first does."""
        dtype, found = self._dtype(self._input), []
        for first in (0, 1):
            given = np.zeros(self._input.shape, dtype=dtype)
            given[0] = first
            inputs = {self._input.name: given} | self._of_others(self._others, len(given))
            made = self._session.run(self._outputs, inputs)[0]
            found.append(made[max(len(made) // len(given), 1) :])
        still, moved = found
        return int(not np.allclose(still, moved, rtol=1e-6, atol=1e-9))

    def _probed_axis(self) -> int:
        """The axis of sequences as it shows in what the model makes of a batch of one.

        Were it taken for steps, there would be as many results as steps, or, where each step has
        one, all of them alike.
        """
        shape = [size if isinstance(size, int) else 1 for size in self._input.shape[2:]]
        found = self._raw(np.zeros((PROBE, *shape)), 0)[0]
        if self._model.by_step:
            return int(np.ptp(found, axis=1).max() == 0)
        return int(len(found) != 1)
