"""TensorFlow: its own Keras, which loads the file."""

import os
import sys

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import LoadedModel
from .framework import Framework, import_framework
from .keras import keep_tensorflow_quiet, open_keras

OPTION = "--against tensorflow"


def open_framework(loaded: LoadedModel) -> Framework:
    """Load the file with tf.keras."""
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    keep_tensorflow_quiet()
    tensorflow = import_framework("tensorflow", "tensorflow", "tensorflow")
    keras = tensorflow.keras
    if keras.backend.backend() != "tensorflow":
        raise UnusableInput(OPTION, "Keras runs on another backend in this process already")
    # The Keras 2 inside TensorFlow up to 2.15 has its version outside.
    own = (
        keras if hasattr(keras, "__version__") else import_framework("keras", "tensorflow", "keras")
    )
    name = f"tensorflow {tensorflow.__version__} (Keras {own.__version__})"
    return open_keras(keras, loaded, name, OPTION, own.__version__)
