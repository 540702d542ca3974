"""What a mapping says of a model's inputs: their words, how text is cut, their padding."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import msgspec
from msgspec import UNSET

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.model import Input
from lstm_lrp_cli.model.text import SIDES, Padding, Tokenization
from .files import ArrayFile, damaged
from .mapping import InputSpec, Mapping, TokensSpec, settings
from .mapping.vocabulary import read_vocabulary

# Every sequence is filled up to it, so it is bounded before memory is taken.
LONGEST_PADDING = 1_000_000
# A value that every precision can hold.
LARGEST_PADDING = 1e38


def input_spec(mapping: Mapping, number: int) -> InputSpec:
    """What a mapping says of one input: of itself, or of all."""
    keys = ("vocabulary", "tokens", "padding")
    common = {key: getattr(mapping, key) for key in keys}
    if mapping.inputs is UNSET:
        return InputSpec(**common)
    spec = mapping.inputs[number]
    own = {key: getattr(spec, key) for key in keys}
    said = {key: common[key] if value is UNSET else value for key, value in own.items()}
    return msgspec.structs.replace(spec, **said)


def taken(given: Input, spec: InputSpec, folder: Path, file: ArrayFile, where: str) -> Input:
    """An input, and how it takes words and padding."""
    tokens, vocabulary = spec.tokens or TokensSpec(), None
    words, of_all = spec.vocabulary, spec.name is None
    if not given.steps or (given.embedding is None and not of_all):
        words = None  # what the mapping says of all is of those that have words and steps
    if not isinstance(words, str):
        tokens = msgspec.structs.replace(tokens, start=None)
    elif given.embedding is None:
        raise UnusableInput(words, "the model has no embedding to use a vocabulary")
    else:
        rows = len(given.embedding.weights)
        vocabulary, tokens = read_vocabulary(words, folder, file, rows, tokens)
    return replace(
        given,
        vocabulary=vocabulary,
        tokenization=_tokenization(tokens, where),
        padding=_padding(spec, given, where) if given.steps else None,
    )


def _tokenization(spec: TokensSpec, where: str) -> Tokenization:
    return Tokenization(
        spec.split or "whitespace",
        bool(spec.lowercase),
        _pattern("remove", spec.remove or None, where),
        _pattern("separate", spec.separate or None, where),
        bool(spec.skip),
        spec.start if isinstance(spec.start, int) else None,
    )


def _pattern(key: str, pattern: str | None, where: str) -> str | None:
    """A regular expression of the mapping, which must be one."""
    if pattern is not None:
        with (
            warnings.catch_warnings(action="ignore", category=FutureWarning),
            damaged(
                where,
                lambda error: f"tokens.{key}: `{pattern}` is not a regular expression: {error}",
                *(re.error, OverflowError, RecursionError),
            ),
        ):
            re.compile(pattern)
    return pattern


def _padding(mapping: InputSpec, given: Input, where: str) -> Padding | None:
    if mapping.padding is UNSET or mapping.padding is None:
        return None
    spec = mapping.padding
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
