"""Sensitivity: the squared partial derivatives of a score.

Simonyan, Vedaldi and Zisserman 2014, "Deep Inside Convolutional Networks"; for recurrent networks
on text Li et al. 2016, "Visualizing and Understanding Neural Models in NLP"; squared, so that a
token's value is the squared L2 norm of its gradient, Arras et al. 2019, "Evaluating Recurrent
Neural Network Explanations".
"""

from dataclasses import dataclass, field
from typing import Any

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.gradients import squared_gradient
from lstm_lrp_cli.engine.reach import Reach
from lstm_lrp_cli.engine.relevance import Chosen, Relevance
from lstm_lrp_cli.model.arrays import Booleans


@dataclass(frozen=True, slots=True)
class Gradient:
    """How fast the score changes with an input, whichever way: its partial derivative, squared."""

    name: str = "gradient"
    settings: dict[str, Any] = field(default_factory=dict)
    promise: None = None
    keeps_gates: bool = True
    runs_often: bool = False
    whole_steps: bool = False

    def explain(
        self, trace: Trace, chosen: Chosen, padding: Booleans | None, reach: Reach
    ) -> Relevance:
        return Relevance(squared_gradient(trace, chosen, reach))
