"""A model written out, so that it loads to the same: its mapping, or all of it as plain arrays."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import replace

from lstm_lrp_cli.model import GATES, Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Merge,
    Pool,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.model import Head, Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from lstm_lrp_cli.model.text import SIDES
from .files.numpy import write_npz
from .files.safetensors import write_safetensors
from .load import LoadedModel
from .mapping import (
    INPUT_NAME,
    Assumption,
    BatchNormSpec,
    CellSpec,
    DenseSpec,
    EmbeddingSpec,
    FlattenSpec,
    InitialSpec,
    LayerSpec,
    LstmSpec,
    TokensSpec,
    settings,
)
from .mapping.yaml import comment, yaml_text

Arrays = Mapping[str, Floats]

# The formats that are written, by the ending of their files.
WRITERS: dict[str, Callable[[BinaryIO, Arrays], None]] = {
    "npz": write_npz,
    "safetensors": write_safetensors,
}
_KINDS: dict[type[Layer], str] = {
    Embedding: "embedding",
    Lstm: "lstm",
    Pool: "pool",
    Flatten: "flatten",
    Reverse: "reverse",
    Dense: "dense",
    Scale: "batch_norm",
    Activation: "activation",
    StepSoftmax: "softmax",
    Merge: "merge",
}
# What each key of a mapping means.
COMMENTS = {
    "vocabulary": "One token a line, its line number from 0 is its id; or .json; or a dataset.",
    "tokens": "How text is cut into tokens, and which token stands for unknown ones.",
    "labels": "The names of the outputs, in their order; of one score, of its two classes.",
    "padding": "The padding that the model was trained on.",
    "layers": "From the input to the scores; the names are datasets of the model file.",
    "outputs": "The layers that give the scores.",
    "task": "What the scores are: of classes, or the predicted values themselves.",
    "stateful": "A sequence begins where the one so many before it ended; null: anew.",
    "unused": "Weights in the file that are no part of the model.",
}
# What a float32 holds without a loss.
NARROW = frozenset({"float32", "float16", "bfloat16"})


class Converted(Struct, frozen=True):
    """A model as it is written.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        All weights, in the engine's own form.
    document : dict
        The mapping, but for its vocabulary.
    vocabulary : dict of str to int, or None
        The id of each token.
    """

    arrays: Arrays
    document: dict[str, Any]
    vocabulary: dict[str, int] | None


def convert(model: Model) -> Converted:
    """Describe a model by arrays and a mapping. Loaded in the same precision, it is the same."""
    layers = _Layers(model)
    document = text_settings(model)
    vocabulary = model.vocabulary
    if vocabulary is not None and max(vocabulary.ids.values(), default=-1) + 1 < vocabulary.size:
        document["tokens"]["limit"] = vocabulary.size  # or it would be taken for another model's
    document["layers"] = [layer_settings(spec) for spec in layers.without_needless_names()]
    if layers.outputs_are_named:
        document["outputs"] = layers.outputs
    if model.regression or model.undecided:
        document["task"] = "regression" if model.regression else "unknown"
    if model.stateful is not None:
        document["stateful"] = model.stateful
    return Converted(layers.arrays, document, None if vocabulary is None else vocabulary.ids)


def mapping_text(loaded: LoadedModel, folder: Path) -> str:
    """The complete mapping as YAML, to stand in a folder (the vocabulary's path is relative)."""
    contents, described = loaded.contents, loaded.contents.described
    title = f"How lrp reads {contents.path.name} ({contents.format})."
    return commented(title, _complete(loaded, folder), described.origins, described.assumptions)


def _complete(loaded: LoadedModel, folder: Path) -> dict[str, Any]:
    """The mapping's keys with every default written out."""
    mapping = loaded.contents.described.mapping
    complete: dict[str, Any] = {}
    if isinstance(mapping.vocabulary, str):
        name = mapping.vocabulary
        if not loaded.vocabulary_in_file:
            name = Path(os.path.relpath(loaded.contents.folder / name, folder)).as_posix()
        complete["vocabulary"] = name
    complete |= text_settings(loaded.model)
    if "tokens" in complete and isinstance(mapping.tokens, TokensSpec):
        given = settings(mapping.tokens)
        complete["tokens"] |= {key: given[key] for key in ("offset", "limit") if key in given}
    layers = [] if mapping.layers is UNSET else mapping.layers
    complete["layers"] = [layer_settings(layer) for layer in layers]
    if mapping.outputs:
        complete["outputs"] = mapping.outputs
    if mapping.task is not UNSET:
        complete["task"] = mapping.task
    if mapping.stateful is not UNSET:
        complete["stateful"] = loaded.model.stateful
    unused = [*(mapping.unused or []), *loaded.unused_weights]
    if unused:
        complete["unused"] = unused
    return complete


def commented(
    title: str,
    document: dict[str, Any],
    origins: Mapping[str, str],
    assumptions: Iterable[Assumption] = (),
) -> str:
    """A mapping as YAML, with what each key means, where it comes from, and what was assumed."""
    lines = [comment(title), "format: 1"]
    for key, value in document.items():
        origin = origins.get(key)
        source = f" (from {origin})" if origin else ""
        assumed = [each.text for each in assumptions if each.key.split(".")[0] == key]
        lines += ["", comment(f"{COMMENTS[key]}{source}")]
        lines += [comment(f"Assumed, and now said: {text}.") for text in assumed]
        lines += [yaml_text({key: value}).rstrip("\n")]
    return "\n".join(lines) + "\n"


def vocabulary_text(ids: Mapping[str, int]) -> str:
    """A vocabulary as JSON, a token a line."""
    return json.dumps(ids, ensure_ascii=False, indent=0) + "\n"


def narrowed(arrays: Arrays) -> Arrays:
    """The same numbers, in float32 where it holds all of an array without a loss."""

    def narrow(array: Floats) -> Floats:
        with np.errstate(over="ignore"):
            short = array.astype(np.float32)
        return short if np.array_equal(short, array) else array

    return {name: narrow(array) for name, array in arrays.items()}


def keeps_float32(loaded: LoadedModel) -> bool:
    """Whether the model's file keeps weights in float32, or in what that holds."""
    datasets = loaded.contents.datasets
    used = set(datasets) - set(loaded.unused)
    return any(datasets[name].dtype in NARROW for name in used)


class _Layers:
    """The entries of a mapping's `layers`, each with its name and its sources, and their arrays."""

    def __init__(self, model: Model) -> None:
        self.specs: list[LayerSpec] = []
        self.arrays: dict[str, Floats] = {}
        self.stateful = model.stateful is not None
        ends = list(zip(model.outputs, _ends(model), strict=True))
        self._taken = {head.name for _, head in ends}
        self.outputs_are_named = len(ends) > 1 or self._taken != {None}
        if model.embedding is not None:
            self._add(model.embedding, [], None)
        names = {MODEL_INPUT: INPUT_NAME}
        given = {
            place: head.name for place, head in ends if not _needs_activation(model, place, head)
        }
        for place, node in enumerate(model.nodes):
            sources = [names[source] for source in node.sources]
            names[place] = self._add(node.layer, sources, given.get(place))
        self.outputs = [
            self._add(Activation(head.activation), [names[place]], head.name)
            if _needs_activation(model, place, head)
            else names[place]
            for place, head in ends
        ]

    def without_needless_names(self) -> list[LayerSpec]:
        """The entries, without what a chain leaves out: sources just above, names of no use."""
        entries = []
        above = INPUT_NAME
        for spec in self.specs:
            entries.append(replace(spec, source=None) if spec.source == above else spec)
            above = INPUT_NAME if spec.embedding is not None else str(spec.name)
        used = set(self.outputs if self.outputs_are_named else [])
        for spec in entries:
            used.update([spec.source] if isinstance(spec.source, str) else spec.source or [])
        return [spec if spec.name in used else replace(spec, name=None) for spec in entries]

    def _add(self, layer: Layer, sources: Sequence[str], name: str | None) -> str:
        """Add an entry, and give its name."""
        kind = _KINDS[type(layer)]
        prefix = f"{kind}_{sum(spec.kind == kind for spec in self.specs) + 1}"
        spec = self._spec(layer, prefix)
        if name is None:
            name = prefix
            while name in self._taken:
                name += "_"
        source = sources[0] if len(sources) == 1 else list(sources) or None
        self.specs.append(replace(spec, name=name, source=source))
        return name

    def _spec(self, layer: Layer, prefix: str) -> LayerSpec:  # noqa: C901 - a case each
        match layer:
            case Embedding():
                weights = self._keep(f"{prefix}.weights", layer.weights)
                return LayerSpec(embedding=EmbeddingSpec(weights))
            case Lstm():
                return LayerSpec(lstm=self._lstm(layer, prefix))
            case Dense():
                bias = None if layer.bias is None else self._keep(f"{prefix}.bias", layer.bias)
                weights = self._keep(f"{prefix}.weights", layer.weights)
                return LayerSpec(dense=DenseSpec(weights, "classes_by_features", bias))
            case Scale():
                return LayerSpec(batch_norm=self._scale(layer, prefix))
            case Pool():
                return LayerSpec(pool=layer.kind)
            case Flatten():
                return LayerSpec(flatten=FlattenSpec(layer.steps))
            case Reverse():
                return LayerSpec(reverse="steps")
            case Activation():
                return LayerSpec(activation=layer.kind)
            case StepSoftmax():
                return LayerSpec(softmax="steps")
            case Merge():
                return LayerSpec(merge=layer.kind)
            case _:
                raise TypeError(layer)

    def _lstm(self, layer: Lstm, prefix: str) -> LstmSpec:
        cells = {
            direction: self._cell(cell, f"{prefix}.{direction}")
            for cell in layer.cells
            for direction in ["backward" if cell.backward else "forward"]
        }
        return LstmSpec(
            gate_order=list(GATES),
            layout="gates_by_features",
            forward=cells.get("forward"),
            backward=cells.get("backward"),
            merge=layer.merge,
            returns=layer.returns,
            activation=layer.activation,
            recurrent_activation=layer.gate_activation,
            stateful=False if self.stateful and not layer.stateful else None,
        )

    def _cell(self, cell: LstmCell, prefix: str) -> CellSpec:
        def keep(role: str, array: Floats | None) -> str | None:
            return None if array is None else self._keep(f"{prefix}.{role}", array)

        initial = InitialSpec(
            keep("initial_hidden", cell.initial_hidden), keep("initial_cell", cell.initial_cell)
        )
        gates = len(GATES) * cell.hidden_size
        return CellSpec(
            input=keep("input", cell.input.reshape(gates, -1)),
            recurrent=keep("recurrent", cell.recurrent.reshape(gates, -1)),
            bias=keep("bias", cell.bias.reshape(-1)),
            projection=keep("projection", cell.projection),
            initial=None if initial == InitialSpec() else initial,
        )

    def _scale(self, layer: Scale, prefix: str) -> BatchNormSpec:
        return BatchNormSpec(
            scale=self._keep(f"{prefix}.scale", layer.factors),
            offset=self._keep(f"{prefix}.offset", layer.offsets),
        )

    def _keep(self, name: str, array: Floats) -> str:
        self.arrays[name] = array
        return name


def text_settings(model: Model) -> dict[str, Any]:
    """How a model takes text and padding, and the names of its outputs, as a mapping says it."""
    found: dict[str, Any] = {}
    if model.embedding is not None:
        tokenization = model.tokenization
        found["tokens"] = {
            "split": tokenization.split,
            "lowercase": tokenization.lowercase,
            "remove": tokenization.remove,
            "separate": tokenization.separate,
            "unknown": model.vocabulary.unknown_id if model.vocabulary else None,
            "skip": tokenization.skip,
            "start": tokenization.start_id,
        }
    if model.labels:
        found["labels"] = list(model.labels)
    if model.padding:
        # What nobody said stays unsaid, so that it goes on being told.
        found["padding"] = {
            name: getattr(model.padding, name)
            for name in ("side", "length", "value", "masked", "truncate")
            if name not in SIDES or name in model.padding.told
        }
    return found


def layer_settings(spec: LayerSpec) -> dict[str, Any]:
    """One layer with all its settings, without the parts that it does not have."""
    place = {"name": spec.name, "from": spec.source}
    settings = getattr(spec, spec.kind)
    if not isinstance(settings, str):
        given = {name: getattr(settings, name) for name in settings.__struct_fields__}
        settings = {
            name: msgspec.to_builtins(value)
            for name, value in given.items()
            if value is not None or name == "bias"
        }
    return {key: value for key, value in place.items() if value is not None} | {spec.kind: settings}


def _ends(model: Model) -> list[Head]:
    """One head for each output; a regressor has one for each of its units."""
    if len(model.heads) == len(model.outputs):
        return list(model.heads)
    return list({head.name: head for head in model.heads}.values())


def _needs_activation(model: Model, place: int, head: Head) -> bool:
    """Whether an activation must follow the score.

    It is the head's, or a linear one, lest a softmax or sigmoid that the score itself ends in is
    taken for the head's.
    """
    layer = model.nodes[place].layer
    ends_in_one = isinstance(layer, Activation) and layer.kind in ("softmax", "sigmoid")
    return ends_in_one or head.activation != "linear"
