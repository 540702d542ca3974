"""Write docs/schemas.md: the keys of files, formats and methods, as the code has them.

Run it from anywhere, with the package installed:

    python docs/make_schemas.py
"""

import re
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from msgspec import NODEFAULT, UNSET, Struct, UnsetType

from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec, InitialSpec
from lstm_lrp_cli.loading.layers.joins import AttentionSpec
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.loading.layers.steps import FlattenSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec, DenseSpec, EmbeddingSpec
from lstm_lrp_cli.loading.mapping import InputSpec, Mapping, PaddingSpec, ScalingSpec, TokensSpec
from lstm_lrp_cli.outputs import ENDINGS, OUTPUTS
from lstm_lrp_cli.results import Result

PAGE = Path(__file__).parent / "schemas.md"

INTRODUCTION = """\
# Schemas

What the code itself says of files, formats and methods, to look up. This page is generated: run
`python docs/make_schemas.py`. What it all means is in [mapping.md](mapping.md),
[output.md](output.md) and [methods.md](methods.md).
"""

# Where each part of a mapping stands.
SPECS: dict[str, type[Struct]] = {
    "The file": Mapping,
    "`tokens`": TokensSpec,
    "`padding`": PaddingSpec,
    "`scaling`": ScalingSpec,
    "An entry of `inputs`": InputSpec,
    "An entry of `layers`: one of the kinds, with `name` and `from`": LayerSpec,
    "`embedding`": EmbeddingSpec,
    "`lstm`": LstmSpec,
    "`lstm`: `forward`, `backward`": CellSpec,
    "`lstm`: `initial` of a direction": InitialSpec,
    "`dense`; `hidden` of `attention`": DenseSpec,
    "`flatten`": FlattenSpec,
    "`batch_norm`": BatchNormSpec,
    "`attention`": AttentionSpec,
}
NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    type(None): "null",
    np.ndarray: "list of number, or of lists of number",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def type_text(kind: Any) -> str:
    """A type in words."""
    origin, inside = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (Union, types.UnionType):
        words = (type_text(one) for one in inside if one is not UnsetType)
        return " or ".join(dict.fromkeys(words))
    if origin is list:
        return (
            f"list of ({type_text(inside[0])})"
            if get_args(inside[0])
            else f"list of {type_text(inside[0])}"
        )
    if origin is tuple:
        return f"list of {len(inside)} {type_text(inside[0])}"
    if origin is dict:
        return f"{type_text(inside[1])} by name"
    if isinstance(origin, type) and issubclass(origin, Struct):
        return "mapping"
    return NAMES[origin]


def default_text(default: Any) -> str:
    """What stands where a key is not given."""
    if default is NODEFAULT:
        return "required"
    if default is None or default is UNSET:
        return ""
    return f"`{default}`"


def mapping() -> str:
    """The keys of a mapping."""
    sections = [
        "## Keys of a mapping\n\nWhere there is no default, a key that is not given is left to "
        "what the weight file says, or to nothing.\n"
    ]
    for title, spec in SPECS.items():
        rows = [
            (f"`{field.encode_name}`", type_text(field.type), default_text(field.default))
            for field in msgspec.structs.fields(spec)
        ]
        sections.append(f"### {title}\n\n{table(('key', 'type', 'default'), rows)}")
    return "\n".join(sections)


def results() -> str:
    """The keys of results, as they are read back."""
    hints = get_type_hints(Result)
    documented = re.findall(
        r"^    (\w+) : .*\n((?:        .*\n)*)", Result.__doc__ or "", re.MULTILINE
    )
    rows = [
        (f"`{name}`", type_text(hints[name]), " ".join(text.split()).replace("None", "null"))
        for name, text in documented
        if name != "inputs"  # which the others make
    ]
    return (
        "## Keys of a result\n\nWhat `lrp summarize` reads of a line of JSON, or of a row of "
        "`parquet-nested`. Files may have more keys; those with a null may be left out. "
        "Of several inputs, `relevance`, `tokens`, `features` and `unknown` are objects (structs) "
        "by the inputs' names.\n\n" + table(("key", "type", "content"), rows)
    )


def formats() -> str:
    """The formats of `lrp explain`, and the endings that ask for them."""
    rows = [
        (
            f"`{name}`",
            ", ".join(f"`{ending}`" for ending, form in ENDINGS.items() if form == name and ending),
        )
        for name in OUTPUTS
    ]
    return f"## Formats\n\n{table(('`--format`', 'endings of `-o`'), rows)}"


def methods() -> str:
    """The methods, and the shares of the ledgers that they give."""
    rows = []
    for name, kind in METHODS.items():
        promise = kind(Settings()).promise
        shares = ", ".join(f"`{share}`" for share in promise.shares) if promise else ""
        tolerances = promise.tolerances if promise else {}
        allowed = ", ".join(f"{allowed:g} in {dtype}" for dtype, allowed in tolerances.items())
        takes = ", ".join(f"`{each.replace('_', '-')}`" for each in kind.takes)
        rows.append((f"`{name}`", takes, promise.word if promise else "", shares, allowed))
    columns = ("`--method`", "settings", "ledger is", "shares", "allowed residual")
    return f"## Methods and their ledgers\n\n{table(columns, rows)}"


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join((INTRODUCTION, formats(), methods(), results(), mapping()))


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
