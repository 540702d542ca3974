"""Keras's layers as layers of a mapping.

Keras keeps the gates side by side in the order i, f, c, o, where its c is the cell candidate g, and
its kernels as (inputs, outputs).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping.schema import (
    INPUT_NAME,
    NO_CLASS,
    Assumption,
    BatchNormSpec,
    CellSpec,
    DenseSpec,
    Described,
    EmbeddingSpec,
    FlattenSpec,
    LayerSpec,
    LstmSpec,
    Mapping,
    PaddingSpec,
    Task,
)
from lstm_lrp_cli.model.layers import (
    ActivationName,
    DirectionMergeName,
    GateActivationName,
    MergeName,
    PoolName,
)
from .architecture import Architecture, KerasLayer, kind_of

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
# Layers that make ids of words.
TEXT_LAYERS = ("TextVectorization", "StringLookup", "IntegerLookup")
# Recurrent layers that are no LSTM's. An RNN of LSTM cells is one, and can be described by hand.
OTHER_CELLS = ("GRU", "CuDNNGRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
# What can be done about a layer that is not converted. Where a mapping has the model's layers, what
# the file says of them is not asked.
IF_IT_CAN = (
    "if it does no more than a mapping can say, describe all layers by hand in {mapping}; docs/"
    "mapping.md has the kinds"
)
ATTENTION = (
    "as part of attention over the steps it needs no layer of its own: describe all layers by hand "
    "in {mapping} (softmax: steps, merge: gate, pool: sum; or attention)"
)
SCALE_YOURSELF = "describe all other layers by hand in {mapping}, and scale the values yourself"
BY_HAND = {
    "RepeatVector": f"{ATTENTION}; a decoder that it feeds has no mapping",
    **dict.fromkeys(
        ("Permute", "Reshape", "Lambda", "Dot"), f"{ATTENTION}; else it has no mapping"
    ),
    "RNN": "if its cells are LSTM cells, describe all layers by hand in {mapping}; others have no "
    "mapping",
    "Normalization": "describe all layers by hand in {mapping}, and it as a batch_norm of its mean "
    "and variance with epsilon: 0",
    "Rescaling": SCALE_YOURSELF,
}
NO_MAPPING = {
    **dict.fromkeys(OTHER_CELLS, "it is no LSTM, and no mapping can describe it as one"),
    **dict.fromkeys(
        (
            *("Conv1D", "SeparableConv1D", "DepthwiseConv1D", "MaxPooling1D", "AveragePooling1D"),
            *("LayerNormalization", "GroupNormalization", "UnitNormalization"),
            *("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"),
            *("LeakyReLU", "PReLU", "ThresholdedReLU"),
        ),
        "nor has a mapping any like it",
    ),
}
RECURRENT = ("LSTM", "CuDNNLSTM", "Bidirectional")
# Losses of models whose outputs are values, of classes, and of a yes or no each, by all names that
# Keras gives them, in small letters and without underscores.
REGRESSION_LOSSES = frozenset(
    {
        *("mse", "meansquarederror", "mae", "meanabsoluteerror"),
        *("mape", "meanabsolutepercentageerror", "msle", "meansquaredlogarithmicerror"),
        *("huber", "huberloss", "logcosh", "poisson"),
    }
)
CLASS_LOSSES = frozenset(
    {"categoricalcrossentropy", "sparsecategoricalcrossentropy", "categoricalfocalcrossentropy"}
)
BINARY_LOSSES = frozenset({"bce", "binarycrossentropy", "binaryfocalcrossentropy"})


def describe_architecture(
    architecture: Architecture, losses: Any, origin: str, keras_version: str
) -> Described:
    """The mapping of a whole model, and what of it is assumed.

    Parameters
    ----------
    losses
        What the model was compiled with: a name, an object, or several of them; None if unknown.
    origin : str
        What says it.
    keras_version : str
        Of the Keras that wrote it; empty where it is not said.

    Raises
    ------
    UnusableInput
        A layer cannot be explained, or Keras would compute it otherwise; it is named.
    """
    for layer in architecture.layers:
        if layer.kind in TEXT_LAYERS:
            from .text import begins_with_text

            raise begins_with_text(layer, architecture)
        if layer.kind in OTHER_CELLS:  # whatever else there is: of this no mapping can be made
            raise _unknown(layer)
    length = _length(architecture.layers)
    stateful = _stateful(architecture.layers)
    placed = _place(architecture, length)
    padding = _padding(architecture.layers, length)
    outputs = [placed.alias[name] for name in architecture.outputs]
    several = len(outputs) > 1 or outputs[0] != placed.last
    if several:
        placed.referred.update(outputs)
    specs = [
        _without_needless(spec, name if name in placed.referred else None, bool(stateful))
        for name, spec in placed.specs
    ]
    ends = dict(placed.specs)
    last = [ends.get(name, LayerSpec()) for name in outputs]
    tasks = _output_tasks(architecture, last, losses)
    assumptions = [*_sigmoids_of_values(outputs, last, losses)]
    if not keras_version and any(map(_has_hard_sigmoid, specs)):
        assumptions.append(Assumption("layers", "its hard_sigmoid is that of Keras 1 and 2"))
    if None in tasks:
        assumptions.append(NO_CLASS)
    if stateful:
        assumptions.append(
            Assumption(
                "stateful",
                f"the input comes as its stateful LSTMs had it, in batches of {stateful}: sequence "
                f"n begins in the states in which sequence n - {stateful} ended, from the first "
                f"on; settled by `stateful: {stateful}`, or `stateful: null` where each sequence "
                "begins anew",
            )
        )
    mapping = Mapping(
        format=1,
        layers=specs,
        padding=UNSET if padding is None else padding,
        outputs=outputs if several else UNSET,
        task=_task(tasks, len(outputs)),
        stateful=stateful or UNSET,
    )
    return Described.by(mapping, origin, assumptions)


def _without_needless(spec: LayerSpec, name: str | None, carries: bool) -> LayerSpec:
    """A layer with its name where others need it; an LSTM that carries nothing where others do."""
    lstm = spec.lstm
    if lstm is not None:
        says = False if carries and not lstm.stateful else None
        lstm = msgspec.structs.replace(lstm, stateful=says)
    return msgspec.structs.replace(spec, name=name, lstm=lstm)


def _has_hard_sigmoid(spec: LayerSpec) -> bool:
    names = [spec.activation, spec.dense and spec.dense.activation]
    if spec.lstm is not None:
        names += [spec.lstm.activation, spec.lstm.recurrent_activation]
    return "hard_sigmoid" in names


class _Placed(Struct):
    """The layers of the mapping so far, under the names that they have if others refer to them.

    Parameters
    ----------
    length : int
        The fixed number of steps of the input, or 0.
    has_mask : bool
        Whether any layer makes a mask.
    specs : list of (name, LayerSpec)
    alias : dict
        The name under which each output of a Keras layer goes: a silent layer's is its source's.
    by_step, masked : dict
        Whether an output has a vector a step, and whether a mask goes with it.
    weights_of_steps : set
        The names that are a softmax over the steps.
    referred : set
        The names that a `from` or `outputs` needs.
    last : str
        The name of the last of them.
    """

    length: int
    has_mask: bool
    specs: list[tuple[str, LayerSpec]] = field(default_factory=list)
    alias: dict[str, str] = field(default_factory=dict)
    by_step: dict[str, bool] = field(default_factory=dict)
    masked: dict[str, bool] = field(default_factory=dict)
    weights_of_steps: set[str] = field(default_factory=set)
    referred: set[str] = field(default_factory=set)
    last: str = INPUT_NAME

    def add(self, layer: KerasLayer, output: str, specs: list[LayerSpec]) -> None:
        """Add what a layer, or one output of it, amounts to: layers one behind the other."""
        sources = [self.alias[source] for source in layer.sources] or [INPUT_NAME]
        if not specs:
            self.alias[output] = sources[0]
            return
        if specs[0].merge == "gate":
            sources.sort(key=lambda name: name not in self.weights_of_steps)
        if sources != [self.last]:
            self.referred.update(sources)
            given = sources[0] if len(sources) == 1 else sources
            specs = [msgspec.structs.replace(specs[0], source=given), *specs[1:]]
        name = f"{output}_" if output == INPUT_NAME else output
        self.specs += [("", spec) for spec in specs[:-1]] + [(name, specs[-1])]
        if specs[-1].softmax is not None:
            self.weights_of_steps.add(name)
        self.alias[output] = self.last = name


def _place(architecture: Architecture, length: int) -> _Placed:
    placed = _Placed(length, any(map(_makes_mask, architecture.layers)))
    inputs = [layer for layer in architecture.layers if not layer.sources]
    if len(inputs) > 1:
        names = ", ".join(f"`{layer.name}`" for layer in inputs)
        raise inputs[1].unusable(f"is one of several inputs ({names}); expected a model of one")
    used = {*architecture.outputs}.union(*(layer.sources for layer in architecture.layers))
    for layer in architecture.layers:
        for source in layer.sources:
            if source not in placed.alias:
                raise layer.unusable(f"is fed by `{source}`, which gives no such output")
        if len(layer.sources) > 1 and layer.kind not in MERGES:
            if layer.kind in (*NO_MAPPING, *BY_HAND):
                raise _unknown(layer)
            raise layer.unusable(f"is fed by {len(layer.sources)} layers; expected one")
        _check_place(layer, placed)
        by_step = all(placed.by_step[source] for source in layer.sources)
        if layer.kind == "Bidirectional" and layer.config["merge_mode"] is None:
            outputs = {name: s for name, s in _directions(layer).items() if name in used}
        else:
            outputs = {layer.name: _convert(layer, placed, by_step)}
        for output, specs in outputs.items():
            placed.add(layer, output, specs)
            placed.by_step[output] = by_step and _keeps_steps(layer)
            placed.masked[output] = placed.by_step[output] and (
                any(placed.masked[source] for source in layer.sources) or _makes_mask(layer)
            )
    return placed


def _makes_mask(layer: KerasLayer) -> bool:
    return layer.kind == "Masking" or bool(layer.config.get("mask_zero"))


def _keeps_steps(layer: KerasLayer) -> bool:
    """Whether a layer that is given steps gives steps."""
    if layer.kind in RECURRENT:
        config = layer.config.get("layer", {"config": layer.config})["config"]
        return bool(config.get("return_sequences"))
    return layer.kind not in (*POOLS, "Flatten")


def _check_place(layer: KerasLayer, placed: _Placed) -> None:
    """Refuse what Keras does with steps and masks and the engine does not."""
    if layer.config.get("data_format", "channels_last") != "channels_last":
        raise layer.unusable("does not keep its steps first; expected channels_last")
    if "Quantized" in str(layer.config.get("dtype")):
        raise layer.unusable("is quantized; expected weights as they were trained")
    # What the model itself is fed with reaches these under the name of the input.
    if layer.kind in ("Masking", "Embedding") and (
        placed.specs or any(placed.alias[source] != INPUT_NAME for source in layer.sources)
    ):
        does = "masks" if layer.kind == "Masking" else "embeds"
        raise layer.unusable(f"{does} what another layer puts out; expected it to stand first")
    if not placed.has_mask:
        if layer.called_with_mask:
            raise layer.unusable("is called with a mask of its own; expected that of a layer")
        return
    steps = [source for source in layer.sources if placed.by_step[source]]
    if layer.is_inside and (steps or _makes_mask(layer)):
        raise layer.unusable(
            "is of a model inside the model, which passes no mask on; train without the mask"
        )
    if any(placed.masked[source] for source in steps):
        _check_masked(layer)
        if layer.called_with_mask is False and layer.kind in (*RECURRENT, "GlobalAveragePooling1D"):
            raise layer.unusable("is given no mask, unlike others; train without the mask")
    silent = (*SILENT, "Masking", "Embedding")
    if layer.kind not in silent and not all(placed.masked[source] for source in steps):
        raise layer.unusable("takes steps that are masked elsewhere, and lrp skips them everywhere")


def _check_masked(layer: KerasLayer) -> None:
    """Refuse a layer that masked steps take part in, or that puts them elsewhere."""
    if layer.kind.startswith("ops.") or layer.kind in ("GlobalMaxPooling1D", "Flatten", "Softmax"):
        does = "pools" if layer.kind in POOLS else "takes"
        raise layer.unusable(f"{does} masked steps too, which lrp skips; train without the mask")
    inner = layer.config["layer"] if layer.kind == "Bidirectional" else {"class_name": layer.kind}
    if inner["class_name"] == "CuDNNLSTM":
        raise layer.unusable("is given a mask, which cuDNN does not take; train without the mask")
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
            raise _unknown(layer, inner.kind)
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
        **dict.fromkeys(("Softmax", "ops.Softmax"), lambda layer: [_softmax(layer, by_step)]),
        "BatchNormalization": lambda layer: [LayerSpec(batch_norm=_batch_norm(layer, by_step))],
        **dict.fromkeys(ACTIVATION_LAYERS, lambda layer: [_activation_layer(layer)]),
    }
    if layer.kind not in convert:
        raise _unknown(layer)
    return convert[layer.kind](layer)


def _unknown(layer: KerasLayer, kind: str | None = None) -> UnusableInput:
    """The refusal of a layer, or of the kind inside one, and what can be done about it."""
    kind = kind or layer.kind
    hint = NO_MAPPING.get(kind) or BY_HAND.get(kind, IF_IT_CAN)
    if kind == "Normalization" and layer.config.get("mean") is not None:
        hint = f"{SCALE_YOURSELF}: its mean and variance are settings, and no weights"
    mapping = layer.path.with_suffix(".yaml").name
    what = "is not a layer" if kind == layer.kind else f"wraps a layer of kind {kind}, not one"
    return layer.unusable(f"{what} that lrp can explain; {hint.format(mapping=mapping)}")


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
        stateful=bool(config.get("stateful")),
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
    inner, forward, backward = _halves(layer)
    merge = layer.config["merge_mode"]
    if merge not in DIRECTION_MERGES:
        expected = ", ".join(DIRECTION_MERGES)
        raise layer.unusable(f"has merge mode {merge}; expected one of {expected}")
    return _lstm_spec(inner, forward=forward, backward=backward, merge=DIRECTION_MERGES[merge])


def _directions(layer: KerasLayer) -> dict[str, list[LayerSpec]]:
    """The two outputs of a bidirectional layer that does not merge them."""
    inner, forward, backward = _halves(layer)
    return {
        layer.name: [LayerSpec(lstm=_lstm_spec(inner, forward=forward))],
        f"{layer.name}:1": [LayerSpec(lstm=_lstm_spec(inner, backward=backward))],
    }


def _halves(layer: KerasLayer) -> tuple[KerasLayer, CellSpec, CellSpec]:
    """The LSTM inside a bidirectional layer, and its forward and backward weights."""
    entry = layer.config["layer"]
    kind = kind_of(entry)
    if kind not in ("LSTM", "CuDNNLSTM"):
        raise _unknown(layer, kind)
    if entry["config"].get("go_backwards"):
        raise layer.unusable("its forward LSTM goes backwards; expected go_backwards=False")
    other = layer.config.get("backward_layer") or entry  # Keras 3 always writes it
    if kind_of(other) != kind:
        raise layer.unusable(f"its two directions are {kind} and {kind_of(other)}; expected one")
    settings = ("units", "activation", "recurrent_activation", "use_bias", "return_sequences")
    for key in (*settings, "stateful"):
        if other["config"].get(key) != entry["config"].get(key):
            raise layer.unusable(f"its two directions differ in `{key}`; expected one setting")
    half = len(layer.weights) // 2  # Keras lists the forward weights first
    inner = layer.wrapped(entry, layer.weights)
    return inner, _cell(inner, layer.weights[:half]), _cell(inner, layer.weights[half:])


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
    is_operation = layer.kind.startswith("ops.")
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
    if MERGES[layer.kind] == "concat" and axis not in (-1, 2 if by_step else 1):
        raise layer.unusable(f"joins along axis {axis}; expected -1, the units")
    gates = [each for each in layer.sources if placed.alias[each] in placed.weights_of_steps]
    if MERGES[layer.kind] == "product" and len(gates) == 1 and len(layer.sources) == 2:
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
    length = next((shape[1] or 0 for shape in _input_shapes(layers) if len(shape) > 1), 0)
    if not isinstance(length, int):
        raise ValueError(f"found an input of {length!r} steps")
    return length


def _input_shapes(layers: list[KerasLayer]) -> Iterator[Any]:
    """The shapes of inputs, of batches of sequences."""
    for layer in layers:
        shape = layer.config.get("batch_input_shape") or layer.config.get("batch_shape")
        if shape:
            yield shape


def _stateful(layers: list[KerasLayer]) -> int | bool:
    """How many sequences a batch has between which stateful LSTMs carry their states.

    False where none is stateful, true where the file does not say how many.
    """
    configs = (layer.config.get("layer", {"config": layer.config})["config"] for layer in layers)
    if not any(config.get("stateful") for config in configs):
        return False
    batch = next((shape[0] for shape in _input_shapes(layers) if shape[0] is not None), True)
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"found an input of {batch!r} sequences")
    return batch


def _padding(layers: list[KerasLayer], length: int) -> PaddingSpec | None:
    """The padding that the model must have been trained on, if any.

    It pads with 0; on which side, the file does not say.
    """
    for layer in layers:
        if layer.config.get("mask_zero") or layer.kind == "Masking":
            value = float(layer.config.get("mask_value", 0))
            return PaddingSpec(length=length, value=value, masked=True)
    return PaddingSpec(length=length, value=0, masked=False) if length else None


def _output_tasks(
    architecture: Architecture, ends: list[LayerSpec], losses: Any
) -> list[Task | None]:
    """What each output that does not end in a softmax or sigmoid is of, by its loss.

    None where that does not say it: it is one of the user's own, or there is none. The only output
    may also end in sigmoids, of which a loss of classes says that they are no labels each.
    """
    layers = {layer.name: layer for layer in architecture.layers}
    tasks: list[Task | None] = []
    names = _loss_names(architecture.outputs, losses)
    for name, end, loss in zip(architecture.outputs, ends, names, strict=True):
        activation = _last_activation(end)
        if activation == "sigmoid" and len(ends) == 1 and loss in CLASS_LOSSES:
            return ["classification"]
        if activation in ("softmax", "sigmoid"):
            continue
        config = layers[name].config if name in layers else {}
        units = config.get("layer", {"config": config})["config"].get("units")
        tasks.append(_task_by(loss, is_single=units == 1))
    return tasks


def _sigmoids_of_values(
    outputs: Sequence[str], ends: list[LayerSpec], losses: Any
) -> Iterator[Assumption]:
    """Sigmoids that were trained by a loss of values, which as many take for classes as not."""
    for end, loss in zip(ends, _loss_names(outputs, losses), strict=True):
        if _last_activation(end) == "sigmoid" and loss in REGRESSION_LOSSES:
            yield Assumption(
                "task or labels",
                f"its sigmoid is of classes, though its loss, {loss}, is one of values",
            )


def _last_activation(end: LayerSpec) -> str | UnsetType | None:
    return end.dense.activation if end.dense else end.activation


def _loss_names(outputs: Sequence[str], losses: Any) -> list[str]:
    """The name of each output's loss, as `_loss_name` tells it."""
    match losses:
        case {"class_name": _} | str() | None:
            each = [losses] * len(outputs)
        case dict():
            each = [losses.get(name) for name in outputs]
        case [*found] if len(found) == len(outputs):
            each = found
        case _:
            each = [None] * len(outputs)
    return [_loss_name(loss) for loss in each]


def _task_by(loss: str, *, is_single: bool) -> Task | None:
    if loss in REGRESSION_LOSSES:
        return "regression"
    # Several logits of a yes or no each are no classes of which one is taken.
    return (
        "classification" if loss in CLASS_LOSSES | (BINARY_LOSSES if is_single else set()) else None
    )


def _loss_name(loss: Any) -> str:
    """The name of a loss of Keras's own, however it wrote it; empty of any other."""
    match loss:
        case [only]:
            return _loss_name(only)
        case str(name) | {"class_name": "function", "config": str(name)}:
            return name.lower().replace("_", "")
        case {"class_name": str(name)} if str(loss.get("module") or "keras").startswith("keras"):
            return name.lower().replace("_", "")
    return ""


def _task(tasks: Sequence[Task | None], outputs: int) -> Task | UnsetType:
    """What a mapping says of all outputs; nothing where their activations do."""
    if not tasks:
        return UNSET
    same = set(tasks) if len(tasks) == outputs else {None}
    [task] = same if len(same) == 1 else [None]
    return task or "unknown"
