"""Layers that are not recurrent: each its forward pass, its gradient, its LRP and its parts.

A new kind is a record in a file here and an entry of KINDS.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lstm_lrp_cli.engine.records import Record, Value
from lstm_lrp_cli.model.layers import (
    Activation,
    Dense,
    Flatten,
    Layer,
    Merge,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from . import dense, merging, steps


class LayerKind(NamedTuple):
    """What the engine knows of a kind of layer.

    Parameters
    ----------
    run : callable
        Its forward pass: from the layer and what feeds it to its record.
    values : callable
        About how many numbers a layer's record keeps for each step.
    """

    run: Callable[[Any, Sequence[Value]], Record]
    values: Callable[[Any], int] = lambda layer: 0


KINDS: dict[type[Layer], LayerKind] = {
    Activation: LayerKind(dense.ActivationRecord.of),
    Dense: LayerKind(dense.DenseRecord.of, lambda layer: 3 * len(layer.weights)),
    Flatten: LayerKind(steps.FlattenRecord.of),
    Merge: LayerKind(merging.MergeRecord.of),
    Pool: LayerKind(steps.pool),
    Reverse: LayerKind(steps.OrderRecord.of),
    Scale: LayerKind(dense.ScaleRecord.of, lambda layer: 3 * len(layer.factors)),
    StepSoftmax: LayerKind(steps.StepSoftmaxRecord.of),
}
