"""Documents of JSON or YAML: any value may be another one."""

import copy
import json
import random
from typing import Any

import yaml

DEEP = (30, 200, 5_000, 100_000)
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 3, 10, 64, 1000, 10**6, 10**9, 10**12, 2**31, 2**63, 2**64),
    *(10**30, -(10**18), 0.0, -0.0, 0.5, 1e308, 1e-320, float("nan"), float("inf"), "", " ", "a"),
    *("\x1b[31mred", "\u202eevil", "a\nb", "\x9b", "\0", "..", "../../etc/passwd", "=1+1", "0"),
    *("None", "x" * 3000, "linear", "tanh", "relu", "LSTM", "Dense", [], {}, [[]], [None], {"": 0}),
    *([1, 2, 3], [-1], [0, 0], [10**9, 10**9], {"class_name": "LSTM", "config": {}}, "1", "é"),
    *({"format": 1}, [{}], "lstm", "model.npz", "/dev/zero", "vocab.txt", ".", "\ud800"),
]
MOST_PLACES = 100_000
MARK = "@nest@"


def places(document: Any) -> list[tuple[Any, Any]]:
    """Where values stand: what holds them, and by which key or number."""
    found, waiting = [], [document]
    while waiting:
        held = waiting.pop()
        if len(found) > MOST_PLACES:
            raise ValueError("it holds itself, or very much")
        keys = (
            held if isinstance(held, dict) else range(len(held)) if isinstance(held, list) else ()
        )
        for key in keys:
            found.append((held, key))
            waiting.append(held[key])
    return found


def changed(document: Any, rng: random.Random) -> Any:
    """A document in which a few values, keys or lists are others."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        all_places = places(document)
        if not all_places:
            return rng.choice(VALUES)
        held, key = rng.choice(all_places)
        value = held[key]
        match rng.randrange(11):
            case 0 | 1 | 2:
                held[key] = copy.deepcopy(rng.choice(VALUES))
            case 3:
                other, at = rng.choice(all_places)
                held[key] = copy.deepcopy(other[at])
            case 4:
                del held[key]
            case 5 if isinstance(held, dict):
                held[rng.choice(("", "a", 1, key)) if rng.random() < 0.5 else key] = value
                held[str(rng.choice(VALUES))] = value
            case 5 | 6 if isinstance(held, list):
                held[key:key] = [copy.deepcopy(value)] * rng.choice((1, 2, 30))
            case 7 if isinstance(value, int | float) and not isinstance(value, bool):
                change = rng.choice((1, -1, 2, value, -2 * value, 10**6, -0.5))
                held[key] = value + change
            case 8 if isinstance(value, str) and value:
                at = rng.randrange(len(value))
                odd = rng.choice(
                    ("", "\x1b]8;;x\x07", "\n", "\u2028", "/", ":", "\0", "0", "\u202e")
                )
                held[key] = value[:at] + odd + value[at + rng.randrange(2) :]
            case 9:
                held[key] = [value] if rng.random() < 0.5 else {"a": value}
            case 10 if rng.random() < 0.2:
                held[key] = MARK + str(rng.choice(DEEP)) + rng.choice("[{")
            case _:
                held[key] = copy.deepcopy(rng.choice(VALUES))
    return document


def _nested(text: str) -> str:
    """The text, in which a mark is what it stands for: what no library writes."""
    while (at := text.find(f'"{MARK}')) >= 0:
        end = text.index('"', at + 1)
        count, kind = int(text[at + 1 + len(MARK) : end - 1]), text[end - 1]
        nest = "[" * count + "]" * count if kind == "[" else '{"a":' * count + "0" + "}" * count
        text = text[:at] + nest + text[end + 1 :]
    return text


def json_text(document: Any) -> bytes:
    return _nested(json.dumps(document)).encode("utf-8", "surrogatepass")


def json_changed(data: bytes, rng: random.Random) -> bytes:
    """Values of a JSON document."""
    found = json_text(changed(json.loads(data), rng))
    if rng.random() < 0.1:
        found = json_spoilt(found, rng)
    return found


def json_spoilt(data: bytes, rng: random.Random) -> bytes:
    """What is no JSON, or JSON as few write it."""
    text = data.decode("utf-8", "replace")
    at = rng.randrange(len(text) + 1)
    odd = [
        "1" * 100_000,
        "1e400",
        "NaN",
        "-",
        "\\ud800",
        '"\\u0000"',
        "//",
        ",",
        "[" * 5000,
        "9" * 400,
    ]
    return (text[:at] + rng.choice(odd) + text[at:]).encode("utf-8", "surrogatepass")


def line_changed(data: bytes, rng: random.Random) -> bytes:
    """Values of one line of JSON lines."""
    lines = data.split(b"\n")
    at = rng.choice([number for number, line in enumerate(lines) if line.strip()])
    lines[at] = json_changed(lines[at], rng)
    return b"\n".join(lines)


def yaml_changed(data: bytes, rng: random.Random) -> bytes:
    """Values of a YAML document."""
    document = changed(yaml.safe_load(data), rng)
    if rng.random() < 0.3:
        return json_text(document)  # which YAML reads
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=rng.random() < 0.3)
    return text.encode("utf-8", "surrogatepass")


YAML = [
    *("&a [*a]", "*a", "&a 1", "!!bool x", "!!map 1", "!!seq {}", "!!set {a, b}", "!!omap [a: 1]"),
    *("!!int ''", "!!int '0x'", "!!int 1:99:99", "!!float .", "!!float ''", "!!timestamp x", "? a"),
    *(
        "!!timestamp 2001-99-99",
        "2001-12-14t21:59:43.10-99:99",
        "!!binary '='",
        "!!binary x",
        "<<: 1",
    ),
    *(
        "!!python/object:os.system x",
        "!!null x",
        "!!str [a]",
        "!<tag:x> 1",
        "? [a]\n: 1",
        "- a: b: c",
    ),
    *("1_000", "0b1", "0o17", "190:20:30", ".inf", "-.inf", ".nan", "9" * 5000, "0x" + "f" * 5000),
    *(
        "1e9999",
        "2001-01-01",
        "~",
        "{a: 1, a: 2}",
        "{1: 2, '1': 3}",
        "{[a]: 1}",
        "{{a: 1}: 2}",
        "|",
    ),
    *(
        ">",
        "'",
        '"\\x1b"',
        '"\\U00110000"',
        "%YAML 9.9\n---",
        "---\n---",
        "...",
        "\t",
        "\x00",
        "\x1b",
    ),
    *("=", "<<", "!", "&", "[" * 2000, "{a: " * 2000, "- " * 2000, "? " * 500, "!!float 1:1:1e400"),
    *(
        "!!merge x",
        "!!value =",
        "!!pairs [a]",
        "!!omap {}",
        "<<: [1]",
        "<<: {a: 1}",
        "\ufeff",
        "\x85",
    ),
]


def yaml_spliced(data: bytes, rng: random.Random) -> bytes:
    """What YAML has beside plain values, in the place of a value or amid the text."""
    text = data.decode("utf-8", "replace")
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    odd = rng.choice(YAML)
    key, colon, _ = lines[at].partition(":")
    if colon and rng.random() < 0.7:
        lines[at] = f"{key}: {odd}"
    elif rng.random() < 0.5:
        lines.insert(at, odd)
    else:
        place = rng.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:place] + odd + lines[at][place:]
    return "\n".join(lines).encode("utf-8", "surrogatepass")
