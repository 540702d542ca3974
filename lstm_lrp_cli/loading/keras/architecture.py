"""A Keras architecture as layers that feed each other, whatever file it stands in."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast, get_args

from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.recurrent import ActivationName, GateActivationName
from .document import (
    MODELS,
    CallName,
    Config,
    LayerCall,
    counted,
    every_call,
    kind_of,
    layers_of,
    name_of,
    needed_calls,
    references,
)
from .mask_operations import MaskReader
from .roles import OLDER_NAME, OLDER_ROLES, roles

# How many states recurrent layers return, where they do.
STATES = {"LSTM": 2, "CuDNNLSTM": 2, "GRU": 1, "CuDNNGRU": 1, "SimpleRNN": 1}
# What Keras 3 calls weights that went by another name, and activations that do here.
OTHER_ROLES = {("DepthwiseConv1D", "depthwise_kernel"): "kernel"}
RENAMED = {"swish": "silu"}
# What Keras has by that name; anything else may be somebody's own.
KERAS_ACTIVATIONS = [
    kind for kind in get_args(ActivationName) if kind not in ("hard_sigmoid_relu6", "square")
]


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


class CalledAs(Struct, frozen=True):
    """How a layer is called.

    Parameters
    ----------
    roles : tuple of (str or None)
        What each source is given as; None where it is by its place.
    masks : tuple of frozenset of str, or None
        By what layers each mask is made that it is given, where the file says so, as Keras 3's
        functional models do.
    is_causal : bool
        Whether attention may not look ahead.
    """

    roles: tuple[str | None, ...]
    masks: tuple[frozenset[str], ...] | None
    is_causal: bool


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
    call : CalledAs or None
        How it is called, where it is of a functional model.
    repeated : Architecture or None
        The model that it does for each part of a sequence.
    """

    kind: str
    name: str
    config: Config
    sources: tuple[str, ...]
    weights: list[str]
    path: Path
    keras_version: str
    is_inside: bool = False
    call: CalledAs | None = None
    repeated: "Architecture | None" = None

    def unusable(self, problem: str) -> UnusableInput:
        return UnusableInput(f"{self.path}: layer `{self.name}` ({self.kind})", problem)

    @property
    def outputs(self) -> list[str]:
        """What it gives: its output, of both directions where it leaves them apart, and states."""
        count = 1
        if self.kind == "Bidirectional":
            count += self.config.get("merge_mode", "concat") is None
            inner = self.config["layer"]
            states = 2 * STATES.get(kind_of(inner), 0)
            count += states if inner["config"].get("return_state") else 0
        elif self.config.get("return_state"):
            count += STATES.get(self.kind, 0)
        return [self.name, *(f"{self.name}:{k}" for k in range(1, count))]

    @property
    def called_with_mask(self) -> bool | None:
        return None if self.call is None or self.call.masks is None else bool(self.call.masks)

    def sources_as(self, role: str | None) -> list[int]:
        """Which of the sources it is given as something."""
        roles = self.call.roles if self.call else (None,) * len(self.sources)
        return [k for k, each in enumerate(roles) if each == role]

    @property
    def inner(self) -> Config:
        """The settings of the layer that it wraps, or its own."""
        entry: Config = self.config.get("layer", {"config": self.config})
        return cast(Config, entry["config"])

    def size(self, key: str) -> int | None:
        """A size among its settings, or those of the layer that it wraps; None if not said."""
        value = self.inner.get(key)
        if value is not None and not isinstance(value, int):
            raise ValueError(f"found {value!r} where one number was expected")
        return value

    @property
    def axis(self) -> Any:
        """-1 where it says none; Keras 2 sometimes writes a list of one."""
        axis = self.config.get("axis", -1)
        if axis == []:  # as Normalization writes that it has none
            return None
        return axis[0] if isinstance(axis, list) and len(axis) == 1 else axis

    def wrapped(self, weights: list[str]) -> "KerasLayer":
        """The layer inside this one, under the name of this one, with some of its weights."""
        entry = self.config["layer"]
        return replace(self, kind=kind_of(entry), config=entry["config"], weights=weights)

    def weight(self, role: str) -> str:
        """The full name of the weight that Keras calls kernel, bias, ..."""
        names = self.weights
        called = {role, OTHER_ROLES.get((self.kind, role), role)}
        for name in names:
            if role_of(name) in called or ("/" in role and f"/{role}" in name.split(":")[0]):
                return name
        for name, gate in self._older_weights(role):
            if not gate:
                return name
        part, _, inner = role.partition("/")
        if inner:  # as Keras 3 keeps the dense layers of attention
            part = {"attention_output": "output"}.get(part, part)
            ending = f"{part}_dense/vars/{int(inner == 'bias')}"
            for name in names:
                if name.endswith(ending):
                    return name
        expected = roles(self.kind, self.config)
        place = expected.index(role)
        if len(names) == len(expected) and names[place].rsplit("/", 1)[-1].isdigit():
            return names[place]
        raise self.unusable(f"the file holds no `{role}` for it; save the whole model again")

    def weight_of_gates(self, role: str) -> str | dict[str, str]:
        """The same of a recurrent layer, of which Keras 1 has one a gate: by the gate's letter."""
        by_gate = {gate: name for name, gate in self._older_weights(role) if gate}
        return by_gate or self.weight(role)

    def _older_weights(self, role: str) -> Iterator[tuple[str, str]]:
        """The weights that Keras 1 calls so, each with the letter of its gate if it is of one."""
        called = OLDER_ROLES.get(role) if self.keras_version.startswith("1") else None
        for name in self.weights if called else ():
            found = OLDER_NAME.fullmatch(name.rsplit("/", 1)[-1])
            if found and found["role"] == called:
                yield name, found["gate"] or ""

    @property
    def activation(self) -> ActivationName:
        """What its units go through: the activation that Keras calls by a name; None is none."""
        name, known = self.config["activation"], KERAS_ACTIVATIONS
        found = "linear" if name is None else RENAMED.get(str(name), name)
        if found not in known:
            raise self.unusable(f"has activation `{name}`; lrp explains {', '.join(known)}")
        return self.hard_sigmoid if found == "hard_sigmoid" else cast(ActivationName, found)

    @property
    def hard_sigmoid(self) -> GateActivationName:
        """What it would call so; Keras 3 gave the name to another function."""
        return "hard_sigmoid_relu6" if self.keras_version.startswith("3") else "hard_sigmoid"


def role_of(weight: str) -> str:
    """What a weight is called within its layer: `lstm/kernel:0` is a kernel."""
    return weight.rsplit("/", 1)[-1].split(":")[0]


class Architecture(Struct, frozen=True):
    """The layers of a model, each after those that feed it, and the names of its outputs.

    `inputs` has the layers that it is given something by, in the order of its call.
    """

    layers: list[KerasLayer]
    outputs: list[str]
    inputs: list[str]
    is_sequential: bool = False

    def every_layer(self) -> Iterator[KerasLayer]:
        """Those of models that are done for each part of a sequence, too."""
        for layer in self.layers:
            yield layer
            if layer.repeated is not None:
                yield from layer.repeated.every_layer()


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
    reader = _Reader(path, keras_version, weights_of, counted(path))
    return reader.architecture(document, reader.read_model(document, (), ()))


class _Reader(Struct):
    """Collects the layers of a model, and of the models inside it, in the order of their use."""

    path: Path
    keras_version: str
    weights_of: WeightsOf
    count: Iterator[int]
    layers: list[KerasLayer] = field(default_factory=list)

    def architecture(self, document: Config, outputs: list[str]) -> Architecture:
        """The model that has been read."""
        given = [layer.name for layer in self.layers if not layer.sources]
        is_sequential = kind_of(document) == "Sequential"
        if not is_sequential:
            order = [name for (name, _), _ in references(document["config"]["input_layers"])]
            given.sort(key=lambda name: order.index(name) if name in order else len(order))
        return Architecture(self.layers, outputs, given, is_sequential)

    def read_model(
        self, entry: Config, places: tuple[Place, ...], feeding: tuple[str, ...], suffix: int = 0
    ) -> list[str]:
        """Read one model that those layers feed, and return the layers that are its outputs."""
        entries = layers_of(entry)
        numbered = dict(zip(map(id, entries), _places(entries), strict=True))
        if kind_of(entry) != "Sequential":
            return self._read_graph(entry["config"], numbered, places, feeding, suffix)
        for each in entries:
            place = numbered[id(each)]
            feeding = tuple(self._read_layer(each, (*places, place), feeding, suffix=suffix))
        return list(feeding)

    def _read_layer(
        self,
        entry: Config,
        places: tuple[Place, ...],
        sources: tuple[str, ...],
        call: CalledAs | None = None,
        suffix: int = 0,
    ) -> list[str]:
        """Read a layer, or all layers of a model, and return its outputs."""
        next(self.count)
        kind = places[-1].kind
        if kind in MODELS:
            return self.read_model(entry, places, sources, suffix)
        name = _layer_name([place.name for place in places], suffix)
        config, repeated = entry["config"], None
        if kind == "TimeDistributed":
            inner = config["layer"]
            if kind_of(inner) in MODELS:
                reader = _Reader(self.path, self.keras_version, self.weights_of, self.count)
                repeated = reader.architecture(inner, reader.read_model(inner, places, (), suffix))
            elif kind_of(inner) == "Embedding" and not inner["config"].get("mask_zero"):
                kind, config = "Embedding", inner["config"]  # which is the same of all parts
        layer = KerasLayer(
            *(kind, name, config, sources, self.weights_of(places), self.path),
            *(self.keras_version, len(places) > 1),
            call=call,
            repeated=repeated,
        )
        self.layers.append(layer)
        return layer.outputs

    def _read_graph(
        self,
        body: Config,
        numbered: dict[int, Place],
        places: tuple[Place, ...],
        feeding: tuple[str, ...],
        suffix: int,
    ) -> list[str]:
        calls = every_call(self.path, body)
        needed, outputs = needed_calls(self.path, body, calls)
        reader, times = MaskReader(calls), Counter(name for name, _ in calls)
        # A call's number among all of this model's calls: two of them never have one name.
        numbers = {call: suffix * times[call[0]] + call[1] for call in calls}
        given: dict[str, str] = {}
        if feeding:  # the model itself is fed by no layer
            inputs = [name for (name, _), _ in references(body["input_layers"])]
            given = dict(zip(inputs, feeding, strict=True))
        values: dict[CallName, list[str]] = {}
        for name, number in needed:
            call = calls[name, number]
            call.check(self.path)
            sources = tuple(_value(values, *tensor) for tensor in call.tensors)
            sources = sources or ((given[name],) if name in given else ())
            masks = None
            if call.masks is not None:
                makers = [self._makers(reader, call, mask, set(needed)) for mask, _ in call.masks]
                masks = tuple(_called(places, each, numbers) for each in makers)
            values[name, number] = self._read_layer(
                call.entry,
                (*places, numbered[id(call.entry)]),
                sources,
                CalledAs(call.roles, masks, call.settings.get("use_causal_mask") is True),
                numbers[name, number],
            )
        return [_value(values, *output) for output in outputs]

    def _makers(
        self, reader: MaskReader, call: LayerCall, mask: CallName, needed: set[CallName]
    ) -> frozenset[CallName]:
        """The layers by which a mask is made that a layer is called with."""
        if mask in needed:
            raise call.unusable(self.path, "is called with a mask that is a layer's output")
        makers = reader.makers(mask)
        if makers is None:
            raise call.unusable(
                self.path, "is called with a mask of its own; expected that of a layer"
            )
        return makers


def _called(
    places: tuple[Place, ...], calls: frozenset[CallName], numbers: dict[CallName, int]
) -> frozenset[str]:
    """What calls are called as layers of the whole model."""
    path = [place.name for place in places]
    return frozenset(_layer_name([*path, call[0]], numbers[call]) for call in calls)


def _layer_name(path: list[str], number: int) -> str:
    """The name of a layer in models inside each other; one that is used once more is numbered."""
    name = "/".join(path)
    return f"{name} ({number + 1})" if number else name


def _places(entries: list[Config]) -> Iterator[Place]:
    seen: Counter[str] = Counter()
    for entry in entries:
        kind = kind_of(entry)
        yield Place(kind, name_of(entry), seen[kind])
        seen[kind] += 1


def _value(values: dict[CallName, list[str]], call: CallName, output: int) -> str:
    """The output of a layer, or of a model inside the model."""
    found = values[call]
    if output < len(found):
        return found[output]
    return f"{found[0]}:{output}"
