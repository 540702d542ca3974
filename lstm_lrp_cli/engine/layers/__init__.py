"""Layers that are not recurrent: each its forward pass, its gradient, its LRP and its parts.

A new kind is a record in a file here and an entry of KINDS.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lstm_lrp_cli.engine import imported
from lstm_lrp_cli.engine.records import Record, Value
from lstm_lrp_cli.model.layers import (
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Flatten,
    Layer,
    LeakyRelu,
    Merge,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Reverse,
    Scale,
    Select,
    StepSoftmax,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    WindowPool,
)


class LayerKind(NamedTuple):
    """What the engine knows of a kind of layer.

    Parameters
    ----------
    module, record : str
        The module here, and what in it makes its record of the layer and what feeds it.
    values : callable
        About how many numbers a layer's record keeps for each step that it makes.
    steps : callable
        About how many steps a layer makes of so many, or of a vector.
    """

    module: str
    record: str
    values: Callable[[Any], int] = lambda layer: 0
    steps: Callable[[Any, int], int] = lambda layer, steps: steps

    def run(self, layer: Any, sources: Sequence[Value]) -> Record:
        """The forward pass of a layer."""
        record: Record = imported(__name__, self.module, self.record)(layer, sources)
        return record


KINDS: dict[type[Layer], LayerKind] = {
    Activation: LayerKind("dense", "ActivationRecord.of"),
    Attention: LayerKind("attention", "AttentionRecord.of"),
    Convolution: LayerKind("windows", "ConvolutionRecord.of", lambda layer: 3 * len(layer.weights)),
    Crop: LayerKind("moving", "CropRecord.of"),
    Dense: LayerKind("dense", "DenseRecord.of", lambda layer: 3 * len(layer.weights)),
    Flatten: LayerKind("steps", "FlattenRecord.of"),
    LeakyRelu: LayerKind("units", "LeakyReluRecord.of"),
    Merge: LayerKind("merging", "MergeRecord.of"),
    Normalize: LayerKind("units", "NormalizeRecord.of", lambda layer: 3 * len(layer.factors)),
    Pad: LayerKind("moving", "PadRecord.of"),
    Pool: LayerKind("steps", "pool"),
    Repeat: LayerKind("moving", "RepeatRecord.of", steps=lambda layer, steps: layer.steps or steps),
    Reverse: LayerKind("steps", "OrderRecord.of"),
    Scale: LayerKind("dense", "ScaleRecord.of", lambda layer: 3 * len(layer.factors)),
    Select: LayerKind("units", "SelectRecord.of"),
    StepSoftmax: LayerKind("steps", "StepSoftmaxRecord.of"),
    Transpose: LayerKind("moving", "TransposeRecord.of"),
    UnitNorm: LayerKind("units", "UnitNormRecord.of"),
    UnitSum: LayerKind("units", "UnitSumRecord.of"),
    Unflatten: LayerKind("moving", "UnflattenRecord.of", steps=lambda layer, steps: layer.steps),
    Upsample: LayerKind(
        "moving", "UpsampleRecord.of", steps=lambda layer, steps: steps * layer.times
    ),
    WindowPool: LayerKind("windows", "pool"),
}
