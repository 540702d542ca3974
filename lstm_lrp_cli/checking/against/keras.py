"""Keras: the model file as Keras itself loads it; of other files the weights, in Keras's layers."""

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

from lstm_lrp_cli.checking.against import keras_file, keras_layers
from lstm_lrp_cli.checking.against.framework import Framework, asking, import_framework
from lstm_lrp_cli.checking.expected import Kind
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model.model import Model

# Backends that Keras can run on, the likeliest first, and the packages that each needs.
BACKENDS = {
    "torch": ("torch",),
    "jax": ("jax",),
    "tensorflow": ("tensorflow",),
    "numpy": ("scipy", "jax"),
}


def open_framework(loaded: LoadedModel) -> Framework:
    """Load the file on the backend that the user has set, else on one that is installed."""
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        installed = (name for name, needed in BACKENDS.items() if all(map(_is_there, needed)))
        os.environ["KERAS_BACKEND"] = next(installed, "tensorflow")  # which Keras then asks for
    keras = import_framework("keras", "keras", "keras torch")
    name = f"keras {keras.__version__} ({keras.backend.backend()} backend)"
    return open_keras(keras, loaded, name, "--against keras", keras.__version__)


def open_keras(keras: Any, loaded: LoadedModel, name: str, option: str, version: str) -> Framework:
    """Have Keras load a file that holds a whole model, else build one with the model's weights."""
    model, path = loaded.model, loaded.contents.path
    where = f"{option}: {path}"
    dtype = _precision(keras, model)
    gives: Kind = "scores"
    with _default(keras, dtype), asking(where, "Keras does not load it"):
        whole = keras_file.read_whole(path, where, version)
        if whole is None and model.stateful is not None:
            raise UnusableInput(
                where,
                "Keras's layers with its weights begin every sequence anew, and the mapping says "
                "`stateful`; compare by --expected",
            )
        if whole is None:
            run = keras_layers.build(keras, model, dtype, where, version)
        else:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / f"model{whole.suffix}"
                whole.copy(copy, where, dtype.name)
                net = keras.models.load_model(copy, compile=False, safe_mode=True)
            net.trainable = False
            gives, run = keras_file.running(keras, net, model, dtype)

    def run_in_precision(inputs: NDArray[Any]) -> NDArray[Any]:
        with _default(keras, dtype):
            return run(inputs)

    stateful = whole is not None and whole.is_stateful
    carrying = keras_file.carrying(net, run_in_precision) if stateful else None
    return Framework(name, dtype, gives, whole is not None, run_in_precision, carrying)


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
