"""The ledger: the score, the shares it went into, and what they leave unaccounted for."""

import numpy as np
import pytest
from made_models import make_model
from msgspec.structs import replace
from together import lrp_ledger

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.records import TOLERANCES, Ledger, Ledgers
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model.layers import Dense, Embedding, Pool
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell


def test_the_residual_is_the_score_without_its_shares() -> None:
    assert lrp_ledger(10.0, 1.0, 2.0, 0.5, 0.25, 4.0).residual == 2.25


@pytest.mark.parametrize("share", ["tokens", "initial_state", "biases", "stabilizers", "padding"])
def test_every_share_counts(share: str) -> None:
    assert lrp_ledger(3.0, **{share: 1.0}).residual == 2.0
    assert lrp_ledger(0.0, **{share: -1.0}).scale == 1.0


def test_the_residual_is_measured_against_the_score_where_that_is_larger() -> None:
    found = lrp_ledger(-8.0, tokens=-4.0, biases=2.0)
    assert found.scale == 8.0
    assert found.relative_residual == 0.75


def test_the_residual_is_measured_against_the_sizes_of_the_shares_where_they_are_larger() -> None:
    found = lrp_ledger(1.0, tokens=6.0, biases=-4.0)
    assert found.scale == 10.0
    assert found.relative_residual == 0.1


def test_a_score_of_zero_without_shares_is_accounted_for() -> None:
    assert lrp_ledger(0.0).relative_residual == 0.0


def test_a_share_that_is_not_a_number_leaves_no_number() -> None:
    assert np.isnan(lrp_ledger(1.0, tokens=np.nan).relative_residual)


def test_the_tolerances() -> None:
    assert {np.dtype("float64"): 1e-10, np.dtype("float32"): 1e-3} == TOLERANCES


def test_a_ledger_of_a_batch_is_its_sequences_ledgers_as_plain_numbers() -> None:
    shares = {"tokens": np.array([2.0, 3.0]), "biases": np.array([4.0, 5.0])}
    _, found = Ledgers(np.array([0.0, 1.0]), shares, np.array([6.0, 7.0]))
    assert found == Ledger(1.0, {"tokens": 3.0, "biases": 5.0}, 7.0)
    assert all(type(amount) is float for amount in (found.score, *found.shares.values()))


def test_two_ledgers_together_have_the_shares_of_both() -> None:
    both = Ledger(1.0, {"tokens": 1.0, "biases": 2.0}) + Ledger(2.0, {"tokens": 3.0, "rest": 4.0})
    assert both == Ledger(3.0, {"tokens": 4.0, "biases": 2.0, "rest": 4.0})


def test_what_stabilizers_absorb_by_size_is_no_share() -> None:
    found = Ledger(1.0, {"tokens": 3.0, "stabilizers": -2.0}, 50.0)
    assert found.residual == 0.0
    assert found.scale == 5.0


def test_two_ledgers_together_have_the_stabilizers_of_both_by_size() -> None:
    with_size, without = Ledger(1.0, {"stabilizers": 1.0}, 2.0), Ledger(1.0, {"tokens": 1.0})
    assert (with_size + with_size).stabilizers_size == 4.0
    assert (with_size + without).stabilizers_size == 2.0
    assert (without + without).stabilizers_size is None


def test_relevance_of_tokens_is_summed_in_float64() -> None:
    model = make_model(Dense(np.ones((1, 3)), None), Pool("max"), classes=1, dtype="float32")
    step = np.array([[2.0**24, 1.0, 1.0]], dtype=np.float32)
    trace = Runner(model).forward([Given(step, Packing(np.array([1])))])
    found = Lrp(LrpRule()).explain(trace, Chosen(np.array([0])), "features")
    np.testing.assert_array_equal(found.values[0], step)
    assert found.ledgers.shares["tokens"].tolist() == [
        2.0**24 + 2.0
    ]  # float32 would lose both ones


class TestPadding:
    """Two sequences of 3 and 2 steps, of which some are padding."""

    packing = Packing(np.array([3, 2]))
    rule = LrpRule(eps=0.01, bias_factor=0.5)
    targets = np.array([1, 0])
    # By step and then by sequence: a0 b0 a1 b1 a2.
    padding = np.array([True, False, True, True, False])

    @pytest.fixture
    def trace(self) -> Trace:
        rng = np.random.default_rng(3)
        cell = LstmCell(
            rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3))
        )
        model = make_model(
            Embedding(rng.normal(size=(5, 2))),
            Lstm((cell,)),
            Dense(rng.normal(size=(2, 3)), rng.normal(size=2)),
            classes=2,
        )
        ids = np.array([4, 0, 3, 1, 2])
        return Runner(model).forward([Given(ids, self.packing, model.inputs[0].embedding)])

    def padded(self, trace: Trace) -> Trace:
        return replace(trace, given=[replace(trace.given[0], padding=self.padding)])

    def explained(self, trace: Trace) -> Relevance:
        return Lrp(self.rule).explain(trace, Chosen(self.targets), "features")

    def test_relevance_of_padding_steps_is_not_that_of_tokens(self, trace: Trace) -> None:
        found = self.explained(self.padded(trace))
        a0, b0, a1, b1, a2 = found.values[0].sum(axis=1)
        np.testing.assert_allclose(found.ledgers.shares["tokens"], [a2, b0], rtol=1e-14)
        np.testing.assert_allclose(found.ledgers.shares["padding"], [a0 + a1, b1], rtol=1e-14)

    def test_padding_takes_its_share_from_the_tokens_and_from_nothing_else(
        self, trace: Trace
    ) -> None:
        without = self.explained(trace)
        found = self.explained(self.padded(trace))
        np.testing.assert_array_equal(found.values[0], without.values[0])
        np.testing.assert_allclose(
            found.ledgers.shares["tokens"] + found.ledgers.shares["padding"],
            without.ledgers.shares["tokens"],
            rtol=1e-14,
        )
        np.testing.assert_array_equal(found.ledgers.score, without.ledgers.score)
        for share in ("initial_state", "biases", "stabilizers"):
            expected = without.ledgers.shares[share]
            np.testing.assert_array_equal(found.ledgers.shares[share], expected)
        assert without.ledgers.shares["padding"].tolist() == [0.0, 0.0]

    def test_the_scores_are_still_accounted_for(self, trace: Trace) -> None:
        found = self.explained(self.padded(trace))
        assert all(ledger.relative_residual < 1e-14 for ledger in found.ledgers)
