"""Gradients are those of golden numbers and of the plain version, for models of every shape."""

from typing import get_args

import numpy as np
import plain_forward
import plain_gradient
import pytest
from golden import FILES, Golden, assert_golden
from hypothesis import given, settings
from made_models import in_precision, make_model
from msgspec.structs import replace
from random_models import Case, cases
from together import chosen_together, cut, cut_apart, explain_by, run_together

from lstm_lrp_cli.engine.activations import ACTIVATIONS, SLOPES
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.methods import METHODS, Baseline, InputBaseline, Settings
from lstm_lrp_cli.engine.methods import gradient as integrated_gradients
from lstm_lrp_cli.engine.methods.gradient import GradientTimesInput, IntegratedGradients, gradient
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Dense, Pool
from lstm_lrp_cli.model.recurrent import ActivationName, GateActivationName, Lstm, LstmCell

GRADIENT, TIMES_INPUT = (METHODS[name](Settings()) for name in ("gradient", "gradient-x-input"))
# Relative to the largest number that is added up.
TOLERANCE = 1e-10

property_test = settings(max_examples=40, deadline=None, derandomize=True, database=None)
# Of the first kinds of layer, or with recurrent ones of every kind.
EVERY_CASE = cases() | cases(families=["recurrent"])


def of_every_feature(case: Case) -> list[Floats]:
    """The gradient of each sequence's score, in the order given."""
    trace, order = run_together(case.model, case.sequences, keep_gates=True)
    found = gradient(trace, chosen_together(trace, order, case.targets, case.steps))
    of_sequences = dict(zip(order, cut_apart(found, trace), strict=True))
    return [of_sequences[k] for k in range(len(order))]


def assert_sum(found: float, expected: Floats | float, terms: Floats) -> None:
    """Compare a sum, relative to the sizes of what is added up."""
    assert abs(found - expected) <= TOLERANCE * max(np.abs(terms).sum(), 1e-12)


def plainly(case: Case, k: int, values: Floats, direction: Floats) -> float:
    step = None if case.steps is None else case.steps[k]
    return plain_gradient.derivative(case.model, values, direction, case.targets[k], step)


def plain_score(case: Case, k: int, values: Floats) -> float:
    scores = plain_forward.scores_of(case.model, values)
    return scores[case.targets[k] if case.steps is None else (case.steps[k], case.targets[k])]


@pytest.mark.parametrize("file", FILES)
def test_golden_gradients(file: str) -> None:
    golden = Golden(file)
    trace, order = run_together(golden.model, golden.sequences, keep_gates=True)
    for target in range(golden.model.classes):
        [found] = gradient(trace, Chosen(np.full(len(order), target)))
        for k, of_sequence in zip(order, cut(found, trace.packings[0]), strict=True):
            assert_golden(of_sequence, golden.numbers[f"seq{k}/class{target}/grad"])


@property_test
@given(EVERY_CASE)
def test_the_gradient_along_a_direction(case: Case) -> None:
    """A wrong partial derivative shows along a direction in which all features move at random."""
    for k, found in enumerate(of_every_feature(case)):
        direction = np.random.default_rng(k).normal(size=found.shape)
        values = plain_forward.embedded(case.model, case.sequences[k])
        along = found * direction
        # Where tanh is flat, 1 - y^2 has few digits left.
        sizes = np.abs(along) + 1e-4 * np.abs(direction)
        assert_sum(along.sum(), plainly(case, k, values, direction), sizes)


@property_test
@given(EVERY_CASE)
def test_sensitivity_is_the_squared_gradient(case: Case) -> None:
    model, sequences, targets, _, steps = case
    in_full = explain_by(GRADIENT, model, sequences, targets, steps)
    of_steps = explain_by(GRADIENT, model, sequences, targets, steps, "steps")
    for partial, features, whole in zip(of_every_feature(case), in_full, of_steps, strict=True):
        np.testing.assert_allclose(features.relevance, partial**2, rtol=1e-12)
        np.testing.assert_allclose(whole.relevance, (partial**2).sum(axis=1), rtol=1e-12)


@property_test
@given(EVERY_CASE)
def test_gradient_x_input_of_features_and_of_whole_steps(case: Case) -> None:
    model, sequences, targets, _, steps = case
    in_full = explain_by(TIMES_INPUT, model, sequences, targets, steps)
    of_steps = explain_by(TIMES_INPUT, model, sequences, targets, steps, "steps")
    gradients = of_every_feature(case)
    for k, (features, whole) in enumerate(zip(in_full, of_steps, strict=True)):
        expected = gradients[k] * plain_forward.embedded(model, sequences[k])
        np.testing.assert_allclose(features.relevance, expected, rtol=1e-12)
        for found, terms in zip(whole.relevance, expected, strict=True):
            assert_sum(found, terms.sum(), gradients[k])


@pytest.mark.parametrize("points", [1, 3])
@pytest.mark.parametrize("most_rows", [1, 64], ids=["a batch a point", "several points a batch"])
@settings(property_test, max_examples=20)
@given(case=EVERY_CASE)
def test_integrated_gradients_add_up_gradients_on_the_way(
    points: int, most_rows: int, case: Case
) -> None:
    """Relevance is linear in how far each feature moves: moved at random, it is one derivative."""
    model, sequences, targets, _, steps = case
    baseline = np.random.default_rng(0).normal(
        size=plain_forward.embedded(model, sequences[0]).shape[1]
    )
    method = IntegratedGradients(
        points, Baseline("own", (InputBaseline(baseline[np.newaxis, np.newaxis]),))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integrated_gradients, "MOST_ROWS", most_rows)
        explained = explain_by(method, model, sequences, targets, steps)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    for k, found in enumerate(explained):
        values = plain_forward.embedded(model, sequences[k])
        factors = np.random.default_rng(k).normal(size=values.shape)
        way = values - baseline
        expected = sum(
            weight / 2 * plainly(case, k, baseline + (node + 1) / 2 * way, factors * way)
            for node, weight in zip(nodes, weights, strict=True)
        )
        sizes = np.abs(found.relevance) + 1e-4 * np.abs(way)
        assert_sum((factors * found.relevance).sum(), expected, sizes)
        at_baseline = plain_score(case, k, np.broadcast_to(baseline, values.shape))
        np.testing.assert_allclose(found.ledger["baseline"], at_baseline, rtol=1e-9, atol=1e-12)
        assert_sum(found.ledger["tokens"], found.relevance.sum(), found.relevance)
        assert found.ledger["padding"] == 0.0
        assert found.ledger.score == found.scores[targets[k]]


@pytest.mark.parametrize("file", ["small", "medium"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_integrated_gradients_are_complete(file: str, dtype: str) -> None:
    golden = Golden(file)
    model = in_precision(golden.model, dtype)
    allowed = {"float64": 1e-10, "float32": 1e-5}[dtype]
    targets = [1] * len(golden.sequences)
    for reach in ("features", "steps"):
        for found in explain_by(
            IntegratedGradients(), model, golden.sequences, targets, reach=reach
        ):
            assert found.relevance.dtype == dtype
            assert found.ledger.relative_residual < allowed


def test_more_points_close_the_gap() -> None:
    """Large weights make of the score a curve with steps, which takes points to be followed."""
    golden = Golden("saturated")
    shortest = min(golden.sequences, key=len)

    def gap(points: int) -> float:
        [found] = explain_by(IntegratedGradients(points), golden.model, [shortest], [1])
        return found.ledger.relative_residual

    promised = IntegratedGradients().promise.tolerances[golden.model.dtype]
    assert gap(1) > promised > gap(10)
    assert gap(50) < 1e-10


def test_padding_has_a_share_of_integrated_gradients() -> None:
    golden = Golden("small")
    trace, _ = run_together(golden.model, golden.sequences)
    packing = trace.packings[0]
    padding = packing.step % 2 == 0
    chosen = Chosen(np.zeros(packing.batch, dtype=int))
    padded = replace(trace, given=[replace(trace.given[0], padding=padding)])
    found = IntegratedGradients().explain(padded, chosen, "steps")
    of_padding = packing.total(np.where(padding, found.values[0], 0.0))
    of_tokens = packing.total(np.where(padding, 0.0, found.values[0]))
    for share, expected in (("padding", of_padding), ("tokens", of_tokens)):
        np.testing.assert_allclose(found.ledgers.shares[share], expected, rtol=1e-12, atol=1e-15)


@property_test
@given(EVERY_CASE)
def test_single_precision_is_that_of_the_model(case: Case) -> None:
    model, sequences, targets, _, steps = case
    model = in_precision(model, "float32")
    for method in (GRADIENT, TIMES_INPUT, IntegratedGradients(2)):
        for reach in ("features", "steps"):
            for found in explain_by(method, model, sequences, targets, steps, reach):
                assert found.relevance.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", get_args(GateActivationName))
@pytest.mark.parametrize("bias", [-1e4, 1e4], ids=["closed", "open"])
def test_gates_at_their_ends_have_no_slope(
    bias: float, kind: GateActivationName, dtype: str
) -> None:
    """Only what passes through an open gate is left: that of the candidate, by all gates."""
    weights = np.random.default_rng(0).normal(size=(4, 3, 2))
    biases = np.full((4, 3), bias)
    biases[2] = 0.0
    cell = LstmCell(weights, np.zeros((4, 3, 3)), biases)
    model = make_model(Lstm((cell,), gate_activation=kind), classes=3, dtype="float64")
    trace, _ = run_together(in_precision(model, dtype), [np.ones((1, 2))], keep_gates=True)
    g = np.tanh(weights[2] @ np.ones(2))
    expected = (1 - np.tanh(g[0]) ** 2) * (1 - g[0] ** 2) * weights[2, 0]
    [found] = gradient(trace, Chosen(np.zeros(1, dtype=int)))
    np.testing.assert_allclose(found, [expected * (bias > 0)], rtol=1e-5)


@pytest.mark.parametrize("kind", SLOPES)
def test_the_slope_of_an_activation(kind: ActivationName) -> None:
    x = np.array([-6.3, -3.1, -2.4, -0.7, -1e-3, 1e-3, 0.6, 2.6, 3.2, 5.9, 6.1])
    of_x, h = ACTIVATIONS[kind], 1e-6
    differences = (of_x(x + h) - of_x(x - h)) / (2 * h)
    np.testing.assert_allclose(SLOPES[kind](x, of_x(x)), differences, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", [GRADIENT, TIMES_INPUT, IntegratedGradients(2)])
@pytest.mark.parametrize("reach", get_args(Reach))
def test_what_overflows_is_not_finite_and_no_warning(method: Method, reach: Reach) -> None:
    large = Dense(np.full((1, 2), 1e30), None)
    model = make_model(large, Pool("sum"), Dense(np.full((1, 1), 1e10), None), classes=1)
    model = in_precision(model, "float32")
    [found] = explain_by(method, model, [np.full((3, 2), 1e-20)], [0], reach=reach)
    assert not np.isfinite(found.relevance).any()


def test_a_gradient_needs_what_the_forward_pass_has_to_keep() -> None:
    golden = Golden("small")
    trace, order = run_together(golden.model, golden.sequences)
    with pytest.raises(ValueError, match="did not keep the gates"):
        GradientTimesInput().explain(trace, Chosen(np.zeros(len(order), dtype=int)), "steps")
