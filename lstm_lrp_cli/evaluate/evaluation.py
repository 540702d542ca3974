"""What a comparison of methods came to."""

from dataclasses import dataclass
from typing import Literal

from lstm_lrp_cli.explaining.question import Target
from lstm_lrp_cli.explaining.sizes import Sizes
from lstm_lrp_cli.model.arrays import Floats
from .experiment import Contestant, Experiment
from .perturbation import Curve, Perturbation


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The curves of one perturbation, by the contestants' names.

    Parameters
    ----------
    perturbation : Perturbation
    sequences : int
        How many it was made with. Where there are none, there are no curves.
    score : dict of Curve
        The mean of the explained score.
    predicted : dict of Curve
        The share of sequences whose explained class is the predicted one: where it is the true
        class, the accuracy. Without curves where the model predicts no class.
    """

    perturbation: Perturbation
    sequences: int
    score: dict[str, Curve]
    predicted: dict[str, Curve]


@dataclass(frozen=True, slots=True)
class Measures:
    """What is told of one contestant by one number.

    Parameters
    ----------
    hits : float
        The share of sequences whose most relevant step is the one that the score changes most
        without.
    sensitivity : float or None
        How much relevance changes at most as the input is moved by a little: the mean over
        sequences. None where that was left out, or nothing had relevance.
    seconds : float
        Of this process for 1,000 steps, besides the forward pass.
    sizes : Sizes or None
        How large its ledgers are beside the scores; None where it gives none.
    """

    hits: float
    sensitivity: float | None
    seconds: float
    sizes: Sizes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A comparison of methods.

    Parameters
    ----------
    contestants : tuple of Contestant
    experiment : Experiment
    unit : {"token", "step"}
        What sequences consist of.
    explained : str or int
        Of every sequence "gold", its true class, or "predicted", or the class of that number.
    sequences : int
        How many were long enough.
    steps, masked : int
        Of all of them, those that the model is run on, and those that its mask passes over.
    left_out : int
        Sequences that were too short.
    curves : tuple of Curves
    agreement : ndarray, shape (contestants, contestants)
        Mean rank correlations; NaN where there are none.
    measures : dict of Measures
        By the contestants' names.
    forward_seconds : float
        Of this process for 1,000 steps: the forward pass that all of them begin with.
    """

    contestants: tuple[Contestant, ...]
    experiment: Experiment
    unit: Literal["token", "step"]
    explained: Target
    sequences: int
    steps: int
    masked: int
    left_out: int
    curves: tuple[Curves, ...]
    agreement: Floats
    measures: dict[str, Measures]
    forward_seconds: float
