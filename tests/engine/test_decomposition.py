"""Contextual decomposition, for models of every shape, and by hand where a model is small."""

from collections.abc import Sequence as Several
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import plain_decomposition
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import in_precision, make_model
from models import PYTORCH, WEATHER, json_lines
from numpy.typing import NDArray
from random_models import Case, cases
from together import run_together

from lstm_lrp_cli.engine import perturbation
from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import Copies
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.decomposition import decompose
from lstm_lrp_cli.engine.forward import Runner, Trace
from lstm_lrp_cli.engine.methods import contextual_decomposition
from lstm_lrp_cli.engine.methods.contextual_decomposition import ContextualDecomposition
from lstm_lrp_cli.engine.parts import Parts, activated, activated_with_bias
from lstm_lrp_cli.engine.records import TOLERANCES, Ledger, Reach
from lstm_lrp_cli.explaining.windows import Carried, run_batch
from lstm_lrp_cli.inputs.batching import make_batch
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.inputs.tokens import SKIPPED
from lstm_lrp_cli.model import Booleans, Floats
from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Dense,
    Embedding,
    Merge,
    Node,
    Pool,
    Reverse,
    StepSoftmax,
)
from lstm_lrp_cli.model.model import Head, Input, Model, chain
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from lstm_lrp_cli.model.text import Padding

SINGLE = ContextualDecomposition()

property_test = settings(max_examples=50, deadline=None, derandomize=True, database=None)
# Of the first kinds of layer, or with recurrent ones of every kind.
EVERY_CASE = cases() | cases(families=["recurrent"])
each_reach = pytest.mark.parametrize("reach", get_args(Reach))
spans = st.builds(slice, *[st.none() | st.integers(-10, 10)] * 2)


class Found(NamedTuple):
    """The relevance of one sequence as it was given, and its ledger."""

    relevance: Floats
    ledger: Ledger


def explained(
    method: ContextualDecomposition,
    model: Model,
    sequences: Several[NDArray[Any]],
    targets: Several[int],
    steps: Several[int] | None = None,
    reach: Reach = "steps",
) -> list[Found]:
    """Explain sequences that are all run together, in the order given."""
    kind = model.dtype if model.only_input.embedding is None else np.dtype(np.intp)
    given = [Sequence(k, inputs.astype(kind)) for k, inputs in enumerate(sequences)]
    batch = make_batch(given, model)
    order = [sequence.number for sequence in batch.sequences]
    trace, rows = run_batch(Runner(model), batch, Carried(model)), None
    if steps is not None:
        assert trace.steps is not None
        rows, _ = batch.steps_of(trace.steps).find(np.array([steps[k] for k in order]))
    chosen = Chosen(np.array([targets[k] for k in order]), rows)
    result = method.explain(trace, chosen, reach)
    assert result.ledgers is not None
    [packed] = batch.packed
    of_sequences = map(Found, packed.per_sequence(result.values[0]), result.ledgers)
    found = dict(zip(order, of_sequences, strict=True))
    return [found[k] for k in range(len(sequences))]


def explain(method: ContextualDecomposition, case: Case, reach: Reach = "steps") -> list[Found]:
    model, sequences, targets, _, steps = case
    return explained(method, model, sequences, targets, steps, reach)


def relevances(model: Model, *steps: Several[float], reach: Reach = "steps") -> list[Any]:
    """The relevance of one sequence's steps or features for a model's only score."""
    [found] = explained(SINGLE, model, [np.array(steps, dtype=float)], [0], reach=reach)
    rounded: list[Any] = found.relevance.round(12).tolist()
    return rounded


def assert_alike(found: Several[Found], expected: Several[Found]) -> None:
    """The largest gap may be that of another token: so of ledgers only the score is compared."""
    for one, other in zip(found, expected, strict=True):
        scale = max(np.abs(other.relevance).max(initial=0.0), abs(other.ledger.score))
        np.testing.assert_allclose(one.relevance, other.relevance, rtol=0, atol=1e-10 * scale)
        assert abs(one.ledger.score - other.ledger.score) <= 1e-10 * scale


class TestActivations:
    def test_are_split_by_both_orders_of_their_terms(self) -> None:
        """relu(2) - relu(0) = 2, and relu(-1) - relu(-3) = 0; together relu(-1) = 0."""
        found = activated(ACTIVATIONS["relu"], Parts(np.array([[2.0]]), np.array([[-3.0]])))
        assert (found.relevant.tolist(), found.irrelevant.tolist()) == ([[1.0]], [[-1.0]])

    def test_give_what_zero_gives_to_the_irrelevant_part(self) -> None:
        found = activated(ACTIVATIONS["softmax"], Parts(np.zeros((1, 4)), np.zeros((1, 4))))
        assert (found.relevant.tolist(), found.irrelevant.tolist()) == ([[0.0] * 4], [[0.25] * 4])

    def test_keep_what_a_bias_gives_alone(self) -> None:
        """relu(1) = 1; 2 adds 2 to it, and -3 nothing to be left of 1, or 3 of relu(3)."""
        bias = np.array([1.0])
        parts = Parts(np.array([[2.0]]), np.array([[-3.0]]))
        found = activated_with_bias("relu", parts, bias, of_bias=bias)
        assert (found.relevant.tolist(), found.irrelevant.tolist()) == ([[1.0]], [[-2.0]])
        assert found.whole.tolist() == [[0.0]]


def unit(*, backward: bool = False, initial_cell: float | None = None) -> Lstm:
    """One unit whose gates are straight lines, 0.2 z + 0.5, and nothing else bends.

    i and f see x alone, g = x + h + 1, o = 0.5.
    """
    cell = LstmCell(
        input=np.array([1.0, 1.0, 1.0, 0.0]).reshape(4, 1, 1),
        recurrent=np.array([0.0, 0.0, 1.0, 0.0]).reshape(4, 1, 1),
        bias=np.array([0.0, 0.0, 1.0, 0.0]).reshape(4, 1),
        backward=backward,
        initial_cell=None if initial_cell is None else np.array([initial_cell]),
    )
    return Lstm((cell,), gate_activation="hard_sigmoid", activation="linear")


class TestByHand:
    """x = 1, 2. i = 0.7, 0.9; f = 0.7, 0.9; g = 2, 3.7; c = 1.4, 4.59; h = 0.7, 2.295."""

    MODEL = make_model(unit(), classes=1)

    def test_a_token_has_what_it_makes_alone_and_with_biases(self) -> None:
        """The first: c = 0.2 * 2 + 0.5 * 2 = 1.4, then 0.5 * 1.4 + 0.5 * 0.7 = 1.05.

        Of f it is kept by the bias alone, 0.5, for 0.4 of it come of the second. The second:
        c = 0.4 * (2 + 1) + 0.5 * (2 + 1) = 2.7. o halves both.
        """
        assert relevances(self.MODEL, [1], [2]) == [0.525, 1.35]

    def test_of_single_features_what_biases_make_alone_is_irrelevant(self) -> None:
        """Less by 0.5 * 1 at the step: c = 0.9, then 0.5 * 0.9 + 0.5 * 0.45; and c = 2.2."""
        assert relevances(self.MODEL, [1], [2], reach="features") == [[0.3375], [1.1]]

    def test_all_tokens_as_one_have_the_whole_score(self) -> None:
        method = ContextualDecomposition(slice(None))
        [found] = explained(method, self.MODEL, [np.array([[1.0], [2.0]])], [0])
        assert found.relevance.tolist() == pytest.approx([2.295 / 2] * 2)
        assert found.ledger["irrelevant"] == pytest.approx(0.0, abs=1e-12)

    def test_the_initial_state_is_irrelevant_and_kept_by_no_token(self) -> None:
        """f * c_0 is irrelevant even in what the token adds to f."""
        model = make_model(unit(initial_cell=10.0), classes=1)
        assert relevances(model, [1], [2]) == [0.525, 1.35]

    def test_a_backward_cell_reads_from_the_end(self) -> None:
        model = make_model(unit(backward=True), classes=1)
        assert relevances(model, [2], [1]) == [1.35, 0.525]

    def test_what_turns_steps_round_turns_the_relevant_ones(self) -> None:
        model = make_model(Reverse(), unit(), classes=1)
        assert relevances(model, [2], [1]) == [1.35, 0.525]

    def test_a_relevant_step_of_which_nothing_arrives_has_what_biases_make_alone(self) -> None:
        """relu(-1) = 0, and so c = 0.5 * 1."""
        model = make_model(Activation("relu"), unit(), classes=1)
        assert relevances(model, [-1]) == [0.25]

    def test_a_bias_of_a_dense_layer_is_irrelevant(self) -> None:
        model = make_model(
            Dense(np.array([[3.0]]), np.array([7.0])), Pool("sum"), Activation("relu"), classes=1
        )
        assert relevances(model, [1], [2]) == [3.0, 6.0]

    def test_a_product_has_what_the_relevant_parts_make_together(self) -> None:
        nodes = (Node(Merge("product"), (MODEL_INPUT, MODEL_INPUT)), Node(Pool("mean"), (0,)))
        model = Model(nodes, (1,), (Head(1),), np.dtype(np.float64), (Input(1),))
        assert relevances(model, [3], [1]) == [4.5, 0.5]

    def test_attention_weights_are_gates(self) -> None:
        """A token has its value times its weight, and nothing of the weights themselves."""
        nodes = (
            *chain(Dense(np.array([[1.0]]), None), StepSoftmax()),
            Node(Merge("gate"), (1, MODEL_INPUT)),
            Node(Pool("sum"), (2,)),
        )
        model = Model(nodes, (3,), (Head(1),), np.dtype(np.float64), (Input(1),))
        weights = np.array([1.0, 3.0]) / 4  # of e^0 and e^ln 3
        expected = (weights * [0.0, np.log(3)]).round(12).tolist()
        assert relevances(model, [0], [np.log(3)]) == expected

    def test_a_maximum_is_that_of_the_step_that_has_it(self) -> None:
        """Of equals that is the first, as in the forward pass."""
        model = make_model(Pool("max"), classes=1)
        assert relevances(model, [1], [4], [4]) == [0.0, 4.0, 0.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_reach
@settings(property_test, max_examples=25)
@given(EVERY_CASE)
def test_both_parts_are_the_score(reach: Reach, dtype: str, case: Case) -> None:
    case = case._replace(model=in_precision(case.model, dtype))
    for found in explain(SINGLE, case, reach):
        assert found.relevance.dtype == dtype
        assert found.ledger.relative_residual <= TOLERANCES[np.dtype(dtype)]


@settings(property_test, max_examples=30)
@given(EVERY_CASE)
def test_tokens_are_those_of_the_plain_version(case: Case) -> None:
    for k, found in enumerate(explain(SINGLE, case)):
        sequence = case.sequences[k]
        plain = [
            plain_decomposition.decompose(case.model, sequence, [t]) for t in range(len(sequence))
        ]
        expected = np.array([chosen_of(case, k, parts.relevant) for parts in plain])
        assert_near(found, expected, plain)


@settings(property_test, max_examples=20)
@given(EVERY_CASE)
def test_features_are_those_of_the_plain_version(case: Case) -> None:
    for k, found in enumerate(explain(SINGLE, case, "features")):
        sequence = case.sequences[k]
        plain = [
            plain_decomposition.decompose_entry(case.model, sequence, *entry)
            for entry in np.ndindex(found.relevance.shape)
        ]
        of_entries = [chosen_of(case, k, parts.relevant) for parts in plain]
        assert_near(found, np.reshape(of_entries, found.relevance.shape), plain)


@property_test
@given(EVERY_CASE, spans)
def test_spans_are_those_of_the_plain_version(case: Case, span: slice) -> None:
    for k, found in enumerate(explain(ContextualDecomposition(span), case)):
        sequence = case.sequences[k]
        positions = range(len(sequence))[span]
        plain = plain_decomposition.decompose(case.model, sequence, positions)
        scale = max(np.abs(plain.relevant).max(), np.abs(plain.irrelevant).max())
        for share in ("relevant", "irrelevant"):
            expected = chosen_of(case, k, getattr(plain, share))
            assert abs(found.ledger[share] - expected) <= 1e-10 * scale


def chosen_of(case: Case, k: int, scores: Floats) -> float:
    """The explained one of a sequence's scores, or of its step's."""
    return float((scores if case.steps is None else scores[case.steps[k]])[case.targets[k]])


def assert_near(found: Found, expected: Floats, plain: Several[plain_decomposition.Parts]) -> None:
    """Compare with what was expected, relative to the largest part of any score."""
    largest = max((np.abs(part).max() for parts in plain for part in parts), default=0.0)
    np.testing.assert_allclose(found.relevance, expected, rtol=0, atol=1e-10 * largest)


@property_test
@given(EVERY_CASE, st.data())
def test_both_parts_of_all_scores_are_the_scores_for_any_choice(
    case: Case, data: st.DataObject
) -> None:
    """Several steps or entries, anywhere; one sequence several times, or not at all."""
    trace, _ = run_together(case.model, case.sequences)
    of = data.draw(st.lists(st.integers(0, len(case.sequences) - 1), min_size=1, max_size=6))
    some = copied(sorted(of))
    [given] = trace.given
    rows = some.of(given.packing).packing.rows
    shape = data.draw(st.sampled_from([(rows,), (rows, given.features)]))
    chance = data.draw(st.floats(0.1, 0.9))
    relevant = np.random.default_rng(data.draw(st.integers(0, 99))).random(shape) < chance
    parts = decompose(trace, some, [relevant])
    of_copies = some.sequences if trace.steps is None else some.of(trace.steps).rows
    expected = trace.scores[of_copies]
    scale = np.maximum(np.abs(expected), np.abs(parts.relevant) + np.abs(parts.irrelevant))
    assert np.all(np.abs(parts.whole - expected) <= 1e-10 * scale)


@settings(property_test, max_examples=25)
@given(EVERY_CASE)
def test_nothing_relevant_gives_exactly_nothing(case: Case) -> None:
    trace, _ = run_together(case.model, case.sequences)
    some = copied(range(len(case.sequences)))
    [given] = trace.given
    rows = given.packing.rows
    for shape in [(rows,), (rows, given.features), None]:
        parts = decompose(trace, some, [shape and np.zeros(shape, dtype=bool)])
        assert not parts.relevant.any()
        largest = np.abs(trace.scores).max()
        np.testing.assert_allclose(parts.irrelevant, trace.scores, rtol=0, atol=1e-10 * largest)


def copied(sequences: Several[int]) -> Copies:
    of = np.array(sequences)
    return Copies(np.arange(len(of)), of)


@each_reach
@settings(property_test, max_examples=20)
@given(EVERY_CASE)
def test_a_sequence_is_explained_alike_alone_and_in_a_batch(reach: Reach, case: Case) -> None:
    alone = []
    for k, (sequence, target) in enumerate(zip(case.sequences, case.targets, strict=True)):
        step = None if case.steps is None else [case.steps[k]]
        alone += explained(SINGLE, case.model, [sequence], [target], step, reach)
    assert_alike(explain(SINGLE, case, reach), alone)


@each_reach
@settings(property_test, max_examples=20)
@given(EVERY_CASE)
def test_copies_are_decomposed_alike_however_few_at_a_time(reach: Reach, case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(perturbation, "COPIES_BYTES", 1)
        few = explain(SINGLE, case, reach)
    assert_alike(few, explain(SINGLE, case, reach))


@pytest.mark.parametrize("worst", [0, 1, 2])
def test_the_ledger_is_of_the_token_whose_parts_miss_the_score_most(
    monkeypatch: pytest.MonkeyPatch, worst: int
) -> None:
    """A part that is wrong by 1/16 at one token, and by 1/1024 at the others."""

    def wrong(trace: Trace, some: Copies, relevant: list[Booleans | None]) -> Parts:
        parts = decompose(trace, some, relevant)
        errors = np.where(some.numbers == worst, 1 / 16, 1 / 1024)[:, np.newaxis]
        return Parts(parts.relevant + errors, parts.irrelevant)

    monkeypatch.setattr(contextual_decomposition, "decompose", wrong)
    model = make_model(unit(), classes=1)
    [found] = explained(SINGLE, model, [np.array([[1.0], [2.0], [1.5]])], [0])
    assert found.ledger.residual == pytest.approx(-1 / 16)
    assert found.ledger["relevant"] == pytest.approx(found.relevance[worst])


class TestSpans:
    @property_test
    @given(EVERY_CASE, st.integers(0, 8))
    def test_of_one_token_are_that_token(self, case: Case, step: int) -> None:
        span = ContextualDecomposition(slice(step, step + 1))
        for found, single in zip(explain(span, case), explain(SINGLE, case), strict=True):
            expected = np.where(np.arange(len(single.relevance)) == step, single.relevance, 0.0)
            scale = max(abs(single.ledger.score), np.abs(expected).max(initial=0.0))
            np.testing.assert_allclose(found.relevance, expected, rtol=0, atol=1e-10 * scale)

    @property_test
    @given(EVERY_CASE, spans)
    def test_are_spread_evenly_and_their_parts_are_the_score(self, case: Case, span: slice) -> None:
        for found in explain(ContextualDecomposition(span), case):
            ledger, within = found.ledger, found.relevance[span]
            assert ledger.relative_residual <= 1e-10
            assert len(set(within.tolist())) <= 1
            assert within.sum() == pytest.approx(ledger["relevant"] if len(within) else 0.0)
            assert np.count_nonzero(found.relevance) in (0, len(within))
            if not len(within):
                assert ledger["relevant"] == 0.0

    @property_test
    @given(
        st.lists(st.lists(st.sampled_from([SKIPPED, 1, 2]), max_size=7), min_size=1, max_size=4),
        spans,
        st.sampled_from(["pre", "post"]),
        st.integers(0, 9),
    )
    def test_count_the_tokens_that_the_model_is_run_on(
        self, ids: list[list[int]], span: slice, side: Literal["pre", "post"], length: int
    ) -> None:
        """Neither those that are left out count, nor padding."""
        values = np.array([100.0, 1.0, 2.0])
        layers = Embedding(values[:, np.newaxis]), Pool("sum")
        model = make_model(*layers, classes=1, padding=Padding(side, length, value=0))
        sequences = [np.array(each, dtype=np.intp) for each in ids]
        method = ContextualDecomposition(span)
        for found, tokens in zip(
            explained(method, model, sequences, [0] * len(ids)), sequences, strict=True
        ):
            real = np.flatnonzero(tokens != SKIPPED)
            within = real[span]
            total = values[tokens[within]].sum()
            assert found.ledger["relevant"] == total
            expected = np.where(tokens == SKIPPED, np.nan, 0.0)
            expected[within] = total / max(len(within), 1)
            np.testing.assert_allclose(found.relevance, expected)

    def test_are_told_of_by_the_command(self, run, tmp_path) -> None:
        text = tmp_path / "in.txt"
        text.write_text("an entirely charming film\n", "utf-8")
        arguments = ("explain", PYTORCH.model, text, "--method", "contextual-decomposition")
        arguments = (*arguments, "--span", "-2:", "--format", "jsonl", "--report", "-")
        result = run(*arguments)
        [found] = json_lines(result.stdout)
        first, second, *both = found["relevance"]
        assert (first, second) == (0.0, 0.0)
        assert both[0] == both[1] != 0.0
        assert sum(both) == pytest.approx(found["ledger"]["relevant"])
        assert "span -2:" in result.stderr

    def test_are_of_whole_steps_alone(self, run) -> None:
        method = ("--method", "contextual-decomposition", "--span", "0:2")
        result = run("explain", WEATHER.model, WEATHER.sequences, *method)
        assert result.exit_code == 2
        told = "contextual-decomposition with a span tells of whole steps alone"
        assert f"{told}; it needs --by step" in " ".join(result.stderr.split())

    @pytest.mark.parametrize("far", ["9" * 30, "-" + "9" * 30])
    def test_may_reach_further_than_arrays_count(self, run, far) -> None:
        def told(span: str) -> str:
            arguments = ("--method", "contextual-decomposition", "--span", span, "-q")
            return run("explain", PYTORCH.model, PYTORCH.sequences, *arguments).stdout

        assert told(f"1:{far}" if far[0] != "-" else f"{far}:4") == told(
            "1:" if far[0] != "-" else ":4"
        )
