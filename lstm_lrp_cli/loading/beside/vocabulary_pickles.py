"""Vocabularies in pickles: Keras's Tokenizer, dicts and lists, torchtext's, gensim's, one's own.

A vocabulary of any class is known by what its attributes are called: `word2idx`, `stoi`, `itos`,
`token2id` and the like. Where it has the ids of tokens and the tokens of ids, they may say no two
things of one.

Sources: keras_preprocessing 1.1.2, text.py; torchtext 0.6 and 0.18, vocab; gensim 3.8 and 4.4,
models/keyedvectors.py and corpora/dictionary.py.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.mapping import TokensSpec
from lstm_lrp_cli.loading.pickles.numpy import PickledArray
from lstm_lrp_cli.loading.pickles.values import Foreign, Made, Unordered
from .vocabulary_pieces import from_sentencepiece, from_tokenizer
from .vocabulary_text import (
    LARGEST_ID,
    UNKNOWN_TOKENS,
    WHOLE,
    Spelling,
    checked_ids,
    from_list,
    of_keras,
    parsed,
)

# No honest file keeps its vocabulary deeper.
DEEPEST = 6
# What may hold a vocabulary.
HOLDING = (dict, list, tuple, Made, PickledArray)
# So many names say what a pickle is.
MOST_NAMED = 5
# How Keras's Tokenizer was called through the years.
KERAS_TOKENIZER = re.compile(r"(tensorflow\..*)?keras(_preprocessing|\..*preprocessing)\.text")
# What a Tokenizer has that no other vocabulary has.
OF_TOKENIZER = {"word_index", "filters", "lower", "split"}
# What makes SentencePiece give other pieces than its model.
CHANGING = ("_add_bos", "_add_eos", "_reverse", "_enable_sampling")
# How attributes are called, without underscores: the ids of tokens and the tokens of ids, for
# certain or perhaps, and what may hold either.
_TOKEN, _NUMBER = "(word|token|tok|char|key|term|symbol|w|t|c|s)", "(index|idx|id|ix|ind|int|i)"
SURE = re.compile(f"{_TOKEN}s?2{_NUMBER}s?|{_NUMBER}s?2({_TOKEN}|entity)s?|stoi|itos|wordindex")
LIKELY = re.compile("vocab|vocabulary|wordvocab|dictionary|wv|keyedvectors|data|tokenizer|kv")
PERHAPS = re.compile("words|tokens|vocabs|chars|index2entity")
UNKNOWN_NAME = re.compile("(unk|unknown|oov)(token|word|symbol)?")
UNKNOWN_PLACE = re.compile("((unk|unknown|oov)(token)?|default)(index|idx|id)")

EXPECTED = (
    "expected a dict {token: id}, a list of tokens, or what has them as word2idx, stoi, itos, "
    "token2id or the like"
)


def from_pickle(
    where: str, content: Any, asked: Sequence[Foreign] = (), what: str = "is a pickle"
) -> Spelling:
    """What a pickle says of the ids of tokens, or a document of JSON that holds as much.

    Parameters
    ----------
    content : any
        What `pickles` read of it.
    asked : sequence of Foreign
        What it asks for that is not known.
    what : str
        What messages call the file.

    Raises
    ------
    UnusableInput
        It holds no vocabulary, several, or one that only executing it would give.
    """
    found = _Search(where).spelled(content, 0)
    if found is not None:
        return found
    named = [*([content] if isinstance(content, Made | Foreign) else []), *asked]
    names = ", ".join(f"`{each}`" for each in dict.fromkeys(map(str, named[:MOST_NAMED])))
    asks = f" that asks for {names}, which is not executed," if names else ""
    raise UnusableInput(where, f"{what}{asks} and has no vocabulary; {EXPECTED}")


class _Search:
    """Looks for a vocabulary in what a pickle holds; each part of that is looked at once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._seen: dict[int, Any] = {}  # kept, so that no other has its place

    def spelled(self, value: Any, depth: int) -> Spelling | None:
        """What a value says; None where it is no vocabulary."""
        if depth > DEEPEST or id(value) in self._seen:
            return None
        if isinstance(value, Unordered):
            problem = "holds a set, which has no order; expected a list of tokens, or their ids"
            raise UnusableInput(self.where, problem)
        if isinstance(value, HOLDING):
            self._seen[id(value)] = value
        if isinstance(value, PickledArray):
            with damaged(self.where, lambda error: f"is damaged ({error})", ValueError):
                held = value.values()
            # One of no axes is what numpy.save makes of a dict.
            return self.spelled(held if value.shape else held[0], depth + 1)
        if isinstance(value, Made):
            return self._of_object(value, depth)
        if isinstance(value, dict):
            ids = self._ids(value)
            return self._named(value, depth) if ids is None else Spelling(ids)
        if isinstance(value, list | tuple):
            ids = self._ids(value)
            return self._several(value, depth) if ids is None else Spelling(ids)
        return None

    def _of_object(self, made: Made, depth: int) -> Spelling | None:
        held, name = made.attributes, str(made)
        if held.keys() >= OF_TOKENIZER:
            return self._of_keras(made)
        state = held.get("model_proto", made.state)
        if isinstance(state, bytes):
            return self._of_library(name, state, held)
        if name.startswith("torchtext._torchtext.") and isinstance(made.state, tuple):
            return self._of_torchtext(made.state)
        own = made.items or made.values
        if own:
            return self.spelled(own, depth + 1)
        return self._named(held, depth)

    def _of_keras(self, made: Made) -> Spelling:
        """A Tokenizer of Keras's, whose text is cut by what it says."""
        kind, held = made.kind, made.attributes
        if not KERAS_TOKENIZER.fullmatch(kind.module) or kind.name != "Tokenizer":
            problem = "may cut text in its own way; expected Keras's, or tokenizer.word_index alone"
            raise UnusableInput(self.where, f"holds a tokenizer of the class `{kind}`, {problem}")
        if held.get("analyzer") is not None:
            problem = f"cuts text by a function of its own, `{held['analyzer']}`"
            mend = "expected one without; give its word_index alone, and tokens in JSON lines"
            raise UnusableInput(self.where, f"holds a Tokenizer that {problem}; {mend}")
        with damaged(
            self.where,
            lambda error: f"is no Tokenizer that was fitted on texts ({error!r})",
            *(KeyError, TypeError, ValueError, AttributeError),
        ):
            return of_keras(self.where, held, held["word_index"], is_old="index_word" not in held)

    def _of_library(self, name: str, state: bytes, held: dict[Any, Any]) -> Spelling | None:
        """What tokenizers and sentencepiece pickle of themselves: their files."""
        if name.startswith("sentencepiece."):
            said = next((each for each in CHANGING if held.get(each)), None)
            if said is not None:
                problem = f"holds a processor whose {said.strip('_')} is set"
                raise UnusableInput(self.where, f"{problem}; expected the .model that it was given")
            return from_sentencepiece(self.where, state)
        if name == "tokenizers.Tokenizer":
            with damaged(self.where, lambda error: f"is no UTF-8: {error}", ValueError):
                return from_tokenizer(self.where, parsed(self.where, state.decode()), state)
        return None

    def _of_torchtext(self, state: tuple[Any, ...]) -> Spelling:
        """What torchtext's Vocab keeps since 0.10: a version, the default index, the tokens."""
        with damaged(
            self.where,
            lambda error: f"is not what torchtext's Vocab keeps ({error})",
            *(ValueError, TypeError),
        ):
            _, numbers, tokens, *_ = state
            if not all(isinstance(token, str) for token in tokens):
                raise ValueError("its tokens are no text")
            unknown = numbers[0] if numbers else -1
            if type(unknown) is not int:
                raise ValueError("its default index is no number")
            spec = TokensSpec(unknown=None if unknown == -1 else unknown)
        return Spelling(from_list(self.where, tokens), spec)

    def _named(self, held: dict[Any, Any], depth: int) -> Spelling | None:
        """What stands under names that vocabularies have: the surest, which must agree."""
        names = {each: _plain(each) for each in held if isinstance(each, str)}
        for pattern in (SURE, LIKELY, PERHAPS):
            usual = [held[each] for each, plain in names.items() if pattern.fullmatch(plain)]
            found = self._agreed(usual, depth)
            if found is not None:
                unknown = self._unknown(held, names, found.ids)
                if unknown is UNSET or found.tokens.unknown is not UNSET:
                    return found
                return Spelling(found.ids, TokensSpec(unknown=unknown))
        return None

    def _several(self, values: Iterable[Any], depth: int) -> Spelling | None:
        """What a list or tuple of several things holds, such as (word2idx, idx2word)."""
        return self._agreed([each for each in values if not isinstance(each, str)], depth)

    def _agreed(self, values: list[Any], depth: int) -> Spelling | None:
        """The one vocabulary that values hold, in whatever forms; None where none does."""
        kept = [each for each in values if isinstance(each, HOLDING)]
        found = [self.spelled(each, depth + 1) for each in kept if not _is_empty(each)]
        spelled = [each for each in found if each is not None]
        if not spelled:
            return None
        # Who says how text is cut is asked first.
        first, *others = sorted(spelled, key=lambda each: each.tokens == TokensSpec())
        for other in others:
            first = replace(first, ids=self._joined(first.ids, other.ids))
        return first

    def _joined(self, ids: dict[str, int], more: dict[str, int]) -> dict[str, int]:
        """What two say that are of one vocabulary: some have reserved ids one way round alone."""
        joined = ids | more
        token = next((each for each, number in ids.items() if joined[each] != number), None)
        if token is not None:
            problem = f"id {ids[token]} for `{token}`, and {more[token]} beside it"
            raise UnusableInput(self.where, f"holds two vocabularies: {problem}; expected one")
        owners = {number: each for each, number in joined.items()}
        token = next((each for each, number in joined.items() if owners[number] != each), None)
        if token is not None:
            problem = f"id {joined[token]} is `{token}`, and `{owners[joined[token]]}` beside it"
            raise UnusableInput(self.where, f"holds two vocabularies: {problem}; expected one")
        return joined

    def _ids(self, value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> dict[str, int] | None:
        """The ids of tokens, given them either way round; None where that is no such value."""
        if isinstance(value, list | tuple):
            is_list = bool(value) and all(isinstance(each, str) for each in value)
            return from_list(self.where, value) if is_list else None
        numbers = [_number(each) for each in value.values()]
        if value and all(isinstance(each, str) for each in value) and None not in numbers:
            return self._checked(dict(zip(value, numbers, strict=True)))
        texts = all(isinstance(each, str) for each in value.values())
        keys = {key: _place(key) for key in value}
        if not value or not texts or None in keys.values():
            return None
        ids: dict[str, int] = {}
        for key, token in value.items():
            if token in ids:
                problem = f"token `{token}` stands for id {ids[token]} and for id {keys[key]}"
                raise UnusableInput(self.where, problem)
            ids[token] = keys[key]  # type: ignore[assignment]
        return checked_ids(self.where, ids)

    def _checked(self, ids: dict[str, Any]) -> dict[str, int]:
        """The ids of tokens; those that share the unknown token's are unknown, and left out."""
        unknown = {ids[token] for token in UNKNOWN_TOKENS if token in ids}
        kept = {
            token: number
            for token, number in ids.items()
            if number not in unknown or token in UNKNOWN_TOKENS
        }
        numbers = list(kept.values())
        if len(set(numbers)) < len(numbers):
            raise UnusableInput(
                self.where,
                "has several tokens of one id; expected ids that are all different (numbers of "
                "times that tokens were met, as a Counter has them, are none)",
            )
        return checked_ids(self.where, kept)

    def _unknown(
        self, held: dict[Any, Any], names: dict[str, str], ids: dict[str, int]
    ) -> str | int | UnsetType:
        """What stands for unknown tokens, as its attributes say."""
        numbers = set(ids.values())
        for name, plain in names.items():
            value = held[name]
            if UNKNOWN_NAME.fullmatch(plain) and isinstance(value, str) and value in ids:
                return value
            if UNKNOWN_PLACE.fullmatch(plain) and type(value) is int and value in numbers:
                return value
        return UNSET


def _plain(name: str) -> str:
    return name.lower().replace("_to_", "2").replace("_", "")


def _is_empty(value: Any) -> bool:
    return isinstance(value, dict | list | tuple) and not value


def _place(key: Any) -> int | None:
    """The id that a token stands under, which is a text where it has been JSON; None of others."""
    if isinstance(key, str):
        return int(key) if WHOLE.fullmatch(key) and str(int(key)) == key else None
    return _number(key)


def _number(value: Any) -> int | None:
    """A number that is an id, or that gensim's word is at; None of anything else."""
    if isinstance(value, Made):
        value = value.attributes.get("index")
    return value if type(value) is int and abs(value) <= LARGEST_ID else None
