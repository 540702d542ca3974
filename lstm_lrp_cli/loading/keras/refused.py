"""Keras's layers that are refused, and what can be done about each.

Where a mapping has the model's layers, what the file says of them is not asked.
"""

from lstm_lrp_cli.errors import UnusableInput
from .architecture import Architecture, KerasLayer

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
# What is said of layers that are not converted, by kind.
MENDS = {
    "Lambda": f"{ATTENTION}; else it has no mapping",
    "RNN": "if its cells are LSTM cells, describe all layers by hand in {mapping}; others have no "
    "mapping",
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


def unknown_layer(layer: KerasLayer, kind: str | None = None) -> UnusableInput:
    """The refusal of a layer, or of the kind inside one, and what can be done about it."""
    kind = kind or layer.kind
    hint = MENDS.get(kind, IF_IT_CAN)
    mapping = layer.path.with_suffix(".yaml").name
    what = "is not a layer" if kind == layer.kind else f"wraps a layer of kind {kind}, not one"
    return layer.unusable(f"{what} that lrp can explain; {hint.format(mapping=mapping)}")


def begins_with_text(layer: KerasLayer, architecture: Architecture, problem: str) -> UnusableInput:
    """The refusal of a layer that makes ids otherwise than a mapping can say.

    It has the lines that save the model behind it, and the ids that it makes.
    """
    inputs = [each for each in architecture.layers if not each.sources]
    if layer.is_inside or len(inputs) > 1:
        return layer.unusable(f"{problem}: save the part behind it, and give token ids (--ids)")
    shown = layer.unusable(f"{problem}. Save the model behind it, and the ids that it makes:")
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
    return (
        "import keras, numpy\n"
        f"model = keras.models.load_model({str(layer.path)!r})\n"
        f"{behind}.save({f'{stem}.keras'!r})\n"
        "texts = ...  # as the model takes them\n"
        f"numpy.save('ids.npy', {found}(texts))\n"
        f"# then: lrp explain {f'{stem}.keras'!r} ids.npy"
    )
