"""A corpus is explained window by window; the windows' size bounds the memory."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from made_models import make_model
from models import with_input
from random_models import Case, describable

from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining import windows as corpus
from lstm_lrp_cli.explaining.explainer import Explainer, detail_of
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.explaining.windows import Carried
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.inputs.tokens import SKIPPED
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from lstm_lrp_cli.model.text import Padding


def model(**settings) -> Model:
    layers = (Embedding(np.ones((9, 50))), Dense(np.ones((4, 50)), None))
    return make_model(*layers, classes=4, **settings)


def sequences(count, length=10):
    for number in range(count):
        yield Sequence(number, np.zeros(length, dtype=np.intp))


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(corpus, "WINDOW_STEPS", 512)


def sizes(model, sequences, target=0):
    return [len(window) for window in corpus.windows(model, sequences, Question(target))]


def test_windows_close_at_so_many_steps():
    assert sizes(model(), sequences(120)) == [52, 52, 16]


def test_padding_counts():
    assert sizes(model(padding=Padding(length=100)), sequences(20)) == [6, 6, 6, 2]


def test_empty_sequences_count_so_that_they_do_not_pile_up():
    assert sizes(model(), sequences(600, length=0)) == [512, 88]


def test_many_targets_make_smaller_windows(monkeypatch):
    monkeypatch.setattr(corpus, "RESULT_BYTES", 100 * 50 * 8)
    assert sizes(model(), sequences(20)) == [10, 10]
    assert sizes(model(), sequences(20), "all") == [3, 3, 3, 3, 3, 3, 2]


def reader(hidden):
    """A model whose LSTM reads tokens, of which there are 9."""
    shapes = (4, hidden, 3), (4, hidden, hidden), (4, hidden)
    cell = LstmCell(*(np.ones(shape) for shape in shapes))
    return make_model(Embedding(np.ones((9, 3))), Lstm((cell,)), classes=hidden)


def test_a_token_table_that_takes_too_much_closes_a_window(monkeypatch):
    tables_of = 5 * 16 * 8  # three gates, the candidate, and its products without the bias
    several = [Sequence(number, np.array([number % 4, number % 4])) for number in range(9)]
    monkeypatch.setattr(corpus, "TABLE_BYTES", 3 * tables_of)
    assert sizes(reader(16), several) == [3, 3, 3]  # tokens 0 1 2, then 3 0 1, then 2 3 0
    assert sizes(reader(16), sequences(60)) == [52, 8]  # a token that repeats counts once
    monkeypatch.setattr(corpus, "TABLE_BYTES", 9 * tables_of)
    assert sizes(reader(16), several) == [9]  # there are but 9 tokens


def test_the_table_of_a_window_has_its_tokens_and_the_padding():
    padded = with_input(reader(2), padding=Padding(length=4, value=7))
    ids = [np.array([0, 2]), np.array([SKIPPED, 2]), np.array([], dtype=np.intp)]
    window = [Sequence(number, array) for number, array in enumerate(ids)]
    [table] = corpus.window_tables(padded, window)
    [of_cell] = table.cells[0]
    assert of_cell.products.shape == (3, 2)
    assert table.places[[0, 2, 7]].tolist() == [0, 1, 2]


@pytest.mark.parametrize("length", [3, 40])
def test_batches_have_so_many_sequences_and_steps_at_most(monkeypatch, length):
    monkeypatch.setattr(corpus, "BATCH_SEQUENCES", 8)
    monkeypatch.setattr(corpus, "BATCH_BYTES", 1)  # 256 rows, the least
    window = list(sequences(20, length))
    model = reader(2)
    batches = corpus.run_window(model, window, Carried(model))
    found = [len(batch.sequences) for batch, _ in batches]
    assert found == ([8, 8, 4] if length == 3 else [6, 6, 6, 2])


def explained(case, window):
    """All explanations of some sequences: every class, and every step of a model by step."""
    by = detail_of(case.model, finest=True)
    explainer = Explainer(case.model, [Lrp(case.rule)], target=Question("all", "all"), by=by)
    return list(explainer(window))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(describable())
def test_an_explanation_does_not_depend_on_what_else_is_in_the_window(case: Case):
    window = [Sequence(number, array) for number, array in enumerate(case.sequences)]
    alone = list(chain.from_iterable(explained(case, [sequence]) for sequence in window))
    for found, expected in zip(explained(case, window), alone, strict=True):
        assert found.sequence is expected.sequence
        assert (found.target, found.step) == (expected.target, expected.step)
        amounts = [
            np.append(each.relevance, list(each.ledger.shares.values()))
            for each in (found, expected)
        ]
        for one, other in ((found.scores, expected.scores), amounts):
            largest = np.abs(other).max(initial=0.0)
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * largest)


def test_what_was_read_before_an_error_comes_first():
    def failing():
        yield from sequences(3)
        raise UnusableInput("in.txt: line 4", "is not text")

    found = corpus.windows(model(), failing(), Question())
    assert len(next(found)) == 3
    with pytest.raises(UnusableInput, match="line 4"):
        next(found)
