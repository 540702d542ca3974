"""Derivatives of scores, one sequence at a time, by the complex step.

A function that is real on the real axis has, for a tiny h,

    S(x + i h v) = S(x) + i h (dS/dx . v) + O(h^2)

so that the imaginary part over h is its derivative along v, without a difference of numbers that
are almost the same (Squire and Trapp 1998, "Using Complex Variables to Estimate Derivatives of Real
Functions"). It takes the plain forward pass alone, and nothing that knows of derivatives.
"""

import numpy as np
from plain_forward import Given, by_input, scores_of

from lstm_lrp_cli.model.model import Model

TINY = 1e-30


def derivative(
    model: Model, values: Given, direction: Given, target: int, step: int | None = None
) -> float:
    """How fast a score changes as the (embedded) input moves along a direction of its shape.

    Of a model with several inputs both are tuples.
    """
    moved = tuple(
        each + 1j * TINY * along
        for each, along in zip(by_input(values), by_input(direction), strict=True)
    )
    scores = scores_of(model, moved)
    score = scores[target if step is None else (step, target)]
    return float(np.imag(score) / TINY)
