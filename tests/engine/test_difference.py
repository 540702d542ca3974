"""The difference of two scores is explained by the difference of what explains each of them."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import plain_gradient
import plain_lrp
import pytest
from hypothesis import assume, given, settings
from made_models import in_precision, make_model
from msgspec.structs import replace
from plain_forward import by_input, embedded
from random_models import FAMILIES, Case, cases
from together import chosen_together, cut_apart, run_together, side_by_side

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.gradient import gradient
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.rules import GateRuleName
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model.layers import Dense, Pool

# Of the largest number of both: one less another has the rounding errors of each.
TOLERANCE = 1e-10
# Squares of derivatives are those of the difference's, and no differences.
LINEAR = [name for name in METHODS if name != "gradient"]


def examples(count: int) -> Any:
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def method_of(name: str, case: Case) -> Method:
    return METHODS[name](Settings(case.rule.eps, case.rule.bias_factor, steps=8))


def others(case: Case) -> list[int]:
    """What is subtracted from the target of each sequence."""
    return [(target + 1) % case.model.classes for target in case.targets]


def sides(trace: Trace, order: Sequence[int], case: Case) -> tuple[Chosen, Chosen, Chosen]:
    """A, B, and A less B."""
    a, b = (
        chosen_together(trace, list(order), each, case.steps)
        for each in (case.targets, others(case))
    )
    return a, b, replace(a, minus=b)


def explained(method: Method, case: Case) -> list[Relevance]:
    """What a method gives of A, of B, and of A less B, for one batch."""
    assume(case.model.classes > 1)
    trace, order = run_together(case.model, case.sequences, keep_gates=method.keeps_gates)
    reach = "steps" if method.whole_steps else "features"
    return [method.explain(trace, each, reach) for each in sides(trace, order, case)]


def assert_difference(a: Any, b: Any, both: Any) -> None:
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0), 1e-3)
    np.testing.assert_allclose(both, np.subtract(a, b), rtol=0, atol=TOLERANCE * scale)


@pytest.mark.parametrize("name", LINEAR)
@examples(25)
@given(case=cases() | cases(families=FAMILIES))
def test_relevance_and_ledgers_are_differences(name: str, case: Case) -> None:
    method = method_of(name, case)
    try:
        a, b, both = explained(method, case)
    except UnusableInput:  # a model that cannot be run without a step
        assert name == "omission"
        return
    for values in zip(a.values, b.values, both.values, strict=True):
        assert_difference(*values)
    if both.ledgers is None:
        return
    assert_difference(*(each.ledgers.score for each in (a, b, both)))
    if name == "contextual-decomposition":
        # Of several decompositions a ledger is that of the one which comes least near.
        assert max(each.relative_residual for each in both.ledgers) <= TOLERANCE
        return
    for share in both.ledgers.shares:
        assert_difference(*(each.ledgers.shares[share] for each in (a, b, both)))


@examples(40)
@given(case=cases())
def test_stabilizers_by_size_lie_between_those_of_both(case: Case) -> None:
    for name in get_args(GateRuleName):
        a, b, both = (
            each.ledgers.stabilizers_size for each in explained(method_of(name, case), case)
        )
        room = TOLERANCE * (a + b)
        assert (both <= a + b + room).all()
        assert (both >= np.abs(a - b) - room).all()


@examples(12)
@given(case=cases(families=["recurrent", "attention"]))
def test_the_plain_version_of_each_less_the_other(case: Case) -> None:
    """Against numbers that the engine has no part in, by LRP and by gradients."""
    model, rule = case.model, case.rule
    assume(model.classes > 1)
    trace, order = run_together(model, case.sequences, keep_gates=True)
    _, _, both = sides(trace, order, case)
    lrp = METHODS[rule.gates](Settings(rule.eps, rule.bias_factor))
    found = lrp.explain(trace, both, "features")
    relevance, slopes = (
        cut_apart(values, trace) for values in (found.values, gradient(trace, both))
    )
    rng = np.random.default_rng(0)
    for place, k in enumerate(order):
        step = None if case.steps is None else case.steps[k]
        targets = case.targets[k], others(case)[k]
        settings_of = {"eps": rule.eps, "bias_factor": rule.bias_factor, "gates": rule.gates}
        a, b = (
            plain_lrp.explain(model, case.sequences[k], target, **settings_of, step=step)
            for target in targets
        )
        assert_difference(*map(side_by_side, (a.relevance, b.relevance, relevance[place])))
        assert_difference(*a.scores[list(targets)], found.ledgers.score[place])
        values = embedded(model, case.sequences[k])
        way = tuple(rng.normal(size=each.shape) for each in by_input(values))
        along = [plain_gradient.derivative(model, values, way, target, step) for target in targets]
        assert_difference(*along, side_by_side(slopes[place]) @ side_by_side(way))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", list(METHODS))
def test_nothing_is_left_of_a_score_less_itself(name: str, dtype: str) -> None:
    rng = np.random.default_rng(4)
    layers = (Dense(rng.normal(size=(3, 2)), rng.normal(size=3)), Pool("mean"))
    model = in_precision(make_model(*layers, classes=3), dtype)
    steps = rng.normal(size=(5, 2)).astype(dtype)
    trace = Runner(model, keep_gates=True).forward([Given(steps, Packing(np.array([3, 2])))])
    one = Chosen(np.array([2, 0]))
    found = METHODS[name](Settings()).explain(trace, replace(one, minus=one), "steps")
    assert not found.values[0].any()
    if found.ledgers is not None:
        assert not found.ledgers.score.any()
        assert not any(each.any() for each in found.ledgers.shares.values())


@pytest.mark.parametrize("name", list(METHODS))
def test_of_two_classes_with_one_score_it_is_twice_the_score(name: str) -> None:
    rng = np.random.default_rng(5)
    model = make_model(Dense(rng.normal(size=(1, 2)), rng.normal(size=1)), Pool("sum"), classes=1)
    steps = Given(rng.normal(size=(4, 2)), Packing(np.array([4])))
    trace = Runner(model, keep_gates=True).forward([steps])
    zero, ones = np.zeros(1, dtype=np.intp), np.ones(1)
    one, negative = Chosen(zero, None, ones), Chosen(zero, None, -ones)
    alone, both = (
        METHODS[name](Settings()).explain(trace, each, "steps").values[0]
        for each in (one, replace(one, minus=negative))
    )
    np.testing.assert_allclose(both, (4 if name == "gradient" else 2) * alone, rtol=1e-12)
