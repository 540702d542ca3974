"""The figures of a report are the same however the corpus is cut into blocks."""

import itertools
import pickle

import numpy as np
import pytest
from explained import explainer_of, explanation_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_models import make_model
from together import lrp_all, lrp_ledger

from lstm_lrp_cli.engine.records import relative_residuals
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Embedding
from lstm_lrp_cli.model.text import Padding
from lstm_lrp_cli.running.figures import Figures

# Sums of these are exact, in any order.
AMOUNTS = st.integers(-8, 8).map(lambda quarter: quarter / 4)
LEDGERS = st.builds(lrp_ledger, *[AMOUNTS] * 6)
METHODS = [lrp_all()]


def model(classes=3, **settings):
    layers = (Embedding(np.ones((9, 2))), Dense(np.ones((classes, 2)), None))
    return make_model(*layers, classes=classes, **settings)


@st.composite
def explained(draw, number, classes):
    """All explanations of a sequence: for some targets, or none where it has no score."""
    steps = draw(st.integers(0, 5))
    sequence = Sequence(
        number,
        np.zeros(steps, dtype=np.intp),
        ("word",) * steps,
        gold=draw(st.none() | st.integers(0, max(classes - 1, 1))),
        unknown=draw(st.integers(0, steps)),
    )
    if draw(st.booleans()) and not steps:
        return [Explanation.without_score(explainer_of(model(classes)), sequence, *METHODS)]
    scores = np.array(draw(st.lists(AMOUNTS, min_size=classes, max_size=classes)))
    targets = draw(st.sets(st.integers(0, max(classes - 1, 1)), min_size=1))
    return [
        explanation_of(model(classes), sequence, scores, t, np.zeros((steps, 2)), draw(LEDGERS))
        for t in sorted(targets)
    ]


def joined(lists):
    return [each for some in lists for each in some]


@settings(deadline=None, derandomize=True)
@given(st.data(), st.sampled_from([1, 3]), st.integers(0, 12), st.none() | st.integers(0, 5))
def test_blocks_add_up(data, classes, count, padding):
    padded = None if padding is None else Padding(length=padding)
    one = model(classes, padding=padded)
    corpus = [data.draw(explained(number, classes)) for number in range(count)]
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, count), max_size=3))), count]
    merged = Figures.none(one, METHODS)
    for start, stop in itertools.pairwise(cuts):
        block = Figures.of(joined(corpus[start:stop]), one, METHODS)
        merged.merge(pickle.loads(pickle.dumps(block)))
    assert merged == Figures.of(joined(corpus), one, METHODS)


def explanation(number, scores, ledger, target=0, **sequence):
    one = Sequence(number, np.zeros(2, dtype=np.intp), ("a", "b"), **sequence)
    of = model(len(scores))
    return explanation_of(of, one, np.array(scores), target, np.zeros((2, 2)), ledger)


def test_a_sequence_counts_once_and_each_of_its_explanations_for_itself():
    ledger = lrp_ledger(1.0, 0.5, 0.0, 0.25, 0.25, 0.0)
    first = explanation(7, [1.0, 2.0, 0.0], ledger, gold=1, unknown=1)
    again = explanation_of(model(), first.sequence, first.scores, 2, first.relevance, ledger)
    other = explanation(8, [3.0, 2.0, 0.0], ledger, gold=1)
    figures = Figures.of([first, again, other], model(), METHODS)
    assert (figures.sequences, figures.together.steps, figures.together.unknown) == (2, 4, 1)
    assert (figures.labelled, figures.right, figures.explanations) == (2, 1, 3)
    assert figures.taken == {(0, 1): 1, (0, 0): 1}
    assert figures.accounts["lrp-all"].totals == lrp_ledger(3.0, 1.5, 0.0, 0.75, 0.75, 0.0)
    assert figures.accounts["lrp-all"].check.passed


@pytest.mark.parametrize("score", [0.5, -0.5])
def test_one_output_predicts_above_0_or_not(score):
    ledger = lrp_ledger(score, score)
    figures = Figures.of([explanation(0, [score], ledger)], model(1, labels=("good",)), METHODS)
    assert figures.taken == {(0, int(score > 0)): 1}


@given(st.lists(st.builds(lrp_ledger, *[st.floats(-9, 9)] * 6), min_size=1))
@example([lrp_ledger(0.0)])
def test_residuals_of_many_ledgers_are_those_of_each(ledgers):
    amounts = np.array([(ledger.score, *ledger.shares.values()) for ledger in ledgers])
    wanted = [ledger.relative_residual for ledger in ledgers]
    np.testing.assert_allclose(relative_residuals(amounts), wanted, rtol=1e-12, atol=1e-15)


def test_the_worst_residual_is_kept_with_its_sequence():
    kept, lost = lrp_ledger(1.0, 1.0), lrp_ledger(1.0, 0.5)
    figures = Figures.of([explanation(0, [1.0, 0, 0], kept)], model(), METHODS)
    figures.merge(Figures.of([explanation(1, [1.0, 0, 0], lost)], model(), METHODS))
    check = figures.accounts["lrp-all"].check
    assert (check.worst, check.sequence) == (0.5, 1)
    assert not check.passed


def test_what_a_process_sends_is_small():
    """A model's weights and words would be sent again with every block."""
    large = model(3)
    figures = Figures.of([explanation(0, [1.0, 0, 0], lrp_ledger(1.0, 1.0))], large, METHODS)
    assert len(pickle.dumps(figures)) < 2_000
