"""Keras models that begin with text: how to save the part behind, and the words beside it."""

import re

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping.yaml import yaml_text
from .architecture import Architecture, KerasLayer

# What Keras's own standardization takes off: all punctuation of ASCII.
PUNCTUATION = r"[!-/:-@\[-`{-~]"
STANDARDIZED: dict[str, dict[str, object]] = {
    "lower_and_strip_punctuation": {"lowercase": True, "remove": PUNCTUATION},
    "strip_punctuation": {"remove": PUNCTUATION},
    "lower": {"lowercase": True},
}
SPLIT = {"character": "characters"}


def begins_with_text(layer: KerasLayer, architecture: Architecture) -> UnusableInput:
    """The refusal of a layer that makes ids of text, with what saves the model behind it."""
    problem = (
        "makes token ids of text, inside the model; lrp looks tokens up itself, and begins with "
        "the embedding behind it"
    )
    inputs = [each for each in architecture.layers if not each.sources]
    if layer.is_inside or len(inputs) > 1:
        return layer.unusable(f"{problem}: save that part of the model, and the words in a mapping")
    shown = layer.unusable(f"{problem}. Save that part, and the words beside it:")
    return UnusableInput(shown.where, shown.problem, _lines(layer, architecture))


def _lines(layer: KerasLayer, architecture: Architecture) -> str:
    stem = f"{layer.path.stem}_ids"
    found = f"model.get_layer({layer.name!r})"
    if architecture.is_sequential:
        before = [each for each in architecture.layers if each.kind != "InputLayer"]
        place = [each.name for each in before].index(layer.name) + 1
        steps = layer.config.get("output_sequence_length")
        length = steps if isinstance(steps, int) else None
        behind = (
            f'keras.Sequential([keras.Input(({length},), dtype="int64"), *model.layers[{place}:]])'
        )
    else:
        behind = f"keras.Model({found}.output, model.outputs)"
    words = f'"\\n".join(map(str, {found}.get_vocabulary()))'
    return (
        "import keras\n"
        f"model = keras.models.load_model({str(layer.path)!r})\n"
        f"{behind}.save({f'{stem}.keras'!r})\n"
        f"open('vocab.txt', 'w', encoding='utf-8').write({words})\n"
        f"# and as {f'{stem}.yaml'!r} beside it:\n" + _mapping(layer.config, _rows(architecture))
    )


def _rows(architecture: Architecture) -> object:
    """How many tokens the embedding has, which may be more than there are words."""
    sizes = [each.config.get("input_dim") for each in architecture.layers]
    return next((size for size in sizes if isinstance(size, int)), None)


def _mapping(config: dict[str, object], rows: object) -> str:
    """What the layer does, as keys of a mapping."""
    tokens: dict[str, object] = {}
    if config.get("split") in SPLIT:
        tokens["split"] = SPLIT[str(config["split"])]
    tokens |= STANDARDIZED.get(str(config.get("standardize")), {})
    unknown = config.get("oov_token", "[UNK]")
    tokens["unknown"] = str(unknown) if re.fullmatch(r"[\w\[\]<>-]+", str(unknown)) else "[UNK]"
    if rows is not None:
        tokens["limit"] = rows
    mapping: dict[str, object] = {"format": 1, "vocabulary": "vocab.txt", "tokens": tokens}
    if isinstance(length := config.get("output_sequence_length"), int):
        mapping["padding"] = {"side": "post", "length": length, "truncate": "post"}
    return yaml_text(mapping)
