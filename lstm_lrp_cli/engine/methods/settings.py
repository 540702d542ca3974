"""What methods can be set to. No NumPy is loaded: the command line's options are made of this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_lrp_cli.model import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What counts as no input at all.

    Parameters
    ----------
    name : str
        As the command line has it.
    features : ndarray, shape (features,), or None
        Of every step; None is zero.
    """

    name: str
    features: Floats | None = None


ZERO = Baseline("zero")


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """What methods can be set to; each takes what concerns it.

    Parameters
    ----------
    eps, bias_factor : float
        Of the LRP rules: the stabilizer, and what part of biases and stabilizers is redistributed.
    steps : int
        Of integrated gradients: how many points of the path are looked at.
    baseline : Baseline
        Of integrated gradients: where the path begins at every step.
    span : slice or None
        Of contextual decomposition: the tokens that are decomposed as one; None is each alone.
    seed : int
        Of the random control.
    """

    eps: float = 1e-3
    bias_factor: float = 0.0
    steps: int = 50
    baseline: Baseline = ZERO
    span: slice | None = None
    seed: int = 0
