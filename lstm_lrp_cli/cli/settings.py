"""What methods are set to, by options or in a method's name, as in lrp-all:eps=1e-6."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import click

from lstm_lrp_cli.engine.methods import LRP_METHODS, METHODS

# More steps than a sequence can have.
LONGEST = 2**62


class FiniteRange(click.FloatRange):
    """Refuses nan and infinity as well, which a range of numbers lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def span_slice(value: str) -> slice:
    """The tokens of a span, as Python has them: from 0, or from -1 backwards."""
    try:
        start, stop = (int(part) if part.strip() else None for part in value.split(":"))
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not FROM:TO, such as 2:5, :3 or -2: (from 0; TO is not in it)."
        ) from error
    if start is not None and stop is not None and start >= stop and (start < 0) == (stop < 0):
        raise click.BadParameter(f"{value!r} has no tokens in it, whatever there is.")
    return slice(_bounded(start), _bounded(stop))


def _bounded(bound: int | None) -> int | None:
    """A bound of a span, no further out than arrays can count, where there are no tokens anyway."""
    return None if bound is None else max(-LONGEST, min(bound, LONGEST))


# What each setting may be; a baseline is looked up once the model is known.
TYPES: dict[str, Any] = {
    "eps": FiniteRange(min=0),
    "bias_factor": FiniteRange(min=0, max=1),
    "steps": click.IntRange(min=1),
    "baseline": click.STRING,
    "span": click.types.FuncParamType(span_slice),
    "seed": click.IntRange(min=0),
}


@dataclass(frozen=True, slots=True)
class Named:
    """A method as it is named, with what its name sets.

    Parameters
    ----------
    name : str
        All of it, as outputs have it.
    kind : str
        One of METHODS.
    settings : dict
    """

    name: str
    kind: str
    settings: dict[str, Any]


def parse_method(text: str) -> Named:
    """A method's name, and what follows it: KEY=VALUE, each after a colon.

    What follows a colon and has no "=" belongs to the value before it, as in span=2:5.

    Raises
    ------
    click.BadParameter
        There is no such method, or it does not take that.
    """
    kind, *parts = text.strip().split(":")
    kind = kind.strip()
    if kind not in METHODS:
        raise click.BadParameter(
            f"there is no method {kind!r}; the methods are {', '.join(METHODS)}."
        )
    pairs: list[str] = []
    for part in parts:
        if "=" in part or not pairs:
            pairs.append(part)
        else:
            pairs[-1] += f":{part}"
    settings: dict[str, Any] = {}
    shown = [kind]
    for pair in pairs:
        given, _, value = (piece.strip() for piece in pair.partition("="))
        key = given.replace("-", "_")
        if key not in METHODS[kind].takes or key in settings or "=" not in pair:
            raise click.BadParameter(f"{text.strip()!r}: {_takes(kind)}")
        try:
            settings[key] = TYPES[key].convert(value, None, None)
        except click.BadParameter as error:
            raise click.BadParameter(
                f"{text.strip()!r}: {given}: {error.message.rstrip('.')}; {_takes(kind)}"
            ) from error
        shown.append(f"{given.replace('_', '-')}={value}")
    return Named(":".join(shown), kind, settings)


def _takes(kind: str) -> str:
    """What a method can be set to in its name."""
    if not METHODS[kind].takes:
        return f"{kind} takes no settings."
    keys = [f":{key.replace('_', '-')}={_VALUES[key]}" for key in METHODS[kind].takes]
    return f"{kind} takes {' and '.join(keys)}, each once."


_VALUES = {
    "eps": "NUMBER",
    "bias_factor": "NUMBER",
    "steps": "N",
    "baseline": "VALUE",
    "span": "FROM:TO",
    "seed": "N",
}


def method_names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """The methods that a list names."""
    names = tuple(parse_method(each).name for each in value.split(","))
    if len(set(names)) < len(names):
        raise click.BadParameter("a method is named twice.", ctx, param)
    return names


def rule_name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """The one rule of LRP that is named."""
    if value.split(":")[0].strip() not in LRP_METHODS:
        listed = ", ".join(map(repr, LRP_METHODS))
        raise click.BadParameter(f"{value!r} is not one of {listed}.", ctx, param)
    return parse_method(value).name


def complete_methods(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes the last name of a list of methods to, or a setting in it."""
    *named, begun = incomplete.split(",")
    before = "".join(f"{name}," for name in named)
    kind, *settings = begun.split(":")
    if settings and kind in METHODS:
        before += begun.removesuffix(settings[-1])
        keys = (f"{key.replace('_', '-')}=" for key in METHODS[kind].takes)
        return [f"{before}{key}" for key in keys if key.startswith(settings[-1])]
    return [f"{before}{name}" for name in METHODS if name.startswith(begun) and name not in named]
