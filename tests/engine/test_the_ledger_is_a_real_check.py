"""The residual finds errors: each share is computed for itself, not as what the others leave.

Every test plants one error in the engine and shows that the residual then exceeds its tolerance.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
from made_models import in_precision, make_model
from msgspec.structs import replace
from together import explain_together, run_together

from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.records import TOLERANCES, Reach, Shares
from lstm_lrp_cli.engine.rules import GATE_RULES, GateRuleName, LrpRule, Messages, Split
from lstm_lrp_cli.model import CANDIDATE, FORGET, INPUT, OUTPUT, Floats
from lstm_lrp_cli.model.layers import Dense, Embedding, Pad, Pool
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell, Recurrent, RnnCell, SimpleRnn

EPS, BIAS_FACTOR = 0.05, 0.3
SEQUENCES = [np.array([0, 3, 1, 4]), np.array([2, 2]), np.array([4, 1, 0, 0, 3, 2])]
TARGETS = [0, 1, 1]


def _cell(rng: np.random.Generator, inputs: int, backward: bool) -> LstmCell:
    shapes = ((4, 4, inputs), (4, 4, 4), (4, 4))
    return LstmCell(*(rng.normal(size=shape) for shape in shapes), backward=backward)


@pytest.fixture(params=["float64", "float32"])
def model(request: pytest.FixtureRequest) -> Model:
    """A model in which every kind of linear map takes part, and every share."""
    rng = np.random.default_rng(11)
    whole = make_model(
        Embedding(rng.normal(size=(5, 3))),
        Lstm((_cell(rng, 3, False), _cell(rng, 3, True)), merge="sum", returns="sequence"),
        Lstm((_cell(rng, 4, False),), returns="sequence"),
        Dense(rng.normal(size=(4, 4)), rng.normal(size=4)),
        Pad(1, 0),
        Pool("mean"),
        Dense(rng.normal(size=(2, 4)), rng.normal(size=2)),
        classes=2,
    )
    return in_precision(whole, request.param)


def _gru(rng: np.random.Generator, *, reset_after: bool) -> Gru:
    def cell(backward: bool) -> GruCell:
        weights = (rng.normal(size=shape) for shape in ((3, 4, 3), (3, 4, 4), (3, 4)))
        inner = rng.normal(size=4) if reset_after else None
        return GruCell(*weights, inner, reset_after, backward)

    return Gru((cell(False), cell(True)))


def _simple(rng: np.random.Generator) -> SimpleRnn:
    def cell(backward: bool) -> RnnCell:
        return RnnCell(*(rng.normal(size=shape) for shape in ((4, 3), (4, 4), (4,))), backward)

    return SimpleRnn((cell(False), cell(True)))


# Of 3 inputs and 4 hidden units, both ways.
RECURRENT: dict[str, Callable[[np.random.Generator], Recurrent]] = {
    "lstm": lambda rng: Lstm((_cell(rng, 3, False), _cell(rng, 3, True))),
    "gru": partial(_gru, reset_after=True),
    "gru, reset before": partial(_gru, reset_after=False),
    "simple": _simple,
}


def worst_residual(model: Model, rule: LrpRule) -> float:
    explained = explain_together(model, SEQUENCES, TARGETS, rule)
    return max(found.ledger.relative_residual for found in explained)


def tolerance(model: Model) -> float:
    return TOLERANCES[model.dtype]


def stabilizer(rule: LrpRule, z: Floats) -> Floats:
    """eps s_j."""
    return np.where(z >= 0, rule.eps, -rule.eps).astype(z.dtype)


class DividesByAnotherEps(LrpRule):
    def divide(
        self, relevance: Floats, z: Floats, values: Floats, stabilizers: Floats, scratch: Floats
    ) -> None:
        given = relevance.copy()
        super().divide(relevance, z, values, stabilizers, scratch)
        values[...] = given / (z + 1.2 * stabilizer(self, z))


class HasTheOtherSignAtNegativeOutputs(LrpRule):
    def divide(
        self, relevance: Floats, z: Floats, values: Floats, stabilizers: Floats, scratch: Floats
    ) -> None:
        given = relevance.copy()
        super().divide(relevance, z, values, stabilizers, scratch)
        values[...] = given / (z + z.dtype.type(self.eps))


class ForgetsTheStabilizers(LrpRule):
    def divide(
        self, relevance: Floats, z: Floats, values: Floats, stabilizers: Floats, scratch: Floats
    ) -> None:
        super().divide(relevance, z, values, stabilizers, scratch)
        stabilizers[...] = 0.0


class SendsTooMuch(LrpRule):
    def divide(
        self, relevance: Floats, z: Floats, values: Floats, stabilizers: Floats, scratch: Floats
    ) -> None:
        super().divide(relevance, z, values, stabilizers, scratch)
        values *= z.dtype.type(1.05)


class KeepsTheSharesOfTheLowerUnits(LrpRule):
    def shared(self, absorbed: Floats, lower: int) -> Floats:
        return np.zeros_like(absorbed)


class CountsOneLowerUnitTooMany(LrpRule):
    def shared(self, absorbed: Floats, lower: int) -> Floats:
        return super().shared(absorbed, lower + 1)


class ForgetsTheBiases(LrpRule):
    def messages(self, relevance: Floats, z: Floats, bias: Floats | None, lower: int) -> Messages:
        right = super().messages(relevance, z, bias, lower)
        return replace(right, biases=np.zeros_like(right.biases))


class AbsorbsWhatItAlsoRedistributes(LrpRule):
    def messages(self, relevance: Floats, z: Floats, bias: Floats | None, lower: int) -> Messages:
        right = super().messages(relevance, z, bias, lower)
        return replace(right, biases=right.biases / (1.0 - self.bias_factor))


IN_EVERY_MAP = [
    DividesByAnotherEps,
    HasTheOtherSignAtNegativeOutputs,
    ForgetsTheStabilizers,
    SendsTooMuch,
    KeepsTheSharesOfTheLowerUnits,
    CountsOneLowerUnitTooMany,
]
GATES_OF_RULES = [
    (gates, gate)
    for gates in ("lrp-half", "lrp-prop", "lrp-abs")
    for gate in (INPUT, FORGET, OUTPUT)
]
ALL_RULES = pytest.mark.parametrize("gates", get_args(GateRuleName))
ERRORS = [*IN_EVERY_MAP, ForgetsTheBiases, AbsorbsWhatItAlsoRedistributes]


@ALL_RULES
def test_without_an_error_the_residual_is_within_its_tolerance(
    model: Model, gates: GateRuleName
) -> None:
    assert worst_residual(model, LrpRule(EPS, BIAS_FACTOR, gates)) < tolerance(model)


@ALL_RULES
@pytest.mark.parametrize("error", ERRORS)
def test_an_error_in_the_rule_shows(
    model: Model, error: type[LrpRule], gates: GateRuleName
) -> None:
    assert worst_residual(model, error(EPS, BIAS_FACTOR, gates)) > tolerance(model)


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("reach", ["features", "steps"])
@ALL_RULES
@pytest.mark.parametrize("error", IN_EVERY_MAP)
def test_an_error_in_the_rule_shows_in_a_recurrent_layer_alone(
    error: type[LrpRule], gates: GateRuleName, reach: Reach, kind: str
) -> None:
    rng = np.random.default_rng(5)
    table = Embedding(rng.normal(size=(5, 3)))
    model = make_model(table, RECURRENT[kind](rng), classes=8)
    trace, order = run_together(model, SEQUENCES)
    chosen = Chosen(np.array([TARGETS[k] for k in order]))

    def worst(rule: LrpRule) -> float:
        ledgers = Lrp(rule).explain(trace, chosen, reach).ledgers
        return max(ledger.relative_residual for ledger in ledgers)

    assert worst(LrpRule(EPS, BIAS_FACTOR, gates)) < tolerance(model)
    assert worst(error(EPS, BIAS_FACTOR, gates)) > tolerance(model)


@pytest.mark.parametrize("reach", ["features", "steps"])
@pytest.mark.parametrize("bias_factor", [0.0, 0.3])
@pytest.mark.parametrize(("gates", "gate"), [("lrp-all", CANDIDATE), *GATES_OF_RULES])
def test_an_error_in_what_the_biases_of_a_cell_get_shows(
    gates: GateRuleName, gate: int, reach: Reach, bias_factor: float
) -> None:
    rng = np.random.default_rng(6)
    model = make_model(Embedding(rng.normal(size=(5, 3))), Lstm((_cell(rng, 3, False),)), classes=4)
    trace, order = run_together(model, SEQUENCES)
    chosen = Chosen(np.array([TARGETS[k] for k in order]))
    rule = LrpRule(EPS, bias_factor, gates)
    model.layers[1].cells[0].bias[gate] *= 1.5  # after the forward pass
    ledgers = Lrp(rule).explain(trace, chosen, reach).ledgers
    worst = max(ledger.relative_residual for ledger in ledgers)
    assert worst > tolerance(model)


@pytest.mark.parametrize("reach", ["features", "steps"])
@pytest.mark.parametrize("bias_factor", [0.0, 0.3])
@pytest.mark.parametrize(
    ("kind", "gates", "bias"),
    [
        ("gru", "lrp-all", "candidate"),
        ("gru", "lrp-all", "inner"),
        ("gru", "lrp-half", "reset"),
        ("gru", "lrp-abs", "update"),
        ("gru, reset before", "lrp-all", "candidate"),
        ("gru, reset before", "lrp-prop", "reset"),
        ("simple", "lrp-all", "only"),
    ],
)
def test_an_error_in_what_the_biases_of_other_cells_get_shows(
    kind: str, gates: GateRuleName, bias: str, reach: Reach, bias_factor: float
) -> None:
    rng = np.random.default_rng(6)
    table = Embedding(rng.normal(size=(5, 3)))
    model = make_model(table, RECURRENT[kind](rng), classes=8)
    trace, order = run_together(model, SEQUENCES)
    chosen = Chosen(np.array([TARGETS[k] for k in order]))
    changed = model.layers[1].cells[0]  # after the forward pass
    if bias == "inner":
        changed.recurrent_bias[...] *= 1.5
    else:
        changed.bias[{"reset": 0, "update": 1, "candidate": 2, "only": ...}[bias]] *= 1.5
    ledgers = Lrp(LrpRule(EPS, bias_factor, gates)).explain(trace, chosen, reach).ledgers
    assert max(ledger.relative_residual for ledger in ledgers) > tolerance(model)


@pytest.mark.parametrize("weights", ["input", "recurrent"])
@pytest.mark.parametrize("gate", [INPUT, FORGET, OUTPUT])
def test_weights_of_a_gate_other_than_those_of_the_forward_pass_show(
    model: Model, gate: int, weights: str
) -> None:
    trace, order = run_together(model, SEQUENCES)
    getattr(model.layers[2].cells[0], weights)[gate] *= 1.1
    chosen = Chosen(np.array([TARGETS[k] for k in order]))
    ledgers = Lrp(LrpRule(EPS, BIAS_FACTOR, "lrp-half")).explain(trace, chosen, "features").ledgers
    assert max(ledger.relative_residual for ledger in ledgers) > tolerance(model)


@pytest.mark.parametrize("lost", Split._fields)
def test_a_part_that_a_rule_for_gates_loses_shows(
    model: Model, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proportion = GATE_RULES["lrp-prop"]

    def losing(*given: Any) -> Split:
        split = proportion(*given)
        return split._replace(**{lost: np.zeros_like(getattr(split, lost))})

    monkeypatch.setitem(GATE_RULES, "lrp-prop", losing)
    assert worst_residual(model, LrpRule(EPS, BIAS_FACTOR, "lrp-prop")) > tolerance(model)


@pytest.mark.parametrize("share", Shares.__struct_fields__)
def test_a_share_that_is_lost_between_layers_shows(
    model: Model, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Shares.__add__

    def losing(first: Shares, second: Shares) -> Shares:
        return replace(add(first, second), **{share: np.zeros_like(getattr(first, share))})

    monkeypatch.setattr(Shares, "__add__", losing)
    assert worst_residual(model, LrpRule(EPS, BIAS_FACTOR)) > tolerance(model)


def _change_embedding_to_candidate(model: Model) -> None:
    model.layers[1].cells[0].input[CANDIDATE] *= 1.1


def _change_recurrent_weights_of_the_backward_cell(model: Model) -> None:
    model.layers[1].cells[1].recurrent[CANDIDATE] *= 1.1


def _change_candidate_bias(model: Model) -> None:
    model.layers[2].cells[0].bias[CANDIDATE] += 0.5


def _change_dense_weights(model: Model) -> None:
    model.layers[3].weights[...] *= 1.1


def _change_output_bias(model: Model) -> None:
    model.layers[6].bias[...] += 0.5


@pytest.mark.parametrize(
    "change",
    [
        _change_embedding_to_candidate,
        _change_recurrent_weights_of_the_backward_cell,
        _change_candidate_bias,
        _change_dense_weights,
        _change_output_bias,
    ],
)
def test_weights_other_than_those_of_the_forward_pass_show(
    model: Model, change: Callable[[Model], None]
) -> None:
    trace, order = run_together(model, SEQUENCES)
    change(model)
    targets = np.array([TARGETS[k] for k in order])
    ledgers = Lrp(LrpRule(EPS, BIAS_FACTOR)).explain(trace, Chosen(targets), "features").ledgers
    worst = max(ledger.relative_residual for ledger in ledgers)
    assert worst > tolerance(model)


def test_an_error_that_is_accounted_for_does_not_show(model: Model) -> None:
    """The ledger's limit: it cannot tell which rule was meant. The golden numbers can."""

    class HasTheOtherSignEverywhere(LrpRule):
        def divide(
            self, relevance: Floats, z: Floats, values: Floats, stabilizers: Floats, scratch: Floats
        ) -> None:
            wrong = -stabilizer(self, z)
            np.divide(relevance, z + wrong, out=values)
            stabilizers[0] = (wrong * values).sum(axis=1)

    wrong = HasTheOtherSignEverywhere(EPS, BIAS_FACTOR)
    assert worst_residual(model, wrong) < tolerance(model)
    right = LrpRule(EPS, BIAS_FACTOR)
    [found, *_] = explain_together(model, SEQUENCES, TARGETS, wrong)
    [expected, *_] = explain_together(model, SEQUENCES, TARGETS, right)
    assert not np.array_equal(found.relevance, expected.relevance)
