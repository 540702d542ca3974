"""Keras's own HDF5 layout: a whole model, as `model.save("model.h5")` writes it."""

from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras_architecture import (
    DAMAGED,
    Place,
    read_architecture,
    read_document,
)
from lstm_lrp_cli.loading.keras_layers import describe_architecture
from lstm_lrp_cli.loading.mapping import Described


def describe_hdf5(file: Hdf5File, assume: bool) -> Described | None:
    """Read what Keras wrote as a mapping; None where the file is not Keras's.

    Raises
    ------
    UnusableInput
        A layer that the tool does not know, named; or an architecture that it cannot explain.
    """
    text = file.attribute("/", "model_config")
    if text is None:
        from lstm_lrp_cli.loading import keras_json, keras_weights

        beside = keras_json.find_beside(file) if keras_weights.holds_layers(file) else None
        return beside.described if beside else keras_weights.describe(file, assume)
    where = f"{file.path}: attribute model_config"
    version = str(file.attribute("/", "keras_version") or "")
    if version.startswith("1."):
        raise UnusableInput(
            str(file.path),
            f"was written by Keras {version}; load it in Keras 2, which converts it, and save it",
        )
    try:
        architecture = read_architecture(
            file.path, read_document(where, text), version, lambda places: _weights(file, places)
        )
        return describe_architecture(
            architecture, _losses(file), f"model_config in {file.path.name}", version
        )
    except DAMAGED as error:
        raise UnusableInput(
            where,
            f"is not understood as an architecture of Keras ({error!r}); if it is one, describe "
            f"its layers by hand in {file.path.with_suffix('.yaml').name}",
        ) from error


def _weights(file: Hdf5File, places: tuple[Place, ...]) -> list[str]:
    root = "model_weights" if file.has_group("model_weights") else ""
    top = places[0].name
    return group_weights(file, f"{root}/{top}" if root else top, places)


def group_weights(file: Hdf5File, group: str, places: tuple[Place, ...]) -> list[str]:
    """A layer's datasets; those of a model inside the model all stand in that model's group."""
    if not file.holds(group):
        return []
    names = [str(name) for name in file.attribute(group, "weight_names")]
    if len(places) > 1:
        whole = "/".join(place.name for place in places)  # as Keras 3 names them
        names = [n for n in names if f"/{whole}/" in f"/{n}"] or [
            n for n in names if f"/{places[-1].name}/" in f"/{n}"
        ]
    return [f"{group}/{name}" for name in names]


def _losses(file: Hdf5File) -> Any:
    """The losses with which the model was compiled; None where the file does not say them."""
    text = file.attribute("/", "training_config")
    if text is None:
        return None
    return read_document(f"{file.path}: attribute training_config", text).get("loss")
