"""What methods are set to, by options or in a method's name, as in lrp-all:eps=1e-6."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from lstm_lrp_cli.engine.methods import LRP_METHODS, METHODS, ZERO, Baseline, Settings
from lstm_lrp_cli.sequences.naming import whole_number

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.methods.method import Method
    from lstm_lrp_cli.model.model import Model


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


def resolve_methods(
    names: tuple[str, ...],
    model: Model,
    *,
    eps: float,
    bias_factor: float,
    steps: int | None = None,
    baseline: str | None = None,
    span: slice | None = None,
    seed: int | None = None,
) -> tuple[Method, ...]:
    """The methods of these names, set by their names or else by options.

    An option that none of them takes is wrong usage, and so are two that come to the same.
    """
    options: dict[str, Any] = {"eps": eps, "bias_factor": bias_factor}
    single = {"steps": steps, "baseline": baseline, "span": span, "seed": seed}
    named = [parse_method(name) for name in names]
    for option, value in single.items():
        if value is None:
            continue
        if not any(option in METHODS[each.kind].takes for each in named):
            owner = next(kind for kind in METHODS if option in METHODS[kind].takes)
            raise click.UsageError(f"--{option} needs --method {owner}.")
        options[option] = value
    return _apart([_resolved(each, options, model) for each in named], named)


def _resolved(named: Named, options: dict[str, Any], model: Model) -> Method:
    """A method with what its name sets, and the options for the rest."""
    kind = METHODS[named.kind]
    found = {key: value for key, value in options.items() if key in kind.takes} | named.settings
    if "baseline" in found:
        found["baseline"] = resolve_baseline(found["baseline"], model)
    return kind(Settings(**found), named.name)


def _apart(methods: list[Method], named: list[Named]) -> tuple[Method, ...]:
    """The methods, of which no two are the same."""
    seen: dict[str, str] = {}
    for method, each in zip(methods, named, strict=True):
        key = f"{each.kind} {method.settings}"
        if key in seen:
            raise click.UsageError(
                f"{seen[key]} and {method.name} are the same method with the same settings."
            )
        seen[key] = method.name
    return tuple(methods)


def resolve_baseline(baseline: str, model: Model) -> Baseline:
    """Where a path begins at every step."""
    import numpy as np

    if baseline == "zero":
        return ZERO
    if model.embedding is None:
        try:
            value = float(baseline)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise click.BadParameter(
                f"{baseline!r} is neither zero nor a finite number.", param_hint="--baseline"
            )
        return Baseline(baseline, np.full(model.input_size, value, dtype=model.dtype))
    known = model.vocabulary.ids if model.vocabulary else {}
    token = known.get(baseline, whole_number(baseline))
    weights = model.embedding.weights
    if token is None or token >= len(weights):
        raise click.BadParameter(
            f"{baseline!r} is neither zero, a token of the vocabulary nor an id below "
            f"{len(weights)}.",
            param_hint="--baseline",
        )
    return Baseline(baseline, weights[token])


def refuse_values_of_steps(methods: tuple[Method, ...], model: Model) -> None:
    """Refuse to tell of every value of a step what a method tells of whole steps."""
    whole = "step" if model.embedding is None else "token"
    for method in methods:
        if method.whole_steps:
            with_span = " with a span" if "span" in method.settings else ""
            raise click.UsageError(
                f"{method.name}{with_span} tells of whole {whole}s alone; it needs --by {whole}."
            )
