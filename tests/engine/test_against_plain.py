"""The engine computes what the plain version computes, for models of every shape."""

from dataclasses import replace

import numpy as np
import plain_lrp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import Case, cases
from together import Explained, explain_together, in_precision

from lstm_lrp_cli.engine.ledger import TOLERANCES
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import Activation, Dense, Embedding, Lstm, Pool

SHARES = ("tokens", "initial_state", "biases", "stabilizers")
# Of the largest number of an explanation; dividing by z + eps s makes more of rounding errors.
TOLERANCE = 1e-10

property_test = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def plainly(case: Case, k: int) -> plain_lrp.Explanation:
    return plain_lrp.explain(
        case.model,
        case.sequences[k],
        case.targets[k],
        eps=case.rule.eps,
        bias_factor=case.rule.bias_factor,
    )


def shares_of(explanation: object) -> Floats:
    return np.array([getattr(explanation, share) for share in SHARES])


def assert_same(found: Explained, scores: Floats, relevance: Floats, shares: Floats) -> None:
    """Compare with what was expected, relative to the largest number there."""
    largest = np.abs(scores).max()
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=TOLERANCE * largest)
    largest = max(np.abs(relevance).max(initial=0.0), np.abs(shares).max())
    np.testing.assert_allclose(found.relevance, relevance, rtol=0, atol=TOLERANCE * largest)
    np.testing.assert_allclose(shares_of(found.ledger), shares, rtol=0, atol=TOLERANCE * largest)


@property_test
@given(cases())
def test_scores_relevance_and_every_share_of_the_ledger(case: Case) -> None:
    for k, found in enumerate(explain_together(*case)):
        plain = plainly(case, k)
        assert_same(found, plain.scores, plain.relevance, shares_of(plain))
        assert found.ledger.score == found.scores[case.targets[k]]
        assert found.ledger.padding == 0.0


@property_test
@given(cases())
def test_the_plain_version_accounts_for_the_whole_score(case: Case) -> None:
    for k, target in enumerate(case.targets):
        plain = plainly(case, k)
        shares = shares_of(plain)
        scale = max(abs(plain.scores[target]), np.abs(shares).sum())
        assert abs(plain.scores[target] - shares.sum()) <= 1e-10 * scale


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@property_test
@given(cases())
def test_the_ledger_accounts_for_the_whole_score(dtype: str, case: Case) -> None:
    model = in_precision(case.model, dtype)
    for found in explain_together(model, case.sequences, case.targets, case.rule):
        assert found.relevance.dtype == dtype
        assert found.ledger.relative_residual < TOLERANCES[np.dtype(dtype)]


@property_test
@given(cases())
def test_a_bias_factor_of_1_leaves_nothing_to_biases_and_stabilizers(case: Case) -> None:
    rule = replace(case.rule, bias_factor=1.0)
    for found in explain_together(case.model, case.sequences, case.targets, rule):
        assert found.ledger.biases == found.ledger.stabilizers == 0.0


@property_test
@given(cases())
def test_a_sequence_is_explained_alike_alone_and_in_a_batch(case: Case) -> None:
    for k, found in enumerate(explain_together(*case)):
        [alone] = explain_together(case.model, [case.sequences[k]], [case.targets[k]], case.rule)
        assert_same(found, alone.scores, alone.relevance, shares_of(alone.ledger))


@property_test
@given(cases(), st.data())
def test_the_order_of_a_batch_does_not_matter(case: Case, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(case.sequences))))
    shuffled = explain_together(
        case.model,
        [case.sequences[k] for k in order],
        [case.targets[k] for k in order],
        case.rule,
    )
    expected = explain_together(*case)
    for k, found in zip(order, shuffled, strict=True):
        assert_same(found, expected[k].scores, expected[k].relevance, shares_of(expected[k].ledger))


def test_the_strategy_draws_every_kind_of_layer_and_of_batch() -> None:
    """What these tests say of "every shape" holds only if every shape is drawn."""
    seen: set[object] = set()

    @settings(property_test, max_examples=1000)
    @given(cases())
    def look(case: Case) -> None:
        lengths = [len(sequence) for sequence in case.sequences]
        seen.add(("an empty sequence", 0 in lengths))
        seen.add(("nothing but empty sequences", not any(lengths)))
        seen.add(("sequences of the same length", len(set(lengths)) < len(lengths)))
        seen.add(("an embedding", isinstance(case.model.layers[0], Embedding)))
        seen.add(("lstms", sum(isinstance(layer, Lstm) for layer in case.model.layers)))
        by_step = True
        for layer in case.model.layers:
            match layer:
                case Lstm(cells, merge, returns, gates):
                    reads = tuple(cell.backward for cell in cells)
                    seen.update([(reads, returns), (merge, len(cells)), gates])
                    by_step = returns == "sequence"
                case Pool(kind):
                    seen.add(kind)
                    by_step = False
                case Dense(_, bias):
                    seen.add(("dense", "by step" if by_step else "once", bias is None))
                case Activation(kind):
                    seen.add(("activation", kind))

    look()
    both = (True, False)
    merges, directions = ("concat", "sum", "mean", "product"), ((False,), (True,), (False, True))
    kinds = ("linear", "relu", "tanh", "sigmoid", "softmax", "hard_sigmoid")
    assert seen >= (
        {("an empty sequence", x) for x in both}
        | {("nothing but empty sequences", x) for x in both}
        | {("sequences of the same length", x) for x in both}
        | {("an embedding", x) for x in both}
        | {("lstms", number) for number in range(4)}
        | {(reads, returns) for reads in directions for returns in ("last", "sequence")}
        | {(merge, 2) for merge in merges}
        | {"sigmoid", "hard_sigmoid", "mean", "max", "sum"}
        | {("dense", when, x) for when in ("by step", "once") for x in both}
        | {("activation", kind) for kind in kinds}
    )
