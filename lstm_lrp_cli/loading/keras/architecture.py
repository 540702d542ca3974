"""A Keras architecture as layers that feed each other, whatever file it stands in."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput

Config = dict[str, Any]

# What a lookup raises in an architecture that is not of the form that Keras writes.
DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(RecursionError, ArithmeticError),
)
# Keras writes about two thousand characters a layer.
ALLOWED_CHARACTERS = 4 * 2**20

MODELS = ("Sequential", "Model", "Functional")

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
# The operations of which Keras 3 makes the masks that it passes on by itself.
MASK_OPERATIONS = frozenset(
    {
        *("ops.NotEqual", "ops.Any", "ops.All", "ops.LogicalOr", "ops.LogicalAnd"),
        *("ops.ExpandDims", "ops.Squeeze", "ops.ZerosLike", "ops.OnesLike", "ops.Concatenate"),
    }
)


class Place(Struct, frozen=True):
    """Where a layer stands among those of its model.

    Parameters
    ----------
    kind, name : str
    number : int
        How many layers of its kind stand before it.
    """

    kind: str
    name: str
    number: int


# Gives the datasets of a layer, in Keras's order. All places but the last are of the models that it
# stands in.
WeightsOf = Callable[[tuple[Place, ...]], list[str]]


class KerasLayer(Struct, frozen=True):
    """One layer of a Keras architecture.

    Parameters
    ----------
    kind, name : str
        The name of a layer in a model inside the model begins with that model's: `inner/lstm`.
    config : dict
    sources : tuple of str
        The layers that feed it; none for an input. `name:1` is the second output of a layer.
    weights : list of str
        Its datasets in Keras's order.
    path : Path
        The file, for error messages.
    keras_version : str
        Of the Keras that wrote the file; empty where the file does not say it.
    is_inside : bool
        Whether it is of a model inside the model.
    called_with_mask : bool or None
        Whether it is given a mask, where the file says so, as Keras 3's functional models do.
    """

    kind: str
    name: str
    config: Config
    sources: tuple[str, ...]
    weights: list[str]
    path: Path
    keras_version: str
    is_inside: bool = False
    called_with_mask: bool | None = None

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
        kind, config = kind_of(entry), entry["config"]
        return KerasLayer(
            kind, self.name, config, self.sources, weights, self.path, self.keras_version
        )


class Architecture(Struct, frozen=True):
    """The layers of a model, each after those that feed it, and the names of its outputs."""

    layers: list[KerasLayer]
    outputs: list[str]
    is_sequential: bool = False


def read_document(where: str, text: str | bytes) -> Any:
    """Read the JSON in which Keras describes a model.

    Raises
    ------
    UnusableInput
        It is no JSON, or larger or deeper than any model is.
    """
    if len(text) > ALLOWED_CHARACTERS:
        raise UnusableInput(
            where,
            f"has {len(text):,} characters; no such architecture is honest, so it is not read",
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableInput(
            where, f"is not the JSON that Keras writes ({error}); save the model again"
        ) from error


def kind_of(entry: Config) -> str:
    """What a layer is: Keras's own name for it, or for an operation; or that of a user's class."""
    kind, module = entry["class_name"], entry.get("module", "keras")
    if not isinstance(kind, str):
        raise ValueError(f"found a layer of class {kind!r}")
    if str(module).split(".")[0] not in ("keras", "tf_keras"):
        return str(entry.get("registered_name") or f"{module}.{kind}")
    return f"ops.{kind}" if _is_operation(entry) else kind


def name_of(entry: Config) -> str:
    """The name of a layer; operations have it beside their settings alone up to Keras 3.5."""
    return str(entry["config"].get("name") or entry["name"])


def _is_operation(entry: Config) -> bool:
    """Whether it is a function of Keras 3, and no layer; its `.h5` files do not say the module."""
    if "module" in entry:
        return ".ops." in f"{entry['module']}."
    is_called = any(isinstance(node, dict) for node in entry.get("inbound_nodes", []))
    return is_called and "trainable" not in entry["config"]


def read_architecture(
    path: Path, document: Config, keras_version: str, weights_of: WeightsOf
) -> Architecture:
    """Read the document in which Keras describes a Sequential or Functional model.

    Layers of models inside the model stand among the others.

    Raises
    ------
    UnusableInput
        A layer is shared, or called in training, with a mask of its own, or with more than layers.
    """
    if document["class_name"] not in MODELS:
        raise UnusableInput(
            str(path),
            f"is a Keras `{document['class_name']}`; expected a Sequential or a Functional model",
        )
    reader = _Reader(path, keras_version, weights_of)
    outputs = reader.read_model(document, (), "", ())
    return Architecture(reader.layers, outputs, document["class_name"] == "Sequential")


class _Call(Struct, frozen=True):
    """A layer of a functional model with the one call of it: each tensor a layer and an output.

    `masks` is None where the file does not say them.
    """

    entry: Config
    tensors: tuple[tuple[str, int], ...]
    masks: tuple[tuple[str, int], ...] | None
    others: tuple[Any, ...]
    settings: Config

    def unusable(self, path: Path, problem: str) -> UnusableInput:
        name, kind = name_of(self.entry), kind_of(self.entry)
        return UnusableInput(f"{path}: layer `{name}` ({kind})", problem)


class _Reader(Struct):
    """Collects the layers of a model, and of the models inside it, in the order of their use."""

    path: Path
    keras_version: str
    weights_of: WeightsOf
    layers: list[KerasLayer] = field(default_factory=list)

    def read_model(
        self, entry: Config, places: tuple[Place, ...], prefix: str, feeding: tuple[str, ...]
    ) -> list[str]:
        """Read one model that those layers feed, and return the layers that are its outputs."""
        body = entry["config"]
        entries = body if isinstance(body, list) else body["layers"]  # a list up to Keras 2.2
        numbered = dict(zip(map(id, entries), _places(entries), strict=True))
        if kind_of(entry) != "Sequential":
            return self._read_graph(body, numbered, places, prefix, feeding)
        for each in entries:
            place = numbered[id(each)]
            feeding = tuple(self._read_layer(each, (*places, place), prefix, feeding))
        return list(feeding)

    def _read_layer(
        self,
        entry: Config,
        places: tuple[Place, ...],
        prefix: str,
        sources: tuple[str, ...],
        called_with_mask: bool | None = None,
    ) -> list[str]:
        """Read a layer, or all layers of a model, and return its outputs."""
        place = places[-1]
        name = f"{prefix}{place.name}"
        if place.kind in MODELS:
            return self.read_model(entry, places, f"{name}/", sources)
        weights = self.weights_of(places)
        layer = KerasLayer(
            *(place.kind, name, entry["config"], sources, weights, self.path),
            *(self.keras_version, len(places) > 1, called_with_mask),
        )
        self.layers.append(layer)
        is_parted = place.kind == "Bidirectional" and layer.config["merge_mode"] is None
        return [name, f"{name}:1"] if is_parted else [name]

    def _read_graph(
        self,
        body: Config,
        numbered: dict[int, Place],
        places: tuple[Place, ...],
        prefix: str,
        feeding: tuple[str, ...],
    ) -> list[str]:
        calls: dict[str, _Call] = {}
        for entry in body["layers"]:
            name = name_of(entry)
            if name in calls:
                raise UnusableInput(str(self.path), f"two of its layers are called `{name}`")
            calls[name] = _called(self.path, entry)
        outputs = list(_references(body["output_layers"]))
        for output, _ in outputs:
            if output not in calls:
                raise UnusableInput(str(self.path), f"its output `{output}` is none of its layers")
        given: dict[str, str] = {}
        if feeding:  # the model itself is fed by no layer
            inputs = [name for name, _ in _references(body["input_layers"])]
            given = dict(zip(inputs, feeding, strict=True))
        order = _in_order(self.path, calls, [name for name, _ in outputs])
        _check_masks(self.path, calls, order)
        values: dict[str, list[str]] = {}
        for name in order:
            call = calls[name]
            _check_call(self.path, call)
            sources = tuple(_value(values, *tensor) for tensor in call.tensors)
            if not sources and name in given:
                sources = (given[name],)
            values[name] = self._read_layer(
                call.entry,
                (*places, numbered[id(call.entry)]),
                prefix,
                sources,
                called_with_mask=None if call.masks is None else bool(call.masks),
            )
        return [_value(values, *output) for output in outputs]


def _places(entries: list[Config]) -> Iterator[Place]:
    seen: Counter[str] = Counter()
    for entry in entries:
        kind = kind_of(entry)
        yield Place(kind, name_of(entry), seen[kind])
        seen[kind] += 1


def _value(values: dict[str, list[str]], name: str, output: int) -> str:
    """The output of a layer, or of a model inside the model."""
    found = values[name]
    if output < len(found):
        return found[output]
    return f"{found[0]}:{output}"


def _called(path: Path, entry: Config) -> _Call:
    nodes = entry.get("inbound_nodes", [])
    if len(nodes) > 1:
        call = _Call(entry, (), None, (), {})
        raise call.unusable(path, "is used more than once; expected a layer for each use")
    tensors: list[tuple[str, int]] = []
    masks: list[tuple[str, int]] | None = None
    others: list[Any] = []
    settings: Config = {}
    for node in nodes:
        if isinstance(node, dict):  # as Keras 3 writes it
            for argument in _flat(node["args"]):
                history = _history(argument)
                tensors += [history] if history else []
                others += [] if history or argument is None else [argument]
            settings = dict(node.get("kwargs", {}))
            found = [_history(each) for each in _flat([settings.get("mask")])]
            masks = [each for each in found if each]
            if masks:
                del settings["mask"]
        else:
            for tensor in node if isinstance(node[0], list) else [node]:
                tensors.append((tensor[0], tensor[2]))
                for more in tensor[3:]:
                    settings |= more
    return _Call(
        entry, tuple(tensors), None if masks is None else tuple(masks), tuple(others), settings
    )


def _flat(arguments: Iterable[Any]) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, list):
            yield from _flat(argument)
        else:
            yield argument


def _history(argument: Any) -> tuple[str, int] | None:
    """The layer and the output that a tensor in Keras 3's form is."""
    if isinstance(argument, dict) and argument.get("class_name") == "__keras_tensor__":
        name, _, output = argument["config"]["keras_history"]
        return name, output
    return None


def _references(entries: Any) -> Iterator[tuple[str, int]]:
    """A model's inputs or outputs: one, a list of them, or a mapping."""
    if isinstance(entries, dict):
        entries = list(entries.values())
    for entry in entries if isinstance(entries[0], list) else [entries]:
        yield entry[0], entry[2]


def _in_order(path: Path, calls: dict[str, _Call], outputs: list[str]) -> list[str]:
    """The layers that the outputs depend on, each after those that feed it."""
    order: dict[str, None] = {}
    for output in outputs:
        waiting = {} if output in order else {output: iter(calls[output].tensors)}
        while waiting:
            name, sources = next(reversed(waiting.items()))
            source, _ = next(sources, (None, 0))
            if source is None:
                order[name] = None
                del waiting[name]
            elif source not in order:
                if source in waiting:
                    raise calls[name].unusable(path, f"is fed by `{source}`, so it feeds itself")
                if source not in calls:
                    raise calls[name].unusable(
                        path, f"is fed by `{source}`, which is none of the layers"
                    )
                waiting[source] = iter(calls[source].tensors)
    return list(order)


def _check_call(path: Path, call: _Call) -> None:
    """Refuse a call with anything but layers."""
    if call.others:
        raise call.unusable(path, f"is called with {call.others[0]!r}; expected layers alone")
    for key, value in call.settings.items():
        if key == "training" and value:
            raise call.unusable(path, "is called with training=True; expected inference")
        if value is not None and value is not False:
            raise call.unusable(path, f"is called with `{key}`; expected layers alone")


def _check_masks(path: Path, calls: dict[str, _Call], order: list[str]) -> None:
    """Refuse a mask that is computed otherwise than Keras does by itself.

    What a mask is computed by stands among the layers in Keras 3's files, but feeds none.
    """
    configs = [call.entry["config"] for call in calls.values()]
    masked = [0] * any(config.get("mask_zero") for config in configs)
    masked += [config["mask_value"] for config in configs if "mask_value" in config]
    used, own = set(order), set[str]()
    for name in order:
        pending = [mask for mask, _ in calls[name].masks or ()]
        if any(mask in used for mask in pending):
            raise calls[name].unusable(path, "is called with a mask that is a layer's output")
        while pending:
            mask = pending.pop()
            if mask in used or mask in own:
                continue
            own.add(mask)
            kind, constants = kind_of(calls[mask].entry), calls[mask].others
            is_comparison = kind == "ops.NotEqual"
            if kind not in MASK_OPERATIONS or (is_comparison and list(constants) != masked):
                raise calls[name].unusable(
                    path, "is called with a mask of its own; expected that of a layer"
                )
            pending += [source for source, _ in calls[mask].tensors]
