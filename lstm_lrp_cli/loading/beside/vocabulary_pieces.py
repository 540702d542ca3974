"""Tokenizers of the libraries tokenizers and sentencepiece: which pieces there are, with what ids.

What they do to text is done by the library, when there is text to cut. The ids are read without it,
so that pieces and ids can be given where it is not installed.

Sources: tokenizers 0.23, `Tokenizer.save`; sentencepiece 0.2, sentencepiece_model.proto;
transformers 4, `BertTokenizer`.
"""

import base64
import json
from pathlib import Path
from typing import Any

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.files.formats import read_text_file
from lstm_lrp_cli.loading.mapping import PaddingSpec, TokensSpec
from lstm_lrp_cli.loading.tensorflow.wire import fields
from lstm_lrp_cli.model.text import Pieces
from .vocabulary_text import Spelling, checked_ids, from_list

# What BERT's vocabularies have besides words, and how pieces inside words begin.
OF_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
FOLLOWS = "##"
# Characters become a few, and not by one normalizer after the other.
MOST_GROWTH = 1000
# A folder's settings are short.
ALLOWED_SETTINGS = 2**20
# SentencePiece's numbers of fields, and of kinds of pieces.
_PIECE, _TEXT, _KIND, _UNKNOWN = 1, 1, 3, 2
_SIDES: dict[Any, Any] = {"Left": "pre", "Right": "post"}


def is_tokenizer(document: Any) -> bool:
    """Whether a JSON document is what tokenizers writes."""
    return isinstance(document, dict) and isinstance(document.get("model"), dict)


def from_tokenizer(where: str, document: dict[str, Any], data: bytes) -> Spelling:
    """What the library tokenizers writes: `tokenizer.json`.

    Parameters
    ----------
    document : dict
        What the data holds.
    """
    with damaged(
        where,
        lambda error: f"is not what the library tokenizers writes ({error!r}); save it again",
        *(KeyError, TypeError, ValueError, AttributeError, IndexError),
    ):
        model = document["model"]
        held, unknown = model["vocab"], model.get("unk_token")
        if isinstance(held, list):
            ids = from_list(where, (text for text, _ in held))
            place = model.get("unk_id")
            unknown = held[place][0] if type(place) is int and 0 <= place < len(held) else None
        else:
            ids = dict(held)
        for each in document.get("added_tokens") or ():
            ids[each["content"]] = each["id"]
        checked_ids(where, ids)
        _check_normalizer(document.get("normalizer"))
        padding = _padding(document)
    tokens = TokensSpec(split="pieces", unknown=unknown if unknown in ids else None)
    return Spelling(ids, tokens, Pieces("tokenizers", data), padding)


def _check_normalizer(given: dict[str, Any] | None) -> None:
    """Refuse what makes text longer and longer, and a map that ends before it is said to.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
    """
    growth = 1.0
    waiting = [] if given is None else [given]
    while waiting:
        each = waiting.pop()
        waiting += each.get("normalizers") or ()
        if each["type"] == "Replace":
            growth *= max(1, len(each["content"]) / max(1, len(each["pattern"].get("String", ""))))
        elif each["type"] == "Precompiled":
            said = base64.b64decode(each["precompiled_charsmap"] or "")
            # How many bytes its trie has, of four each.
            size = int.from_bytes(said[:4], "little")
            if said and not (0 < size <= len(said) - 4 and size % 4 == 0):
                raise ValueError(f"a precompiled map claims {size:,} bytes, of {len(said):,}")
        if growth > MOST_GROWTH:
            raise ValueError(f"its normalizers make text more than {MOST_GROWTH:,} times as long")


def _padding(document: dict[str, Any]) -> PaddingSpec | None:
    """How a tokenizer.json fills up and cuts; None where it does neither, or to no one length."""
    cuts, fills = document.get("truncation"), document.get("padding")
    said: dict[str, Any] = {}
    if cuts:
        said |= {"length": cuts["max_length"], "truncate": _SIDES[cuts.get("direction", "Right")]}
        said |= {"side": None}
    if fills and isinstance(fills["strategy"], dict):
        length = fills["strategy"]["Fixed"]
        if said.get("length", length) != length:
            raise ValueError(f"it cuts to {said['length']} and fills up to {length}")
        said |= {"length": length, "value": fills["pad_id"], "side": _SIDES[fills["direction"]]}
    if not all(type(said.get(key, 0)) is int for key in ("length", "value")):
        raise ValueError("its padding has no whole numbers")
    return PaddingSpec(**said) if said else None


def is_sentencepiece(data: bytes) -> bool:
    """Whether data begins as SentencePiece's models do: with a piece, a text and its score."""
    begins = data[:1] == data[2:3] == b"\n" and len(data) > 4
    return begins and data[4 + data[3] :][:1] == b"\x15"


def from_sentencepiece(where: str, data: bytes) -> Spelling:
    """What SentencePiece writes: `spm.model`."""
    texts, unknown = [], None
    with damaged(
        where,
        lambda error: f"is not what SentencePiece writes ({error}); copy or save it again",
        *(ValueError, TypeError),
    ):
        for number, piece in fields(data):
            if number != _PIECE:
                continue
            if isinstance(piece, int):
                raise ValueError("a piece is a number")
            found = dict(fields(piece))
            text = found.get(_TEXT)
            if not isinstance(text, memoryview):  # and bytes of a number are as many zeros
                raise ValueError("a piece has no text")
            texts.append(bytes(text).decode("utf-8"))
            if found.get(_KIND) == _UNKNOWN:
                unknown = texts[-1]
    tokens = TokensSpec(split="pieces", unknown=unknown)
    return Spelling(from_list(where, texts), tokens, Pieces("sentencepiece", data))


def is_of_bert(ids: dict[str, int]) -> bool:
    """Whether a list of tokens is BERT's, whose text is cut into pieces of words."""
    return all(token in ids for token in OF_BERT) and any(each.startswith(FOLLOWS) for each in ids)


def from_bert(where: str, ids: dict[str, int], folder: Path) -> Spelling:
    """What a `vocab.txt` of BERT is: transformers' BertTokenizer, as the library tokenizers has it.

    Whether text is lower-cased stands in `tokenizer_config.json` beside it; without one, it is
    where no token has an upper-case letter.
    """
    special = [token for token in ids if token.startswith("[") and token.endswith("]")]
    special = [token for token in special if token in (*OF_BERT, "[MASK]")]
    said = _settings(folder / "tokenizer_config.json")
    lower = not any(token != token.lower() for token in ids if not token.startswith("["))
    added = [
        {
            "id": ids[token],
            "content": token,
            "special": True,
            **dict.fromkeys(("normalized", "single_word", "lstrip", "rstrip"), False),
        }
        for token in special
    ]
    begin, end = ({"id": each, "type_id": 0} for each in ("[CLS]", "[SEP]"))
    around: list[Any] = [{"SpecialToken": begin}, {"Sequence": {"id": "A", "type_id": 0}}]
    around.append({"SpecialToken": end})
    document = {
        "version": "1.0",
        "added_tokens": sorted(added, key=lambda each: int(str(each["id"]))),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": said.get("tokenize_chinese_chars", True),
            "strip_accents": said.get("strip_accents"),
            "lowercase": said.get("do_lower_case", lower),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": around,
            "pair": around,
            "special_tokens": {
                each: {"id": each, "ids": [ids[each]], "tokens": [each]} for each in OF_BERT[2:]
            },
        },
        "decoder": {"type": "WordPiece", "prefix": FOLLOWS, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": FOLLOWS,
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }
    return from_tokenizer(where, document, json.dumps(document).encode())


def _settings(path: Path) -> dict[str, Any]:
    """What tokenizer_config.json says of BERT's tokenizer; nothing where there is none."""
    if not path.is_file():
        return {}
    text = read_text_file(path, ALLOWED_SETTINGS, "tokenizer_config.json of transformers")
    with damaged(str(path), lambda error: f"is not JSON: {error}", ValueError, RecursionError):
        document = json.loads(text)
    found = document if isinstance(document, dict) else {}
    names = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
    said = {name: found[name] for name in names if name in found}
    wrong = next((name for name in said if not isinstance(said[name], bool | None)), None)
    if wrong is not None:
        raise UnusableInput(str(path), f"{wrong}: found {said[wrong]!r}; expected true or false")
    return said


def tokenizer_in(folder: Path) -> Path:
    """The file of a folder, as transformers writes it, that cuts text.

    Raises
    ------
    UnusableInput
        It has none that is read.
    """
    for name in ("tokenizer.json", "vocab.txt"):
        if (folder / name).is_file():
            return folder / name
    raise UnusableInput(
        str(folder),
        "is a folder without tokenizer.json or vocab.txt; expected a vocabulary, such as "
        "transformers' AutoTokenizer.from_pretrained(..).save_pretrained(folder) writes",
    )
