"""Keras's layers as layers of a mapping.

Keras keeps the gates side by side in the order i, f, c, o, where its c is the cell candidate g, and
its kernels as (inputs, outputs).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast, get_args

import msgspec
from msgspec import UNSET

from lstm_lrp_cli.loading.keras_architecture import Architecture, KerasLayer
from lstm_lrp_cli.loading.mapping import (
    MODEL_INPUT,
    BatchNormSpec,
    CellSpec,
    DenseSpec,
    EmbeddingSpec,
    FlattenSpec,
    LayerSpec,
    LstmSpec,
    Mapping,
    PaddingSpec,
)
from lstm_lrp_cli.model.layers import (
    ActivationName,
    DirectionMergeName,
    GateActivationName,
    MergeName,
    PoolName,
)

GATE_ORDER = ["i", "f", "g", "o"]
DIRECTION_MERGES: dict[str, DirectionMergeName] = {
    "concat": "concat",
    "sum": "sum",
    "ave": "mean",
    "mul": "product",
}
POOLS: dict[str, PoolName] = {
    "GlobalAveragePooling1D": "mean",
    "GlobalMaxPooling1D": "max",
    # Operations of Keras 3, over the steps.
    "Sum": "sum",
    "Mean": "mean",
    "Max": "max",
}
MERGES: dict[str, MergeName] = {
    "Concatenate": "concat",
    "Add": "sum",
    "Average": "mean",
    "Multiply": "product",
}
# Layers of their own that are an activation.
ACTIVATION_LAYERS: dict[str, ActivationName] = {"ReLU": "relu", "ELU": "elu"}
# Keras's names for activations that go by another name here.
RENAMED = {"swish": "silu"}
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
RECURRENT = ("LSTM", "CuDNNLSTM", "Bidirectional")
# Losses of models whose outputs are values, by all names that Keras gives them.
REGRESSION_LOSSES = frozenset(
    {
        *("mse", "mean_squared_error", "meansquarederror", "mae", "mean_absolute_error"),
        *("meanabsoluteerror", "mape", "mean_absolute_percentage_error"),
        *("meanabsolutepercentageerror", "msle", "mean_squared_logarithmic_error"),
        *("meansquaredlogarithmicerror", "huber", "huber_loss", "logcosh", "log_cosh", "poisson"),
    }
)


def convert(architecture: Architecture, losses: Any) -> Mapping:
    """The mapping of a whole model.

    Parameters
    ----------
    losses
        What the model was compiled with: a name, an object, or several of them; None if unknown.

    Raises
    ------
    UnusableInput
        A layer cannot be explained, or Keras would compute it otherwise; it is named.
    """
    length = _length(architecture.layers)
    placed = _place(architecture, length)
    padding = _padding(architecture.layers, length)
    outputs = [placed.alias[name] for name in architecture.outputs]
    several = len(outputs) > 1 or outputs[0] != placed.last
    if several:
        placed.referred.update(outputs)
    specs = [
        msgspec.structs.replace(spec, name=name) if name in placed.referred else spec
        for name, spec in placed.specs
    ]
    return Mapping(
        format=1,
        layers=specs,
        padding=UNSET if padding is None else padding,
        outputs=outputs if several else UNSET,
        task="regression" if _predicts_values(losses, architecture) else UNSET,
    )


@dataclass(slots=True)
class _Placed:
    """The layers of the mapping so far, under the names that they have if others refer to them.

    Parameters
    ----------
    specs : list of (name, LayerSpec)
    alias : dict
        The name under which each Keras layer's output goes: a silent layer's is its source's.
    by_step, masked : dict
        Whether a Keras layer gives a vector a step, and whether a mask goes with it.
    weights_of_steps : set
        The Keras layers that are a softmax over the steps.
    referred : set
        The names that a `from` or `outputs` needs.
    length : int
        The fixed number of steps of the input, or 0.
    """

    length: int
    specs: list[tuple[str, LayerSpec]] = field(default_factory=list)
    alias: dict[str, str] = field(default_factory=dict)
    by_step: dict[str, bool] = field(default_factory=dict)
    masked: dict[str, bool] = field(default_factory=dict)
    weights_of_steps: set[str] = field(default_factory=set)
    referred: set[str] = field(default_factory=set)
    last: str = MODEL_INPUT


def _place(architecture: Architecture, length: int) -> _Placed:
    placed = _Placed(length)
    inputs = [layer for layer in architecture.layers if not layer.sources]
    if len(inputs) > 1:
        names = ", ".join(f"`{layer.name}`" for layer in inputs)
        raise inputs[1].unusable(f"is one of several inputs ({names}); expected a model of one")
    for layer in architecture.layers:
        _check_place(layer, placed, architecture)
        by_step = all(placed.by_step[source] for source in layer.sources)
        specs = _convert(layer, placed, by_step)
        fed_by = sorted(layer.sources, key=lambda name: name not in placed.weights_of_steps)
        in_order = fed_by if specs and specs[0].merge == "gate" else layer.sources
        sources = [placed.alias[source] for source in in_order] or [MODEL_INPUT]
        placed.by_step[layer.name] = by_step and _keeps_steps(layer)
        placed.masked[layer.name] = placed.by_step[layer.name] and (
            any(placed.masked[source] for source in layer.sources)
            or layer.kind == "Masking"
            or bool(layer.config.get("mask_zero"))
        )
        if specs and specs[0].softmax is not None:
            placed.weights_of_steps.add(layer.name)
        if not specs:
            placed.alias[layer.name] = sources[0]
            continue
        if sources != [placed.last]:
            placed.referred.update(sources)
            given = sources[0] if len(sources) == 1 else sources
            specs[0] = msgspec.structs.replace(specs[0], source=given)
        name = f"{layer.name}_" if layer.name == MODEL_INPUT else layer.name
        placed.specs += [("", spec) for spec in specs[:-1]] + [(name, specs[-1])]
        placed.alias[layer.name] = placed.last = name
    return placed


def _keeps_steps(layer: KerasLayer) -> bool:
    """Whether a layer that is given steps gives steps."""
    if layer.kind in RECURRENT:
        config = layer.config.get("layer", {"config": layer.config})["config"]
        return bool(config.get("return_sequences"))
    return layer.kind not in (*POOLS, "Flatten")


def _check_place(layer: KerasLayer, placed: _Placed, architecture: Architecture) -> None:
    """Refuse what Keras does with steps and masks and the engine does not."""
    if layer.config.get("data_format", "channels_last") != "channels_last":
        raise layer.unusable("does not keep its steps first; expected channels_last")
    before = [other for other in architecture.layers if other.name in placed.alias]
    if layer.kind == "Masking" and any(other.kind not in SILENT for other in before):
        raise layer.unusable("masks what another layer puts out; expected it to stand first")
    if not any(placed.masked[source] for source in layer.sources):
        return
    is_operation = layer.kind in (*POOLS, *MERGES) and "trainable" not in layer.config
    over_steps = layer.kind == "Softmax" and _one_axis(layer) in (1, -2)
    if is_operation or over_steps or layer.kind in ("GlobalMaxPooling1D", "Flatten"):
        does = "pools" if layer.kind in POOLS else "takes"
        raise layer.unusable(f"{does} masked steps too, which lrp skips; train without the mask")
    if layer.config.get("go_backwards") and layer.config.get("return_sequences"):
        raise layer.unusable("turns masked steps round, which lrp skips; train without the mask")


def _convert(layer: KerasLayer, placed: _Placed, by_step: bool) -> list[LayerSpec]:
    if layer.kind in SILENT or layer.kind == "Masking":
        return []
    if layer.kind in POOLS:
        return [_pool(layer, by_step)]
    if layer.kind in MERGES:
        return [_merge(layer, placed, by_step)]
    if layer.kind == "Flatten":
        return _flatten(layer, placed, by_step)
    if layer.kind == "TimeDistributed":
        inner = layer.wrapped(layer.config["layer"], layer.weights)
        if inner.kind not in ("Dense", "Activation", *SILENT):
            raise layer.unusable(f"wraps a layer of kind {inner.kind}; expected a Dense")
        return _convert(inner, placed, by_step)
    convert: dict[str, Callable[[KerasLayer], list[LayerSpec]]] = {
        "Embedding": lambda layer: [
            LayerSpec(embedding=EmbeddingSpec(weights=layer.weight("embeddings")))
        ],
        "LSTM": _lstm,
        "CuDNNLSTM": _lstm,
        "Bidirectional": lambda layer: [LayerSpec(lstm=_bidirectional(layer))],
        "Dense": lambda layer: [LayerSpec(dense=_dense(layer))],
        "Activation": lambda layer: [LayerSpec(activation=_activation(layer))],
        "Softmax": lambda layer: [_softmax(layer, by_step)],
        "BatchNormalization": lambda layer: [LayerSpec(batch_norm=_batch_norm(layer, by_step))],
        **dict.fromkeys(ACTIVATION_LAYERS, lambda layer: [_activation_layer(layer)]),
    }
    if layer.kind not in convert:
        known = sorted(
            [*convert, *POOLS, *MERGES, *SILENT, "Masking", "Flatten", "TimeDistributed"]
        )
        raise layer.unusable(f"is not a layer that lrp can explain; it knows {', '.join(known)}")
    return convert[layer.kind](layer)


def _cell(layer: KerasLayer, weights: list[str]) -> CellSpec:
    if layer.config.get("time_major"):
        raise layer.unusable("takes steps before sequences; expected time_major=False")
    if layer.config.get("return_state"):
        raise layer.unusable("returns its state too; expected its output alone")
    return CellSpec(
        input=layer.weight("kernel", weights),
        recurrent=layer.weight("recurrent_kernel", weights),
        bias=layer.weight("bias", weights) if layer.config.get("use_bias", True) else None,
    )


def _lstm_spec(layer: KerasLayer, **settings: Any) -> LstmSpec:
    """What an LSTM and each half of a bidirectional one have in common."""
    config = layer.config
    if layer.kind == "CuDNNLSTM":  # tanh and sigmoid are all that cuDNN has
        activations: dict[str, Any] = {"layout": "cudnn"}
    else:
        activations = {
            "layout": "features_by_gates",
            "activation": _named_activation(layer, config["activation"]),
            "recurrent_activation": _gate_activation(layer, config["recurrent_activation"]),
        }
    if activations.get("activation") == "softmax":
        raise layer.unusable("has activation `softmax`; expected a function of single units")
    return LstmSpec(
        gate_order=GATE_ORDER,
        returns="sequence" if config["return_sequences"] else "last",
        **activations,
        **settings,
    )


def _lstm(layer: KerasLayer) -> list[LayerSpec]:
    cell = _cell(layer, layer.weights)
    if not layer.config.get("go_backwards"):
        return [LayerSpec(lstm=_lstm_spec(layer, forward=cell))]
    backward = LayerSpec(lstm=_lstm_spec(layer, backward=cell))
    # Keras leaves the sequence as it was read, from the last step to the first.
    return (
        [backward, LayerSpec(reverse="steps")] if layer.config["return_sequences"] else [backward]
    )


def _bidirectional(layer: KerasLayer) -> LstmSpec:
    entry = layer.config["layer"]
    merge = layer.config["merge_mode"]
    if entry["class_name"] not in ("LSTM", "CuDNNLSTM"):
        raise layer.unusable(f"wraps a layer of kind {entry['class_name']}; expected an LSTM")
    if entry["config"].get("go_backwards"):
        raise layer.unusable("its forward LSTM goes backwards; expected go_backwards=False")
    other = layer.config.get("backward_layer") or entry  # Keras 3 always writes it
    for key in ("units", "activation", "recurrent_activation", "use_bias", "return_sequences"):
        if other["config"].get(key) != entry["config"].get(key):
            raise layer.unusable(f"its two directions differ in `{key}`; expected one setting")
    if merge not in DIRECTION_MERGES:
        expected = ", ".join(DIRECTION_MERGES)
        raise layer.unusable(f"has merge mode {merge}; expected one of {expected}")
    half = len(layer.weights) // 2  # Keras lists the forward weights first
    wrapped = layer.wrapped(entry, layer.weights)
    return _lstm_spec(
        wrapped,
        forward=_cell(wrapped, layer.weights[:half]),
        backward=_cell(wrapped, layer.weights[half:]),
        merge=DIRECTION_MERGES[merge],
    )


def _dense(layer: KerasLayer) -> DenseSpec:
    return DenseSpec(
        weights=layer.weight("kernel"),
        layout="features_by_classes",
        bias=layer.weight("bias") if layer.config["use_bias"] else None,
        activation=_activation(layer),
    )


def _activation(layer: KerasLayer) -> ActivationName:
    return _named_activation(layer, layer.config["activation"])


def _named_activation(layer: KerasLayer, name: Any) -> ActivationName:
    """The activation that Keras calls by a name; None is none."""
    known = get_args(ActivationName)
    found = "linear" if name is None else RENAMED.get(str(name), name)
    if found not in known or found == "hard_sigmoid_relu6":
        names = ", ".join(each for each in known if each != "hard_sigmoid_relu6")
        raise layer.unusable(f"has activation `{name}`; lrp explains {names}")
    if found == "hard_sigmoid":
        return _hard_sigmoid(layer)
    return cast(ActivationName, found)


def _gate_activation(layer: KerasLayer, name: Any) -> GateActivationName:
    if name == "sigmoid":
        return "sigmoid"
    if name == "hard_sigmoid":
        return _hard_sigmoid(layer)
    raise layer.unusable(
        f"has recurrent activation `{name}`; lrp explains sigmoid and hard_sigmoid"
    )


def _hard_sigmoid(layer: KerasLayer) -> GateActivationName:
    """Keras 3 gave the name to another function."""
    newer = layer.keras_version.startswith("3")
    return "hard_sigmoid_relu6" if newer else "hard_sigmoid"


def _activation_layer(layer: KerasLayer) -> LayerSpec:
    config = layer.config
    slopes = config.get("negative_slope", 0), config.get("threshold", 0)
    if any(slopes) or config.get("alpha", 1.0) != 1.0:
        raise layer.unusable("has a slope, threshold or alpha of its own; expected none")
    if layer.kind == "ReLU" and config.get("max_value") is not None:
        if config["max_value"] != 6:
            raise layer.unusable(f"is cut at {config['max_value']}; expected 6, or no limit")
        return LayerSpec(activation="relu6")
    return LayerSpec(activation=ACTIVATION_LAYERS[layer.kind])


def _softmax(layer: KerasLayer, by_step: bool) -> LayerSpec:
    axis = _one_axis(layer)
    if by_step and axis in (1, -2):
        return LayerSpec(softmax="steps")
    if axis not in (-1, 2 if by_step else 1):
        raise layer.unusable(f"runs along axis {axis}; expected -1, the units")
    return LayerSpec(activation="softmax")


def _one_axis(layer: KerasLayer) -> Any:
    """The axis of a layer, -1 where it says none; Keras 2 sometimes writes a list of one."""
    axis = layer.config.get("axis", -1)
    return axis[0] if isinstance(axis, list) and len(axis) == 1 else axis


def _pool(layer: KerasLayer, by_step: bool) -> LayerSpec:
    is_operation = not layer.kind.startswith("Global")
    if not by_step or (is_operation and _one_axis(layer) not in (1, -2)):
        raise layer.unusable("does not run over the steps; expected axis=1")
    if layer.config.get("keepdims"):
        raise layer.unusable("keeps the steps' axis; expected keepdims=False")
    return LayerSpec(pool=POOLS[layer.kind])


def _merge(layer: KerasLayer, placed: _Placed, by_step: bool) -> LayerSpec:
    kinds = {placed.by_step[source] for source in layer.sources}
    if len(layer.sources) < 2 or len(kinds) > 1:
        raise layer.unusable("joins steps with whole sequences; expected two of a kind")
    axis = _one_axis(layer)
    if layer.kind == "Concatenate" and axis not in (-1, 2 if by_step else 1):
        raise layer.unusable(f"joins along axis {axis}; expected -1, the units")
    gates = [source for source in layer.sources if source in placed.weights_of_steps]
    if layer.kind == "Multiply" and len(gates) == 1 and len(layer.sources) == 2:
        return LayerSpec(merge="gate")
    return LayerSpec(merge=MERGES[layer.kind])


def _flatten(layer: KerasLayer, placed: _Placed, by_step: bool) -> list[LayerSpec]:
    """All steps side by side; of one vector there is nothing to be done."""
    if not by_step:
        return []
    if not placed.length:
        raise layer.unusable("flattens sequences of no fixed length; expected an input of so many")
    return [LayerSpec(flatten=FlattenSpec(placed.length))]


def _batch_norm(layer: KerasLayer, by_step: bool) -> BatchNormSpec:
    config = layer.config
    axis = _one_axis(layer)
    if axis not in (-1, 2 if by_step else 1):
        raise layer.unusable(f"runs along axis {axis}; expected -1, the units")
    return BatchNormSpec(
        mean=layer.weight("moving_mean"),
        variance=layer.weight("moving_variance"),
        scale=layer.weight("gamma") if config["scale"] else None,
        offset=layer.weight("beta") if config["center"] else None,
        epsilon=float(config["epsilon"]),
    )


def _length(layers: list[KerasLayer]) -> int:
    """The fixed number of steps of the input; 0 where it is open."""
    shapes = (
        layer.config.get("batch_input_shape") or layer.config.get("batch_shape") for layer in layers
    )
    length = next((shape[1] or 0 for shape in shapes if shape), 0)
    if not isinstance(length, int):
        raise ValueError(f"found an input of {length!r} steps")
    return length


def _padding(layers: list[KerasLayer], length: int) -> PaddingSpec | None:
    """The padding that the model must have been trained on, if any.

    Keras pads in front by default, and with 0.
    """
    for layer in layers:
        if layer.config.get("mask_zero") or layer.kind == "Masking":
            value = float(layer.config.get("mask_value", 0))
            return PaddingSpec(side="pre", length=length, value=value, masked=True)
    return PaddingSpec(side="pre", length=length, value=0, masked=False) if length else None


def _predicts_values(losses: Any, architecture: Architecture) -> bool:
    """Whether the model was trained to predict values, and not classes."""
    last = [layer for layer in architecture.layers if layer.name in architecture.outputs]
    squashed = any(layer.config.get("activation") in ("softmax", "sigmoid") for layer in last)
    if squashed or any(layer.kind == "Softmax" for layer in last):
        return False
    names = list(_loss_names(losses))
    return bool(names) and all(name.lower() in REGRESSION_LOSSES for name in names)


def _loss_names(losses: Any) -> Iterator[str]:
    """The names of one loss or several, however Keras wrote them."""
    match losses:
        case str():
            yield losses
        case {"class_name": "function", "config": str(name)} | {"class_name": str(name)}:
            yield name
        case dict():
            for each in losses.values():
                yield from _loss_names(each)
        case list():
            for each in losses:
                yield from _loss_names(each)
