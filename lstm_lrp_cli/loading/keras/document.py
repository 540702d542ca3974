"""The JSON in which Keras describes a model: its entries of layers, and the calls between them."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput

Config = dict[str, Any]

# What a lookup raises in an architecture that is not of the form that Keras writes.
DAMAGED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError),
    *(RecursionError, ArithmeticError),
)
# Keras writes about two thousand characters a layer.
ALLOWED_CHARACTERS = 4 * 2**20

# No model has more, those of its models counted as often as they are called.
MOST_LAYERS = 100_000

GRAPHS = ("Model", "Functional")
MODELS = ("Sequential", *GRAPHS)


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


def counted(path: Path) -> Iterator[int]:
    """Counts layers as they are read.

    A model that is called twice in one that is called twice, and so on, doubles with each.

    Raises
    ------
    UnusableInput
        They are more than any model has.
    """
    yield from range(MOST_LAYERS)
    raise UnusableInput(str(path), f"has more than {MOST_LAYERS:,} layers; no model has as many")


def kind_of(entry: Config) -> str:
    """What a layer is: Keras's own name for it, or for an operation; or that of a user's class."""
    kind, module = entry["class_name"], entry.get("module", "keras")
    if not isinstance(kind, str):
        raise ValueError(f"found a layer of class {kind!r}")
    if str(module).split(".")[0] not in ("keras", "tf_keras"):
        return str(entry.get("registered_name") or f"{module}.{kind}")
    return f"ops.{kind}" if _is_operation(entry) else kind


def name_of(entry: Config) -> str:
    """The name of a layer; operations have it beside their settings alone up to Keras 3.5.

    The settings of a Sequential model are its layers alone up to Keras 2.2.
    """
    config = entry["config"]
    if isinstance(config, list):
        return str(entry.get("name") or "sequential")
    return str(config.get("name") or entry["name"])


def layers_of(entry: Config) -> list[Config]:
    """The layers of a model, which are all that its settings were up to Keras 2.2."""
    body = entry["config"]
    layers: list[Config] = body if isinstance(body, list) else body["layers"]
    return layers


def _is_operation(entry: Config) -> bool:
    """Whether it is a function of Keras 3, and no layer; its `.h5` files do not say the module.

    A layer's settings have whether it is trained, or its precision at the least; an operation's
    may have the type of what it makes, which of masks is no number.
    """
    if "module" in entry:
        return ".ops." in f"{entry['module']}."
    is_called = any(isinstance(node, dict) for node in entry.get("inbound_nodes", []))
    config = entry["config"]
    return is_called and "trainable" not in config and config.get("dtype") in (None, "bool")


# A call of a layer: its name, and which of its calls it is, from 0.
CallName = tuple[str, int]
# An output of a call.
Tensor = tuple[CallName, int]
# What a layer may be called with beside its inputs that is a tensor.
ROLES = ("initial_state", "query", "value", "key", "states")


class LayerCall(Struct, frozen=True):
    """A call of a layer of a functional model.

    `roles` has what each tensor is given as, None where it is by its place; `masks` is None where
    the file does not say them.
    """

    entry: Config
    tensors: tuple[Tensor, ...]
    roles: tuple[str | None, ...]
    masks: tuple[Tensor, ...] | None
    others: tuple[Any, ...]
    settings: Config

    def unusable(self, path: Path, problem: str) -> UnusableInput:
        name, kind = name_of(self.entry), kind_of(self.entry)
        return UnusableInput(f"{path}: layer `{name}` ({kind})", problem)

    def check(self, path: Path) -> None:
        """Refuse a call with anything but layers."""
        if self.others:
            raise self.unusable(path, f"is called with {self.others[0]!r}; expected layers alone")
        for key, value in self.settings.items():
            if key == "training" and value:
                raise self.unusable(path, "is called with training=True; expected inference")
            if key == "use_causal_mask":
                continue  # which the layer's kind looks at
            if value is not None and value is not False:
                raise self.unusable(path, f"is called with `{key}`; expected layers alone")


def needed_calls(
    path: Path, body: Config, calls: dict[CallName, LayerCall]
) -> tuple[list[CallName], list[Tensor]]:
    """The calls that a functional model's outputs depend on, and those outputs.

    The calls stand in order, each after those that feed it.

    Raises
    ------
    UnusableInput
        A layer feeds itself, or is fed by none of the layers.
    """
    first, outputs = _first_numbers(body), []
    for (name, number), place in references(body["output_layers"]):
        if (name, 0) not in calls:
            raise UnusableInput(str(path), f"its output `{name}` is none of its layers")
        built = first.get(name, _built(calls[name, 0].entry, number))
        outputs.append(((name, number - built), place))
    order = _in_order(path, calls, [name for name, _ in outputs])
    return order, outputs


def _first_numbers(body: Config) -> dict[str, int]:
    """From what number on the calls of models inside the model are counted, up to Keras 2.

    The first is that by which a model was built, and not in the file.
    """
    nodes = {name_of(entry): entry.get("inbound_nodes") or [] for entry in body["layers"]}
    models = {name_of(entry) for entry in body["layers"] if kind_of(entry) in MODELS}
    older = {name for name in models if nodes[name] and isinstance(nodes[name][0], list)}
    referred = [call for call, _ in references(body["output_layers"])]
    for node in chain.from_iterable(nodes.values()):
        if isinstance(node, list):
            referred += [(tensor[0], tensor[1]) for tensor in _tensors(node)]
    first: dict[str, int] = {}
    for name, number in referred:
        if name in older:
            first[name] = min(first.get(name, number), number)
    return first


def _built(entry: Config, number: int) -> bool:
    """Whether a graph's calls are counted from 1, as Keras 3 does in a model's outputs alone."""
    return number > 0 and kind_of(entry) in GRAPHS


def every_call(path: Path, body: Config) -> dict[CallName, LayerCall]:
    """All calls of a functional model, also those that make its masks.

    Raises
    ------
    UnusableInput
        Two layers have one name.
    """
    calls: dict[CallName, LayerCall] = {}
    first = _first_numbers(body)
    for entry in body["layers"]:
        name = name_of(entry)
        if (name, 0) in calls:
            raise UnusableInput(str(path), f"two of its layers are called `{name}`")
        nodes = entry.get("inbound_nodes", [])
        for number, node in enumerate(nodes or [None]):
            calls[name, number] = _read_call(entry, node, first)
    return calls


def _read_call(entry: Config, node: Any, first: dict[str, int]) -> LayerCall:
    """One call, as Keras 3 writes it or Keras 2; there is none of an input."""
    tensors: list[Tensor] = []
    roles: list[str | None] = []
    masks: list[Tensor] | None = None
    others: list[Any] = []
    settings: Config = {}
    if isinstance(node, dict):
        for argument in _flat(node["args"]):
            history = _history(argument)
            tensors += [history] if history else []
            others += [] if history or argument is None else [argument]
        roles += [None] * len(tensors)
        settings = dict(node.get("kwargs", {}))
        found = [_history(each) for each in _flat([settings.get("mask")])]
        masks = [each for each in found if each]
        if masks or _is_nothing(settings.get("mask")):
            settings.pop("mask", None)
        for role in ROLES:
            given = [_history(each) for each in _flat([settings.get(role)])]
            if given and all(given):
                tensors += [each for each in given if each]
                roles += [role] * len(given)
                del settings[role]
    elif node is not None:
        _read_older(node, tensors, roles, settings)
        tensors = [((name, at - first.get(name, 0)), place) for (name, at), place in tensors]
    return LayerCall(
        entry,
        tuple(tensors),
        tuple(roles),
        None if masks is None else tuple(masks),
        tuple(others),
        settings,
    )


def _read_older(
    node: list[Any], tensors: list[Tensor], roles: list[str | None], settings: Config
) -> None:
    """Add what a call has as Keras up to version 2 writes it."""
    for tensor in _tensors(node):
        tensors.append(((tensor[0], tensor[1]), tensor[2]))
        roles.append(None)
        for more in tensor[3:]:
            for key, value in dict(more).items():
                if key in ROLES and isinstance(value, list):
                    several = value if isinstance(value[0], list) else [value]
                    tensors += [((each[0], each[1]), each[2]) for each in several]
                    roles += [key] * len(several)
                else:
                    settings[key] = value


def _tensors(node: list[Any]) -> list[Any]:
    """What a layer is called with, up to Keras 2: one, or a list of them."""
    return node if isinstance(node[0], list) else [node]


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(map(_is_nothing, value)))


def _flat(arguments: Iterable[Any]) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, list):
            yield from _flat(argument)
        else:
            yield argument


def _history(argument: Any) -> Tensor | None:
    """The call and the output that a tensor in Keras 3's form is."""
    if isinstance(argument, dict) and argument.get("class_name") == "__keras_tensor__":
        name, call, output = argument["config"]["keras_history"]
        return (name, call), output
    return None


def references(entries: Any) -> Iterator[Tensor]:
    """A model's inputs or outputs: one, a list of them, or a mapping."""
    if isinstance(entries, dict):
        entries = list(entries.values())
    for entry in entries if isinstance(entries[0], list) else [entries]:
        yield (entry[0], entry[1]), entry[2]


def _in_order(
    path: Path, calls: dict[CallName, LayerCall], outputs: list[CallName]
) -> list[CallName]:
    """The calls that the outputs depend on, each after those that feed it."""
    order: dict[CallName, None] = {}
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
                    raise calls[name].unusable(path, f"is fed by `{source[0]}`, so it feeds itself")
                if source not in calls:
                    raise calls[name].unusable(
                        path, f"is fed by `{source[0]}`, which is none of the layers"
                    )
                waiting[source] = iter(calls[source].tensors)
    return list(order)
