"""The JSON in which Keras describes a model: its entries of layers, and the calls between them."""

import json
from collections.abc import Iterable, Iterator
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

MODELS = ("Sequential", "Model", "Functional")

# The operations of which Keras 3 makes the masks that it passes on by itself.
MASK_OPERATIONS = frozenset(
    {
        *("ops.NotEqual", "ops.Any", "ops.All", "ops.LogicalOr", "ops.LogicalAnd"),
        *("ops.ExpandDims", "ops.Squeeze", "ops.ZerosLike", "ops.OnesLike", "ops.Concatenate"),
    }
)


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


def layers_of(entry: Config) -> list[Config]:
    """The layers of a model, which are all that its settings were up to Keras 2.2."""
    body = entry["config"]
    layers: list[Config] = body if isinstance(body, list) else body["layers"]
    return layers


def _is_operation(entry: Config) -> bool:
    """Whether it is a function of Keras 3, and no layer; its `.h5` files do not say the module."""
    if "module" in entry:
        return ".ops." in f"{entry['module']}."
    is_called = any(isinstance(node, dict) for node in entry.get("inbound_nodes", []))
    return is_called and "trainable" not in entry["config"]


class LayerCall(Struct, frozen=True):
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

    def check(self, path: Path) -> None:
        """Refuse a call with anything but layers."""
        if self.others:
            raise self.unusable(path, f"is called with {self.others[0]!r}; expected layers alone")
        for key, value in self.settings.items():
            if key == "training" and value:
                raise self.unusable(path, "is called with training=True; expected inference")
            if value is not None and value is not False:
                raise self.unusable(path, f"is called with `{key}`; expected layers alone")


def read_calls(path: Path, body: Config) -> tuple[dict[str, LayerCall], list[tuple[str, int]]]:
    """The layers that a functional model's outputs depend on, and those: a layer and an output.

    The layers stand in order, each after those that feed it.

    Raises
    ------
    UnusableInput
        A layer is shared, feeds itself, is fed by none of the layers, or is called with a mask of
        its own.
    """
    calls: dict[str, LayerCall] = {}
    for entry in body["layers"]:
        name = name_of(entry)
        if name in calls:
            raise UnusableInput(str(path), f"two of its layers are called `{name}`")
        calls[name] = _read_call(path, entry)
    outputs = list(references(body["output_layers"]))
    for output, _ in outputs:
        if output not in calls:
            raise UnusableInput(str(path), f"its output `{output}` is none of its layers")
    order = _in_order(path, calls, [name for name, _ in outputs])
    _check_masks(path, calls, order)
    return {name: calls[name] for name in order}, outputs


def _read_call(path: Path, entry: Config) -> LayerCall:
    nodes = entry.get("inbound_nodes", [])
    if len(nodes) > 1:
        call = LayerCall(entry, (), None, (), {})
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
    return LayerCall(
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


def references(entries: Any) -> Iterator[tuple[str, int]]:
    """A model's inputs or outputs: one, a list of them, or a mapping."""
    if isinstance(entries, dict):
        entries = list(entries.values())
    for entry in entries if isinstance(entries[0], list) else [entries]:
        yield entry[0], entry[2]


def _in_order(path: Path, calls: dict[str, LayerCall], outputs: list[str]) -> list[str]:
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


def _check_masks(path: Path, calls: dict[str, LayerCall], order: list[str]) -> None:
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
