"""What a corpus is cut into: whole files, or ranges of large ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lstm_lrp_cli.errors import HALVES, UnusableInput
from lstm_lrp_cli.inputs.spans import MAGIC, Span, asked, file_system, is_url, open_at
from lstm_lrp_cli.inputs.stream import COMPRESSIONS, compression_of, display_name
from lstm_lrp_cli.inputs.tables import SPLITS, STATE
from lstm_lrp_cli.inputs.tables.opening import row_groups
from lstm_lrp_cli.inputs.telling import named_form
from . import JOB, Shard

# What is a little longer than a shard is not cut.
WHOLE = 1.5
LINES = ("txt", "jsonl")
MISSING = "there is no such input; expected files of sequences"
PARTS = "is a folder of parts, as lrp writes them; expected files of sequences"
EMPTY = "has no files; expected files of sequences"


class Cut(NamedTuple):
    """How large files are cut.

    Parameters
    ----------
    size : int
        About so many bytes are in a shard.
    unit : int
        Line files are cut at multiples of it.
    form : str or None
        What the files are, where their names are not to say it.
    whole : bool
        Whether none is cut, as of a model whose sequences go on from each other.
    """

    size: int
    unit: int
    form: str | None = None
    whole: bool = False

    @property
    def bytes(self) -> int:
        """How many bytes of lines are in a shard: a multiple of the unit."""
        return max(-(-self.size // self.unit), 1) * self.unit


class File(NamedTuple):
    """A file of a corpus.

    Parameters
    ----------
    path : str
        The file or URL.
    name : str
        Its path below the folder that was given.
    size : int
        Bytes.
    mark : str
        What changes when the file does.
    """

    path: str
    name: str
    size: int
    mark: str


def find_files(source: str, output: str) -> list[File]:
    """What a file, a folder, a pattern, or a URL of these stands for, in the order of names.

    Of folders those files are left out whose names, or the names of whose folders, begin with a
    dot or an underline, and folders of parts; of patterns also what lies in the output.

    Raises
    ------
    UnusableInput
        There is no such file, or none in the folder.
    """
    found = list(_of_url(source, output) if is_url(source) else _of_folder(source, output))
    for file in found:
        if HALVES.search(file.name):
            problem = "has a name that is no UTF-8, by which no part can be called; rename it"
            raise UnusableInput(display_name(file.path), problem)
    if not found:
        raise _nothing(source)
    return found


def cut_files(
    files: Iterable[File], cut: Cut, count: Callable[[Shard, list[Span]], list[int]]
) -> Iterator[Shard]:
    """The shards of files.

    Parameters
    ----------
    count : callable
        How many lines are in each of several spans of a file, which is given as a whole shard.
    """
    for file in files:
        yield from _cut(file, cut, count)


def check_input(source: str) -> None:
    """See that there is such an input, whatever is in it.

    Raises
    ------
    UnusableInput
    """
    if os.path.isdir(source):
        with os.scandir(source) as entries:
            there = next(entries, None) is not None
    elif is_url(source) and not _is_pattern(source):
        store, path = file_system(source)
        there = bool(_info(store, path, source))
    else:
        found = _of_url(source, "") if is_url(source) else _of_folder(source, "")
        there = next(found, None) is not None
    if not there:
        raise _nothing(source)


def _nothing(source: str) -> UnusableInput:
    return UnusableInput(display_name(source), EMPTY if os.path.isdir(source) else MISSING)


def _is_pattern(source: str) -> bool:
    return any(sign in source for sign in MAGIC)


def _folder_of(pattern: str) -> str:
    """The folder, with a slash, in which what a pattern stands for is looked for; it may be ""."""
    before = pattern[: min(pattern.index(sign) for sign in MAGIC if sign in pattern)]
    return before[: before.rfind("/") + 1]


def _of_folder(source: str, output: str) -> Iterator[File]:
    path = Path(source)
    if any((path / name).is_file() for name in (STATE, SPLITS)):  # a data set, read as one
        files = [(path / each).stat() for each in _walked(path)]
        size = sum(each.st_size for each in files)
        changed = max(each.st_mtime_ns for each in files)
        yield File(source, path.absolute().name, size, f"{size} {len(files)} {changed}")
        return
    if path.is_dir():
        base, names = path, _walked(path)
    elif path.exists() or not _is_pattern(source):
        base, names = path.parent, [path.name] if path.is_file() else []
    else:
        folder = _folder_of(source)
        base, pattern = Path(folder or "."), source.removeprefix(folder).split("/")
        names = _walked(base, pattern, os.path.realpath(output) if output else "")
    for name in names:
        if path.is_file() or not _is_hidden(name):
            status = (base / name).stat()
            mark = f"{status.st_size} {status.st_mtime_ns}"
            yield File(str(base / name), name, status.st_size, mark)


def _walked(folder: Path, pattern: Sequence[str] = ("**",), leave: str = "") -> list[str]:
    """The names of the files below a folder that match a pattern, in their order.

    Links to folders are followed, and each folder is read once, so that they may lead in circles.

    Parameters
    ----------
    pattern : sequence of str
        Of each part of a name; `**` stands for any number of parts.
    leave : str
        The real path of a folder that is left out.

    Raises
    ------
    UnusableInput
        A folder cannot be read, or is one of parts itself, or a link leads nowhere.
    """
    found, seen = list[str](), {leave, os.path.realpath(folder)}

    def refuse(error: OSError) -> None:
        raise UnusableInput(display_name(str(error.filename)), f"cannot be read: {error.strerror}")

    for path, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        below = () if path == str(folder) else Path(path).relative_to(folder).parts
        if os.path.isfile(os.path.join(path, JOB)):
            if not below:
                raise UnusableInput(display_name(path), PARTS)
            folders.clear()
            continue
        entered = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(path, name))
            if real not in seen and not _is_hidden(name) and _leads_to(pattern, (*below, name)):
                seen.add(real)
                entered.append(name)
        folders[:] = entered
        for name in files:
            if _matches(pattern, (*below, name)) and _is_file(os.path.join(path, name)):
                found.append("/".join((*below, name)))
    return sorted(found)


def _is_file(path: str) -> bool:
    if not os.path.exists(path):
        raise UnusableInput(display_name(path), "is a link to what is not there")
    return os.path.isfile(path)


def _matches(pattern: Sequence[str], names: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_matches(pattern[1:], names[skipped:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _matches(pattern[1:], names[1:])


def _leads_to(pattern: Sequence[str], folder: Sequence[str]) -> bool:
    """Whether files in or below a folder may match."""
    if not folder or pattern[0] == "**":
        return True
    more = len(pattern) > 1 and fnmatchcase(folder[0], pattern[0])
    return more and _leads_to(pattern[1:], folder[1:])


def _of_url(source: str, output: str) -> Iterator[File]:
    fs, path = file_system(source)
    if _is_pattern(path):
        with asked(source):
            found = fs.glob(path, detail=True)
        if is_url(output):
            within = f"{file_system(output)[1].rstrip('/')}/"
            found = {each: told for each, told in found.items() if not each.startswith(within)}
        base = _folder_of(path)
    else:
        with asked(source):
            found = fs.find(path, detail=True) if fs.isdir(path) else None
        base = f"{path.rstrip('/')}/"
        if found is None:
            found, base = _info(fs, path, source), path[: path.rfind("/") + 1]
    of_parts = [each.removesuffix(JOB) for each in found if each.endswith(f"/{JOB}")]
    if base in of_parts:
        raise UnusableInput(display_name(source), PARTS)
    for each in sorted(found):
        told, name = found[each], each.removeprefix(base)
        if each.startswith(tuple(of_parts)):
            continue
        if told["type"] == "file" and (each == path or not _is_hidden(name)):
            yield File(fs.unstrip_protocol(each), name, told["size"], _mark(told))


def _info(store: Any, path: str, url: str) -> dict[str, Any]:
    """What a store says of a path, by the path; nothing where there is none."""
    with suppress(FileNotFoundError), asked(url):
        return {path: store.info(path)}
    return {}


def _mark(told: dict[str, object]) -> str:
    """What a store says of a file that changes with it."""
    for key in ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified"):
        if told.get(key):
            return f"{told['size']} {told[key]}"
    return f"{told['size']} {told.get('created', '')}"


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _cut(file: File, cut: Cut, count: Callable[[Shard, list[Span]], list[int]]) -> Iterator[Shard]:
    whole = Shard(file.path, file.name, file.name, file.size, file.mark)
    form = named_form(file.path, cut.form)  # type: ignore[arg-type]
    spans: list[Span] = []
    if not cut.whole and compression_of(Path(file.name)) is None and file.size > WHOLE * cut.size:
        if form in LINES and not _is_compressed(file.path):
            spans = _of_lines(whole, cut.bytes, count)
        elif form == "parquet":
            spans = _of_groups(whole, cut.size)
    if len(spans) < 2:
        yield whole
        return
    digits = len(str(file.size)) if form == "parquet" else 15
    for span in spans:
        name = f"{file.name}.{span.start:0{digits}d}"
        yield Shard(file.path, file.name, name, file.size // len(spans), file.mark, span)


def _is_compressed(path: str) -> bool:
    """Whether a file is compressed, whatever it is called."""
    with open_at(path, 0) as opened:
        beginning = opened.read(max(len(each.magic) for each in COMPRESSIONS))
    return any(beginning.startswith(each.magic) for each in COMPRESSIONS)


def _of_lines(
    file: Shard, size: int, count: Callable[[Shard, list[Span]], list[int]]
) -> list[Span]:
    starts = [*range(0, file.size, size), file.size]
    spans = [Span(start, stop, 1) for start, stop in pairwise(starts)]
    first, found = 1, []
    for span, lines in zip(spans, count(file, spans), strict=True):
        found.append(Span(span.start, span.stop, first))
        first += lines
    return found


def _of_groups(file: Shard, size: int) -> list[Span]:
    """Row groups together until they have about as many rows as a shard of so many bytes."""
    rows = row_groups(file.path)
    most = sum(rows) * size / file.size
    spans, start, first, held = [], 0, 1, 0
    for place, count in enumerate(rows):
        if held and held + count > most:
            spans.append(Span(start, place, first))
            start, first, held = place, first + held, 0
        held += count
    return [*spans, Span(start, len(rows), first)] if rows else []
