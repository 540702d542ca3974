"""Cutting text into pieces of words, by the library that made the model's vocabulary.

The libraries are imported when there is text to cut. What they say of a piece is its id; it is
looked up again as a token, as all others are, so that both always agree.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.text import Pieces, Vocabulary

# The tokens of a text, given its vocabulary and its place for error messages.
Cutter = Callable[[str, Vocabulary, str], list[str]]
# A piece, its id, and the text that it stands for.
Piece = tuple[str, int, str]


def cutter_of(pieces: Pieces) -> Cutter:
    """What cuts text as a tokenizer does; the library is imported at the first text."""

    def cut(text: str, vocabulary: Vocabulary, where: str) -> list[str]:
        found = _run(_opened, where, pieces)
        cuts = _run(lambda: list(found(text)), where)
        return [_named(each, pieces.offset, vocabulary) for each in cuts]

    return cut


def _named(piece: Piece, offset: int, vocabulary: Vocabulary) -> str:
    """What a piece is called: an unknown one as the text has it, where that is no other token."""
    name, number, text = piece
    found = number + offset
    if vocabulary.ids.get(name) == found != vocabulary.unknown_id:
        return name
    return text if text and text not in vocabulary.ids else name


def _run(work: Callable[..., Any], where: str, *given: Any) -> Any:
    """What a library gives; it raises errors of no class of its own, and Rust's are no Exception.

    Raises
    ------
    UnusableInput
    """
    try:
        return work(*given)
    except UnusableInput as error:
        raise UnusableInput(where, error.problem) from error
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as error:
        said = " ".join(str(error).split()) or type(error).__name__
        problem = f"the vocabulary's tokenizer fails ({said[:200]})"
        raise UnusableInput(where, f"{problem}; give the tokens or ids instead") from error


@lru_cache(maxsize=8)
def _opened(pieces: Pieces) -> Callable[[str], Iterable[Piece]]:
    """A tokenizer, ready to cut."""
    return _tokenizers(pieces) if pieces.library == "tokenizers" else _sentencepiece(pieces)


def _tokenizers(pieces: Pieces) -> Callable[[str], Iterable[Piece]]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing("tokenizers") from error
    tokenizer = Tokenizer.from_str(pieces.data.decode("utf-8"))
    # Texts are cut and filled up by the model's padding, which shows what is cut off.
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def cut(text: str) -> Iterable[Piece]:
        found = tokenizer.encode(text, add_special_tokens=pieces.adds)
        texts = (text[begin:end] for begin, end in found.offsets)
        return zip(found.tokens, found.ids, texts, strict=True)

    return cut


def _sentencepiece(pieces: Pieces) -> Callable[[str], Iterable[Piece]]:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise _missing("sentencepiece") from error
    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(pieces.data)

    def cut(text: str) -> Iterable[Piece]:
        numbers = processor.encode(text)
        names = processor.encode(text, out_type=str)
        known = map(processor.id_to_piece, numbers)
        return zip(known, numbers, names, strict=True)

    return cut


def _missing(library: str) -> UnusableInput:
    return UnusableInput(
        "text",
        f"is cut by the library {library}, which is not installed: pip install "
        f"'lstm-lrp-cli[{library}]'; or give the tokens or ids instead",
    )
