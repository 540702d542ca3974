"""The formats of weight files. A new one is a file in this folder and a line in FORMATS."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import Described
from lstm_lrp_cli.loading.weight_file import WeightFile


class Opened(Struct, frozen=True):
    """An open weight file, to be closed by who opened it.

    Parameters
    ----------
    file : WeightFile
    describe : callable
        Reads what the file says of its own architecture: a Described, None where it says nothing,
        or UnusableInput where it says what cannot be explained. Where more than one model could
        be meant, it is given whether to take the likeliest or to ask.
    """

    file: WeightFile
    describe: Callable[[bool], Described | None]


def _zip(path: Path) -> Opened:
    """A zip is PyTorch's or Keras's where it holds what they write, else NumPy's."""
    import zipfile

    from lstm_lrp_cli.loading.npz import DAMAGED_ZIP, NpzFile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (*DAMAGED_ZIP, OSError, ValueError):
        names = []  # the reader says what is wrong
    if any(name.split("/")[-1] == "data.pkl" for name in names):
        from lstm_lrp_cli.loading import state_dict, torch_zip

        checkpoint = torch_zip.TorchFile(path)
        return Opened(checkpoint, lambda assume: state_dict.describe(checkpoint, assume))
    if {"config.json", "model.weights.h5"} <= set(names):
        from lstm_lrp_cli.loading import keras_zip

        keras = keras_zip.open_keras(path)
        return Opened(keras, lambda _: keras_zip.describe(keras))
    return Opened(NpzFile(path), lambda _: None)


def _safetensors(path: Path) -> Opened:
    from lstm_lrp_cli.loading import safetensors, state_dict

    file = safetensors.SafetensorsFile(path)
    return Opened(file, lambda assume: state_dict.describe(file, assume))


def _pickle(path: Path) -> Opened:
    raise UnusableInput(
        str(path),
        "is a bare pickle, which is never executed (PyTorch before 1.6?); load it where it comes "
        "from and save it again with torch.save",
    )


def _hdf5(path: Path) -> Opened:
    from lstm_lrp_cli.loading import hdf5, keras_h5

    file = hdf5.Hdf5File(path)
    return Opened(file, lambda assume: keras_h5.describe(file, assume))


def _onnx(path: Path) -> Opened:
    from lstm_lrp_cli.loading import onnx_file, onnx_graph

    file = onnx_file.OnnxFile(path)
    return Opened(file, lambda _: onnx_graph.describe(file))


# The bytes that a file begins with, and what opens it, which imports what only its format needs.
FORMATS: dict[bytes, Callable[[Path], Opened]] = {
    b"PK": _zip,
    b"\x89HDF\r\n\x1a\n": _hdf5,
    b"\x80": _pickle,
}
# A safetensors file begins with the length of its header, which is a JSON object.
HEADER = slice(8, 9)
# An ONNX file is a protobuf without a signature: first comes the field of its version, then one of
# those of who made it, its graph and its operators. No safetensors header is so long.
ONNX_VERSION = b"\x08"
ONNX_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42"


def open_weights(path: Path) -> Opened:
    """Open a weight file, by what it begins with rather than by what it is called."""
    try:
        with path.open("rb") as file:
            beginning = file.read(9)
    except FileNotFoundError as error:
        raise UnusableInput(str(path), "there is no such model file") from error
    except IsADirectoryError as error:
        raise UnusableInput(str(path), "is a directory; expected a model file") from error
    except OSError as error:
        raise UnusableInput(str(path), f"cannot be read: {error.strerror}") from error
    opener = _opener(beginning, path)
    if opener is not None:
        return opener(path)
    found = "is empty" if not beginning else f"begins with {beginning[:8]!r}"
    raise UnusableInput(
        str(path),
        f"{found}; expected an HDF5 file (.h5, .hdf5), Keras's .keras, PyTorch's .pt or "
        ".safetensors, ONNX, or NumPy's .npz",
    )


def is_weight_file(path: Path) -> bool:
    """Whether a file is one on disk, of weights, by what it begins with; it may be damaged yet."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(9)
    except OSError:
        return False
    # JSON may have the brace by which safetensors is known, but has no zeros before it.
    is_json = beginning.startswith(b"{") and b"\0" not in beginning
    return not is_json and _opener(beginning, path) is not None


def _opener(beginning: bytes, path: Path) -> Callable[[Path], Opened] | None:
    """What opens a file that begins so; None where it is no weight file."""
    if _is_onnx(beginning):
        return _onnx
    if beginning[HEADER] == b"{":
        return _safetensors
    for signature, opener in FORMATS.items():
        if beginning.startswith(signature):
            return opener
    # Fields may stand in another order.
    return _onnx if beginning and path.suffix == ".onnx" else None


def _is_onnx(beginning: bytes) -> bool:
    version, field, length = beginning[:1], beginning[2:3], beginning[4:8]
    return version == ONNX_VERSION and field != b"" and field in ONNX_FIELDS and any(length)
