"""Mappings: YAML that multiplies, nests, collides; and values that ask for too much."""

import json
from pathlib import Path

from fuzz.seeds import Seed
from fuzz.seeds.inputs import TEXT
from fuzz.seeds.models import SERIES, series_model, small_model
from . import several

LONG = "a" * 40 + "!"
BITS = 61  # a hash is the number modulo 2 ** 61 - 1


def _aliases() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    return "\n".join(lines)


TEXTS = {
    "aliases": _aliases(),
    "merges": "a: &a {x: 1}\n" + "b: {<<: [" + "*a, " * 50_000 + "*a]}",
    "collisions": "\n".join(f"{k * (2**BITS - 1)}: 0" for k in range(40_000)),
    "colliding_floats": "\n".join(f"{float(k * 2.0**BITS)!r}: 0" for k in range(1, 30_000)),
    "flow": "a: " + "[" * 300_000,
    "flow_closed": "a: " + "[" * 300_000 + "]" * 300_000,
    "flow_maps": "{a: " * 100_000,
    "blocks": "\n".join(" " * k + "a:" for k in range(1_300)),
    "dashes": "- " * 500_000 + "a",
    "questions": "? " * 500_000 + "a",
    "bool_tag": "a: !!bool maybe",
    "map_tag": "!!map 1",
    "seq_tag": "a: !!seq {b: 1}",
    "int_tag": "a: !!int ''",
    "float_tag": "a: !!float .",
    "set_tag": "a: !!set [1]",
    "omap_tag": "a: !!omap {b: 1}",
    "pairs_tag": "a: !!pairs [1]",
    "time_tag": "a: !!timestamp 2001-99-99",
    "time": "a: 2001-99-99",
    "time_zone": "a: 2001-12-14t21:59:43.10-99:99",
    "binary_tag": "a: !!binary =",
    "null_key": "? !!null x\n: 1",
    "list_key": "? [a, [b]]\n: 1",
    "map_key": "? {a: 1}\n: 1",
    "base_60": "a: 1" + ":59" * 300_000,
    "base_60_float": "a: 1" + ":59" * 300_000 + ".5",
    "hexadecimal": "labels: [0x" + "f" * 900_000 + "]",
    "decimal": "padding: {length: " + "9" * 900_000 + "}",
    "octal": "labels: [0" + "7" * 900_000 + "]",
    "underscores": "labels: [1" + "_" * 900_000 + "]",
    "anchors": "\n".join(f"a{k}: &a{k} x" for k in range(60_000)),
    "directive": "%YAML 9.9\n---\na: 1",
    "tag_directive": "%TAG ! " + "x" * 900_000 + "\n---\n!a b",
    "documents": "---\n" * 200_000,
    "quoted": 'a: "' + "\\x41" * 200_000 + '"',
    "escaped": 'labels: ["\\e[2J", "\\u202e", "\\x9b"]\n\u0085: 1',
    "folded": "a: >\n" + " x\n" * 250_000,
    "tabs": "a:\n" + "\t" * 900_000,
    "comments": "# x\n" * 200_000,
    "utf_16": "a: 1",
    "keys": "\n".join(f"k{k}: 0" for k in range(80_000)),
    "labels": "labels: [" + "a, " * 300_000 + "a]",
    "layers": "layers: [" + "{}, " * 200_000 + "{}]",
    "python": "a: !!python/object/apply:os.system [true]",
}

PATTERNS = {
    "plus_plus": "(a+)+$",
    "or": "(a|a)+$",
    "or_empty": "(a|aa|)+$",
    "dots": "(.*)*x",
    "words": r"(\w+\s?)*$",
    "back": r"(a+)\1+b",
    "ahead": r"(?=(a+)+$)b",
    "behind": "(?<=a{60000})b",
    "counted": "(((a{1,1000}){1,1000}){1,1000}){1,1000}",
    "counted_twice": "(?:a{60000}){60000}",
    "groups": "(" * 5_000 + "a" + ")" * 5_000,
    "branches": "|".join(f"a{k}" for k in range(50_000)),
    "classes": "[" + "".join(map(chr, range(0x4E00, 0x9000, 2))) + "]",
    "conditions": "(a)?(?(1)b|c)" * 90,
    "flags": "(?x)(?i)(?L)a",
    "names": "(?P<a>x)" * 2,
    "nested_lazily": "((a*?)*?)*?$",
    "squared": "a*a*a*a*a*a*a*a*a*a*b",
    "ahead_deep": "(?=" * 900 + "a" + ")" * 900,
}


def _words(text: str, folder: Path) -> Seed:
    files = small_model(folder) | {"in.txt": TEXT}
    del files["model.yaml"]
    encoded = text.encode("utf-16" if text == TEXTS["utf_16"] else "utf-8")
    return Seed("model.yaml", encoded, ("predict", "model.npz", "in.txt"), files)


def _added(text: str, folder: Path) -> Seed:
    """To a mapping that is good without it."""
    files = small_model(folder) | {"in.txt": TEXT}
    mapping = files.pop("model.yaml") + text.encode() + b"\n"
    return Seed("model.yaml", mapping, ("predict", "model.npz", "in.txt"), files)


def _pattern(key: str, pattern: str, folder: Path) -> Seed:
    lines = "\n".join([LONG, "a" * 3_000, "a " * 300 + "!", TEXT.decode()]).encode()
    files = small_model(folder, tokens={key: pattern, "unknown": "bad"}) | {"in.txt": lines}
    return Seed("model.yaml", files.pop("model.yaml"), ("predict", "model.npz", "in.txt"), files)


several("yaml", {name: lambda folder, t=text: _words(t, folder) for name, text in TEXTS.items()})
several(
    "yaml_added", {name: lambda folder, t=text: _added(t, folder) for name, text in TEXTS.items()}
)
for _key in ("remove", "separate"):
    several(
        f"pattern_{_key}",
        {
            name: lambda folder, k=_key, p=each: _pattern(k, p, folder)
            for name, each in PATTERNS.items()
        },
    )

BIG = 10**12
VALUES: dict[str, object] = {
    "padding": {"padding": {"side": "pre", "length": BIG, "value": 0}},
    "padding_long": {"padding": {"side": "pre", "length": 3 * 10**8}},
    "padding_longest": {"padding": {"side": "post", "length": 10**30}},
    "offset": {"tokens": {"offset": 10**18, "unknown": "bad"}},
    "limit": {"tokens": {"limit": BIG, "unknown": "bad"}},
    "negative_offset": {"tokens": {"offset": -(10**9), "unknown": "bad"}},
    "vocabulary_of_zeros": {"vocabulary": "/dev/zero"},
    "vocabulary_of_chance": {"vocabulary": "/dev/urandom"},
    "vocabulary_folder": {"vocabulary": "."},
    "vocabulary_name": {"vocabulary": "x" * 100_000},
    "vocabulary_nul": {"vocabulary": "a\0b"},
    "vocabulary_escapes": {"vocabulary": "\x1b[2J\u202e.txt"},
    "vocabulary_list": {"vocabulary": [[]] * 5},
    "vocabulary_numbers": {"vocabulary": [1, 2.5, None, True, {}]},
    "labels_of_zeros": {"labels": "/dev/zero"},
    "labels_of_a_pipe": {"labels": "/dev/stdin"},
    "labels_escapes": {"labels": ["\x1b[2J", "\u202e", "\x9b31m"]},
    "labels_long": {"labels": ["x" * 300_000, "y", "z"]},
    "labels_nested": {"labels": [[[["a"]]], {}, None]},
    "features_escapes": {"features": ["\x1b[2J", "\u202e", "\x9b31m"]},
    "unknown_key": {"\x1b[2J\u202e": 1},
    "task": {"task": {"classification": [1]}},
    "task_long": {"task": "x" * 500_000},
    "inputs": {"inputs": [{"name": f"n{k}"} for k in range(20_000)]},
    "inputs_of_one_name": {"inputs": [{"name": "a"}, {"name": "a"}]},
    "format": {"format": 10**30},
    "format_float": {"format": 1e300},
    "scaling_of_zeros": {"scaling": "/dev/zero"},
    "output_scaling": {"output_scaling": {"minus": 1e308, "divide": 1e-308}},
}


def _valued(changes: dict[str, object], folder: Path) -> Seed:
    files = small_model(folder) | {"in.txt": TEXT}
    import yaml

    mapping = yaml.safe_load(files.pop("model.yaml")) | changes
    text = json.dumps(mapping).encode()
    return Seed("model.yaml", text, ("explain", "model.npz", "in.txt", "--format", "tsv"), files)


several(
    "mapping", {name: lambda folder, v=value: _valued(v, folder) for name, value in VALUES.items()}
)

LSTM = {
    "gate_order": ["i", "f", "g", "o"],
    "layout": "gates_by_features",
    "forward": {"input": "W", "recurrent": "U", "bias": "b"},
}
DENSE = {"dense": {"weights": "V", "layout": "classes_by_features", "bias": "c"}}
LAYERS: dict[str, object] = {
    "gates_nested": [{"lstm": LSTM | {"gate_order": [[["i"]], "f", "g", "o"]}}, DENSE],
    "gates_many": [{"lstm": LSTM | {"gate_order": list("ifgo") * 10_000}}, DENSE],
    "bias_lists": [
        {"lstm": LSTM | {"forward": LSTM["forward"] | {"bias": ["b"] * 200_000}}},
        DENSE,
    ],
    "many_lstms": [{"lstm": LSTM}] * 3_000 + [DENSE],
    "dense_stack": [{"lstm": LSTM}, *[{"activation": "tanh"}] * 50_000, DENSE],
    "pad_steps": [{"pad_steps": {"before": BIG, "after": 0}}, {"lstm": LSTM}, DENSE],
    "pad": [{"pad": BIG}, {"lstm": LSTM}, DENSE],
    "upsample": [{"upsample": BIG}, {"lstm": LSTM}, DENSE],
    "repeat": [{"lstm": LSTM}, {"repeat": BIG}, {"lstm": LSTM}, DENSE],
    "repeat_often": [{"lstm": LSTM}, *[{"repeat": 10_000}] * 4, DENSE],
    "pool": [{"max_pool": {"size": BIG}}, {"lstm": LSTM}, DENSE],
    "take": [{"lstm": LSTM}, {"take": [0] * 500_000}, DENSE],
    "reshape": [{"lstm": LSTM}, {"reshape": [BIG, BIG]}, DENSE],
    "heads": [{"multi_head_attention": {"heads": BIG}}, DENSE],
    "names": [{"lstm": LSTM | {"name": "a", "inputs": ["a"]}}, DENSE],
    "embedding": [{"embedding": {"weights": "\x1b[2J"}}, {"lstm": LSTM}, DENSE],
    "kinds": [{"\x1b[2J\u202e": {}}, DENSE],
    "two_kinds": [{"lstm": LSTM, "dense": {}}, DENSE],
    "texts": ["lstm"] * 5,
    "nothing": None,
}


def _layered(layers: object, folder: Path) -> Seed:
    files = series_model(folder) | {"in.csv": SERIES}
    del files["model.yaml"]
    text = json.dumps({"format": 1, "layers": layers}).encode()
    return Seed("model.yaml", text, ("predict", "model.npz", "in.csv"), files)


several(
    "layers", {name: lambda folder, v=value: _layered(v, folder) for name, value in LAYERS.items()}
)
