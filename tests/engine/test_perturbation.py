"""Occlusion, omission and the random control, for models of every shape.

What is expected is told by the plain version, of single sequences changed one by one.
"""

from collections.abc import Sequence as Several
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_models import in_precision, make_model
from msgspec.structs import replace
from numpy.typing import NDArray
from plain_forward import embedded, scores_of
from plain_perturbation import feature_occlusion, occlusion
from random_models import Case, cases

from lstm_lrp_cli.engine import perturbation
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.forward import Given, Runner
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.batching import make_batch, prepare
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Embedding, Flatten, Pool, Reverse
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.text import Padding

OCCLUSION = METHODS["occlusion"](Settings())
OMISSION = METHODS["omission"](Settings())

property_test = settings(max_examples=40, deadline=None, derandomize=True, database=None)
# Of the first kinds of layer, or with recurrent ones of every kind.
EVERY_CASE = cases() | cases(families=["recurrent"])
each_reach = pytest.mark.parametrize("reach", get_args(Reach))


@st.composite
def padded(draw: st.DrawFn) -> Case:
    """Models that are given padding, and sequences that are shorter, as long, or longer."""
    case = draw(cases())
    model, sequences = case.model, case.sequences
    [read] = model.inputs
    of_tokens = read.embedding is not None
    values = st.integers(0, len(read.embedding.weights) - 1) if of_tokens else st.just(0.5)
    flattened = [layer.steps for layer in model.layers if isinstance(layer, Flatten)]
    if flattened:
        sequences = [sequence[: draw(st.integers(0, len(sequence)))] for sequence in sequences]
    padding = Padding(
        side=draw(st.sampled_from(["pre", "post"])),
        length=flattened[0] if flattened else draw(st.integers(0, 12)),
        value=draw(values),
        masked=not flattened and draw(st.integers(0, 3)) == 0,
    )
    return case._replace(model=with_padding(model, padding), sequences=sequences)


def with_padding(model: Model, padding: Padding | None) -> Model:
    return replace(model, inputs=(replace(model.only_input, padding=padding),))


def explained(
    method: Method,
    model: Model,
    sequences: Several[NDArray[Any]],
    targets: Several[int],
    steps: Several[int] | None = None,
    reach: Reach = "steps",
) -> list[Floats]:
    """The relevance of the steps of each sequence, all run together, in the order given."""
    batch = make_batch([Sequence(k, inputs) for k, inputs in enumerate(sequences)], model)
    order = [sequence.number for sequence in batch.sequences]
    [packed], embedding = batch.packed, model.only_input.embedding
    array = packed.array.astype(kind(model))
    trace = Runner(model).forward([Given(array, packed.packing, embedding, packed.padding)])
    rows = None
    if steps is not None:
        assert trace.steps is not None
        rows, _ = batch.steps_of(trace.steps).find(np.array([steps[k] for k in order]))
    chosen = Chosen(np.array([targets[k] for k in order]), rows)
    result = method.explain(trace, chosen, reach)
    assert result.ledgers is None
    found = dict(zip(order, packed.per_sequence(result.values[0]), strict=True))
    return [found[k] for k in range(len(sequences))]


def explain(method: Method, case: Case, reach: Reach = "steps") -> list[Floats]:
    model, sequences, targets, _, steps = case
    return explained(method, model, sequences, targets, steps, reach)


def each_alone(method: Method, case: Case, reach: Reach = "steps") -> list[Floats]:
    """Every sequence in a batch of its own."""
    found: list[Floats] = []
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else [case.steps[k]]
        found += explained(method, case.model, [sequence], [target], step, reach)
    return found


def kind(model: Model) -> Any:
    return model.dtype if model.only_input.embedding is None else np.intp


class Alone:
    """One sequence, padded as its model says, and the plain version of its score."""

    def __init__(self, case: Case, k: int, sequence: NDArray[Any] | None = None) -> None:
        sequence = case.sequences[k] if sequence is None else sequence
        prepared = prepare([sequence], case.model.only_input)
        self.model, self.target = case.model, case.targets[k]
        self.inputs = prepared.inputs
        self.steps = len(sequence)
        # The steps that are run, and where they stand among the padding.
        self.kept, self.own = np.flatnonzero(prepared.kept), np.flatnonzero(~prepared.padding)
        self.step: int | None = None
        self.has_score = True
        if case.steps is not None:
            own: list[int] = self.own.tolist()
            self.has_score = case.steps[k] < len(own)  # else the mask leaves too few steps
            self.step = own[case.steps[k]] if self.has_score else None

    def score(self) -> float:
        if not self.has_score:
            return 0.0
        scores = scores_of(self.model, embedded(self.model, self.inputs))
        return float(scores[self.target] if self.step is None else scores[self.step, self.target])


def occluded(case: Case, k: int, reach: Reach) -> Floats:
    """The score minus that with zeros, step by step, or feature by feature."""
    alone = Alone(case, k)
    shape = embedded(case.model, alone.inputs).shape[1:] if reach == "features" else ()
    lost = np.full((alone.steps, *shape), np.nan)
    lost[alone.kept] = 0.0
    if alone.has_score:
        plainly = occlusion if reach == "steps" else feature_occlusion
        lost[alone.kept] = plainly(case.model, alone.inputs, alone.target, alone.step)[alone.own]
    return lost


def omitted(case: Case, k: int) -> Floats:
    """The score minus that of the sequence without a step, for each that is run."""
    sequence, alone = case.sequences[k], Alone(case, k)
    lost = np.full(alone.steps, np.nan)
    for step in alone.kept:
        shorter = np.delete(sequence, step, axis=0)
        lost[step] = alone.score() - Alone(case, k, shorter).score()
    return lost


def assert_same(found: Floats, expected: Floats, score: float) -> None:
    assert found.shape == expected.shape
    largest = max(abs(score), np.nanmax(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * largest)


@each_reach
@settings(property_test, max_examples=25)
@given(EVERY_CASE | padded())
def test_occlusion_is_what_the_score_loses_by_zeros(reach: Reach, case: Case) -> None:
    for k, found in enumerate(explain(OCCLUSION, case, reach)):
        assert_same(found, occluded(case, k, reach), Alone(case, k).score())


@property_test
@given(EVERY_CASE | padded())
def test_omission_is_what_the_score_loses_by_a_step_less(case: Case) -> None:
    assume(can_lose_a_step(case.model))
    for k, found in enumerate(explain(OMISSION, case)):
        assert_same(found, omitted(case, k), Alone(case, k).score())


def can_lose_a_step(model: Model) -> bool:
    flattens = any(isinstance(layer, Flatten) for layer in model.layers)
    return not model.by_step and not (flattens and model.only_input.padding is None)


@each_reach
@settings(property_test, max_examples=20)
@given(EVERY_CASE | padded())
def test_a_sequence_is_occluded_alike_alone_and_in_a_batch(reach: Reach, case: Case) -> None:
    together = explain(OCCLUSION, case, reach)
    for k, (found, alone) in enumerate(
        zip(together, each_alone(OCCLUSION, case, reach), strict=True)
    ):
        assert_same(found, alone, Alone(case, k).score())


@pytest.mark.parametrize("method", [OCCLUSION, OMISSION], ids=["occlusion", "omission"])
@settings(property_test, max_examples=20)
@given(cases() | padded(), st.integers(0, 4000))
def test_how_many_copies_are_run_at_a_time_does_not_matter(
    method: Method, case: Case, most_bytes: int
) -> None:
    assume(method is OCCLUSION or can_lose_a_step(case.model))
    together = explain(method, case)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(perturbation, "COPIES_BYTES", most_bytes)
        pieces = explain(method, case)
    for k, (found, in_pieces) in enumerate(zip(together, pieces, strict=True)):
        assert_same(found, in_pieces, Alone(case, k).score())


@property_test
@given(EVERY_CASE)
def test_relevance_has_the_precision_of_the_model(case: Case) -> None:
    model = in_precision(case.model, "float32")
    for method in (OCCLUSION, METHODS["random"](Settings())):
        for found in explain(method, case._replace(model=model)):
            assert found.dtype == np.float32


@property_test
@given(padded(), st.sampled_from(["occlusion", "random"]))
def test_padding_has_no_relevance(case: Case, name: str) -> None:
    model = case.model
    batch = make_batch([Sequence(k, inputs) for k, inputs in enumerate(case.sequences)], model)
    [packed] = batch.packed
    assume(packed.padding is not None)
    embedding = model.only_input.embedding
    trace = Runner(model).forward([Given(packed.array, packed.packing, embedding, packed.padding)])
    chosen = Chosen(
        np.zeros(len(batch.sequences), dtype=np.intp),
        packed.find(np.zeros(len(batch.sequences), dtype=np.intp))[0] if model.by_step else None,
    )
    for reach in get_args(Reach):
        found = METHODS[name](Settings()).explain(trace, chosen, reach)
        assert not found.values[0][packed.padding].any()


def test_no_copies_are_made_of_a_sequence_without_the_step_that_is_explained() -> None:
    model = make_model(Embedding(np.eye(3)), Reverse(), classes=3, by_step=True)
    given = Given(np.array([0, 1, 2]), Packing(np.array([2, 1])), model.only_input.embedding)
    trace = Runner(model).forward([given])
    chosen = Chosen(np.zeros(2, dtype=np.intp), np.array([2, -1]))
    [rows] = perturbation.explained_rows(trace, chosen)
    assert rows.tolist() == [0, 2]


SUM = make_model(Embedding(np.arange(6.0).reshape(3, 2)), Pool("sum"), classes=2)


class TestOfASum:
    """The scores of a model that adds up its inputs show each method for what it is."""

    def test_a_step_occluded_or_left_out_takes_away_what_it_added(self) -> None:
        sequence = np.array([2, 0, 1])
        for method in (OCCLUSION, OMISSION):
            [found] = explained(method, SUM, [sequence], [1])
            assert found.tolist() == [5.0, 1.0, 3.0]

    def test_only_the_feature_of_the_score_takes_away_anything(self) -> None:
        [found] = explained(OCCLUSION, SUM, [np.array([2, 0])], [1], reach="features")
        assert found.tolist() == [[0.0, 5.0], [0.0, 1.0]]

    @pytest.mark.parametrize("side", ["pre", "post"])
    def test_padding_stands_where_a_step_is_left_out(self, side: Any) -> None:
        """Token 1 adds 3 to the score, as a step and as padding."""
        model = with_padding(SUM, Padding(side, length=2, value=1))
        short, full, long = np.array([2]), np.array([2, 0]), np.array([2, 0, 1])
        found = explained(OMISSION, model, [short, full, long], [1, 1, 1])
        assert [each.tolist() for each in found] == [[2.0], [2.0, -2.0], [5.0, 1.0, 3.0]]
        found = explained(OCCLUSION, model, [short, full, long], [1, 1, 1])
        assert [each.tolist() for each in found] == [[5.0], [5.0, 1.0], [5.0, 1.0, 3.0]]

    def test_means_change_by_the_number_of_steps_only_where_one_is_left_out(self) -> None:
        model = make_model(Embedding(np.array([[4.0], [2.0]])), Pool("mean"), classes=1)
        [occluded] = explained(OCCLUSION, model, [np.array([0, 1])], [0])
        [omitted] = explained(OMISSION, model, [np.array([0, 1])], [0])
        assert occluded.tolist() == [2.0, 1.0]
        assert omitted.tolist() == [1.0, -1.0]


class TestOmissionIsRefused:
    def test_where_every_step_has_a_score(self) -> None:
        model = make_model(Embedding(np.eye(2)), Reverse(), classes=2, by_step=True)
        with pytest.raises(UnusableInput, match=r"omission: .* a score at every step"):
            explained(OMISSION, model, [np.array([0, 1])], [0], [1])

    @pytest.mark.parametrize("padding", [None, Padding(length=1), Padding(length=2, masked=True)])
    def test_where_so_many_steps_are_needed(self, padding: Padding | None) -> None:
        layers = (Embedding(np.eye(2)), Flatten(2))
        model = make_model(*layers, classes=4, padding=padding)
        with pytest.raises(UnusableInput, match=r"omission: .* just 2 side by side \(flatten\)"):
            explained(OMISSION, model, [np.array([1, 1])], [0])


class TestRandom:
    @staticmethod
    def numbers(
        *sequences: NDArray[Any], seed: int = 0, target: int = 0, model: Model = SUM, **more: Any
    ) -> list[list[float]]:
        """What each sequence is given."""
        method = METHODS["random"](Settings(seed=seed))
        found = explained(method, model, sequences, [target] * len(sequences), **more)
        return [each.tolist() for each in found]

    @each_reach
    @property_test
    @given(EVERY_CASE | padded())
    def test_a_sequence_has_the_same_numbers_alone_and_in_a_batch(
        self, reach: Reach, case: Case
    ) -> None:
        method = METHODS["random"](Settings())
        together = explain(method, case, reach)
        for found, alone in zip(together, each_alone(method, case, reach), strict=True):
            np.testing.assert_array_equal(found, alone)

    @property_test
    @given(padded())
    def test_the_padding_of_a_model_does_not_matter(self, case: Case) -> None:
        method = METHODS["random"](Settings())
        assume(not case.model.only_input.padding.masked and can_lose_a_step(case.model))
        assume(not any(isinstance(layer, Flatten) for layer in case.model.layers))
        bare = case._replace(model=with_padding(case.model, None))
        for found, alone in zip(explain(method, case), explain(method, bare), strict=True):
            np.testing.assert_array_equal(found, alone)

    def test_it_is_another_with_every_seed_target_and_sequence(self) -> None:
        one, other = np.array([0, 1, 2]), np.array([0, 2, 1])
        [[first, *rest], [swapped, *_]] = self.numbers(one, other)
        [[seeded, *_]] = self.numbers(one, seed=1)
        [[targeted, *_]] = self.numbers(one, target=1)
        assert len({first, *rest, swapped, seeded, targeted}) == 6

    def test_it_is_another_for_every_step_that_is_explained(self) -> None:
        model = make_model(Embedding(np.eye(3)), Reverse(), classes=3, by_step=True)
        sequence = np.array([0, 1, 2])
        [[of_last, *_]] = self.numbers(sequence, model=model, steps=[2])
        [[of_first, *_]] = self.numbers(sequence, model=model, steps=[0])
        assert of_last != of_first

    def test_the_precision_of_a_run_does_not_matter(self) -> None:
        model = make_model(Pool("sum"), classes=2)
        series = np.array([[0.1, 0.2], [0.3, 0.4]])
        [found] = self.numbers(series, model=model)
        [rounded] = self.numbers(series, model=in_precision(model, "float32"))
        np.testing.assert_allclose(found, rounded, rtol=1e-6)

    def test_it_is_standard_normal(self) -> None:
        sequences = [np.random.default_rng(k).integers(3, size=50) for k in range(100)]
        numbers = np.array(self.numbers(*sequences, reach="features"))
        assert numbers.shape == (100, 50, 2)
        assert abs(numbers.mean()) < 0.05
        assert abs(numbers.std() - 1) < 0.05
