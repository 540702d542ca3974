"""Lines, tables and results that claim, nest, repeat or unpack to more than they should."""

import bz2
import gzip
import io
import json
import lzma
import struct
import zlib
from pathlib import Path
from typing import Any

from fuzz.seeds import Seed
from fuzz.seeds.inputs import LABELS, TSV, results
from fuzz.seeds.models import series_model, small_model
from . import several

DEEP = 100_000
DIGITS = "9" * 1_000_000


def _bomb(way: Any, piece: bytes, megabytes: int) -> bytes:
    """So many megabytes of one piece, compressed bit by bit."""
    packer = way()
    part = piece * (10**6 // len(piece))
    return b"".join(packer.compress(part) for _ in range(megabytes)) + packer.flush()


def _gzip() -> Any:
    return zlib.compressobj(9, wbits=31)


def _xz_claim() -> bytes:
    """An .xz of a few bytes whose dictionary would take 4 GiB."""
    data = bytearray(
        lzma.compress(b"the film\n", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])
    )
    size = 4 * (data[12] + 1)
    header = data[12 : 12 + size]
    place = header.index(b"\x21\x01") + 2
    header[place] = 40
    header[-4:] = struct.pack("<I", zlib.crc32(bytes(header[:-4])))
    data[12 : 12 + size] = header
    return bytes(data)


LINES = {
    "one_line": lambda: b"a " * 40_000_000,
    "one_word": lambda: b"a" * 100_000_000,
    "gzip_line": lambda: _bomb(_gzip, b"a", 500),
    "gzip_words": lambda: _bomb(_gzip, b"a ", 100),
    "bzip2_line": lambda: _bomb(bz2.BZ2Compressor, b"a", 200),
    "xz_line": lambda: _bomb(lzma.LZMACompressor, b"a", 200),
    "xz_dictionary": lambda: _xz_claim(),
    "gzip_name": lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 50_000_000,
    "gzip_members": lambda: gzip.compress(b"") * 200_000,
    "gzip_twice": lambda: gzip.compress(_bomb(_gzip, b"a", 100)),
    "nuls": lambda: bytes(10_000_000),
    "not_utf_8": lambda: b"\xff" * 1_000_000,
    "utf_16": lambda: "the film\n".encode("utf-16"),
    "escapes": lambda: "\x1b[2J \u202e \x9b31m \x85 \u2028\n".encode(),
    "returns": lambda: b"the\rfilm\r" * 5_000,
    "bom": lambda: b"\xef\xbb\xbf" * 100_000,
}
ARGUMENTS = {
    "txt": (),
    "jsonl": (),
    "csv": ("--text", "text"),
    "tsv": ("--text", "text", "--label", "label"),
}


def _lines(data: bytes, ending: str, folder: Path) -> Seed:
    files = small_model(folder, **LABELS)
    command = ("explain", "model.npz", f"in.{ending}", *ARGUMENTS[ending], *TSV)
    return Seed(f"in.{ending}", data, command, files)


def _series(data: bytes, folder: Path, *options: str) -> Seed:
    files = series_model(folder)
    return Seed("in.csv", data, ("explain", "model.npz", "in.csv", *options, *TSV), files)


for _ending in ARGUMENTS:
    several(
        f"lines_{_ending}",
        {
            name: lambda folder, d=data, e=_ending: _lines(d(), e, folder)
            for name, data in LINES.items()
        },
    )
several(
    "lines_series",
    {name: lambda folder, d=data: _series(d(), folder) for name, data in LINES.items()},
)

IDS = {
    "digits": DIGITS,
    "negative": "-1 -2",
    "float": "1e300 1.5",
    "underscores": "1_0 2",
    "other_digits": "\u0663 \u00bd",
    "big": "9223372036854775808 1",
}


def _ids(text: str, folder: Path) -> Seed:
    files = small_model(folder, **LABELS)
    command = ("explain", "model.npz", "in.txt", "--ids", *TSV)
    return Seed("in.txt", text.encode(), command, files)


several("ids", {name: lambda folder, t=text: _ids(t, folder) for name, text in IDS.items()})

OBJECTS = {
    "nested": '{"tokens": ' + "[" * DEEP,
    "nested_closed": '{"tokens": ' + "[" * DEEP + "]" * DEEP + "}",
    "nested_aside": '{"tokens": ["the"], "x": ' + '{"a":' * DEEP + "1" + "}" * DEEP + "}",
    "digits": '{"tokens": [' + DIGITS + "]}",
    "digits_id": '{"tokens": ["the"], "id": ' + DIGITS + "}",
    "digits_5000": '{"tokens": ["the"], "id": ' + "9" * 5_000 + ', "label": ' + "9" * 5_000 + "}",
    "exponent": '{"tokens": [1e999999999]}',
    "float_id": '{"tokens": ["the"], "id": 1.5}',
    "surrogate": '{"tokens": ["\\ud800"], "id": "\\udfff"}',
    "escapes": '{"tokens": ["\\u001b[2J", "\\u202e"], "id": "\\u009b31m\\u001b]8;;x\\u0007"}',
    "cr": '{"tokens": ["a\\rb", "c\\nd", "e\\tf", "\\u2028", "\\u0085"], "id": "a\\rb"}',
    "formula": '{"tokens": ["=1+1", "+1", "-1", "@x", "\\t=1"], "id": "=1"}',
    "mixed": '{"tokens": ["the", 1, null, true, {}, []]}',
    "keys": '{"tokens": ["the"], "tokens": ["film"]}',
    "many_keys": "{" + ", ".join(f'"k{k}": 0' for k in range(200_000)) + "}",
    "tokens_text": '{"tokens": "the film"}',
    "text_list": '{"text": ["the", ["film"]]}',
    "label": '{"text": "the", "label": {"a": 1}}',
    "label_nan": '{"text": "the", "label": 1e400}',
    "nul": '{"text": "\\u0000"}',
    "array": "[" + '{"text": "the"},' * 1_000 + "]",
    "text": '"the"',
    "nothing": "null",
}
SERIES = {
    "ragged": '{"values": [[1, 2, 3], [1]]}',
    "nested": '{"values": ' + "[" * 900 + "1" + "]" * 900 + "}",
    "digits": '{"values": [[' + DIGITS + ", 1, 1]]}",
    "exponent": '{"values": [[1e999, -1e999, 1e-999]]}',
    "digits_400": '{"values": [[' + "9" * 400 + ", 1, 1]]}",
    "texts": '{"values": [["1", null, true]]}',
    "features": '{"values": [[1, 2, 3]], "features": ["\\u001b[2J", "\\u202e", 1]}',
    "features_escapes": '{"values": [[1, 2, 3]], "features": ["\\u001b[2J", "\\u202e", "\\u009b"]}',
    "features_many": '{"values": [[1, 2, 3]], "features": [' + '"a",' * 200_000 + '"a"]}',
    "dates": '{"values": [[1, 2, 3]], "dates": ["\\u001b[2J\\n"]}',
    "dates_many": '{"values": [[1, 2, 3]], "dates": [' + '"a",' * 200_000 + '"a"]}',
    "empty": '{"values": [' + "[]," * 200_000 + "[]]}",
    "none": '{"values": null}',
    "large": '{"values": [[1e308, -1e308, 1e308], [1e308, 1e308, 1e308]]}',
}


def _values(text: str, folder: Path) -> Seed:
    command = ("explain", "model.npz", "in.jsonl", *TSV)
    return Seed("in.jsonl", text.encode("utf-8", "surrogatepass"), command, series_model(folder))


def _shown(text: str, folder: Path) -> Seed:
    command = ("explain", "model.npz", "in.jsonl", "--format", "terminal")
    return Seed("in.jsonl", text.encode(), command, small_model(folder, **LABELS))


several(
    "jsonl_values",
    {name: lambda folder, t=text: _values(t, folder) for name, text in SERIES.items()},
)
several(
    "jsonl_objects",
    {
        name: lambda folder, t=text: _lines(t.encode(), "jsonl", folder)
        for name, text in OBJECTS.items()
    },
)
several(
    "jsonl_shown",
    {name: lambda folder, t=text: _shown(t, folder) for name, text in OBJECTS.items()},
)

TABLES = {
    "sequence_none": lambda: "sequence,step,x,y,z\nNone,0,1,2,3\n",
    "sequence_digits": lambda: "sequence,step,x,y,z\n" + "9" * 5_000 + ",0,1,2,3\n",
    "step_digits": lambda: "sequence,step,x,y,z\n0," + "9" * 5_000 + ",1,2,3\n",
    "value_digits": lambda: "sequence,step,x,y,z\n0,0," + DIGITS + ",2,3\n",
    "value_exponent": lambda: "sequence,step,x,y,z\n0,0,1e999999999999999999999,2,3\n",
    "columns": lambda: ",".join(f"c{k}" for k in range(300_000)) + "\n1\n",
    "columns_of_one_name": lambda: ",".join(["x"] * 50_000) + "\n1\n",
    "no_columns": lambda: "," * 300_000 + "\n",
    "quote": lambda: 'sequence,step,x,y,z\n0,0,"' + "1,2,3\n" * 3_000_000,
    "quotes": lambda: "sequence,step,x,y,z\n" + '"' * 10_000_001,
    "short_rows": lambda: "sequence,step,x,y,z\n" + "0\n" * 100_000,
    "dates": lambda: "date,x,y,z\n0000-00-00,1,2,3\n9999-99-99,1,2,3\n",
    "dates_digits": lambda: "date,x,y,z\n" + "9" * 5_000 + ",1,2,3\n" + "9" * 5_001 + ",1,2,3\n",
    "dates_year": lambda: "date,x,y,z\n99999-01-01,1,2,3\n1/1/99999999999,1,2,3\n",
    "dates_zone": lambda: (
        "date,x,y,z\n2012-01-01T00:00+99:99,1,2,3\n2012-01-02T00:00-24:00,1,2,3\n"
    ),
    "dates_float": lambda: "date,x,y,z\n1e400,1,2,3\nnan,1,2,3\n",
    "escapes": lambda: "date,\x1b[2J,\u202e,z\n2012-01-01,1,2,3\n",
    "escapes_in_values": lambda: "date,x,y,z\n2012-01-01,\x1b[2J,2,3\n",
    "nul": lambda: "date,x,y,z\n2012-01-01,\0,2,3\n",
    "delimiters": lambda: ";,\t|" * 50_000,
    "blank": lambda: "\n" * 5_000_000,
    "returns": lambda: "date,x,y,z\r2012-01-01,1,2,3\r",
    "header_alone": lambda: "sequence,step,x,y,z\n",
}
several(
    "csv",
    {name: lambda folder, t=text: _series(t().encode(), folder) for name, text in TABLES.items()},
)
several(
    "csv_windows",
    {
        name: lambda folder, t=text: _series(t().encode(), folder, "--window", "2", "--stride", "1")
        for name, text in TABLES.items()
    },
)
several(
    "csv_groups",
    {
        "many": lambda folder: _series(
            b"g,x,y,z\n" + b"".join(b"%d,1,2,3\n" % k for k in range(200_000)),
            folder,
            "--window",
            "2",
            "--group",
            "g",
        ),
        "window": lambda folder: _series(b"x,y,z\n1,2,3\n" * 9, folder, "--window", str(10**12)),
    },
)

EXPECTED = {
    "nested.jsonl": lambda: b"[" * DEEP,
    "digits.jsonl": lambda: b"[" + DIGITS.encode() + b"]",
    "exponent.csv": lambda: b"a,b,c\n1e999,1,1\n",
    "digits.csv": lambda: b"a,b,c\n" + DIGITS.encode() + b",1,1\n",
    "columns.csv": lambda: b",".join([b"1"] * 300_000),
    "quote.csv": lambda: b'a,b,c\n"' + b"1,1\n" * 1_000_000,
    "ragged.csv": lambda: b"1,2,3\n1\n",
    "escapes.csv": lambda: "\x1b[2J,\u202e,c\n1,2,\x9b\n".encode(),
    "nothing.jsonl": lambda: b"null\n",
    "objects.jsonl": lambda: b'{"scores": {"a": 1}}\n',
    "line.csv": lambda: b"1" * 90_000_000,
}


def _expected(name: str, data: bytes, folder: Path) -> Seed:
    files = small_model(folder, **LABELS) | {"in.txt": b"the film\nbad\n"}
    return Seed(name, data, ("check", "model.npz", "in.txt", "--expected", name), files)


several(
    "expected",
    {
        name: lambda folder, n=name, d=data: _expected(n, d(), folder)
        for name, data in EXPECTED.items()
    },
)


def _result(change: Any, folder: Path, command: str) -> Seed:
    """A line of results in which something is otherwise."""
    seed = next(each for each in results(folder, "jsonl") if each.command[0] == command)
    lines = seed.data.splitlines()
    document = json.loads(lines[0])
    text = change(document)
    data = text.encode() if isinstance(text, str) else json.dumps(document).encode()
    return Seed(seed.spoilt, b"\n".join([data, *lines[1:]]) + b"\n", seed.command, seed.others)


def _set(**changes: object) -> Any:
    return lambda document: document.update(changes)


RESULTS = {
    "nested": lambda _: "[" * DEEP,
    "nested_closed": lambda _: '{"a":' * DEEP + "1" + "}" * DEEP,
    "line": lambda _: '"' + "a" * 100_000_000 + '"',
    "digits": lambda document: json.dumps(document).replace(
        '"sequence": 0', '"sequence": ' + DIGITS
    ),
    "sequence": _set(sequence=10**30),
    "sequence_negative": _set(sequence=-1),
    "large": lambda document: json.dumps(document).replace("0.", "1e308", 3),
    "relevance": _set(relevance=[1e308] * 4),
    "relevance_nested": _set(relevance=[[[[1.0]]]]),
    "relevance_none": _set(relevance=[None] * 3),
    "relevance_long": _set(relevance=[0.0] * 1_000_000),
    "scores": _set(scores=[1e308, -1e308, 1e308]),
    "scores_many": _set(scores=[0.0] * 1_000_000),
    "tokens": _set(tokens=["\x1b[2J", "\u202e", "\x9b"]),
    "tokens_none": _set(tokens=[None]),
    "target": _set(target="\x1b[2J\u202e"),
    "target_none": _set(target=None),
    "target_list": _set(target=[[]]),
    "method": _set(method="\x1b[2J"),
    "predicted": _set(predicted={"a": 1}),
    "label": _set(label="\x1b[2J" * 1_000),
    "id": _set(id="\x1b[2J"),
    "features": _set(features=["\x1b[2J"] * 100_000),
    "nothing": lambda _: "null",
}
for _command in ("summarize", "compare"):
    several(
        f"results_{_command}",
        {
            name: lambda folder, c=change, k=_command: _result(c, folder, k)
            for name, change in RESULTS.items()
        },
    )


def _methods_and_targets(folder: Path) -> Seed:
    """As many sections as lines."""
    seed = next(each for each in results(folder, "jsonl") if each.command[0] == "summarize")
    document = json.loads(seed.data.splitlines()[0])
    lines = [
        json.dumps(document | {"method": f"m{k}", "target": f"t{k}", "sequence": k})
        for k in range(5_000)
    ]
    return Seed(seed.spoilt, "\n".join(lines).encode(), ("summarize", seed.spoilt))


several("results", {"sections": _methods_and_targets})


def _bomb_of_results(folder: Path) -> Seed:
    seed = next(each for each in results(folder, "jsonl") if each.command[0] == "summarize")
    return Seed(seed.spoilt, _bomb(_gzip, b"[", 300), ("summarize", seed.spoilt))


several("results", {"bomb": _bomb_of_results})


def _words(data: bytes, folder: Path, name: str = "v.txt") -> Seed:
    files = small_model(folder, vocabulary=name) | {"in.txt": b"the film\n"}
    del files["vocab.txt"]
    return Seed(name, data, ("predict", "model.npz", "in.txt"), files)


WORDS = {
    "nested.json": lambda: b"[" * DEEP,
    "nested_maps.json": lambda: b'{"a":' * DEEP,
    "digits.json": lambda: b'{"the": ' + DIGITS.encode() + b"}",
    "ids.json": lambda: b'{"the": 1000000000000, "film": 0}',
    "negative.json": lambda: b'{"the": -1}',
    "float.json": lambda: b'{"the": 1e300, "film": NaN}',
    "list.json": lambda: b'[["the", 1], [2, {}]]',
    "surrogate.json": lambda: b'["\\ud800", "\\u001b[2J", "b", "c", "d"]',
    "escapes.txt": lambda: "\x1b[2J\n\u202e\n\x9b\n\x85\n\u2028\n".encode(),
    "line.txt": lambda: b"a" * 200_000_000,
    "lines.txt": lambda: b"\n" * 20_000_000,
    "glove.txt": lambda: b"the" + b" 0.1" * 5_000_000,
    "nuls.txt": lambda: bytes(10_000_000),
    "not_utf_8.txt": lambda: b"\xff\n" * 100_000,
    "same.txt": lambda: b"the\n" * 1_000_000,
}
PIECES: dict[str, dict[str, Any]] = {
    "regex": {
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "(a+)+$"},
            "behavior": "Isolated",
            "invert": False,
        }
    },
    "regex_long": {
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "(" * 9_000},
            "behavior": "Isolated",
        }
    },
    "sequence": {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}] * 100_000}
    },
    "replace": {
        "normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1_000_000}
    },
    "prepend": {"normalizer": {"type": "Prepend", "prepend": "a" * 1_000_000}},
    "kind": {"model": {"type": "\x1b[2J", "vocab": {}}},
    "merges": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "a"]] * 100_000}},
    "unigram": {"model": {"type": "Unigram", "vocab": [["a", -1e308]] * 5, "unk_id": 10**12}},
    "added": {"added_tokens": [{"id": 10**12, "content": "\x1b[2J", "special": True}]},
}


def _pieces(changes: dict[str, Any], folder: Path) -> Seed:
    vocabulary = {"the": 0, "film": 1, "is": 2, "not": 3, "bad": 4}
    document: dict[str, Any] = {
        "version": "1.0",
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "bad"},
    }
    return _words(json.dumps(document | changes).encode(), folder, "tokenizer.json")


several(
    "words",
    {name: lambda folder, n=name, d=data: _words(d(), folder, n) for name, data in WORDS.items()},
)
several(
    "tokenizer",
    {name: lambda folder, c=changes: _pieces(c, folder) for name, changes in PIECES.items()},
)
several(
    "tokenizer",
    {
        "nested": lambda folder: _words(
            b'{"version": "1.0", "normalizer": '
            + b'{"type": "Sequence", "normalizers": [' * 20_000
            + b"]}" * 20_000
            + b"}",
            folder,
            "tokenizer.json",
        ),
        "sentencepiece": lambda folder: _words(
            b"\x0a\x07\x0a\x01a\x15\xff\xff\xff\x7f" * 300_000, folder, "v.model"
        ),
        "bytes": lambda folder: _words(io.BytesIO(bytes(100)).read(), folder, "v.model"),
    },
)
