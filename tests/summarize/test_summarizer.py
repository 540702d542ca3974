"""Statistics over results: those of a plain loop over all tokens, whatever the blocks."""

import itertools
import math
import pickle
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_summary import by_position, figures_of, relative_residual, steps_of

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.results import Result
from lstm_lrp_cli.summarize import summarizer as module
from lstm_lrp_cli.summarize.summarizer import Summarizer
from lstm_lrp_cli.summarize.summary import POSITIONS

ALL = 10**6
amounts = st.floats(-100, 100, allow_subnormal=False)
classes = st.sampled_from(["good", "bad", 0, 10, 2])


@st.composite
def ledgers(draw):
    score, tokens, residual = draw(st.tuples(amounts, amounts, st.floats(-1e-3, 1e-3)))
    return {"score": score, "tokens": tokens, "biases": -tokens / 2, "residual": residual}


any_ledger = ledgers()


@st.composite
def results(draw, amounts=amounts, ledgers=any_ledger):
    """One explanation by token, by dimension, by feature or by step."""
    steps = draw(st.integers(0, 12))
    width = draw(st.sampled_from([None, 1, 2]))
    shape = (steps,) if width is None else (steps, width)
    values = draw(st.lists(amounts, min_size=math.prod(shape), max_size=math.prod(shape)))
    of_tokens = draw(st.booleans())
    tokens = draw(st.lists(st.sampled_from("abcde"), min_size=steps, max_size=steps))
    return Result(
        draw(st.integers(0, 99)),
        draw(classes | st.none()),
        np.array(values).reshape(shape),
        tokens=tokens if of_tokens else None,
        features=None if of_tokens else ["x", "y"][: width or 2],
        scores=[0.5, 0.1],
        predicted=draw(classes),
        label=draw(st.none() | classes),
        method=draw(st.sampled_from([None, "lrp-all", "gradient"])),
        ledger=draw(st.none() | ledgers),
        unknown=draw(st.lists(st.integers(0, steps - 1), unique=True))
        if of_tokens and steps
        else [],
    )


def summarized(blocks, top=ALL, min_count=1, target=None):
    counted = Summarizer(top, min_count, target)
    for block in blocks:
        counted.add(block, "results.jsonl")
    return counted.summary()


def blocks_of(several, size):
    return [several[start : start + size] for start in range(0, len(several), size)]


def close(found, expected):
    """Equal but for rounding, None as itself."""
    return all(
        one == other
        if one is None or other is None
        else one == pytest.approx(other, rel=1e-9, abs=1e-9)
        for one, other in zip(found, expected, strict=True)
    )


def table_of(*lists):
    """The figures of ranked tokens by token, each of which stands there once."""
    ranked = [each for some in lists for each in some]
    found = {
        each.token: (each.count, each.unknown, each.mean, each.std, each.total) for each in ranked
    }
    assert len(found) == len(ranked)
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert all(close(found[key], expected[key]) for key in expected)


def positions_of(figures):
    return {each.position: (each.count, each.mean, each.mean_absolute) for each in figures}


many = st.lists(results(), min_size=1, max_size=30)
sizes = st.integers(1, 31)


class TestAgainstAPlainLoop:
    @settings(deadline=None)
    @given(many, sizes)
    def test_tokens(self, several, size):
        summary = summarized(blocks_of(several, size))
        assert [each.method for each in summary.methods] == list(
            dict.fromkeys(result.method for result in several)
        )
        for method in summary.methods:
            of_method = [result for result in several if result.method == method.method]
            assert method.explanations == len(of_method)
            assert method.without_score == sum(each.target is None for each in of_method)
            targets = [each.target for each in of_method if each.target is not None]
            assert Counter(targets) == {
                target.target: target.explanations for target in method.targets
            }
            for target in method.targets:
                some = [each for each in of_method if each.target == target.target]
                expected = figures_of(some)
                assert_same(table_of(target.highest_total, target.lowest_total), expected)
                assert_same(table_of(target.highest_mean, target.lowest_mean), expected)
                assert target.distinct == len(expected)
                assert target.unknown == sum(unknown for _, unknown, *_ in expected.values())
                steps = [amount for each in some for amount in steps_of(each)]
                assert target.tokens == len(steps)
                assert target.relevance == pytest.approx(sum(steps), abs=1e-9)

    @settings(deadline=None)
    @given(many, sizes)
    def test_positions(self, several, size):
        for method in summarized(blocks_of(several, size)).methods:
            for target in method.targets:
                some = [
                    each
                    for each in several
                    if (each.method, each.target) == (method.method, target.target)
                ]
                expected = by_position(some, lambda step, steps: step)
                assert_same(positions_of(target.positions.from_start), expected)
                expected = by_position(some, lambda step, steps: 10 * step // steps)
                assert_same(positions_of(target.positions.tenths), expected)
                assert target.positions.later is None

    @settings(deadline=None)
    @given(many, sizes)
    def test_confusion(self, several, size):
        for method in summarized(blocks_of(several, size)).methods:
            found = {}
            for cell in method.confusion:
                key = cell.label, cell.predicted, cell.target
                found[key] = table_of(cell.highest_total, cell.lowest_total)
                some = [
                    each
                    for each in several
                    if each.method == method.method
                    and (each.label, each.predicted, each.target) == key
                ]
                assert cell.explanations == len(some)
                assert cell.right == (cell.label == cell.predicted)
                assert_same(found[key], figures_of(some))
            assert found.keys() == {
                (each.label, each.predicted, each.target)
                for each in several
                if each.method == method.method
                and each.label is not None
                and each.target is not None
            }
            order = [(cell.right, -cell.explanations) for cell in method.confusion]
            assert order == sorted(order)

    @settings(deadline=None)
    @given(many, sizes, st.integers(1, 5))
    def test_worst_residuals(self, several, size, top):
        for method in summarized(blocks_of(several, size), top).methods:
            expected = sorted(
                (
                    relative_residual(each.ledger)
                    for each in several
                    if each.method == method.method and each.ledger is not None
                ),
                reverse=True,
            )
            found = [each.relative for each in method.worst_residuals]
            assert found == pytest.approx(expected[:top], rel=1e-9)

    @settings(deadline=None)
    @given(many, sizes)
    def test_one_target(self, several, size):
        some = [each for each in several if str(each.target) == "10"]
        found = summarized(blocks_of(several, size), target="10")
        assert found.methods == summarized([some]).methods


def result(text, *relevance, target="good", **keys):
    return Result(0, target, np.array(relevance), tokens=text.split(), **keys)


class TestRanking:
    @pytest.fixture
    def often(self):
        """Of four tokens: `c` has the most on average but is rare, `a` has the most in all."""
        return [result("a a a b b c d d", 2, 2, 2, -1, -1, 5, -3, 1)]

    def names(self, figures):
        return [each.token for each in figures]

    def test_tokens_stand_among_the_most_or_the_least(self, often):
        (target,) = summarized([often]).methods[0].targets
        assert self.names(target.highest_total) == ["a", "c"]
        assert self.names(target.lowest_total) == ["b", "d"]
        assert self.names(target.highest_mean) == ["c", "a"]

    def test_of_equal_ones_the_frequent_comes_first(self):
        (target,) = summarized([[result("a b b c d d", 2, 1, 1, 0, -1, 1)]]).methods[0].targets
        assert self.names(target.highest_total) == ["b", "a"]
        assert self.names(target.lowest_total) == ["d", "c"]

    def test_rare_ones_are_not_ranked_by_mean(self, often):
        (target,) = summarized([often], min_count=2).methods[0].targets
        assert self.names(target.highest_mean) == ["a", "b"]
        assert self.names(target.highest_total) == ["a", "c"]

    def test_no_more_than_asked_for(self, often):
        (target,) = summarized([often], top=1).methods[0].targets
        assert self.names(target.highest_total + target.highest_mean) == ["a", "c"]

    def test_targets_stand_in_order(self):
        targets = [result("a", 1, target=target) for target in ("b", 10, 2, "a")]
        found = summarized([targets]).methods[0].targets
        assert [each.target for each in found] == [2, 10, "a", "b"]


class TestSpread:
    def test_is_sound_where_the_mean_is_large(self):
        """Sums of squares would lose all digits here."""
        values = 1e8 + np.array([1.0, 2.0, 3.0, 4.0])
        blocks = [[result("a", value)] for value in values] * 3
        (figures,) = summarized(blocks).methods[0].targets[0].highest_mean
        assert figures.std == pytest.approx(np.std([1, 2, 3, 4] * 3, ddof=1), rel=1e-9)

    def test_of_one_is_unknown(self):
        (figures,) = summarized([[result("a", 1)]]).methods[0].targets[0].highest_mean
        assert figures.std is None


def test_late_positions_are_told_together():
    long = result("a " * (POSITIONS + 3), *[1.0] * POSITIONS, 2.0, -4.0, 5.0)
    positions = summarized([[long]]).methods[0].targets[0].positions
    assert len(positions.from_start) == POSITIONS
    later = positions.later
    assert (later.position, later.count, later.mean) == (POSITIONS, 3, 1.0)
    assert later.mean_absolute == pytest.approx(11 / 3)


def test_worst_residuals_say_where_they_stand():
    ledger = {"score": 2.0, "tokens": 1.0, "residual": 1.0}
    words = " ".join(["word"] * 100)
    block = [
        Result(7, "good", np.ones(100), id="r7", tokens=words.split(), step=3, ledger=ledger),
        Result(8, "good", np.ones((0, 2)), features=["x", "y"], ledger=ledger | {"score": 4.0}),
    ]
    first, second = summarized([block]).methods[0].worst_residuals
    assert (first.source, first.sequence, first.id, first.step) == ("results.jsonl", 7, "r7", 3)
    assert (first.residual, first.relative) == (1.0, 0.5)
    assert words.startswith(first.text)
    assert len(first.text) <= 200
    assert (second.sequence, second.text, second.relative) == (8, "", 0.25)


class ManyTokens:
    """Beyond a number of different tokens the rare ones are dropped."""

    def summarized(self, blocks):
        return summarized(blocks)

    @pytest.fixture(params=[False, True], ids=["", "labelled"])
    def labelled(self, request):
        return request.param

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_ROWS", 40)

    @pytest.fixture
    def blocks(self, labelled):
        """A few frequent tokens among hundreds that stand there once or twice."""
        rng = np.random.default_rng(3)
        tokens = [f"often{k % 5}" for k in range(500)] + [f"rare{k // 2}" for k in range(500)]
        rng.shuffle(tokens)
        return [
            [
                result(
                    " ".join(tokens[k : k + 10]),
                    *rng.normal(size=10),
                    target=k % 3,
                    label=k % 4 if labelled else None,
                )
            ]
            for k in range(0, 1000, 10)
        ]

    def rows(self, counted):
        return sum(len(table) for of in counted._methods.values() for table in of.tables)

    def test_counts_lack_no_more_than_is_told(self, blocks):
        summary = self.summarized(blocks)
        everything = [each for block in blocks for each in block]
        for target in summary.methods[0].targets:
            expected = figures_of(each for each in everything if each.target == target.target)
            found = table_of(target.highest_total, target.lowest_total)
            for token, (count, *_) in expected.items():
                there = found[token][0] if token in found else 0
                assert count - summary.dropped.missing <= there <= count

    def test_it_is_said(self, blocks):
        dropped = self.summarized(blocks).dropped
        assert dropped.tokens > 100
        assert dropped.missing >= 1

    def test_the_rest_stays_exact(self, blocks):
        for target in self.summarized(blocks).methods[0].targets:
            some = [each for block in blocks for each in block if each.target == target.target]
            steps = [amount for each in some for amount in steps_of(each)]
            assert target.tokens == len(steps)
            assert target.relevance == pytest.approx(sum(steps))


class TestManyTokens(ManyTokens):
    def test_memory_stays_within_its_bound(self, blocks):
        counted = Summarizer(ALL, 1)
        most = 0
        for block in blocks:
            counted.add(block, "results.jsonl")
            most = max(most, self.rows(counted))
        assert 20 < most <= 40

    def test_the_frequent_ones_are_kept(self, blocks):
        for target in summarized(blocks).methods[0].targets:
            found = table_of(target.highest_total, target.lowest_total)
            assert {f"often{k}" for k in range(5)} <= found.keys()

    def test_nothing_is_dropped_before(self):
        tokens = " ".join(f"t{k}" for k in range(40))
        assert summarized([[result(tokens, *range(40))]]).dropped is None
        more = summarized([[result(tokens + " t0 t40", *range(42))]])
        assert more.dropped is not None
        assert [each.token for each in more.methods[0].targets[0].highest_total] == ["t0"]


# Quarters add up to the same in any order.
quarters = st.integers(-400, 400).map(lambda number: number / 4)
alike = st.sampled_from([0.0, 0.25, 0.5]).map(
    lambda residual: {"score": 1.0, "tokens": 1.0, "residual": residual}
)
many_of_quarters = st.lists(results(quarters, alike), min_size=1, max_size=30)
places = st.lists(st.integers(0, 30), max_size=4)


def parts_of(several, cuts):
    """Several results, cut at some places; parts may be empty."""
    ends = [0, *sorted(min(cut, len(several)) for cut in cuts), len(several)]
    return [several[start:end] for start, end in itertools.pairwise(ends)]


def merged(parts, top=ALL, min_count=1, target=None):
    """What summaries of parts come to, each of which comes from another process."""
    whole = Summarizer(top, min_count, target)
    for part in parts:
        counted = Summarizer(top, min_count, target)
        counted.add(part, "results.jsonl")
        whole.merge(pickle.loads(pickle.dumps(counted)))
    return whole


def without_spread(summary):
    """A summary as plain values without what is but nearly the same; and that, in its order."""
    spread = []

    def plain(value):
        if isinstance(value, dict):
            if "std" in value:
                spread.append(value["std"])
            return {key: plain(each) for key, each in value.items() if key != "std"}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return plain(msgspec.to_builtins(summary)), spread


class TestMerging:
    """Summaries of parts, merged in their order, are the summary of the whole."""

    @given(many_of_quarters, places, st.sampled_from([1, 3, ALL]))
    def test_is_adding(self, several, cuts, top):
        found, spread = without_spread(merged(parts_of(several, cuts), top).summary())
        expected, spread_of_whole = without_spread(summarized([several], top))
        assert found == expected
        assert close(spread, spread_of_whole)

    @given(many_of_quarters, places)
    def test_of_one_target(self, several, cuts):
        whole, some = Summarizer(ALL, 1, "good"), merged(parts_of(several, cuts), target="good")
        whole.add(several, "results.jsonl")
        assert some.other_targets == whole.other_targets
        assert some.explanations == whole.explanations

    @given(many_of_quarters, places)
    def test_may_be_in_steps(self, several, cuts):
        """A part of parts is merged as any other."""
        parts = parts_of(several, cuts)
        first, second = merged(parts[:2]), merged(parts[2:])
        first.merge(second)
        assert without_spread(first.summary())[0] == without_spread(merged(parts).summary())[0]

    def test_of_equal_residuals_the_first_are_kept(self):
        ledger = {"score": 2.0, "residual": 1.0}
        worse = {"score": 1.0, "residual": 1.0}
        parts = [
            [Result(number, "good", np.ones(1), tokens=["a"], ledger=of)]
            for number, of in enumerate([ledger, worse, ledger, worse, ledger])
        ]
        found = merged(parts, top=4).summary().methods[0].worst_residuals
        assert [each.sequence for each in found] == [1, 3, 0, 2]

    def test_residuals_name_the_input_of_a_part(self):
        ledger = {"score": 2.0, "residual": 1.0}
        parts = [
            [Result(0, "good", np.ones(1), tokens=["a"], ledger=ledger, input=name)]
            for name in ("a.txt", "a.txt", "b.txt")
        ]
        summary = merged(parts).summary()
        assert (summary.results, summary.files) == (["results.jsonl"], 2)
        sources = [each.source for each in summary.methods[0].worst_residuals]
        assert sources == ["a.txt", "a.txt", "b.txt"]

    def test_more_targets_than_one_summary_may_have_are_refused(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_TARGETS", 3)
        parts = [[result("a", 1, target=number)] for number in range(4)]
        with pytest.raises(UnusableInput, match="tells of more than 3 targets"):
            merged(parts)


class TestMergingManyTokens(ManyTokens):
    """The same holds of parts of seven blocks each, whose summaries are merged."""

    def summarized(self, blocks):
        return merged(self.parts(blocks)).summary()

    def parts(self, blocks):
        return [[*itertools.chain(*blocks[k : k + 7])] for k in range(0, len(blocks), 7)]

    def test_memory_stays_within_its_bound(self, blocks):
        whole, most = Summarizer(ALL, 1), 0
        for part in self.parts(blocks):
            whole.merge(merged([part]))
            most = max(most, self.rows(whole))
        assert 20 < most <= 40
