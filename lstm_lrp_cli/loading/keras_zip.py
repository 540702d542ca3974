"""Keras 3's `.keras`: a zip of the architecture as JSON and the weights as HDF5."""

import io
import zipfile
from pathlib import Path

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras_architecture import (
    ALLOWED_CHARACTERS,
    DAMAGED,
    read_architecture,
    read_document,
)
from lstm_lrp_cli.loading.keras_layers import describe_architecture
from lstm_lrp_cli.loading.keras_weights import PlacedWeights
from lstm_lrp_cli.loading.mapping import Described
from lstm_lrp_cli.loading.npy import DAMAGED as DAMAGED_FILE
from lstm_lrp_cli.loading.npz import DAMAGED_ZIP
from lstm_lrp_cli.loading.weight_file import check_size

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def open_keras(path: Path) -> Hdf5File:
    """Open the weights in a `.keras` file, with its two JSON documents beside them.

    Raises
    ------
    UnusableInput
        It is damaged, or claims more than a file of its size honestly holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                parts = name.replace("\\", "/").split("/")
                if parts[0] == "" or ".." in parts or ":" in parts[0]:
                    raise UnusableInput(
                        str(path),
                        f"holds a member `{name}`, which leads out of the file; Keras writes none "
                        "such, so it is not read",
                    )
            documents = {
                name: read_document(
                    f"{path}: {name}", _member(path, archive, name, ALLOWED_CHARACTERS)
                )
                for name in (CONFIG, METADATA)
            }
            weights = io.BytesIO(_member(path, archive, WEIGHTS))
    except (*DAMAGED_FILE, *DAMAGED_ZIP, KeyError) as error:
        raise UnusableInput(
            str(path), f"is not a whole Keras file ({error}); copy or save it again"
        ) from error
    file = Hdf5File(path, weights)
    file.format = "Keras"
    file.documents = documents
    return file


def describe_archive(file: Hdf5File) -> Described:
    """Read the architecture as a mapping.

    Raises
    ------
    UnusableInput
        A layer that the tool does not know, named; or an architecture that it cannot explain.
    """
    document = file.documents[CONFIG]
    try:
        version = str(file.documents[METADATA]["keras_version"])
        architecture = read_architecture(file.path, document, version, PlacedWeights(file))
        losses = (document.get("compile_config") or {}).get("loss")
        return describe_architecture(architecture, losses, f"{CONFIG} in {file.path.name}", version)
    except DAMAGED as error:
        raise UnusableInput(
            f"{file.path}: {CONFIG}",
            f"is not understood as an architecture of Keras ({error!r}); if it is one, describe "
            f"its layers by hand in {file.path.with_suffix('.yaml').name}",
        ) from error


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int | None = None) -> bytes:
    """A member's content, of which a limit or the file's own size bounds the size."""
    member = archive.getinfo(name)
    where, size = f"{path}: {name}", member.file_size
    if limit is not None and size > limit:
        raise UnusableInput(
            where, f"claims {size:,} bytes; no such architecture is honest, so it is not read"
        )
    check_size(where, (size,), 1, path.stat().st_size)
    with archive.open(member) as file:
        return file.read(size)
