"""Lines of text and tables: cells, delimiters and quotes are others, and the file may be packed."""

import bz2
import gzip
import lzma
import random
import zlib

from .bytes import damaged

CELLS = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1e400",
        "-1e400",
        "nan",
        "NaN",
        "inf",
        "None",
        "none",
        "null",
        "NA",
        "True",
    ),
    *(
        "1_000",
        "1,5",
        "0x10",
        "9" * 30,
        "9" * 5000,
        "1e-400",
        "+1",
        "1.",
        ".5",
        "٣",
        "½",
        "１",
        "\ufeff",
    ),
    *(
        "2012-13-45",
        "2012-02-30",
        "0000-00-00",
        "10000-01-01",
        "2012-01-01T99:99",
        "24:00",
        "31.2.2012",
    ),
    *(
        "99999999999999999999",
        "-9223372036854775809",
        "9223372036854775807",
        "2012Q9",
        "Feb 30, 2012",
    ),
    *(
        '"',
        '""',
        '"a',
        'a"b',
        "'",
        "\x1b[31m",
        "\x9b",
        "\u202e",
        "\u2028",
        "\x85",
        "\x0b",
        "\x1c",
        "\x00",
    ),
    *(
        "\r",
        "\r\n",
        "=1+1",
        "@a",
        "-",
        "+",
        "a\tb",
        "\\N",
        "é",
        "😀",
        "e\u0301",
        "\ud800",
        "x" * 100_000,
    ),
    *(
        "sequence",
        "step",
        "date",
        "1" * 400 + "." + "1" * 400,
        "1e99999999999",
        "-0",
        "5 5 5",
        "1.0",
    ),
]


def cell_changed(data: bytes, rng: random.Random) -> bytes:
    """A cell or a word is another one, or there is one more or less."""
    text = data.decode("utf-8", "replace")
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    sign = next((each for each in "\t,; " if each in lines[at]), ",")
    cells = lines[at].split(sign)
    place = rng.randrange(len(cells))
    match rng.randrange(4):
        case 0:
            del cells[place]
        case 1:
            cells[place:place] = [rng.choice(CELLS)] * rng.choice((1, 1, 2, 300))
        case _:
            cells[place] = rng.choice(CELLS)
    lines[at] = sign.join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def line_moved(data: bytes, rng: random.Random) -> bytes:
    """A line is missing, there twice, elsewhere, or very many times."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines[at:at] = [lines[at]] * rng.choice((1, 3, 2000))
        case 2:
            lines.insert(rng.randrange(len(lines) + 1), lines.pop(at))
        case 3:
            lines[at:at] = [b""] * rng.choice((1, 3, 2000))
        case _:
            lines[at] = lines[at] * rng.choice((2, 50))
    return rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n")).join(lines)


def other_signs(data: bytes, rng: random.Random) -> bytes:
    """Delimiters, quotes and the encoding are others."""
    match rng.randrange(4):
        case 0:
            return data.replace(b",", rng.choice((b";", b"\t", b"|", b",,", b" ")))
        case 1:
            return data.decode("utf-8", "replace").encode(
                rng.choice(("utf-16", "utf-32", "utf-16-le"))
            )
        case 2:
            return b"\xef\xbb\xbf" + data
        case _:
            at = rng.randrange(len(data) + 1)
            return data[:at] + b'"' + data[at:]


def packed(data: bytes, rng: random.Random) -> bytes:
    """Compressed by one of three ways, and damaged as such; or what unpacks to a lot."""
    way = rng.choice((gzip.compress, bz2.compress, lzma.compress, zlib.compress))
    match rng.randrange(6):
        case 0:
            found = way(data) + way(data)
        case 1:
            found = way(data) + rng.randbytes(20)
        case 2:
            found = way(way(data))
        case 3:
            found = way(
                data * rng.choice((1, 100)) + rng.choice((b"\n", b"a", b"0,", b"[")) * 20_000
            )
        case _:
            found = way(data)
    return damaged(found, rng) if rng.random() < 0.6 else found
