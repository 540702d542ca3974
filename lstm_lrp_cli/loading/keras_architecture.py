"""A Keras architecture as layers that feed each other, whatever file it stands in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lstm_lrp_cli.errors import UnusableInput

Config = dict[str, Any]

# What a lookup raises in an architecture that is not of the form that Keras writes.
DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(RecursionError, ArithmeticError),
)

# The operations of Keras 3 that make a mask: not_equal(ids, 0), any(not_equal(steps, value)).
MASKING = frozenset({"NotEqual", "Any"})

# The order in which Keras lists the weights of a layer; where they have no names, it tells them.
ROLES: dict[str, Callable[[Config], list[str]]] = {
    "Embedding": lambda config: ["embeddings"],
    "LSTM": lambda config: ["kernel", "recurrent_kernel", *["bias"] * bool(config["use_bias"])],
    "CuDNNLSTM": lambda config: ["kernel", "recurrent_kernel", "bias"],
    "Dense": lambda config: ["kernel", *["bias"] * bool(config["use_bias"])],
    "BatchNormalization": lambda config: [
        *["gamma"] * bool(config["scale"]),
        *["beta"] * bool(config["center"]),
        *("moving_mean", "moving_variance"),
    ],
}


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """One layer of a Keras architecture.

    Parameters
    ----------
    kind, name : str
    config : dict
    sources : tuple of str
        The layers that feed it; none for an input.
    weights : list of str
        Its datasets in Keras's order.
    path : Path
        The file, for error messages.
    keras_version : str
        Of the Keras that wrote the file; empty where the file does not say it.
    """

    kind: str
    name: str
    config: Config
    sources: tuple[str, ...]
    weights: list[str]
    path: Path
    keras_version: str

    def unusable(self, problem: str) -> UnusableInput:
        return UnusableInput(f"{self.path}: layer `{self.name}` ({self.kind})", problem)

    def weight(self, role: str, among: list[str] | None = None) -> str:
        """The full name of the weight that Keras calls kernel, bias, ..."""
        names = self.weights if among is None else among
        for name in names:
            if name.rsplit("/", 1)[-1].split(":")[0] == role:
                return name
        roles = ROLES[self.kind](self.config)
        place = roles.index(role)
        if len(names) == len(roles) and names[place].rsplit("/", 1)[-1].isdigit():
            return names[place]
        raise self.unusable(f"the file holds no `{role}` for it; save the whole model again")

    def wrapped(self, entry: Config, weights: list[str]) -> "KerasLayer":
        """The layer inside this one, under the name of this one."""
        kind, config = entry["class_name"], entry["config"]
        return KerasLayer(
            kind, self.name, config, self.sources, weights, self.path, self.keras_version
        )


@dataclass(frozen=True, slots=True)
class Architecture:
    """The layers of a model, each after those that feed it, and the names of its outputs."""

    layers: list[KerasLayer]
    outputs: list[str]


def read_architecture(
    path: Path, document: Config, keras_version: str, weights_of: Callable[[str, str], list[str]]
) -> Architecture:
    """Read the document in which Keras describes a Sequential or Functional model.

    Parameters
    ----------
    weights_of : callable
        Gives the datasets of a layer of that kind and name, in Keras's order. It is asked for all
        layers, in the order of the document.

    Raises
    ------
    UnusableInput
        A layer is shared, called in training, or of another model inside this one.
    """
    kind, body = document["class_name"], document["config"]
    if kind not in ("Sequential", "Model", "Functional"):
        raise UnusableInput(
            str(path), f"is a Keras `{kind}`; expected a Sequential or a Functional model"
        )
    entries = body if isinstance(body, list) else body["layers"]  # a list up to Keras 2.2
    if kind == "Sequential":
        calls = list(_chained(entries))
    else:
        calls = [_called(path, entry) for entry in _without_masks(path, entries)]
    layers = {
        call.name: KerasLayer(
            call.kind,
            call.name,
            call.config,
            call.sources,
            weights_of(call.kind, call.name),
            path,
            keras_version,
        )
        for call in calls
    }
    for layer in layers.values():
        if layer.kind in ("Sequential", "Model", "Functional"):
            raise layer.unusable("is a model inside the model; expected its layers themselves")
        for source in layer.sources:
            if source not in layers:
                raise layer.unusable(f"is fed by `{source}`, which is none of the layers")
    outputs = [calls[-1].name] if kind == "Sequential" else _outputs(body["output_layers"])
    for output in outputs:
        if output not in layers:
            raise UnusableInput(str(path), f"its output `{output}` is none of its layers")
    return Architecture(_sorted(path, layers), outputs)


@dataclass(frozen=True, slots=True)
class _Call:
    """A layer, and the layers that feed it."""

    kind: str
    name: str
    config: Config
    sources: tuple[str, ...] = field(default=())


def _chained(entries: list[Config]) -> Iterator[_Call]:
    before: tuple[str, ...] = ()
    for entry in entries:
        kind, config = entry["class_name"], entry["config"]
        yield _Call(kind, config["name"], config, before)
        before = (config["name"],)


def _without_masks(path: Path, entries: list[Config]) -> list[Config]:
    """The layers without the operations by which Keras 3 makes the mask of an embedding or Masking.

    Which layers are given it follows from that layer, so the operations say nothing more.
    """
    makers = {entry["config"]["name"]: entry for entry in entries if entry["class_name"] in MASKING}
    others = [entry for entry in entries if entry["config"]["name"] not in makers]
    used = {
        tensor
        for entry in others
        for node in entry.get("inbound_nodes", [])
        for tensor in _inputs(node)[0]
        if isinstance(tensor, str)
    }
    if not makers or used & set(makers):
        return entries
    if not any(e["config"].get("mask_zero") or e["class_name"] == "Masking" for e in others):
        raise UnusableInput(
            f"{path}: layer `{next(iter(makers))}`",
            "makes a mask of its own; expected that of an Embedding (mask_zero) or a Masking layer",
        )
    return others


def _called(path: Path, entry: Config) -> _Call:
    """A layer of a functional model with the one call of it."""
    kind, config = entry["class_name"], entry["config"]
    place = f"{path}: layer `{config['name']}` ({kind})"
    nodes = entry.get("inbound_nodes", [])
    if len(nodes) > 1:
        raise UnusableInput(place, "is used more than once; expected a layer for each use")
    sources: list[str] = []
    for node in nodes:
        tensors, settings = _inputs(node)
        if settings.get("training"):
            raise UnusableInput(place, "is called with training=True; expected inference")
        for tensor in tensors:
            if not isinstance(tensor, str):
                raise UnusableInput(place, f"is called with {tensor!r}; expected layers alone")
            sources.append(tensor)
    return _Call(kind, config["name"], config, tuple(sources))


def _inputs(node: Any) -> tuple[list[Any], Config]:
    """What a layer is called with, layers by name; Keras 3 writes a mapping, Keras 2 a list."""
    if isinstance(node, dict):
        tensors: list[Any] = []
        for argument in node["args"]:
            tensors += argument if isinstance(argument, list) else [argument]
        return [
            each["config"]["keras_history"][0]
            if isinstance(each, dict) and each.get("class_name") == "__keras_tensor__"
            else {"value": each}
            for each in tensors
        ], node.get("kwargs", {})
    tensors = node if isinstance(node[0], list) else [node]
    settings = {key: value for t in tensors for more in t[3:] for key, value in more.items()}
    return [tensor[0] for tensor in tensors], settings


def _outputs(outputs: Any) -> list[str]:
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return [output[0] for output in (outputs if isinstance(outputs[0], list) else [outputs])]


def _sorted(path: Path, layers: dict[str, KerasLayer]) -> list[KerasLayer]:
    """The layers in an order in which each comes after those that feed it."""
    waiting, done = dict(layers), dict[str, KerasLayer]()
    while waiting:
        ready = [
            name
            for name, layer in waiting.items()
            if all(source in done for source in layer.sources)
        ]
        if not ready:
            raise UnusableInput(str(path), f"its layer `{next(iter(waiting))}` feeds itself")
        for name in ready:
            done[name] = waiting.pop(name)
    return list(done.values())
