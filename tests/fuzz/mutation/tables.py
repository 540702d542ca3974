"""Parquet and Arrow: other types and values, and damage to what describes them."""

import io
import random
from typing import Any

from .bytes import damaged, word_changed

VALUES = [None, "", "a", "\x1b[31m", "\u202e", "x" * 5000, "nan", "\n", "\r", "=1+1", "é", "-1"]
NUMBERS = [None, 0.0, -1.5, 1e308, float("nan"), float("inf"), 5.0]


def footer_changed(data: bytes, rng: random.Random) -> bytes:
    """The description at the end of a Parquet file, of the same length."""
    size = int.from_bytes(data[-8:-4], "little")
    begin = max(4, len(data) - 8 - size)
    footer = bytearray(data[begin:-8])
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(footer))
        odd = (0, 1, 127, 128, 255, footer[at] ^ 1, footer[at] + 2 & 255, rng.randrange(256))
        footer[at] = rng.choice(odd)
    return data[:begin] + bytes(footer) + data[-8:]


def pages_changed(data: bytes, rng: random.Random) -> bytes:
    """The pages of a Parquet file, and not what describes them."""
    size = int.from_bytes(data[-8:-4], "little")
    begin = max(8, len(data) - 8 - size)
    pages = bytearray(data[4:begin])
    for _ in range(rng.choice((1, 2, 8))):
        at = rng.randrange(len(pages))
        pages[at] = rng.choice((0, 1, 127, 128, 255, pages[at] ^ 1, rng.randrange(256)))
    return data[:4] + bytes(pages) + data[begin:]


def parquet_rewritten(data: bytes, rng: random.Random) -> bytes:
    """A column of another type, or other values."""
    import pyarrow.parquet as pq

    table = _other_table(pq.read_table(io.BytesIO(data)), rng)
    file = io.BytesIO()
    pq.write_table(
        table,
        file,
        compression=rng.choice(("none", "snappy", "gzip", "zstd", "brotli", "lz4")),
        use_dictionary=rng.random() < 0.5,
        row_group_size=rng.choice((1, 2, 1000)),
        data_page_version=rng.choice(("1.0", "2.0")),
    )
    return file.getvalue()


def arrow_rewritten(data: bytes, rng: random.Random) -> bytes:
    """A column of another type, or other values, as a file or a stream."""
    import pyarrow as pa

    try:
        table = pa.ipc.open_file(io.BytesIO(data)).read_all()
    except pa.ArrowInvalid:
        table = pa.ipc.open_stream(io.BytesIO(data)).read_all()
    table = _other_table(table, rng)
    file = io.BytesIO()
    way = rng.choice((pa.ipc.new_file, pa.ipc.new_stream))
    options = pa.ipc.IpcWriteOptions(compression=rng.choice((None, "zstd", "lz4")))
    with way(file, table.schema, options=options) as writer:
        writer.write_table(table)
    found = file.getvalue()
    return word_changed(found, rng) if rng.random() < 0.5 else found


def _other_table(table: Any, rng: random.Random) -> Any:
    import pyarrow as pa

    at = rng.randrange(table.num_columns)
    name, column = table.column_names[at], table.column(at)
    match rng.randrange(8):
        case 0:
            return table.drop_columns([name])
        case 1:
            return table.append_column(name, column)
        case 2:
            return table.rename_columns(
                [rng.choice(("", "\x1b[1m", "text")), *table.column_names[1:]]
            )
        case 3:
            return pa.concat_tables([table] * rng.choice((2, 300)))
        case 4:
            return table.slice(0, rng.choice((0, 1)))
        case 5:
            return table.replace_schema_metadata(
                {"lrp": "\x1b[1m{[", "pandas": "{", "huggingface": "[1"}
            )
    return table.set_column(at, name, _other_column(len(column), column, rng))


def _other_column(count: int, column: Any, rng: random.Random) -> Any:
    import pyarrow as pa

    def some(values: list[Any]) -> list[Any]:
        return [rng.choice(values) for _ in range(count)]

    nest: Any = None
    for _ in range(rng.choice((1, 2, 30, 120))):
        nest = [nest]
    kinds = [
        lambda: pa.array(some(VALUES)),
        lambda: pa.array(some(NUMBERS)),
        lambda: pa.array(some(VALUES)).dictionary_encode(),
        lambda: pa.array([nest] * count),
        lambda: pa.array([some(NUMBERS)] * count),
        lambda: pa.array([[some(NUMBERS)] * 2] * count),
        lambda: pa.array([None] * count),
        lambda: pa.array(some([-1, 0, 5, 2**31, 2**62]), pa.int64()),
        lambda: pa.array(some([2**63, 2**64 - 1]), pa.uint64()),
        lambda: pa.array(some([b"\xff\xfe", b""]), pa.binary()),
        lambda: pa.array(some(VALUES), pa.large_string()),
        lambda: pa.array(some([-(2**62), 2**62, 0]), pa.timestamp("s", tz="Mars/Base")),
        lambda: pa.array(some([-(2**62), 2**62, 0]), pa.timestamp(rng.choice(("s", "ns")))),
        lambda: pa.array(some([0, 2**30]), pa.date32()),
        lambda: pa.array(some([0, 2**60]), pa.duration("us")),
        lambda: pa.array([{"a": 1, "b": "x"}] * count),
        lambda: pa.array([[("a", 1)]] * count, pa.map_(pa.string(), pa.int64())),
        lambda: pa.array(some([1, 2])).cast(pa.decimal128(30, 2)),
        lambda: pa.array([[1.0, 2.0]] * count, pa.list_(pa.float64(), 2)),
        lambda: pa.array(some([True, False, None])),
        lambda: pa.array(some(NUMBERS)).cast(pa.float16(), safe=False),
        lambda: pa.chunked_array([column.combine_chunks().take(pa.array([0] * count))]),
    ]
    return rng.choice(kinds)()


def stream_changed(data: bytes, rng: random.Random) -> bytes:
    """Words of an Arrow file or stream."""
    return word_changed(data, rng) if rng.random() < 0.8 else damaged(data, rng)
