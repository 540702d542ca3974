"""How far an autoencoder's output is from its own input, as a score that is explained like any."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Layer,
    Merge,
    Node,
    Pool,
    Scale,
    Unflatten,
    UnitSum,
)
from lstm_lrp_cli.model.model import Head, Model

# The target that asks for it, and the label of its score.
ERROR = "error"


def asked_model(model: Model, target: object) -> Model:
    """The model whose scores a target is among: of "error", that of the reconstruction error.

    A label of the model's own wins over the word.

    Raises
    ------
    WrongUsage
        The model is no autoencoder.
    """
    if target != ERROR or model.target_labelled(ERROR) is not None:
        return model
    return reconstruction_error(model)


def reconstruction_error(model: Model) -> Model:
    """A regressor of one score: the mean of (output - input)^2 over all steps and features.

    It is the model with a few more nodes, so whatever explains a model explains it.

    Parameters
    ----------
    model : Model
        A regressor whose outputs are, step by step or all as one vector, as many as the features of
        its one input, which are numbers. The output is that of the framework, after a last sigmoid
        or softmax.

    Raises
    ------
    WrongUsage
        The model is none of that.
    """
    steps = _steps_of_vector(model)
    read, [output] = model.only_input, model.outputs
    nodes = list(model.nodes)

    def put(layer: Layer, *sources: int) -> int:
        nodes.append(Node(layer, sources))
        return len(nodes) - 1

    last = model.heads[0].activation
    if last != "linear":
        output = put(Activation(last), output)
    if steps is not None:
        output = put(Unflatten(steps), output)
    itself = MODEL_INPUT
    if read.own_scaling is not None:  # it gives back what it is given, and not what it makes of it
        minus, divide = read.own_scaling.minus, read.own_scaling.divide
        itself = put(Scale(divide.astype(model.dtype), minus.astype(model.dtype)), itself)
    distance = put(Merge("difference"), output, itself)
    by_feature = put(Pool("mean"), put(Activation("square"), distance))
    share = np.full(1, 1.0 / read.size, dtype=model.dtype)
    mean = put(Scale(share, np.zeros_like(share)), put(UnitSum(), by_feature))
    return replace(
        model,
        nodes=tuple(nodes),
        outputs=(mean,),
        heads=(Head(1),),
        by_step=False,
        regression=True,
        undecided=False,
        labels=(ERROR,),
        own_steps_alone=True,
        output_scaling=None,
    )


def _steps_of_vector(model: Model) -> int | None:
    """How many steps a model's one vector of outputs has; None where outputs are by step.

    Raises
    ------
    WrongUsage
        The model does not give back what it is given.
    """
    if model.several_inputs:
        raise _no_autoencoder(f"has several inputs ({', '.join(model.input_names)})")
    read = model.only_input
    if read.embedding is not None:
        raise _no_autoencoder("is given tokens")
    if not read.steps:
        raise _no_autoencoder("is given one vector a sequence")
    if len(model.outputs) > 1:
        raise _no_autoencoder(f"has {len(model.outputs)} outputs")
    linear = all(head.activation == "linear" for head in model.heads)
    if not (model.regression or (model.undecided and linear)):
        raise WrongUsage(
            "the reconstruction error is of a regressor, and the model predicts classes; is it an "
            "autoencoder? Then add `task: regression` to its mapping.",
            "target",
        )
    size, scores = read.size, model.classes
    if model.by_step:
        if scores != size:
            raise _no_autoencoder(f"gives {scores} values at every step for {size} features")
        return None
    if scores % size or scores == size:
        raise _no_autoencoder(f"gives {scores} values a sequence for steps of {size} features")
    return scores // size


def _no_autoencoder(found: str) -> WrongUsage:
    return WrongUsage(
        f"the reconstruction error is of a model that gives back its one numeric input: at every "
        f"step as many values as there are features, or those of all steps as one vector; this one "
        f"{found}.",
        "target",
    )
