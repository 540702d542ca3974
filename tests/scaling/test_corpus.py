"""A corpus is explained window by window; the windows' size bounds the memory."""

import numpy as np
import pytest
from together import make_model

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.text import Padding
from lstm_lrp_cli.scaling import corpus
from lstm_lrp_cli.scaling.question import Question
from lstm_lrp_cli.sequences.sequence import Sequence


def model(**settings) -> Model:
    layers = (Embedding(np.ones((9, 50))), Dense(np.ones((4, 50)), None))
    return make_model(*layers, classes=4, **settings)


def sequences(count, length=10):
    for number in range(count):
        yield Sequence(number, np.zeros(length, dtype=np.intp))


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(corpus, "WINDOW_BATCHES", 2)
    monkeypatch.setattr(corpus, "BATCH_BYTES", 1)  # 256 rows, the least


def sizes(model, sequences, target=0):
    return [len(window) for window in corpus.windows(model, sequences, Question(target))]


def test_windows_close_at_so_many_steps():
    assert sizes(model(), sequences(120)) == [52, 52, 16]


def test_padding_counts():
    assert sizes(model(padding=Padding(length=100)), sequences(20)) == [6, 6, 6, 2]


def test_empty_sequences_count_so_that_they_do_not_pile_up():
    assert sizes(model(), sequences(600, length=0)) == [512, 88]


def test_many_targets_make_smaller_windows(monkeypatch):
    monkeypatch.setattr(corpus, "WINDOW_BYTES", 100 * 50 * 8)
    assert sizes(model(), sequences(20)) == [10, 10]
    assert sizes(model(), sequences(20), "all") == [3, 3, 3, 3, 3, 3, 2]


def test_what_was_read_before_an_error_comes_first():
    def failing():
        yield from sequences(3)
        raise UnusableInput("in.txt: line 4", "is not text")

    found = corpus.windows(model(), failing(), Question())
    assert len(next(found)) == 3
    with pytest.raises(UnusableInput, match="line 4"):
        next(found)
