"""The architecture that stands beside Keras's weights, as `model.to_json()` gives it."""

import itertools
import re
from pathlib import Path

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.mapping import Described
from .architecture import Architecture, Shape, read_architecture, weight_shapes
from .describe import describe_architecture
from .document import ALLOWED_CHARACTERS, DAMAGED, MODELS, Config, read_document
from .weights import is_weight, weights_beside

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
        architecture = read_architecture(path, document, version, weights_beside(file, document))
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
    for layer in architecture.layers:
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
    used = {name for layer in architecture.layers for name in layer.weights}
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
