"""Keras's layers that are refused, and what can be done about each.

Where a mapping has the model's layers, what the file says of them is not asked.
"""

import re

from lstm_lrp_cli.errors import UnusableInput
from .architecture import Architecture, KerasLayer

# Layers that make ids of words.
TEXT_LAYERS = ("TextVectorization", "StringLookup", "IntegerLookup")
# Recurrent layers that are not read. An RNN of LSTM cells is one that can be described by hand.
OTHER_CELLS = ("CuDNNGRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
IF_IT_CAN = (
    "if it does no more than a mapping can say, describe all layers by hand in {mapping}; docs/"
    "mapping.md has the kinds"
)
ATTENTION = (
    "as part of attention over the steps it needs no layer of its own: describe all layers by hand "
    "in {mapping} (softmax: steps, merge: gate, pool: sum; or attend)"
)
SCALE_YOURSELF = "describe all other layers by hand in {mapping}, and scale the values yourself"
# What is said of layers that are not converted, by kind.
MENDS = {
    "Lambda": f"{ATTENTION}; else it has no mapping",
    "RNN": "if its cells are LSTM cells, describe all layers by hand in {mapping}; others have no "
    "mapping",
    "Normalization": "describe all layers by hand in {mapping}, and it as a batch_norm of its mean "
    "and variance with epsilon: 0",
    "Rescaling": SCALE_YOURSELF,
    "CuDNNGRU": "load its weights into a GRU with reset_after=True, and save that",
    **dict.fromkeys(
        (
            *OTHER_CELLS[1:],
            "GroupQueryAttention",
            "ThresholdedReLU",
            "Conv2D",
            "MaxPooling2D",
            "Conv1DTranspose",
        ),
        "nor has a mapping any like it",
    ),
}
# What Keras's own standardization takes off: all punctuation of ASCII.
PUNCTUATION = r"[!-/:-@\[-`{-~]"
STANDARDIZED: dict[str, dict[str, object]] = {
    "lower_and_strip_punctuation": {"lowercase": True, "remove": PUNCTUATION},
    "strip_punctuation": {"remove": PUNCTUATION},
    "lower": {"lowercase": True},
}
SPLIT = {"character": "characters"}


def unknown_layer(layer: KerasLayer, kind: str | None = None) -> UnusableInput:
    """The refusal of a layer, or of the kind inside one, and what can be done about it."""
    kind = kind or layer.kind
    hint = MENDS.get(kind, IF_IT_CAN)
    if kind == "Normalization" and layer.config.get("mean") is not None:
        hint = f"{SCALE_YOURSELF}: its mean and variance are settings, and no weights"
    mapping = layer.path.with_suffix(".yaml").name
    what = "is not a layer" if kind == layer.kind else f"wraps a layer of kind {kind}, not one"
    return layer.unusable(f"{what} that lrp can explain; {hint.format(mapping=mapping)}")


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
    from lstm_lrp_cli.loading.mapping.yaml import yaml_text

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
