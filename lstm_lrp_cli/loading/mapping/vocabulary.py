"""Vocabularies: a text file, JSON, or a dataset or value in the weight file."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, damaged
from lstm_lrp_cli.loading.files.formats import read_text_file
from lstm_lrp_cli.model.text import Vocabulary
from . import TokensSpec, settings

ALLOWED_BYTES = 256 * 2**20

# Names that data pipelines give to the token that stands for all others.
UNKNOWN_TOKENS = ("<unk>", "<UNK>", "[UNK]", "<oov>", "<OOV>")

# A count or an id in a text file. Not str.isdigit: int() knows fewer digits, and not endless ones.
WHOLE = re.compile("[0-9]{1,12}")


def read_vocabulary(
    name: str | list[str], folder: Path, file: ArrayFile, size: int, given: TokensSpec
) -> tuple[Vocabulary, TokensSpec]:
    """Read the vocabulary that a mapping names.

    Parameters
    ----------
    name : str or list of str
        The tokens themselves, in the order of their ids; or a dataset of the weight file, or a
        value that it keeps beside them (in HDF5 an attribute, of the file or as
        `group@attribute`), else a file, relative to `folder`.
    size : int
        The rows of the embedding, which the vocabulary must match.
    given : TokensSpec
        The mapping's `tokens`. Where it names no unknown token, one of the usual names stands for
        unknown ones, if the vocabulary has just one of them.

    Returns
    -------
    Vocabulary
    TokensSpec
        How text becomes its ids, by the mapping, else by the vocabulary itself; `start` is an id.

    Raises
    ------
    UnusableInput
        There is no such vocabulary, or it does not fit the embedding.
    """
    own = TokensSpec()
    if isinstance(name, list):
        where = "vocabulary in the mapping"
        ids = _from_list(where, name)
    elif name in file.datasets:
        where = f"{file.path}: {name}"
        ids = _from_list(where, _texts(where, file.read(name).ravel().tolist()))
    elif name in file.documents:
        where = f"{file.path}: {name}"
        ids, own = _from_json(where, file.documents[name])
    else:
        path = folder / name
        where = str(path)
        what = f"a vocabulary, as there is no dataset `{name}` in {file.path}"
        text = read_text_file(path, ALLOWED_BYTES, what)
        if path.suffix == ".json":
            ids, own = _from_json(where, text)
        else:
            ids = _from_lines(where, text)
    try:
        "".join(ids).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnusableInput(where, "holds half a surrogate pair, which is no character") from error
    tokens = msgspec.structs.replace(own, **settings(given))
    held = len(ids)
    ids = _renumbered(where, ids, size, tokens)
    unknown = _unknown_id(where, ids, size, tokens.unknown)
    start = _start_id(where, ids, size, tokens.start)
    vocabulary = Vocabulary(ids, size, unknown, held - len(ids))
    return vocabulary, msgspec.structs.replace(tokens, start=start)


def _renumbered(where: str, ids: dict[str, int], size: int, tokens: TokensSpec) -> dict[str, int]:
    """The ids that the embedding's rows have, shifted and cut as the mapping says."""
    offset, limit = tokens.offset or 0, tokens.limit
    if (
        limit is UNSET
        and min(ids.values(), default=0) == 1
        and max(ids.values(), default=0) + offset >= size
    ):
        # Keras's word_index begins at 1 and keeps all words, though num_words kept fewer.
        limit = size
    if offset:
        ids = {token: number + offset for token, number in ids.items()}
    if isinstance(limit, int):
        ids = {token: number for token, number in ids.items() if number < limit}
    if min(ids.values(), default=0) < 0:
        raise UnusableInput(where, f"tokens.offset {offset} makes ids below 0")
    needed = max(ids.values(), default=-1) + 1
    renumbered = bool(offset) or isinstance(limit, int)
    if needed > size or (needed < size and not renumbered):
        mend = (
            "(tokens.limit cuts it)"
            if needed > size
            else f"(if the last rows stand for no token, say so by tokens.limit: {size})"
        )
        raise UnusableInput(
            where,
            f"holds ids up to {needed - 1}, the embedding has {size:,} rows (0 to {size - 1}); "
            "expected the vocabulary that the model was trained with, cut to the tokens it kept "
            f"{mend}",
        )
    return ids


def _from_lines(where: str, text: str) -> dict[str, int]:
    # Not str.splitlines: a token may hold one of the rarer line separators.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    if len(lines) > 1:
        counts = lines[0].split(" ")
        if len(counts) == 2 and all(map(WHOLE.fullmatch, counts)):
            count, dimensions = map(int, counts)
            if _is_vector(lines[1], dimensions):
                return _from_word2vec(where, lines, count, dimensions)
        if WHOLE.fullmatch(lines[0]) and len(lines[1].split("\t")) == 3:
            return _from_gensim_dictionary(where, lines[1:])
    return _from_list(where, lines)


def _is_vector(line: str, dimensions: int) -> bool:
    """Whether a line is a token and so many numbers, and not a token with spaces in it."""
    _, *numbers = line.rstrip(" ").split(" ")
    try:
        return 0 < dimensions == len(list(map(float, numbers)))
    except ValueError:
        return False


def _from_word2vec(where: str, lines: list[str], count: int, dimensions: int) -> dict[str, int]:
    """The text format of word2vec, as it and gensim's save_word2vec_format write it.

    A line of counts, then a token and its vector on each line; ids count from 0. The original
    program ends each line with a space.
    """
    tokens = []
    for number, line in enumerate(lines[1:], start=2):
        token, *numbers = line.rstrip(" ").rsplit(" ", dimensions)
        if len(numbers) != dimensions:
            raise UnusableInput(
                f"{where}: line {number}", f"expected a token and {dimensions} numbers (word2vec)"
            )
        tokens.append(token)
    if len(tokens) != count:
        raise UnusableInput(where, f"its first line says {count} tokens, {len(tokens)} follow")
    return _from_list(where, tokens)


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
    return _from_document(where, ids)


def _from_list(where: str, tokens: Iterable[str]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for number, token in enumerate(tokens):
        if token in ids and token:
            raise UnusableInput(
                where, f"token `{token}` stands for id {ids[token]} and for id {number}"
            )
        ids[token] = number
    return ids


def _texts(where: str, values: list[Any]) -> list[str]:
    texts = [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values
    ]
    if not all(isinstance(text, str) for text in texts):
        raise UnusableInput(where, "holds numbers; expected one text a token")
    return texts


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused where a key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key `{repeated}` stands twice")
    return found


def _parsed(where: str, document: Any) -> Any:
    """A value that a file keeps, of JSON where it is text."""
    if not isinstance(document, str):
        return document
    with damaged(where, lambda error: f"is not valid JSON: {error}", ValueError, RecursionError):
        return json.loads(document, object_pairs_hook=_without_repeats)


def _from_json(where: str, document: Any) -> tuple[dict[str, int], TokensSpec]:
    """What a JSON text holds, or a value that is none any more."""
    document = _parsed(where, document)
    if isinstance(document, dict) and document.get("class_name") == "Tokenizer":
        return _from_keras_tokenizer(where, document)
    return _from_document(where, document), TokensSpec()


def _from_keras_tokenizer(where: str, document: Any) -> tuple[dict[str, int], TokensSpec]:
    """What Keras's Tokenizer.to_json() writes: its word index, and how it cuts text.

    It lower-cases, turns its filters into the separator, and leaves out the words that it does not
    know or that num_words excludes, unless it has a token for them (keras_preprocessing.text).
    """
    with damaged(
        where,
        lambda error: f"is not what Keras's Tokenizer.to_json() writes ({error!r})",
        *(KeyError, TypeError, ValueError, AttributeError, RecursionError),
    ):
        config = document["config"]
        ids = json.loads(config["word_index"], object_pairs_hook=_without_repeats)
        by_character = bool(config.get("char_level"))
        # What the filters match becomes the separator, and that alone parts tokens: of other white
        # space, such as a no-break space, words are made as of letters.
        separators = [re.escape(config["split"])]
        if config["filters"]:
            separators.append(f"[{re.escape(config['filters'])}]")
        unknown = config.get("oov_token")
        limit = config.get("num_words")
        tokens = TokensSpec(
            split="characters" if by_character else "separate",
            lowercase=bool(config["lower"]),
            separate=None if by_character else "|".join(separators),
            unknown=unknown,
            skip=unknown is None,
            limit=limit if isinstance(limit, int) else max(ids.values()) + 1,
        )
    return _from_document(where, ids), tokens


def _from_document(where: str, document: Any) -> dict[str, int]:
    """A list of tokens, or the id of each token."""
    if isinstance(document, list):
        return _from_list(where, _texts(where, document))
    if not isinstance(document, dict):
        raise UnusableInput(where, "expected a JSON object {token: id}, or a list of tokens")
    owners: dict[int, str] = {}
    for token, number in document.items():
        if not isinstance(token, str):
            raise UnusableInput(where, f"found token {token!r}; expected text")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise UnusableInput(where, f"token `{token}` has id {number!r}; expected 0, 1, 2, ...")
        if number in owners:
            raise UnusableInput(where, f"id {number} is both `{owners[number]}` and `{token}`")
        owners[number] = token
    return document


def _start_id(
    where: str, ids: dict[str, int], size: int, start: str | int | UnsetType | None
) -> int | None:
    if start is UNSET or start is None:
        return None
    found = ids.get(start) if isinstance(start, str) else start
    if found is None or not 0 <= found < size:
        raise UnusableInput(where, f"tokens.start is `{start}`; expected a token or its id")
    return found


def _unknown_id(
    where: str, ids: dict[str, int], size: int, unknown: str | int | UnsetType | None
) -> int | None:
    match unknown:
        case UnsetType():
            usual = [ids[token] for token in UNKNOWN_TOKENS if token in ids]
            return usual[0] if len(usual) == 1 else None
        case None:
            return None
        case str():
            if unknown not in ids:
                raise UnusableInput(where, f"has no token `{unknown}`, which tokens.unknown names")
            return ids[unknown]
        case int():
            if not 0 <= unknown < size:
                raise UnusableInput(where, f"tokens.unknown is id {unknown} of 0 to {size - 1}")
            return unknown
