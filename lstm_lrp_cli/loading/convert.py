"""A model as plain arrays and their mapping, which load to the same."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import MODEL_INPUT, Activation, Each, Embedding, Layer
from lstm_lrp_cli.model.model import Head, Model
from lstm_lrp_cli.model.recurrent import Recurrent
from .files.numpy import write_npz
from .files.safetensors import write_safetensors
from .layers import EachSpec, LayerSpec, described, kind_of
from .layers.site import Keep
from .load import LoadedModel
from .mapping import INPUT_NAME
from .scaling import scaling_settings
from .written import layer_settings, text_settings

Arrays = Mapping[str, Floats]

# The formats that are written, by the ending of their files.
WRITERS: dict[str, Callable[[BinaryIO, Arrays], None]] = {
    "npz": write_npz,
    "safetensors": write_safetensors,
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
        The mapping.
    vocabularies : dict of str to (dict of str to int)
        By the file that the mapping names, the id of each token.
    tokenizers : dict of str to bytes
        The same of vocabularies whose text a library cuts: what it saved.
    """

    arrays: Arrays
    document: dict[str, Any]
    vocabularies: dict[str, dict[str, int]]
    tokenizers: dict[str, bytes] = {}


def convert(model: Model, stem: str) -> Converted:
    """Describe a model by arrays and a mapping. Loaded in the same precision, it is the same.

    Parameters
    ----------
    stem : str
        What the names of vocabularies begin with.
    """
    layers = _Layers(model)
    document = text_settings(model)
    vocabularies: dict[str, dict[str, int]] = {}
    tokenizers: dict[str, bytes] = {}
    inputs = document.get("inputs", [document])
    for number, (each, said) in enumerate(zip(model.inputs, inputs, strict=True), 1):
        known, place = each.vocabulary, f"-{number}" if len(inputs) > 1 else ""
        if known is None:
            continue
        if known.pieces is None:
            said["vocabulary"] = f"{stem}-vocab{place}.json"
            vocabularies[said["vocabulary"]] = known.ids
        else:
            ending = "tokenizer{}.json" if known.pieces.library == "tokenizers" else "vocab{}.model"
            said["vocabulary"] = f"{stem}-{ending.format(place)}"
            tokenizers[said["vocabulary"]] = known.pieces.data
            said["tokens"] |= {"offset": known.pieces.offset}
        if known.pieces is not None or max(known.ids.values(), default=-1) + 1 < known.size:
            # Or it would be taken for another model's.
            said["tokens"]["limit"] = known.size
    document["layers"] = [layer_settings(spec) for spec in layers.without_needless_names()]
    if layers.outputs_are_named:
        document["outputs"] = layers.outputs
    if model.regression or model.undecided:
        document["task"] = "regression" if model.regression else "unknown"
    if model.output_scaling is not None:
        document["output_scaling"] = scaling_settings(model.output_scaling)
    if model.stateful is not None:
        document["stateful"] = model.stateful
    words = {"vocabulary": document.pop("vocabulary")} if "vocabulary" in document else {}
    return Converted(layers.arrays, words | document, vocabularies, tokenizers)


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
        self._layers: dict[int, str] = {}
        self._tables: dict[int, LayerSpec] = {}
        ends = list(zip(model.outputs, _ends(model), strict=True))
        self._taken = {head.name for _, head in ends}
        self.outputs_are_named = len(ends) > 1 or self._taken != {None}
        names = {MODEL_INPUT - k: each.name or INPUT_NAME for k, each in enumerate(model.inputs)}
        self._taken |= set(names.values())
        for k, each in enumerate(model.inputs):
            if each.embedding is not None:
                self._add(each.embedding, [names[MODEL_INPUT - k]], None)
        self._first = names[MODEL_INPUT]
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
        above = self._first
        for spec in self.specs:
            entries.append(replace(spec, source=None) if spec.source == above else spec)
            above = str(spec.source if spec.embedding is not None else spec.name)
        used = set(self.outputs if self.outputs_are_named else [])
        for spec in entries:
            used.update([spec.source] if isinstance(spec.source, str) else spec.source or [])
            used.add(spec.same or "")
        return [spec if spec.name in used else replace(spec, name=None) for spec in entries]

    def _add(self, layer: Layer, sources: Sequence[str], name: str | None) -> str:
        """Add an entry, and give its name."""
        known = self._layers.get(id(layer)) if _has_weights(layer) else None
        kind = kind_of(layer) if known is None else "same"
        prefix = f"{kind}_{sum(spec.kind == kind for spec in self.specs) + 1}"
        spec = LayerSpec(same=known) if known else self._described(layer, prefix)
        if name is None:
            name = prefix
            while name in self._taken:
                name += "_"
        source = sources[0] if len(sources) == 1 else list(sources) or None
        self.specs.append(replace(spec, name=name, source=source))
        self._layers.setdefault(id(layer), name)
        return name

    def _described(self, layer: Layer, prefix: str) -> LayerSpec:
        if isinstance(layer, Each):
            return LayerSpec(each=EachSpec(layer.steps, self._of_each(layer, prefix)))
        if isinstance(layer, Embedding):  # several inputs may have one table
            table = id(layer.weights)
            if table not in self._tables:
                self._tables[table] = described(layer, Keep(prefix, self.arrays))
            return self._tables[table]
        spec = described(layer, Keep(prefix, self.arrays))
        if isinstance(layer, Recurrent):
            says = False if self.stateful and not layer.stateful else None
            settings = replace(spec.settings, stateful=says)
            spec = replace(spec, **{spec.kind: settings})
        return spec

    def _of_each(self, each: Each, prefix: str) -> list[LayerSpec]:
        """The entries of a graph inside the graph, each named by its place."""
        names, specs = {MODEL_INPUT: INPUT_NAME}, []
        for place, node in enumerate(each.nodes):
            names[place] = f"{kind_of(node.layer)}_{place + 1}"
            spec = self._described(node.layer, f"{prefix}.{names[place]}")
            sources = [names[source] for source in node.sources]
            source = sources[0] if len(sources) == 1 else sources
            specs.append(replace(spec, name=names[place], source=source))
        if each.output != len(each.nodes) - 1:
            linear = LayerSpec(activation="linear", source=names[each.output])
            specs.append(linear)
        return specs


def _has_weights(layer: Layer) -> bool:
    """Whether it is another layer than one of the same settings, and may stand in several nodes.

    An embedding is an input's own.
    """
    return not layer.__struct_config__.eq and not isinstance(layer, Embedding)


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
    return _ends_in_one(model.nodes[place].layer) or head.activation != "linear"


def _ends_in_one(layer: Layer) -> bool:
    """Whether a softmax or sigmoid is the last of a layer."""
    if isinstance(layer, Each):
        return _ends_in_one(layer.nodes[layer.output].layer)
    return isinstance(layer, Activation) and layer.kind in ("softmax", "sigmoid")
