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
