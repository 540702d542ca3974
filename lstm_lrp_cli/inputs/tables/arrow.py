"""Parquet, Arrow's IPC format (which Feather is), and data sets that `save_to_disk` wrote.

Files are untrusted: what is read of them is checked by Arrow before any of it is looked at.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import msgspec

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.spans import Span
from lstm_lrp_cli.loading.files.parquet import ways_to_read
from . import SPLITS, STATE, Row, Table
from .claims import check_claims

try:
    import pyarrow as pa
    from pyarrow import compute as pc
    from pyarrow import parquet
except ImportError as error:
    raise UnusableInput(
        "reading Parquet and Arrow",
        "needs the package pyarrow; pip install 'lstm-lrp-cli[parquet]'",
    ) from error

# How many rows are read at a time, where the file leaves it to the reader.
ROWS = 2**10
# How many bytes of texts are read at a time, where these may be longer than is seen.
TEXT_BYTES = 2**26
# How many values some rows have in their lists, before fewer rows are read; and at most one row.
MOST_AT_ONCE = 2**20
MOST_IN_ROW = 2**24
IPC_FILE, FEATHER_1 = b"ARROW1", b"FEA1"
# What data sets of Hugging Face tell of themselves, in a schema and beside it.
KEY = b"huggingface"
INFO = "dataset_info.json"
# A description of columns is short; what is longer is none.
MOST_BYTES = 2**24
Batches = Callable[[list[str]], Iterator[Any]]


class ArrowTable(Table):
    """A table of typed columns.

    Parameters
    ----------
    where : str
        What messages call it.
    schema : pyarrow.Schema
    batches : callable
        Gives the batches of some columns, by their names.
    features : dict or None
        What Hugging Face's description of the columns says, where it is told apart.
    first : int
        The number of the first row, from 1.
    ends : frozenset of int
        The numbers of the last rows of groups, which share no block with those behind them.
    """

    typed = True

    def __init__(
        self,
        where: str,
        schema: Any,
        batches: Batches,
        features: Any = None,
        *,
        first: int = 1,
        ends: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(where, schema.names)
        self._batches = batches
        self.first_row = first
        self.ends = ends
        described = _described(schema) if features is None else features
        self.classes = _class_names(described)

    def _rows(self, places: list[int]) -> Iterator[Row]:
        names = [self.columns[place] for place in places]
        number = self.first_row - 1
        with _readable(self.where):
            for batch in self._batches(names):
                for part in _parts(batch, f"{self.where}: row {number + 1}"):
                    columns = [_values(part.column(name)) for name in names]
                    rows = zip(*columns, strict=True) if columns else [()] * part.num_rows
                    for row in rows:
                        number += 1
                        yield row, f"{self.where}: row {number}"


@contextmanager
def open_parquet(path: Path, where: str, span: Span | None = None) -> Iterator[Table]:
    """Open a Parquet file, or some of its groups; those columns are read that are asked for."""
    ways = ways_to_read(path, where)
    most = max(1, min(ROWS, TEXT_BYTES // ways.longest))
    with _readable(where), parquet_file(path, where, ways.words) as file:
        start, stop, first = (0, None, 1) if span is None else (span.start, span.stop, span.first)
        groups = range(file.num_row_groups)[start:stop]
        rows = [file.metadata.row_group(group).num_rows for group in groups]
        ends = frozenset(accumulate(rows, initial=first - 1))

        def batches(names: list[str]) -> Iterator[Any]:
            # Of one group each, since every group has its own lists of words.
            for group in groups:
                yield from _checked(file.iter_batches(most, row_groups=[group], columns=names))

        yield ArrowTable(where, file.schema_arrow, batches, first=first, ends=ends)


def rows_of_groups(path: Path, where: str) -> list[int]:
    """How many rows each group of a Parquet file has."""
    with _readable(where), parquet_file(path, where, []) as file:
        return [file.metadata.row_group(each).num_rows for each in range(file.num_row_groups)]


@contextmanager
def parquet_file(path: Path, where: str, words: list[str]) -> Iterator[Any]:
    """pyarrow's reader of a Parquet file, of some columns of which texts stay as they are in it."""
    # Opened here: not every name of a file is text to Arrow. Nor is a whole group read ahead.
    with path.open("rb") as data:
        try:
            file = parquet.ParquetFile(data, read_dictionary=words, pre_buffer=False)
            file.schema_arrow.names  # noqa: B018 - texts are made of them here
        except UnicodeDecodeError as error:
            raise UnusableInput(where, "has a column whose name is no UTF-8") from error
        except KeyError as error:
            problem = "names columns in its groups that are not in its schema; is it whole?"
            raise UnusableInput(where, problem) from error
        with file:
            yield file


@contextmanager
def open_arrow(path: Path, where: str) -> Iterator[Table]:
    """Open an Arrow file, or a stream of Arrow in a file; Feather is the former."""
    with _readable(where), _opened(path, where) as reader:
        yield ArrowTable(where, reader.schema, lambda names: _selected(_each(reader), names))


@contextmanager
def open_dataset(folder: Path, where: str) -> Iterator[Table]:
    """Open a folder by `Dataset.save_to_disk` of Hugging Face's datasets.

    Raises
    ------
    UnusableInput
        It is that of several splits, of which one is to be named, or is damaged.
    """
    if (folder / SPLITS).is_file():
        splits = _document(folder / SPLITS, where, _Splits).splits
        named = "test" if "test" in splits else next(iter(splits), "SPLIT")
        raise UnusableInput(
            where,
            f"is a data set of the splits {', '.join(splits)}; expected one of them: "
            f"{folder / named}",
        )
    state = _document(folder / STATE, where, _State)
    if state.indices:
        raise UnusableInput(
            where,
            "keeps its rows in another order; write it again: "
            "dataset.flatten_indices().save_to_disk(FOLDER)",
        )
    files = [each.filename for each in state.files]
    for name in files:
        if Path(name).name != name or not (folder / name).is_file():
            raise UnusableInput(where, f"names the file `{name}`, and there is none; is it whole?")
    if not files:
        raise UnusableInput(where, "names no files; expected those of a data set")
    features = _document(folder / INFO, where, dict[str, Any]).get("features") or {}

    def batches(names: list[str]) -> Iterator[Any]:
        for name in files:
            with _opened(folder / name, where) as reader:
                yield from _selected(_each(reader), names)

    with _readable(where):
        with _opened(folder / files[0], where) as reader:
            schema = reader.schema
        yield ArrowTable(where, schema, batches, features)


class _DataFile(msgspec.Struct, forbid_unknown_fields=True):
    filename: str


class _State(msgspec.Struct):
    """What state.json holds; older versions kept the order of rows apart."""

    files: list[_DataFile] = msgspec.field(name="_data_files")
    indices: list[Any] | None = msgspec.field(name="_indices_data_files", default=None)


class _Splits(msgspec.Struct):
    splits: list[str]


def _document(path: Path, where: str, kind: Any) -> Any:
    """A document of JSON that describes a data set."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UnusableInput(where, f"{path.name} is larger than {MOST_BYTES:,} bytes")
        return msgspec.json.decode(data, type=kind)
    except FileNotFoundError as error:
        raise UnusableInput(where, f"has no {path.name}; is it whole?") from error
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise UnusableInput(where, f"{path.name} cannot be used: {error}") from error


@contextmanager
def _opened(path: Path, where: str) -> Iterator[Any]:
    """A reader of Arrow's format, which maps the file: nothing is taken by what it claims."""
    with path.open("rb") as file:
        beginning = file.read(8)
    if beginning.startswith(FEATHER_1):
        raise UnusableInput(
            where, "is of Feather's first version; write it again: pandas.DataFrame.to_feather"
        )
    check_claims(path, where)
    with pa.memory_map(str(path)) as source:
        is_file = beginning.startswith(IPC_FILE)
        with pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source) as reader:
            yield reader


def _each(reader: Any) -> Iterator[Any]:
    """The batches of a file, which are numbered, or of a stream."""
    count = getattr(reader, "num_record_batches", None)
    yield from reader if count is None else map(reader.get_batch, range(count))


def _selected(batches: Iterable[Any], names: list[str]) -> Iterator[Any]:
    return _checked(batch.select(names) for batch in batches)


def _checked(batches: Iterable[Any]) -> Iterator[Any]:
    """Batches whose offsets and texts are in order; others could crash whoever reads them."""
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _parts(batch: Any, where: str) -> Iterator[Any]:
    """Some rows of a batch at a time: what repeats, or is nothing, is not in it as often as told.

    Parameters
    ----------
    where : str
        The first row, for error messages.
    """
    rows, start = ROWS, 0
    while start < batch.num_rows:
        part = batch.slice(start, rows)
        values = max(map(_count, part.columns), default=0)
        if values > MOST_AT_ONCE and part.num_rows > 1:
            rows = max(1, rows // 2)
            continue
        if values > MOST_IN_ROW:
            raise UnusableInput(where, f"or one behind it has {values:,} values; expected fewer")
        yield part
        start += rows


def _count(column: Any) -> int:
    """How many values a column has in its lists."""
    while is_list(column.type):
        column = column.flatten()
    return len(column)


def is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_plain(kind: Any) -> bool:
    """Whether values are texts, numbers, dates or lists of these, however they are kept."""
    if is_list(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_dictionary(kind):
        return not pa.types.is_nested(kind.value_type)
    return not pa.types.is_nested(kind) and not pa.types.is_run_end_encoded(kind)


def _values(column: Any) -> list[Any]:
    """The values of a column; times to the microsecond, and finer ones as texts."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        try:
            column = column.cast(pa.timestamp("us", column.type.tz))
        except pa.ArrowInvalid:
            column = column.cast(pa.string())
    if not _is_plain(column.type):
        return [{}] * len(column)  # which is neither a text nor a number, whatever is in it
    if pa.types.is_dictionary(column.type):
        # There may be far more words than stand here; and each is one text, however often it does.
        used = column.indices.unique().drop_null()
        words = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
        return list(map(words.get, column.indices.to_pylist()))
    if is_list(column.type) and pa.types.is_dictionary(column.type.value_type):
        lists = column.flatten()
        sizes = pc.list_value_length(column).to_pylist()
        own = iter(_values(lists))
        return [None if size is None else list(islice(own, size)) for size in sizes]
    values: list[Any] = column.to_pylist()
    return values


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Whatever Arrow raises of a damaged file as an error of the user's."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        problem = " ".join(str(error).split())[:200]
        raise UnusableInput(where, f"cannot be read: {problem}; is it whole?") from error


def _described(schema: Any) -> Any:
    """What Hugging Face's datasets tell of the columns in a schema; nothing where they do not."""
    try:
        return json.loads((schema.metadata or {})[KEY])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _class_names(features: Any) -> dict[str, tuple[str, ...]]:
    """The names of the classes that a column of numbers stands for."""
    found = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        names = feature.get("names") if isinstance(feature, dict) else None
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            found[str(column)] = tuple(names)
    return found
