"""Opening a file as what it is, and asking what it says of its own architecture.

What only one format needs is imported for that format alone.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_lrp_cli.errors import UnusableInput, reading
from .files import ArrayFile
from .files.formats import IN_RESULTS, RESULTS, Reader, facts_of, format_of
from .files.seen import look
from .mapping import Described

if TYPE_CHECKING:  # else imported where weights alone are read
    from .mapping.draft import Draft
    from .torch.modules import ModuleRecord

# Of each format, the module and the class that read it.
READERS: dict[Reader, tuple[str, str]] = {
    "NPZ": (".files.numpy", "NpzFile"),
    "HDF5": (".files.hdf5", "Hdf5File"),
    "Keras": (".keras.files", "KerasFile"),
    "PyTorch": (".torch.file", "TorchFile"),
    "safetensors": (".files.safetensors", "SafetensorsFile"),
    "ONNX": (".operators.onnx", "OnnxFile"),
    "torch.export": (".operators.aten.exported", "ExportedFile"),
    "SavedModel": (".tensorflow.checkpoint", "SavedModelFile"),
    "TensorFlow": (".tensorflow.checkpoint", "CheckpointFile"),
    "TensorFlow Lite": (".tensorflow.lite.file", "LiteFile"),
}


def open_arrays(path: Path) -> ArrayFile:
    """Open a file of arrays, by what is in it rather than by what it is called.

    Raises
    ------
    UnusableInput
        There is no such file, or it is of no format that is read: what it is is said, if known.
    """
    with reading(str(path)):
        return _opened(path)


def _opened(path: Path) -> ArrayFile:
    seen = look(path)
    found = format_of(seen)
    if found is None:
        begins = "is empty" if not seen.beginning else f"begins with {seen.beginning[:8]!r}"
        raise UnusableInput(
            str(path),
            f"{begins}; expected an HDF5 file (.h5, .hdf5), Keras's .keras, PyTorch's .pt, .pt2 or "
            ".safetensors, ONNX, a SavedModel, or NumPy's .npz",
        )
    if found.reader is not None:
        module, name = READERS[found.reader]
        reader: type[ArrayFile] = getattr(import_module(module, __package__), name)
        return reader(path)
    facts = facts_of(seen)
    mend = f"{'. ' if found.mend[:1].isupper() else '; '}{found.mend}" if found.mend else ""
    raise UnusableInput(str(path), (found.what + mend).format(**facts), found.lines.format(**facts))


def describe(file: ArrayFile, assume: bool) -> Described | None:
    """Read what an open file says of its own architecture; None where it says nothing.

    Parameters
    ----------
    file : ArrayFile
    assume : bool
        Whether the likeliest model is taken where more than one could be meant.

    Raises
    ------
    UnusableInput
        It says what cannot be explained, or more than one model could be meant and none is to be
        assumed.
    """
    known: Any = file  # of the class that its format says
    match file.format:
        case "HDF5":
            return _describe_hdf5(known, assume)
        case "Keras":
            from .keras.files import describe_archive

            return describe_archive(known)
        case "PyTorch" | "safetensors":
            from .torch import state_dict

            return state_dict.describe(file, _records(file), assume)
        case "ONNX":
            from .operators import graph

            return graph.describe(known)
        case "torch.export":
            from .operators.aten.describe import describe as describe_exported

            return describe_exported(known)
        case "SavedModel":
            from .tensorflow import saved_model

            return saved_model.describe(known)
        case "TensorFlow Lite":
            from .tensorflow.lite import graph as lite

            return lite.describe(known)
    if file.datasets.keys() >= set(IN_RESULTS):
        raise UnusableInput(str(file.path), f"{RESULTS.what}; expected a weight file")
    return None


def draft_of(file: ArrayFile) -> "Draft | None":
    """The draft of a file that holds weights alone; None of any other."""
    known: Any = file
    match file.format:
        case "HDF5":
            from .keras import files, weights, weights_alone

            if known.attribute("/", "model_config") is not None:
                return None
            beside = files.find_beside(known) if weights.holds_layers(known) else None
            return weights_alone.draft_of(known) if beside is None else None
        case "PyTorch" | "safetensors":
            from .torch import state_dict

            return state_dict.draft_of(file, _records(file))
    return None


def _describe_hdf5(file: Any, assume: bool) -> Described | None:
    """What Keras wrote: a whole model, or weights that may have their architecture beside them."""
    from .files.hdf5 import refuse_table
    from .keras import files

    refuse_table(file, "expected weights; MODEL comes before INPUT")
    if file.attribute("/", "model_config") is not None:
        return files.describe_hdf5(file)
    from .keras import weights, weights_alone

    found = files.find_beside(file) if weights.holds_layers(file) else None
    if found is None:
        return weights_alone.describe(file, assume)
    file.beside = (found.path,)
    return found.described


def _records(file: ArrayFile) -> "Sequence[ModuleRecord]":
    """The modules of a whole pickle; none of a state dict, whose weights must all be known."""
    from .torch.computed import refuse_computed

    refuse_computed(file)
    known: Any = file
    records: Sequence[ModuleRecord] = known.modules if file.format == "PyTorch" else ()
    return records
