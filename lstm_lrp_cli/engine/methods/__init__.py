"""The methods that explain. A new one is a file in this folder and a line in METHODS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .settings import ZERO, Baseline, Groups, InputBaseline, InputGroups, Settings

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.rules import GateRuleName
    from .method import Method

__all__ = [
    "LRP_METHODS",
    "METHODS",
    "ZERO",
    "Baseline",
    "Groups",
    "InputBaseline",
    "InputGroups",
    "Kind",
    "Settings",
]


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
    from .gradient import IntegratedGradients

    return IntegratedGradients(settings.steps, settings.baseline)


def _occlusion(settings: Settings) -> Method:
    from .occlusion import Occlusion

    return Occlusion(settings.baseline, settings.groups)


def _omission(settings: Settings) -> Method:
    from .occlusion import Omission

    return Omission()


def _contextual_decomposition(settings: Settings) -> Method:
    from .contextual_decomposition import ContextualDecomposition

    return ContextualDecomposition(settings.span)


def _random(settings: Settings) -> Method:
    from .random_control import RandomControl

    return RandomControl(settings.seed)


class Kind(Struct, frozen=True):
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
    "occlusion": Kind(_occlusion, ("baseline", "groups")),
    "omission": Kind(_omission),
    "contextual-decomposition": Kind(_contextual_decomposition, ("span",)),
    "random": Kind(_random, ("seed",)),
}
