"""A whole model as Keras writes it: HDF5 of a layout of its own, alone or in a `.keras` file."""

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import check_size, damaged
from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.files.numpy import unpacking
from lstm_lrp_cli.loading.mapping import Described
from .architecture import Place, read_architecture
from .describe import describe_architecture
from .document import ALLOWED_CHARACTERS, DAMAGED, read_document
from .weights import PlacedWeights, group_weights

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


class KerasFile(Hdf5File):
    """The weights in a `.keras` file, with its two JSON documents beside them.

    Raises
    ------
    UnusableInput
        It is damaged, or claims more than a file of its size honestly holds.
    """

    format = "Keras"

    def __init__(self, path: Path) -> None:
        documents, weights = _unpacked(path)
        super().__init__(path, io.BytesIO(weights))
        self.documents = documents


def _unpacked(path: Path) -> tuple[dict[str, Any], bytes]:
    """The documents and the weights."""
    import zipfile  # which a model in HDF5 alone does not need

    def content(name: str, limit: int | None = None) -> bytes:
        """A member's, of which a limit or the file's own size bounds the size."""
        member = archive.getinfo(name)
        where, size = f"{path}: {name}", member.file_size
        if limit is not None and size > limit:
            raise UnusableInput(
                where, f"claims {size:,} bytes; no such architecture is honest, so it is not read"
            )
        check_size(where, (size,), 1, path.stat().st_size)
        with archive.open(member) as file:
            return file.read(size)

    with unpacking(str(path), "Keras"), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            parts = name.replace("\\", "/").split("/")
            if parts[0] == "" or ".." in parts or ":" in parts[0]:
                raise UnusableInput(
                    str(path),
                    f"holds a member `{name}`, which leads out of the file; Keras writes none "
                    "such, so it is not read",
                )
        documents = {
            name: read_document(f"{path}: {name}", content(name, ALLOWED_CHARACTERS))
            for name in (CONFIG, METADATA)
        }
        return documents, content(WEIGHTS)


def describe_hdf5(file: Hdf5File) -> Described:
    """Read the architecture that stands in HDF5 as a mapping.

    Raises
    ------
    UnusableInput
        A layer that the tool does not know, named; or an architecture that it cannot explain.
    """
    text = file.attribute("/", "model_config")
    where = file.where("attribute model_config")
    version = str(file.attribute("/", "keras_version") or "")
    if version.startswith("1."):
        raise UnusableInput(
            str(file.path),
            f"was written by Keras {version}; load it in Keras 2, which converts it, and save it",
        )
    with _understood(file, where):
        architecture = read_architecture(
            file.path, read_document(where, text), version, lambda places: _weights(file, places)
        )
        return describe_architecture(
            architecture, _losses(file), f"model_config in {file.path.name}", version
        )


def _weights(file: Hdf5File, places: tuple[Place, ...]) -> list[str]:
    root = "model_weights" if file.has_group("model_weights") else ""
    top = places[0].name
    return group_weights(file, f"{root}/{top}" if root else top, places)


def _losses(file: Hdf5File) -> Any:
    """The losses with which the model was compiled; None where the file does not say them."""
    text = file.attribute("/", "training_config")
    if text is None:
        return None
    return read_document(file.where("attribute training_config"), text).get("loss")


def describe_archive(file: KerasFile) -> Described:
    """Read the architecture as a mapping.

    Raises
    ------
    UnusableInput
        A layer that the tool does not know, named; or an architecture that it cannot explain.
    """

    document = file.documents[CONFIG]
    with _understood(file, file.where(CONFIG)):
        version = str(file.documents[METADATA]["keras_version"])
        architecture = read_architecture(file.path, document, version, PlacedWeights(file))
        losses = (document.get("compile_config") or {}).get("loss")
        return describe_architecture(architecture, losses, f"{CONFIG} in {file.path.name}", version)


def _understood(file: Hdf5File, where: str) -> AbstractContextManager[None]:
    """Reads an architecture, and refuses it where it is of another form than Keras writes."""
    return damaged(
        where,
        lambda error: (
            f"is not understood as an architecture of Keras ({error!r}); if it is one, describe "
            f"its layers by hand in {file.path.with_suffix('.yaml').name}"
        ),
        *DAMAGED,
    )
