"""A Keras architecture as the chain of layers that it must be to be explained."""

from dataclasses import dataclass
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.hdf5 import Hdf5File

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KerasLayer:
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


def read_chain(file: Hdf5File, architecture: Config) -> list[KerasLayer]:
    """The layers in the order in which data passes them.

    Raises
    ------
    UnusableInput
        The layers are not a chain, or the model puts out more than the last of them.
    """
    kind, body = architecture["class_name"], architecture["config"]
    entries = body if isinstance(body, list) else body["layers"]  # a list up to Keras 2.2
    if kind not in ("Sequential", "Model", "Functional"):
        raise UnusableInput(
            str(file.path), f"is a Keras `{kind}`; expected a Sequential or a Functional model"
        )
    if kind != "Sequential":
        entries = _follow(file, entries)
        _check_outputs(file, body["output_layers"], entries)
    version = str(file.attribute("/", "keras_version") or "")
    return [
        KerasLayer(
            entry["class_name"],
            entry["config"]["name"],
            entry["config"],
            _weight_names(file, entry["config"]["name"]),
            file,
            version,
        )
        for entry in entries
    ]


@dataclass(frozen=True, slots=True)
class _Call:
    """The layers that feed a layer, and the settings with which it is called."""

    sources: list[str]
    settings: Config


def _follow(file: Hdf5File, entries: list[Config]) -> list[Config]:
    """Order a functional model's layers, each fed by the one before."""
    followers: dict[str | None, Config] = {}
    for entry in entries:
        calls = [_call(node) for node in entry.get("inbound_nodes", [])]
        sources = [source for call in calls for source in call.sources]
        source = sources[0] if sources else None
        if len(sources) > 1 or source in followers:
            raise _unusable(
                file, entry, "branches or joins; expected a chain, each layer fed by the one before"
            )
        if any(call.settings.get("training") for call in calls):
            raise _unusable(file, entry, "is called with training=True; expected inference")
        followers[source] = entry
    ordered: list[Config] = []
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


def _call(node: Any) -> _Call:
    """One call of a layer, in Keras 3's form (a mapping) or in Keras 2's (a list)."""
    if isinstance(node, dict):
        tensors = node["args"][0] if node["args"] else []
        tensors = tensors if isinstance(tensors, list) else [tensors]
        return _Call([t["config"]["keras_history"][0] for t in tensors], node.get("kwargs", {}))
    tensors = node if isinstance(node[0], list) else [node]
    settings = {key: value for t in tensors for more in t[3:] for key, value in more.items()}
    return _Call([tensor[0] for tensor in tensors], settings)


def _check_outputs(file: Hdf5File, outputs: list[Any], entries: list[Config]) -> None:
    """Refuse a model of which the last layer is not the only output."""
    for output in outputs if isinstance(outputs[0], list) else [outputs]:
        entry = next((entry for entry in entries if entry["config"]["name"] == output[0]), None)
        if entry is None:
            raise UnusableInput(str(file.path), f"its output `{output[0]}` is none of its layers")
        if entry is not entries[-1]:
            raise _unusable(
                file, entry, "is an output, and feeds another layer; expected the last one alone"
            )


def _unusable(file: Hdf5File, entry: Config, problem: str) -> UnusableInput:
    name, kind = entry["config"]["name"], entry["class_name"]
    return UnusableInput(f"{file.path}: layer `{name}` ({kind})", problem)


def _weight_names(file: Hdf5File, layer: str) -> list[str]:
    root = "model_weights" if file.has_group("model_weights") else ""
    group = f"{root}/{layer}" if root else layer
    if not any(name.startswith(f"{group}/") for name in file.datasets):
        return []
    return [f"{group}/{name}" for name in file.attribute(group, "weight_names")]
