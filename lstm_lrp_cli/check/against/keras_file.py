"""A file that holds a whole Keras model, written anew so that Keras loads it as it is to be run.

The file is a stranger's, and Keras makes of its architecture whatever classes that names. So the
copy names none but Keras's own layers, and leaves out what inference does not need. Its weights
are those that lrp read, written anew, so the HDF5 library is given none but its own files. It is of
the precision of the run, takes batches of any size unless it is stateful, and has no setting that
Keras 3 dropped.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import check_size
from lstm_lrp_cli.loading.files.formats import HDF5
from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.files.seen import look
from lstm_lrp_cli.loading.keras.files import find_beside
from lstm_lrp_cli.loading.keras.kinds import KINDS
from lstm_lrp_cli.loading.keras.kinds.inputs import TEXT
from lstm_lrp_cli.loading.keras.weights import holds_layers
from .framework import proves_nothing

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
# What training alone needs, and what Keras 3 knows no longer, or which does nothing here.
NEEDLESS = ("_initializer", "_regularizer", "_constraint")
DROPPED = frozenset(
    {"time_major", "noise_shape", "trainable", "shared_object_id", "compile_config"}
)
# What an architecture may name: the layers that lrp reads, and what holds them together. Others,
# such as Lambda or TorchModuleWrapper, may hold code.
NAMES = frozenset(
    {
        *(set(KINDS) - set(TEXT)),
        *("Sequential", "Model", "Functional"),
        *("DTypePolicy", "__keras_tensor__", "__tuple__"),
    }
)
# Where they come from; None where Keras looks among its own. Operations are functions of tensors.
MODULES = (
    *("keras.layers", "keras.models", "keras.engine"),
    *("keras.src.layers", "keras.src.models", "keras.src.engine"),
)
OPERATIONS = ("keras.ops.", "keras.src.ops.")
# Where a wrapper keeps its layer, whose module Keras 3 needs and Keras up to 2.12 does not say.
WRAPPED = ("layer", "backward_layer")


@dataclass(frozen=True, slots=True)
class WholeModel:
    """A Keras model in a file.

    Parameters
    ----------
    architecture : dict
    suffix : str
        The ending by which Keras tells the format.
    write : callable
        Writes a copy of the file to a path, with another architecture.
    """

    architecture: dict[str, Any]
    suffix: str
    write: Callable[[Path, str], None]

    @property
    def is_stateful(self) -> bool:
        """Whether one of its layers keeps its states from batch to batch."""
        return _is_stateful(self.architecture)

    def copy(self, path: Path, where: str, dtype: str) -> None:
        """Write the file as it is to be run."""
        cleaned = _cleaned(self.architecture, where, dtype, any_batch=not self.is_stateful)
        self.write(path, json.dumps(cleaned))


def read_whole(path: Path, option: str, keras_version: str) -> WholeModel:
    """Read the architecture of a whole Keras model, or of weights that it stands beside.

    Parameters
    ----------
    option : str
        The name that `--against` was given.
    keras_version : str
        Of the Keras that is to run it.

    Raises
    ------
    UnusableInput
        There is none, or it would be run otherwise than by the Keras that wrote it.
    """
    found = _read_keras(path) if zipfile.is_zipfile(path) else _read_hdf5(path)
    if found is None:
        beside = path.with_suffix(".json").name
        raise proves_nothing(
            *(option, path, "says no architecture, so Keras cannot run it"),
            f"or save model.to_json() as {beside} beside Keras's weights",
        )
    whole, version = found
    if "hard_sigmoid" in json.dumps(whole.architecture) and version[:1] != keras_version[:1]:
        raise UnusableInput(
            f"--against {option}: {path}",
            f"its hard_sigmoid is that of Keras {version}, and another function in Keras "
            f"{keras_version}, which is installed; compare by --expected",
        )
    return whole


def _read_hdf5(path: Path) -> tuple[WholeModel, str] | None:
    if not HDF5.is_it(look(path)):
        return None
    with Hdf5File(path) as file:
        text = file.attribute("/", "model_config")
        version = str(file.attribute("/", "keras_version") or "")
    if text is None:
        return _read_beside(path)

    def write(copy: Path, architecture: str) -> None:
        with Hdf5File(path) as file, h5py.File(copy, "w", libver="latest") as whole:
            _write_anew(file, whole)
            whole.attrs["model_config"] = architecture.encode("utf-8")

    return WholeModel(json.loads(text), ".h5", write), version


def _write_anew(file: Hdf5File, copy: h5py.Group) -> None:
    """Write all that was read of a file: groups, arrays and attributes."""
    for group in file.groups:
        copy.require_group(file.stored_name(group))
    for name, stored in file.datasets.items():
        if stored.dtype == "text":
            texts = file.read(name).astype(object)
            copy.create_dataset(file.stored_name(name), data=texts, dtype=h5py.string_dtype())
        elif stored.dtype != "empty":
            copy[file.stored_name(name)] = file.read(name)
    for name in ("", *file.groups, *file.datasets):
        holder = copy.get(file.stored_name(name)) if name else copy
        for key in file.attribute_names(name) if holder is not None else ():
            value = file.attribute(name, key)
            if value is not None:
                holder.attrs[key] = value


def _weights_anew(file: Hdf5File) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w", libver="latest") as copy:
        _write_anew(file, copy)
    return content.getvalue()


def _read_beside(path: Path) -> tuple[WholeModel, str] | None:
    """Weights alone, to be written as a whole model with the architecture beside them."""
    with Hdf5File(path) as file:
        beside = find_beside(file) if holds_layers(file) else None
        is_older = file.attribute("/", "layer_names") is not None
    if beside is None:
        return None

    def write_older(copy: Path, architecture: str) -> None:
        with Hdf5File(path) as file, h5py.File(copy, "w", libver="latest") as whole:
            _write_anew(file, whole.create_group("model_weights"))
            whole.attrs["model_config"] = architecture.encode("utf-8")

    def write(copy: Path, architecture: str) -> None:
        with zipfile.ZipFile(copy, "w") as target:
            target.writestr(CONFIG, architecture)
            target.writestr(METADATA, json.dumps({"keras_version": beside.keras_version}))
            with Hdf5File(path) as file:
                target.writestr(WEIGHTS, _weights_anew(file))

    whole = (
        WholeModel(beside.document, ".h5", write_older)
        if is_older
        else WholeModel(beside.document, ".keras", write)
    )
    return whole, beside.keras_version


def _read_keras(path: Path) -> tuple[WholeModel, str] | None:
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if not {CONFIG, METADATA, WEIGHTS} <= set(members):
            return None
        size = path.stat().st_size
        for name in (CONFIG, METADATA, WEIGHTS):
            check_size(f"{path}: {name}", (members[name].file_size,), 1, size)
        architecture = json.loads(archive.read(CONFIG))
        metadata = archive.read(METADATA)

    def write(copy: Path, architecture: str) -> None:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as target:
            target.writestr(CONFIG, architecture)
            target.writestr(METADATA, metadata)
            with Hdf5File(path, archive.read(WEIGHTS)) as file:
                target.writestr(WEIGHTS, _weights_anew(file))

    version = str(json.loads(metadata).get("keras_version", ""))
    return WholeModel(architecture, ".keras", write), version


def _is_stateful(node: Any) -> bool:
    parts = list(node.values()) if isinstance(node, dict) else node
    if not isinstance(parts, list):
        return False
    of_node = isinstance(node, dict) and bool(node.get("stateful"))
    return of_node or any(map(_is_stateful, parts))


def _cleaned(node: Any, where: str, dtype: str, *, any_batch: bool) -> Any:
    """A part of an architecture as it is to be run.

    Parameters
    ----------
    any_batch : bool
        Whether it takes batches of any size, and not those that the file says.

    Raises
    ------
    UnusableInput
        It names something that is no layer of Keras's that lrp reads.
    """
    if isinstance(node, list):
        return [_cleaned(each, where, dtype, any_batch=any_batch) for each in node]
    if not isinstance(node, dict):
        return node
    if "class_name" in node:
        _check_name(node, where)
    cleaned: dict[str, Any] = {}
    for key, value in node.items():
        if key.endswith(NEEDLESS) or key in DROPPED:
            continue
        if key == "dtype" and _is_float(value):
            cleaned[key] = dtype
        elif key in ("batch_shape", "batch_input_shape") and isinstance(value, list) and any_batch:
            cleaned[key] = [None, *value[1:]]
        elif key.endswith("activation") and isinstance(value, dict):
            cleaned[key] = value.get("config")  # a function of Keras's, by its name
        else:
            cleaned[key] = _cleaned(value, where, dtype, any_batch=any_batch)
        if key in WRAPPED and isinstance(cleaned[key], dict):
            cleaned[key].setdefault("module", "keras.layers")
    return cleaned


def _check_name(node: dict[str, Any], where: str) -> None:
    """Refuse what is no layer of Keras's that lrp reads."""
    kind, module = node["class_name"], str(node.get("module") or "keras")
    if kind in TEXT:
        raise UnusableInput(
            where,
            f"makes token ids of text by a {kind}, which may read other files; lrp gives Keras no "
            "words. Compare by --expected",
        )
    known = kind in NAMES and (module == "keras" or module.startswith(MODULES))
    if not known and not module.startswith(OPERATIONS):
        raise UnusableInput(
            where,
            f"its architecture names `{module}.{kind}`, which may be code; Keras is given layers "
            "that lrp reads, and no others. Compare by --expected",
        )


def _is_float(dtype: Any) -> bool:
    """Whether a layer's precision, by name or as a policy, is one of floats."""
    if isinstance(dtype, dict):
        config = dtype.get("config")
        dtype = config.get("name") if isinstance(config, dict) else None
    return isinstance(dtype, str) and "float" in dtype
