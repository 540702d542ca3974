"""How far a model's scores are from a framework's."""

from dataclasses import replace

import numpy as np

from lstm_lrp_cli.checking.expected import Kind
from lstm_lrp_cli.engine.forward import outputs, probabilities
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model


def deviation(ours: Floats, theirs: Floats) -> float:
    """The largest difference, relative to expected scores over 1."""
    return float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))).max(initial=0.0))


def deviation_of(kind: Kind, scores: Floats, likely: Floats, theirs: Floats) -> float:
    """How far scores, or the probabilities that they make, are from numbers of a kind."""
    match kind:
        case "scores":
            return deviation(scores, theirs)
        case "probabilities":
            return deviation(likely, theirs)
    # No logarithm of what is rounded to 0, nor of values, which are no probabilities.
    return deviation(np.log(np.maximum(likely, np.finfo(likely.dtype).tiny)), theirs)


def probabilities_of(model: Model, scores: Floats) -> Floats:
    """What frameworks' predict gives: they put a softmax or sigmoid behind the scores.

    Where the model says of no head which, it is the usual one.
    """
    if all(head.activation == "linear" for head in model.heads):
        return probabilities(replace(model, undecided=False), scores)
    return outputs(model, scores)
