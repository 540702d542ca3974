"""What a mapping says of a regressor's outputs: what was done to the values it learnt from."""

from collections.abc import Container

import msgspec
from msgspec import UNSET

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Model, Scaling
from .inputs import scaled_in_order
from .layers.datasets import Datasets
from .mapping import Described, Mapping, scalings


def predicting_values(described: Described, given: Container[str]) -> Described:
    """A description that calls its model a regressor, if it says how its values were scaled.

    Parameters
    ----------
    described : Described
    given : container of str
        The mapping's keys that are the user's word. What they say of the task stands.
    """
    mapping = described.mapping
    is_open = mapping.task is UNSET or (mapping.task == "unknown" and "task" not in given)
    if not scalings(mapping.output_scaling) or not is_open:
        return described
    said = Mapping(task="regression")
    origin = {"task": f"output_scaling from {described.origins['output_scaling']}"}
    return msgspec.structs.replace(
        described,
        mapping=msgspec.structs.replace(mapping, task=said.task),
        origins=described.origins | origin,
        assumptions=tuple(each for each in described.assumptions if not each.is_settled_by(said)),
    )


def output_scaling(
    mapping: Mapping, model: Model, datasets: Datasets, where: str
) -> Scaling | None:
    """What the values that a model predicts went through before it was trained on them.

    Raises
    ------
    UnusableInput
        The model predicts classes, or the numbers are not one for each of its outputs.
    """
    specs = scalings(mapping.output_scaling)
    if not specs:
        return None
    if mapping.task != "regression":
        raise UnusableInput(
            where,
            "output_scaling: is of predicted values, and the model predicts classes; expected "
            "`task: regression` with it, or `output_scaling: null`",
        )
    if any(head.activation == "softmax" for head in model.heads):
        raise UnusableInput(
            where,
            "output_scaling: is of predicted values, and the model ends in a softmax, whose "
            "outputs are probabilities; expected `output_scaling: null`",
        )
    for place, spec in enumerate(specs):
        if spec.inside:
            key = f"output_scaling[{place}]" if len(specs) > 1 else "output_scaling"
            problem = f"{key}.inside: is of inputs; leave it out, layers of the model are in layers"
            raise UnusableInput(where, problem)
    return scaled_in_order(specs, model.classes, datasets, where, "output_scaling")
