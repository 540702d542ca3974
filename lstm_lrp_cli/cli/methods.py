"""The methods that a command line asks for, set up for a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from lstm_lrp_cli.cli.settings import Named, parse_method
from lstm_lrp_cli.engine.methods import METHODS, ZERO, Baseline, Settings
from lstm_lrp_cli.sequences.naming import whole_number

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.method import Method
    from lstm_lrp_cli.model.model import Model


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
