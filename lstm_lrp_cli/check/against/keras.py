"""Keras, or TensorFlow's own: the model as Keras itself loads it from its file.

What says no architecture, Keras cannot run. Layers of Keras's arranged as the mapping says would
prove nothing of the mapping: both sides would be wrong alike.
"""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.check.kinds import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.keras.kinds.recurrent import CELLS
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model import Integers
from lstm_lrp_cli.model.model import Head, Model
from .framework import Carrying, Framework, asking, import_framework, refuse_others
from .keras_file import read_whole

Run = Callable[[NDArray[Any]], NDArray[Any]]

# The formats that Keras loads.
FORMATS = frozenset({"HDF5", "Keras"})
# Backends that Keras can run on, and the packages that each needs. TensorFlow's comes first: it
# starts quicker than torch's, and is the only one that keeps float64.
BACKENDS = {
    "tensorflow": ("tensorflow",),
    "jax": ("jax",),
    "torch": ("torch",),
    "numpy": ("scipy", "jax"),
}
LAST_ACTIVATIONS = ("softmax", "sigmoid")


def open_keras(loaded: LoadedModel) -> Framework:
    """Load the file on the backend that the user has set, else on one that is installed.

    Raises
    ------
    UnusableInput
        The file is none of Keras's, or does not say the architecture; or Keras refuses it.
    """
    refuse_others("keras", "Keras", loaded, FORMATS)
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        installed = (name for name, needed in BACKENDS.items() if all(map(_is_there, needed)))
        os.environ["KERAS_BACKEND"] = next(installed, "tensorflow")  # which Keras then asks for
    _keep_tensorflow_quiet()
    keras = import_framework("keras", "keras", "keras torch")
    name = f"keras {keras.__version__} ({keras.backend.backend()} backend)"
    return _open(keras, loaded, name, "keras", keras.__version__)


def open_tensorflow(loaded: LoadedModel) -> Framework:
    """Load the file with tf.keras.

    Raises
    ------
    UnusableInput
        As of `open_keras`; or Keras runs on another backend already.
    """
    refuse_others("tensorflow", "Keras", loaded, FORMATS)
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    _keep_tensorflow_quiet()
    tensorflow = import_framework("tensorflow", "tensorflow", "tensorflow")
    keras = tensorflow.keras
    if keras.backend.backend() != "tensorflow":
        raise UnusableInput(
            "--against tensorflow", "Keras runs on another backend in this process already"
        )
    # The Keras 2 inside TensorFlow up to 2.15 has its version outside.
    own = (
        keras if hasattr(keras, "__version__") else import_framework("keras", "tensorflow", "keras")
    )
    name = f"tensorflow {tensorflow.__version__} (Keras {own.__version__})"
    return _open(keras, loaded, name, "tensorflow", own.__version__)


def _open(keras: Any, loaded: LoadedModel, name: str, option: str, version: str) -> Framework:
    """Have Keras load a model from its file."""
    model, path = loaded.model, loaded.contents.path
    where = f"--against {option}: {path}"
    dtype = _precision(keras, model)
    with _default(keras, dtype), asking(where, "Keras does not load it"):
        whole = read_whole(path, option, version)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"model{whole.suffix}"
            whole.copy(copy, where, dtype.name)
            net = keras.models.load_model(copy, compile=False, safe_mode=True)
        net.trainable = False
        gives, run = _running(keras, net, model, dtype)

    def run_in_precision(inputs: NDArray[Any]) -> NDArray[Any]:
        with _default(keras, dtype):
            return run(inputs)

    carrying = _carrying(net, run_in_precision) if whole.is_stateful else None
    return Framework(name, dtype, gives, masks=True, run=run_in_precision, carrying=carrying)


def _keep_tensorflow_quiet() -> None:
    """Have TensorFlow not announce what it found, nor that it takes oneDNN's kernels."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def _precision(keras: Any, model: Model) -> np.dtype[Any]:
    """That of the model where Keras has it: but on TensorFlow it makes float32 of float64.

    keras/src/backend/common/dtypes.py: "Force to be 32-bit dtype when encountering 64-bit dtype".
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    return model.dtype if on_tensorflow else np.dtype(np.float32)


@contextmanager
def _default(keras: Any, dtype: np.dtype[Any]) -> Iterator[None]:
    """Keras's default precision, meanwhile."""
    before = keras.backend.floatx()
    keras.backend.set_floatx(dtype.name)
    try:
        yield
    finally:
        keras.backend.set_floatx(before)


def _is_there(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _running(keras: Any, net: Any, model: Model, dtype: np.dtype[Any]) -> tuple[Kind, Run]:
    """What runs a Keras model, and whether it gives scores: they are lrp's own, in lrp's order."""
    names = keras.Model(net.inputs, net.outputs).output_names
    wanted = list(dict.fromkeys(head.name for head in model.heads))
    scores = _before_last_activations(keras, net, model.heads)
    chosen = net.outputs if scores is None else scores
    if set(wanted) == set(names):
        chosen = [chosen[names.index(name)] for name in wanted]
    ready = keras.Model(net.inputs, chosen)

    shape = [-1 if size is None else int(size) for size in net.inputs[0].shape[1:]]

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        given = inputs.astype(np.int32 if model.takes_tokens else dtype)
        if len(shape) > given.ndim - 1:  # sequences of sequences, whose steps lrp has in one row
            given = given.reshape(len(given), *shape)
        found = ready(given, training=False)
        outputs = found if isinstance(found, list | tuple) else [found]
        return np.concatenate([np.asarray(each) for each in outputs], axis=-1)

    return "probabilities" if scores is None else "scores", run


def _carrying(net: Any, run: Run) -> Carrying:
    """What runs a stateful Keras model sequence by sequence, from states of zero on.

    Keras runs whole batches. What there is no sequence for is filled up with zeros, and the states
    that these would change are put back.
    """
    readers = [each for each in net._flatten_layers() if type(each).__name__ in CELLS]
    states = [state for reader in readers if reader.stateful for state in reader.states]
    batch = int(net.inputs[0].shape[0])
    for state in states:
        state.assign(np.zeros(tuple(state.shape)))

    def run_in_slots(inputs: NDArray[Any], slots: Integers) -> NDArray[Any]:
        filled = np.zeros((batch, *inputs.shape[1:]), dtype=inputs.dtype)
        filled[slots] = inputs
        before = [np.array(state) for state in states]
        found = run(filled)[slots]
        empty = np.setdiff1d(np.arange(batch), slots)
        for state, kept in zip(states, before, strict=True):
            if len(empty):
                now = np.array(state)
                now[empty] = kept[empty]
                state.assign(now)
        return found

    return Carrying(batch, run_in_slots)


def _before_last_activations(keras: Any, net: Any, heads: Sequence[Head]) -> list[Any] | None:
    """The scores: without a softmax or sigmoid that is the last of an output.

    None where Keras has it in another place than the model's own last layer.
    """
    needed = {head.name for head in heads if head.activation != "linear"}
    layers = [tensor._keras_history[0] for tensor in net.outputs]
    last = [_ends_in_activation(keras, layer) for layer in layers]
    if sum(last) < len(needed):
        return None
    scores = []
    for tensor, layer, ends in zip(net.outputs, layers, last, strict=True):
        if ends and type(layer).__name__ in ("Activation", "Softmax"):
            scores.append(layer.input)
        else:
            if ends:
                _inner(layer).activation = keras.activations.linear
            scores.append(tensor)
    return scores


def _ends_in_activation(keras: Any, layer: Any) -> bool:
    if layer._outbound_nodes or len(layer._inbound_nodes) != 1:
        return False
    activations = [getattr(keras.activations, name) for name in LAST_ACTIVATIONS]
    activation = getattr(_inner(layer), "activation", None)
    return type(layer).__name__ == "Softmax" or activation in activations


def _inner(layer: Any) -> Any:
    """The layer that is applied: that inside a wrapper for every step."""
    return layer.layer if type(layer).__name__ == "TimeDistributed" else layer
