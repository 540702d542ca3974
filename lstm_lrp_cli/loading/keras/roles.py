"""The weights of each kind of Keras's layers: their names in Keras's order, and their shapes."""

import re
from collections.abc import Callable

from .document import Config, kind_of

# None is any size.
Shape = tuple[int | None, ...]

# Layers around another, and how many times over they have its weights.
WRAPPERS = {"Bidirectional": 2, "TimeDistributed": 1}
# The dense layers of attention, in Keras's order.
ATTENTION_PARTS = ("query", "key", "value", "attention_output")


def _size(config: Config, key: str) -> int:
    value = config[key]
    if not isinstance(value, int):
        raise ValueError(f"found a size of {type(value).__name__}")
    return value


def _gates(config: Config) -> int:
    return 4 * _size(config, "units")


def _any(config: Config) -> Shape:
    return (None,)


def _gru_bias(config: Config) -> Shape:
    """Two rows where the reset gate stands behind the product."""
    gates = 3 * _size(config, "units")
    return (2, gates) if config.get("reset_after") else (gates,)


def _axis(config: Config) -> bool:
    """Whether a Normalization has a number for each unit, or one for all."""
    return config.get("axis", -1) not in (None, [], ())


def _of_heads(part: str) -> dict[str, Callable[[Config], Shape]]:
    """A dense layer of attention: to heads of so many units each, or from them."""
    from_heads = part == "attention_output"
    return {
        f"{part}/kernel": lambda config: (None, None, None),
        f"{part}/bias": lambda config: (None,) if from_heads else (None, None),
    }


# The weights of each kind of layer with their shapes, in the order in which Keras lists them; where
# they have no names, it tells them.
WEIGHTS: dict[str, dict[str, Callable[[Config], Shape]]] = {
    "Embedding": {
        "embeddings": lambda config: (_size(config, "input_dim"), _size(config, "output_dim"))
    },
    "LSTM": {
        "kernel": lambda config: (None, _gates(config)),
        "recurrent_kernel": lambda config: (_size(config, "units"), _gates(config)),
        "bias": lambda config: (_gates(config),),
    },
    "Dense": {
        "kernel": lambda config: (None, _size(config, "units")),
        "bias": lambda config: (_size(config, "units"),),
    },
    "BatchNormalization": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), _any),
    "Conv1D": {
        "kernel": lambda config: (None, None, _size(config, "filters")),
        "bias": lambda config: (_size(config, "filters"),),
    },
    "DepthwiseConv1D": {"depthwise_kernel": lambda config: (None, None, None), "bias": _any},
    "SeparableConv1D": {
        "depthwise_kernel": lambda config: (None, None, None),
        "pointwise_kernel": lambda config: (None, None, _size(config, "filters")),
        "bias": _any,
    },
    "GRU": {
        "kernel": lambda config: (None, 3 * _size(config, "units")),
        "recurrent_kernel": lambda config: (_size(config, "units"), 3 * _size(config, "units")),
        "bias": _gru_bias,
    },
    "SimpleRNN": {
        "kernel": lambda config: (None, _size(config, "units")),
        "recurrent_kernel": lambda config: (_size(config, "units"), _size(config, "units")),
        "bias": lambda config: (_size(config, "units"),),
    },
    "Normalization": {
        **dict.fromkeys(("mean", "variance"), lambda config: _any(config) if _axis(config) else ()),
        "count": lambda config: (),
    },
    "LayerNormalization": {"gamma": _any, "beta": _any},
    "GroupNormalization": {"gamma": _any, "beta": _any},
    "PReLU": {"alpha": lambda config: (None, None)},
    "Attention": {"scale": lambda config: ()},
    "AdditiveAttention": {"scale": _any},
    "MultiHeadAttention": {
        role: shape for part in ATTENTION_PARTS for role, shape in _of_heads(part).items()
    },
}
WEIGHTS["CuDNNLSTM"] = WEIGHTS["LSTM"] | {"bias": lambda config: (2 * _gates(config),)}
# How Keras 1 calls a weight: `lstm_1_W_i`, behind the name of its layer; and what it called each.
OLDER_NAME = re.compile(
    r"(?P<layer>.+)_(?P<role>W|U|b|gamma|beta|running_mean|running_std|alphas)"
    r"(?:_(?P<gate>[ifcozrh]))?(?::\d+)?"
)
OLDER_ROLES = {
    "kernel": "W",
    "embeddings": "W",
    "recurrent_kernel": "U",
    "bias": "b",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "running_mean",
    "moving_variance": "running_std",
    "alpha": "alphas",
}
# The gates of a layer, in the order and by the letters of Keras 1.
OLDER_GATES = {"LSTM": "icfo", "GRU": "zrh"}
# By which setting a layer has a weight, where it need not.
SET_BY = {"bias": "use_bias", "gamma": "scale", "beta": "center", "scale": "use_scale"}


def roles(kind: str, config: Config) -> list[str]:
    """What Keras calls the weights of a layer, in its order."""
    if kind == "Normalization" and config.get("mean") is not None:  # its numbers are settings
        return []
    return [
        role
        for role in WEIGHTS[kind]
        if (key := role.rsplit("/", 1)[-1]) not in SET_BY
        or config.get(SET_BY[key], key != "scale" or kind == "AdditiveAttention")
    ]


def weight_shapes(kind: str, config: Config) -> list[Shape] | None:
    """The shapes of a layer's weights in Keras's order; None of layers that are not read."""
    if kind in WRAPPERS:
        inner = weight_shapes(kind_of(config["layer"]), config["layer"]["config"])
        return inner and inner * WRAPPERS[kind]
    if kind not in WEIGHTS:
        return None
    shapes = [WEIGHTS[kind][role](config) for role in roles(kind, config)]
    if config.get("by_gate"):  # in Keras 1
        units = _size(config, "units")
        shapes = [(None, units), (units, units), (units,)] * len(OLDER_GATES[kind])
    if config.get("kernel_rows"):
        shapes[0] = (shapes[0][0], 1, *shapes[0][1:])
    return shapes
