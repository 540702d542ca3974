"""Vocabularies in the files that their libraries wrote, and none of them is run."""

import hashlib
import json
import pickle
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from models import SAMPLES, TESTS

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.tokens import SKIPPED, Tokenizer
from lstm_lrp_cli.loading.beside.vocabulary_pickles import from_pickle
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.loading.pickles.files import read_pickle_file

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
    beside = {"write.py", "write_python2.py", "expected.json"}
    there = {each.name for each in FILES.iterdir() if each.suffix != ".npy"} - beside
    assert there - {"__pycache__"} == set(EXPECTED)


def test_a_tokenizer_that_cannot_be_followed_is_refused(taking):
    with pytest.raises(UnusableInput, match=r"of Keras before 2\.2\.1.*give token ids"):
        taking(FILES / REFUSED, EXPECTED[REFUSED]["size"])


class Marked:
    """Writes a file when it is made: what no reader may let happen."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "run")


class Tokenizer2:
    """Of no library, but with all that Keras's has."""

    def __init__(self, ids, **more):
        self.word_index, self.index_word = ids, {number: token for token, number in ids.items()}
        self.filters, self.lower, self.split = "!", True, " "
        self.num_words = self.oov_token = None
        self.char_level = False
        vars(self).update(more)


class Held:
    def __init__(self, **attributes):
        vars(self).update(attributes)


IDS = {"<unk>": 0, "the": 1, "film": 2, "bad": 3}


@pytest.fixture
def pickled(tmp_path):
    def write(value, protocol=4, name="words.pkl"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(value, protocol))
        return path

    return write


PLACES = {
    "the whole": lambda evil: evil,
    "a token": lambda evil: [*IDS, evil],
    "an id": lambda evil: {**IDS, "worse": evil},
    "a key": lambda evil: {**IDS, evil: 4},
    "its vocabulary": lambda evil: Held(word2idx=evil),
    "a token of an object": lambda evil: Held(itos=[*IDS, evil]),
}
BESIDE = {
    "another attribute": lambda evil: Held(word2idx=IDS, logger=evil),
    "another value": lambda evil: {"stoi": IDS, "other": evil},
    "one of two": lambda evil: (IDS, evil),
}


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("place", PLACES)
def test_what_would_be_run_is_refused(taking, pickled, tmp_path, place, protocol):
    mark = tmp_path / "mark"
    path = pickled(PLACES[place](Marked(mark)), protocol)
    with pytest.raises(UnusableInput, match=r"words\.pkl: ") as caught:
        taking(path, 4)
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    assert "write_text" in str(caught.value) or "getattr" in str(caught.value)


@pytest.mark.parametrize("place", BESIDE)
def test_what_stands_beside_a_vocabulary_is_not_run(taking, pickled, tmp_path, place):
    mark = tmp_path / "mark"
    found = taking(pickled(BESIDE[place](Marked(mark))), 4)
    assert found.vocabulary.ids == IDS
    assert not mark.exists()


def nested(depth):
    """So many lists, each of which has the one before it a hundred times."""
    value = ["a", "b"]
    for _ in range(depth):
        value = [value] * 100
    return value


LOOP = []
LOOP.append(LOOP)
UNUSABLE = {
    "a set": (set(IDS), "a set, which has no order"),
    "a frozen set": (Held(vocab=frozenset(IDS)), "a set, which has no order"),
    "counts": (Counter(["the", "the", "film", "bad"]), "several tokens of one id.*Counter"),
    "a number": (5, "has no vocabulary; expected a dict"),
    "nothing": ({}, "has no vocabulary"),
    "a loop": (LOOP, "has no vocabulary"),
    "lists without end": (nested(30), "names its parts so often"),
    "a token twice": (["the", "film", "the"], "`the` stands for id 0 and for id 2"),
    "an id below 0": ({"the": -1}, "expected 0, 1, 2"),
    "fractions": ({"the": 0.5, "film": 1.5}, "has no vocabulary"),
    "two that differ": (Held(stoi={"a": 0, "b": 1}, itos=["b", "a"]), "holds two vocabularies"),
    "two of other tokens": (Held(stoi={"a": 0}, itos=["a", "b"], w2i={"c": 1}), "id 1 is `b`"),
    "a tokenizer of one's own": (Tokenizer2(IDS), r"the class `.*Tokenizer2`, may cut text"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_is_no_vocabulary_is_refused(taking, pickled, what):
    value, problem = UNUSABLE[what]
    with pytest.raises(UnusableInput, match=problem) as caught:
        taking(pickled(value), 4)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_with_a_function_of_its_own_is_refused(taking, pickled):
    path = pickled(Tokenizer2({"the": 1}, analyzer=str.split))
    data = path.read_bytes()
    text = f"{Tokenizer2.__module__}".encode()
    module = b"keras_preprocessing.text"
    data = data.replace(bytes([0x8C, len(text)]) + text, bytes([0x8C, len(module)]) + module)
    data = data.replace(b"\x8c\nTokenizer2", b"\x8c\x09Tokenizer")
    path.write_bytes(data[:2] + data[data.index(b"\x8c") :])  # without its frame
    with pytest.raises(UnusableInput, match="cuts text by a function of its own"):
        taking(path, 4)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8e" + (10 * 2**30).to_bytes(8, "little") + b"abc.",
        b"\x80\x04\x95" + (10 * 2**30).to_bytes(8, "little") + b"].",
        b"\x80\x02X" + (2**31 - 1).to_bytes(4, "little") + b"abc.",
        b"\x80\x02]q\x00(" + b"h\x00" * 1000 + b"e.",
        b"\x80\x02}(X\x01\x00\x00\x00aK\x00",
        b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
        b"\x80\x02.",
        b"\x80\x02h\x05.",
    ],
    ids=["bytes", "frame", "text", "itself", "cut", "number", "empty", "memo"],
)
def test_damaged_pickles_are_refused(taking, tmp_path, data):
    path = tmp_path / "words.pkl"
    path.write_bytes(data)
    with pytest.raises(UnusableInput, match=r"words\.pkl: "):
        taking(path, 4)


@pytest.mark.parametrize(
    "name", ["keras-preprocessing-1.1.2-some.pickle", "own-object.pkl", "torchtext-0.10.pkl"]
)
def test_every_byte_may_be_wrong(tmp_path, name):
    """It is a vocabulary all the same, or an error; nothing else happens."""
    rng, path, refused = np.random.default_rng(3), tmp_path / "words.pkl", 0
    data = (FILES / name).read_bytes()
    for place in rng.integers(0, len(data), 200).tolist():
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :])
        try:
            assert from_pickle("words", read_pickle_file(path, "a vocabulary").value).ids
        except UnusableInput:
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("name", ["own-vocab.pt", "own-object.pt", "torchtext-0.10.pt"])
def test_what_torch_saved_may_be_damaged(taking, tmp_path, name):
    rng, path, refused = np.random.default_rng(5), tmp_path / "vocab.pt", 0
    data = (FILES / name).read_bytes()
    cuts = [data[:200], data[: len(data) // 2], data[:-30]]
    for place in rng.integers(0, len(data), 20).tolist():
        cuts.append(data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :])
    for cut in cuts:
        path.write_bytes(cut)
        try:
            taking(path, EXPECTED[name]["size"])
        except UnusableInput as error:
            refused += "\n" not in str(error)
    assert refused >= 3


@pytest.mark.parametrize("value", [np.array(list(IDS)), np.array(list(IDS), dtype=object)])
def test_arrays_of_tokens(taking, pickled, tmp_path, value):
    assert taking(pickled(value), 4).vocabulary.ids == IDS
    np.save(tmp_path / "words.npy", value)
    assert taking(tmp_path / "words.npy", 4).vocabulary.ids == IDS


def test_a_dict_that_numpy_saved(taking, tmp_path):
    ids = {token: np.int64(number) for token, number in IDS.items()}
    np.save(tmp_path / "words.npy", np.array(ids))
    assert taking(tmp_path / "words.npy", 4).vocabulary.ids == IDS


def test_joblibs_compressed_pickles(taking, tmp_path):
    path = tmp_path / "words.joblib"
    path.write_bytes(zlib.compress(pickle.dumps(IDS)))
    assert taking(path, 4).vocabulary.ids == IDS


@pytest.mark.parametrize(
    ("held", "unknown"),
    [
        ({"unk_token": "bad"}, 3),
        ({"_unk_index": 2}, 2),
        ({"default_index": 1}, 1),
        ({"unk_index": None}, 0),
    ],
)
def test_an_object_says_what_is_unknown(taking, pickled, held, unknown):
    assert taking(pickled(Held(token_to_idx=IDS, **held)), 4).vocabulary.unknown_id == unknown


def test_reserved_ids_may_be_known_one_way_round(taking, pickled):
    """As in the classes of PyTorch's tutorials on translation and on chatbots."""
    language = Held(
        name="eng", word2index={"film": 2}, index2word={0: "SOS", 1: "EOS", 2: "film"}, n_words=3
    )
    assert taking(pickled(language), 3).vocabulary.ids == {"SOS": 0, "EOS": 1, "film": 2}


def test_the_error_names_an_archive_that_torch_did_not_write(taking, tmp_path):
    np.savez(tmp_path / "words.npz", a=np.zeros(2))
    with pytest.raises(UnusableInput, match=r"is a zip archive; expected a vocabulary"):
        taking(tmp_path / "words.npz", 4)


@pytest.mark.parametrize(
    ("tokens", "ids"), [({"start": "film", "end": 3}, [2, 1, 0, 3]), ({"end": "bad"}, [1, 0, 3])]
)
def test_what_stands_around_every_text(taking, pickled, tokens, ids):
    tokenizer = Tokenizer(taking(pickled(IDS), 4, **tokens))
    found = tokenizer.of_tokens([tokenizer.cut("the dull"), []], "texts")
    assert [each.ids.tolist() for each in found] == [ids, []]
    assert [each.unknown for each in found] == [1, 0]
