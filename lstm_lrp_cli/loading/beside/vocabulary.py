"""Vocabularies: the tokens that a model knows, from wherever they were kept.

A text file, JSON, a pickle, a tokenizer, or a dataset or value in the weight file.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile
from lstm_lrp_cli.loading.files.formats import NPY, read_text_file, what_it_is
from lstm_lrp_cli.loading.files.seen import Seen, is_old_torch, is_pickle, look
from lstm_lrp_cli.loading.mapping import TokensSpec, settings
from lstm_lrp_cli.loading.pickles.files import read_pickle_file
from lstm_lrp_cli.loading.pickles.numpy import read_npy
from lstm_lrp_cli.loading.pickles.values import Made
from lstm_lrp_cli.model.text import Pieces, Vocabulary
from .vocabulary_pickles import from_pickle
from .vocabulary_pieces import (
    from_bert,
    from_sentencepiece,
    from_tokenizer,
    is_of_bert,
    is_sentencepiece,
    is_tokenizer,
    tokenizer_in,
)
from .vocabulary_text import (
    UNKNOWN_TOKENS,
    WHOLE,
    Spelling,
    from_document,
    from_keras_json,
    from_lines,
    from_list,
    is_of_keras,
    parsed,
    texts,
)

ALLOWED_BYTES = 256 * 2**20
# The first line of word2vec's formats.
COUNTS = re.compile(rb"[0-9]{1,12} [0-9]{1,12}\n")


def read_vocabulary(
    name: str | list[str], folder: Path, file: ArrayFile, size: int, given: TokensSpec
) -> tuple[Vocabulary, TokensSpec, Spelling]:
    """Read the vocabulary that a mapping names.

    Parameters
    ----------
    name : str or list of str
        The tokens themselves, in the order of their ids; or a dataset of the weight file, or a
        value that it keeps beside them (in HDF5 an attribute, of the file or as
        `group@attribute`), else a file or folder, relative to `folder`.
    size : int
        The rows of the embedding, which the vocabulary must match.
    given : TokensSpec
        The mapping's `tokens`. Where it names no unknown token, one of the usual names stands for
        unknown ones, if the vocabulary has just one of them.

    Returns
    -------
    Vocabulary
    TokensSpec
        How text becomes its ids, by the mapping, else by the vocabulary itself; `start` and `end`
        are ids.
    Spelling
        What its source says.

    Raises
    ------
    UnusableInput
        There is no such vocabulary, or it does not fit the embedding.
    """
    where, found = _found(name, folder, file)
    ids = found.ids
    try:
        "".join(ids).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UnusableInput(where, "holds half a surrogate pair, which is no character") from error
    tokens = msgspec.structs.replace(found.tokens, **settings(given))
    pieces = _pieces(where, found, tokens)
    held = len(ids)
    ids = _renumbered(where, ids, size, tokens)
    unknown = _unknown_id(where, ids, size, tokens.unknown)
    vocabulary = Vocabulary(ids, size, unknown, held - len(ids), pieces)
    start = _put_id(where, ids, size, "start", tokens.start)
    end = _put_id(where, ids, size, "end", tokens.end)
    return vocabulary, msgspec.structs.replace(tokens, start=start, end=end), found


def _found(name: str | list[str], folder: Path, file: ArrayFile) -> tuple[str, Spelling]:
    """Where a vocabulary stands, and what it says."""
    if isinstance(name, list):
        where = "vocabulary in the mapping"
        return where, Spelling(from_list(where, name))
    where = f"{file.path}: {name}"
    if name in file.datasets:
        tokens = texts(where, file.read(name).ravel().tolist())
        return where, Spelling(from_list(where, tokens))
    if name in file.documents:
        return where, _of_document(where, file.documents[name])
    path = folder / name
    if path.is_dir():
        path = tokenizer_in(path)
    what = f"a vocabulary, as there is no dataset `{name}` in {file.path}"
    return str(path), _of_file(path, what)


def _of_file(path: Path, what: str) -> Spelling:
    """What a file says, by what it begins with."""
    where, seen = str(path), _look(path, what)
    if seen.is_zip or is_old_torch(seen):
        return from_pickle(where, _saved_by_torch(path, seen, what))
    if NPY.is_it(seen):
        return from_pickle(where, read_npy(path, where))
    if is_pickle(seen):
        read = read_pickle_file(path, what)
        return from_pickle(where, read.value, read.asked)
    if is_sentencepiece(seen.beginning):
        return from_sentencepiece(where, _bytes_of(path, what))
    if _is_binary_word2vec(seen.beginning):
        raise UnusableInput(
            where,
            "is word2vec's binary format; expected a vocabulary: gensim writes one by "
            "KeyedVectors.load_word2vec_format(path, binary=True).save(other)",
        )
    text = read_text_file(path, ALLOWED_BYTES, what)
    if path.suffix == ".json":
        return _of_document(where, text)
    ids = from_lines(where, text)
    return from_bert(where, ids, path.parent) if is_of_bert(ids) else Spelling(ids)


def _is_binary_word2vec(beginning: bytes) -> bool:
    """Whether a line of two counts is followed by what is no text."""
    try:
        beginning.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character may be cut.
        return bool(COUNTS.match(beginning)) and error.start < len(beginning) - 4
    return False


def _look(path: Path, what: str) -> Seen:
    if not path.exists():
        raise UnusableInput(str(path), f"there is no such file; expected {what}")
    return look(path)


def _bytes_of(path: Path, what: str) -> bytes:
    if path.stat().st_size > ALLOWED_BYTES:
        raise UnusableInput(str(path), f"is larger than {ALLOWED_BYTES:,} bytes; expected {what}")
    return path.read_bytes()


def _saved_by_torch(path: Path, seen: Seen, what: str) -> Any:
    """What torch.save wrote, in its format of today or before 1.6."""
    where = str(path)
    if seen.is_zip and not seen.holds("data.pkl"):
        raise UnusableInput(where, f"{what_it_is(seen) or 'is a zip archive'}; expected {what}")
    from lstm_lrp_cli.loading.torch.file import opened  # here, for few vocabularies are such

    file = opened(path)
    file.close()
    return file.content


def _of_document(where: str, given: Any) -> Spelling:
    """What a JSON text holds, or a value that is none any more, such as a checkpoint's."""
    document = parsed(where, given)
    if isinstance(document, Made | tuple) or (
        isinstance(document, dict) and not all(isinstance(each, str) for each in document)
    ):
        return from_pickle(where, document)
    if is_of_keras(document):
        return from_keras_json(where, document)
    if is_tokenizer(document):
        data = given if isinstance(given, str) else msgspec.json.encode(document).decode()
        return from_tokenizer(where, document, data.encode("utf-8", "surrogatepass"))
    if isinstance(document, dict) and _holds_more(document):
        return from_pickle(where, document, what="is JSON")
    return Spelling(from_document(where, document))


def _holds_more(document: dict[str, Any]) -> bool:
    """Whether an object is none of tokens and their ids, but has such inside, or ids as keys."""
    values = list(document.values())
    texts_alone = all(isinstance(each, str) for each in values)
    of_ids = texts_alone and all(WHOLE.fullmatch(key) for key in document)
    return of_ids or any(isinstance(each, dict | list) for each in values)


def _pieces(where: str, found: Spelling, tokens: TokensSpec) -> Pieces | None:
    """What cuts text, where it is the source's own tokenizer."""
    if tokens.split != "pieces":
        if tokens.special:
            raise UnusableInput(where, f"tokens.special is of no use with split: {tokens.split}")
        return None
    if found.pieces is None:
        problem = "is no tokenizer, and tokens.split is `pieces`; expected whitespace, say"
        raise UnusableInput(where, problem)
    if tokens.separate:
        raise UnusableInput(where, "its tokenizer parts tokens, and tokens.separate is of no use")
    if tokens.special and found.pieces.library == "sentencepiece":
        problem = "has no tokens of its own to put around a text; say them by tokens.start and end"
        raise UnusableInput(where, f"tokens.special is true, and SentencePiece {problem}")
    adds, offset = bool(tokens.special), tokens.offset or 0
    return msgspec.structs.replace(found.pieces, adds=adds, offset=offset)


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


def _put_id(
    where: str, ids: dict[str, int], size: int, key: str, said: str | int | UnsetType | None
) -> int | None:
    """The id that stands before or behind every text."""
    if said is UNSET or said is None:
        return None
    found = ids.get(said) if isinstance(said, str) else said
    if found is None or not 0 <= found < size:
        raise UnusableInput(where, f"tokens.{key} is `{said}`; expected a token or its id")
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
