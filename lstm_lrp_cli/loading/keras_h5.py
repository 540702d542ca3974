"""Keras's own HDF5 layout: a whole model, as `model.save("model.h5")` writes it."""

import json
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading import keras_weights
from lstm_lrp_cli.loading.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras_architecture import DAMAGED, read_architecture
from lstm_lrp_cli.loading.keras_layers import convert
from lstm_lrp_cli.loading.mapping import Described


def describe(file: Hdf5File) -> Described | None:
    """Read what Keras wrote as a mapping; None where the file is not Keras's.

    Raises
    ------
    UnusableInput
        A layer that the tool does not know, named; or an architecture that it cannot explain.
    """
    text = file.attribute("/", "model_config")
    if text is None:
        return keras_weights.describe(file)
    try:
        architecture = read_architecture(
            file.path,
            json.loads(text),
            str(file.attribute("/", "keras_version") or ""),
            lambda kind, name: _weights(file, name),
        )
        mapping = convert(architecture, _losses(file))
    except DAMAGED as error:
        raise UnusableInput(
            f"{file.path}: attribute model_config",
            f"is not an architecture that Keras writes ({error!r}); save the model again",
        ) from error
    return Described.by(mapping, f"model_config in {file.path.name}")


def _weights(file: Hdf5File, layer: str) -> list[str]:
    root = "model_weights" if file.has_group("model_weights") else ""
    group = f"{root}/{layer}" if root else layer
    if not any(name.startswith(f"{group}/") for name in file.datasets):
        return []
    return [f"{group}/{name}" for name in file.attribute(group, "weight_names")]


def _losses(file: Hdf5File) -> Any:
    """The losses with which the model was compiled; None where the file does not say them."""
    text = file.attribute("/", "training_config")
    return None if text is None else json.loads(text).get("loss")
