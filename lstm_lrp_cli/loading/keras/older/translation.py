"""An architecture of Keras 1 in the words of later versions, and windows as Theano lays them.

Keras 2 called almost every setting by another name, made layers of the modes of `Merge`, and let no
Sequential model begin with several inputs. After `translated`, nothing but the names of weights
tells that a model is one of Keras 1 (`weights` beside this file).
"""

from collections.abc import Callable, Iterator
from typing import Any

from lstm_lrp_cli.loading.keras.document import MODELS, Config, kind_of, layers_of, name_of

# Settings by the names that Keras 2 gave them, for every layer that has them.
RENAMED = {
    "bias": "use_bias",
    "inner_activation": "recurrent_activation",
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "border_mode": "padding",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
    "pool_length": "pool_size",
    "stride": "strides",
    "length": "size",
}
# What no later layer says so; a document without a version is of Keras 1 if it has one of them.
OF_KERAS_1 = ("W_regularizer", "inner_activation", "nb_filter", "border_mode", "dot_axes")
KINDS = {
    "Convolution1D": "Conv1D",
    "AtrousConvolution1D": "Conv1D",
    "TimeDistributedDense": "Dense",
}
# Layers whose `output_dim` became their `units`; that of an Embedding kept its name.
WITH_UNITS = ("Dense", "LSTM", "GRU", "SimpleRNN")
MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "concat": "Concatenate",
    "ave": "Average",
    "max": "Maximum",
    "dot": "Dot",
}
# Settings that later versions write and Keras 1 had no other way of.
ALWAYS: dict[str, Config] = {
    "BatchNormalization": {"scale": True, "center": True},
    "LSTM": {"use_bias": True},
    "GRU": {"use_bias": True, "reset_after": False},
    "SimpleRNN": {"use_bias": True},
}


def is_older(document: Config, version: str) -> bool:
    """Whether a document is of Keras 1, by the version that is said of it, or else its settings."""
    if version:
        return version.startswith("1.")
    return any(key in entry["config"] for entry in _every_layer(document) for key in OF_KERAS_1)


def _every_layer(entry: Config) -> Iterator[Config]:
    """All layers of a model, those of models and wrappers inside it too."""
    if entry["class_name"] in MODELS:
        for each in layers_of(entry):
            yield from _every_layer(each)
        return
    config = entry["config"]
    if isinstance(config, dict):
        yield entry
        if isinstance(config.get("layer"), dict):
            yield from _every_layer(config["layer"])
        for each in config.get("layers") or ():  # what a Merge at the beginning joins
            yield from _every_layer(each)


def translated(document: Config, version: str) -> Config:
    """The same model as a later version of Keras describes it.

    Parameters
    ----------
    document : dict
        Of Keras 1.
    version : str
        Of the Keras that wrote it, "" where that is not said.
    """
    mapped = _mapped(document, lambda entry: _layer(entry, version))
    if kind_of(mapped) == "Sequential" and _joined(layers_of(mapped)[0]):
        return {**mapped, "class_name": "Model", "config": _Graph().of_sequential(mapped)}
    return mapped


def as_computed_on(backend: Any, document: Config) -> Config:
    """The same model with its windows as a backend lays them, in the words of Keras 2.

    Theano turns the kernel of a convolution round, and begins windows that keep the length of a
    sequence half their width before each step.
    """
    return _mapped(document, _of_theano) if backend == "theano" else document


def _mapped(entry: Config, change: Callable[[Config], Config]) -> Config:
    """A model with each of its layers changed."""
    if entry["class_name"] in MODELS:
        body = entry["config"]
        layers = [_mapped(each, change) for each in layers_of(entry)]
        changed = layers if isinstance(body, list) else {**body, "layers": layers}
        return {**entry, "config": changed}
    config = entry["config"]
    if isinstance(config.get("layer"), dict):
        config = {**config, "layer": _mapped(config["layer"], change)}
    if config.get("layers"):
        config = {**config, "layers": [_mapped(each, change) for each in config["layers"]]}
    return change({**entry, "config": config})


def _layer(entry: Config, version: str) -> Config:
    """One layer in later words."""
    kind, given = kind_of(entry), entry["config"]
    kind = KINDS.get(kind, kind)
    config = {RENAMED.get(key, key): value for key, value in given.items()}
    config |= ALWAYS.get(kind, {})
    if kind in WITH_UNITS:
        config["units"] = config.pop("output_dim")
    if kind in ("LSTM", "GRU"):
        config["by_gate"] = given.get("consume_less") != "gpu"
    match kind:
        case "Merge":
            kind = _merge(config)
        case "Conv1D":
            config["kernel_rows"] = 1  # a convolution of images, one pixel high
        case "ZeroPadding1D" if isinstance(given["padding"], dict):
            sides = given["padding"]
            config["padding"] = [sides.get("left_pad", 0), sides.get("right_pad", 0)]
        case "BatchNormalization" if given.get("mode", 0) != 0 or not _keeps_variance(version):
            # Its other modes take mean and variance of what they are given.
            kind = f"{kind}(mode={given.get('mode', 0)}) of Keras {version or '1.0'}"
    return {**entry, "class_name": kind, "config": config}


def _keeps_variance(version: str) -> bool:
    """Whether `running_std` is a variance, as in Keras 1.1 and 1.2; before that it was its root."""
    return version.startswith(("1.1", "1.2"))


def _merge(config: Config) -> str:
    """The layer that a mode of Merge became, whose settings it adds."""
    mode = str(config["mode"]) if config.get("mode_type", "raw") == "raw" else "a function"
    if mode == "concat":
        config["axis"] = config["concat_axis"]
    if mode == "dot":
        config |= {"axes": config["dot_axes"], "normalize": False}
    return MERGES.get(mode, f"Merge(mode={mode})")


def _joined(entry: Config) -> list[Config]:
    """What a Merge joins that a Sequential model begins with, the only place where it says it."""
    if kind_of(entry) in MODELS:
        return []
    found: list[Config] = entry["config"].get("layers") or []
    return found


class _Graph:
    """The layers of a functional model that a Sequential one with several inputs amounts to."""

    def __init__(self) -> None:
        self.layers: list[Config] = []
        self.inputs: list[list[Any]] = []

    def of_sequential(self, entry: Config) -> Config:
        output = self._chain(layers_of(entry))
        return {
            "layers": self.layers,
            "input_layers": self.inputs,
            "output_layers": [[output, 0, 0]],
        }

    def _chain(self, layers: list[Config]) -> str:
        """Add layers that feed each other, behind an input or what they join: the last one."""
        first, *behind = layers
        sources = [self._branch(each) for each in _joined(first)]
        if not sources:
            sources = [self._input(first)]
        last = self._add(first, sources)
        for each in behind:
            last = self._add(each, [last])
        return last

    def _branch(self, entry: Config) -> str:
        if kind_of(entry) == "Sequential":
            return self._chain(layers_of(entry))
        # A functional model has inputs of its own.
        if kind_of(entry) in MODELS:
            raise ValueError("a Merge joins functional models")
        return self._chain([entry])

    def _add(self, entry: Config, sources: list[str]) -> str:
        if kind_of(entry) == "Sequential":  # one inside the chain
            for each in layers_of(entry):
                sources = [self._add(each, sources)]
            return sources[0]
        node = [[source, 0, 0] for source in sources]
        name = name_of(entry)
        self.layers.append({**entry, "name": name, "inbound_nodes": [node]})
        return name

    def _input(self, first: Config) -> str:
        """Add the input of a chain, under the name that Keras 1 gave it."""
        name = f"{name_of(first)}_input"
        config = {"name": name, "batch_input_shape": first["config"].get("batch_input_shape")}
        self.layers.append(
            {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}
        )
        self.inputs.append([name, 0, 0])
        return name


def _of_theano(entry: Config) -> Config:
    kind, config = kind_of(entry), entry["config"]
    if kind == "Conv1D":
        width = _number(config["kernel_size"])
        reach = _number(config.get("dilation_rate", 1)) * (width - 1) + 1
        paddings = {"same": [reach // 2, (reach - 1) // 2], "full": [reach - 1, reach - 1]}
        padding = config.get("padding")
        config = {**config, "padding": paddings.get(padding, padding), "flipped": True}
    if kind in ("MaxPooling1D", "AveragePooling1D") and config.get("padding") == "same":
        kind = f"{kind}(border_mode=same) of Theano"
    return {**entry, "class_name": kind, "config": config}


def _number(value: Any) -> int:
    """A setting that Keras 2 has as a list of one."""
    return int(value[0] if isinstance(value, list | tuple) else value)
