"""Parquet: one row a token, or a feature of a step; or one a sequence and target."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO

import msgspec
import numpy as np

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.explanation import Explanation, ledger_object, unknown_places
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.decision import decisions_of
from .table import COLUMNS
from .writer import Joined, Layout, Sink, Writer, amount_names, starts

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as error:
    raise UnusableInput(
        "--format parquet", "needs the package pyarrow; pip install 'lstm-lrp-cli[parquet]'"
    ) from error

# Rows wait in memory until they are about so many bytes, which make a row group: some 300,000
# tokens. Readers take a group at a time, and share groups out among their threads.
GROUP_BYTES = 2**24
# The key of the file's metadata that tells of the run.
ABOUT = "lrp"


class _BatchWriter(Writer[Sequence[Explanation]]):
    """Gives record batches to a sink; the same explanations make the same batches."""

    def __init__(self, sink: Sink, layout: Layout) -> None:
        self._sink = sink
        self._layout = layout
        self._model = layout.model
        self._schema = self.schema(layout)

    @classmethod
    def sink(cls, file: BinaryIO, layout: Layout) -> Sink:
        return ParquetSink(file, cls.schema(layout), layout)

    @staticmethod
    @abstractmethod
    def schema(layout: Layout) -> pa.Schema:
        """The columns, which do not depend on what is written."""

    @abstractmethod
    def _columns(self, part: Joined) -> Iterator[Any]:
        """The arrays of all columns."""

    def open(self) -> None:
        self._sink.open()

    def write(self, explanations: Sequence[Explanation], /) -> None:
        for part in self._layout.parts(self._written(explanations)):
            columns = list(self._columns(Joined(part, self._layout)))
            self._sink.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._sink.close()

    def _written(self, explanations: Sequence[Explanation]) -> Iterable[Explanation]:
        return explanations


class RowsWriter(_BatchWriter):
    """Writes the rows and columns of the tables."""

    @staticmethod
    def schema(layout: Layout) -> pa.Schema:
        number = _number(layout)
        types = {
            "token": pa.string(),
            "dimension": pa.int32(),
            "feature": pa.string(),
            "value": number,
        }
        return _fields(
            ("sequence", pa.int64()),
            *((("step", pa.int32()),) if layout.model.by_step else ()),
            *((("method", pa.string()),) if layout.several_methods else ()),
            ("position", pa.int32()),
            *((name, types[name]) for name in COLUMNS[layout.detail]),
            ("target", pa.string()),
            ("score", number),
            ("relevance", number, True),
        )

    def _written(self, explanations: Sequence[Explanation]) -> Iterable[Explanation]:
        return (each for each in explanations if each.scored)

    def _columns(self, part: Joined) -> Iterator[Any]:
        explanations, lengths, width = part.explanations, part.lengths, self._layout.values
        rows = lengths * width
        positions = np.arange(lengths.sum()) - np.repeat(starts(lengths)[:-1], lengths)
        scores = np.array([each.score for each in explanations], dtype=self._model.dtype)
        yield np.repeat(part.numbers, rows)
        if self._model.by_step:
            yield np.repeat(np.array([each.step for each in explanations], dtype=np.int32), rows)
        if self._layout.several_methods:
            yield _repeated(pa.array([each.method for each in explanations]), rows)
        yield np.repeat(positions.astype(np.int32), width)
        yield from self._own(part)
        yield _repeated(_texts(each.target for each in explanations), rows)
        yield np.repeat(scores, rows)
        yield _present(part.relevance.ravel())

    def _own(self, part: Joined) -> Iterator[Any]:
        """The columns that only this detail has."""
        detail, width = self._layout.detail, self._layout.values
        if detail in ("token", "dimension"):
            tokens = pa.array(part.tokens, pa.string())
            yield _repeated(tokens, np.full(len(tokens), width))
        if detail == "dimension":
            yield np.tile(np.arange(width, dtype=np.int32), len(tokens))
        if detail == "feature":
            yield pa.array(part.features, pa.string())
            yield part.values.ravel()


class NestedWriter(_BatchWriter):
    """Writes one row an explanation, with what JSON lines hold."""

    @staticmethod
    def schema(layout: Layout) -> pa.Schema:
        number = _number(layout)
        series = layout.model.embedding is None
        of_step = pa.list_(number) if layout.whole else number
        inputs = (
            (("features", pa.list_(pa.string())), ("values", pa.list_(pa.list_(number))))
            if series
            else (("tokens", pa.list_(pa.string())), ("unknown", pa.list_(pa.int32())))
        )
        return _fields(
            ("sequence", pa.int64()),
            ("id", pa.string(), True),
            *inputs,
            ("scores", pa.list_(number)),
            *((("output", pa.string(), True),) if _several_outputs(layout) else ()),
            ("predicted", pa.string(), True),
            ("target", pa.string(), True),
            *((("step", pa.int32(), True),) if layout.model.by_step else ()),
            ("label", pa.string(), True),
            *((("method", pa.string()),) if layout.several_methods else ()),
            ("relevance", pa.list_(of_step)),
            ("ledger", pa.struct([(name, pa.float64()) for name in amount_names(layout)]), True),
        )

    def _columns(self, part: Joined) -> Iterator[Any]:
        explanations, lengths = part.explanations, part.lengths
        sequences = [each.sequence for each in explanations]
        yield part.numbers
        yield _texts(sequence.id for sequence in sequences)
        if self._model.embedding is not None:
            yield _lists(lengths, pa.array(part.tokens, pa.string()))
            unknown = [unknown_places(sequence, self._model) for sequence in sequences]
            places = pa.array(list(chain.from_iterable(unknown)), pa.int32())
            yield _lists(map(len, unknown), places)
        else:
            names = [sequence.features or () for sequence in sequences]
            yield _lists(map(len, names), _texts(chain.from_iterable(names)))
            yield _lists(lengths, _rows(part.values))
        nothing = np.zeros(0, dtype=self._model.dtype)
        scores = np.concatenate([nothing, *(each.scores for each in explanations)])
        yield _lists([len(each.scores) for each in explanations], pa.array(scores))
        if _several_outputs(self._layout):
            yield _texts(each.output for each in explanations)
        yield _texts(each.predicted for each in explanations)
        yield _texts(each.target for each in explanations)
        if self._model.by_step:
            yield pa.array([each.step for each in explanations], pa.int32())
        yield _texts(each.label for each in explanations)
        if self._layout.several_methods:
            yield _texts(each.method for each in explanations)
        relevance = part.relevance
        yield _lists(lengths, _rows(relevance) if self._layout.whole else _present(relevance))
        ledgers = [each.ledger and ledger_object(each.ledger) for each in explanations]
        yield pa.array(ledgers, self._schema.field("ledger").type)


class ParquetSink(Sink):
    """Writes record batches to a file, in row groups."""

    def __init__(self, file: BinaryIO, schema: Any, layout: Layout) -> None:
        about = msgspec.json.encode(layout.about)
        self._file = _Gate(file)
        self._schema = schema.with_metadata({ABOUT: about})
        self._batches: list[Any] = []
        self._held = 0
        self._writer: Any = None

    def open(self) -> None:
        self._writer = parquet.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            use_dictionary=[path for field in self._schema for path in _repeating(field)],
        )

    def write(self, batch: Any) -> None:
        if not len(batch):  # of sequences without tokens, and no row group can be empty
            return
        self._batches.append(batch)
        self._held += batch.nbytes
        if self._held >= GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        if self._batches:
            self._write_group()
        self._writer.close()

    def __exit__(self, *exception: object) -> None:
        self._file.shut = True

    def _write_group(self) -> None:
        group = pa.Table.from_batches(self._batches, self._schema)
        self._writer.write_table(group, row_group_size=len(group))
        self._batches.clear()
        self._held = 0


class _Gate:
    """A file that takes no more once it is shut.

    Arrow's writer ends its file even where it is given up: what is cut short would look whole.
    """

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.shut = False

    def write(self, data: Any) -> int:
        return len(data) if self.shut else self._file.write(data)

    def flush(self) -> None:
        if not self.shut:
            self._file.flush()


def _several_outputs(layout: Layout) -> bool:
    """Whether it must be told at which output a class is predicted."""
    return any(decision.name for decision in decisions_of(layout.model))


def _number(layout: Layout) -> Any:
    """The type of scores, values and relevance: the run's own precision."""
    return pa.from_numpy_dtype(layout.model.dtype)


def _fields(*columns: tuple[Any, ...]) -> Any:
    """A schema of columns: each a name, a type, and whether it may be null, which most may not."""
    return pa.schema([pa.field(name, kind, any(null)) for name, kind, *null in columns])


def _repeating(field: Any) -> Iterator[str]:
    """The path of a column's values, where these repeat: all but measured numbers do."""
    kind, path = field.type, field.name
    if pa.types.is_list(kind):
        kind, path = kind.value_type, f"{path}.list.element"
    if pa.types.is_string(kind) or pa.types.is_integer(kind) or path == "score":
        yield path


def _texts(values: Iterable[str | int | None]) -> Any:
    """Values as text; null for none."""
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _repeated(array: Any, times: Integers) -> Any:
    """Each element so many times."""
    return array.take(pa.array(np.repeat(np.arange(len(array)), times)))


def _lists(lengths: Iterable[int], values: Any) -> Any:
    """An array of lists of so many values each."""
    ends = starts(np.fromiter(lengths, dtype=np.int64))
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values)


def _rows(matrix: Floats) -> Any:
    """The rows of a matrix, each a list."""
    rows, width = matrix.shape
    return _lists(np.full(rows, width), _present(matrix.ravel()))


def _present(values: Floats) -> Any:
    """Numbers, null where they are NaN, which stands for what is missing."""
    return pa.array(values, from_pandas=True)
