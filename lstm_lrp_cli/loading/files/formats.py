"""The formats of weight files, told by content: those that are read, and what else is met with.

A new one is a file in this folder and an entry of FORMATS. What is not read has an entry too, which
says what it is and what can be done.
"""

import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping.schema import Described
from lstm_lrp_cli.loading.seen import TABLE, Seen, look, pickled_class, protobuf_fields
from .weight_file import WeightFile


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


class Format(Struct, frozen=True):
    """A format: how it is told, and what opens it or what is said of it.

    Parameters
    ----------
    is_it : callable
    open : callable or None
        It imports what only its format needs. None where the format is not read.
    what, mend : str
        What such a file is, and what can be done with one that is not read.
    lines : str
        Python that does it. It and `mend` may name the file, its {folder} (itself, if it is one),
        {prefix} (of a checkpoint's files) and the name of an {npz} beside it.
    """

    is_it: Callable[[Seen], bool]
    open: Callable[[Path], Opened] | None = None
    what: str = ""
    mend: str = ""
    lines: str = ""


def _torch(path: Path) -> Opened:
    from lstm_lrp_cli.loading.torch import state_dict
    from lstm_lrp_cli.loading.torch import zip as torch_zip

    checkpoint = torch_zip.TorchFile(path)
    return Opened(checkpoint, lambda assume: state_dict.describe(checkpoint, assume))


def _keras(path: Path) -> Opened:
    from lstm_lrp_cli.loading.keras import files as keras_zip

    keras = keras_zip.open_keras(path)
    return Opened(keras, lambda _: keras_zip.describe_archive(keras))


def _npz(path: Path) -> Opened:
    from .numpy import NpzFile

    return Opened(NpzFile(path), lambda _: None)


def _results(path: Path) -> Opened:
    def refuse(_: bool) -> None:
        raise UnusableInput(str(path), f"{RESULTS.what}; expected a weight file")

    return Opened(_npz(path).file, refuse)


def _safetensors(path: Path) -> Opened:
    from lstm_lrp_cli.loading.torch import state_dict
    from . import safetensors

    file = safetensors.SafetensorsFile(path)
    return Opened(file, lambda assume: state_dict.describe(file, assume))


def _hdf5(path: Path) -> Opened:
    from lstm_lrp_cli.loading.keras import files as keras_h5
    from . import hdf5

    file = hdf5.Hdf5File(path)

    def describe(assume: bool) -> Described | None:
        hdf5.refuse_table(file, "expected weights; MODEL comes before INPUT")
        return keras_h5.describe_hdf5(file, assume)

    return Opened(file, describe)


def _onnx(path: Path) -> Opened:
    from lstm_lrp_cli.loading.onnx import file as onnx_file
    from lstm_lrp_cli.loading.onnx import graph as onnx_graph

    file = onnx_file.OnnxFile(path)
    return Opened(file, lambda _: onnx_graph.describe(file))


def _is_onnx(seen: Seen) -> bool:
    """An ONNX file is a protobuf without a signature: its version comes first, a number.

    Then comes one of the fields of who made it, its graph and its operators. No safetensors header
    is as long as those bytes would make it. Other protobufs that begin with a number go on with a
    message, which begins with a field, and no name of a program does.
    """
    version, field, length = seen.beginning[:1], seen.beginning[2:3], seen.beginning[4:8]
    fields = version == b"\x08" and field and field in b"\x12\x1a\x22\x28\x32\x3a\x42"
    return bool(fields) and any(length) and not _message(seen).startswith(b"\n")


def _message(seen: Seen) -> bytes:
    """What the second field of a protobuf holds, if the first is a number and it is number 2."""
    if not seen.starts(b"\x08"):
        return b""
    (_, first), (number, second), *_ = [*protobuf_fields(seen.beginning), (0, b""), (0, b"")]
    return second if not first and number == 2 else b""


def _is_saved_model(seen: Seen) -> bool:
    if seen.is_folder:
        return seen.holds("saved_model.pb") or seen.holds("saved_model.pbtxt")
    return seen.starts(b"\x08\x01") and _message(seen).startswith(b"\n")


def _folder(seen: Seen) -> Path:
    """What a file lies in, or the folder itself."""
    return seen.path if seen.is_folder else seen.path.parent


def _is_graph(seen: Seen) -> bool:
    """Whether it begins with a node of TensorFlow's: a name, and the name of an operation."""
    if not seen.starts(b"\n"):
        return False
    first = dict(protobuf_fields(next(protobuf_fields(seen.beginning), (0, b""))[1]))
    return all(re.fullmatch(rb"[\w./>^-]+", first.get(number, b"")) for number in (1, 2))


def _is_safetensors(seen: Seen) -> bool:
    """It begins with the length of its header, which is a JSON object; JSON itself has no zeros."""
    return seen.beginning[8:9] == b"{" and b"\0" in seen.beginning[:8]


def _is_lone_pickle(seen: Seen) -> bool:
    return seen.matches(rb"\x80[\2-\5]")


# An architecture as Keras's to_json and to_yaml write it.
KERAS_TEXT = re.compile(r'\s*\{.*"class_name"|(backend: \w+\n)?class_name: ', re.DOTALL)
MAPPING_KEY = re.compile(r"^(format: *1\s*$|(layers|vocabulary|tokens|padding|labels): *)", re.M)
WEIGHTS = ("h5", "hdf5", "keras", "pt", "pth", "ckpt", "bin", "safetensors", "onnx", "npz", "pb")
# The format of a file inside a folder or a zip is told by its name alone.
NAMED_WEIGHTS = re.compile(rf".*\.({'|'.join(WEIGHTS)})")

GO_BACK = (
    "its weights are fused or quantized; save the model that it was made from as .keras, .h5 or a "
    "state dict"
)
UNPACK = "unpack it first"
BY_HAND = "Keep its weights, and describe their layers in a mapping:"
KERAS_2 = """\
import tf_keras
tf_keras.models.load_model({folder}).save({h5})"""
VARIABLES = """\
import numpy, tensorflow as tf
model = tf.saved_model.load({folder})
served = next(iter(model.signatures.values()), None)
found = getattr(model, "variables", None) or served.variables
numpy.savez({npz}, **{{f"{{v.name}} {{k}}": v.numpy() for k, v in enumerate(found)}})"""
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
EXPORTED = """\
import torch
torch.save(torch.export.load({file}).state_dict, {pt})"""
LEGACY = """\
import torch
torch.save(torch.load({file}, "cpu", weights_only=True), {pt})"""

# Read as arrays, for their scores to be compared, but no model.
RESULTS = Format(
    lambda seen: seen.is_zip and seen.holds("about.npy", "ledger_names.npy"),
    _results,
    "is what `lrp explain` writes as NPZ",
)
NPZ = Format(lambda seen: seen.is_zip, _npz, "is a zip archive")
HDF5 = Format(lambda seen: seen.starts(b"\x89HDF\r\n\x1a\n"), _hdf5, "is an HDF5 file")
NPY = Format(
    lambda seen: seen.starts(b"\x93NUMPY"),
    what="is one NumPy array (.npy)",
    mend="MODEL comes before INPUT, and has weights by name: numpy.savez writes them as .npz",
)

# In this order: the first that fits.
FORMATS: tuple[Format, ...] = (
    # Folders, and what stands for one.
    Format(
        lambda seen: _is_saved_model(seen) and (_folder(seen) / "keras_metadata.pb").is_file(),
        what="is a TensorFlow SavedModel that Keras 2 wrote",
        mend="Load it where tf_keras is installed (pip install tf_keras), and save it as .h5:",
        lines=KERAS_2,
    ),
    Format(
        _is_saved_model,
        what="is a TensorFlow SavedModel",
        mend="Save the Keras model that it was exported from as .keras or .h5. Or keep its "
        "weights, and describe their layers in a mapping:",
        lines=VARIABLES,
    ),
    Format(
        lambda seen: seen.is_folder and seen.holds("checkpoint"),
        what="is a folder of TensorFlow checkpoints",
        mend=BY_HAND,
        lines=CHECKPOINT,
    ),
    Format(
        lambda seen: seen.is_folder and seen.holds("config.json", "model.weights.h5"),
        what="is an unpacked .keras file",
        mend="zip its files into one again, and call that .keras",
    ),
    Format(
        lambda seen: seen.is_folder and seen.holds("Manifest.json", "Data"),
        what="is a Core ML package",
        mend=GO_BACK,
    ),
    Format(
        lambda seen: seen.is_folder and bool(_weights_in(seen)),
        what="is a directory; expected a model file",
        mend="it holds {inside}: give one of them",
    ),
    Format(lambda seen: seen.is_folder, what="is a directory; expected a model file"),
    # Its first bytes are a number, and may be what others have for a signature.
    Format(_is_safetensors, _safetensors, "is a safetensors file"),
    # Zips.
    Format(
        lambda seen: seen.holds("data.pkl", "constants.pkl"),
        what="is a TorchScript program",
        mend="Save its state dict:",
        lines=SCRIPTED,
    ),
    Format(
        lambda seen: (
            seen.is_zip
            and (seen.holds("models/model.json") or seen.holds("serialized_exported_program.json"))
        ),
        what="is a program that torch.export wrote",
        mend="Save its state dict:",
        lines=EXPORTED,
    ),
    Format(lambda seen: seen.holds("data.pkl"), _torch, "is a PyTorch file"),
    Format(
        lambda seen: {"config.json", "model.weights.h5"} <= set(seen.names),
        _keras,
        "is a .keras file",
    ),
    Format(
        lambda seen: seen.holds("xl/workbook.xml"),
        what="is an Excel workbook",
        mend="expected weights; MODEL comes before INPUT",
    ),
    Format(
        lambda seen: seen.is_zip and seen.holds("coefficients.bin", "configuration.json"),
        what="is a model of Deeplearning4j",
        mend="save its parameters by name, with their shapes, as an .npz, and describe their "
        "layers in a mapping",
    ),
    Format(
        lambda seen: (
            seen.is_zip
            and bool(_weights_in(seen))
            and not any(name.endswith(".npy") for name in seen.names)
        ),
        what="is a zip of other files",
        mend="it holds {inside}: unpack it, and give one of them",
    ),
    RESULTS,
    NPZ,
    # What has a signature.
    HDF5,
    Format(
        lambda seen: seen.beginning[4:8] == b"TFL3", what="is a TensorFlow Lite model", mend=GO_BACK
    ),
    Format(
        lambda seen: seen.beginning[4:8] == b"ORTM",
        what="is a model in ONNX Runtime's own format",
        mend="give the .onnx file that it was made from",
    ),
    NPY,
    Format(
        lambda seen: seen.starts(b"PAR1"),
        what="is a Parquet table",
        mend="expected weights; MODEL comes before INPUT",
    ),
    Format(
        lambda seen: seen.starts(b"ARROW1\0", b"SQLite format 3\0"),
        what="is a table of Arrow or SQLite",
        mend="expected weights; MODEL comes before INPUT",
    ),
    Format(
        lambda seen: seen.starts(b"MATLAB "),
        what="is a MATLAB file (.mat)",
        mend="read it by scipy.io.loadmat, or h5py from version 7.3 on, write its arrays by "
        "numpy.savez, and describe their layers in a mapping",
    ),
    Format(lambda seen: seen.starts(b"\x1f\x8b"), what="is compressed by gzip", mend=UNPACK),
    Format(
        lambda seen: seen.starts(b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c"),
        what="is compressed",
        mend=UNPACK,
    ),
    Format(lambda seen: seen.beginning[257:262] == b"ustar", what="is a tar archive", mend=UNPACK),
    # Pickles.
    Format(
        lambda seen: seen.starts(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."),
        what="is a file of PyTorch before 1.6",
        mend="It is one bare pickle, which is never executed; save it again:",
        lines=LEGACY,
    ),
    Format(
        _is_lone_pickle,
        what="is a bare pickle{pickled}, which is never executed",
        mend="load it in Python where it comes from, and save the model itself: "
        'model.save("model.keras") in Keras, torch.save(model.state_dict(), "model.pt") in '
        "PyTorch, or its arrays by numpy.savez",
    ),
    # Protobufs.
    Format(lambda seen: _message(seen).startswith(b"\n"), what="is a Core ML model", mend=GO_BACK),
    Format(
        _is_graph,
        what="is a frozen TensorFlow graph",
        mend="Save the model that it was frozen from. Or keep its constants, and describe their "
        "layers in a mapping:",
        lines=CONSTANTS,
    ),
    Format(_is_onnx, _onnx, "is an ONNX file"),
    # Parts of TensorFlow's checkpoints.
    Format(
        lambda seen: (
            seen.ending == TABLE or re.search(r"\.data-\d{5}-of-\d{5}$", seen.path.name) is not None
        ),
        what="is part of a TensorFlow checkpoint",
        mend=BY_HAND,
        lines=CHECKPOINT,
    ),
    Format(  # fields may stand in another order
        lambda seen: seen.path.suffix == ".onnx" and bool(seen.beginning) and not seen.text,
        _onnx,
        "is an ONNX file",
    ),
    # Texts.
    Format(
        lambda seen: seen.text.startswith("model_checkpoint_path:"),
        what="is the list of a TensorFlow checkpoint's files",
        mend=BY_HAND,
        lines=CHECKPOINT,
    ),
    Format(
        lambda seen: seen.text.startswith("version https://git-lfs"),
        what="is a pointer of Git LFS, and not the file itself",
        mend="fetch it by `git lfs pull`",
    ),
    Format(
        lambda seen: re.match(r"\s*<(!doctype html|html)", seen.text, re.I) is not None,
        what="is a web page",
        mend="download the file itself",
    ),
    Format(
        lambda seen: seen.text.lstrip().startswith("{") and '"modelTopology"' in seen.text,
        what="is a model of TensorFlow.js",
        mend="save the Keras model that it was made from as .keras or .h5",
    ),
    Format(
        lambda seen: KERAS_TEXT.match(seen.text) is not None,
        what="is a Keras architecture without weights",
        mend='save the whole model, model.save("model.keras"), or give the file of its weights',
    ),
    Format(
        lambda seen: seen.text.startswith("node {"),
        what="is a TensorFlow graph as text",
        mend="save the Keras model that it was made from as .keras or .h5",
    ),
    Format(
        lambda seen: MAPPING_KEY.search(seen.text) is not None,
        what="is a mapping",
        mend="MODEL is the weight file that it describes; name the mapping by --mapping",
    ),
    Format(
        lambda seen: bool(seen.text.strip()),
        what="is text that begins with `{begins}`",
        mend="expected a weight file; MODEL comes before INPUT",
    ),
)


def open_weights(path: Path) -> Opened:
    """Open a weight file, by what is in it rather than by what it is called.

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
            ".safetensors, ONNX, or NumPy's .npz",
        )
    if found.open is not None:
        return found.open(path)
    facts = _facts(seen)
    mend = f"{'. ' if found.mend[:1].isupper() else '; '}{found.mend}" if found.mend else ""
    raise UnusableInput(str(path), (found.what + mend).format(**facts), found.lines.format(**facts))


def is_weight_file(path: Path) -> bool:
    """Whether a file is one on disk, of weights, by what it begins with; it may be damaged yet."""
    try:
        found = format_of(look(path)) if path.is_file() else None
    except UnusableInput:
        return False
    return found is not None and found.open is not None and found is not RESULTS


def what_it_is(seen: Seen) -> str:
    """What a file is that is no text, as "is a Parquet table"; "" where that is not known."""
    found = None if seen.text else format_of(seen)
    return "" if found is None else found.what.format(**_facts(seen))


def format_of(seen: Seen) -> Format | None:
    return next((each for each in FORMATS if each.is_it(seen)), None)


def _weights_in(seen: Seen) -> list[str]:
    return [name for name in seen.names if NAMED_WEIGHTS.fullmatch(name)]


def _facts(seen: Seen) -> dict[str, str]:
    """What the messages name: in Python's own spelling where it goes into lines of Python."""
    path, folder = seen.path, _folder(seen)
    base = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", str(path))
    prefix = folder if path.name == "checkpoint" or seen.is_folder else base
    named = folder.absolute() if _is_saved_model(seen) else Path(base)
    inside = _weights_in(seen)
    pickled = pickled_class(seen.beginning) if _is_lone_pickle(seen) else ""
    begins = seen.text.strip().split("\n", 1)[0]
    return {
        "file": repr(str(path)),
        "folder": repr(str(folder)),
        "prefix": repr(str(prefix)),
        **{form: repr(f"{named.stem or 'model'}.{form}") for form in ("npz", "h5")},
        "pt": repr(f"{path.stem}_state.pt"),
        "inside": ", ".join(inside[:3]) + (f" and {len(inside) - 3} more" * (len(inside) > 3)),
        "pickled": f" of `{pickled}`" if pickled else "",
        "begins": begins if len(begins) <= 40 else f"{begins[:37]}...",
    }
