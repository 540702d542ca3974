"""Keras's own HDF5 layout, as `model.save("model.h5")` writes it: the architecture as a mapping.

Keras keeps the gates side by side in the order i, f, c, o, where its c is the cell candidate g, and
its kernels as (inputs, outputs).
"""

import json
from collections.abc import Callable
from typing import Any, get_args

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.hdf5 import Hdf5File
from lstm_lrp_cli.loading.keras_architecture import KerasLayer, read_chain
from lstm_lrp_cli.loading.mapping import (
    CellSpec,
    DenseSpec,
    Described,
    EmbeddingSpec,
    LayerSpec,
    LstmSpec,
    Mapping,
    PaddingSpec,
)
from lstm_lrp_cli.model.layers import ActivationName, MergeName, PoolName

GATE_ORDER = ["i", "f", "g", "o"]
MERGES: dict[str, MergeName] = {
    "concat": "concat",
    "sum": "sum",
    "ave": "mean",
    "mul": "product",
}
POOLS: dict[str, PoolName] = {
    "GlobalAveragePooling1D": "mean",
    "GlobalMaxPooling1D": "max",
}
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
    }
)

# What a lookup raises in an architecture that is not of the form that Keras writes.
DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(RecursionError, ArithmeticError),
)


def describe(file: Hdf5File) -> Described | None:
    """Read the architecture as a mapping; None where the file is not a whole Keras model.

    Raises
    ------
    UnusableInput
        A layer that the tool does not know, named; or an architecture that is not a chain.
    """
    text = file.attribute("/", "model_config")
    if text is None:
        return None
    try:
        config = json.loads(text)
        layers = read_chain(file, config)
        _check_steps(layers)
        padding = _padding(layers)
        specs = [spec for layer in layers for spec in _convert(layer)]
    except DAMAGED as error:
        raise UnusableInput(
            f"{file.path}: attribute model_config",
            f"is not an architecture that Keras writes ({error!r}); save the model again",
        ) from error
    mapping = Mapping(format=1, layers=specs)
    if padding is not None:
        mapping = Mapping(format=1, layers=specs, padding=padding)
    return Described.by(mapping, f"model_config in {file.path.name}")


def _check_steps(layers: list[KerasLayer]) -> None:
    """Refuse what Keras does with steps and masks and the engine does not."""
    masked = False
    for position, layer in enumerate(layers):
        if layer.config.get("data_format", "channels_last") != "channels_last":
            raise layer.unusable("does not keep its steps first; expected channels_last")
        if layer.kind == "Masking" and any(
            before.kind not in SILENT for before in layers[:position]
        ):
            raise layer.unusable("masks what another layer puts out; expected it to stand first")
        masked = masked or layer.kind == "Masking" or bool(layer.config.get("mask_zero"))
        if layer.kind == "GlobalMaxPooling1D" and masked:
            raise layer.unusable("pools masked steps too, which lrp skips; train without the mask")
    by_step = [layer for layer in layers if layer.kind in ("LSTM", "Bidirectional", *POOLS)]
    if by_step and by_step[-1].kind not in POOLS:
        last = by_step[-1]
        if last.config.get("layer", {"config": last.config})["config"].get("return_sequences"):
            raise last.unusable(
                "gives an output at every step, and so does the model; "
                "expected return_sequences=False, or a pooling layer after it"
            )


def _convert(layer: KerasLayer) -> list[LayerSpec]:
    if layer.kind in SILENT or layer.kind == "Masking":
        return []
    if layer.kind in POOLS:
        return [LayerSpec(pool=POOLS[layer.kind])]
    convert: dict[str, Callable[[KerasLayer], LayerSpec]] = {
        "Embedding": lambda layer: LayerSpec(
            embedding=EmbeddingSpec(weights=layer.weight("embeddings"))
        ),
        "LSTM": lambda layer: LayerSpec(lstm=_lstm(layer)),
        "Bidirectional": lambda layer: LayerSpec(lstm=_bidirectional(layer)),
        "Dense": lambda layer: LayerSpec(dense=_dense(layer)),
        "Activation": lambda layer: LayerSpec(activation=_activation(layer)),
        "Softmax": lambda layer: LayerSpec(activation=_softmax(layer)),
    }
    if layer.kind not in convert:
        known = sorted([*convert, *POOLS, *SILENT, "Masking"])
        raise layer.unusable(f"is not a layer that lrp can explain; it knows {', '.join(known)}")
    return [convert[layer.kind](layer)]


def _cell(layer: KerasLayer, config: dict[str, Any], weights: list[str]) -> CellSpec:
    if config["activation"] != "tanh":
        raise layer.unusable(f"has activation `{config['activation']}`; lrp explains tanh alone")
    if config.get("time_major"):
        raise layer.unusable("takes steps before sequences; expected time_major=False")
    if config.get("return_state"):
        raise layer.unusable("returns its state too; expected its output alone")
    return CellSpec(
        input=layer.weight("kernel", weights),
        recurrent=layer.weight("recurrent_kernel", weights),
        bias=layer.weight("bias", weights) if config["use_bias"] else None,
    )


def _lstm_spec(layer: KerasLayer, config: dict[str, Any], **directions: Any) -> LstmSpec:
    """What an LSTM and each half of a bidirectional one have in common."""
    squash = config["recurrent_activation"]
    if squash not in ("sigmoid", "hard_sigmoid"):
        raise layer.unusable(
            f"has recurrent activation `{squash}`; lrp explains sigmoid and hard_sigmoid"
        )
    _check_hard_sigmoid(layer, squash)
    return LstmSpec(
        gate_order=GATE_ORDER,
        layout="features_by_gates",
        returns="sequence" if config["return_sequences"] else "last",
        recurrent_activation=squash,
        **directions,
    )


def _lstm(layer: KerasLayer) -> LstmSpec:
    config = layer.config
    cell = _cell(layer, config, layer.weights)
    if not config.get("go_backwards"):
        return _lstm_spec(layer, config, forward=cell)
    if config["return_sequences"]:
        raise layer.unusable("returns its sequence from last to first (go_backwards)")
    return _lstm_spec(layer, config, backward=cell)


def _bidirectional(layer: KerasLayer) -> LstmSpec:
    wrapped = layer.config["layer"]
    config = wrapped["config"]
    merge = layer.config["merge_mode"]
    if wrapped["class_name"] != "LSTM":
        raise layer.unusable(f"wraps a layer of kind {wrapped['class_name']}; expected an LSTM")
    if config.get("go_backwards"):
        raise layer.unusable("its forward LSTM goes backwards; expected go_backwards=False")
    other = layer.config.get("backward_layer", wrapped)  # Keras 3 always writes it
    for key in ("units", "activation", "recurrent_activation", "use_bias", "return_sequences"):
        if other["config"][key] != config[key]:
            raise layer.unusable(f"its two directions differ in `{key}`; expected one setting")
    if merge not in MERGES:
        raise layer.unusable(f"has merge mode {merge}; expected one of {', '.join(MERGES)}")
    half = len(layer.weights) // 2  # Keras lists the forward weights first
    return _lstm_spec(
        layer,
        config,
        forward=_cell(layer, config, layer.weights[:half]),
        backward=_cell(layer, config, layer.weights[half:]),
        merge=MERGES[merge],
    )


def _dense(layer: KerasLayer) -> DenseSpec:
    return DenseSpec(
        weights=layer.weight("kernel"),
        layout="features_by_classes",
        bias=layer.weight("bias") if layer.config["use_bias"] else None,
        activation=_activation(layer),
    )


def _activation(layer: KerasLayer) -> ActivationName:
    name: Any = layer.config["activation"]
    if name not in get_args(ActivationName):
        raise layer.unusable(
            f"has activation `{name}`; lrp explains {', '.join(get_args(ActivationName))}"
        )
    _check_hard_sigmoid(layer, name)
    activation: ActivationName = name
    return activation


def _check_hard_sigmoid(layer: KerasLayer, activation: str) -> None:
    """Keras 3 gave the name to another function."""
    if activation == "hard_sigmoid" and layer.keras_version.startswith("3"):
        raise layer.unusable("has the hard sigmoid of Keras 3; lrp knows that of Keras 1 and 2")


def _softmax(layer: KerasLayer) -> ActivationName:
    if layer.config.get("axis", -1) not in (-1, [-1]):
        raise layer.unusable(f"runs along axis {layer.config['axis']}; expected -1, the units")
    return "softmax"


def _padding(layers: list[KerasLayer]) -> PaddingSpec | None:
    """The padding that the model must have been trained on, if any.

    Keras pads in front by default, and with 0.
    """
    shapes = (
        layer.config.get("batch_input_shape") or layer.config.get("batch_shape") for layer in layers
    )
    length = next((shape[1] or 0 for shape in shapes if shape), 0)
    if not isinstance(length, int):
        raise ValueError(f"found an input of {length!r} steps")
    for layer in layers:
        if layer.config.get("mask_zero") or layer.kind == "Masking":
            value = float(layer.config.get("mask_value", 0))
            return PaddingSpec(side="pre", length=length, value=value, masked=True)
    return PaddingSpec(side="pre", length=length, value=0, masked=False) if length else None
