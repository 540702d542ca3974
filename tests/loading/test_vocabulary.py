"""Vocabularies from every place that may hold one."""

import json

import h5py
import numpy as np
import pytest
from models import ids_of

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.hdf5 import Hdf5File
from lstm_lrp_cli.loading.load import load_model

TOKENS = ["<pad>", "the", "film", "naïve", "bad"]


@pytest.fixture
def vocabulary(small):
    def load(path=None):
        return load_model(
            path or small.save(), None, np.dtype(np.float64)
        ).model.only_input.vocabulary

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


@pytest.mark.parametrize("form", ["id: token", "named", "named one way"])
def test_json_as_programs_of_ones_own_write_it(small, vocabulary, form):
    ids = {token: k for k, token in enumerate(TOKENS)}
    turned = dict(enumerate(TOKENS))
    forms = {
        "id: token": turned,
        "named": {"word2idx": ids, "idx2word": turned, "size": 5},
        "named one way": {"itos": TOKENS, "max_length": 50},
    }
    small.write("words.json", json.dumps(forms[form]))
    small.mapping["vocabulary"] = "words.json"
    assert vocabulary().ids == ids


@pytest.mark.parametrize("line", ["{token}\t{id}", "{token} {id}", "{id}\t{token}"])
def test_text_may_have_the_id_beside_each_token(small, vocabulary, line):
    lines = [line.format(token=token, id=k) for k, token in enumerate(TOKENS)]
    small.vocabulary = "\n".join(reversed(lines))
    assert vocabulary().ids == {token: k for k, token in enumerate(TOKENS)}


def test_counts_beside_tokens_are_no_ids(small, vocabulary):
    small.vocabulary = "".join(f"{token} 7\n" for token in TOKENS)
    with pytest.raises(UnusableInput, match=r"no ids, .*if they are counts, leave them out: cut"):
        vocabulary()


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
    assert loaded.model.only_input.vocabulary.size == 5


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
        assert found["relevance"][3] is None
        small.vocabulary = "0\nthe\nfilm\nbad\ngood\n"
        small.mapping["vocabulary"] = "vocab.txt"
        text = small.write("known.txt", "the film bad\n")
        result = run("explain", small.save(), text, "--format", "jsonl")
        assert found["scores"] == json.loads(result.stdout)["scores"]

    def test_has_a_token_for_unknown_words(self, run, small):
        index = json.dumps({"<OOV>": 1, "the": 2, "film": 3, "bad": 4, "dull?": 5})
        found = self.explain(run, small, oov_token="<OOV>", word_index=index)
        assert found["relevance"][3] != 0

    def test_parts_words_at_its_own_separator_alone(self, run, small):
        index = json.dumps({"the\u00a0film": 1, "bad": 2, "so\u2003dull": 3, "good": 4})
        small.write("tokenizer.json", keras_tokenizer(word_index=index))
        small.mapping["vocabulary"] = "tokenizer.json"
        text = small.write("text.txt", "The\u00a0film  bad.So\u2003dull\n")
        result = run("explain", small.save(), text, "--format", "jsonl")
        assert json.loads(result.stdout)["tokens"] == ["the\u00a0film", "bad", "so\u2003dull"]

    @pytest.mark.parametrize("split", [",", "--"])
    def test_whatever_that_is(self, run, small, split):
        index = json.dumps({"the film": 1, "bad": 2, "dull": 3, "good": 4})
        small.write("tokenizer.json", keras_tokenizer(word_index=index, split=split, filters="!."))
        small.mapping["vocabulary"] = "tokenizer.json"
        text = small.write("text.txt", f"the film{split}bad.dull\n")
        result = run("explain", small.save(), text, "--format", "jsonl")
        assert json.loads(result.stdout)["tokens"] == ["the film", "bad", "dull"]

    def test_that_is_damaged_is_refused(self, run, small):
        small.write("tokenizer.json", keras_tokenizer(word_index="{"))
        small.mapping["vocabulary"] = "tokenizer.json"
        result = run("inspect", small.save())
        assert result.exit_code == 3
        assert "is not what Keras's Tokenizer.to_json() writes" in result.stderr


class TestWhiteSpaceInTokens:
    """A tokenizer that made such a token did not cut text there."""

    def test_parts_no_tokens_where_the_vocabulary_has_it_in_one(self, run, small):
        small.vocabulary = "the\u00a0film\n<unk>\nis\nnot\nbad\n"
        text = small.write("text.txt", " the\u00a0film is\tnot\u2003bad  \n")
        result = run("explain", small.save(), text, "--format", "jsonl")
        assert json.loads(result.stdout)["tokens"] == ["the\u00a0film", "is", "not", "bad"]

    def test_parts_tokens_elsewhere(self, run, small):
        text = small.write("text.txt", "the\u00a0film is bad\n")
        result = run("explain", small.save(), text, "--format", "jsonl")
        assert json.loads(result.stdout)["tokens"] == ["the", "film", "is", "bad"]


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


class TestTextsOfOtherTools:
    def test_word2vec_as_gensim_saves_it(self, small, vocabulary):
        """KeyedVectors.save_word2vec_format: counts, then a token and its vector a line."""
        lines = [f"{token} 0.1 -2e-05 3" for token in TOKENS]
        small.vocabulary = "5 3\n" + "\n".join(lines) + "\n"
        assert vocabulary().ids == {token: k for k, token in enumerate(TOKENS)}

    def test_glove_has_no_line_of_counts(self, small, vocabulary):
        small.vocabulary = "".join(f"{token} -0.5 .25 1e-3\n" for token in TOKENS)
        assert vocabulary().ids == {token: k for k, token in enumerate(TOKENS)}

    def test_word2vec_in_binary_is_told(self, small, vocabulary):
        small.write("words.bin", b"5 2\n</s> " + np.float32([0.1, -2.5]).tobytes() + b"\nthe ")
        small.mapping["vocabulary"] = "words.bin"
        with pytest.raises(UnusableInput, match="is word2vec's binary format; expected a voc"):
            vocabulary()

    def test_word2vec_as_the_original_program_saves_it(self, small, vocabulary):
        """A space ends each line."""
        lines = [f"{token} 0.1 -2e-05 3 " for token in TOKENS]
        small.vocabulary = "5 3\n" + "\n".join(lines) + "\n"
        assert vocabulary().ids == {token: k for k, token in enumerate(TOKENS)}

    @pytest.mark.parametrize(
        "tokens",
        [
            ["2 1", "new york", "film", "is", "bad"],
            ["5 0", "the", "film", "is", "bad"],
            ["² ³", "a b c d", "film", "is", "bad"],
            ["²", "²\tthe\t1", "film", "is", "bad"],
            ["9" * 5000 + " 3", "a 1 2 3", "film", "is", "bad"],
        ],
        ids=["pair of words", "no dimensions", "raised digits", "raised digit", "endless number"],
    )
    def test_tokens_that_look_like_counts_are_tokens(self, small, vocabulary, tokens):
        small.vocabulary = "\n".join(tokens)
        assert list(vocabulary().ids) == tokens

    def test_a_dictionary_as_gensim_saves_it(self, small, vocabulary):
        """Dictionary.save_as_text: the number of documents, then id, token, frequency a line."""
        small.vocabulary = "12\n4\tbad\t3\n2\tfilm\t7\n1\tthe\t12\n"
        assert vocabulary().ids == {"the": 1, "film": 2, "bad": 4}

    def test_torchtext_lists_tokens_in_the_order_of_their_ids(self, small, vocabulary):
        """ "\\n".join(vocab.get_itos())."""
        small.vocabulary = "<unk>\n<pad>\nthe\nfilm\nbad"
        assert vocabulary().unknown_id == 0

    def test_text_vectorization_of_keras(self, run, small, vocabulary):
        """get_vocabulary(): the padding, the unknown token, then the words."""
        small.write("words.json", json.dumps(["", "[UNK]", "the", "film", "bad"]))
        small.mapping |= {
            "vocabulary": "words.json",
            "tokens": {"lowercase": True, "remove": "[!\"#$%&()*+,-./:;<=>?@\\\\^_`{|}~'\\[\\]]"},
        }
        path = small.save()
        assert vocabulary(path).unknown_id == 1
        found = run("explain", path, small.write("in.txt", "The BAD, bad plot!\n"), "-q").stdout
        assert [line.split("\t")[2] for line in found.splitlines()[1:]] == [
            *("the", "bad", "bad", "plot")
        ]

    @pytest.mark.parametrize(
        ("text", "place", "problem"),
        [
            ("3 2\nthe 1 2\nfilm 1\nbad 1 2\n", "line 3", "expected a token and 2 numbers"),
            ("3 2\nthe 1 2\nfilm 1 2\n", "vocab.txt", "says 3 tokens, 2 follow"),
            ("9\n0\tthe\t1\nfilm\n", "line 3", "expected id, token and count"),
            ("9\n0\tthe\t1\n0\tfilm\t1\n", "vocab.txt", "id 0 is both `the` and `film`"),
            ("9\n0\tthe\t1\n4\tthe\t1\n", "line 3", "token `the` stands twice"),
            ("9\n²\tthe\t1\n", "line 2", "expected id, token and count"),
            ("9\n" + "9" * 5000 + "\tthe\t1\n", "line 2", "expected id, token and count"),
        ],
    )
    def test_that_are_damaged(self, run, small, text, place, problem):
        small.vocabulary = text
        result = run("inspect", small.save())
        assert result.exit_code == 3
        assert place in result.stderr
        assert problem in result.stderr


class TestWordIndexOfKeras:
    """Ids count from 1, by frequency; all words are kept, however few the model was given."""

    def test_is_cut_to_the_rows_of_the_embedding(self, small, vocabulary):
        words = {word: k for k, word in enumerate(["the", "film", "is", "bad", "not", "so"], 1)}
        small.write("words.json", json.dumps(words))
        small.mapping["vocabulary"] = "words.json"
        assert vocabulary().ids == {"the": 1, "film": 2, "is": 3, "bad": 4}

    def test_inspect_says_how_many_are_cut(self, run, small):
        words = {word: k for k, word in enumerate(["the", "film", "is", "bad", "not", "so"], 1)}
        small.write("words.json", json.dumps(words))
        small.mapping["vocabulary"] = "words.json"
        path = small.save()
        assert "words.json: 5 tokens, 2 more cut off" in run("inspect", path).stdout
        facts = json.loads(run("inspect", path, "--format", "json").stdout)
        assert facts["vocabulary"]["cut"] == 2

    def test_that_is_too_short_is_another_model_s(self, run, small):
        small.write("words.json", json.dumps({"the": 1, "film": 2}))
        small.mapping["vocabulary"] = "words.json"
        result = run("inspect", small.save())
        assert result.exit_code == 3
        assert "holds ids up to 2, the embedding has 5 rows" in result.stderr
        assert "say so by tokens.limit: 5" in result.stderr
        small.mapping["tokens"] = {"limit": 5}
        assert run("inspect", small.save()).exit_code == 0

    def test_as_keras_shifts_it_in_its_own_data_sets(self, run, small):
        """imdb.load_data: 0 is padding, 1 the start, 2 unknown, a word's id is its index + 3."""
        small.arrays["E"] = np.ones((7, 3))
        small.write("words.json", json.dumps({"the": 1, "film": 2, "bad": 3, "not": 4}))
        small.mapping |= {
            "vocabulary": "words.json",
            "tokens": {"offset": 3, "start": 1, "unknown": 2},
        }
        loaded = load_model(small.save(), None, np.dtype(np.float64)).model
        assert ids_of(loaded, "the bad film not") == [1, 4, 6, 5, 2]


class TestAttributesOfAnHdf5File:
    def load(self, small, vocabulary, write, name):
        small.mapping["vocabulary"] = name
        small.save()
        path = small.folder / "model.h5"
        with h5py.File(path, "w") as file:
            for key, array in small.arrays.items():
                file[key] = array
            write(file)
        return vocabulary(path)

    def test_of_the_file(self, small, vocabulary):
        found = self.load(small, vocabulary, lambda f: f.attrs.update(words=TOKENS), "words")
        assert found.ids["naïve"] == 3

    def test_of_a_dataset(self, small, vocabulary):
        found = self.load(small, vocabulary, lambda f: f["E"].attrs.update(words=TOKENS), "E@words")
        assert found.ids["naïve"] == 3

    def test_as_json(self, small, vocabulary):
        text = json.dumps({token: k for k, token in enumerate(TOKENS)})
        found = self.load(small, vocabulary, lambda f: f.attrs.update(words=text), "words")
        assert found.ids["bad"] == 4

    def test_as_keras_tokenizer(self, small, vocabulary):
        text = keras_tokenizer()
        found = self.load(small, vocabulary, lambda f: f.attrs.update(words=text), "words")
        assert found.ids == {"the": 1, "film": 2, "bad": 3, "good": 4}

    def test_that_claims_more_than_a_file_of_its_size_holds(self, tmp_path, monkeypatch):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.attrs["words"] = TOKENS
        monkeypatch.setattr("lstm_lrp_cli.loading.files.ALLOWED_BYTES", 79)
        monkeypatch.setattr("lstm_lrp_cli.loading.files.ALLOWED_EXPANSION", 0)
        with Hdf5File(tmp_path / "m.h5") as file:
            with pytest.raises(UnusableInput, match="claims 80 bytes"):
                file.attribute("/", "words")
            monkeypatch.setattr("lstm_lrp_cli.loading.files.ALLOWED_BYTES", 80)
            assert file.attribute("/", "words") == TOKENS

    def test_the_whole_mapping_names_it_as_it_is(self, run, small, vocabulary):
        self.load(small, vocabulary, lambda f: f.attrs.update(words=TOKENS), "words")
        whole = small.folder / "elsewhere" / "whole.yaml"
        whole.parent.mkdir()
        assert run("inspect", small.folder / "model.h5", "--write-mapping", whole).exit_code == 0
        assert "\nvocabulary: words\n" in whole.read_text()

    @pytest.mark.parametrize(
        ("value", "problem"),
        [("no JSON", "is not valid JSON"), (3, "expected a JSON object"), ([1, 2], "numbers")],
    )
    def test_of_another_kind(self, small, vocabulary, value, problem):
        with pytest.raises(UnusableInput, match=problem):
            self.load(small, vocabulary, lambda f: f.attrs.update(words=value), "words")
