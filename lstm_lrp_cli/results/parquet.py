"""Results as Parquet: a row for each explanation, or for each token of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.sequence import pieces
from lstm_lrp_cli.loading.files.parquet import claims_of_pages
from lstm_lrp_cli.model import Floats
from . import Result, ResultInput, misfit

try:
    import pyarrow as pa
except ImportError as error:
    raise UnusableInput(
        "reading Parquet", "needs the package pyarrow; pip install 'lstm-lrp-cli[parquet]'"
    ) from error

from lstm_lrp_cli.inputs.tables.arrow import parquet_file
from .columns import class_of, is_list, numbers_of, there, values_of
from .rows import columns_of_rows, results_of_rows

# How many rows are read at a time: explanations, or tokens; fewer where they are long.
NESTED_ROWS, FLAT_ROWS = 2**10, 2**16
BATCH_BYTES = 32 * 2**20
EXPECTED = "expected what `lrp explain` writes as Parquet"

NUMBER, TEXT, AMOUNT = pa.int64(), pa.string(), pa.float64()
# What is read where it is there, and as what: other programs may write it on in other types.
OF_BOTH = {"sequence": NUMBER, "target": TEXT, "step": NUMBER, "method": TEXT}
OF_NESTED = OF_BOTH | {
    "id": TEXT,
    "tokens": pa.list_(TEXT),
    "features": pa.list_(TEXT),
    "scores": pa.list_(AMOUNT),
    "original": pa.list_(AMOUNT),
    "output": TEXT,
    "predicted": TEXT,
    "label": TEXT,
    "unknown": pa.list_(NUMBER),
    "dates": pa.list_(TEXT),
}
OF_FLAT = OF_BOTH | {
    "input": TEXT,
    "position": NUMBER,
    "date": TEXT,
    "token": TEXT,
    "feature": TEXT,
    "relevance": AMOUNT,
}
OF_READ = {"relevance", "ledger", *OF_NESTED, *OF_FLAT}
# What is of steps: of several inputs, a struct with a list for each.
OF_STEPS = ("tokens", "features", "unknown", "dates", "relevance")


def parquet_blocks(path: Path, where: str) -> Iterator[list[Result]]:
    """The results of a file, those of some of its rows at a time.

    Raises
    ------
    UnusableInput
        It is damaged, or not what `lrp explain` writes.
    """
    try:
        with _opened(path, where) as (file, row_bytes):
            schema = _schema(file, where)
            nested = "relevance" in schema.names and _is_nested(schema.field("relevance").type)
            types = _nested_types(schema) if nested else OF_FLAT
            columns = _columns(schema, types, nested, where)
            rows = min(NESTED_ROWS if nested else FLAT_ROWS, int(BATCH_BYTES // row_bytes) or 1)
            batches = _batches(file, rows, columns)
            blocks: Iterator[list[Result]]
            if nested:
                blocks = (_nested(batch, types) for batch in batches)
            else:
                blocks = results_of_rows(columns_of_rows(batch, types) for batch in batches)
            for block in blocks:
                for result in block:
                    _check(result, where)
                yield block
    except (pa.ArrowException, OSError) as error:
        raise UnusableInput(where, f"cannot be used: {error}; {EXPECTED}") from error


@contextmanager
def _opened(path: Path, where: str) -> Iterator[tuple[Any, float]]:
    """A file whose texts stay as they are in it, and how many bytes a row unfolds to, at most.

    Raises
    ------
    UnusableInput
        It would unfold to more than it may.
    """
    claims = claims_of_pages(path, where)
    with parquet_file(path, where, claims.texts) as file:
        yield file, claims.of_row


def _schema(file: Any, where: str) -> Any:
    """The columns and their types; those that are read are there once each."""
    schema = file.schema_arrow
    counts = Counter(schema.names)
    for name in OF_READ.intersection(counts):
        if counts[name] > 1:
            raise UnusableInput(where, f"has more than one column `{name}`; {EXPECTED}")
    return schema


def _columns(schema: Any, types: dict[str, Any], nested: bool, where: str) -> list[str]:
    """The names of the columns that are read; those without which nothing is told are there."""
    for name in ("sequence", "target", "relevance", *(() if nested else ("position",))):
        if name not in schema.names:
            raise UnusableInput(where, f"has no column `{name}`; {EXPECTED}")
    return [name for name in schema.names if name in types]


def _batches(file: Any, rows: int, columns: list[str]) -> Iterator[Any]:
    """Some rows at a time, of one group each, since every group has its own list of texts."""
    for group in range(file.num_row_groups):
        settings = {"row_groups": [group], "columns": columns, "use_threads": False}
        for batch in file.iter_batches(rows, **settings):
            # Offsets, places and texts that are not in order could crash whoever reads them.
            batch.validate(full=True)
            yield batch


def _check(result: Result, where: str) -> None:
    problem = misfit(result)
    if problem is not None:
        raise UnusableInput(where, f"sequence {result.sequence}: {problem}; {EXPECTED}")


def _is_nested(kind: Any) -> bool:
    """Whether relevance is that of a whole explanation: a list, or one for each input."""
    return is_list(kind) or bool(pa.types.is_struct(kind))


def _nested_types(schema: Any) -> dict[str, Any]:
    """What the columns are read as: relevance as finely as it is told, all shares of ledgers."""
    types = OF_NESTED | {"relevance": _amounts_type(schema.field("relevance").type)}
    if "ledger" in schema.names and pa.types.is_struct(schema.field("ledger").type):
        shares = schema.field("ledger").type
        types["ledger"] = pa.struct([(share.name, AMOUNT) for share in shares])
    for name in OF_STEPS[:-1]:
        if name in schema.names and pa.types.is_struct(schema.field(name).type):
            inputs = schema.field(name).type
            types[name] = pa.struct([(each.name, types[name]) for each in inputs])
    return types


def _amounts_type(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, _amounts_type(each.type)) for each in kind])
    if not is_list(kind):
        raise pa.ArrowInvalid("relevance is neither a list nor a struct of lists")
    return pa.list_(pa.list_(AMOUNT) if is_list(kind.value_type) else AMOUNT)


def _nested(batch: Any, types: dict[str, Any]) -> list[Result]:
    """A row is an explanation."""

    def column(name: str, otherwise: Any = None) -> Any:
        """The values of a column; where there is none, or a null, something else."""
        if name not in names:
            return repeat(otherwise, len(batch))
        values = values_of(batch.column(name), types[name])
        return [otherwise if v is None else v for v in values]

    names = batch.schema.names
    relevance = there(batch.column("relevance")).cast(types["relevance"])
    several = pa.types.is_struct(relevance.type)
    inputs: Iterable[tuple[ResultInput, ...]] = repeat(())
    if several:
        given = [column(name) for name in OF_STEPS[:-1]]
        inputs = map(_inputs_of_row, _by_input(relevance), *given)
    nothing = repeat(None)
    results = list(
        map(
            Result,
            values_of(there(batch.column("sequence")), NUMBER),
            map(class_of, column("target")),
            repeat(np.zeros(0)) if several else _relevance(relevance),
            column("id"),
            nothing if several else column("tokens"),
            nothing if several else column("features"),
            column("scores", []),
            column("output"),
            map(class_of, column("predicted")),
            column("step"),
            map(class_of, column("label")),
            column("method"),
            map(_without_nulls, column("ledger")),
            repeat([]) if several else column("unknown", []),
            nothing,
            inputs,
            nothing if several else map(_known, column("dates")),
        )
    )
    if "original" not in names:
        return results
    pairs = zip(results, column("original", []), strict=True)
    return [replace(result, original=original) for result, original in pairs]


def _known(dates: list[str] | None) -> list[str] | None:
    """The dates of a row; none stand there of a sequence that has none."""
    return dates or None


def _by_input(relevance: Any) -> Iterator[dict[str, Floats]]:
    """The arrays of each row of a struct, by the names of the inputs."""
    names = [each.name for each in relevance.type]
    arrays = [_relevance(relevance.field(name)) for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*arrays, strict=True))


def _inputs_of_row(
    relevance: dict[str, Floats], tokens: Any, features: Any, unknown: Any, dates: Any
) -> tuple[ResultInput, ...]:
    of_tokens, of_features, of_unknown = tokens or {}, features or {}, unknown or {}
    return tuple(
        ResultInput(
            name,
            amounts,
            of_tokens.get(name),
            of_features.get(name),
            of_unknown.get(name) or [],
            _known((dates or {}).get(name)),
        )
        for name, amounts in relevance.items()
    )


def _relevance(lists: Any) -> list[Floats]:
    """The array of each list of numbers, or of lists of numbers."""
    values, lengths = lists.flatten(), lists.value_lengths().to_pylist()
    if not is_list(values.type):
        return pieces(numbers_of(values), lengths)
    widths = there(values).value_lengths().to_pylist()
    if len(set(widths)) > 1:
        raise pa.ArrowInvalid("relevance has lists of different lengths")
    return pieces(numbers_of(values.flatten()).reshape(len(widths), -1), lengths)


def _without_nulls(ledger: dict[str, float | None] | None) -> dict[str, float] | None:
    """A ledger without the shares that only other methods have."""
    if ledger is None:
        return None
    return {name: amount for name, amount in ledger.items() if amount is not None}
