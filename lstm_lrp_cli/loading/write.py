"""Writing out the whole mapping of a model, commented, so that it loads to the same model."""

import os
from collections.abc import Mapping as Names
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from lstm_lrp_cli.loading.load import LoadedModel
from lstm_lrp_cli.loading.mapping import LayerSpec, Mapping, TokensSpec, settings
from lstm_lrp_cli.loading.mapping_yaml import yaml_text
from lstm_lrp_cli.model.model import Model

COMMENTS = {
    "vocabulary": "One token a line, its line number from 0 is its id; or .json; or a dataset.",
    "tokens": "How text is cut into tokens, and which token stands for unknown ones.",
    "labels": "The names of the outputs, in their order.",
    "padding": "The padding that the model was trained on.",
    "layers": "From the input to the scores; the names are datasets of the model file.",
    "outputs": "The layers that give the scores.",
    "task": "What the scores are: of classes, or the predicted values themselves.",
    "stateful": "A sequence begins where the one so many before it ended; null: anew.",
}


def mapping_text(loaded: LoadedModel, folder: Path) -> str:
    """The complete mapping as YAML, to stand in a folder (the vocabulary's path is relative)."""
    contents = loaded.contents
    described = contents.described
    title = f"How lrp reads {contents.path.name} ({contents.format})."
    return commented(title, _complete(described.mapping, loaded, folder), described.origins)


def commented(title: str, document: dict[str, Any], origins: Names[str, str]) -> str:
    """A mapping as YAML, with what each key means and where it comes from."""
    lines = [f"# {title}", "format: 1"]
    for key, value in document.items():
        origin = origins.get(key)
        source = f" (from {origin})" if origin else ""
        lines += ["", f"# {COMMENTS[key]}{source}", yaml_text({key: value}).rstrip("\n")]
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
        found["padding"] = {
            "side": model.padding.side,
            "length": model.padding.length,
            "value": model.padding.value,
            "masked": model.padding.masked,
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
