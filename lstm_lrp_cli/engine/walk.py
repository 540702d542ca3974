"""The way down a model's graph, from its scores to its input."""

from collections.abc import Callable, Sequence

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.record import Record
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import MODEL_INPUT

# Passes what a record's outputs have to its sources, None to those that get nothing; told whether
# its one source is the model's input.
Step = Callable[[Record, Floats, bool], Sequence[Floats | None]]


def walk_down(
    trace: Trace, scores: Floats, step: Step, arrive: Callable[[Floats], Floats]
) -> Floats:
    """Pass amounts from node to node; what several nodes give to one adds up.

    Parameters
    ----------
    scores : ndarray, of the shape of the trace's scores
        What these have.
    step : callable
    arrive : callable
        Takes what arrives at the input, and gives it the form in which it adds up: of every
        feature, shape (rows, features), or of whole steps, (rows,).

    Returns
    -------
    ndarray, as `arrive` gives it
    """
    model = trace.model
    waiting: dict[int, Floats] = {}

    def give(place: int, amount: Floats) -> None:
        if place == MODEL_INPUT:
            amount = arrive(amount)
        waiting[place] = waiting[place] + amount if place in waiting else amount

    ends = np.cumsum([trace.records[output].outputs.shape[1] for output in model.outputs])[:-1]
    for output, part in zip(model.outputs, np.split(scores, ends, axis=1), strict=True):
        give(output, part)
    for place in range(len(model.nodes) - 1, -1, -1):
        if place not in waiting:
            continue  # no score depends on it, or it is a gate, which gets nothing
        sources = model.nodes[place].sources
        down = step(trace.records[place], waiting.pop(place), sources == (MODEL_INPUT,))
        for source, amount in zip(sources, down, strict=True):
            if amount is not None:
                give(source, amount)
    if MODEL_INPUT not in waiting:
        give(MODEL_INPUT, np.zeros((trace.packing.rows, trace.features), dtype=scores.dtype))
    return waiting[MODEL_INPUT]
