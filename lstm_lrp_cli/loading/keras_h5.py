"""Keras's own HDF5 layout, as `model.save("model.h5")` writes it: the architecture as a mapping.

Keras keeps the gates side by side in the order i, f, c, o, where its c is the cell candidate g, and
its kernels as (inputs, outputs).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.hdf5 import Hdf5File
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


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of a Keras architecture, with the names of its weights in the file."""

    kind: str
    name: str
    config: dict[str, Any]
    weights: list[str]
    file: Hdf5File
    keras_version: str

    def unusable(self, problem: str) -> UnusableInput:
        return UnusableInput(f"{self.file.path}: layer `{self.name}` ({self.kind})", problem)

    def weight(self, role: str, among: list[str] | None = None) -> str:
        """The full name of the weight that Keras calls kernel, bias, ..."""
        for name in self.weights if among is None else among:
            if name.rsplit("/", 1)[-1].split(":")[0] == role:
                return name
        raise self.unusable(f"the file holds no `{role}` for it; save the whole model again")


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
        layers = _chain(file, config)
        padding = _padding(layers)
        specs = [spec for layer in layers for spec in _convert(layer)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UnusableInput(
            f"{file.path}: attribute model_config",
            f"is not an architecture that Keras writes ({error!r}); save the model again",
        ) from error
    mapping = Mapping(format=1, layers=specs)
    if padding is not None:
        mapping = Mapping(format=1, layers=specs, padding=padding)
    return Described.by(mapping, f"model_config in {file.path.name}")


def _chain(file: Hdf5File, config: dict[str, Any]) -> list[_Layer]:
    """The layers in the order in which data passes them."""
    kind, body = config["class_name"], config["config"]
    entries = body if isinstance(body, list) else body["layers"]  # a list up to Keras 2.2
    if kind not in ("Sequential", "Model", "Functional"):
        raise UnusableInput(
            str(file.path), f"is a Keras `{kind}`; expected a Sequential or a Functional model"
        )
    if kind != "Sequential":
        entries = _follow(file, entries)
    version = str(file.attribute("/", "keras_version") or "")
    return [
        _Layer(
            entry["class_name"],
            entry["config"]["name"],
            entry["config"],
            _weight_names(file, entry["config"]["name"]),
            file,
            version,
        )
        for entry in entries
    ]


def _follow(file: Hdf5File, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order a functional model's layers, each fed by the one before."""
    followers: dict[str | None, dict[str, Any]] = {}
    for entry in entries:
        sources = _inbound(entry)
        source = sources[0] if sources else None
        if len(sources) > 1 or source in followers:
            raise UnusableInput(
                f"{file.path}: layer `{entry['config']['name']}` ({entry['class_name']})",
                "branches or joins; expected a chain of layers, each fed by the one before",
            )
        followers[source] = entry
    ordered: list[dict[str, Any]] = []
    name: str | None = None
    while name in followers:
        entry = followers.pop(name)
        ordered.append(entry)
        name = entry["config"]["name"]
    if followers:
        raise UnusableInput(
            str(file.path), f"its layer `{next(iter(followers))}` leads nowhere; expected a chain"
        )
    return ordered


def _inbound(entry: dict[str, Any]) -> list[str]:
    """The names of the layers that feed a layer, in Keras 2's form or in Keras 3's."""
    sources: list[str] = []
    for node in entry.get("inbound_nodes", []):
        if isinstance(node, dict):
            tensors = node["args"][0] if node["args"] else []
            tensors = tensors if isinstance(tensors, list) else [tensors]
            sources += [tensor["config"]["keras_history"][0] for tensor in tensors]
        else:
            node = node if isinstance(node[0], list) else [node]
            sources += [tensor[0] for tensor in node]
    return sources


def _weight_names(file: Hdf5File, layer: str) -> list[str]:
    root = "model_weights" if file.has_group("model_weights") else ""
    group = f"{root}/{layer}" if root else layer
    if not any(name.startswith(f"{group}/") for name in file.datasets):
        return []
    return [f"{group}/{name}" for name in file.attribute(group, "weight_names")]


def _convert(layer: _Layer) -> list[LayerSpec]:
    if layer.kind in SILENT or layer.kind == "Masking":
        return []
    if layer.kind in POOLS:
        return [LayerSpec(pool=POOLS[layer.kind])]
    convert: dict[str, Callable[[_Layer], LayerSpec]] = {
        "Embedding": lambda layer: LayerSpec(
            embedding=EmbeddingSpec(weights=layer.weight("embeddings"))
        ),
        "LSTM": lambda layer: LayerSpec(lstm=_lstm(layer)),
        "Bidirectional": lambda layer: LayerSpec(lstm=_bidirectional(layer)),
        "Dense": lambda layer: LayerSpec(dense=_dense(layer)),
        "Activation": lambda layer: LayerSpec(activation=_activation(layer)),
        "Softmax": lambda layer: LayerSpec(activation="softmax"),
    }
    if layer.kind not in convert:
        known = sorted([*convert, *POOLS, *SILENT, "Masking"])
        raise layer.unusable(f"is not a layer that lrp can explain; it knows {', '.join(known)}")
    return [convert[layer.kind](layer)]


def _cell(layer: _Layer, config: dict[str, Any], weights: list[str]) -> CellSpec:
    if config["activation"] != "tanh":
        raise layer.unusable(f"has activation `{config['activation']}`; lrp explains tanh alone")
    if config.get("return_state"):
        raise layer.unusable("returns its state too; expected its output alone")
    return CellSpec(
        input=layer.weight("kernel", weights),
        recurrent=layer.weight("recurrent_kernel", weights),
        bias=layer.weight("bias", weights) if config["use_bias"] else None,
    )


def _lstm_spec(layer: _Layer, config: dict[str, Any], **directions: Any) -> LstmSpec:
    """What an LSTM and each half of a bidirectional one have in common."""
    squash = config["recurrent_activation"]
    if squash not in ("sigmoid", "hard_sigmoid"):
        raise layer.unusable(
            f"has recurrent activation `{squash}`; lrp explains sigmoid and hard_sigmoid"
        )
    if squash == "hard_sigmoid" and layer.keras_version.startswith("3"):
        raise layer.unusable("has the hard sigmoid of Keras 3; lrp knows that of Keras 1 and 2")
    return LstmSpec(
        gate_order=GATE_ORDER,
        layout="features_by_gates",
        returns="sequence" if config["return_sequences"] else "last",
        recurrent_activation=squash,
        **directions,
    )


def _lstm(layer: _Layer) -> LstmSpec:
    config = layer.config
    cell = _cell(layer, config, layer.weights)
    if not config.get("go_backwards"):
        return _lstm_spec(layer, config, forward=cell)
    if config["return_sequences"]:
        raise layer.unusable("returns its sequence from last to first (go_backwards)")
    return _lstm_spec(layer, config, backward=cell)


def _bidirectional(layer: _Layer) -> LstmSpec:
    wrapped = layer.config["layer"]
    config = wrapped["config"]
    merge = layer.config["merge_mode"]
    if wrapped["class_name"] != "LSTM":
        raise layer.unusable(f"wraps a layer of kind {wrapped['class_name']}; expected an LSTM")
    if config.get("go_backwards"):
        raise layer.unusable("its forward LSTM goes backwards; expected go_backwards=False")
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


def _dense(layer: _Layer) -> DenseSpec:
    return DenseSpec(
        weights=layer.weight("kernel"),
        layout="features_by_classes",
        bias=layer.weight("bias") if layer.config["use_bias"] else None,
        activation=_activation(layer),
    )


def _activation(layer: _Layer) -> ActivationName:
    name: Any = layer.config["activation"]
    if name not in get_args(ActivationName):
        raise layer.unusable(
            f"has activation `{name}`; lrp explains {', '.join(get_args(ActivationName))}"
        )
    activation: ActivationName = name
    return activation


def _padding(layers: list[_Layer]) -> PaddingSpec | None:
    """The padding that the model must have been trained on, if any.

    Keras pads in front by default, and with 0.
    """
    shapes = (
        layer.config.get("batch_input_shape") or layer.config.get("batch_shape") for layer in layers
    )
    length = next((shape[1] or 0 for shape in shapes if shape), 0)
    for layer in layers:
        if layer.config.get("mask_zero") or layer.kind == "Masking":
            value = layer.config.get("mask_value", 0)
            return PaddingSpec(side="pre", length=length, value=value, masked=True)
    return PaddingSpec(side="pre", length=length, value=0, masked=False) if length else None
