"""Keras's layers that belong to an input: those that make ids of text, and that scale numbers."""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct

from lstm_lrp_cli.loading.keras.architecture import Architecture, KerasLayer
from lstm_lrp_cli.loading.keras.refused import begins_with_text
from lstm_lrp_cli.loading.keras.roles import Shape
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.datasets import Numbers
from lstm_lrp_cli.loading.layers.units import BatchNormSpec
from lstm_lrp_cli.loading.mapping import ScalingSpec, TokensSpec
from .feed import SILENT, Feed, KerasKind, Specs

# What Keras's own standardization takes off: all punctuation of ASCII.
PUNCTUATION = r"[!-/:-@\[-`{-~]"
# TensorFlow lower-cases the letters of ASCII alone (tf.strings.lower without an encoding).
STANDARDIZED: dict[object, dict[str, Any]] = {
    None: {},
    "lower": {"lowercase": "ascii"},
    "strip_punctuation": {"remove": PUNCTUATION},
    "lower_and_strip_punctuation": {"lowercase": "ascii", "remove": PUNCTUATION},
}
# Where TensorFlow cuts (tf.strings.split, tf.strings.unicode_split): its white space is ASCII's.
WHITE_SPACE = r"[ \t\n\v\f\r]+"
SPLIT: dict[object, dict[str, Any]] = {
    "whitespace": {"split": "separate", "separate": WHITE_SPACE},
    "character": {"split": "characters"},
}
UNKNOWN = "[UNK]"
# So many numbers may stand in a mapping that a layer has but one of.
MOST_UNITS = 4096


class Words(Struct, frozen=True):
    """What a layer says of the text that an input takes.

    Parameters
    ----------
    vocabulary : str or list of str
        Where its tokens stand in the file, or the tokens.
    tokens : TokensSpec
    cuts : bool
        Whether it cuts text itself; else it is given tokens.
    length : int or None
        The tokens that every sequence is cut and filled up to.
    """

    vocabulary: str | list[str]
    tokens: TokensSpec
    cuts: bool
    length: int | None = None


def _words(layer: KerasLayer, architecture: Architecture) -> Words:
    """What a TextVectorization or StringLookup does.

    Raises
    ------
    UnusableInput
        It does what no mapping can say.
    """
    _check(layer, architecture)
    config, cuts = layer.config, layer.kind == "TextVectorization"
    behind = [each for each in reached(layer, architecture) if each.kind == "Embedding"]
    rows = behind[0].size("input_dim") if behind else None  # may be more than there are tokens
    # Before the tokens stand what fills up and what is unknown.
    padded = cuts or config.get("mask_token") is not None
    unknown = str(config.get("oov_token", UNKNOWN))
    begins = [*([""] if padded else []), *([unknown] if config.get("num_oov_indices", 1) else [])]
    settings: dict[str, Any] = {"split": "whitespace"}
    if cuts:
        settings = STANDARDIZED[config.get("standardize")] | SPLIT[config.get("split")]
    tokens = TokensSpec(
        **settings,
        unknown=begins.index(unknown) if unknown in begins else None,
        limit=UNSET if rows is None else rows,
    )
    return Words(_vocabulary(layer, begins, architecture), tokens, cuts, _length(layer))


def _length(layer: KerasLayer) -> int | None:
    """The tokens that a TextVectorization cuts and fills every text up to."""
    length = layer.config.get("output_sequence_length")
    if length is not None and (type(length) is not int or length < 1):
        raise layer.unusable(f"has output_sequence_length {str(length)[:40]}; expected 1 or more")
    return length


def _check(layer: KerasLayer, architecture: Architecture) -> None:
    config = layer.config
    expected: dict[str, tuple[object, ...]] = {
        "output_mode": ("int",),
        "encoding": ("utf-8",),
        "ngrams": (None,),
        "ragged": (False,),
        "invert": (False,),
        "num_oov_indices": (0, 1),
        "mask_token": (None, ""),
    }
    if layer.kind == "TextVectorization":
        expected |= {"standardize": tuple(STANDARDIZED), "split": tuple(SPLIT)}
    for key, values in expected.items():
        if key in config and config[key] not in values:
            found = config[key] if isinstance(config[key], str | int | list) else "one of your own"
            wanted = " or ".join("none" if each is None else str(each) or '""' for each in values)
            raise begins_with_text(layer, architecture, f"has {key} {found}; expected {wanted}")


def _vocabulary(
    layer: KerasLayer, begins: list[str], architecture: Architecture
) -> str | list[str]:
    """The tokens, with those that Keras puts before them."""
    given = layer.config.get("vocabulary")
    if isinstance(given, list) and all(isinstance(token, str) for token in given):
        return given if given[: len(begins)] == begins else [*begins, *given]
    if given is None and layer.weights:
        return layer.weights[0]
    problem = "does not say its words, and the file holds none"
    raise begins_with_text(layer, architecture, problem)


def _scaled(layer: KerasLayer) -> ScalingSpec:
    """What Normalization or Rescaling does to an input, all of which go through it."""
    config = layer.config
    if layer.kind == "Rescaling":
        scale, offset = _of_rescaling(layer)
        return ScalingSpec(offset, scale, invert=True, inside=True)
    minus, variance = _statistics(layer)
    return ScalingSpec(minus, variance=variance, invert=bool(config.get("invert")), inside=True)


def _of_rescaling(layer: KerasLayer) -> tuple[float | list[float], float | list[float]]:
    scale, offset = _numbers(layer, "scale"), _numbers(layer, "offset")
    if isinstance(scale, list) and isinstance(offset, list) and len(scale) != len(offset):
        raise layer.unusable(f"has {len(scale)} scales and {len(offset)} offsets; expected as many")
    return scale, offset


def _statistics(layer: KerasLayer) -> tuple[Numbers, Numbers]:
    """Mean and variance of a Normalization: settings, or weights."""
    if layer.config.get("mean") is not None:
        return _numbers(layer, "mean"), _numbers(layer, "variance")
    return layer.weight("mean"), layer.weight("variance")


def _numbers(layer: KerasLayer, key: str) -> float | list[float]:
    value: Any = layer.config.get(key)
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        [value] = value
    try:
        found = [float(each) for each in value] if isinstance(value, list) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise layer.unusable(f"has {key} {str(value)[:40]}; expected numbers") from error
    if key == "scale" and (0.0 in found if isinstance(found, list) else not found):
        raise layer.unusable("multiplies by 0; expected a scale")
    return found


class InFront(Struct, frozen=True):
    """What layers do that belong to an input; nothing else is done to it before them.

    Parameters
    ----------
    names : list of str
        The layers.
    words : Words or None
        Where one of them makes ids of text.
    scalings : list of ScalingSpec
        One after the other.
    """

    names: list[str] = []
    words: Words | None = None
    scalings: list[ScalingSpec] = []


def in_front(first: KerasLayer, shape: Shape, architecture: Architecture) -> InFront:
    """What layers belong to an input, given the shape of one sequence.

    Raises
    ------
    UnusableInput
        They do what no mapping can say.
    """
    texts = [each for each in reached(first, architecture) if each.kind in TEXT]
    if texts:
        if len(texts) > 1:
            raise texts[1].unusable("makes ids of a text once more; expected one that does")
        return InFront([texts[0].name], _words(texts[0], architecture))
    scaling = list(_scaling(first, shape, architecture))
    return InFront([layer.name for layer in scaling], scalings=list(map(_scaled, scaling)))


def reached(layer: KerasLayer, architecture: Architecture) -> Iterator[KerasLayer]:
    """What an input feeds, be it through layers that do nothing to it, or make ids of it."""
    names = {layer.name}
    for each in architecture.layers:
        if names & set(each.sources):
            yield each
            if each.kind in (*SILENT, *TEXT):
                names.add(each.name)


def _scaling(layer: KerasLayer, shape: Shape, architecture: Architecture) -> Iterator[KerasLayer]:
    """The layers that scale, and that all numbers of an input go through before any other."""
    fed: dict[str, list[KerasLayer]] = {}
    for each in architecture.layers:
        for source in each.sources:
            fed.setdefault(source, []).append(each)
    is_scaled = False
    while layer.kind in (*SILENT, *SCALING, "Masking"):
        if layer.kind in SCALING:
            if layer.kind == "Normalization" and layer.axis not in (None, -1, len(shape)):
                raise layer.unusable(f"runs along axis {layer.axis}; expected -1, the features")
            is_scaled = True
            yield layer
        elif layer.kind == "Masking" and is_scaled:
            raise layer.unusable("masks what is scaled already; expected it before that")
        behind = fed.get(layer.name, [])
        is_output = layer.name in architecture.outputs
        if len(behind) != 1 or is_output or len(behind[0].sources) != 1:
            return
        [layer] = behind
    if layer.kind == "Embedding" and is_scaled:
        raise layer.unusable("embeds numbers that are scaled; expected token ids")


def _scale(layer: KerasLayer, feed: Feed) -> Specs:
    """The same amid other layers: a factor and an offset for every unit."""
    config = layer.config
    if layer.kind == "Rescaling":
        scale, offset = _of_rescaling(layer)
        units = feed.shape[-1]
        if isinstance(scale, float) and units is not None and units <= MOST_UNITS:
            scale = [scale] * units  # where nothing else tells how many there are
        return [LayerSpec(batch_norm=BatchNormSpec(scale=scale, offset=offset))]
    if layer.axis is not None and not feed.is_units(layer.axis):
        raise layer.unusable(f"runs along axis {layer.axis}; expected -1, the units")
    mean, variance = _statistics(layer)
    norm = BatchNormSpec(mean, variance, epsilon=0.0, invert=bool(config.get("invert")))
    return [LayerSpec(batch_norm=norm)]


def _tokens_shape(layer: KerasLayer, feed: Feed) -> Shape:
    """Of ids: as many as there are tokens."""
    if layer.kind == "TextVectorization":
        return (_length(layer),)
    return feed.shape


SCALING = ("Normalization", "Rescaling")
TEXT = ("TextVectorization", "StringLookup")
INPUT_KINDS = {
    **dict.fromkeys(SCALING, KerasKind(_scale)),
    **dict.fromkeys(TEXT, KerasKind(lambda layer, feed: [], _tokens_shape)),
}
