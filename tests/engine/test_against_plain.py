"""The engine computes what the plain version computes, for models of every shape."""

from collections.abc import Sequence
from typing import Any, get_args

import msgspec
import numpy as np
import plain_lrp
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_models import in_precision, make_model
from plain_forward import by_input
from random_models import ACTIVATIONS, UNIT_ACTIVATIONS, Case, cases, draw_until
from together import Explained, explain_together, side_by_side

from lstm_lrp_cli.engine.records import TOLERANCES, Ledger, Reach
from lstm_lrp_cli.engine.recurrent.inputs import TokenTable
from lstm_lrp_cli.engine.rules import GateRuleName, LrpRule
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Dense,
    Flatten,
    Layer,
    Merge,
    Pool,
    PoolName,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.recurrent import GateActivationName, Lstm, LstmCell

SHARES = ("tokens", "initial_state", "biases", "stabilizers")
# And what is no share.
AMOUNTS = (*SHARES, "stabilizers_size")
# Of the largest number of an explanation; dividing by z + eps s makes more of rounding errors.
TOLERANCE = 1e-10

ALL_RULES = pytest.mark.parametrize("gates", get_args(GateRuleName))
property_test = settings(max_examples=60, deadline=None, derandomize=True, database=None)
# Of the first kinds of layer, or with recurrent ones of every kind.
EVERY_CASE = cases() | cases(families=["recurrent"])


def plainly(case: Case, k: int) -> plain_lrp.Explanation:
    return plain_lrp.explain(
        case.model,
        case.sequences[k],
        case.targets[k],
        eps=case.rule.eps,
        bias_factor=case.rule.bias_factor,
        gates=case.rule.gates,
        step=None if case.steps is None else case.steps[k],
    )


def by_rule(case: Case, gates: GateRuleName) -> Case:
    """The same problem with another rule for gates."""
    return case._replace(rule=msgspec.structs.replace(case.rule, gates=gates))


def each_alone(
    case: Case, reach: Reach = "features", tables: Sequence[TokenTable | None] = ()
) -> list[Explained]:
    """Explain every sequence in a batch of its own."""
    explained: list[Explained] = []
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else [case.steps[k]]
        explained += explain_together(
            case.model, [sequence], [target], case.rule, step, reach, tables
        )
    return explained


def shares_of(plain: plain_lrp.Explanation) -> Floats:
    return np.array([getattr(plain, share) for share in AMOUNTS])


def shares_in(ledger: Ledger) -> Floats:
    return np.array([*(ledger[share] for share in SHARES), ledger.stabilizers_size])


def assert_same(found: Explained, scores: Floats, relevance: Any, shares: Floats) -> None:
    """Compare with what was expected, relative to the largest number there."""
    largest = np.abs(scores).max()
    np.testing.assert_allclose(found.scores, scores, rtol=0, atol=TOLERANCE * largest)
    expected = side_by_side(relevance)
    largest = max(np.abs(expected).max(initial=0.0), np.abs(shares).max())
    own = side_by_side(found.relevance)
    np.testing.assert_allclose(own, expected, rtol=0, atol=TOLERANCE * largest)
    np.testing.assert_allclose(shares_in(found.ledger), shares, rtol=0, atol=TOLERANCE * largest)


@ALL_RULES
@property_test
@given(EVERY_CASE)
def test_scores_relevance_and_every_share_of_the_ledger(gates: GateRuleName, case: Case) -> None:
    case = by_rule(case, gates)
    for k, found in enumerate(explain_together(*case)):
        plain = plainly(case, k)
        assert_same(found, plain.scores, plain.relevance, shares_of(plain))
        assert found.ledger.score == found.scores[case.targets[k]]
        assert found.ledger["padding"] == 0.0


@ALL_RULES
@settings(property_test, max_examples=30)
@given(EVERY_CASE)
def test_the_plain_version_accounts_for_the_whole_score(gates: GateRuleName, case: Case) -> None:
    case = by_rule(case, gates)
    for k, target in enumerate(case.targets):
        plain = plainly(case, k)
        shares = shares_of(plain)[: len(SHARES)]
        scale = max(abs(plain.scores[target]), np.abs(shares).sum())
        assert abs(plain.scores[target] - shares.sum()) <= 1e-10 * scale


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@ALL_RULES
@settings(property_test, max_examples=30)
@given(EVERY_CASE)
def test_the_ledger_accounts_for_the_whole_score(
    gates: GateRuleName, dtype: str, case: Case
) -> None:
    case = by_rule(case, gates)
    model = in_precision(case.model, dtype)
    for found in explain_together(model, *case[1:]):
        relevance = side_by_side(found.relevance)
        assert relevance.dtype == dtype
        # Where much cancels out, rounding is as large as what does.
        scale = max(found.ledger.scale, np.abs(relevance).max(initial=0.0))
        assert abs(found.ledger.residual) <= TOLERANCES[np.dtype(dtype)] * scale


@property_test
@given(EVERY_CASE)
def test_a_bias_factor_of_1_leaves_nothing_to_biases_and_stabilizers(case: Case) -> None:
    rule = msgspec.structs.replace(case.rule, bias_factor=1.0)
    for found in explain_together(*case._replace(rule=rule)):
        assert found.ledger["biases"] == found.ledger["stabilizers"] == 0.0
        assert found.ledger.stabilizers_size == 0.0


@property_test
@given(EVERY_CASE)
def test_a_sequence_is_explained_alike_alone_and_in_a_batch(case: Case) -> None:
    for found, alone in zip(explain_together(*case), each_alone(case), strict=True):
        assert_same(found, alone.scores, alone.relevance, shares_in(alone.ledger))


@property_test
@given(EVERY_CASE)
def test_a_step_as_a_whole_gets_what_its_features_get_together(case: Case) -> None:
    of_steps = explain_together(*case, reach="steps")
    for found, in_full in zip(of_steps, explain_together(*case), strict=True):
        together = side_by_side(tuple(each.sum(axis=1) for each in by_input(in_full.relevance)))
        assert_same(found, in_full.scores, together, shares_in(in_full.ledger))
        assert found.ledger.score == in_full.ledger.score


@pytest.mark.parametrize("reach", get_args(Reach))
@settings(property_test, max_examples=30)
@given(EVERY_CASE)
def test_one_table_of_tokens_may_serve_several_batches(reach: Reach, case: Case) -> None:
    sequences = zip(*map(by_input, case.sequences), strict=True)
    tables = [
        None
        if read.embedding is None
        else TokenTable.of(case.model, MODEL_INPUT - k, read.embedding, np.concatenate(ids))
        for k, (read, ids) in enumerate(zip(case.model.inputs, sequences, strict=True))
    ]
    assume(any(table is not None for table in tables))
    with_one = each_alone(case, reach, tables)
    for found, own in zip(with_one, each_alone(case, reach), strict=True):
        assert_same(found, own.scores, own.relevance, shares_in(own.ledger))


@property_test
@given(EVERY_CASE, st.data())
def test_the_order_of_a_batch_does_not_matter(case: Case, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(case.sequences))))
    shuffled = explain_together(
        case.model,
        [case.sequences[k] for k in order],
        [case.targets[k] for k in order],
        case.rule,
        None if case.steps is None else [case.steps[k] for k in order],
    )
    expected = explain_together(*case)
    for k, found in zip(order, shuffled, strict=True):
        assert_same(found, expected[k].scores, expected[k].relevance, shares_in(expected[k].ledger))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bias_factor", [0.0, 0.3, 1.0])
@ALL_RULES
class TestEpsOfZero:
    """Weights and inputs are whole numbers, so that what comes to 0 is exactly 0."""

    def rule(self, gates: GateRuleName, bias_factor: float) -> LrpRule:
        return LrpRule(0.0, bias_factor, gates)

    def assert_as_plain(self, dtype: str, rule: LrpRule, *layers: Layer, series: Floats) -> None:
        model = make_model(*layers, classes=2)
        plain = plainly(Case(model, [series], [1], rule), 0)
        assert plain.scores[1] != 0
        assert plain.stabilizers_size > 0 or rule.bias_factor == 1
        found = explain_together(in_precision(model, dtype), [series], [1], rule)[0]
        largest = max(np.abs(plain.relevance).max(), np.abs(shares_of(plain)).max())
        close = TOLERANCES[np.dtype(dtype)] * largest
        np.testing.assert_allclose(found.relevance, plain.relevance, rtol=0, atol=close)
        np.testing.assert_allclose(shares_in(found.ledger), shares_of(plain), rtol=0, atol=close)
        assert found.ledger.relative_residual < TOLERANCES[np.dtype(dtype)]

    def test_of_inputs_that_are_all_zero(
        self, gates: GateRuleName, bias_factor: float, dtype: str
    ) -> None:
        """sigmoid(0) is 0.5, so that there is relevance at outputs of 0."""
        self.assert_as_plain(
            dtype,
            self.rule(gates, bias_factor),
            Lstm((whole_cell(3, 2),), returns="sequence", activation="sigmoid"),
            Pool("mean"),
            Dense(np.array([[1.0, 1.0], [2.0, -1.0]]), None),
            series=np.zeros((3, 3)),
        )

    def test_of_terms_that_cancel_under_a_relu_that_is_dead(
        self, gates: GateRuleName, bias_factor: float, dtype: str
    ) -> None:
        self.assert_as_plain(
            dtype,
            self.rule(gates, bias_factor),
            Dense(np.array([[1.0, -1.0], [-1.0, -1.0]]), np.array([0.0, 1.0])),
            Activation("relu"),
            Dense(np.array([[1.0, 2.0], [0.0, 3.0]]), None),
            Scale(np.array([1.0, 0.0]), np.zeros(2)),
            Activation("sigmoid"),
            Pool("sum"),
            series=np.array([[1.0, 1.0], [2.0, 2.0]]),
        )


def whole_cell(inputs: int, hidden: int) -> LstmCell:
    rng = np.random.default_rng(0)
    of_inputs, recurrent = (
        rng.integers(-2, 3, (4, hidden, size)).astype(float) for size in (inputs, hidden)
    )
    return LstmCell(of_inputs, recurrent, np.zeros((4, hidden)))


def look(case: Case, seen: set[object]) -> None:
    """Note what a case has."""
    model, lengths = case.model, [len(sequence) for sequence in case.sequences]
    seen.add(("an empty sequence", 0 in lengths))
    seen.add(("nothing but empty sequences", not any(lengths)))
    seen.add(("sequences of the same length", len(set(lengths)) < len(lengths)))
    seen.add(("an embedding", model.only_input.embedding is not None))
    seen.add(("scores by step", model.by_step))
    seen.add(case.rule.gates)
    seen.add(("outputs", len(model.outputs)))
    seen.add(("one output twice", len(set(model.outputs)) < len(model.outputs)))
    seen.add(("lstms", sum(isinstance(node.layer, Lstm) for node in model.nodes)))
    fed = [source for node in model.nodes for source in set(node.sources)]
    seen.add(("a node that feeds several", len(set(fed)) < len(fed)))
    by_step = {MODEL_INPUT: True}
    for place, (layer, sources) in enumerate((n.layer, n.sources) for n in model.nodes):
        by_step[place] = by_step[sources[0]]
        when = "by step" if by_step[place] else "once"
        match layer:
            case Lstm(cells, merge, returns, gates, activation):
                reads = tuple(cell.backward for cell in cells)
                seen.update([(reads, returns), (merge, len(cells)), gates])
                seen.add(("a cell's activation", activation))
                seen.add(("projected", cells[0].projection is not None))
                seen.add(("an initial state", cells[0].initial_cell is not None))
                by_step[place] = returns == "sequence"
            case Pool(kind):
                seen.add(kind)
                by_step[place] = False
            case Flatten():
                seen.add("flatten")
                by_step[place] = False
            case Dense(_, bias):
                seen.add(("dense", when, bias is None))
            case Activation(kind):
                seen.add(("activation", kind))
            case Merge(kind):
                seen.add(("merge", kind, when, len(sources)))
            case _:
                seen.add((type(layer), when))


def test_the_strategy_draws_every_kind_of_layer_and_of_batch() -> None:
    """What these tests say of "every shape" holds only if every shape is drawn."""
    both = (True, False)
    directions = ((False,), (True,), (False, True))
    joins = ("concat", "sum", "mean", "product")
    wanted: set[object] = (
        {("an empty sequence", x) for x in both}
        | {("nothing but empty sequences", x) for x in both}
        | {("sequences of the same length", x) for x in both}
        | {("an embedding", x) for x in both}
        | {("scores by step", x) for x in both}
        | {("outputs", number) for number in (1, 2)}
        | {("one output twice", True), ("a node that feeds several", True)}
        | {("lstms", number) for number in range(4)}
        | {(reads, returns) for reads in directions for returns in ("last", "sequence")}
        | {(merge, 2) for merge in joins}
        | set(get_args(GateActivationName))
        | set(get_args(GateRuleName))
        | set(get_args(PoolName))
        | {("a cell's activation", kind) for kind in UNIT_ACTIVATIONS}
        | {(what, x) for what in ("projected", "an initial state") for x in both}
        | {("dense", when, x) for when in ("by step", "once") for x in both}
        | {("activation", kind) for kind in ACTIVATIONS}
        | {
            ("merge", kind, when, k)
            for kind in joins
            for when in ("by step", "once")
            for k in (2, 3)
        }
        | {("merge", "gate", "by step", 2), (StepSoftmax, "by step"), (Reverse, "by step")}
        | {"flatten", (Scale, "by step"), (Scale, "once")}
    )
    assert draw_until(wanted, cases(), look, rounds=30) >= wanted
