"""Keras's LSTMs, alone and in both directions, as LSTMs of a mapping.

Keras keeps the gates side by side in the order i, f, c, o, where its c is the cell candidate g, and
its kernels as (inputs, outputs).
"""

from typing import Any

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.recurrent import LstmSpec
from lstm_lrp_cli.model.recurrent import DirectionMergeName, GateActivationName
from .architecture import KerasLayer
from .document import kind_of
from .refused import unknown_layer

GATE_ORDER = ["i", "f", "g", "o"]
DIRECTION_MERGES: dict[str, DirectionMergeName] = {
    "concat": "concat",
    "sum": "sum",
    "ave": "mean",
    "mul": "product",
}
CELLS = ("LSTM", "CuDNNLSTM")
RECURRENT = (*CELLS, "Bidirectional")


def lstm(layer: KerasLayer) -> list[LayerSpec]:
    """An LSTM that reads in one direction."""
    cell = _cell(layer)
    if not layer.config.get("go_backwards"):
        return [LayerSpec(lstm=_lstm(layer, forward=cell))]
    backward = LayerSpec(lstm=_lstm(layer, backward=cell))
    # Keras leaves the sequence as it was read, from the last step to the first.
    return (
        [backward, LayerSpec(reverse="steps")] if layer.config["return_sequences"] else [backward]
    )


def bidirectional(layer: KerasLayer) -> list[LayerSpec]:
    """Both directions of an LSTM, made one."""
    forward, backward = _halves(layer)
    cells = {"forward": _cell(forward), "backward": _cell(backward)}
    merge = layer.config["merge_mode"]
    if merge not in DIRECTION_MERGES:
        expected = ", ".join(DIRECTION_MERGES)
        raise layer.unusable(f"has merge mode {merge}; expected one of {expected}")
    return [LayerSpec(lstm=_lstm(forward, merge=DIRECTION_MERGES[merge], **cells))]


def directions(layer: KerasLayer) -> list[list[LayerSpec]]:
    """The two outputs of a bidirectional layer that does not merge them."""
    forward, backward = _halves(layer)
    return [
        [LayerSpec(lstm=_lstm(forward, forward=_cell(forward)))],
        [LayerSpec(lstm=_lstm(backward, backward=_cell(backward)))],
    ]


def _halves(layer: KerasLayer) -> tuple[KerasLayer, KerasLayer]:
    """The forward and the backward LSTM inside a bidirectional layer."""
    entry = layer.config["layer"]
    kind = kind_of(entry)
    if kind not in CELLS:
        raise unknown_layer(layer, kind)
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
    return layer.wrapped(layer.weights[:half]), layer.wrapped(layer.weights[half:])


def _cell(layer: KerasLayer) -> CellSpec:
    if layer.config.get("time_major"):
        raise layer.unusable("takes steps before sequences; expected time_major=False")
    if layer.config.get("return_state"):
        raise layer.unusable("returns its state too; expected its output alone")
    return CellSpec(
        input=layer.weight("kernel"),
        recurrent=layer.weight("recurrent_kernel"),
        bias=layer.weight("bias") if layer.config.get("use_bias", True) else None,
    )


def _lstm(layer: KerasLayer, **settings: Any) -> LstmSpec:
    """What an LSTM and each half of a bidirectional one have in common."""
    config = layer.config
    if layer.kind == "CuDNNLSTM":  # tanh and sigmoid are all that cuDNN has
        activations: dict[str, Any] = {"layout": "cudnn"}
    else:
        activations = {
            "layout": "features_by_gates",
            "activation": layer.activation,
            "recurrent_activation": _gate_activation(layer),
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


def _gate_activation(layer: KerasLayer) -> GateActivationName:
    name = layer.config["recurrent_activation"]
    if name == "sigmoid":
        return "sigmoid"
    if name == "hard_sigmoid":
        return layer.hard_sigmoid
    raise layer.unusable(
        f"has recurrent activation `{name}`; lrp explains sigmoid and hard_sigmoid"
    )
