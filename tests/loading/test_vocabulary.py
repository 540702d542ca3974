"""Vocabularies from every place that may hold one."""

import json

import h5py
import numpy as np
import pytest

from lstm_lrp_cli.loading.load import load_model

TOKENS = ["<pad>", "the", "film", "naïve", "bad"]


@pytest.fixture
def vocabulary(small):
    def load(path=None):
        return load_model(path or small.save(), None, np.dtype(np.float64)).model.vocabulary

    return load


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "unended"])
def test_text_has_one_token_a_line(small, vocabulary, end, last):
    small.vocabulary = end.join(TOKENS) + (end if last else "")
    assert vocabulary().ids == {token: k for k, token in enumerate(TOKENS)}


def test_a_byte_order_mark_is_no_part_of_the_first_token(small, vocabulary):
    small.vocabulary = "\ufeff" + "\n".join(TOKENS)
    assert vocabulary().ids["<pad>"] == 0


@pytest.mark.parametrize("form", ["object", "list"])
def test_json(small, vocabulary, form):
    ids = {token: k for k, token in enumerate(TOKENS)}
    small.write("words.json", json.dumps(ids if form == "object" else TOKENS))
    small.mapping["vocabulary"] = "words.json"
    assert vocabulary().ids == ids


def test_json_may_leave_reserved_ids_out(small, vocabulary):
    small.write("words.json", json.dumps({"the": 2, "film": 3, "bad": 4}))
    small.mapping["vocabulary"] = "words.json"
    assert vocabulary().tokens == {2: "the", 3: "film", 4: "bad"}


def test_a_dataset_of_an_npz_file(small, vocabulary):
    small.arrays["words"] = np.array(TOKENS)
    small.mapping["vocabulary"] = "words"
    assert vocabulary().ids["naïve"] == 3


@pytest.mark.parametrize("kind", [h5py.string_dtype(), "S8"], ids=["variable", "fixed"])
def test_a_dataset_of_an_hdf5_file(small, vocabulary, kind):
    small.mapping["vocabulary"] = "meta/words"
    small.save()
    path = small.folder / "model.h5"
    with h5py.File(path, "w") as file:
        for name, array in small.arrays.items():
            file[name] = array
        file["meta/words"] = np.array([t.encode() for t in TOKENS], dtype=kind)
    assert vocabulary(path).ids["naïve"] == 3


def test_the_path_is_relative_to_the_mapping(small, tmp_path):
    elsewhere = tmp_path / "mappings"
    elsewhere.mkdir()
    small.save()
    (small.folder / "vocab.txt").rename(elsewhere / "vocab.txt")
    (small.folder / "model.yaml").rename(elsewhere / "other.yaml")
    loaded = load_model(small.path, elsewhere / "other.yaml", np.dtype(np.float64))
    assert loaded.model.vocabulary.size == 5


@pytest.mark.parametrize(
    ("tokens", "unknown", "found"),
    [
        (TOKENS, None, None),
        (["<unk>", *TOKENS[1:]], None, 0),
        ([*TOKENS[:4], "[UNK]"], None, 4),
        (["<unk>", "<UNK>", *TOKENS[2:]], None, None),
        (TOKENS, {"unknown": "bad"}, 4),
        (TOKENS, {"unknown": 2}, 2),
        (["<unk>", *TOKENS[1:]], {"unknown": None}, None),
    ],
    ids=["none", "usual", "usual last", "two usual", "named", "by id", "switched off"],
)
def test_the_unknown_token(small, vocabulary, tokens, unknown, found):
    small.vocabulary = "\n".join(tokens)
    if unknown is not None:
        small.mapping["tokens"] = unknown
    assert vocabulary().unknown_id == found


def keras_tokenizer(**settings):
    """What Keras's Tokenizer.to_json() writes."""
    index = {"the": 1, "film": 2, "bad": 3, "good": 4, "dull": 5}
    config = {
        "num_words": 5,
        "filters": "!.,\t\n",
        "lower": True,
        "split": " ",
        "char_level": False,
        "oov_token": None,
        "word_index": json.dumps(index),
        **settings,
    }
    return json.dumps({"class_name": "Tokenizer", "config": config})


class TestKerasTokenizer:
    def explain(self, run, small, **settings):
        small.write("tokenizer.json", keras_tokenizer(**settings))
        small.mapping["vocabulary"] = "tokenizer.json"
        text = small.write("text.txt", "The film,bad. Dull?\n")
        result = run("explain", small.save(), text, "--format", "jsonl")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def test_cuts_text_and_leaves_unknown_words_out(self, run, small):
        found = self.explain(run, small)
        assert found["tokens"] == ["the", "film", "bad", "dull?"]
        assert found["relevance"][3] == 0
        small.vocabulary = "0\nthe\nfilm\nbad\ngood\n"
        small.mapping["vocabulary"] = "vocab.txt"
        text = small.write("known.txt", "the film bad\n")
        result = run("explain", small.save(), text, "--format", "jsonl")
        assert found["scores"] == json.loads(result.stdout)["scores"]

    def test_has_a_token_for_unknown_words(self, run, small):
        index = json.dumps({"<OOV>": 1, "the": 2, "film": 3, "bad": 4, "dull?": 5})
        found = self.explain(run, small, oov_token="<OOV>", word_index=index)
        assert found["relevance"][3] != 0

    def test_that_is_damaged_is_refused(self, run, small):
        small.write("tokenizer.json", keras_tokenizer(word_index="{"))
        small.mapping["vocabulary"] = "tokenizer.json"
        result = run("inspect", small.save())
        assert result.exit_code == 3
        assert "is not what Keras's Tokenizer.to_json() writes" in result.stderr


def test_offset_start_and_limit_are_those_of_keras_own_data_sets(run, small):
    small.write("words.json", json.dumps({"the": 0, "film": 1, "bad": 2, "rare": 3}))
    small.mapping |= {
        "vocabulary": "words.json",
        "tokens": {"offset": 2, "limit": 4, "start": 1, "unknown": 0},
    }
    text = small.write("text.txt", "the bad film\n")
    result = run("explain", small.save(), text, "--format", "jsonl")
    found = json.loads(result.stdout)
    assert found["tokens"] == ["<start>", "the", "bad", "film"]
    ids = small.write("ids.txt", "1 2 0 3\n")
    by_ids = run("explain", small.path, ids, "--ids", "--format", "jsonl")
    assert found["scores"] == json.loads(by_ids.stdout)["scores"]
    written = small.folder / "written.yaml"
    assert run("inspect", small.path, "--write-mapping", written).exit_code == 0
    again = run("explain", small.path, text, "--mapping", written, "--format", "jsonl")
    assert again.stdout == result.stdout
