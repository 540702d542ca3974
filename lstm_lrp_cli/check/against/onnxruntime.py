"""ONNX Runtime: an .onnx file as it is, one sequence at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.check.expected import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model.model import Model
from .framework import Framework, asking, import_framework, refuse_others

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
        running = _Session(session, model, where)
    linear = all(head.activation == "linear" for head in model.heads)
    gives: Kind = "scores" if linear else "probabilities"
    name = f"onnxruntime {runtime.__version__}"
    return Framework(name, running.dtype, gives, masks=False, run=running.run)


class _Session:
    """An ONNX Runtime session, and what its inputs and outputs are to the model."""

    def __init__(self, session: Any, model: Model, where: str) -> None:
        self._session, self._model, self._where = session, model, where
        rank = 2 if model.takes_tokens else 3
        given = session.get_inputs()
        candidates = [each for each in given if len(each.shape) in (rank, rank - 1)]
        if not candidates:
            raise UnusableInput(where, f"has no input of {rank} axes, for batch and steps")
        self._input = candidates[0]
        self._others = [each for each in given if each is not self._input]
        outputs = session.get_outputs()
        wanted = list(dict.fromkeys(head.name for head in model.heads))
        named = {each.name: each for each in outputs}
        chosen = [named[name] for name in wanted if name in named]
        if len(chosen) < len(wanted):
            chosen = outputs[: len(wanted)]
        self._outputs = [each.name for each in chosen]
        self._axis = None if len(self._input.shape) < rank else self._batch_axis()
        wide = all(each.type == "tensor(double)" for each in chosen)
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if wide else np.float32)

    def run(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return np.stack([self._run_one(steps) for steps in inputs])

    def _run_one(self, steps: NDArray[Any]) -> NDArray[Any]:
        """The numbers of one sequence: (classes,), or (steps, classes)."""
        parts = self._raw(steps, self._axis)
        if self._axis is not None:
            parts = [part.take(0, self._axis if self._model.by_step else 0) for part in parts]
        rows = steps.shape[:1] if self._model.by_step else ()
        return np.concatenate([part.reshape(*rows, -1) for part in parts], axis=-1)

    def _raw(self, steps: NDArray[Any], axis: int | None) -> list[NDArray[Any]]:
        """The outputs for one sequence, which fills a batch where the size of that is fixed."""
        given = steps.astype(self._dtype(self._input))
        if axis is not None:
            size = self._input.shape[axis]
            given = np.stack([given] * (size if isinstance(size, int) else 1), axis=axis)
        inputs = {self._input.name: given} | self._extra(steps)
        found: list[NDArray[Any]] = self._session.run(self._outputs, inputs)
        return found

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
        """The axis of sequences; the other one of the first two is that of steps."""
        sizes = self._input.shape[:2]
        for axis in (0, 1):
            size, other = sizes[axis], sizes[1 - axis]
            if size == 1 or "batch" in str(size).lower():
                return axis
            if isinstance(other, int) and other > 1 and not isinstance(size, int):
                return axis  # the number of steps is fixed
        return self._probed_axis()

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

    def _dtype(self, each: Any) -> np.dtype[Any]:
        if each.type not in DTYPES:
            raise UnusableInput(
                self._where, f"its input `{each.name}` is of {each.type}; expected numbers"
            )
        return DTYPES[each.type]
