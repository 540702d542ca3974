"""Keras 3's `.keras`: a zip of the architecture as JSON and the weights as HDF5."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras_architecture import DAMAGED, read_architecture
from lstm_lrp_cli.loading.keras_layers import convert
from lstm_lrp_cli.loading.keras_weights import layer_groups, snake_case, weights_of
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
                if name.startswith("/") or ".." in name.split("/"):
                    raise UnusableInput(
                        str(path),
                        f"holds a member `{name}`, which leads out of the file; Keras writes none "
                        "such, so it is not read",
                    )
            weights = io.BytesIO(_member(path, archive, WEIGHTS))
            documents = {
                name: json.loads(_member(path, archive, name)) for name in (CONFIG, METADATA)
            }
    except (*DAMAGED_FILE, *DAMAGED_ZIP, KeyError, RecursionError) as error:
        raise UnusableInput(
            str(path), f"is not a whole Keras file ({error}); copy or save it again"
        ) from error
    file = Hdf5File(path, weights)
    file.format = "Keras"
    file.documents = documents
    return file


def describe(file: Hdf5File) -> Described:
    """Read the architecture as a mapping.

    Raises
    ------
    UnusableInput
        A layer that the tool does not know, named; or an architecture that it cannot explain.
    """
    document, metadata = file.documents[CONFIG], file.documents[METADATA]
    groups = layer_groups(file)
    seen: Counter[str] = Counter()

    def weights(kind: str, name: str) -> list[str]:
        # Where the file does not name its layers, they are numbered by kind (Keras 3.0).
        number = seen[kind]
        seen[kind] += 1
        numbered = f"{snake_case(kind)}_{number}" if number else snake_case(kind)
        group = groups.named.get(name) or groups.roots.get(numbered)
        return weights_of(file, group) if group else []

    try:
        architecture = read_architecture(
            file.path, document, str(metadata["keras_version"]), weights
        )
        mapping = convert(architecture, (document.get("compile_config") or {}).get("loss"))
    except DAMAGED as error:
        raise UnusableInput(
            f"{file.path}: {CONFIG}",
            f"is not an architecture that Keras writes ({error!r}); save the model again",
        ) from error
    return Described.by(mapping, f"{CONFIG} in {file.path.name}")


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Any:
    member = archive.getinfo(name)
    check_size(f"{path}: {name}", (member.file_size,), 1, path.stat().st_size)
    with archive.open(member) as file:
        return file.read(member.file_size + 1)
