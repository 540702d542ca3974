"""How large ledgers are beside their scores, and when a run says so."""

import math

import numpy as np
import pytest
from made_models import make_model

from lstm_lrp_cli.engine.methods.contextual_decomposition import EXACTNESS
from lstm_lrp_cli.engine.methods.gradient import COMPLETENESS
from lstm_lrp_cli.engine.methods.lrp import CONSERVATION
from lstm_lrp_cli.engine.records import Ledger
from lstm_lrp_cli.explaining.explainer import Explainer
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.explaining.sizes import NOTHING, Size, Sizes, large_sizes
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Embedding

LIMIT = Size(limit=10.0)


def explanation(
    number: int, tokens: list[float], biases: float, stabilizers_size: float = 0.0
) -> Explanation:
    """One whose score is what tokens and biases come to."""
    score = sum(tokens) + biases
    ledger = Ledger(
        score, {"tokens": sum(tokens), "biases": biases, "stabilizers": 0.0}, stabilizers_size
    )
    relevance = np.array(tokens)
    sequence = Sequence(number, np.arange(len(tokens)), tuple("abcdef"[: len(tokens)]))
    scores = np.array([score])
    layers = Embedding(np.ones((9, 1))), Dense(np.ones((1, 1)), None)
    asked = Explainer(make_model(*layers, classes=1))
    told = (relevance,), ledger, "lrp-all"
    return Explanation(asked, sequence, scores, 0, score, None, None, *told)


def test_shares_tokens_and_stabilizers_are_each_measured_by_size() -> None:
    found = Sizes.none(CONSERVATION.nothing).with_explanations(
        [explanation(7, [30.0, -10.0], -16.0, 3.0), explanation(8, [4.0], 0.0, 1.0)]
    )
    assert {name: (size.worst, size.sequence) for name, size in found.by_name.items()} == {
        "shares": (9.0, 7),
        "tokens": (10.0, 7),
        "stabilizers": (0.75, 7),
    }
    assert [size.relative for size in found.by_name.values()] == [40 / 8, 44 / 8, 4 / 8]
    assert [size.large for size in found.by_name.values()] == [0, 0, 1]


def test_only_what_a_method_has_is_measured() -> None:
    names = [
        list(Sizes.none(promise.nothing).by_name)
        for promise in (CONSERVATION, COMPLETENESS, EXACTNESS)
    ]
    assert names == [["shares", "tokens", "stabilizers"], ["shares", "tokens"], ["shares"]]


def test_a_sequence_without_tokens_has_none() -> None:
    found = Sizes.none(CONSERVATION.nothing).with_explanations(
        [explanation(0, [], 2.0), explanation(1, [1.0, -3.0], 0.0)]
    )
    assert found.by_name["tokens"].worst == 2.0
    assert found.by_name["tokens"].size == 4.0


def test_blocks_together_are_what_they_are_at_once() -> None:
    rng = np.random.default_rng(0)
    some = [explanation(k, rng.normal(size=4).tolist(), rng.normal(), 0.5) for k in range(40)]
    nothing = Sizes.none(CONSERVATION.nothing)
    parts = nothing
    for start in range(0, 40, 7):
        parts = parts.merged(nothing.with_explanations(some[start : start + 7]))
    at_once = nothing.with_explanations(some)
    for name, size in at_once.by_name.items():
        assert parts.by_name[name].large == size.large
        assert parts.by_name[name].sequence == size.sequence
        assert parts.by_name[name].relative == pytest.approx(size.relative, rel=1e-12)


@pytest.mark.parametrize(("large", "tells"), [(10, False), (11, True)])
def test_a_run_tells_where_more_than_a_part_of_it_is_large(large: int, tells: bool) -> None:
    sizes = np.array([1.1] * large + [0.0] * (100 - large))
    found = LIMIT.seen(sizes, np.full(100, -0.1), range(100))
    assert found.large == large
    assert found.tells == tells


def test_a_score_near_zero_is_not_all_of_a_run() -> None:
    found = LIMIT.seen(np.ones(100), np.array([1e-6] + [1.0] * 99), range(100))
    assert found.worst == pytest.approx(1e6)
    assert not found.tells


def test_a_run_tells_where_few_are_so_large_that_all_together_are() -> None:
    found = LIMIT.seen(np.array([2000.0] + [1.0] * 99), np.ones(100), range(100))
    assert found.large == 1
    assert found.tells


@pytest.mark.parametrize(("size", "worst"), [(0.0, 0.0), (1.0, math.inf)])
def test_a_score_of_zero(size: float, worst: float) -> None:
    found = LIMIT.seen(np.array([size]), np.zeros(1), [0])
    assert found.worst == found.relative == worst
    assert found.tells == (worst > 0)


def test_numbers_that_are_none_stay_the_worst_and_tell() -> None:
    found = LIMIT.seen(np.array([1.0, np.nan, 9.0]), np.ones(3), [3, 4, 5])
    found = found.merged(LIMIT.seen(np.array([50.0]), np.ones(1), [6]))
    assert math.isnan(found.worst)
    assert found.sequence == 4
    assert found.tells


def test_one_explanation_is_large_beyond_its_limit_alone() -> None:
    at = explanation(0, [5.5], -4.5)
    beyond = explanation(0, [6.5], -5.5)
    assert large_sizes(at) == {}
    assert large_sizes(beyond) == {"shares": 12.0}
    assert large_sizes(explanation(0, [80.0, -79.0], 0.0)) == {"tokens": 159.0}
    assert large_sizes(explanation(0, [1.0], 0.0, 0.75)) == {"stabilizers": 0.75}


def test_the_limits() -> None:
    assert {name: size.limit for name, size in NOTHING.items()} == {
        "shares": 10.0,
        "tokens": 100.0,
        "stabilizers": 0.5,
    }
