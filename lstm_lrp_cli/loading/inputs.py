"""What a mapping says of a model's inputs: their words, how text is cut, their padding."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from msgspec import UNSET
from msgspec.structs import replace

from lstm_lrp_cli.errors import HALVES, UnusableInput, short
from lstm_lrp_cli.model.model import Input
from lstm_lrp_cli.model.scaling import Scaling
from lstm_lrp_cli.model.text import SIDES, Padding, Tokenization
from .beside.vocabulary import read_vocabulary
from .files import damaged
from .layers.datasets import Datasets
from .mapping import InputSpec, Mapping, TokensSpec, overridden, scalings, settings
from .scaling import of_file, scaled_in_order

# Every sequence is filled up to it, so it is bounded before memory is taken.
LONGEST_PADDING = 1_000_000
# It takes a second to understand a longer one.
LONGEST_PATTERN = 2**16
# A value that every precision can hold.
LARGEST_PADDING = 1e38


def input_specs(mapping: Mapping, inputs: Sequence[Input], where: str) -> list[InputSpec]:
    """What a mapping says of each input: of itself, or of all that have an embedding, or of one.

    Raises
    ------
    UnusableInput
        It says what none of them can have.
    """
    specs = mapping.inputs or [InputSpec()] * len(inputs)
    takes_words = [given.embedding is not None for given in inputs]
    if isinstance(mapping.vocabulary, str | list) and not any(takes_words):
        named = mapping.vocabulary if isinstance(mapping.vocabulary, str) else where
        raise UnusableInput(named, "the model has no embedding to use a vocabulary")
    if mapping.scaling and len(inputs) > 1:
        problem = f"scaling: there are {len(inputs)} inputs; expected that of each in inputs"
        raise UnusableInput(where, problem)
    if mapping.padding and len(inputs) > 1 and not any(takes_words):
        problem = (
            "padding: is of inputs with an embedding, and there is none; expected it in inputs"
        )
        raise UnusableInput(where, problem)
    if mapping.features and len(inputs) > 1:
        problem = f"features: there are {len(inputs)} inputs; expected those of each in inputs"
        raise UnusableInput(where, problem)
    common = InputSpec(
        vocabulary=mapping.vocabulary,
        tokens=mapping.tokens,
        padding=mapping.padding,
        scaling=mapping.scaling,
        features=mapping.features,
    )
    found = []
    for number, (spec, given) in enumerate(zip(specs, inputs, strict=True)):
        if isinstance(spec.vocabulary, str | list) and given.embedding is None:
            problem = f"inputs[{number}].vocabulary: `{given.name}` has no embedding to use it"
            raise UnusableInput(where, problem)
        if spec.padding and not given.steps:
            problem = f"inputs[{number}].padding: `{given.name}` is one vector, and has no steps"
            raise UnusableInput(where, problem)
        is_meant = given.embedding is not None or len(inputs) == 1
        found.append(overridden(common, spec) if is_meant else spec)
    return found


def taken(given: Input, spec: InputSpec, folder: Path, datasets: Datasets, where: str) -> Input:
    """An input, and how it takes words, numbers and padding."""
    if given.name is not None:
        where = f"{where}: input `{given.name}`"
    tokens, vocabulary = spec.tokens or TokensSpec(), None
    if isinstance(spec.vocabulary, str | list) and given.embedding is not None:
        rows = len(given.embedding.weights)
        vocabulary, tokens, found = read_vocabulary(
            spec.vocabulary, folder, datasets.file, rows, tokens
        )
        if found.padding is not None and vocabulary.pieces is not None and spec.padding is UNSET:
            if vocabulary.pieces.adds:
                problem = "its tokenizer cuts texts or fills them up, and puts tokens around them"
                raise UnusableInput(where, f"{problem}; say by `padding` what the model was given")
            spec = replace(spec, padding=found.padding)
    else:
        tokens = replace(tokens, start=None, end=None)
    return replace(
        given,
        vocabulary=vocabulary,
        tokenization=_tokenization(tokens, where),
        padding=_padding(spec, given, where),
        scaling=_scaling(spec, given, datasets, where, inside=False),
        own_scaling=_scaling(spec, given, datasets, where, inside=True),
        features=_features(spec, given, where),
    )


def _features(said: InputSpec, given: Input, where: str) -> tuple[str, ...] | None:
    """What the numbers of an input are called, where the mapping or else a scaler says it."""
    if said.features is None:
        return None
    if said.features is UNSET:
        files = (each for each in scalings(said.scaling) if each.file is not None)
        found = next((of_file(each, given.size, "scaling")[1] for each in files), None)
        if found is None:
            return None
        names = found
    else:
        names = tuple(map(str, said.features))
    if given.embedding is not None:
        raise UnusableInput(where, "features: are of numbers, and the input has an embedding")
    if len(names) != given.size:
        raise UnusableInput(
            where,
            f"features: found {len(names)} ({', '.join(names[:8])}); the model takes {given.size}",
        )
    if len(set(names)) < len(names):
        raise UnusableInput(where, f"features: [{', '.join(names)}] names one twice")
    if not all(names) or any(map(HALVES.search, names)):
        raise UnusableInput(where, "features: found an empty name, or half a character; mend it")
    return names


def _scaling(
    said: InputSpec, given: Input, datasets: Datasets, where: str, *, inside: bool
) -> Scaling | None:
    """What is done to numbers before the model has them, or by the model itself; all in one."""
    specs = scalings(said.scaling)
    if specs and given.embedding is not None:
        raise UnusableInput(where, "scaling: is of numbers, and the input has an embedding")
    for place, spec in enumerate(specs):
        key = f"scaling[{place}]" if len(specs) > 1 else "scaling"
        if place and specs[place - 1].inside and not spec.inside:
            problem = f"{key}: the model scales first; expected those with `inside: true` last"
            raise UnusableInput(where, problem)
    asked = [spec if spec.inside is inside else None for spec in specs]
    names = list(map(str, said.features or ()))
    return scaled_in_order(asked, given.size, datasets, where, "scaling", names)


def _tokenization(spec: TokensSpec, where: str) -> Tokenization:
    return Tokenization(
        spec.split or "whitespace",
        spec.lowercase or False,
        _pattern("remove", spec.remove or None, where),
        _pattern("separate", spec.separate or None, where),
        bool(spec.skip),
        spec.start if isinstance(spec.start, int) else None,
        spec.end if isinstance(spec.end, int) else None,
    )


def _pattern(key: str, pattern: str | None, where: str) -> str | None:
    """A regular expression of the mapping, which must be one."""
    if pattern is not None:
        if len(pattern) > LONGEST_PATTERN:
            problem = f"tokens.{key}: has {len(pattern):,} characters; expected a short pattern"
            raise UnusableInput(where, f"{problem}, of {LONGEST_PATTERN:,} at most")
        with (
            warnings.catch_warnings(action="ignore", category=FutureWarning),
            damaged(
                where,
                lambda error: (
                    f"tokens.{key}: `{short(pattern)}` is not a regular expression: {error}"
                ),
                *(re.error, OverflowError, RecursionError),
            ),
        ):
            re.compile(pattern)
    return pattern


def _padding(said: InputSpec, given: Input, where: str) -> Padding | None:
    if said.padding is UNSET or said.padding is None or not given.steps:
        return None
    spec = said.padding
    padding = Padding(
        "pre" if spec.side is UNSET else spec.side,
        spec.length or 0,
        spec.value or 0,
        bool(spec.masked),
        spec.truncate or None,
        SIDES & settings(spec).keys(),
    )
    if not 0 <= padding.length <= LONGEST_PADDING:
        raise UnusableInput(
            where,
            f"padding.length: found {padding.length}; expected 0 to {LONGEST_PADDING:,} steps",
        )
    if padding.side is None and padding.truncate is None:
        raise UnusableInput(
            where,
            "padding.side is null, and nothing is cut either; expected pre or post, a side to cut "
            "on (padding.truncate), or padding: null",
        )
    if not padding.length and (not padding.masked or padding.truncate):
        raise UnusableInput(
            where, "padding.length is missing; expected the steps that the model was trained on"
        )
    if not abs(padding.value) <= LARGEST_PADDING:
        raise UnusableInput(where, f"padding.value: found {padding.value}; expected a number")
    if given.embedding is not None:
        rows = len(given.embedding.weights)
        if padding.value != int(padding.value) or not 0 <= padding.value < rows:
            raise UnusableInput(
                where,
                f"padding.value: found {padding.value}; expected a token id from 0 to {rows - 1}",
            )
    return padding


def stateful_batch(mapping: Mapping, where: str) -> int | None:
    """How many sequences run side by side where states are carried on; None where they are not."""
    batch = mapping.stateful
    if batch is UNSET or batch is None or batch is False:
        return None
    if batch is True or batch < 1:
        raise UnusableInput(
            where,
            f"stateful: found {str(batch).lower()}; expected in the mapping `stateful: N`, N the "
            "sequences that a batch had, or `stateful: null` where each sequence begins anew",
        )
    return batch
