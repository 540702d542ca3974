"""Layer-wise relevance propagation, by one of its rules for gates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.backward import Chosen, Relevance, inputs_and_padding, told, walk_down
from lstm_lrp_cli.engine.forward import Given, Trace
from lstm_lrp_cli.engine.records import TOLERANCES, Ledgers, Reach, Record, Shares
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats
from .method import Method, Promise

CONSERVATION = Promise(
    "conserved",
    ("tokens", "initial_state", "biases", "stabilizers", "padding"),
    TOLERANCES,
    {np.dtype(np.float32): "try --dtype float64"},
)


@dataclass(frozen=True, slots=True)
class Lrp(Method):
    """LRP (Bach et al. 2015; for LSTMs Arras et al. 2017), named by its rule for gates.

    Parameters
    ----------
    rule : LrpRule
    name : str
        Of its rule for gates, unless it is told from others of its kind.
    """

    rule: LrpRule
    name: str = ""
    promise = CONSERVATION

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.rule.gates)

    @property
    def settings(self) -> dict[str, Any]:
        return {"eps": self.rule.eps, "bias_factor": self.rule.bias_factor}

    # What overflows shows in the ledger, which the caller checks.
    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        explained = chosen.of(trace.scores)
        shares = Shares.none(trace.batch)

        def pass_down(record: Record, amount: Floats, reads_input: bool) -> Sequence[Floats | None]:
            nonlocal shares
            down, kept = record.pass_down(amount, self.rule, reach if reads_input else "features")
            shares += kept
            return down

        def arrive(amount: Floats, given: Given) -> Floats:
            return told(amount, reach)

        values = walk_down(trace, chosen.starts(trace.scores), pass_down, arrive)
        tokens, of_padding = inputs_and_padding(values, trace)
        return Relevance(
            values,
            Ledgers(
                explained,
                {
                    "tokens": tokens,
                    "initial_state": shares.initial_state,
                    "biases": shares.biases,
                    "stabilizers": shares.stabilizers[0],
                    "padding": of_padding + shares.padding,
                },
                shares.stabilizers[1],
                chosen.sizes(trace.scores),
            ),
        )
