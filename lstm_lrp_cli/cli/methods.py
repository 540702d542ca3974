"""The methods that a command line asks for, set up for a model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.engine.methods import METHODS, ZERO, Baseline, Settings
from lstm_lrp_cli.sequences.naming import whole_number

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.method import Method
    from lstm_lrp_cli.model.model import Model

# The options that only one method takes.
OWNERS = {
    "steps": "integrated-gradients",
    "baseline": "integrated-gradients",
    "span": "contextual-decomposition",
    "seed": "random",
}


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
    """The methods of these names; an option that none of them takes is wrong usage."""
    given = {"steps": steps, "baseline": baseline, "span": span, "seed": seed}
    for option, value in given.items():
        if value is not None and OWNERS[option] not in names:
            raise click.UsageError(f"--{option} needs --method {OWNERS[option]}.")
    settings = Settings(eps, bias_factor, span=span)
    if steps is not None:
        settings = replace(settings, steps=steps)
    if seed is not None:
        settings = replace(settings, seed=seed)
    if baseline is not None:
        settings = replace(settings, baseline=resolve_baseline(baseline, model))
    return tuple(METHODS[name](settings) for name in names)


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
            with_span = " with --span" if "span" in method.settings else ""
            raise click.UsageError(
                f"{method.name}{with_span} tells of whole {whole}s alone; it needs --by {whole}."
            )
