"""What a corpus is cut into: whole files, or ranges of large ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lstm_lrp_cli.errors import HALVES, UnusableInput
from lstm_lrp_cli.inputs.spans import MAGIC, Span, asked, file_system, is_url
from lstm_lrp_cli.inputs.stream import compression_of, display_name
from lstm_lrp_cli.inputs.tables import SPLITS, STATE
from lstm_lrp_cli.inputs.tables.opening import row_groups
from lstm_lrp_cli.inputs.telling import named_form
from . import Shard

# What is a little longer than a shard is not cut.
WHOLE = 1.5
LINES = ("txt", "jsonl")
MISSING = "there is no such input; expected files of sequences"


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


class _File(NamedTuple):
    path: str
    name: str
    size: int
    mark: str


def find_shards(
    source: str, cut: Cut, count: Callable[[Shard, list[Span]], list[int]]
) -> Iterator[Shard]:
    """The shards of a file, a folder, a pattern, or a URL of these, in the order of names.

    Of folders those files are left out whose names, or the names of whose folders, begin with a
    dot or an underline.

    Parameters
    ----------
    count : callable
        How many lines are in each of several spans of a file, which is given as a whole shard.

    Raises
    ------
    UnusableInput
        There is no such file, or none in the folder.
    """
    some = False
    for file in _of_url(source) if is_url(source) else _of_folder(source):
        if HALVES.search(file.name):
            problem = "has a name that is no UTF-8, by which no part can be called; rename it"
            raise UnusableInput(display_name(file.path), problem)
        some = True
        yield from _cut(file, cut, count)
    if not some:
        raise UnusableInput(display_name(source), MISSING)


def check_input(source: str) -> None:
    """See that there is such an input, whatever is in it.

    Raises
    ------
    UnusableInput
    """
    if is_url(source) and not any(sign in source for sign in MAGIC):
        store, path = file_system(source)
        there = bool(_info(store, path, source))
    else:
        there = next(_of_url(source) if is_url(source) else _of_folder(source), None) is not None
    if not there:
        raise UnusableInput(display_name(source), MISSING)


def _of_folder(source: str) -> Iterator[_File]:
    path = Path(source)
    if any((path / name).is_file() for name in (STATE, SPLITS)):  # a data set, read as one
        files = [each.stat() for each in _walked(path) if each.is_file()]
        size = sum(each.st_size for each in files)
        changed = max(each.st_mtime_ns for each in files)
        yield _File(source, path.absolute().name, size, f"{size} {len(files)} {changed}")
        return
    if path.is_dir():
        base, found = path, _walked(path)
    elif path.exists() or not any(sign in source for sign in MAGIC):
        base, found = path.parent, iter([path] if path.exists() else [])
    else:
        import glob

        before = source[: min(source.index(sign) for sign in MAGIC if sign in source)]
        base = Path(before[: before.rfind("/") + 1] or ".")
        found = (Path(each) for each in sorted(glob.glob(source, recursive=True)))
    for each in found:
        name = os.path.relpath(each, base).replace(os.sep, "/")
        if each.is_file() and (each == path or not _is_hidden(name)):
            status = each.stat()
            yield _File(str(each), name, status.st_size, f"{status.st_size} {status.st_mtime_ns}")


def _walked(folder: Path) -> Iterator[Path]:
    """All files below a folder, in the order of names."""
    for path, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            yield Path(path) / name


def _of_url(source: str) -> Iterator[_File]:
    fs, path = file_system(source)
    if any(sign in path for sign in MAGIC):
        with asked(source):
            found = fs.glob(path, detail=True)
        before = path[: min(path.index(sign) for sign in MAGIC if sign in path)]
        base = before[: before.rfind("/") + 1]
    else:
        with asked(source):
            found = fs.find(path, detail=True) if fs.isdir(path) else None
        base = f"{path.rstrip('/')}/"
        if found is None:
            found, base = _info(fs, path, source), path[: path.rfind("/") + 1]
    for each in sorted(found):
        told, name = found[each], each.removeprefix(base)
        if told["type"] == "file" and (each == path or not _is_hidden(name)):
            yield _File(fs.unstrip_protocol(each), name, told["size"], _mark(told))


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


def _cut(file: _File, cut: Cut, count: Callable[[Shard, list[Span]], list[int]]) -> Iterator[Shard]:
    whole = Shard(file.path, file.name, file.name, file.size, file.mark)
    form = named_form(file.path, cut.form)  # type: ignore[arg-type]
    spans: list[Span] = []
    if not cut.whole and compression_of(Path(file.name)) is None and file.size > WHOLE * cut.size:
        if form in LINES:
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
