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
from lstm_lrp_cli.model.model import Model
from .table import COLUMNS, columns_of
from .writer import Joined, Layout, Sink, Writer, amount_names, by_explanation, numbers_of, starts

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
    def _columns(self, explanations: Sequence[Explanation]) -> Iterator[Any]:
        """The arrays of all columns."""

    def open(self) -> None:
        self._sink.open()

    def write(self, explanations: Sequence[Explanation], /) -> None:
        for part in self._layout.parts(self._written(explanations)):
            columns = list(self._columns(part))
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
        of_values = [each.value_dtype for each in _inputs(layout) if each.read.embedding is None]
        types = {
            "token": pa.string(),
            "dimension": pa.int32(),
            "feature": pa.string(),
            "value": pa.from_numpy_dtype(max(of_values, default=layout.model.dtype)),
        }
        return _fields(
            ("sequence", pa.int64()),
            *((("step", pa.int32()),) if layout.model.by_step else ()),
            *((("method", pa.string()),) if layout.several_methods else ()),
            *((("input", pa.string()),) if layout.model.several_inputs else ()),
            ("position", pa.int32()),
            *((name, types[name], _may_lack(name, layout)) for name in columns_of(layout)),
            ("target", pa.string()),
            ("score", number),
            ("relevance", number, True),
            *((("original", number),) if layout.model.output_scaling is not None else ()),
        )

    def _written(self, explanations: Sequence[Explanation]) -> Iterable[Explanation]:
        return (each for each in explanations if each.scored)

    def _columns(self, explanations: Sequence[Explanation]) -> Iterator[Any]:
        inputs = [Joined(explanations, self._layout, k) for k in range(len(self._model.inputs))]
        if len(inputs) == 1:
            yield from self._of_input(inputs[0])
            return
        order = pa.array(by_explanation([joined.lengths * joined.width for joined in inputs]))
        each = (map(_array, self._of_input(joined)) for joined in inputs)
        for parts, field in zip(zip(*each, strict=True), self._schema, strict=True):
            whole = pa.concat_arrays([part.cast(field.type) for part in parts])
            yield whole.take(order)

    def _of_input(self, part: Joined) -> Iterator[Any]:
        """The arrays of all columns, of the rows of one input."""
        explanations, lengths, width = part.explanations, part.lengths, part.width
        rows = lengths * width
        positions = np.arange(lengths.sum()) - np.repeat(starts(lengths)[:-1], lengths)
        scores = np.array([each.score for each in explanations], dtype=self._model.dtype)
        yield np.repeat(numbers_of(explanations), rows)
        if self._model.by_step:
            yield np.repeat(np.array([each.step for each in explanations], dtype=np.int32), rows)
        if self._layout.several_methods:
            yield _repeated(pa.array([each.method for each in explanations]), rows)
        if self._model.several_inputs:
            yield pa.array([self._model.input_names[part.number]] * int(rows.sum()), pa.string())
        yield np.repeat(positions.astype(np.int32), width)
        for column in columns_of(self._layout):
            yield self._own(column, part)
        yield _repeated(_texts(each.target for each in explanations), rows)
        yield np.repeat(scores, rows)
        yield _present(part.relevance.ravel())
        if self._model.output_scaling is not None:
            original = [each.original_score for each in explanations]
            yield np.repeat(np.array(original, dtype=self._model.dtype), rows)

    def _own(self, column: str, part: Joined) -> Any:
        """A column that only some details have; null where the input's has it not."""
        steps, width = int(part.lengths.sum()), part.width
        if column not in COLUMNS[part.detail]:
            return pa.nulls(steps * width)
        if column == "token":
            tokens = pa.array(part.tokens, pa.string())
            return _repeated(tokens, np.full(len(tokens), width))
        if column == "dimension":
            return np.tile(np.arange(width, dtype=np.int32), steps)
        if column == "feature":
            return pa.array(part.features, pa.string())
        return part.values.ravel()


class NestedWriter(_BatchWriter):
    """Writes one row an explanation, with what JSON lines hold."""

    @staticmethod
    def schema(layout: Layout) -> pa.Schema:
        number, model = _number(layout), layout.model
        types = {}
        for joined in _inputs(layout):
            of_step = pa.list_(number) if layout.whole(joined.number) else number
            types[joined.number] = {**_given_types(joined), "relevance": of_step}
        inputs = [
            (name, _of_inputs(name, types, model))
            for name in GIVEN
            if any(name in own for own in types.values())
        ]
        return _fields(
            ("sequence", pa.int64()),
            ("id", pa.string(), True),
            *inputs,
            ("scores", pa.list_(number)),
            *((("original", pa.list_(number)),) if model.output_scaling is not None else ()),
            *((("output", pa.string(), True),) if _several_outputs(layout) else ()),
            ("predicted", pa.string(), True),
            ("target", pa.string(), True),
            *((("step", pa.int32(), True),) if layout.model.by_step else ()),
            ("label", pa.string(), True),
            *((("method", pa.string()),) if layout.several_methods else ()),
            ("relevance", _of_inputs("relevance", types, model)),
            ("ledger", pa.struct([(name, pa.float64()) for name in amount_names(layout)]), True),
        )

    def _columns(self, explanations: Sequence[Explanation]) -> Iterator[Any]:
        inputs = [_nested_input(joined) for joined in _inputs(self._layout, explanations)]
        yield numbers_of(explanations)
        yield _texts(each.sequence.id for each in explanations)
        for name in GIVEN:
            if any(name in own for own in inputs):
                yield self._joined(name, inputs)
        nothing = np.zeros(0, dtype=self._model.dtype)
        lengths = [len(each.scores) for each in explanations]
        scores = np.concatenate([nothing, *(each.scores for each in explanations)])
        yield _lists(lengths, pa.array(scores))
        if self._model.output_scaling is not None:
            found = (own for each in explanations if (own := each.original) is not None)
            yield _lists(lengths, pa.array(np.concatenate([nothing, *found])))
        if _several_outputs(self._layout):
            yield _texts(each.output for each in explanations)
        yield _texts(each.predicted for each in explanations)
        yield _texts(each.target for each in explanations)
        if self._model.by_step:
            yield pa.array([each.step for each in explanations], pa.int32())
        yield _texts(each.label for each in explanations)
        if self._layout.several_methods:
            yield _texts(each.method for each in explanations)
        yield self._joined("relevance", inputs)
        ledgers = [each.ledger and ledger_object(each.ledger) for each in explanations]
        yield pa.array(ledgers, self._schema.field("ledger").type)

    def _joined(self, name: str, inputs: list[dict[str, Any]]) -> Any:
        """A column of the only input, or of all that have it, by their names."""
        if len(inputs) == 1:
            return inputs[0][name]
        kind = self._schema.field(name).type
        names = dict(zip(self._model.input_names, inputs, strict=True))
        arrays = [own[name] for own in names.values() if name in own]
        return pa.StructArray.from_arrays(arrays, fields=list(kind))


# What inputs are given, in the order of the columns: tokens, or numbers.
GIVEN = ("tokens", "unknown", "features", "values")


def _given_types(joined: Joined) -> dict[str, Any]:
    """The elements of the lists that have what an input is given."""
    if joined.read.embedding is None:
        values = pa.list_(pa.from_numpy_dtype(joined.value_dtype))
        return {"features": pa.string(), "values": values}
    return {"tokens": pa.string(), "unknown": pa.int32()}


def _of_inputs(name: str, types: dict[int, dict[str, Any]], model: Model) -> Any:
    """The type of a column of lists; of several inputs, one for each that has it, by its name."""
    if not model.several_inputs:
        return pa.list_(types[0][name])
    return pa.struct(
        [
            pa.field(model.input_names[number], pa.list_(own[name]), nullable=False)
            for number, own in types.items()
            if name in own
        ]
    )


def _nested_input(joined: Joined) -> dict[str, Any]:
    """The lists that one input has, by the names of the columns."""
    parts, lengths, relevance = joined.parts, joined.lengths, joined.relevance
    whole = joined.layout.whole(joined.number)
    told = {"relevance": _lists(lengths, _rows(relevance) if whole else _present(relevance))}
    if joined.read.embedding is None:
        names = [part.features or () for part in parts]
        return told | {
            "features": _lists(map(len, names), _texts(chain.from_iterable(names))),
            "values": _lists(lengths, _rows(joined.values)),
        }
    unknown = [unknown_places(part, joined.read) for part in parts]
    places = pa.array(list(chain.from_iterable(unknown)), pa.int32())
    return told | {
        "tokens": _lists(lengths, pa.array(joined.tokens, pa.string())),
        "unknown": _lists(map(len, unknown), places),
    }


def _inputs(layout: Layout, explanations: Sequence[Explanation] = ()) -> list[Joined]:
    return [Joined(explanations, layout, number) for number in range(len(layout.model.inputs))]


def _may_lack(column: str, layout: Layout) -> bool:
    """Whether an input's rows have nothing in a column that those of another have."""
    return any(column not in COLUMNS[detail] for detail in layout.details)


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


def _repeating(field: Any, within: str = "") -> Iterator[str]:
    """The path of a column's values, where these repeat: all but measured numbers do."""
    kind, path = field.type, f"{within}{field.name}"
    if pa.types.is_struct(kind) and not within:
        for inner in kind:
            yield from _repeating(inner, f"{path}.")
        return
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


def _array(values: Any) -> Any:
    return values if isinstance(values, pa.Array) else pa.array(values)


def _present(values: Floats) -> Any:
    """Numbers, null where they are NaN, which stands for what is missing."""
    return pa.array(values, from_pandas=True)
