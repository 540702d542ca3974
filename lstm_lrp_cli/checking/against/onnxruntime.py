"""ONNX Runtime: an .onnx file as it is, one sequence at a time."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.checking.against.framework import Framework, asking, import_framework
from lstm_lrp_cli.checking.expected import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model.model import Model

OPTION = "--against onnxruntime"
ERRORS_ALONE = 3
DTYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}
# So many steps tell the axis of a batch of one from that of steps.
PROBE = 3


def open_framework(loaded: LoadedModel) -> Framework:
    """Load the .onnx file."""
    path = loaded.contents.path
    if loaded.contents.format != "ONNX":
        raise UnusableInput(
            OPTION, f"runs .onnx files; {path} is {loaded.contents.format}. Try --against torch"
        )
    return open_onnx(path, loaded.model)


def open_onnx(path: Path, model: Model) -> Framework:
    """Load an .onnx file that a model was read from."""
    runtime = import_framework("onnxruntime", "onnxruntime", "onnxruntime")
    where = f"{OPTION}: {path}"
    with asking(where, "ONNX Runtime does not load it"):
        options = runtime.SessionOptions()
        options.log_severity_level = ERRORS_ALONE
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        running = _Session(session, model, where)
    linear = all(head.activation == "linear" for head in model.heads)
    gives: Kind = "scores" if linear else "probabilities"
    name = f"onnxruntime {runtime.__version__}"
    return Framework(name, running.dtype, gives, masks=False, run=running.run)


class _Session:
    """An ONNX Runtime session, and what its inputs and outputs are to the model."""

    def __init__(self, session: Any, model: Model, where: str) -> None:
        self._session, self._model, self._where = session, model, where
        rank = 3 if model.embedding is None else 2
        given = session.get_inputs()
        candidates = [each for each in given if len(each.shape) in (rank, rank - 1)]
        if not candidates:
            raise UnusableInput(where, f"has no input of {rank} axes, for batch and steps")
        self._input = candidates[0]
        self._others = [each for each in given if each is not self._input]
        self._axis = None if len(self._input.shape) < rank else self._batch_axis()
        outputs = session.get_outputs()
        wanted = list(dict.fromkeys(head.name for head in model.heads))
        named = {each.name: each for each in outputs}
        chosen = [named[name] for name in wanted if name in named]
        if len(chosen) < len(wanted):
            chosen = outputs[: len(wanted)]
        self._outputs = [each.name for each in chosen]
        wide = all(each.type == "tensor(double)" for each in chosen)
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if wide else np.float32)

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return np.stack([self._run_one(steps, self._axis) for steps in inputs])

    def _run_one(self, steps: NDArray[Any], axis: int | None) -> NDArray[Any]:
        """The numbers of one sequence: (classes,), or (steps, classes)."""
        given = steps.astype(self._dtype(self._input))
        if axis is not None:
            size = self._input.shape[axis]
            batch = size if isinstance(size, int) else 1  # all alike, where it is fixed
            given = np.stack([given] * batch, axis=axis)
        found = self._session.run(self._outputs, {self._input.name: given} | self._extra(steps))
        parts = []
        for array in found:
            if axis is not None:
                array = array.take(0, axis=axis if self._model.by_step else 0)
            parts.append(array.reshape(*steps.shape[:1], -1) if self._model.by_step else array)
        return np.concatenate([part.reshape(*part.shape[:-1], -1) for part in parts], axis=-1)

    def _extra(self, steps: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Other inputs: the length of the sequence, and states, which are zero at first."""
        found: dict[str, NDArray[Any]] = {}
        for each in self._others:
            dtype = self._dtype(each)
            shape = [size if isinstance(size, int) else 1 for size in each.shape]
            if dtype.kind == "i" and len(shape) == 1:
                found[each.name] = np.full(shape, len(steps), dtype=dtype)
            elif dtype.kind == "f":
                found[each.name] = np.zeros(shape, dtype=dtype)
            else:
                raise UnusableInput(
                    self._where,
                    f"has an input `{each.name}` of {each.type}; expected sequences, their lengths "
                    "and initial states alone. Compare by --expected",
                )
        return found

    def _batch_axis(self) -> int:
        """The axis of sequences, the other one being that of steps.

        Where neither sizes nor names tell, it shows in what the model makes of a batch of one.
        """
        first, second = self._input.shape[:2]
        fixed = [isinstance(size, int) for size in (first, second)]
        if any(fixed) and first != second:
            if all(fixed):
                return 0 if first == 1 else 1
            return 0 if (fixed[0] and first == 1) or (fixed[1] and second != 1) else 1
        steps = np.zeros((PROBE, *self._input.shape[2:]))
        return 0
