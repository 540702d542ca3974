"""What numbers of the user's framework may be, and how far a model's own are from them."""

from typing import Any, Literal, get_args

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.engine.forward import outputs, probabilities
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model

# Before a last softmax or sigmoid, behind it, or behind its logarithm; or a regressor's values in
# the user's own units.
Kind = Literal["scores", "probabilities", "log-probabilities", "original values"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def kinds_of(numbers: NDArray[Any], model: Model) -> dict[Kind, NDArray[Any]]:
    """What numbers could be: scores may be any, what a softmax or its logarithm gives may not.

    By each kind they are as they are compared: original values are scaled as the model's own are,
    since what is small in their units need not be so in its.
    """
    kinds: dict[Kind, NDArray[Any]] = {"scores": numbers}
    if np.all((numbers >= 0) & (numbers <= 1)):
        kinds["probabilities"] = numbers
    if np.all(numbers <= 0):
        kinds["log-probabilities"] = numbers
    if model.output_scaling is not None:
        kinds["original values"] = model.output_scaling.of(numbers)
    return kinds


def _deviations(ours: Floats, theirs: Floats) -> Floats:
    """The largest differences, relative to expected scores over 1; of each of several models."""
    with np.errstate(invalid="ignore"):  # infinite ones are expected of no model: no number fits
        differences = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    middle = tuple({0, differences.ndim - 1})  # all axes but that of models
    largest: Floats = differences.max(axis=middle, initial=0.0)
    return largest


def deviation_of(kind: Kind, scores: Floats, likely: Floats, theirs: Floats) -> float:
    """How far scores, or the probabilities that they make, are from numbers of a kind."""
    return float(deviations_of(kind, scores, likely, theirs))


def deviations_of(kind: Kind, scores: Floats, likely: Floats, theirs: Floats) -> Floats:
    """The same of several models, where scores are of shape (rows, models, classes)."""
    match kind:
        case "scores":
            return _deviations(scores, theirs)
        case "probabilities" | "original values":
            return _deviations(likely, theirs)
    # No logarithm of what is rounded to 0, nor of values, which are no probabilities.
    return _deviations(np.log(np.maximum(likely, np.finfo(likely.dtype).tiny)), theirs)


def probabilities_of(model: Model, scores: Floats) -> Floats:
    """What frameworks' predict gives: they put a softmax or sigmoid behind the scores.

    Where the model says of no head which, it is the usual one.
    """
    if all(head.activation == "linear" for head in model.heads):
        return probabilities(replace(model, undecided=False), scores)
    return outputs(model, scores)
