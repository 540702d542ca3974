"""Whole models as Keras writes them, and architectures that stand beside weights alone."""

import itertools
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import check_size, damaged, shape_text
from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.files.numpy import unpacking
from lstm_lrp_cli.loading.mapping import Described
from .architecture import Architecture, Place, read_architecture
from .describe import describe_architecture
from .document import ALLOWED_CHARACTERS, DAMAGED, MODELS, Config, read_document
from .kinds.inputs import TEXT
from .older import read_older
from .older.translation import as_computed_on, is_older
from .roles import Shape, weight_shapes
from .weights import PlacedWeights, group_weights, is_weight, snake_case, weights_beside

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# What Keras calls the vocabulary of a layer.
WORDS = "vocabulary.txt"


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
        super().__init__(path, weights)
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
        for name in archive.namelist():
            if name.startswith("assets/") and name.endswith(f"/{WORDS}"):
                documents[name] = _words(f"{path}: {name}", content(name))
        return documents, content(WEIGHTS)


def _words(where: str, text: bytes) -> list[str]:
    """A vocabulary, a token a line, as Keras writes it beside weights."""
    with damaged(where, lambda error: f"is not UTF-8 ({error})", UnicodeDecodeError):
        words = text.decode("utf-8").replace("\r\n", "\n").split("\n")
    if words == [""]:
        raise UnusableInput(where, "is empty; expected a token a line")
    return words


class _Assets(Struct):
    """Finds what belongs to a layer by its place: its datasets, or its vocabulary."""

    file: KerasFile
    weights: PlacedWeights

    def __call__(self, places: tuple[Place, ...]) -> list[str]:
        if places[-1].kind not in TEXT:
            return self.weights(places)
        parts = [
            snake_case(place.kind) + f"_{place.number}" * (place.number > 0) for place in places
        ]
        name = f"assets/layers/{'/layers/'.join(parts)}/{WORDS}"
        return [name] if name in self.file.documents else []


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
    with _understood(file, where):
        document = read_document(where, text)
        root = "model_weights/" if file.has_group("model_weights") else ""
        if is_older(document, version):
            architecture, version = read_older(file, document, version, file.path, root)
        else:
            document = as_computed_on(file.attribute("/", "backend"), document)
            architecture = read_architecture(
                *(file.path, document, version),
                lambda places: group_weights(file, f"{root}{places[0].name}", places),
            )
        return describe_architecture(
            architecture, _losses(file), f"model_config in {file.path.name}", version
        )


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
        weights_of = _Assets(file, PlacedWeights(file))
        architecture = read_architecture(file.path, document, version, weights_of)
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


# No more files than these are looked at beside the weights.
MOST_FILES = 200
# What every such file has in it.
MARK = b'"class_name"'
# What is left of a weight file's name is that of its model: model.weights.h5, model_weights.h5.
WEIGHTS_SUFFIX = re.compile(r"[._-]?weights$", re.IGNORECASE)


class Beside(Struct, frozen=True):
    """An architecture that fits the weights that it stands beside.

    Parameters
    ----------
    path : Path
    document : dict
    keras_version : str
    described : Described
    """

    path: Path
    document: Config
    keras_version: str
    described: Described


def find_beside(file: Hdf5File) -> Beside | None:
    """Find the architecture of weights in the folder that holds them; None where there is none.

    That of the model's name is taken before others, of which one must fit.

    Raises
    ------
    UnusableInput
        It is not that of these weights, or cannot be explained; or several are.
    """
    for paths in _candidates(file.path):
        found = _fitting(file, paths)
        if found is not None:
            return found
    return None


def _fitting(file: Hdf5File, paths: list[Path]) -> Beside | None:
    """The one architecture that fits; None where no file is any."""
    fitting: list[Beside] = []
    refused: list[UnusableInput] = []
    for path in paths:
        try:
            found = _read(file, path)
        except UnusableInput as error:
            refused.append(error)
            continue
        if found is not None and all(found.document != each.document for each in fitting):
            fitting.append(found)
    if len(fitting) > 1:
        names = ", ".join(each.path.name for each in fitting)
        raise UnusableInput(
            str(file.path),
            f"holds weights alone, and several architectures beside it fit them: {names}; call the "
            f"right one {file.path.with_suffix('.json').name}",
        )
    if fitting:
        return fitting[0]
    if refused:
        raise refused[0]
    return None


def _candidates(weights: Path) -> tuple[list[Path], list[Path]]:
    """The JSON files beside weights: those of the model's name, and the others."""
    names = {weights.stem, WEIGHTS_SUFFIX.sub("", weights.stem)}
    try:
        entries = sorted(itertools.islice(weights.resolve().parent.glob("*.json"), MOST_FILES))
    except OSError:
        return [], []
    paths = [path for path in entries if _is_marked(path)]
    return [p for p in paths if p.stem in names], [p for p in paths if p.stem not in names]


def _is_marked(path: Path) -> bool:
    """Whether a file may hold an architecture: JSON of a size that is honest, and so marked."""
    try:
        if not path.is_file() or path.stat().st_size > ALLOWED_CHARACTERS:
            return False
        return MARK in path.read_bytes().replace(b"\\", b"")  # inside a text it is escaped
    except OSError:
        return False


def _read(file: Hdf5File, path: Path) -> Beside | None:
    """Read a candidate; None where it is no model of Keras's."""
    document = read_document(str(path), path.read_bytes())
    if isinstance(document, str):  # json.dump(model.to_json(), file)
        document = read_document(str(path), document)
    if not isinstance(document, dict) or document.get("class_name") not in MODELS:
        return None
    try:
        version = _version(file, document)
        if is_older(document, version):
            architecture, version = read_older(file, document, version, path)
        else:
            weights = weights_beside(file, document)
            backend = document.get("backend") or file.attribute("/", "backend")
            computed = as_computed_on(backend, document)
            architecture = read_architecture(path, computed, version, weights)
        _check_fit(file, path, architecture)
        losses = (document.get("compile_config") or {}).get("loss")
        origin = f"{path.name} beside {file.path.name}"
        described = describe_architecture(architecture, losses, origin, version)
    except DAMAGED as error:
        raise UnusableInput(
            str(path), f"is not an architecture that Keras writes ({error!r}); save it again"
        ) from error
    return Beside(path, document, version, described)


def _version(file: Hdf5File, document: Config) -> str:
    """The Keras that wrote them; Keras 3 says it in neither."""
    said = document.get("keras_version") or file.attribute("/", "keras_version")
    return str(said or ("3" if "module" in document else ""))


def _check_fit(file: Hdf5File, path: Path, architecture: Architecture) -> None:
    """Refuse an architecture with other weights than the file's."""
    for layer in architecture.every_layer():
        found = [file.datasets[name].shape for name in layer.weights if name in file.datasets]
        expected = weight_shapes(layer.kind, layer.config)
        if expected is not None and not _are_alike(found, expected):
            wanted = " and ".join(map(_text, expected)) or "none"
            held = " and ".join(map(shape_text, found)) or "none"
            raise _misfit(
                file,
                path,
                f"layer `{layer.name}` ({layer.kind}) has weights {wanted}, found {held}",
            )
    used = {name for layer in architecture.every_layer() for name in layer.weights}
    left = [name for name in file.datasets if name not in used and is_weight(file, name)]
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        raise _misfit(file, path, f"none of its layers has `{left[0]}`{more}")


def _misfit(file: Hdf5File, path: Path, problem: str) -> UnusableInput:
    return UnusableInput(
        str(path),
        f"is not the architecture of {file.path.name}: {problem}; put the right one beside it, or "
        f"describe its layers in {file.path.with_suffix('.yaml').name}",
    )


def _are_alike(found: list[tuple[int, ...]], expected: list[Shape]) -> bool:
    return [len(shape) for shape in found] == [len(shape) for shape in expected] and all(
        wanted in (None, size)
        for shape, other in zip(found, expected, strict=True)
        for size, wanted in zip(shape, other, strict=True)
    )


def _text(shape: Shape) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
