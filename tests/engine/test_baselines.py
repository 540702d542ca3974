"""Occlusion by baselines, of groups, and expected gradients: against plain loops over each."""

from typing import Any

import numpy as np
import plain_forward
import plain_gradient
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from plain_forward import by_input, embedded
from plain_perturbation import shared_losses
from random_models import Case, cases
from together import explain_by

from lstm_lrp_cli.engine.methods import METHODS, Baseline, Groups, InputBaseline, InputGroups
from lstm_lrp_cli.engine.methods import Settings as MethodSettings
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import WrongSteps
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Embedding, Pool

property_test = settings(max_examples=40, deadline=None, derandomize=True, database=None)
EVERY_CASE = cases() | cases(families=["inputs"])


def made(name: str, **chosen: Any) -> Method:
    return METHODS[name](MethodSettings(**chosen))


def numbers_of(case: Case, k: int) -> list[Floats]:
    """What each input has of a sequence, shape (steps, features); a vector is one step."""
    return [np.atleast_2d(each) for each in by_input(embedded(case.model, case.sequences[k]))]


def of_inputs(relevance: Any) -> list[Floats]:
    return [np.atleast_1d(each) for each in by_input(relevance)]


@st.composite
def hidden(draw: st.DrawFn) -> tuple[Case, Groups, Baseline]:
    """A problem, what is hidden as one at each of its inputs, and what is put there."""
    case = draw(EVERY_CASE)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups, baselines = [], []
    samples = draw(st.integers(1, 3))
    for read in case.model.inputs:
        features = None
        if draw(st.booleans()):
            features = rng.integers(0, 3, (1, read.size))
        spans: tuple[slice, ...] = ()
        every = None
        if read.steps:
            every = draw(st.sampled_from([None, 2, 3]))
            if every is None:
                spans = draw(st.sampled_from([(), (slice(1, 3), slice(-1, None)), (slice(None),)]))
        groups.append(InputGroups(spans, every, features=features))
        own = InputBaseline(rng.normal(size=(samples, 1, read.size)))
        baselines.append(draw(st.sampled_from([own, None])))
    return case, Groups("own", tuple(groups)), Baseline("own", tuple(baselines))


def steps_taken_as_one(groups: InputGroups, steps: int) -> list[list[int]]:
    """The steps of a sequence, in the groups that they are in."""
    if groups.every:
        return [
            list(range(first, min(first + groups.every, steps)))
            for first in range(0, steps, groups.every)
        ]
    left = list(range(steps))
    found = []
    for span in groups.spans:
        own = [step for step in range(steps)[span] if step in left]
        left = [step for step in left if step not in own]
        found.append(own)
    return [*found, *([step] for step in left)]


def cells(groups: InputGroups, shape: tuple[int, ...], reach: str) -> list[list[tuple[int, int]]]:
    """The numbers of an input, in the groups that are hidden as one."""
    steps, features = shape
    table = np.arange(features) if reach == "features" else np.zeros(features, dtype=int)
    if groups.features is not None:
        table = groups.features[0]
    return [
        [(step, feature) for step in own for feature in np.flatnonzero(table == number).tolist()]
        for own in steps_taken_as_one(groups, steps)
        for number in range(int(table.max()) + 1)
    ]


@pytest.mark.parametrize("reach", ["features", "steps"])
@property_test
@given(hidden())
def test_groups_share_what_the_score_loses_by_a_baseline(reach: Any, problem: Any) -> None:
    case, groups, baseline = problem
    model, sequences, targets, _, steps = case
    method = made("occlusion", baseline=baseline, groups=groups)
    for k, found in enumerate(explain_by(method, model, sequences, targets, steps, reach)):
        numbers = numbers_of(case, k)
        own = [
            [group for group in cells(each, part.shape, reach) if group]
            for each, part in zip(groups.inputs, numbers, strict=True)
        ]
        expected = [np.zeros(part.shape) for part in numbers]
        for sample in range(baseline.samples):
            fillings = [
                np.broadcast_to(
                    0.0 if (of := baseline.sample(place, sample)) is None else of, part.shape
                )
                for place, part in enumerate(numbers)
            ]
            step = None if steps is None else steps[k]
            lost = shared_losses(model, sequences[k], targets[k], own, fillings, step)
            for total, each in zip(expected, by_input(lost), strict=True):
                total += each / baseline.samples
        for each, wanted in zip(of_inputs(found.relevance), expected, strict=True):
            told = wanted if reach == "features" else wanted.sum(axis=1)
            if each.ndim < told.ndim:
                told = told[0]  # a vector
            np.testing.assert_allclose(each, told, rtol=1e-9, atol=1e-10)


@settings(property_test, max_examples=25)
@given(cases(), st.integers(1, 3), st.booleans())
def test_expected_gradients_are_the_mean_over_samples(
    case: Case, samples: int, whole: bool
) -> None:
    """Relevance is linear in how far each feature moves: moved at random, it is one derivative."""
    [*lengths] = map(len, case.sequences)
    steps = max(lengths)
    case = case._replace(sequences=[each for each in case.sequences if len(each) == steps][:2])
    if not steps:
        return
    model, sequences, targets, _, chosen = case
    size = model.only_input.size
    rng = np.random.default_rng(samples)
    baselines = rng.normal(size=(samples, steps if whole else 1, size))
    method = made(
        "integrated-gradients", steps=3, baseline=Baseline("own", (InputBaseline(baselines),))
    )
    nodes, weights = np.polynomial.legendre.leggauss(3)
    found = explain_by(method, model, sequences, targets[: len(sequences)], chosen)
    for k, each in enumerate(found):
        values, step = embedded(model, sequences[k]), None if chosen is None else chosen[k]
        factors = rng.normal(size=values.shape)
        expected, at_baseline = 0.0, 0.0
        for baseline in baselines:
            start = np.broadcast_to(baseline, values.shape)
            way = values - start
            for node, weight in zip(nodes, weights, strict=True):
                place = start + (node + 1) / 2 * way
                expected += (
                    weight
                    / 2
                    * plain_gradient.derivative(model, place, factors * way, targets[k], step)
                )
            scores = plain_forward.scores_of(model, start)
            at_baseline += scores[targets[k] if step is None else (step, targets[k])]
        sizes = np.abs(each.relevance).sum() + 1.0
        assert abs((factors * each.relevance).sum() - expected / samples) < 1e-9 * sizes
        assert each.ledger is not None
        np.testing.assert_allclose(each.ledger["baseline"], at_baseline / samples, rtol=1e-9)


SUM = make_model(Pool("sum"), classes=2)


class TestOfASum:
    """The scores of a model that adds up its inputs show each setting for what it is."""

    SERIES = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])

    def relevance(self, name: str, reach: Any = "features", **chosen: Any) -> list[Any]:
        [found] = explain_by(made(name, **chosen), SUM, [self.SERIES], [1], reach=reach)
        return found.relevance.tolist()

    def test_samples_are_averaged(self) -> None:
        baseline = Baseline("own", (InputBaseline(np.array([[[0.0, 4.0]], [[0.0, 8.0]]])),))
        for name in ("occlusion", "integrated-gradients"):
            found = self.relevance(name, baseline=baseline)
            np.testing.assert_allclose(found, [[0.0, 4.0], [0.0, 14.0], [0.0, 24.0]])

    def test_a_sample_of_as_many_steps_is_taken_step_by_step(self) -> None:
        baseline = Baseline("own", (InputBaseline(self.SERIES[np.newaxis, ::-1]),))
        for name in ("occlusion", "integrated-gradients"):
            found = self.relevance(name, "steps", baseline=baseline)
            np.testing.assert_allclose(found, [-20.0, 0.0, 20.0], atol=1e-12)

    @pytest.mark.parametrize("name", ["occlusion", "integrated-gradients"])
    def test_a_sample_of_other_steps_is_refused(self, name: str) -> None:
        baseline = Baseline("own", (InputBaseline(np.zeros((1, 2, 2))),))
        with pytest.raises(WrongSteps, match=r"3 steps; the model has a baseline of 2"):
            self.relevance(name, baseline=baseline)

    def test_a_step_is_of_the_first_span_that_has_it(self) -> None:
        for spans, expected in (
            ((slice(1, 3), slice(-1, None)), [10.0, 25.0, 25.0]),
            ((slice(-1, None), slice(1, 3)), [10.0, 20.0, 30.0]),
            ((slice(-2, None), slice(0, 2)), [10.0, 25.0, 25.0]),
        ):
            groups = Groups("own", (InputGroups(spans),))
            found = self.relevance("occlusion", "steps", groups=groups)
            np.testing.assert_allclose(found, expected)

    def test_a_mask_of_steps_and_features_is_of_whole_sequences(self) -> None:
        mask = InputGroups(features=np.array([[0, 1], [0, 1], [0, 2]]))
        found = self.relevance("occlusion", groups=Groups("own", (mask,)))
        assert found == [[0.0, 15.0], [0.0, 15.0], [0.0, 30.0]]
        assert self.relevance("occlusion", "steps", groups=Groups("own", (mask,))) == [15, 15, 30]


def test_words_begin_and_end_with_tokens() -> None:
    """Of tokens 0 begins a word, 1 goes on with one, 2 stands alone, and 3 is nothing of these."""
    weights = np.array([[1.0], [2.0], [4.0], [8.0]])
    model = make_model(Embedding(weights), Pool("sum"), classes=1)
    begins, ends = np.array([1, 0, 1, 0], dtype=bool), np.array([0, 0, 1, 0], dtype=bool)
    words = Groups("words", (InputGroups(begins=begins, ends=ends),))
    method = made("occlusion", groups=words)
    sequences = [np.array([1, 1, 0, 3, 2, 3]), np.array([0, 0, 1]), np.array([], dtype=int)]
    found = explain_by(method, model, sequences, [0, 0, 0], reach="steps")
    assert [each.relevance.tolist() for each in found] == [
        [2.0, 2.0, 4.5, 4.5, 4.0, 8.0],
        [1.0, 1.5, 1.5],
        [],
    ]
