"""Running a model's graph with the functions that a framework makes of its layers."""

from collections.abc import Callable, Sequence
from typing import Any

from lstm_lrp_cli.model.model import MODEL_INPUT, Model

# From the values of a node's sources to its own: (n, steps, units) by step, else (n, units).
Function = Callable[..., Any]


def run_graph(model: Model, functions: Sequence[Function], embedded: Any) -> list[Any]:
    """The value of each output of a model, given its input after the embedding."""
    values = {MODEL_INPUT: embedded}
    for place, (node, function) in enumerate(zip(model.nodes, functions, strict=True)):
        values[place] = function(*(values[source] for source in node.sources))
    return [values[output] for output in model.outputs]
