"""Keras: the model as Keras itself loads it from its file.

What says no architecture, Keras cannot run. Layers of Keras's arranged as the mapping says would
prove nothing of the mapping: both sides would be wrong alike.
"""

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model.model import Model
from . import keras_file
from .framework import Framework, asking, import_framework

# What Keras loads, and what runs other files.
FORMATS = frozenset({"HDF5", "Keras"})
OTHERS = {
    **dict.fromkeys(("PyTorch", "safetensors"), ", or run its modules by --against torch"),
    "ONNX": ", or run it by --against onnxruntime",
}
# Backends that Keras can run on, and the packages that each needs. TensorFlow's comes first: it
# starts quicker than torch's, and is the only one that keeps float64.
BACKENDS = {
    "tensorflow": ("tensorflow",),
    "jax": ("jax",),
    "torch": ("torch",),
    "numpy": ("scipy", "jax"),
}


def open_framework(loaded: LoadedModel) -> Framework:
    """Load the file on the backend that the user has set, else on one that is installed."""
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        installed = (name for name, needed in BACKENDS.items() if all(map(_is_there, needed)))
        os.environ["KERAS_BACKEND"] = next(installed, "tensorflow")  # which Keras then asks for
    keep_tensorflow_quiet()
    keras = import_framework("keras", "keras", "keras torch")
    name = f"keras {keras.__version__} ({keras.backend.backend()} backend)"
    return open_keras(keras, loaded, name, "--against keras", keras.__version__)


def open_keras(keras: Any, loaded: LoadedModel, name: str, option: str, version: str) -> Framework:
    """Have Keras load a model from its file.

    Raises
    ------
    UnusableInput
        The file is none of Keras's, or does not say the architecture; or Keras refuses it.
    """
    model, path, form = loaded.model, loaded.contents.path, loaded.contents.format
    if form not in FORMATS:
        raise UnusableInput(
            option,
            f"{path} is {form}, which Keras does not load; save the scores of your own model and "
            f"compare by --expected{OTHERS.get(form, '')}",
        )
    where = f"{option}: {path}"
    dtype = _precision(keras, model)
    with _default(keras, dtype), asking(where, "Keras does not load it"):
        whole = keras_file.read_whole(path, where, version)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"model{whole.suffix}"
            whole.copy(copy, where, dtype.name)
            net = keras.models.load_model(copy, compile=False, safe_mode=True)
        net.trainable = False
        gives, run = keras_file.running(keras, net, model, dtype)

    def run_in_precision(inputs: NDArray[Any]) -> NDArray[Any]:
        with _default(keras, dtype):
            return run(inputs)

    carrying = keras_file.carrying(net, run_in_precision) if whole.is_stateful else None
    return Framework(name, dtype, gives, masks=True, run=run_in_precision, carrying=carrying)


def keep_tensorflow_quiet() -> None:
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
