"""Random graphs of every kind of layer are torch's own: scores, gradients, and LRP by autograd."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from msgspec.structs import replace
from plain_forward import by_input, embedded
from random_models import FAMILIES, Case, cases
from together import chosen_together, cut_apart, explain_together, run_together

from lstm_lrp_cli.engine.methods.gradient import gradient
from lstm_lrp_cli.engine.rules import GateRuleName, LrpRule

each_family = pytest.mark.parametrize("family", FAMILIES)
# Numbers that nearly cancel say nothing of what is divided by them.
LEAST = 1e-4


def distinct(case: Case) -> Case:
    """The case with numbers for tokens: of equal ones, rounding tells which is the largest."""
    rng = np.random.default_rng(0)
    read = [replace(each, embedding=None) for each in case.model.inputs]
    sequences = []
    for sequence in case.sequences:
        values = by_input(embedded(case.model, sequence))
        moved = tuple(each + rng.normal(scale=0.1, size=each.shape) for each in values)
        sequences.append(moved if len(moved) > 1 else moved[0])
    return case._replace(model=replace(case.model, inputs=tuple(read)), sequences=sequences)


def property_test(examples):
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def of_torch(torch, scores, case, k):
    """The scores of one sequence, and the gradients of one by its inputs, that of each."""
    values = by_input(embedded(case.model, case.sequences[k]))
    given = [
        torch.from_numpy(np.array(each, dtype=float))[None].requires_grad_() for each in values
    ]
    found = scores(*given)[0]
    at = case.targets[k] if case.steps is None else (case.steps[k], case.targets[k])
    if found.requires_grad:
        partials = torch.autograd.grad(found[at], given, materialize_grads=True)
    else:  # what a sequence of no steps comes to
        partials = [torch.zeros_like(each) for each in given]
    own = found if case.steps is None else found[case.steps[k]]
    return own.detach().numpy(), [each[0].numpy() for each in partials], values


def assert_alike(found, expected, tolerance=1e-10):
    """Of each of the inputs, or of one."""
    expected = list(expected)
    largest = max((np.abs(each).max(initial=0.0) for each in expected), default=0.0)
    for own, other in zip(by_input(found), expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=tolerance, atol=tolerance * max(largest, 1.0))


@each_family
def test_scores_and_gradients(framework, family):
    torch = framework("torch")
    from torch_model import scores_of

    @property_test(16)
    @given(cases(families=[family]))
    def compare(case: Case) -> None:
        case = distinct(case)
        scores = scores_of(case.model)
        trace, order = run_together(case.model, case.sequences, keep_gates=True)
        chosen = chosen_together(trace, order, case.targets, case.steps)
        apart = cut_apart(gradient(trace, chosen), trace)
        rows = trace.scores if chosen.rows is None else trace.scores[chosen.rows]
        for place, k in enumerate(order):
            own, partials, _ = of_torch(torch, scores, case, k)
            assert_alike(rows[place], [own])
            assert_alike(apart[place], partials)

    compare()


@each_family
@pytest.mark.parametrize("gates", get_args(GateRuleName))
def test_lrp_is_the_gradient_of_a_linearised_copy_times_the_input(framework, family, gates):
    """And whatever the bias factor, the score is accounted for."""
    torch = framework("torch")
    from torch_model import scores_of
    from torch_passing import AsLrp

    @property_test(8)
    @given(cases(families=[family]))
    def compare(case: Case) -> None:
        case = distinct(case)
        explained = explain_together(*case[:3], LrpRule(0.0, 0.0, gates), case.steps)
        compared = 0
        for k, found in enumerate(explained):
            passing = AsLrp(gates)
            _, partials, values = of_torch(torch, scores_of(case.model, passing), case, k)
            if passing.least < LEAST:
                continue
            products = [each * value for each, value in zip(partials, values, strict=True)]
            assert_alike(found.relevance, products, 1e-7)
            compared += 1
        assume(compared)
        for factor in (0.0, 0.4, 1.0):
            rule = LrpRule(case.rule.eps, factor, gates)
            for found in explain_together(*case[:3], rule, case.steps):
                assert found.ledger.relative_residual < 1e-10

    compare()
