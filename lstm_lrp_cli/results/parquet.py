"""Results as Parquet: a row for each explanation, or for each token of it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.sequence import pieces
from lstm_lrp_cli.inputs.stream import whole_number
from lstm_lrp_cli.model import Booleans, Floats
from . import Result, ResultInput, misfit

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as error:
    raise UnusableInput(
        "reading Parquet", "needs the package pyarrow; pip install 'lstm-lrp-cli[parquet]'"
    ) from error

# How many rows are read at a time: explanations, or tokens.
NESTED_ROWS, FLAT_ROWS = 2**10, 2**16
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
# What is of steps: of several inputs, a struct with a list for each.
OF_STEPS = ("tokens", "features", "unknown", "dates", "relevance")
# Columns by which the rows of one explanation are told from the next one's.
KEYS = ("sequence", "step", "method", "target")


def parquet_blocks(path: Path, where: str) -> Iterator[list[Result]]:
    """The results of a file, those of some of its rows at a time.

    Raises
    ------
    UnusableInput
        It is damaged, or not what `lrp explain` writes.
    """
    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            nested = "relevance" in schema.names and _is_nested(schema.field("relevance").type)
            types = _nested_types(schema) if nested else OF_FLAT
            for name in ("sequence", "target", "relevance", *(() if nested else ("position",))):
                if name not in schema.names:
                    raise UnusableInput(where, f"has no column `{name}`; {EXPECTED}")
            columns = [name for name in schema.names if name in types]
            batches = file.iter_batches(NESTED_ROWS if nested else FLAT_ROWS, columns=columns)
            wanted = pa.schema([(name, types[name]) for name in columns])
            tables = (pa.Table.from_batches([batch]).cast(wanted) for batch in batches)
            for block in map(_nested, tables) if nested else _flat(tables):
                for result in block:
                    _check(result, where)
                yield block
    except (pa.ArrowException, OSError) as error:
        raise UnusableInput(where, f"cannot be used: {error}; {EXPECTED}") from error


def _check(result: Result, where: str) -> None:
    problem = misfit(result)
    if problem is not None:
        raise UnusableInput(where, f"sequence {result.sequence}: {problem}; {EXPECTED}")


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_nested(kind: Any) -> bool:
    """Whether relevance is that of a whole explanation: a list, or one for each input."""
    return _is_list(kind) or bool(pa.types.is_struct(kind))


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
    if not _is_list(kind):
        raise pa.ArrowInvalid("relevance is neither a list nor a struct of lists")
    return pa.list_(pa.list_(AMOUNT) if _is_list(kind.value_type) else AMOUNT)


def _nested(table: Any) -> list[Result]:
    """A row is an explanation."""

    def column(name: str, otherwise: Any = None) -> Any:
        """The values of a column; where there is none, or a null, something else."""
        if name not in table.column_names:
            return repeat(otherwise, len(table))
        return [otherwise if v is None else v for v in table.column(name).to_pylist()]

    relevance = _there(table.column("relevance")).combine_chunks()
    several = pa.types.is_struct(relevance.type)
    inputs: Iterable[tuple[ResultInput, ...]] = repeat(())
    if several:
        given = [column(name) for name in OF_STEPS[:-1]]
        inputs = map(_inputs_of_row, _by_input(relevance), *given)
    nothing = repeat(None)
    results = list(
        map(
            Result,
            _there(table.column("sequence")).to_pylist(),
            map(_class, column("target")),
            repeat(np.zeros(0)) if several else _relevance(relevance),
            column("id"),
            nothing if several else column("tokens"),
            nothing if several else column("features"),
            column("scores", []),
            column("output"),
            map(_class, column("predicted")),
            column("step"),
            map(_class, column("label")),
            column("method"),
            map(_without_nulls, column("ledger")),
            repeat([]) if several else column("unknown", []),
            nothing,
            inputs,
            nothing if several else map(_known, column("dates")),
        )
    )
    if "original" not in table.column_names:
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


def _there(column: Any) -> Any:
    """A column that must not have nulls."""
    if column.null_count:
        raise pa.ArrowInvalid("a sequence has no number, no position or no relevance")
    return column


def _relevance(lists: Any) -> list[Floats]:
    """The array of each list of numbers, or of lists of numbers."""
    values, lengths = lists.flatten(), lists.value_lengths().to_pylist()
    if not _is_list(values.type):
        return pieces(_numbers(values), lengths)
    widths = _there(values).value_lengths().to_pylist()
    if len(set(widths)) > 1:
        raise pa.ArrowInvalid("relevance has lists of different lengths")
    return pieces(_numbers(values.flatten()).reshape(len(widths), -1), lengths)


def _flat(tables: Iterator[Any]) -> Iterator[list[Result]]:
    """A row is a token, or a dimension of it, a feature or a step; those of one follow each other.

    The last explanation of what was read waits for the rest of its rows.
    """
    held = None
    for table in filter(len, tables):
        whole = table if held is None else pa.concat_tables([held, table])
        starts = _starts(whole)
        yield _of_rows(whole, starts)
        held = whole.slice(starts[-1])
    if held is not None:
        yield _of_rows(held, [0, len(held)])


def _starts(table: Any) -> list[int]:
    """Where each explanation begins."""
    new = np.ones(len(table), dtype=bool)
    falls = np.diff(_numbers(_there(table.column("position")))) < 0
    new[1:] = falls
    inputs = None
    if "input" in table.column_names:
        inputs = np.array(_there(table.column("input")).to_pylist(), dtype=object)
        # Those of an explanation follow each other; none comes again.
        new[1:] = falls & (inputs[1:] == inputs[:-1])
    for name in KEYS:
        if name in table.column_names:
            values = np.array(table.column(name).to_pylist(), dtype=object)
            new[1:] |= values[1:] != values[:-1]
    if inputs is not None:
        new |= _again(inputs, new)
    starts: list[int] = np.flatnonzero(new).tolist()
    return starts


def _again(inputs: Any, new: Booleans) -> Booleans:
    """Where an input comes that the explanation, which else goes on, has had already."""
    found, had, last = np.zeros(len(inputs), dtype=bool), set[str](), None
    for place, (name, begins) in enumerate(zip(inputs.tolist(), new.tolist(), strict=True)):
        if begins or (name != last and name in had):
            found[place], had = not begins, set()
        had.add(name)
        last = name
    return found


def _of_rows(table: Any, starts: Sequence[int]) -> list[Result]:
    """The explanations that begin at all places but the last, where the last of them ends."""
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    positions, relevance = (_numbers(table.column(name)) for name in ("position", "relevance"))
    several = "input" in columns
    found = []
    for start, end in pairwise(starts):
        first = {name: values[start] for name, values in columns.items()}
        inputs = tuple(
            _input_of_rows(columns, positions[begin:stop], relevance[begin:stop], begin)
            for begin, stop in pairwise(_inputs_within(columns.get("input"), start, end))
        )
        only = ResultInput("", np.zeros(0)) if several else inputs[0]
        found.append(
            Result(
                first["sequence"],
                _class(first["target"]),
                only.relevance,
                tokens=only.tokens,
                features=only.features,
                step=first.get("step"),
                method=first.get("method"),
                inputs=inputs if several else (),
                dates=only.dates,
            )
        )
    return found


def _inputs_within(names: list[str] | None, start: int, end: int) -> list[int]:
    """Where each input of an explanation begins, and where the last ends."""
    if names is None:
        return [start, end]
    begins = (place for place in range(start + 1, end) if names[place] != names[place - 1])
    return [start, *begins, end]


def _input_of_rows(
    columns: dict[str, list[Any]], positions: Floats, amounts: Floats, start: int
) -> ResultInput:
    """What one input has of an explanation, whose rows begin at a place of the columns."""
    end, width, several = start + len(positions), _width(positions), "input" in columns
    tokens = columns["token"][start:end:width] if "token" in columns else None
    features = columns["feature"][start : start + width] if "feature" in columns else []
    if several:  # which has a token, or features, or neither
        tokens = None if tokens is not None and None in tokens else tokens
        features = [] if None in features else features
    dates = columns["date"][start:end:width] if "date" in columns else None
    return ResultInput(
        columns["input"][start] if several else "",
        amounts.reshape(-1, width) if width > 1 or features else amounts,
        tokens,
        features if tokens is None else None,
        dates=None if dates is None or None in dates else dates,
    )


def _width(positions: Floats) -> int:
    """How many rows an explanation has at each of its positions."""
    width = int((positions == 0).sum())
    steps = len(positions) // width if width else 0
    if not np.array_equal(positions, np.repeat(np.arange(steps), width)):
        raise pa.ArrowInvalid("rows of a sequence are missing, or not in their order")
    return width


def _numbers(column: Any) -> Floats:
    """Numbers in float64; nulls are NaN."""
    return np.asarray(column, dtype=np.float64)


def _class(name: str | None) -> str | int | None:
    """A class as JSON lines have it: its label, or its index where there are no labels."""
    number = None if name is None else whole_number(name)
    return name if number is None or str(number) != name else number


def _without_nulls(ledger: dict[str, float | None] | None) -> dict[str, float] | None:
    """A ledger without the shares that only other methods have."""
    if ledger is None:
        return None
    return {name: amount for name, amount in ledger.items() if amount is not None}
