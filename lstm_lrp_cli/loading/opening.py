"""Opening a file as what it is, and asking what it says of its own architecture.

What only one format needs is imported for that format alone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from .files import ArrayFile
from .files.formats import IN_RESULTS, RESULTS, Reader, facts_of, format_of
from .files.seen import look
from .mapping import Described


def open_arrays(path: Path) -> ArrayFile:
    """Open a file of arrays, by what is in it rather than by what it is called.

    Raises
    ------
    UnusableInput
        There is no such file, or it is of no format that is read: what it is is said, if known.
    """
    seen = look(path)
    found = format_of(seen)
    if found is None:
        begins = "is empty" if not seen.beginning else f"begins with {seen.beginning[:8]!r}"
        raise UnusableInput(
            str(path),
            f"{begins}; expected an HDF5 file (.h5, .hdf5), Keras's .keras, PyTorch's .pt or "
            ".safetensors, ONNX, a SavedModel, or NumPy's .npz",
        )
    if found.reader is not None:
        return _reader(found.reader)(path)
    facts = facts_of(seen)
    mend = f"{'. ' if found.mend[:1].isupper() else '; '}{found.mend}" if found.mend else ""
    raise UnusableInput(str(path), (found.what + mend).format(**facts), found.lines.format(**facts))


def _reader(name: Reader) -> Callable[[Path], ArrayFile]:
    match name:
        case "NPZ":
            from .files.numpy import NpzFile

            return NpzFile
        case "HDF5":
            from .files.hdf5 import Hdf5File

            return Hdf5File
        case "Keras":
            from .keras.files import KerasFile

            return KerasFile
        case "PyTorch":
            from .torch.zip import TorchFile

            return TorchFile
        case "safetensors":
            from .files.safetensors import SafetensorsFile

            return SafetensorsFile
        case "ONNX":
            from .onnx.file import OnnxFile

            return OnnxFile
        case "SavedModel":
            from .tensorflow.checkpoint import SavedModelFile

            return SavedModelFile
        case "TensorFlow":
            from .tensorflow.checkpoint import CheckpointFile

            return CheckpointFile
        case "TensorFlow Lite":
            from .tensorflow.lite.file import LiteFile

            return LiteFile


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

            return state_dict.describe(file, assume)
        case "ONNX":
            from .onnx import graph

            return graph.describe(known)
        case "SavedModel":
            from .tensorflow import saved_model

            return saved_model.describe(known)
        case "TensorFlow Lite":
            from .tensorflow.lite import graph as lite

            return lite.describe(known)
    if file.datasets.keys() >= set(IN_RESULTS):
        raise UnusableInput(str(file.path), f"{RESULTS.what}; expected a weight file")
    return None


def _describe_hdf5(file: Any, assume: bool) -> Described | None:
    """What Keras wrote: a whole model, or weights that may have their architecture beside them."""
    from .files.hdf5 import refuse_table
    from .keras import files, weights, weights_alone

    refuse_table(file, "expected weights; MODEL comes before INPUT")
    if file.attribute("/", "model_config") is not None:
        return files.describe_hdf5(file)
    found = files.find_beside(file) if weights.holds_layers(file) else None
    return found.described if found else weights_alone.describe(file, assume)
