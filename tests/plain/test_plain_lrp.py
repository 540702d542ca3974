"""The plain rules for products of a gate and a signal, on numbers worked by hand."""

import numpy as np
import pytest
from made_models import make_model
from plain_lrp import explain
from plain_rules import Account, GateRule, Rule, product_relevance

from lstm_lrp_cli.model.recurrent import Lstm, LstmCell


def shared(gates: GateRule, gate: float, signal: float, delta: float = 0.0) -> tuple[float, ...]:
    """What gate and signal get of a relevance of 12, and what the stabilizer absorbs."""
    account = Account()
    units = np.array([gate]), np.array([signal])
    of_gate, of_signal = product_relevance(
        *units, np.array([12.0]), Rule(0.5, delta, gates), account
    )
    assert account.biases == account.initial_state == 0.0
    return float(of_gate[0]), float(of_signal[0]), account.stabilizers


def test_lrp_all_gives_all_to_the_signal() -> None:
    assert shared("lrp-all", 1.0, -3.0) == (0.0, 12.0, 0.0)


def test_lrp_half_gives_a_half_to_each() -> None:
    assert shared("lrp-half", 1.0, -3.0) == (6.0, 6.0, 0.0)


def test_lrp_abs_gives_to_each_by_its_size() -> None:
    assert shared("lrp-abs", 1.0, -3.0) == (3.0, 9.0, 0.0)
    assert shared("lrp-abs", -1.0, 0.0) == (12.0, 0.0, 0.0)


def test_lrp_abs_gives_all_to_the_signal_where_there_is_neither() -> None:
    assert shared("lrp-abs", 0.0, 0.0) == (0.0, 12.0, 0.0)


class TestLrpProp:
    def test_gives_to_each_by_its_part_of_the_stabilized_sum(self) -> None:
        # of 12 over 1 + 0.5 + 0.5
        assert shared("lrp-prop", 1.0, 0.5) == (6.0, 3.0, 3.0)

    def test_a_negative_sum_is_stabilized_downwards(self) -> None:
        # of 12 over 1 - 2.5 - 0.5
        assert shared("lrp-prop", 1.0, -2.5) == (-6.0, 15.0, 3.0)

    def test_a_bias_factor_of_1_shares_the_stabilizer_between_the_two(self) -> None:
        assert shared("lrp-prop", 1.0, 0.5, delta=1.0) == (7.5, 4.5, 0.0)

    def test_the_stabilizer_has_all_where_there_is_neither(self) -> None:
        assert shared("lrp-prop", 0.0, 0.0) == (0.0, 0.0, 12.0)


@pytest.mark.parametrize("gates", ["lrp-half", "lrp-prop", "lrp-abs"])
def test_what_a_gate_gets_goes_to_its_bias_where_it_has_nothing_else(gates: GateRule) -> None:
    """Where x feeds g alone, what i, f and o get ends in their biases."""
    cell = LstmCell(
        input=np.array([0.0, 0.0, 1.0, 0.0]).reshape(4, 1, 1),
        recurrent=np.zeros((4, 1, 1)),
        bias=np.array([1.0, 1.0, 0.0, 1.0]).reshape(4, 1),
    )
    model, series = make_model(Lstm((cell,)), classes=1), np.array([[2.0]])
    found = explain(model, series, 0, eps=1e-9, bias_factor=0.0, gates=gates)
    of_all = explain(model, series, 0, eps=1e-9, bias_factor=0.0)
    assert of_all.biases == 0.0
    assert found.biases > 0.1 * found.scores[0]
    assert found.biases + found.tokens == pytest.approx(found.scores[0], rel=1e-6)
