"""Keras's recurrent layers, alone and in both directions, as those of a mapping.

Keras keeps an LSTM's gates side by side in the order i, f, c, o, where its c is the cell candidate
g, a GRU's in the order z, r, h, where its h is the candidate n, and kernels as (inputs, outputs).
"""

from collections.abc import Collection
from typing import Any

from lstm_lrp_cli.loading.keras.architecture import STATES, KerasLayer
from lstm_lrp_cli.loading.keras.document import kind_of
from lstm_lrp_cli.loading.keras.refused import unknown_layer
from lstm_lrp_cli.loading.keras.roles import Shape
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.cells import CellSpec
from lstm_lrp_cli.loading.layers.recurrent import GruSpec, LstmSpec, RnnSpec
from lstm_lrp_cli.loading.layers.units import UnitsSpec
from lstm_lrp_cli.model.recurrent import DirectionMergeName, GateActivationName
from .feed import Feed, KerasKind, Specs

GATE_ORDER = ["i", "f", "g", "o"]
GRU_ORDER = ["z", "r", "n"]
# What Keras calls the candidates of an LSTM and a GRU.
CANDIDATES = {("LSTM", "c"): "g", ("GRU", "h"): "n"}
DIRECTION_MERGES: dict[str, DirectionMergeName] = {
    "concat": "concat",
    "sum": "sum",
    "ave": "mean",
    "mul": "product",
}
CELLS = ("LSTM", "CuDNNLSTM", "GRU", "SimpleRNN")
RECURRENT = (*CELLS, "Bidirectional")


def _alone(layer: KerasLayer, feed: Feed) -> Specs:
    """A layer that reads in one direction."""
    read, states = _read(layer, feed)
    backward = bool(layer.config.get("go_backwards"))
    side = "backward" if backward else "forward"
    specs = [*states, _layer(layer, read, **{side: _cell(layer)})]
    if backward and layer.config["return_sequences"]:
        # Keras leaves the sequence as it was read, from the last step to the first.
        specs.append(LayerSpec(reverse="steps"))
    return specs


def _both(layer: KerasLayer, feed: Feed) -> Specs:
    """Both directions of a layer, made one."""
    forward, backward = _halves(layer)
    merge = layer.config["merge_mode"]
    if merge not in DIRECTION_MERGES:
        expected = ", ".join(DIRECTION_MERGES)
        raise layer.unusable(f"has merge mode {merge}; expected one of {expected}")
    read, states = _read(layer, feed)
    cells = {"forward": _cell(forward), "backward": _cell(backward)}
    return [*states, _layer(forward, read, merge=DIRECTION_MERGES[merge], **cells)]


def _read(layer: KerasLayer, feed: Feed) -> tuple[list[str] | None, Specs]:
    """What a layer reads where it is not one source alone: it, and the states that it begins in."""
    if len(feed.sources) < 2:
        return None, []
    states = feed.sources[1:]
    name = f"{layer.name} begins"
    if any(state.by_step for state in states):
        raise layer.unusable("begins in states of steps; expected one vector a sequence")
    if len(states) == 1:
        return [feed.sources[0].name, states[0].name], []
    joined = LayerSpec(name=name, merge="concat", source=[state.name for state in states])
    return [feed.sources[0].name, name], [joined]


def _outputs(
    layer: KerasLayer, feed: Feed, used: Collection[str]
) -> tuple[Specs, dict[str, Specs]]:
    """The outputs of a layer that returns its states too, or its directions apart.

    Returns
    -------
    list of LayerSpec
        What stands behind all of them.
    dict
        By output, what it is.
    """
    if layer.kind == "Bidirectional":
        return _outputs_of_both(layer, feed)
    output, hidden, *cell = layer.outputs
    units, steps = int(layer.config["units"]), bool(layer.config["return_sequences"])
    backward = bool(layer.config.get("go_backwards"))
    gives_cell = bool(cell) and cell[0] in used
    read, states = _read(layer, feed)
    side = "backward" if backward else "forward"
    more: dict[str, Any] = {"cell_state": True} if gives_cell else {}
    base = _layer(layer, read, **{side: _cell(layer)}, **more)
    parts: dict[str, Specs] = {output: [], hidden: [], **({cell[0]: []} if cell else {})}
    if gives_cell:
        parts[output] = parts[hidden] = [LayerSpec(units=UnitsSpec(0, units))]
        parts[cell[0]] = [LayerSpec(units=UnitsSpec(units, 2 * units))]
    if steps:
        last = [LayerSpec(pool="first" if backward else "last")]
        parts = {name: specs if name == output else specs + last for name, specs in parts.items()}
        if backward:
            parts[output] = [*parts[output], LayerSpec(reverse="steps")]
    return [*states, base], parts


def _outputs_of_both(layer: KerasLayer, feed: Feed) -> tuple[Specs, dict[str, Specs]]:
    """Those of both directions: merged or apart, and the states of one and the other."""
    forward, backward = _halves(layer)
    merge = layer.config.get("merge_mode", "concat")
    steps, units = bool(layer.inner["return_sequences"]), int(layer.inner["units"])
    cells = {"forward": _cell(forward), "backward": _cell(backward)}
    has_cell = STATES[forward.kind] == 2 and layer.inner.get("return_state")
    read, states = _read(layer, feed)
    more: dict[str, Any] = {"cell_state": True} if has_cell else {}
    base = _layer(forward, read, merge="concat", **cells, **more)
    size = 2 * units
    sides = [LayerSpec(units=UnitsSpec(k * units, (k + 1) * units)) for k in range(4)]
    ends = [[LayerSpec(pool=end)] if steps else [] for end in ("last", "first")]
    outputs = layer.outputs
    parts: dict[str, Specs] = {}
    if merge is None:
        parts[outputs[0]], parts[outputs[1]] = [sides[0]], [sides[1]]
    elif merge == "concat":
        parts[outputs[0]] = [LayerSpec(units=UnitsSpec(0, size))]
    else:
        raise layer.unusable(f"merges by {merge} and returns its states; expected concat")
    if layer.inner.get("return_state"):
        order = (0, 2, 1, 3) if has_cell else (0, 1)  # of each direction its states
        for name, place in zip(outputs[-len(order) :], order, strict=True):
            parts[name] = [sides[place], *ends[place % 2]]
    return [*states, base], parts


def _halves(layer: KerasLayer) -> tuple[KerasLayer, KerasLayer]:
    """The forward and the backward layer inside a bidirectional one."""
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
    for key in (*settings, "stateful", "reset_after"):
        if other["config"].get(key) != entry["config"].get(key):
            raise layer.unusable(f"its two directions differ in `{key}`; expected one setting")
    half = len(layer.weights) // 2  # Keras lists the forward weights first
    return layer.wrapped(layer.weights[:half]), layer.wrapped(layer.weights[half:])


def _cell(layer: KerasLayer) -> CellSpec:
    if layer.config.get("time_major"):
        raise layer.unusable("takes steps before sequences; expected time_major=False")
    return CellSpec(
        input=_weight(layer, "kernel"),
        recurrent=_weight(layer, "recurrent_kernel"),
        bias=_weight(layer, "bias") if layer.config.get("use_bias", True) else None,
    )


def _weight(layer: KerasLayer, role: str) -> str | dict[str, str]:
    """A weight of all gates; of each gate by itself, under the engine's name, in Keras 1."""
    found = layer.weight_of_gates(role)
    if isinstance(found, str):
        return found
    return {CANDIDATES.get((layer.kind, gate), gate): name for gate, name in found.items()}


def _layer(layer: KerasLayer, source: list[str] | None, **settings: Any) -> LayerSpec:
    """What a layer and each half of a bidirectional one have in common."""
    config = layer.config
    settings |= {
        "returns": "sequence" if config["return_sequences"] else "last",
        "stateful": bool(config.get("stateful")),
    }
    if layer.kind == "CuDNNLSTM":  # tanh and sigmoid are all that cuDNN has
        lstm = LstmSpec(gate_order=GATE_ORDER, layout="cudnn", **settings)
        return LayerSpec(lstm=lstm, source=source)
    activation = layer.activation
    if activation == "softmax":
        raise layer.unusable("has activation `softmax`; expected a function of single units")
    if layer.kind == "SimpleRNN":
        rnn = RnnSpec(layout="features_by_units", activation=activation, **settings)
        return LayerSpec(rnn=rnn, source=source)
    gates: dict[str, Any] = {
        "layout": "features_by_gates",
        "activation": activation,
        "recurrent_activation": _gate_activation(layer),
    }
    if layer.kind == "GRU":
        reset = "after" if config.get("reset_after") else "before"
        gru = GruSpec(gate_order=GRU_ORDER, reset=reset, **gates, **settings)  # type: ignore[arg-type]
        return LayerSpec(gru=gru, source=source)
    return LayerSpec(lstm=LstmSpec(gate_order=GATE_ORDER, **gates, **settings), source=source)


def _gate_activation(layer: KerasLayer) -> GateActivationName:
    name = layer.config["recurrent_activation"]
    if name == "sigmoid":
        return "sigmoid"
    if name == "hard_sigmoid":
        return layer.hard_sigmoid
    raise layer.unusable(
        f"has recurrent activation `{name}`; lrp explains sigmoid and hard_sigmoid"
    )


def _shape(layer: KerasLayer, feed: Feed) -> Shape:
    if layer.kind == "Bidirectional" and kind_of(layer.config["layer"]) not in CELLS:
        raise unknown_layer(layer, kind_of(layer.config["layer"]))
    made = layer.size("units")
    merge = layer.config.get("merge_mode") if layer.kind == "Bidirectional" else None
    if made is not None and merge == "concat":
        made *= 2
    return (feed.shape[0], made) if layer.inner["return_sequences"] else (made,)


RECURRENT_KINDS: dict[str, KerasKind] = {
    **dict.fromkeys(CELLS, KerasKind(_alone, _shape, joins=True, parts=_outputs)),
    "Bidirectional": KerasKind(_both, _shape, joins=True, parts=_outputs),
}
