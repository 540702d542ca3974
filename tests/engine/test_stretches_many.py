"""One long sequence is explained stretch by stretch as it is at once, with few of its states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import Case, cases
from together import Explained, explain_by, side_by_side

from lstm_lrp_cli.engine import forward
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.contextual_decomposition import ContextualDecomposition
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.engine.stretches import held, rows

EXAMPLES = 150
EVERY_CASE = (
    cases() | cases(families=["recurrent"]) | cases(families=["units"]) | cases(families=["inputs"])
)
METHODS_OF_STEPS = ["gradient", "gradient-x-input", "integrated-gradients", "occlusion"]


@contextmanager
def in_stretches(steps: int) -> Iterator[None]:
    """Take every sequence for a long one, in stretches of so many steps, and every array so too."""
    with (
        patch.object(forward, "LONG_BYTES", -1),
        patch.object(rows, "STEPS", steps),
        patch.object(held, "IN_FILE_FROM", 64),
    ):
        yield


def each_by(case: Case, method: Method, reach: Reach) -> list[Explained]:
    """Explain every sequence in a batch of its own."""
    found: list[Explained] = []
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else [case.steps[k]]
        found += explain_by(method, case.model, [sequence], [target], step, reach)
    return found


def amounts_of(found: Explained) -> Any:
    ledger = found.ledger
    of_ledger = [] if ledger is None else [*ledger.shares.values(), ledger.stabilizers_size or 0.0]
    return np.concatenate([side_by_side(found.relevance), of_ledger])


def assert_same_in_stretches(case: Case, method: Method, reach: Reach, steps: int) -> None:
    at_once = each_by(case, method, reach)
    with in_stretches(steps):
        found = each_by(case, method, reach)
    for one, other in zip(found, at_once, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-12, atol=1e-12)
        expected = amounts_of(other)
        scale = np.abs(np.append(expected, other.scores)).max(initial=1e-300)
        np.testing.assert_allclose(amounts_of(one), expected, rtol=1e-9, atol=1e-10 * scale)


@pytest.mark.parametrize("reach", ["features", "steps"])
@given(case=EVERY_CASE, steps=st.integers(1, 3))
@settings(max_examples=EXAMPLES)
def test_relevance(reach: Reach, case: Case, steps: int) -> None:
    assert_same_in_stretches(case, Lrp(case.rule), reach, steps)


@pytest.mark.parametrize("name", METHODS_OF_STEPS)
@given(case=EVERY_CASE, steps=st.integers(1, 3), reach=st.sampled_from(["features", "steps"]))
@settings(max_examples=EXAMPLES // 2)
def test_methods(name: str, reach: Reach, case: Case, steps: int) -> None:
    assert_same_in_stretches(case, METHODS[name](Settings(steps=2)), reach, steps)


@given(case=EVERY_CASE, steps=st.integers(1, 3))
@settings(max_examples=EXAMPLES // 2)
def test_decomposition_of_a_span(case: Case, steps: int) -> None:
    assert_same_in_stretches(case, ContextualDecomposition(slice(1, 3)), "steps", steps)
