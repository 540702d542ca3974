"""The gradient of one score a sequence with respect to the embedded inputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_lrp_cli.engine.arrays import row_dots
from lstm_lrp_cli.engine.backward import Chosen, Relevance, told, walk_down
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.lstm.layer import LstmRecord
from lstm_lrp_cli.engine.records import Reach, Record
from lstm_lrp_cli.model.arrays import Floats
from .method import Method


# What overflows shows in relevance, which the caller checks; here, and in both methods.
@np.errstate(over="ignore", invalid="ignore")
def gradient(trace: Trace, chosen: Chosen, reach: Reach = "features") -> Floats:
    """The partial derivatives of the chosen scores by the embedded inputs.

    Parameters
    ----------
    trace : Trace
        Of a forward pass that kept the gates.
    chosen : Chosen
    reach : {"features", "steps"}

    Returns
    -------
    ndarray, shape (rows, features), or (rows,)
        The derivatives, or, of steps, the sum of their products with the inputs.
    """

    def pass_down(record: Record, amount: Floats, reads_input: bool) -> Sequence[Floats]:
        if reads_input and isinstance(record, LstmRecord):
            return [record.pull_back(amount, reach)]
        return record.gradient(amount)

    def arrive(amount: Floats) -> Floats:
        if reach == "features" or amount.ndim == 1:
            return amount
        return told(amount * trace.embedded, reach)

    return walk_down(trace, chosen.alone(trace.scores, chosen.slopes), pass_down, arrive)


@dataclass(frozen=True, slots=True)
class Gradient(Method):
    """How fast the score changes with an input, whichever way: its partial derivative, squared."""

    name: str = "gradient"
    signed = False
    keeps_gates = True

    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        partial = gradient(trace, chosen)
        if reach == "features":
            return Relevance(np.square(partial))
        squared = np.empty(len(partial), partial.dtype)
        row_dots(partial, partial, squared)
        return Relevance(squared)


@dataclass(frozen=True, slots=True)
class GradientTimesInput(Method):
    """What each input adds to the score, were the score linear as it is here."""

    name: str = "gradient-x-input"
    keeps_gates = True

    @np.errstate(over="ignore", invalid="ignore")
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        found = gradient(trace, chosen, reach)
        return Relevance(found if reach == "steps" else found * trace.embedded)
