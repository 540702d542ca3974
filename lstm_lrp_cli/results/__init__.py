"""One explanation as it was written: what every command that reads results begins with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model import Floats

# How much of a sequence is kept to tell which it is.
LONGEST_TEXT = 200
Kind = Literal["token", "feature", "token or feature"]
OF_EVERY_LEDGER = {"score", "residual"}
OUTDATED = (
    "predicts its one class whatever the sign of its only score, as an earlier lrp wrote it; "
    "explain the sequences again"
)


class ResultInput(Struct, frozen=True, eq=False, gc=False):
    """What a result says of one of several inputs.

    Parameters
    ----------
    name : str
    relevance, tokens, features, unknown, dates
        As `Result` has them.
    """

    name: str
    relevance: Floats
    tokens: list[str] | None = None
    features: list[str] | None = None
    unknown: list[int] = []
    dates: list[str] | None = None


class Result(Struct, frozen=True, eq=False):
    """What a file of results says of one sequence, target, step and method.

    Parameters
    ----------
    sequence : int
        The sequence's number in the input, from 0.
    target : str, int or None
        The explained class, or value, as label or number, or A-B, of which the difference is; None
        where there was no score to explain.
    relevance : ndarray, shape (steps,), or (steps, dimensions) or (steps, features)
        As finely as it was told. NaN (null) at steps that the model passes over; else finite.
    id : str, int or None
        The name that the input gave the sequence.
    tokens : list of str or None
        None in a numeric series.
    features : list of str or None
        The names of a numeric series' features.
    scores : list of float
        All scores.
    predicted : str, int or None
        The predicted class among which the target stands, as label or number; None where the scores
        are values.
    output : str or None
        At which output that is, of a model with several.
    step : int or None
        Where the model gives scores at every step: the step whose score is explained.
    label : str, int or None
        The true class, where it is known.
    method : str or None
        None where the results are of one method, which they then do not name.
    ledger : dict or None
        `score`, the shares and `residual`; None where the method does not account for the score.
    unknown : list of int
        The positions of tokens that the vocabulary does not know.
    line : int or None
        The line of its file, from 1; None where it does not stand in one.
    inputs : tuple of ResultInput
        Of a model with several inputs, what it says of each; tokens, features, relevance, unknown
        and dates, which are objects by their names in a file, are then empty.
    dates : list of str or None
        When each step was; None where it does not say.
    original : list of float
        Of a regressor whose values were scaled, all scores in the units of the user's; else empty.
    input : str or None
        Of a part of a folder: the input that the sequence is of, as the manifest has it.
    """

    sequence: int
    target: str | int | None
    relevance: Floats
    id: str | int | None = None
    tokens: list[str] | None = None
    features: list[str] | None = None
    scores: list[float] = []
    output: str | None = None
    predicted: str | int | None = None
    step: int | None = None
    label: str | int | None = None
    method: str | None = None
    ledger: dict[str, float] | None = None
    unknown: list[int] = []
    line: int | None = None
    inputs: tuple[ResultInput, ...] = ()
    dates: list[str] | None = None
    original: list[float] = []
    input: str | None = None

    @property
    def parts(self) -> tuple[ResultPart, ...]:
        """What it says of each input that has steps, since rows of a table tell of no other.

        Of the only one it says itself what there is.
        """
        if not self.inputs:
            return (self,)
        return tuple([each for each in self.inputs if len(each.relevance)]) or self.inputs

    @property
    def kind(self) -> Kind:
        """What relevance is told of."""
        if not self.inputs:
            return "feature" if self.tokens is None else "token"
        kinds = {"feature" if part.tokens is None else "token" for part in self.inputs}
        return "token or feature" if len(kinds) > 1 else "token" if "token" in kinds else "feature"

    @property
    def text(self) -> str:
        """The beginning of the sequence; empty in a numeric series."""
        texts = (_beginning(part.tokens or ()) for part in self.parts)
        return " | ".join(filter(None, texts))[:LONGEST_TEXT]


def _beginning(tokens: Iterable[str]) -> str:
    """Tokens as one text, up to where it is cut: all of them may be far longer."""
    kept, length = [], 0
    for token in tokens:
        kept.append(token[:LONGEST_TEXT])
        length += len(kept[-1]) + 1
        if length > LONGEST_TEXT:
            break
    return " ".join(kept)


# What tells of one input: a result whose model has no other, or what it says of one.
ResultPart = Result | ResultInput


def relevance_of_steps(part: ResultPart) -> Floats:
    """Relevance of each token or step, shape (steps,)."""
    if part.relevance.ndim == 1:
        return part.relevance
    total: Floats = part.relevance.sum(axis=1)
    return total


def named(part: ResultPart, names: list[str]) -> list[str]:
    """What tokens or features of an input are called among those of all."""
    return names if isinstance(part, Result) else [f"{part.name}: {name}" for name in names]


def without_masked(part: ResultPart) -> ResultPart:
    """The same without the steps that the model passes over, as if they had not been there."""
    missing = np.isnan(part.relevance)
    if not missing.any():
        return part
    real = ~missing if missing.ndim == 1 else ~missing.any(axis=1)
    there: list[int] = np.flatnonzero(real).tolist()
    tokens, unknown, dates = part.tokens, set(part.unknown), part.dates
    return msgspec.structs.replace(
        part,
        relevance=part.relevance[there],
        tokens=None if tokens is None else [tokens[place] for place in there],
        unknown=[k for k, place in enumerate(there) if place in unknown],
        dates=None if dates is None else [dates[place] for place in there],
    )


def misfit(result: Result) -> str | None:
    """What of a result does not fit the rest of it; None where all does."""
    problem = None if result.inputs else _misfit_of_input(result)
    for part in result.inputs:
        found = _misfit_of_input(part)
        if problem is None and found is not None:
            problem = f"{found}, of the input `{part.name}`"
    if problem is not None:
        return problem
    if result.original and len(result.original) != len(result.scores):
        return f"has {len(result.scores)} `scores` and {len(result.original)} of `original`"
    if result.ledger is not None and not OF_EVERY_LEDGER.issubset(result.ledger):
        return "has a `ledger` without `score` and `residual`"
    explained = 0.0 if result.ledger is None else result.ledger["score"]
    if len(result.scores) == 1 and result.predicted == result.target and explained < 0:
        return OUTDATED  # of two classes with one score, the predicted one has a score above 0
    return None


def _misfit_of_input(part: ResultPart) -> str | None:
    tokens, features, relevance = part.tokens, part.features, part.relevance
    if tokens is None and features is None:
        return "has neither `tokens` nor `features`"
    if tokens is not None and len(tokens) != len(relevance):
        return f"has {len(tokens)} `tokens` and {len(relevance)} values of `relevance`"
    if tokens is None and features is not None and relevance.ndim == 2:
        width = relevance.shape[1]
        if len(features) != width:
            return f"has {len(features)} `features` and {width} values of `relevance` a step"
    if part.dates is not None and len(part.dates) != len(relevance):
        return f"has {len(part.dates)} `dates` and {len(relevance)} values of `relevance`"
    problem = None if np.isfinite(relevance).all() else _not_finite(relevance)
    if problem is not None:
        return problem
    if part.unknown and not 0 <= min(part.unknown) <= max(part.unknown) < len(tokens or ()):
        return "has positions in `unknown` where there are no tokens"
    return None


def _not_finite(relevance: Floats) -> str | None:
    """What is wrong where numbers of relevance are not finite: whole steps may be missing."""
    if np.isinf(relevance).any():
        return "has infinity in `relevance`: the model's numbers overflowed"
    missing = np.isnan(relevance)
    if missing.ndim > 1 and (missing.any(axis=1) != missing.all(axis=1)).any():
        return "has a step of whose `relevance` only a part is missing"
    return None
