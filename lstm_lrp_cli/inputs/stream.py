"""Opening an input, compressed or not; the formats of inputs, and what a name tells of them."""

import errno
import importlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from .spans import MAGIC, StoreFailed, open_at

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from lstm_lrp_cli.loading.files.seen import Seen


STANDARD_INPUT = "-"
# How much of a stream is looked at to tell what it is.
BEGINNING = 2**16
# How much of it tells text from other data.
ENOUGH = 4096
# How formats begin of which nothing is copied to a file on disk that begins otherwise.
BEGINNINGS = {".npy": b"\x93NUMPY", ".npz": b"PK"}
# How much is copied there at a time; and to how many bytes, and how many times its own size, what
# is compressed may unfold there.
SPOOLED = 2**20
UNFOLDED = 512 * 2**20
EXPANSION = 200
# No name of a file, or comment, within what is compressed is longer.
LONGEST_NAME = 2**16
BOM = b"\xef\xbb\xbf"
# What a folder says in which no file can be made, or be longer; not every system has all of them.
NO_ROOM = {
    getattr(errno, name, None)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "ENOENT", "ENOTDIR")
} - {None}


def display_name(source: str) -> str:
    """What messages call an input; a name that is not UTF-8 is shown as well as can be."""
    if source == STANDARD_INPUT:
        return "standard input"
    return os.fsencode(source).decode("utf-8", "replace")


class OpenInput(Struct, frozen=True):
    """An input that is open for reading.

    Parameters
    ----------
    file : BufferedReader
        At its beginning.
    beginning : bytes
        Its first line, or as much of it as tells what it is.
    plain_path : Path or None
        The file on disk, where it is one and is not compressed.
    where : str
        What messages call it.
    packed : callable or None
        How many bytes were read so far of what is compressed; None where it is not.
    """

    file: io.BufferedReader
    beginning: bytes
    plain_path: Path | None
    where: str
    packed: Callable[[], int] | None = None


@contextmanager
def open_input(source: str) -> Iterator[OpenInput]:
    """Open an input for reading bytes; what is compressed (gzip, xz, bzip2) is unfolded as read.

    Raises
    ------
    UnusableInput
        It cannot be opened, or not be read to its end.
    StoreFailed
        Of a URL, the store stopped amid it.
    """
    where = display_name(source)
    raw = _raw(source, where)
    try:
        signature, file = _look_ahead(raw, lambda data: len(data) >= 6)
        on_disk = source != STANDARD_INPUT and Path(source).is_file()
        plain_path = Path(source) if on_disk else None
        packed = None
        for compression in COMPRESSIONS:
            if signature.startswith(compression.magic):
                rejoined = file.raw
                assert isinstance(rejoined, _Rejoined)
                packed = rejoined.count
                file = compression.open(_Packed(file), "rb")
                plain_path = None
        beginning, file = _unpacked(file, where) if packed else _look_ahead(file, _has_a_line)
        yield OpenInput(file, beginning, plain_path, where, packed)
    except StoreFailed:
        raise
    except damage() as error:
        raise UnusableInput(where, f"cannot be read to its end: {error}; is it whole?") from error
    finally:
        if source != STANDARD_INPUT:
            raw.close()


def _raw(source: str, where: str) -> Any:
    """An input as its bytes are, open at its beginning."""
    if source == STANDARD_INPUT and sys.stdin is None:
        raise UnusableInput(where, "is closed; name a file, or pipe sequences in")
    try:
        return sys.stdin.buffer if source == STANDARD_INPUT else open_at(source, 0)
    except FileNotFoundError as error:
        mend = "; a sentence is given by --text" if " " in source else ""
        if any(sign in source for sign in MAGIC):
            mend = "; of a pattern's files, parts go to a folder: -o FOLDER/"
        raise UnusableInput(where, f"there is no such input file{mend}") from error
    except IsADirectoryError as error:
        raise UnusableInput(where, "is a directory; expected a file of sequences") from error
    except StoreFailed:
        raise
    except OSError as error:
        raise UnusableInput(where, f"cannot be read: {error.strerror}") from error


def _unpacked(file: BinaryIO, where: str) -> tuple[bytes, Any]:
    """How what is compressed begins, and all of it; a dictionary may ask for gigabytes."""
    try:
        return _look_ahead(file, _has_a_line)
    except MemoryError as error:
        problem = "asks for more memory to unpack it than there is; compress it again"
        raise UnusableInput(where, problem) from error


def seen_of(opened: OpenInput, where: str) -> "Seen":
    """What is seen of an input, of which more is seen where it is a file on disk."""
    from lstm_lrp_cli.loading.files.seen import LOOKED_AT, Seen, look

    path = opened.plain_path
    return Seen(Path(where), opened.beginning[:LOOKED_AT]) if path is None else look(path)


def is_text(beginning: bytes) -> bool:
    """Whether data may be text by how it begins."""
    try:
        text = beginning[:ENOUGH].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > ENOUGH - 4  # a character was cut
    return "\0" not in text


@contextmanager
def on_disk(opened: OpenInput, suffix: str) -> Iterator[Path]:
    """The input as a file on disk, spooled there if need be: arrays are not read in one go.

    Raises
    ------
    UnusableInput
        What is compressed unfolds to far more than any honest file.
    """
    if opened.plain_path is not None:
        yield opened.plain_path
        return
    with ExitStack() as stack:
        with spooling():
            path = stack.enter_context(_spool(suffix))
            with path.open("wb") as copy:
                _copy(opened, copy, BEGINNINGS.get(suffix, b""))
        yield path


def _copy(opened: OpenInput, copy: BinaryIO, beginning: bytes) -> None:
    """Copy an input to a file, unless it unfolds to far more than any honest one does.

    Of what does not begin as its format does no more is read, which may have no end.
    """
    size = 0
    while data := opened.file.read(SPOOLED):
        if size == 0 and not data.startswith(beginning):
            copy.write(data)
            return
        size += copy.write(data)
        if opened.packed is not None and size > UNFOLDED + EXPANSION * opened.packed():
            raise UnusableInput(
                opened.where,
                f"unfolds to more than {size:,} bytes, of {opened.packed():,}; no honest file "
                "does: give it as it is before it is compressed",
            )


@contextmanager
def spooling() -> Iterator[None]:
    """Tell of a temporary file that cannot be made or written what it is, and what can be done."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise UnusableInput(
            "the folder of temporary files",
            f"cannot be written to: {error.strerror}; set TMPDIR to one that has room",
        ) from error


@contextmanager
def _spool(suffix: str) -> Iterator[Path]:
    """A temporary file: one without a name where there can be such, which no end leaves behind."""
    import tempfile

    if sys.platform == "linux":
        with tempfile.TemporaryFile(prefix="lrp-") as file:
            path = Path(f"/proc/self/fd/{file.fileno()}")
            if path.exists():
                yield path
                return
    with tempfile.TemporaryDirectory(prefix="lrp-") as folder:
        yield Path(folder) / f"input{suffix}"


def _has_a_line(data: bytes) -> bool:
    """Whether there is a whole line with something on it, or as much as is looked at."""
    return b"\n" in data.removeprefix(BOM).lstrip() or len(data) >= BEGINNING


def _look_ahead(file: BinaryIO, enough: Callable[[bytes], bool]) -> tuple[bytes, io.BufferedReader]:
    """Read until there is enough to tell what a stream is; give it back with the whole stream.

    A pipe may hand out its first bytes one by one, so that a single look would not do.
    """
    taken = b""
    while not enough(taken):
        more = file.read1(BEGINNING)  # type: ignore[attr-defined]
        if not more:
            break
        taken += more
    return taken, io.BufferedReader(_Rejoined(taken, file), BEGINNING)


class _Rejoined(io.RawIOBase):
    """Bytes that were taken from a stream, and the rest of it."""

    def __init__(self, taken: bytes, rest: BinaryIO) -> None:
        self._taken = io.BytesIO(taken)
        self._rest = rest
        self._count = 0

    def count(self) -> int:
        """How many bytes were read so far."""
        return self._count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._taken.read(len(view)) or self._rest.read1(len(view))  # type: ignore[attr-defined]
        view[: len(data)] = data
        self._count += len(data)
        return len(data)


class _Packed:
    """A stream that is compressed, whose headers have names of bounded lengths.

    gzip looks for the end of a name byte by byte, which takes its time if there is none.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._alone = 0

    def read(self, size: int = -1) -> bytes:
        self._alone = self._alone + 1 if size == 1 else 0
        if self._alone > LONGEST_NAME:
            raise OSError("a name in a header does not end")
        return self._file.read(size)


class Compression(Struct, frozen=True):
    """One way of compressing.

    Parameters
    ----------
    ending : str
        Of the names of files.
    magic : bytes
        What the data begins with.
    module : str
        The module that reads and writes it, imported when a file is opened: few are compressed.
    """

    ending: str
    magic: bytes
    module: str

    def open(self, file: Any, mode: str, **settings: Any) -> Any:
        """Open a path or a binary file, for reading or writing, as `open` does."""
        return importlib.import_module(self.module).open(file, mode, **settings)


COMPRESSIONS = (
    Compression(".gz", b"\x1f\x8b", "gzip"),
    Compression(".xz", b"\xfd7zXZ\x00", "lzma"),
    Compression(".bz2", b"BZh", "bz2"),
)


def damage() -> tuple[type[Exception], ...]:
    """What reading damaged data raises, whatever it is compressed with."""
    import lzma
    import zlib

    return EOFError, OSError, lzma.LZMAError, zlib.error


def compression_of(path: Path) -> Compression | None:
    """What a file's name says it is compressed with."""
    ending = path.suffix.lower()
    return next((known for known in COMPRESSIONS if known.ending == ending), None)


InputFormat = Literal["txt", "jsonl", "csv", "tsv", "parquet", "arrow", "npy", "npz", "h5"]
# Those of tables.
TABLES: tuple[InputFormat, ...] = ("csv", "tsv", "parquet", "arrow")
INPUT_FORMATS: tuple[InputFormat, ...] = get_args(InputFormat)

ENDINGS: dict[str, InputFormat] = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".npy": "npy",
    ".npz": "npz",
    ".h5": "h5",
    ".hdf5": "h5",
}


def format_ending(path: Path) -> str:
    """The ending that tells a file's format, in lower case: ".csv" of "x.CSV.gz", "" of "x"."""
    named = path.with_suffix("") if compression_of(path) else path
    return named.suffix.lower()


def whole_number(text: str) -> int | None:
    """The number that a text of decimal digits is; None for other text, or a number beyond use."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people do: series2 before series10."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", name)
        numbers = [(whole_number(part), part) for part in parts]
        return [(1, 0, part) if number is None else (0, number, "") for number, part in numbers]

    return sorted(names, key=key)
