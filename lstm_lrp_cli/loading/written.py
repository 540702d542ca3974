"""A mapping as it is written: of a model that was loaded all of it, with what its keys mean."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from lstm_lrp_cli.model.model import Input, Model
from lstm_lrp_cli.model.text import SIDES
from .inputs import input_specs
from .layers import LayerSpec
from .load import LoadedModel
from .mapping import Assumption, TokensSpec, scalings, settings
from .mapping.yaml import comment, yaml_text
from .scaling import scaling_settings, scalings_from

# What each key of a mapping means.
COMMENTS = {
    "vocabulary": "What says the id of each token: a file, a folder of a tokenizer, or a dataset.",
    "tokens": "How text is cut into tokens, and which token stands for unknown ones.",
    "labels": "The names of the outputs, in their order; of one score, of its two classes.",
    "padding": "The padding that the model was trained on.",
    "scaling": "What is done to the numbers first: (number - minus) / divide.",
    "features": "What the numbers of a step are called, in their order.",
    "output_scaling": "What was done to the predicted values before training, as scaling has it.",
    "inputs": "What the model is given, by name.",
    "layers": "From the input to the scores; the names are datasets of the model file.",
    "outputs": "The layers that give the scores.",
    "task": "What the scores are: of classes, or the predicted values themselves.",
    "stateful": "A sequence begins where the one so many before it ended; null: anew.",
    "unused": "Weights in the file that are no part of the model.",
}
# The keys of an input that a mapping may set to null, so that what is inferred does not hold.
TAKEN_AWAY = ("vocabulary", "padding", "scaling")


def mapping_text(loaded: LoadedModel, folder: Path) -> str:
    """The complete mapping as YAML, to stand in a folder (the vocabulary's path is relative)."""
    contents, described = loaded.contents, loaded.contents.described
    title = f"How lrp reads {contents.path.name} ({contents.format})."
    return commented(title, _complete(loaded, folder), described.origins, described.assumptions)


def _complete(loaded: LoadedModel, folder: Path) -> dict[str, Any]:
    """The mapping's keys with every default written out."""
    mapping = loaded.contents.described.mapping
    complete = _complete_inputs(loaded, folder)
    layers = [] if mapping.layers is UNSET else mapping.layers
    complete["layers"] = [layer_settings(layer) for layer in layers]
    if mapping.outputs:
        complete["outputs"] = mapping.outputs
    if mapping.task is not UNSET:
        complete["task"] = mapping.task
    if scalings(mapping.output_scaling):
        complete["output_scaling"] = scalings_from(mapping.output_scaling, folder)
    if mapping.stateful is not UNSET:
        complete["stateful"] = loaded.model.stateful
    unused = [*(mapping.unused or []), *loaded.unused_weights]
    if unused:
        complete["unused"] = unused
    return complete


def _complete_inputs(loaded: LoadedModel, folder: Path) -> dict[str, Any]:
    """What is said of the inputs, and the labels of the outputs."""
    mapping, complete = loaded.contents.described.mapping, text_settings(loaded.model)
    specs = input_specs(mapping, loaded.model.inputs, loaded.contents.mapping_name)
    for spec, said in zip(specs, complete.get("inputs", [complete]), strict=True):
        if "tokens" in said and isinstance(spec.tokens, TokensSpec):
            given = settings(spec.tokens)
            said["tokens"] |= {key: given[key] for key in ("offset", "limit") if key in given}
        if isinstance(spec.vocabulary, str | list) and "tokens" in said:
            said["vocabulary"] = _relative(loaded, spec.vocabulary, folder)
        if scalings(spec.scaling):
            said["scaling"] = scalings_from(spec.scaling, folder)
        # What was taken away would be inferred again.
        said |= {key: None for key in TAKEN_AWAY if getattr(spec, key) is None}
    if "vocabulary" in complete:
        return {"vocabulary": complete.pop("vocabulary")} | complete
    return complete


def _from(folder: Path, path: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _relative(loaded: LoadedModel, name: str | list[str], folder: Path) -> str | list[str]:
    """The name of a vocabulary as it is seen from a folder; one in the file or mapping stays."""
    if isinstance(name, list) or name in loaded.words_in_file:
        return name
    return _from(folder, loaded.contents.folder / name)


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


def text_settings(model: Model) -> dict[str, Any]:
    """How a model takes its inputs, and the names of its outputs, as a mapping says it."""
    labels = {"labels": list(model.labels)} if model.labels else {}
    [first, *others] = model.inputs
    if not others and first.name is None and first.steps:
        taken = _taken(first)
        return {key: taken.pop(key) for key in ("tokens",) if key in taken} | labels | taken
    return {"inputs": [_named(each) | _taken(each) for each in model.inputs]} | labels


def _named(given: Input) -> dict[str, Any]:
    """What an input is, as a mapping says it."""
    name = {} if given.name is None else {"name": given.name}
    return name if given.steps else name | {"steps": False}


def _taken(given: Input) -> dict[str, Any]:
    """How an input takes text and padding."""
    found: dict[str, Any] = {}
    if given.embedding is not None:
        tokenization = given.tokenization
        pieces = given.vocabulary.pieces if given.vocabulary else None
        found["tokens"] = {
            "split": tokenization.split,
            "lowercase": tokenization.lowercase,
            "remove": tokenization.remove,
            "separate": tokenization.separate,
            "unknown": given.vocabulary.unknown_id if given.vocabulary else None,
            "skip": tokenization.skip,
            "start": tokenization.start_id,
            **({} if tokenization.end_id is None else {"end": tokenization.end_id}),
            **({"special": True} if pieces is not None and pieces.adds else {}),
        }
    if given.padding:
        # What nobody said stays unsaid, so that it goes on being told.
        found["padding"] = {
            name: getattr(given.padding, name)
            for name in ("side", "length", "value", "masked", "truncate")
            if name not in SIDES or name in given.padding.told
        }
    parts = ((given.scaling, False), (given.own_scaling, True))
    scaled = [
        setting
        for each, inside in parts
        if each is not None
        for setting in scaling_settings(each, inside)
    ]
    if scaled:
        found["scaling"] = scaled
    if given.features is not None:
        found["features"] = list(given.features)
    return found


def layer_settings(spec: LayerSpec) -> dict[str, Any]:
    """One layer with all its settings, without the parts that it does not have."""
    place = {"name": spec.name, "from": spec.source}
    settings = spec.settings
    if not isinstance(settings, str):
        given = {name: getattr(settings, name) for name in settings.__struct_fields__}
        settings = {
            name: msgspec.to_builtins(value)
            for name, value in given.items()
            if value is not UNSET and (value is not None or name == "bias")
        }
    return {key: value for key, value in place.items() if value is not None} | {spec.kind: settings}
