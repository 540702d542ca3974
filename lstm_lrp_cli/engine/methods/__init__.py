"""The methods that explain. A new one is a file in this folder and a line in METHODS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.rules import GateRuleName
    from lstm_lrp_cli.model.arrays import Floats
    from .method import Method


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


def _lrp(gates: GateRuleName) -> Callable[[Settings], Method]:
    def made(settings: Settings) -> Method:
        from lstm_lrp_cli.engine.rules import LrpRule
        from .lrp import Lrp

        return Lrp(LrpRule(settings.eps, settings.bias_factor, gates))

    return made


def _gradient(settings: Settings) -> Method:
    from .gradient import Gradient

    return Gradient()


def _gradient_x_input(settings: Settings) -> Method:
    from .gradient import GradientTimesInput

    return GradientTimesInput()


def _integrated_gradients(settings: Settings) -> Method:
    from .integrated_gradients import IntegratedGradients

    return IntegratedGradients(settings.steps, settings.baseline)


def _occlusion(settings: Settings) -> Method:
    from .occlusion import Occlusion

    return Occlusion()


def _omission(settings: Settings) -> Method:
    from .omission import Omission

    return Omission()


def _contextual_decomposition(settings: Settings) -> Method:
    from .contextual_decomposition import ContextualDecomposition

    return ContextualDecomposition(settings.span)


def _random(settings: Settings) -> Method:
    from .random_control import RandomControl

    return RandomControl(settings.seed)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of method, which can be set up.

    Parameters
    ----------
    make : callable
        Makes it of settings.
    takes : tuple of str
        The Settings that it takes.
    """

    make: Callable[[Settings], Any]
    takes: tuple[str, ...] = ()

    def __call__(self, settings: Settings, name: str | None = None) -> Method:
        """The method; `name` tells it from others of its kind."""
        made = self.make(settings)
        method: Method = made if name is None else replace(made, name=name)
        return method


# LRP by each of its rules for gates.
LRP_METHODS: tuple[GateRuleName, ...] = ("lrp-all", "lrp-half", "lrp-prop", "lrp-abs")
# Made where used, so that the names are there before NumPy is.
METHODS: dict[str, Kind] = {
    **{name: Kind(_lrp(name), ("eps", "bias_factor")) for name in LRP_METHODS},
    "gradient": Kind(_gradient),
    "gradient-x-input": Kind(_gradient_x_input),
    "integrated-gradients": Kind(_integrated_gradients, ("steps", "baseline")),
    "occlusion": Kind(_occlusion),
    "omission": Kind(_omission),
    "contextual-decomposition": Kind(_contextual_decomposition, ("span",)),
    "random": Kind(_random, ("seed",)),
}
# Those that tell how much a score depends on an input, but not which way.
UNSIGNED = frozenset({"gradient"})
