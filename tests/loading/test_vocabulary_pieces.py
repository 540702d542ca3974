"""Vocabularies whose text a library cuts: what is read of them without the library.

What the libraries cut is compared in tests/frameworks/test_tokenizers.py.
"""

import json
import struct
import sys

import numpy as np
import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.tokens import Tokenizer
from lstm_lrp_cli.loading.load import load_model

WORDS = ["[PAD]", "[UNK]", "the", "film", "##s"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "film", "##s"]


def tokenizer(**settings):
    """What the library tokenizers saves."""
    ids = {token: number for number, token in enumerate(WORDS)}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "vocab": ids}
    return json.dumps({"version": "1.0", "model": model, "added_tokens": [], **settings})


def piece(text, kind=1):
    inside = b"\n" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", -1.0)
    inside += b"\x18" + bytes([kind]) if kind != 1 else b""
    return b"\n" + bytes([len(inside)]) + inside


def sentencepiece():
    kinds = ((b"<unk>", 2), (b"<s>", 3), (b"</s>", 3), (b"\xe2\x96\x81the", 1), (b"s", 1))
    return b"".join(piece(*each) for each in kinds) + b"\x12\x02\x18\x03"


@pytest.fixture
def taking(small):
    def load(name, content, size=None, **tokens):
        small.write(name, content)
        if size is not None:
            small.arrays["E"] = np.zeros((size, 3))
        small.mapping |= {"vocabulary": name, "tokens": tokens}
        return load_model(small.save(), None, np.dtype(np.float64)).model.only_input

    return load


@pytest.mark.parametrize("name", ["tokenizer.json", "other.json"])
def test_a_tokenizer_says_ids_and_the_unknown_token(taking, name):
    found = taking(name, tokenizer())
    assert found.vocabulary.tokens == dict(enumerate(WORDS))
    assert found.vocabulary.unknown_id == 1
    assert found.tokenization.split == "pieces"


def test_added_tokens_are_of_the_vocabulary(taking):
    added = [{"id": 5, "content": "<new>", "special": True}]
    assert taking("t.json", tokenizer(added_tokens=added), 6).vocabulary.ids["<new>"] == 5


def test_a_unigram_model_lists_its_pieces(taking):
    model = {"type": "Unigram", "unk_id": 1, "vocab": [[token, -1.0] for token in WORDS]}
    found = taking("t.json", tokenizer(model=model))
    assert (found.vocabulary.tokens, found.vocabulary.unknown_id) == (dict(enumerate(WORDS)), 1)


def test_sentencepiece(taking):
    found = taking("spm.model", sentencepiece(), offset=1, size=6)
    assert found.vocabulary.ids == {"<unk>": 1, "<s>": 2, "</s>": 3, "▁the": 4, "s": 5}
    assert (found.vocabulary.unknown_id, found.tokenization.split) == (1, "pieces")


@pytest.mark.parametrize(
    ("tokens", "expected"), [(["film"], {"lowercase": True}), (["Film"], {"lowercase": False})]
)
def test_berts_list_of_tokens_cuts_words_into_pieces(taking, tokens, expected):
    found = taking("vocab.txt.bert", "\n".join([*BERT, *tokens[1:]]).replace("film", tokens[0]), 6)
    said = json.loads(found.vocabulary.pieces.data)["normalizer"]
    assert said["lowercase"] == expected["lowercase"]


def test_a_folder_says_what_berts_tokenizer_does(small):
    folder = small.folder / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(BERT), "utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}', "utf-8")
    small.arrays["E"] = np.zeros((6, 3))
    small.mapping["vocabulary"] = "bert"
    found = load_model(small.save(), None, np.dtype(np.float64)).model.only_input
    assert json.loads(found.vocabulary.pieces.data)["normalizer"]["lowercase"] is False


def test_a_list_with_berts_tokens_may_be_cut_otherwise(taking):
    found = taking("words.txt", "\n".join(BERT), 6, split="whitespace")
    assert found.vocabulary.pieces is None
    assert Tokenizer(found).cut("film x") == ["film", "x"]


def test_its_padding_is_the_models(taking):
    padding = {"strategy": {"Fixed": 7}, "direction": "Left", "pad_id": 2}
    cuts = {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0}
    found = taking("t.json", tokenizer(padding=padding, truncation=cuts)).padding
    assert (found.side, found.length, found.value, found.truncate) == ("pre", 7, 2, "post")
    alone = taking("t.json", tokenizer(truncation=cuts)).padding
    assert (alone.side, alone.length, alone.truncate) == (None, 7, "post")
    longest = taking("t.json", tokenizer(padding={**padding, "strategy": "BatchLongest"}))
    assert longest.padding is None


def test_inspect_tells_that_the_tokenizer_says_it(run, taking, small):
    cuts = {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0}
    taking("t.json", tokenizer(truncation=cuts))
    del small.mapping["tokens"]
    result = run("inspect", small.save(), "--format", "json")
    origins = json.loads(result.stdout)["origins"]
    assert (origins["tokens"], origins["padding"]) == ("t.json", "t.json")


REFUSED = {
    "no vocabulary": ("t.json", tokenizer(model={"type": "BPE"}), {}, "the library tokenizers"),
    "an id of no number": (
        "t.json",
        tokenizer(model={"type": "WordLevel", "vocab": {"a": "b"}}),
        {},
        "token `a` has id 'b'",
    ),
    "an id twice": (
        "t.json",
        tokenizer(added_tokens=[{"id": 2, "content": "x"}]),
        {},
        "id 2 is both",
    ),
    "two lengths": (
        "t.json",
        tokenizer(
            padding={"strategy": {"Fixed": 7}, "direction": "Left", "pad_id": 2},
            truncation={"max_length": 9},
        ),
        {},
        "cuts to 9 and fills up to 7",
    ),
    "pieces of a list": ("v.json", json.dumps(WORDS), {"split": "pieces"}, "is no tokenizer"),
    "separators": ("t.json", tokenizer(), {"separate": " "}, "tokens.separate is of no use"),
    "special tokens of none": ("spm.model", sentencepiece(), {"special": True}, "by tokens.start"),
    "special tokens of a list": ("v.json", json.dumps(WORDS), {"special": True}, "of no use"),
    "special tokens and padding": (
        "t.json",
        tokenizer(truncation={"max_length": 9}),
        {"special": True},
        "say by `padding`",
    ),
    "cut short": ("spm.model", sentencepiece()[:-9], {}, "is not what SentencePiece writes"),
    "pieces and scores": ("spm.vocab", "<unk>\t0\ns\t-1.5\n", {}, "expected the .model itself"),
    "a folder": (".", b"", {}, "without tokenizer.json or vocab.txt"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_used_is_refused(taking, small, what):
    name, content, tokens, problem = REFUSED[what]
    if name == ".":
        (small.folder / "empty").mkdir()
        small.mapping["vocabulary"] = "empty"
        with pytest.raises(UnusableInput, match=problem):
            load_model(small.save(), None, np.dtype(np.float64))
        return
    with pytest.raises(UnusableInput, match=problem) as caught:
        taking(name, content, **tokens)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "library"),
    [("t.json", tokenizer(), "tokenizers"), ("s.model", sentencepiece(), "sentencepiece")],
)
def test_without_the_library_pieces_can_be_given(
    run, taking, small, monkeypatch, name, content, library
):
    monkeypatch.setitem(sys.modules, library, None)
    taking(name, content)
    text = small.write("in.txt", "a\nthe films\n")
    result = run("explain", small.path, text)
    assert result.exit_code == 3
    assert f"in.txt: line 1: is cut by the library {library}" in result.stderr
    assert f"pip install 'lstm-lrp-cli[{library}]'" in result.stderr
    tokens = ["the", "##s"] if name == "t.json" else ["▁the", "s"]
    given = small.write("in.jsonl", json.dumps({"tokens": tokens}) + "\n")
    result = run("explain", small.path, given, "--format", "jsonl")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["tokens"] == tokens
