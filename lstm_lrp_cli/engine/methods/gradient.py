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

# What overflows shows in the result, which the caller checks.
_overflows = np.errstate(over="ignore", invalid="ignore")


@_overflows
def gradient(trace: Trace, chosen: Chosen) -> Floats:
    """The partial derivatives of the chosen scores, shape (rows, features).

    The trace must have kept its gates.
    """
    return _pulled_back(trace, chosen, "features")


@_overflows
def squared_gradient(trace: Trace, chosen: Chosen, reach: Reach) -> Floats:
    """The squared gradient, shape (rows, features), or summed over features, (rows,)."""
    partial = _pulled_back(trace, chosen, "features")
    if reach == "features":
        return np.square(partial)
    of_steps = np.empty(len(partial), partial.dtype)
    row_dots(partial, partial, of_steps)
    return of_steps


@_overflows
def gradient_times_input(trace: Trace, chosen: Chosen, reach: Reach) -> Floats:
    """The gradient times the inputs, shape (rows, features), or summed over features, (rows,)."""
    pulled_back = _pulled_back(trace, chosen, reach)
    return pulled_back if reach == "steps" else pulled_back * trace.embedded


def _pulled_back(trace: Trace, chosen: Chosen, reach: Reach) -> Floats:
    """The gradient of every feature, or, of steps, its product with the input."""

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

    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        return Relevance(squared_gradient(trace, chosen, reach))


@dataclass(frozen=True, slots=True)
class GradientTimesInput(Method):
    """What each input adds to the score, were the score linear as it is here."""

    name: str = "gradient-x-input"
    keeps_gates = True

    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        return Relevance(gradient_times_input(trace, chosen, reach))
