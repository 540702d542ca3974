"""Layer-wise relevance propagation, by one of its rules for gates."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.backward import Chosen, Relevance, relevance
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.ledger import TOLERANCES
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model.arrays import Booleans
from .method import Promise

CONSERVATION = Promise(
    "conserved",
    ("tokens", "initial_state", "biases", "stabilizers", "padding"),
    TOLERANCES,
    {np.dtype(np.float32): "try --dtype float64"},
)


@dataclass(frozen=True, slots=True)
class Lrp:
    """LRP (Bach et al. 2015; for LSTMs Arras et al. 2017), named by its rule for gates.

    Parameters
    ----------
    rule : LrpRule
    name : str
        Of its rule for gates, unless it is told from others of its kind.
    """

    rule: LrpRule
    name: str = ""
    promise: Promise = CONSERVATION
    keeps_gates: bool = False
    runs_often: bool = False
    whole_steps: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.rule.gates)

    @property
    def settings(self) -> dict[str, Any]:
        return {"eps": self.rule.eps, "bias_factor": self.rule.bias_factor}

    def explain(
        self, trace: Trace, chosen: Chosen, padding: Booleans | None, reach: Reach
    ) -> Relevance:
        return relevance(trace, chosen, self.rule, padding, reach)
