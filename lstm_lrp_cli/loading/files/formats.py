"""What a file is, told by its content: the formats that are read, and what else is met with.

A new one is an entry of FORMATS, and an `ArrayFile` that `opening` knows by the entry's reader.
What is not read has an entry too, which says what it is and what can be done.
"""

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Literal

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput, short
from .seen import (
    CHECKPOINT_PART,
    TABLE,
    Seen,
    has_checkpoint,
    has_variables,
    is_exported,
    is_frozen_graph,
    is_hdf5,
    is_lone_pickle,
    is_old_torch,
    is_onnx,
    is_safetensors,
    is_saved_model,
    is_scikit_learn,
    is_torch_tar,
    look,
    pickled_class,
    protobuf_message,
)

PART = 2**20  # of a text; all at once would take memory of the limit's size
Reader = Literal[
    "NPZ",
    "HDF5",
    "Keras",
    "PyTorch",
    "safetensors",
    "ONNX",
    "torch.export",
    "SavedModel",
    "TensorFlow",
    "TensorFlow Lite",
]


class Format(Struct, frozen=True):
    """A format: how it is told, and what reads it or what is said of it.

    Parameters
    ----------
    is_it : callable
    what, mend : str
        What such a file is, and what can be done with one that is not read.
    lines : str
        Python that does it. It and `mend` may name the file, its {folder} (itself, if it is one),
        {prefix} (of a checkpoint's files) and the name of an {npz} beside it.
    reader : str or None
        What reads it, as `opening` knows it; None where nothing does.
    """

    is_it: Callable[[Seen], bool]
    what: str
    mend: str = ""
    lines: str = ""
    reader: Reader | None = None


# An architecture as Keras's to_json and to_yaml write it.
KERAS_TEXT = re.compile(r'\s*\{.*"class_name"|(backend: \w+\n)?class_name: ', re.DOTALL)
MAPPING_KEY = re.compile(r"^(format: *1\s*$|(layers|vocabulary|tokens|padding|labels): *)", re.M)
# The format of a file inside a folder or a zip is told by its name alone.
NAMED_WEIGHTS = re.compile(r".*\.(h5|hdf5|keras|pt2?|pth|ckpt|bin|safetensors|onnx|npz|pb)")

GO_BACK = (
    "its weights are fused or quantized; save the model that it was made from as .keras, .h5 or a "
    "state dict"
)
UNPACK = "unpack it first"
NO_WEIGHTS = "expected weights; MODEL comes before INPUT"
SAVE_KERAS = "save the Keras model that it was made from as .keras or .h5"
BY_HAND = "Keep its weights, and describe their layers in a mapping:"
TO_ONNX = "python -m tf2onnx.convert --saved-model {quoted} --output {onnx}"
CHECKPOINT = """\
import numpy, tensorflow as tf
found = tf.train.load_checkpoint({prefix})
names = found.get_variable_to_shape_map()
arrays = {{name: numpy.asarray(found.get_tensor(name)) for name in names}}
numpy.savez({npz}, **{{name: a for name, a in arrays.items() if a.dtype.kind == "f"}})"""
CONSTANTS = """\
import numpy, tensorflow as tf
graph = tf.compat.v1.GraphDef.FromString(open({file}, "rb").read())
found = {{n.name: tf.make_ndarray(n.attr["value"].tensor) for n in graph.node if n.op == "Const"}}
numpy.savez({npz}, **{{name: a for name, a in found.items() if a.dtype.kind == "f"}})"""
SCRIPTED = """\
import torch
torch.save(torch.jit.load({file}, "cpu").state_dict(), {pt})"""
# What saves a whole model of PyTorch: its graph, of which nothing is open.
SAVED = "torch.export.save(torch.export.export(model.eval(), (inputs,)), {pt2})"
EXPORT = SAVED.format(pt2='"model.pt2"')
TORCH_TAR = """\
import torch
content = torch.load({file}, "cpu", weights_only=False)  # runs what the file says
torch.save(content, {pt})"""

# Read as arrays, for their scores to be compared, but no model.
IN_RESULTS = ("about", "ledger_names")
RESULTS = Format(
    lambda seen: seen.is_zip and seen.holds(*(f"{name}.npy" for name in IN_RESULTS)),
    "is what `lrp explain` writes as NPZ",
    reader="NPZ",
)
NPZ = Format(lambda seen: seen.is_zip, "is a zip archive", reader="NPZ")
HDF5 = Format(is_hdf5, "is an HDF5 file", reader="HDF5")
NPY = Format(
    lambda seen: seen.starts(b"\x93NUMPY"),
    "is one NumPy array (.npy)",
    "MODEL comes before INPUT, and has weights by name: numpy.savez writes them as .npz",
)
PARQUET = Format(lambda seen: seen.starts(b"PAR1"), "is a Parquet table", NO_WEIGHTS)
ARROW = Format(lambda seen: seen.starts(b"ARROW1\0"), "is a table of Arrow", NO_WEIGHTS)

# In this order: the first that fits.
FORMATS: tuple[Format, ...] = (
    # Folders, and what stands for one.
    Format(
        lambda seen: is_saved_model(seen) and has_variables(seen),
        "is a TensorFlow SavedModel",
        reader="SavedModel",
    ),
    Format(
        is_saved_model,
        "is a TensorFlow SavedModel without variables",
        "Save the model that it was made from, or copy the whole folder. Where its weights are "
        "constants of its graph, this makes an ONNX file of it, which lrp reads (pip install "
        "tf2onnx):",
        TO_ONNX,
    ),
    Format(has_checkpoint, "is a TensorFlow checkpoint", reader="TensorFlow"),
    Format(
        lambda seen: seen.is_folder and seen.holds("checkpoint"),
        "is a folder of TensorFlow checkpoints",
        "it names none of which there is an index; copy the whole folder",
    ),
    Format(
        lambda seen: seen.is_folder and seen.holds("config.json", "model.weights.h5"),
        "is an unpacked .keras file",
        "zip its files into one again, and call that .keras",
    ),
    Format(
        lambda seen: seen.is_folder and seen.holds("Manifest.json", "Data"),
        "is a Core ML package",
        GO_BACK,
    ),
    Format(
        lambda seen: seen.is_folder and bool(_weights_in(seen)),
        "is a directory; expected a model file",
        "it holds {inside}: give one of them",
    ),
    Format(lambda seen: seen.is_folder, "is a directory; expected a model file"),
    # Its first bytes are a number, and may be what others have for a signature.
    Format(is_safetensors, "is a safetensors file", reader="safetensors"),
    # Zips.
    Format(
        lambda seen: seen.holds("data.pkl", "constants.pkl"),
        "is a TorchScript program",
        "Save its state dict:",
        SCRIPTED,
    ),
    Format(is_exported, "is a program of torch.export", reader="torch.export"),
    Format(
        lambda seen: seen.is_zip and any("data/aotinductor/" in name for name in seen.names),
        "is a package of AOTInductor: compiled code, which is never executed",
        "Save the program that it was compiled from:",
        f"import torch\n{SAVED}",
    ),
    Format(lambda seen: seen.holds("data.pkl"), "is a PyTorch file", reader="PyTorch"),
    Format(
        lambda seen: {"config.json", "model.weights.h5"} <= set(seen.names),
        "is a .keras file",
        reader="Keras",
    ),
    Format(lambda seen: seen.holds("xl/workbook.xml"), "is an Excel workbook", NO_WEIGHTS),
    Format(
        lambda seen: seen.is_zip and seen.holds("coefficients.bin", "configuration.json"),
        "is a model of Deeplearning4j",
        "save its parameters by name, with their shapes, as an .npz, and describe their "
        "layers in a mapping",
    ),
    Format(
        lambda seen: seen.is_zip and bool(_weights_in(seen)) and ".npy" not in seen.endings,
        "is a zip of other files",
        "it holds {inside}: unpack it, and give one of them",
    ),
    RESULTS,
    NPZ,
    # What has a signature.
    HDF5,
    Format(
        lambda seen: seen.beginning[4:8] == b"TFL3",
        "is a TensorFlow Lite model",
        reader="TensorFlow Lite",
    ),
    Format(
        lambda seen: seen.beginning[4:8] == b"ORTM",
        "is a model in ONNX Runtime's own format",
        "give the .onnx file that it was made from",
    ),
    NPY,
    PARQUET,
    ARROW,
    Format(lambda seen: seen.starts(b"SQLite format 3\0"), "is a database of SQLite", NO_WEIGHTS),
    Format(
        lambda seen: seen.starts(b"MATLAB "),
        "is a MATLAB file (.mat)",
        "read it by scipy.io.loadmat, or h5py from version 7.3 on, write its arrays by "
        "numpy.savez, and describe their layers in a mapping",
    ),
    Format(lambda seen: seen.starts(b"\x1f\x8b"), "is compressed by gzip", UNPACK),
    Format(
        lambda seen: seen.starts(b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c"),
        "is compressed",
        UNPACK,
    ),
    Format(
        is_torch_tar,
        "is a file of PyTorch before 0.1.10",
        "If you trust it, save it again where torch is installed:",
        TORCH_TAR,
    ),
    Format(lambda seen: seen.beginning[257:262] == b"ustar", "is a tar archive", UNPACK),
    # Pickles.
    Format(is_old_torch, "is a file of PyTorch before 1.6", reader="PyTorch"),
    Format(
        is_scikit_learn,
        "is a bare pickle{pickled}, and no network",
        "MODEL is the network beside it: name this by --set scaling=FILE or --set labels=FILE",
    ),
    Format(
        is_lone_pickle,
        "is a bare pickle{pickled}, which is never executed",
        "load it in Python where it comes from, and save the model itself: "
        'model.save("model.keras") in Keras, torch.save(model.state_dict(), "model.pt") in '
        "PyTorch, or its arrays by numpy.savez",
    ),
    # Protobufs.
    Format(lambda seen: protobuf_message(seen).startswith(b"\n"), "is a Core ML model", GO_BACK),
    Format(
        is_frozen_graph,
        "is a frozen TensorFlow graph",
        "Save the model that it was frozen from. Or keep its constants, and describe their "
        "layers in a mapping:",
        CONSTANTS,
    ),
    Format(is_onnx, "is an ONNX file", reader="ONNX"),
    # Parts of TensorFlow's checkpoints.
    Format(
        lambda seen: seen.ending == TABLE or CHECKPOINT_PART.search(seen.path.name) is not None,
        "is part of a TensorFlow checkpoint",
        BY_HAND,
        CHECKPOINT,
    ),
    Format(  # fields may stand in another order
        lambda seen: seen.path.suffix == ".onnx" and bool(seen.beginning) and not seen.text,
        "is an ONNX file",
        reader="ONNX",
    ),
    # Texts.
    Format(
        lambda seen: seen.text.startswith("model_checkpoint_path:"),
        "is the list of a TensorFlow checkpoint's files",
        BY_HAND,
        CHECKPOINT,
    ),
    Format(
        lambda seen: seen.text.startswith("version https://git-lfs"),
        "is a pointer of Git LFS, and not the file itself",
        "fetch it by `git lfs pull`",
    ),
    Format(
        lambda seen: re.match(r"\s*<(!doctype html|html)", seen.text, re.I) is not None,
        "is a web page",
        "download the file itself",
    ),
    Format(
        lambda seen: seen.text.lstrip().startswith("{") and '"modelTopology"' in seen.text,
        "is a model of TensorFlow.js",
        SAVE_KERAS,
    ),
    Format(
        lambda seen: KERAS_TEXT.match(seen.text) is not None,
        "is a Keras architecture without weights",
        'save the whole model, model.save("model.keras"), or give the file of its weights',
    ),
    Format(
        lambda seen: seen.text.startswith("node {"), "is a TensorFlow graph as text", SAVE_KERAS
    ),
    Format(
        lambda seen: MAPPING_KEY.search(seen.text) is not None,
        "is a mapping",
        "MODEL is the weight file that it describes; name the mapping by --mapping",
    ),
    Format(
        lambda seen: bool(seen.text.strip()),
        "is text that begins with `{begins}`",
        "expected a weight file; MODEL comes before INPUT",
    ),
)


def is_weight_file(path: Path) -> bool:
    """Whether a file is one on disk, of weights, by what it begins with; it may be damaged yet."""
    try:
        found = format_of(look(path)) if path.is_file() else None
    except UnusableInput:
        return False
    return found is not None and found.reader is not None and found is not RESULTS


def what_it_is(seen: Seen) -> str:
    """What a file is that is no text, as "is a Parquet table"; "" where that is not known."""
    found = None if seen.text else format_of(seen)
    return "" if found is None else found.what.format(**facts_of(seen))


def format_of(seen: Seen) -> Format | None:
    return next((each for each in FORMATS if each.is_it(seen)), None)


def _weights_in(seen: Seen) -> list[str]:
    return [name for name in seen.names if NAMED_WEIGHTS.fullmatch(name)]


def facts_of(seen: Seen) -> dict[str, str]:
    """What the messages name: spelled as Python or a shell does where they are lines of those."""
    path, folder = seen.path, seen.folder
    base = CHECKPOINT_PART.sub("", str(path))
    prefix = folder if path.name == "checkpoint" or seen.is_folder else base
    named = folder.absolute() if is_saved_model(seen) else Path(base)
    inside = _weights_in(seen)
    pickled = pickled_class(seen.beginning) if is_lone_pickle(seen) else ""
    begins = seen.text.strip().split("\n", 1)[0]
    return {
        "file": repr(str(path)),
        "folder": repr(str(folder)),
        "prefix": repr(str(prefix)),
        "npz": repr(f"{named.stem or 'model'}.npz"),
        "quoted": in_shell(folder),
        "onnx": in_shell(Path(f"{named.stem or 'model'}.onnx")),
        "pt": repr(f"{path.stem}_state.pt"),
        "pt2": repr(f"{path.stem}_exported.pt2"),
        "inside": ", ".join(inside[:3]) + (f" and {len(inside) - 3} more" * (len(inside) > 3)),
        "pickled": f" of `{pickled}`" if pickled else "",
        "begins": short(begins),
    }


def in_shell(path: Path) -> str:
    """A path as an argument in a shell; not all of them can spell what does not print."""
    import shlex  # for messages alone

    return shlex.quote(str(path)) if str(path).isprintable() else f"DIR{path.suffix}"


def read_text_file(path: Path, limit: int, what: str) -> str:
    """Read a UTF-8 text file of at most so many bytes.

    Parameters
    ----------
    what : str
        What the file should be, for error messages.

    Raises
    ------
    UnusableInput
        There is no such file, it is no UTF-8, or it is larger than the limit.
    """
    try:
        with path.open("rb") as file:
            data = b"".join(islice(iter(lambda: file.read(PART), b""), limit // PART + 1))
    except FileNotFoundError as error:
        raise UnusableInput(str(path), f"there is no such file; expected {what}") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise UnusableInput(str(path), f"cannot be read: {error}") from error
    if len(data) > limit:
        raise UnusableInput(str(path), f"is larger than {limit:,} bytes; expected {what}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = what_it_is(look(path))
        if found:
            raise UnusableInput(str(path), f"{found}; expected {what}") from error
        line = data.count(b"\n", 0, error.start) + 1
        raise UnusableInput(
            f"{path}: line {line}", f"byte 0x{data[error.start]:02x} is not UTF-8 text"
        ) from error
