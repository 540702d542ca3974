"""An input is read in blocks, which give the same sequences and errors as it does as a whole."""

import gzip
import io
import itertools
import json
import pickle
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_models import make_model

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs import lines, stream
from lstm_lrp_cli.inputs import tokens as cutting
from lstm_lrp_cli.inputs.read import Source, read_blocks, read_sequences, sequences_of
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.text import Tokenization, Vocabulary

WORDS = ["<unk>", "the", "film", "not", "naïve"]
LAYERS = (Embedding(np.ones((5, 2))), Dense(np.ones((3, 2)), None))
SERIES = make_model(Dense(np.ones((3, 2)), None), classes=3)


def words(unknown=0, size=5, **tokenization):
    ids = {word: number for number, word in enumerate(WORDS)}
    return make_model(
        *LAYERS,
        classes=3,
        vocabulary=Vocabulary(ids, size, unknown),
        tokenization=Tokenization(**tokenization),
    )


def outcome(sequences):
    """Every field of all sequences, and the message of the error that they end with."""
    found = []
    try:
        for each in sequences:
            found.append((each.number, each.tokens, each.inputs.tolist(), each.unknown, each.gold))
    except UnusableInput as error:
        return found, str(error)
    return found, None


def in_blocks(source, model, size):
    """As worker processes read an input, which are sent its blocks."""
    for block in read_blocks(source, model, size):
        yield from sequences_of(pickle.loads(pickle.dumps(block)), model)


PARTS = ["the", " ", "film", "naïve", "\t", "\r", "\x85", "\u2028", "dog", "é"]
LINES = st.lists(st.lists(st.sampled_from(PARTS), max_size=6).map("".join))


def plainly(text):
    """The lines of a text, one by one."""
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


@settings(deadline=None, derandomize=True)
@given(LINES, st.integers(1, 40), st.sampled_from(["", "\n"]), st.booleans())
@example(["the film"] * 3, 9, "\n", False)
@example(["", "", ""], 1, "\n", True)
def test_lines_are_sequences_wherever_blocks_end(tmp_path_factory, found, size, end, bom):
    text = "\n".join(found) + end
    path = tmp_path_factory.mktemp("in") / "in.txt"
    path.write_text(("\ufeff" if bom else "") + text, "utf-8", newline="")
    sequences, error = outcome(in_blocks(Source(str(path)), words(), size))
    if not text and not bom:
        assert "is empty; expected at least one sequence" in error
        return
    assert error is None
    wanted = [line.split() for line in plainly(text)]
    assert [tokens for _, tokens, *_ in sequences] == list(map(tuple, wanted))
    assert [number for number, *_ in sequences] == list(range(len(wanted)))
    for (_, _, ids, unknown, _), line in zip(sequences, wanted, strict=True):
        assert ids == [WORDS.index(word) if word in WORDS else 0 for word in line]
        assert unknown == sum(word not in WORDS for word in line)
    assert outcome(read_sequences(Source(str(path)), words())) == (sequences, None)


@pytest.mark.parametrize("size", [1, 20, 2**16])
@pytest.mark.parametrize(
    ("name", "good", "bad", "hint"),
    [
        ("in.txt", b"the film\n", b"the dog\n", "token `dog` is not among"),
        ("in.txt", b"the film\n", b"na\xefve\n", r"byte 3 \(0xef\) is not UTF-8"),
        ("in.jsonl", b'{"text": "the"}\n', b'{"text"\n', "is not JSON"),
        ("in.jsonl", b'{"text": "the"}\n', b'{"tokens": [9]}\n', "token id 9 is out of range"),
        ("in.jsonl", b'{"tokens": [1]}\n', b'{"tokens": [1, "the"]}\n', "mix texts and ids"),
    ],
)
def test_an_error_names_its_line_and_what_stands_before_it_comes_first(
    tmp_path, size, name, good, bad, hint
):
    path = tmp_path / name
    path.write_bytes(good * 7 + bad + good * 3)
    model = words(unknown=None)
    sequences, error = outcome(in_blocks(Source(str(path)), model, size))
    assert [number for number, *_ in sequences] == list(range(7))
    assert re.search(f"{name}: line 8: .*{hint}", error)


def test_what_can_be_read_of_a_broken_file_comes_first(tmp_path):
    """Whole lines of it: half a sequence is none."""
    rng = np.random.default_rng(0)
    text = "".join(" ".join(rng.choice(WORDS, 12)) + "\n" for _ in range(4000))
    path = tmp_path / "in.txt.gz"
    data = gzip.compress(text.encode())
    path.write_bytes(data[: len(data) // 2])
    sequences, error = outcome(in_blocks(Source(str(path)), words(), 2**20))
    assert "cannot be read to its end" in error
    assert len(sequences) > 1000
    for (_, tokens, *_), line in zip(sequences, text.splitlines(), strict=False):
        assert " ".join(tokens) == line


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    monkeypatch.setattr(lines, "CHUNK", 100)
    path = tmp_path / "in.txt"
    path.write_bytes(b"the film\n" * 5 + b"x" * 10_000)
    file = io.BufferedReader(io.BytesIO(path.read_bytes()))
    blocks = lines.blocks_of_lines(file, "in.txt", 48)
    assert next(blocks).data == b"the film\n" * 5
    with pytest.raises(UnusableInput, match="line 6: is longer"):
        next(blocks)
    assert file.tell() < 2000  # nor is the rest read
    sequences, error = outcome(in_blocks(Source(str(path)), words(), 6))
    assert len(sequences) == 5
    assert "line 6: is longer than" in error


def test_blocks_are_about_as_large_as_asked_for_and_hold_whole_lines(tmp_path):
    """A step is taken for 8 bytes."""
    path = tmp_path / "in.txt"
    path.write_text("the film\n" * 1000)
    blocks = list(read_blocks(Source(str(path)), words(), 12))
    # Of lines of 9 bytes, 10 or 11 begin between two multiples of 96.
    assert {len(block.lines.data) for block in blocks[:-1]} == {90, 99}
    starts = itertools.accumulate((len(block.lines.data) // 9 for block in blocks), initial=1)
    assert [block.lines.first for block in blocks] == list(starts)[:-1]


def test_blocks_are_the_same_however_slowly_the_input_comes(tmp_path, monkeypatch):
    """What is explained together is then the same, to the last bit of a score."""
    path = tmp_path / "in.txt"
    path.write_text("the film\nnot\n\n" * 500)
    at_once = list(read_blocks(Source(str(path)), words(), 200))
    monkeypatch.setattr(lines, "CHUNK", 7)
    monkeypatch.setattr(stream, "BEGINNING", 11)
    assert list(read_blocks(Source(str(path)), words(), 200)) == at_once


class TestJsonLines:
    def test_of_words_and_of_ids_may_stand_in_one_file(self, tmp_path):
        path = tmp_path / "in.jsonl"
        found = [
            {"tokens": ["the", "dog"]},
            {"text": "not  naïve"},
            {"tokens": []},
            {"tokens": [2, 1]},
            {"text": ""},
            {"tokens": ["film"]},
        ]
        path.write_text("\n".join([*map(json.dumps, found), "", json.dumps(found[0])]))
        sequences, error = outcome(read_sequences(Source(str(path)), words()))
        assert error is None
        assert [(tokens, ids, unknown) for _, tokens, ids, unknown, _ in sequences] == [
            (("the", "dog"), [1, 0], 1),
            (("not", "naïve"), [3, 4], 0),
            ((), [], 0),
            (("film", "the"), [2, 1], 0),
            ((), [], 0),
            (("film",), [2], 0),
            ((), [], 0),
            (("the", "dog"), [1, 0], 1),
        ]


class TestTokens:
    def read(self, tmp_path, model, text, **source):
        path = tmp_path / "in.txt"
        path.write_text(text)
        sequences, error = outcome(read_sequences(Source(str(path), **source), model))
        assert error is None
        return [(tokens, ids, unknown) for _, tokens, ids, unknown, _ in sequences]

    def test_begin_with_the_start_of_every_sequence_that_has_any(self, tmp_path):
        found = self.read(tmp_path, words(start_id=3), "\nthe dog\n\nfilm\n")
        assert found == [
            ((), [], 0),
            (("not", "the", "dog"), [3, 1, 0], 1),
            ((), [], 0),
            (("not", "film"), [3, 2], 0),
        ]

    def test_that_are_unknown_may_be_skipped(self, tmp_path):
        found = self.read(tmp_path, words(unknown=None, skip=True), "dog the\nfilm\n")
        assert found == [(("dog", "the"), [-1, 1], 1), (("film",), [2], 0)]

    def test_that_stand_for_unknown_ones_are_known(self, tmp_path):
        assert self.read(tmp_path, words(), "<unk> dog\n") == [(("<unk>", "dog"), [0, 0], 1)]

    def test_of_ids_are_named_by_the_vocabulary_and_else_by_their_numbers(self, tmp_path):
        known = words()
        del known.only_input.vocabulary.ids["film"]
        found = self.read(tmp_path, known, "1 2\n\n04\n", ids=True)
        assert found == [(("the", "2"), [1, 2], 0), ((), [], 0), (("naïve",), [4], 0)]
        unnamed = make_model(*LAYERS, classes=3)
        assert self.read(tmp_path, unnamed, "1 2\n", ids=True) == [(("1", "2"), [1, 2], 0)]

    def test_of_a_list_in_json_are_no_words(self, tmp_path):
        """Such a file would be taken for a line of text, braces and all."""
        path = tmp_path / "in.json"
        path.write_text('[{"text": "the film"}]\n')
        for model in (words(), SERIES):
            with pytest.raises(UnusableInput, match=r"in\.json: is one JSON array of objects"):
                list(read_sequences(Source(str(path)), model))
        assert len(list(read_sequences(Source(str(path), "txt"), words()))) == 1
        path.write_text('{"text": "the film"}\n')
        assert next(read_sequences(Source(str(path)), words())).tokens == ("the", "film")


class TestSeries:
    def test_come_in_groups_of_about_so_many_steps(self, tmp_path):
        path = tmp_path / "in.npy"
        np.save(path, np.ones((10, 50, 2)))
        blocks = list(read_blocks(Source(str(path)), SERIES, 2 * 50))
        assert [len(block) for block in blocks] == [2] * 5
        assert [s.number for b in blocks for s in sequences_of(b, SERIES)] == list(range(10))

    def test_before_an_error_come_first(self, tmp_path):
        path = tmp_path / "in.csv"
        path.write_text("sequence,step,x,y\n0,0,1,2\n1,0,3,4\n1,1,5,six\n")
        sequences, error = outcome(in_blocks(Source(str(path)), SERIES, 2**20))
        assert [inputs for _, _, inputs, *_ in sequences] == [[[1.0, 2.0]]]
        assert "line 4: sequence 1, step 1: `y` is `six`; expected a number" in error


@pytest.mark.parametrize("part", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    "text", ["a b c d", " a  b c d ", "ab cd\u00a0ef\tgh", "abcd" * 9 + " b c d"]
)
def test_tokens_are_counted_before_they_are_cut(monkeypatch, part, text):
    monkeypatch.setattr(cutting, "PART", part)
    monkeypatch.setattr(cutting, "MOST_TOKENS", 4)
    assert not cutting.has_too_many(text)
    monkeypatch.setattr(cutting, "MOST_TOKENS", 3)
    assert cutting.has_too_many(text)
