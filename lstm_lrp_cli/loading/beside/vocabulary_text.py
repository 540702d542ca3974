"""What a text or a document says of the ids of tokens: lists, {token: id}, Keras's and gensim's."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput, short
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.mapping import PaddingSpec, TokensSpec
from lstm_lrp_cli.model.text import Pieces

# No id, nor number of a class, is larger, and larger ones may be made so that all have one hash.
LARGEST_ID = 10**12
# A count or an id in a text file. Not str.isdigit: int() knows fewer digits, and not endless ones.
WHOLE = re.compile("[0-9]{1,12}")

# A line of a token and a number, or the other way round.
NUMBERED = re.compile(r"(.+)[\t ]([0-9]{1,12})")
NUMBERED_BEFORE = re.compile(r"([0-9]{1,12})[\t ](.+)")
# A line of SentencePiece's .vocab.
SCORED = re.compile(r"[^\t]+\t(0|-[0-9.]+(e[+-]?[0-9]+)?)")

# Names that data pipelines give to the token that stands for all others.
UNKNOWN_TOKENS = ("<unk>", "<UNK>", "[UNK]", "<oov>", "<OOV>")


class Spelling(Struct, frozen=True):
    """What a vocabulary's source says.

    Parameters
    ----------
    ids : dict of str to int
    tokens : TokensSpec
        How text becomes the tokens.
    pieces : Pieces or None
        The tokenizer that it is a part of.
    padding : PaddingSpec or None
        How that fills up and cuts texts.
    """

    ids: dict[str, int]
    tokens: TokensSpec = TokensSpec()
    pieces: Pieces | None = None
    padding: PaddingSpec | None = None


def from_lines(where: str, text: str) -> dict[str, int]:
    # Not str.splitlines: a token may hold one of the rarer line separators.
    lines = text.split("\n")
    if "\r" in text:
        lines = [line.removesuffix("\r") for line in lines]
    if lines[-1] == "":
        lines.pop()
    if len(lines) > 1:
        counts = lines[0].split(" ")
        if len(counts) == 2 and all(map(WHOLE.fullmatch, counts)):
            count, dimensions = map(int, counts)
            if _is_vector(lines[1], dimensions):
                return _from_word2vec(where, lines[1:], dimensions, count)
        dimensions = lines[0].rstrip(" ").count(" ")
        if dimensions > 1 and all(_is_vector(line, dimensions) for line in lines[:2]):
            return _from_word2vec(where, lines, dimensions)
        if all(map(SCORED.fullmatch, lines)):
            problem = "is a list of pieces and scores, as SentencePiece writes beside its model"
            raise UnusableInput(where, f"{problem}; expected the .model itself")
        if WHOLE.fullmatch(lines[0]) and len(lines[1].split("\t")) == 3:
            return _from_gensim_dictionary(where, lines[1:])
        numbered = _numbered(lines)
        if numbered is not None:
            return _from_numbered(where, numbered)
    return from_list(where, lines)


def _numbered(lines: list[str]) -> list[tuple[str, int]] | None:
    """The token and the number of each line, where every line has both; None where one has not."""
    for pattern, token, number in ((NUMBERED, 1, 2), (NUMBERED_BEFORE, 2, 1)):
        found = []
        for each in map(pattern.fullmatch, lines):
            if each is None:
                break
            found.append((each[token], int(each[number])))
        else:
            return found
    return None


def _from_numbered(where: str, lines: list[tuple[str, int]]) -> dict[str, int]:
    """A token and its id on each line; the ids count from 0 or 1, in whatever order."""
    numbers = sorted(number for _, number in lines)
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
        raise UnusableInput(
            where,
            "has a token and a number on each line, and the numbers are no ids, which would count "
            "from 0 or 1; if they are counts, leave them out: cut -f1, or cut -d' ' -f1",
        )
    ids = dict(lines)
    if len(ids) < len(lines):
        token, _ = Counter(token for token, _ in lines).most_common(1)[0]
        raise UnusableInput(where, f"token `{token}` stands twice")
    return ids


def _is_vector(line: str, dimensions: int) -> bool:
    """Whether a line is a token and so many numbers, and not a token with spaces in it."""
    _, *numbers = line.rstrip(" ").split(" ")
    try:
        return 0 < dimensions == len(list(map(float, numbers)))
    except ValueError:
        return False


def _from_word2vec(
    where: str, lines: list[str], dimensions: int, count: int | None = None
) -> dict[str, int]:
    """The text format of word2vec, as it and gensim's save_word2vec_format write it, or GloVe's.

    A token and its vector on each line, of word2vec below a line of counts; ids count from 0. The
    original program ends each line with a space.
    """
    tokens = []
    for number, line in enumerate(lines, start=1 if count is None else 2):
        token, *numbers = line.rstrip(" ").rsplit(" ", dimensions)
        if len(numbers) != dimensions:
            raise UnusableInput(
                f"{where}: line {number}", f"expected a token and {dimensions} numbers (word2vec)"
            )
        tokens.append(token)
    if count is not None and len(tokens) != count:
        raise UnusableInput(where, f"its first line says {count} tokens, {len(tokens)} follow")
    return from_list(where, tokens)


def _from_gensim_dictionary(where: str, lines: list[str]) -> dict[str, int]:
    """What gensim's Dictionary.save_as_text writes: id, token and frequency on each line."""
    ids: dict[str, Any] = {}
    for number, line in enumerate(lines, start=2):
        parts = line.split("\t")
        if len(parts) != 3 or not WHOLE.fullmatch(parts[0]):
            raise UnusableInput(
                f"{where}: line {number}", "expected id, token and count, apart by tabs (gensim)"
            )
        if parts[1] in ids:
            raise UnusableInput(f"{where}: line {number}", f"token `{parts[1]}` stands twice")
        ids[parts[1]] = int(parts[0])
    return from_document(where, ids)


def from_list(where: str, tokens: Iterable[str]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token in ids and token:
            raise UnusableInput(
                where, f"token `{token}` stands for id {ids[token]} and for id {number}"
            )
        ids[token] = number
    return ids


def texts(where: str, values: list[Any]) -> list[str]:
    found = [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values
    ]
    if not all(isinstance(text, str) for text in found):
        raise UnusableInput(where, "holds numbers; expected one text a token")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused where a key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key `{repeated}` stands twice")
    return found


def parsed(where: str, document: Any) -> Any:
    """A value that a file keeps, of JSON where it is text."""
    if not isinstance(document, str):
        return document
    with damaged(where, lambda error: f"is not valid JSON: {error}", ValueError, RecursionError):
        return json.loads(document, object_pairs_hook=_without_repeats)


def is_of_keras(document: Any) -> bool:
    """Whether a JSON document is what Keras's Tokenizer.to_json() writes."""
    return isinstance(document, dict) and document.get("class_name") == "Tokenizer"


def from_keras_json(where: str, document: dict[str, Any]) -> Spelling:
    """What Keras's Tokenizer.to_json() writes."""
    with damaged(
        where,
        lambda error: f"is not what Keras's Tokenizer.to_json() writes ({error!r})",
        *(KeyError, TypeError, ValueError, AttributeError, RecursionError),
    ):
        config = document["config"]
        ids = json.loads(config["word_index"], object_pairs_hook=_without_repeats)
        return of_keras(where, config, ids)


def of_keras(
    where: str, config: dict[str, Any], ids: dict[str, int], *, is_old: bool = False
) -> Spelling:
    """What a Tokenizer of Keras's does to text, and its word index.

    It lower-cases, turns its filters into the separator, and leaves out the words that it does not
    know or that num_words excludes, unless it has a token for them (keras_preprocessing.text).

    Parameters
    ----------
    config : dict
        Its attributes, or what `get_config` gives.
    is_old : bool
        Whether it is of Keras before 2.2.1, which lower-cases no characters, and leaves words out
        that num_words excludes even where there is a token for unknown ones.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        It is no Tokenizer.
    """
    by_character = bool(config.get("char_level"))
    # What the filters match becomes the separator, and that alone parts tokens: of other white
    # space, such as a no-break space, words are made as of letters.
    separators = [re.escape(config["split"])]
    if config["filters"]:
        separators.append(f"[{re.escape(config['filters'])}]")
    unknown = config.get("oov_token")
    limit = config.get("num_words") or None  # 0 words are all of them
    if not isinstance(unknown, str | None) or not isinstance(limit, int | None):
        raise ValueError("its oov_token is no text, or its num_words no number")
    checked_ids(where, ids)
    lower = bool(config["lower"])
    if is_old:
        if unknown is not None and limit is not None and limit <= max(ids.values()):
            raise UnusableInput(
                where,
                "is a Tokenizer of Keras before 2.2.1 with num_words and oov_token, which leaves "
                "out some unknown words and keeps others; give token ids (--ids)",
            )
        lower = lower and not by_character
    tokens = TokensSpec(
        split="characters" if by_character else "separate",
        lowercase=lower,
        separate=None if by_character else "|".join(separators),
        unknown=unknown,
        skip=unknown is None,
        limit=limit or max(ids.values()) + 1,
    )
    return Spelling(ids, tokens)


def from_document(where: str, document: Any) -> dict[str, int]:
    """A list of tokens, or the id of each token."""
    if isinstance(document, list):
        return from_list(where, texts(where, document))
    if not isinstance(document, dict):
        raise UnusableInput(where, "expected a JSON object {token: id}, or a list of tokens")
    return checked_ids(where, document)


def checked_ids(where: str, ids: dict[Any, Any]) -> dict[str, int]:
    """The ids of tokens, each a number of its own.

    Raises
    ------
    UnusableInput
    """
    owners: dict[int, str] = {}
    for token, number in ids.items():
        if not isinstance(token, str):
            raise UnusableInput(where, f"found token {token!r}; expected text")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise UnusableInput(where, f"token `{token}` has id {number!r}; expected 0, 1, 2, ...")
        if number > LARGEST_ID:
            raise UnusableInput(where, f"token `{short(token)}` has an id above {LARGEST_ID:,}")
        if number in owners:
            raise UnusableInput(where, f"id {number} is both `{owners[number]}` and `{token}`")
        owners[number] = token
    return ids
