"""How far a model's scores are from a framework's."""

from dataclasses import replace

import numpy as np

from lstm_lrp_cli.engine.forward import outputs, probabilities
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model


def deviation(ours: Floats, theirs: Floats) -> float:
    """The largest difference, relative to expected scores over 1."""
    return float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))).max(initial=0.0))


def probabilities_of(model: Model, scores: Floats) -> Floats:
    """What frameworks' predict gives: they put a softmax or sigmoid behind the scores.

    Where the model says of no head which, it is the usual one.
    """
    if all(head.activation == "linear" for head in model.heads):
        return probabilities(replace(model, undecided=False), scores)
    return outputs(model, scores)
