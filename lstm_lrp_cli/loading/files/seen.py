"""What a file or a folder shows of itself before it is read: how it begins and what it holds."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput

# How much of a file is looked at.
LOOKED_AT = 4096
MOST_NAMES = 10_000
# The end of a table of TensorFlow's checkpoints, which are made of LevelDB's.
TABLE = bytes.fromhex("57fb808b247547db")
# How the names of a checkpoint's files end.
CHECKPOINT_PART = re.compile(r"\.(index|data-\d{5}-of-\d{5})$")
# How a zip begins: one with files, one without, and one of several parts.
ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# What text is made of, besides characters that can be seen.
WHITE = "\t\n\r\f"


class Seen(Struct, frozen=True):
    """What is seen of a file or a folder.

    Parameters
    ----------
    path : Path
    beginning : bytes
        Of a file, at most LOOKED_AT; nothing of a folder.
    ending : bytes
        As many bytes as TABLE has.
    names : tuple of str
        What a folder or a zip holds; nothing where it cannot be listed.
    is_folder : bool
    """

    path: Path
    beginning: bytes
    ending: bytes = b""
    names: tuple[str, ...] = ()
    is_folder: bool = False

    def starts(self, *signatures: bytes) -> bool:
        return self.beginning.startswith(signatures)

    def holds(self, *ends: str) -> bool:
        """Whether for each of them there is a name that is it, or has it behind a folder."""
        names = [f"/{name}" for name in self.names]
        return all(any(name.endswith(f"/{end}") for name in names) for end in ends)

    @property
    def endings(self) -> set[str]:
        """How the names end that it holds."""
        return {Path(name).suffix for name in self.names}

    @property
    def folder(self) -> Path:
        """What it lies in, or itself if it is a folder."""
        return self.path if self.is_folder else self.path.parent

    @property
    def is_zip(self) -> bool:
        return self.starts(*ZIP)

    @property
    def text(self) -> str:
        """The beginning of a text; "" where it is none."""
        try:
            text = self.beginning.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if error.start < LOOKED_AT - 4:  # else a character was cut
                return ""
            text = self.beginning[: error.start].decode("utf-8-sig")
        return text if all(each.isprintable() or each in WHITE for each in text) else ""


def look(path: Path) -> Seen:
    """Look at a file or a folder.

    Raises
    ------
    UnusableInput
        There is none, or it cannot be read; or it is a pipe, from which nobody may ever write, or a
        device.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UnusableInput(str(path), "is a pipe or a device; expected a file on disk")
    try:
        with path.open("rb") as file:
            beginning = file.read(LOOKED_AT)
            ending = b""
            if file.seekable():
                file.seek(max(0, file.seek(0, 2) - len(TABLE)))
                ending = file.read(len(TABLE))
    except FileNotFoundError as error:
        if Path(f"{path}.index").is_file():  # TensorFlow's name for a checkpoint of several files
            return Seen(path, b"", TABLE)
        raise UnusableInput(str(path), "there is no such model file") from error
    except IsADirectoryError:
        return Seen(path, b"", names=tuple(_names_in(path)), is_folder=True)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnusableInput(str(path), f"cannot be read: {reason}") from error
    names = _names_in_zip(path) if beginning.startswith(ZIP) else ()
    return Seen(path, beginning, ending, names)


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(each.name for each in islice(folder.iterdir(), MOST_NAMES))
    except OSError:
        return []


def _names_in_zip(path: Path) -> tuple[str, ...]:
    import zipfile

    from .numpy import unpacking

    try:
        with unpacking(str(path)), zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except UnusableInput:
        return ()  # the reader says what is wrong
    for member in members:
        # Of the others a few bytes unfold to a gigabyte at once: zipfile sets no bounds to them.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnusableInput(
                f"{path}: {member.filename}",
                f"is compressed by method {member.compress_type} of zip; expected deflate, or "
                "none: write the archive again",
            )
    return tuple(member.filename for member in members)


def pickled_class(beginning: bytes) -> str:
    """The first class or function that a pickle names, as `module.name`; "" where there is none.

    Its instructions are listed, and none is followed.
    """
    import pickletools

    texts: list[str] = []
    try:
        for instruction, value, _ in pickletools.genops(beginning):
            if instruction.name == "GLOBAL":
                return str(value).replace(" ", ".")
            if instruction.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if isinstance(value, str):
                texts.append(value)
    except Exception:  # whatever: the beginning is cut, and need be no pickle
        pass
    return ""


def protobuf_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The numbers of a protobuf's fields, each with what it holds where that is bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(data, at)
            yield tag >> 3, b""
        elif kind == 2:
            length, at = _varint(data, at)
            yield tag >> 3, data[at : at + length]
            at += length
        else:  # numbers of a fixed size, and what is no protobuf
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                return
            yield tag >> 3, b""
            at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        number |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            break
    return number, at


def is_onnx(seen: Seen) -> bool:
    """An ONNX file is a protobuf without a signature: its version comes first, a number.

    Then comes one of the fields of who made it, its graph and its operators. No safetensors header
    is as long as those bytes would make it. Other protobufs that begin with a number go on with a
    message, which begins with a field, and no name of a program does.
    """
    version, field, length = seen.beginning[:1], seen.beginning[2:3], seen.beginning[4:8]
    fields = version == b"\x08" and field and field in b"\x12\x1a\x22\x28\x32\x3a\x42"
    return bool(fields) and any(length) and not protobuf_message(seen).startswith(b"\n")


def protobuf_message(seen: Seen) -> bytes:
    """What the second field of a protobuf holds, if the first is a number and it is number 2."""
    if not seen.starts(b"\x08"):
        return b""
    (_, first), (number, second), *_ = [*protobuf_fields(seen.beginning), (0, b""), (0, b"")]
    return second if not first and number == 2 else b""


def is_saved_model(seen: Seen) -> bool:
    if seen.is_folder:
        return seen.holds("saved_model.pb") or seen.holds("saved_model.pbtxt")
    return seen.starts(b"\x08\x01") and protobuf_message(seen).startswith(b"\n")


def has_variables(seen: Seen) -> bool:
    """Whether beside a SavedModel's graph stand its variables."""
    return (seen.folder / "variables" / "variables.index").is_file()


def has_checkpoint(seen: Seen) -> bool:
    """Whether it is a checkpoint of TensorFlow's, or one of its files, and its index is there."""
    if seen.is_folder:
        return seen.holds("checkpoint") and any(name.endswith(".index") for name in seen.names)
    if seen.text.startswith("model_checkpoint_path:"):
        return seen.path.name == "checkpoint"
    prefix = CHECKPOINT_PART.sub("", str(seen.path))
    is_part = seen.ending == TABLE or prefix != str(seen.path)
    return is_part and Path(f"{prefix}.index").is_file()


def is_frozen_graph(seen: Seen) -> bool:
    """Whether it begins with a node of TensorFlow's: a name, and the name of an operation."""
    if not seen.starts(b"\n"):
        return False
    first = dict(protobuf_fields(next(protobuf_fields(seen.beginning), (0, b""))[1]))
    return all(re.fullmatch(rb"[\w./>^-]+", first.get(number, b"")) for number in (1, 2))


def is_exported(seen: Seen) -> bool:
    """Whether it is a zip with a graph as torch.export.save writes it, of today or before 2.8."""
    programs = [name for name in seen.names if re.search(r"(^|/)models/[^/]+\.json$", name)]
    return seen.is_zip and (bool(programs) or seen.holds("serialized_exported_program.json"))


def is_hdf5(seen: Seen) -> bool:
    """It begins by its signature, or has that behind a block of its user's, as MATLAB's do."""
    places = (0, 512, 1024, 2048)
    signed = any(seen.beginning.startswith(b"\x89HDF\r\n\x1a\n", at) for at in places)
    return signed and not seen.starts(b"MATLAB ")


def is_safetensors(seen: Seen) -> bool:
    """It begins with the length of its header, which is a JSON object; JSON itself has no zeros."""
    return seen.beginning[8:9] == b"{" and b"\0" in seen.beginning[:8]


def is_lone_pickle(seen: Seen) -> bool:
    return re.match(rb"\x80[\2-\5]", seen.beginning) is not None


# How zlib, gzip, bzip2 and LZMA begin.
_COMPRESSED = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"]\0")
# How pickles of protocols 0 and 1 begin: a dict or list that is kept, or what Python makes.
_EARLY_PICKLE = re.compile(
    rb"\(*([dl]p\d+\n|[]}]q.|c(copy_?reg|collections|__builtin__|builtins)\n|i[\w.]+\n)", re.DOTALL
)


def is_pickle(seen: Seen) -> bool:
    """Whether it is a pickle of whatever protocol, or what joblib compresses one to."""
    if is_lone_pickle(seen):
        return True
    if seen.starts(*_COMPRESSED):
        return not seen.text
    return seen.ending.endswith(b".") and _EARLY_PICKLE.match(seen.beginning) is not None


def is_scikit_learn(seen: Seen) -> bool:
    """Whether it is a pickle of something of scikit-learn's, or of a pipeline of it."""
    return is_lone_pickle(seen) and pickled_class(seen.beginning).startswith("sklearn.")


def is_old_torch(seen: Seen) -> bool:
    """A file of PyTorch before 1.6 begins with the pickle of a number, in whatever protocol."""
    number = rb"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19\."
    return re.match(rb"\x80[\2-\5](\x95.{8})?" + number, seen.beginning, re.DOTALL) is not None


def is_torch_tar(seen: Seen) -> bool:
    """A tar archive of PyTorch before 0.1.10 has members of these names, in its first blocks."""
    blocks = range(0, len(seen.beginning), 512)
    headers = [seen.beginning[at : at + 512] for at in blocks]
    names = [each[:100].rstrip(b"\0") for each in headers if each[257:262] == b"ustar"]
    return any(name in (b"sys_info", b"pickle", b"tensors", b"storages") for name in names)
