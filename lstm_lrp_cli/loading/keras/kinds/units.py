"""Keras's layers that work on the units of a step or a vector, and those that join several."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from lstm_lrp_cli.loading.keras.architecture import KerasLayer
from lstm_lrp_cli.loading.keras.roles import Shape
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.units import (
    BatchNormSpec,
    DenseSpec,
    EmbeddingSpec,
    GroupNormSpec,
    LayerNormSpec,
    LeakyReluSpec,
)
from lstm_lrp_cli.model.layers import MergeName
from lstm_lrp_cli.model.recurrent import ActivationName
from .feed import Feed, KerasKind, Output, Specs

MERGES: dict[str, MergeName] = {
    "Concatenate": "concat",
    "Add": "sum",
    "Subtract": "difference",
    "Average": "mean",
    "Maximum": "max",
    "Multiply": "product",
    "ops.Concatenate": "concat",
    "ops.Add": "sum",
    "ops.Subtract": "difference",
    "ops.Maximum": "max",
    "ops.Multiply": "product",
}
# Layers of their own that are an activation.
ACTIVATION_LAYERS: dict[str, ActivationName] = {
    "ReLU": "relu",
    "ELU": "elu",
    "LeakyReLU": "relu",
    "PReLU": "relu",
}


def _embedding(layer: KerasLayer, feed: Feed) -> Specs:
    return [LayerSpec(embedding=EmbeddingSpec(layer.weight("embeddings")))]


def _with_units(key: str) -> Callable[[KerasLayer, Feed], Shape]:
    """The shape of what is fed, with as many units as a setting says."""
    return lambda layer, feed: (*feed.shape[:-1], layer.size(key))


def _dense(layer: KerasLayer, feed: Feed) -> Specs:
    dense = DenseSpec(
        weights=layer.weight("kernel"),
        layout="features_by_classes",
        bias=layer.weight("bias") if layer.config["use_bias"] else None,
        activation=layer.activation,
    )
    return [LayerSpec(dense=dense)]


def weighs_steps(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    """A softmax over units that are the steps of a sequence is one over the steps."""
    [source] = feed.sources
    if not source.holds_steps:
        return output
    is_softmax = layer.kind == "Softmax" or layer.config.get("activation") == "softmax"
    return replace(output, weighs=is_softmax, holds_steps=True)


def _activation_layer(layer: KerasLayer, feed: Feed) -> Specs:
    config, kind = layer.config, layer.kind
    if kind == "PReLU":
        shared = config.get("shared_axes")
        if feed.has_steps and (len(feed.shape) > 2 or shared not in ([1], [1, 2], (1,), 1)):
            raise layer.unusable("has a slope for each step; expected shared_axes=[1]")
        return [LayerSpec(leaky_relu=LeakyReluSpec(slopes=layer.weight("alpha")))]
    slope = config.get("negative_slope", 0) or 0
    if kind == "LeakyReLU":
        slope = config.get("negative_slope", config.get("alpha", 0.3))
    if config.get("threshold") or (kind == "ELU" and config.get("alpha", 1.0) != 1.0):
        raise layer.unusable("has a threshold or alpha of its own; expected none")
    if kind == "ReLU" and config.get("max_value") is not None:
        if config["max_value"] != 6 or slope:
            raise layer.unusable(f"is cut at {config['max_value']}; expected 6, or no limit")
        return [LayerSpec(activation="relu6")]
    if slope:
        return [LayerSpec(leaky_relu=LeakyReluSpec(slope=float(slope)))]
    return [LayerSpec(activation=ACTIVATION_LAYERS[kind])]


def _softmax(layer: KerasLayer, feed: Feed) -> Specs:
    if feed.has_steps and layer.axis in (1, -2):
        return [LayerSpec(softmax="steps")]
    if not feed.is_units(layer.axis):
        raise layer.unusable(f"runs along axis {layer.axis}; expected -1, the units")
    return [LayerSpec(activation="softmax")]


def _mark_softmax(layer: KerasLayer, feed: Feed, output: Output) -> Output:
    if feed.has_steps and layer.axis in (1, -2):
        return replace(output, weighs=True)
    return weighs_steps(layer, feed, output)


def _merge(layer: KerasLayer, feed: Feed) -> Specs:
    merge = MERGES[layer.kind]
    if len(feed.sources) < 2 or len(feed.steps) not in (0, len(feed.sources)):
        raise layer.unusable("joins steps with whole sequences; expected two of a kind")
    if merge == "concat" and not feed.is_units(layer.axis):
        raise layer.unusable(f"joins along axis {layer.axis}; expected -1, the units")
    counts = {source.steps for source in feed.steps} - {None}
    if len(counts) > 1:
        told = " and ".join(map(str, sorted(counts, key=str)))
        raise layer.unusable(f"joins sequences of {told} steps; expected as many each")
    if gate_of(layer, feed) is not None:
        return [LayerSpec(merge="gate")]
    sizes = {source.units for source in feed.sources} - {None}
    if merge != "concat" and len(sizes) > 1:
        raise layer.unusable(
            f"joins {' and '.join(map(str, sorted(sizes, key=str)))} units; expected as many each, "
            "or a product of two of which one has 1"
        )
    return [LayerSpec(merge=merge)]


def gate_of(layer: KerasLayer, feed: Feed) -> Output | None:
    """Which of the two factors of a product is a gate: weights of steps, or one unit for all."""
    if MERGES.get(layer.kind) != "product" or len(feed.sources) != 2:
        return None
    for gates in (
        [source for source in feed.sources if source.weighs],
        [source for source in feed.sources if source.units == 1],
    ):
        if len(gates) == 1:
            return gates[0]
    return None


def _merged_shape(layer: KerasLayer, feed: Feed) -> Shape:
    units = [source.units for source in feed.sources]
    known = [size for size in units if size is not None]
    if MERGES[layer.kind] == "concat":
        size = sum(known) if len(known) == len(units) else None
    else:
        size = max(known, default=None)
    lengths = [source.shape[:-1] for source in feed.sources]
    # One of them may say how many steps there are where another does not.
    return (*max(lengths, key=lambda shape: sum(each is not None for each in shape)), size)


def _batch_norm(layer: KerasLayer, feed: Feed) -> Specs:
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


def _normalization(layer: KerasLayer, feed: Feed) -> Specs:
    config = layer.config
    if not feed.is_units(layer.axis):
        raise layer.unusable(f"runs along axis {layer.axis}; expected -1, the units")
    if config.get("rms_scaling"):
        raise layer.unusable("divides by the root mean square; expected rms_scaling=False")
    settings: dict[str, Any] = {
        "scale": layer.weight("gamma") if config.get("scale", True) else None,
        "offset": layer.weight("beta") if config.get("center", True) else None,
        "epsilon": float(config.get("epsilon", 1e-3)),
    }
    if layer.kind == "LayerNormalization":
        return [LayerSpec(layer_norm=LayerNormSpec(**settings))]
    groups = config["groups"]
    if not feed.has_steps:
        raise layer.unusable("is given one vector a sequence; expected steps")
    groups = feed.shape[-1] if groups == -1 else groups
    if not isinstance(groups, int):
        raise layer.unusable(f"has {groups} groups; expected a number")
    return [LayerSpec(group_norm=GroupNormSpec(groups, **settings))]


MERGE = KerasKind(_merge, _merged_shape, joins=True)
SOFTMAX = KerasKind(_softmax, takes_masked=True, mark=_mark_softmax)
UNIT_KINDS: dict[str, KerasKind] = {
    **dict.fromkeys(MERGES, MERGE),
    **dict.fromkeys(ACTIVATION_LAYERS, KerasKind(_activation_layer)),
    "Activation": KerasKind(
        lambda layer, feed: [LayerSpec(activation=layer.activation)], mark=weighs_steps
    ),
    "BatchNormalization": KerasKind(_batch_norm),
    "Dense": KerasKind(_dense, _with_units("units"), mark=weighs_steps),
    "Embedding": KerasKind(_embedding, lambda layer, feed: (*feed.shape, layer.size("output_dim"))),
    "GroupNormalization": KerasKind(_normalization, takes_masked=True),
    "LayerNormalization": KerasKind(_normalization),
    "Softmax": SOFTMAX,
    "ops.Softmax": SOFTMAX,
}
