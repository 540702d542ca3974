"""What each of Keras's layers becomes in a mapping, in one table: KINDS.

A new layer is a function here, or in `recurrent`, and an entry of KINDS; the weights that it has
are an entry of WEIGHTS in `architecture`.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.steps import FlattenSpec
from lstm_lrp_cli.loading.layers.units import BatchNormSpec, DenseSpec, EmbeddingSpec
from lstm_lrp_cli.model.layers import MergeName, PoolName
from lstm_lrp_cli.model.recurrent import ActivationName
from .architecture import KerasLayer
from .recurrent import bidirectional, directions, lstm
from .refused import unknown_layer

POOLS: dict[str, PoolName] = {
    "GlobalAveragePooling1D": "mean",
    "GlobalMaxPooling1D": "max",
    # Operations of Keras 3, over the steps.
    "ops.Sum": "sum",
    "ops.Mean": "mean",
    "ops.Max": "max",
}
MERGES: dict[str, MergeName] = {
    "Concatenate": "concat",
    "Add": "sum",
    "Average": "mean",
    "Multiply": "product",
    "ops.Concatenate": "concat",
    "ops.Add": "sum",
    "ops.Multiply": "product",
}
# Layers of their own that are an activation.
ACTIVATION_LAYERS: dict[str, ActivationName] = {"ReLU": "relu", "ELU": "elu"}
# Layers that do nothing at inference.
SILENT = frozenset(
    {
        "InputLayer",
        "Dropout",
        "SpatialDropout1D",
        "GaussianDropout",
        "GaussianNoise",
        "AlphaDropout",
        "ActivityRegularization",
        "Identity",
    }
)
# What does the same to every step by itself.
STEPWISE = ("Dense", "Activation", *SILENT)


class Output(Struct, frozen=True):
    """What a layer puts out.

    Parameters
    ----------
    name : str
        Of the layer of the mapping that it is; a silent layer's is its source's.
    by_step : bool
        Whether it has a vector a step.
    is_masked : bool
        Whether a mask goes with it.
    weighs : bool
        Whether it is a softmax over the steps.
    """

    name: str
    by_step: bool
    is_masked: bool
    weighs: bool


class Feed(Struct, frozen=True):
    """What a layer is fed with, by layers of a model whose input has so many steps, or 0."""

    sources: list[Output]
    length: int

    @property
    def steps(self) -> list[Output]:
        """The sources that have a vector a step."""
        return [source for source in self.sources if source.by_step]

    @property
    def has_steps(self) -> bool:
        return len(self.steps) == len(self.sources)

    @property
    def is_masked(self) -> bool:
        """Whether a mask goes with any of the steps."""
        return any(source.is_masked for source in self.steps)

    def is_units(self, axis: Any) -> bool:
        """Whether an axis is that of units, the last."""
        return axis in (-1, 2 if self.has_steps else 1)


class KerasKind(Struct, frozen=True):
    """A kind of Keras's layers.

    Parameters
    ----------
    specs : callable
        What a layer and its feed are in a mapping: layers one behind the other, none where it does
        nothing.
    gives_steps : callable
        Whether a layer that is given steps gives steps.
    joins : bool
        Whether it is fed by several layers.
    takes_masked : bool
        Whether masked steps take part in it, as they never do in a mapping.
    parts : callable or None
        What each output is of a layer that has several.
    """

    specs: Callable[[KerasLayer, Feed], list[LayerSpec]]
    gives_steps: Callable[[KerasLayer], bool] = lambda layer: True
    joins: bool = False
    takes_masked: bool = False
    parts: Callable[[KerasLayer], list[list[LayerSpec]]] | None = None

    def outputs(self, layer: KerasLayer, feed: Feed) -> dict[str, list[LayerSpec]]:
        """What each output of a layer is."""
        several = self.parts if len(layer.outputs) > 1 else None
        made = several(layer) if several else [self.specs(layer, feed)]
        return dict(zip(layer.outputs, made, strict=True))


def _embedding(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    return [LayerSpec(embedding=EmbeddingSpec(layer.weight("embeddings")))]


def _dense(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    dense = DenseSpec(
        weights=layer.weight("kernel"),
        layout="features_by_classes",
        bias=layer.weight("bias") if layer.config["use_bias"] else None,
        activation=layer.activation,
    )
    return [LayerSpec(dense=dense)]


def _time_distributed(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    inner = layer.wrapped(layer.weights)
    if inner.kind not in STEPWISE:
        raise unknown_layer(layer, inner.kind)
    return KINDS[inner.kind].specs(inner, feed)


def _activation_layer(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    config = layer.config
    slopes = config.get("negative_slope", 0), config.get("threshold", 0)
    if any(slopes) or config.get("alpha", 1.0) != 1.0:
        raise layer.unusable("has a slope, threshold or alpha of its own; expected none")
    if layer.kind == "ReLU" and config.get("max_value") is not None:
        if config["max_value"] != 6:
            raise layer.unusable(f"is cut at {config['max_value']}; expected 6, or no limit")
        return [LayerSpec(activation="relu6")]
    return [LayerSpec(activation=ACTIVATION_LAYERS[layer.kind])]


def _softmax(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    if feed.has_steps and layer.axis in (1, -2):
        return [LayerSpec(softmax="steps")]
    if not feed.is_units(layer.axis):
        raise layer.unusable(f"runs along axis {layer.axis}; expected -1, the units")
    return [LayerSpec(activation="softmax")]


def _pool(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    is_operation = layer.kind.startswith("ops.")
    if not feed.has_steps or (is_operation and layer.axis not in (1, -2)):
        raise layer.unusable("does not run over the steps; expected axis=1")
    if layer.config.get("keepdims"):
        raise layer.unusable("keeps the steps' axis; expected keepdims=False")
    return [LayerSpec(pool=POOLS[layer.kind])]


def _merge(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    merge = MERGES[layer.kind]
    if len(feed.sources) < 2 or len(feed.steps) not in (0, len(feed.sources)):
        raise layer.unusable("joins steps with whole sequences; expected two of a kind")
    if merge == "concat" and not feed.is_units(layer.axis):
        raise layer.unusable(f"joins along axis {layer.axis}; expected -1, the units")
    gates = [source for source in feed.sources if source.weighs]
    is_gate = merge == "product" and len(feed.sources) == 2 and len(gates) == 1
    return [LayerSpec(merge="gate" if is_gate else merge)]


def _flatten(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    """All steps side by side; of one vector there is nothing to be done."""
    if not feed.has_steps:
        return []
    if not feed.length:
        raise layer.unusable("flattens sequences of no fixed length; expected an input of so many")
    return [LayerSpec(flatten=FlattenSpec(feed.length))]


def _batch_norm(layer: KerasLayer, feed: Feed) -> list[LayerSpec]:
    config = layer.config
    if not feed.is_units(layer.axis):
        raise layer.unusable(f"runs along axis {layer.axis}; expected -1, the units")
    norm = BatchNormSpec(
        mean=layer.weight("moving_mean"),
        variance=layer.weight("moving_variance"),
        scale=layer.weight("gamma") if config["scale"] else None,
        offset=layer.weight("beta") if config["center"] else None,
        epsilon=float(config["epsilon"]),
    )
    return [LayerSpec(batch_norm=norm)]


def _returns_steps(layer: KerasLayer) -> bool:
    return bool(layer.inner.get("return_sequences"))


LSTM = KerasKind(lambda layer, feed: lstm(layer), _returns_steps)
MERGE = KerasKind(_merge, joins=True)
POOL = KerasKind(_pool, lambda layer: False, takes_masked=True)
SOFTMAX = KerasKind(_softmax, takes_masked=True)

KINDS: dict[str, KerasKind] = {
    **dict.fromkeys((*SILENT, "Masking"), KerasKind(lambda layer, feed: [])),
    **dict.fromkeys(POOLS, POOL),
    **dict.fromkeys(MERGES, MERGE),
    **dict.fromkeys(ACTIVATION_LAYERS, KerasKind(_activation_layer)),
    "Activation": KerasKind(lambda layer, feed: [LayerSpec(activation=layer.activation)]),
    "BatchNormalization": KerasKind(_batch_norm),
    "Bidirectional": KerasKind(
        lambda layer, feed: bidirectional(layer), _returns_steps, parts=directions
    ),
    "CuDNNLSTM": LSTM,
    "Dense": KerasKind(_dense),
    "Embedding": KerasKind(_embedding),
    "Flatten": KerasKind(_flatten, lambda layer: False, takes_masked=True),
    "GlobalAveragePooling1D": KerasKind(_pool, lambda layer: False),
    "LSTM": LSTM,
    "Softmax": SOFTMAX,
    "TimeDistributed": KerasKind(_time_distributed),
    "ops.Softmax": SOFTMAX,
}
