"""Vocabularies in the files that their libraries wrote, and none of them is run."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from models import SAMPLES, TESTS

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.tokens import SKIPPED, Tokenizer
from lstm_lrp_cli.loading.load import load_model

FILES = TESTS / "golden" / "vocabularies"
EXPECTED = json.loads((FILES / "expected.json").read_text("utf-8"))
# It does with unknown words what cannot be said.
REFUSED = "keras-2.1-some_oov.pickle"


@pytest.fixture(scope="module")
def texts():
    lines = (SAMPLES / "data" / "movie_reviews.tsv").read_text("utf-8").split("\n")
    return [line.split("\t")[2] for line in lines if line][::10]


@pytest.fixture
def taking(small):
    """The input of a small model that is given a vocabulary, and an embedding of so many rows."""

    def load(vocabulary: Path | str, size: int, **tokens):
        small.arrays["E"] = np.zeros((size, 3))
        small.mapping["vocabulary"] = str(vocabulary)
        small.mapping["tokens"] = tokens
        return load_model(small.save(), None, np.dtype(np.float64)).model.only_input

    return load


def ids_of_all(read, texts):
    """The ids that every text is run with."""
    tokenizer = Tokenizer(read)
    encoded = tokenizer.of_tokens([tokenizer.cut(text) for text in texts], "texts")
    return [each.ids[each.ids != SKIPPED].tolist() for each in encoded]


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != REFUSED])
def test_ids_are_the_librarys(taking, texts, name):
    expected = EXPECTED[name]
    found = ids_of_all(taking(FILES / name, expected["size"], **expected["tokens"]), texts)
    assert found[0] == expected["first"]
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest() == expected["ids"]


def test_every_file_has_been_looked_at():
    beside = {"write.py", "expected.json"}
    there = {each.name for each in FILES.iterdir() if each.suffix != ".npy"} - beside
    assert there - {"__pycache__"} == set(EXPECTED)
