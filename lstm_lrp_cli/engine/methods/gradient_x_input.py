"""Gradient x input: the partial derivatives of a score times the inputs.

Shrikumar et al. 2016, "Not Just a Black Box: Learning Important Features Through Propagating
Activation Differences"; for words Denil, Demiraj and de Freitas 2014, "Extraction of Salient
Sentences from Labelled Documents".
"""

from dataclasses import dataclass, field
from typing import Any

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.gradients import gradient_times_input
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.engine.relevance import Chosen, Relevance
from lstm_lrp_cli.model.arrays import Booleans


@dataclass(frozen=True, slots=True)
class GradientTimesInput:
    """What each input adds to the score, were the score linear as it is here."""

    name: str = "gradient-x-input"
    settings: dict[str, Any] = field(default_factory=dict)
    promise: None = None
    keeps_gates: bool = True
    runs_often: bool = False
    whole_steps: bool = False

    def explain(
        self, trace: Trace, chosen: Chosen, padding: Booleans | None, reach: Reach
    ) -> Relevance:
        return Relevance(gradient_times_input(trace, chosen, reach))
