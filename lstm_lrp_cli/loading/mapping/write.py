"""Writing out the whole mapping of a model, commented, so that it loads to the same model."""

import os
from collections.abc import Iterable
from collections.abc import Mapping as Names
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.text import SIDES
from .schema import Assumption, LayerSpec, Mapping, TokensSpec, settings
from .yaml import comment, yaml_text

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


def mapping_text(loaded: LoadedModel, folder: Path) -> str:
    """The complete mapping as YAML, to stand in a folder (the vocabulary's path is relative)."""
    contents = loaded.contents
    described = contents.described
    title = f"How lrp reads {contents.path.name} ({contents.format})."
    document = _complete(described.mapping, loaded, folder)
    return commented(title, document, described.origins, described.assumptions)


def commented(
    title: str,
    document: dict[str, Any],
    origins: Names[str, str],
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


def _complete(mapping: Mapping, loaded: LoadedModel, folder: Path) -> dict[str, Any]:
    """The mapping's keys with every default written out."""
    complete: dict[str, Any] = {}
    if isinstance(mapping.vocabulary, str):
        in_file = loaded.vocabulary_in_file
        path = mapping.vocabulary if in_file else loaded.contents.folder / mapping.vocabulary
        complete["vocabulary"] = (
            mapping.vocabulary if in_file else Path(os.path.relpath(path, folder)).as_posix()
        )
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
