"""Comparisons: those of a plain loop over all explanations, whatever the blocks."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plain_comparison import amounts_of, correlations, differences, quantile, token_differences

from lstm_lrp_cli.compare import comparer, counts
from lstm_lrp_cli.compare.comparer import Comparer, in_blocks
from lstm_lrp_cli.compare.counts import p_value
from lstm_lrp_cli.compare.pairing import matched
from lstm_lrp_cli.compare.side import ExplainedSequence, Side
from lstm_lrp_cli.results import Result

ALL = 10**6
SIDES = Side("a.jsonl"), Side("b.jsonl")
# Of few digits, so that some are equal, and sums of them exact.
amounts = st.integers(-100, 100).map(lambda number: number / 8)
classes = st.sampled_from(["good", "bad", "fair"])


@st.composite
def both_results(draw, number):
    """Explanations of one sequence by both, by token, dimension, feature or step."""
    steps = draw(st.integers(0, 9))
    tokens = draw(st.none() | st.lists(st.sampled_from("abcde"), min_size=steps, max_size=steps))
    label = draw(st.none() | classes)
    found = []
    targets = draw(st.lists(classes, unique=True, min_size=1))
    for _ in range(2):
        width = draw(st.sampled_from([None, 2]))
        shape = (steps,) if width is None else (steps, width)
        scores = draw(st.lists(amounts, min_size=3, max_size=3))
        predicted = draw(classes)
        some = []
        for target in targets:
            values = draw(st.lists(amounts, min_size=math.prod(shape), max_size=math.prod(shape)))
            some.append(
                Result(
                    number,
                    target,
                    np.array(values).reshape(shape),
                    tokens=tokens,
                    features=["x", "y"] if tokens is None else None,
                    scores=scores,
                    predicted=predicted,
                    label=label,
                )
            )
        found.append(some)
        # The other side explains some of the same, and may have an order of its own.
        targets = draw(st.permutations(targets).map(lambda each: each[: len(each) // 2 + 1]))
    return found


@st.composite
def corpora(draw):
    count = draw(st.integers(1, 6))
    return [draw(both_results(number)) for number in range(count)]


def compared(corpus, top=ALL, min_count=1, rank="correlation", target=None):
    both = [tuple(map(ExplainedSequence, SIDES, results)) for results in corpus]
    counted = Comparer(SIDES, top, min_count, rank)
    for block in in_blocks(matched(both, target, same_input=False)):
        counted.add(block)
    return counted.comparison()


def pairs_of(corpus):
    return [
        (one, other)
        for some, others in corpus
        for one in some
        for other in others
        if one.target == other.target
    ]


def result(relevance, number=0, **changes):
    """An explanation of tokens that stand there each once."""
    whole = {"tokens": [f"t{k}" for k in range(len(relevance))], "scores": [1.0, 0.5]}
    whole |= {"predicted": "good"}
    return Result(number, changes.pop("target", "good"), np.array(relevance), **whole | changes)


class TestAgainstAPlainLoop:
    @given(corpora(), st.sampled_from([1, 5, 10_000]))
    @settings(max_examples=80, deadline=None)
    def test_relevance(self, corpus, block):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(comparer, "BLOCK_TOKENS", block)
            comparison = compared(corpus)
        found, pairs = comparison.relevance, pairs_of(corpus)
        assert comparison.sequences == len(corpus)
        assert found.compared == len(pairs)
        assert found.alone == sum(len(a) + len(b) for a, b in corpus) - 2 * len(pairs)
        numbers = [(a, b) for pair in pairs for _, a, b in amounts_of(*pair)]
        figures = found.differences
        assert (figures.compared, figures.mean, figures.largest, figures.relative) == pytest.approx(
            differences(numbers)
        )
        assert found.signs == sum(a * b != 0 for a, b in numbers)
        assert found.same_sign == sum(a * b > 0 for a, b in numbers)
        for of_ranks, correlated in ((False, found.pearson), (True, found.spearman)):
            expected = list(correlations(pairs, of_ranks))
            assert correlated.explanations == len(expected)
            if expected:
                assert correlated.mean == pytest.approx(np.mean(expected))
                for name, value in correlated.quantiles.items():
                    wanted = quantile(expected, int(name.split()[0]))
                    assert value == pytest.approx(wanted, abs=0.6e-4)

    @given(corpora())
    @settings(max_examples=50, deadline=None)
    def test_tokens(self, corpus):
        expected = {
            name: figures
            for name, figures in token_differences(pairs_of(corpus)).items()
            if figures[1] > 0
        }
        found = compared(corpus).tokens
        assert {each.token for each in found} == set(expected)
        for each in found:
            figures = each.count, each.difference, each.a, each.b
            assert figures == pytest.approx(expected[each.token], abs=1e-12)
        apart = [each.difference for each in found]
        assert apart == sorted(apart, reverse=True)
        few = compared(corpus, top=2, min_count=3).tokens
        assert few == [each for each in found if each.count >= 3][:2]

    @given(corpora())
    @settings(max_examples=50, deadline=None)
    def test_predictions_and_scores(self, corpus):
        comparison = compared(corpus)
        found, firsts = comparison.predictions, [(a[0], b[0]) for a, b in corpus]
        different = [(a, b) for a, b in firsts if a.predicted != b.predicted]
        assert (found.compared, found.different) == (len(firsts), len(different))
        assert sum(change.count for change in found.changes) == len(different)
        for change in found.changes:
            same = [
                (a, b) for a, b in different if (a.predicted, b.predicted) == (change.a, change.b)
            ]
            assert change.count == len(same)
        assert sorted(each.sequence for each in found.sequences) == [
            a.sequence for a, _ in different
        ]
        right = [
            (a.predicted == a.label, b.predicted == b.label)
            for a, b in firsts
            if a.label is not None
        ]
        if not right:
            assert found.labelled is None
        else:
            counts = found.labelled
            assert (
                counts.both_right,
                counts.only_a_right,
                counts.only_b_right,
                counts.both_wrong,
            ) == tuple(
                right.count(each)
                for each in [(True, True), (True, False), (False, True), (False, False)]
            )
        numbers = [pair for a, b in firsts for pair in zip(a.scores, b.scores, strict=True)]
        scores = comparison.scores
        assert (scores.compared, scores.mean, scores.largest, scores.relative) == pytest.approx(
            differences(numbers)
        )

    @given(corpora())
    @settings(max_examples=50, deadline=None)
    def test_what_is_most_different(self, corpus):
        largest = {
            (one.sequence, one.target): max(
                (abs(b - a) for _, a, b in amounts_of(one, other)), default=0
            )
            for one, other in pairs_of(corpus)
        }
        found = compared(corpus, rank="difference").most_different
        assert {(each.sequence, each.target): each.difference for each in found} == {
            key: value for key, value in largest.items() if value > 0
        }
        apart = [each.difference for each in found]
        assert apart == sorted(apart, reverse=True)
        assert compared(corpus, rank="difference", top=2).most_different == found[:2]
        by_correlation = compared(corpus).most_different
        order = [each.pearson for each in by_correlation]
        assert None not in order
        assert order == sorted(order)

    @given(corpora())
    @settings(max_examples=50, deadline=None)
    def test_what_is_the_same_differs_in_nothing(self, corpus):
        comparison = compared([(some, some) for some, _ in corpus])
        assert comparison.worst == 0
        assert comparison.within(1e-300)
        assert (
            comparison.tokens == comparison.most_different == comparison.predictions.sequences == []
        )
        assert comparison.relevance.same_sign == comparison.relevance.signs


class TestCorrelation:
    @given(
        st.lists(st.tuples(amounts, amounts), min_size=3, max_size=9),
        st.sampled_from([1e-300, 1e-160, 1.0, 1e160, 1e306]),
    )
    @settings(max_examples=50, deadline=None)
    def test_is_the_same_at_any_scale(self, numbers, scale):
        a, b = (np.array(each) for each in zip(*numbers, strict=True))
        assume(np.ptp(a) > 0 and np.ptp(b) > 0)
        usual, scaled = (
            compared([([result(a * by)], [result(b)])]).relevance.pearson.mean
            for by in (1.0, scale)
        )
        assert scaled == pytest.approx(usual, abs=1e-9)

    def test_there_is_none_of_what_is_all_the_same(self):
        comparison = compared([([result([0.1] * 3)], [result([0.1, 0.2, 0.3])])])
        assert comparison.relevance.pearson.explanations == 0
        assert comparison.relevance.pearson.mean is None
        assert comparison.most_different == []

    def test_there_is_none_of_two_tokens(self):
        comparison = compared([([result([0.1, 0.2])], [result([0.4, 0.3])])])
        assert comparison.relevance.spearman.explanations == 0


class TestMemory:
    def test_rare_tokens_are_dropped_and_that_is_told(self, monkeypatch):
        monkeypatch.setattr(counts, "MOST_ROWS", 30)
        corpus = [
            (
                [result([1.0, 2.0], number, tokens=["often", f"once{number}"])],
                [result([1.5, 2.0], number, tokens=["often", f"once{number}"])],
            )
            for number in range(50)
        ]
        monkeypatch.setattr(comparer, "BLOCK_TOKENS", 6)
        comparison = compared(corpus)
        (often,) = comparison.tokens
        assert (often.token, often.count, often.difference) == ("often", 50, 0.5)
        assert comparison.dropped.tokens > 20


class TestOneOutput:
    def test_predictions_differ_where_classes_do(self):
        corpus = [
            (
                [result([1.0], k, scores=[0.5], predicted=1, label=1)],
                [result([1.0], k, scores=[score], predicted=int(score > 0), label=1)],
            )
            for k, score in enumerate([0.7, -0.5])
        ]
        found = compared(corpus).predictions
        assert (found.compared, found.different) == (2, 1)
        assert found.labelled.only_a_right == 1
        assert (found.changes[0].a, found.changes[0].b) == ("1", "0")

    def test_of_values_there_is_none_to_differ(self):
        """Whatever their signs."""
        both = [[result([1.0], scores=[score], predicted=None)] for score in (0.5, -0.5)]
        found = compared([both]).predictions
        assert (found.compared, found.different) == (0, 0)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_p_value_is_that_of_the_binomial_distribution(one, other):
    total = one + other
    tail = Fraction(sum(math.comb(total, k) for k in range(min(one, other) + 1)), 2**total)
    assert p_value(one, other) == pytest.approx(float(min(1, 2 * tail)))


def test_the_p_value_of_many_is_a_number():
    assert p_value(50_000, 51_000) == pytest.approx(0.00167, rel=0.01)
