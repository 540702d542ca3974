"""`target="A-B"`: what it names, which sequences it is of which classes, and what it is called."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model
from msgspec.structs import replace

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput, WrongUsage
from lstm_lrp_cli.explaining.difference import Difference, difference_name
from lstm_lrp_cli.explaining.question import Question, resolve_target
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.layers import Dense, Pool
from lstm_lrp_cli.model.model import Head, Model

RNG = np.random.default_rng(6)
# All but those whose relevance has no sign.
METHODS = (
    "lrp-all,lrp-half,lrp-prop,lrp-abs,gradient-x-input,integrated-gradients,occlusion,omission,"
    "contextual-decomposition,random"
)
FEATURES = ("a", "b")


def model_of(*labels: str, classes: int | None = None, **settings) -> Model:
    """Of numbers, with an output for every label."""
    count = classes or len(labels)
    weights = Dense(RNG.normal(size=(count, 2)), RNG.normal(size=count))
    return make_model(weights, Pool("mean"), classes=count, labels=labels or None, **settings)


def sequences_of(*golds: int | None) -> list[Sequence]:
    rng = np.random.default_rng(8)
    return [
        Sequence(number, rng.normal(size=(2 + number % 3, 2)), features=FEATURES, gold=gold)
        for number, gold in enumerate(golds)
    ]


class TestNames:
    @pytest.mark.parametrize(
        ("target", "sides"),
        [
            ("poor-good", (0, 2)),
            ("2-0", (2, 0)),
            ("good-1", (2, 1)),
            (" poor - fair ", (0, 1)),
            ("predicted-second", ("predicted", "second")),
            ("gold-poor", ("gold", 0)),
            ("1-predicted", (1, "predicted")),
        ],
    )
    def test_labels_numbers_and_words(self, target, sides):
        assert resolve_target(target, model_of("poor", "fair", "good")) == Difference(*sides)

    def test_a_label_with_the_sign_is_read_as_a_whole_first(self):
        model = model_of("a", "b", "a-b", "0-4", "5-9")
        assert resolve_target("a-b", model) == 2
        assert resolve_target("a - b", model) == Difference(0, 1)
        assert resolve_target("0-4", model) == 3
        assert resolve_target("0-4-5-9", model) == Difference(3, 4)
        assert resolve_target("a-b-a", model) == Difference(2, 0)

    def test_a_label_wins_over_a_word_and_a_number(self):
        model = model_of("second", "predicted", "0")
        assert resolve_target("predicted-second", model) == Difference(1, 0)
        assert resolve_target("0-1", model) == Difference(2, 1)

    def test_what_may_be_two_things_is_an_error_that_names_both(self):
        model = model_of("x", "y-z", "x-y", "z")
        with pytest.raises(WrongUsage) as error:
            resolve_target("x-y-z", model)
        assert error.value.problem == (
            "'x-y-z' may be 'x - y-z' or 'x-y - z'; write the one that is meant."
        )
        assert resolve_target("x - y-z", model) == Difference(0, 1)
        assert resolve_target("x-y - z", model) == Difference(2, 3)

    @pytest.mark.parametrize(
        ("target", "problem"),
        [
            ("poor-poor", "'poor-poor' has the same score on both sides"),
            ("0-poor", "'0-poor' has the same score on both sides"),
            ("second-second", "the same score on both sides"),
            ("poor-nice", "there is no class 'nice', as in 'poor-nice'; the model has 3"),
            ("3-0", "there is no class '3', as in '3-0'"),
            ("all-0", "there is no class 'all', as in 'all-0'"),
            ("-1", "there is no class '-1'; the model has 3"),
            ("a-b-c", "there is no class 'a-b-c'; the model has 3"),
        ],
    )
    def test_what_is_no_difference(self, target, problem):
        with pytest.raises(WrongUsage, match=problem):
            resolve_target(target, model_of("poor", "fair", "good"))

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(
        labels=st.lists(st.text("ab01- ", min_size=1, max_size=5), min_size=2, unique=True),
        data=st.data(),
    )
    def test_what_it_is_called_is_never_read_as_something_else(self, labels, data):
        model = model_of(*labels)
        plus, minus = data.draw(st.permutations(range(len(labels))))[:2]
        name = difference_name(plus, minus, model)
        try:
            assert resolve_target(name, model) == Difference(plus, minus)
        except WrongUsage:  # but it may be none at all, where labels begin or end with spaces
            assert any(label != label.strip() for label in labels)

    def test_a_class_less_itself_has_a_name_as_well(self):
        assert difference_name(1, 1, model_of("poor", "good")) == "good-good"


@pytest.mark.parametrize("method", METHODS.split(","))
@pytest.mark.parametrize("target", ["good-poor", "0-2"])
def test_explanations_are_those_of_the_one_less_those_of_the_other(method, target):
    model, given = model_of("poor", "fair", "good"), sequences_of(None, None, None, None)
    by = {"by": "step"} if method == "omission" else {}
    plus, minus = target.split("-")
    found = [lrp.explain(model, given, method, target=each, **by) for each in (target, plus, minus)]
    for both, one, other in zip(*found, strict=True):
        names = one.target, other.target
        assert (both.target, both.against_number) == ("-".join(names), other.target_number)
        assert both.target_number == one.target_number
        assert both.score == one.score - other.score
        assert both.score == both.scores[both.target_number] - both.scores[both.against_number]
        np.testing.assert_allclose(
            both.relevance, one.relevance - other.relevance, rtol=0, atol=1e-13
        )
        assert both.predicted == one.predicted
        if both.ledger is not None:
            assert both.ledger.relative_residual < 1e-10 or method == "integrated-gradients"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_words_name_the_classes_of_each_sequence(dtype):
    golds = [0, 1, 2, 2, 0, None]
    model, given = model_of("poor", "fair", "good", dtype=dtype), sequences_of(*golds[:5])
    for target in ("predicted-second", "second-gold", "gold-predicted", "predicted-1"):
        for each in lrp.explain(model, given, target=target):
            order = np.argsort(-each.scores)
            numbers = {
                "predicted": order[0],
                "second": order[1],
                "gold": each.sequence.gold,
                "1": 1,
            }
            plus, minus = (int(numbers[word]) for word in target.split("-"))
            assert (each.target_number, each.against_number) == (plus, minus)
            assert each.target == f"{model.labels[plus]}-{model.labels[minus]}"
            difference = np.float64(each.scores[plus]) - np.float64(each.scores[minus])
            assert each.score == difference
            assert abs(each.ledger.relative_residual) < (1e-10 if dtype == "float64" else 1e-3)
            if plus == minus:
                assert not each.relevance.any()
                assert not any(each.ledger.shares.values())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", ["lrp-all:bias_factor=1", "integrated-gradients", "lrp-prop"])
def test_scores_that_are_all_but_equal_leave_rounding_errors_of_both(dtype, method):
    """Which are no sign that relevance is not conserved, though large beside the difference."""
    rng = np.random.default_rng(9)
    layers = (Dense(rng.normal(size=(7, 2)), None), Dense(np.full((3, 7), 1.7), None))
    model = make_model(*layers, Pool("mean"), classes=3, dtype=dtype)
    for each in lrp.explain(model, sequences_of(*[None] * 30), method, target="predicted-second"):
        assert (each.target, each.score) == ("0-1", 0.0)  # the first that is another class
        assert each.ledger.scores_size == 2 * abs(float(each.scores[0]))
        assert each.ledger.relative_residual < (1e-10 if dtype == "float64" else 1e-3)


def test_without_labels_numbers_name_it():
    [each] = lrp.explain(model_of(classes=3), sequences_of(None), target="2-0")
    assert each.target == "2-0"
    assert repr(each).splitlines()[0].endswith(f"2-0 {each.score:+.3f} by lrp-all")


def test_a_true_class_that_is_not_known_is_an_error():
    model = model_of("poor", "good")
    with pytest.raises(UnusableInput, match="has no true class"):
        lrp.explain(model, sequences_of(0, None), target="gold-predicted")


class TestTwoClassesWithOneScore:
    def test_class_0_has_the_negative(self):
        model, given = model_of("poor", "good", classes=1), sequences_of(None, None, None, None)
        for target, factor in (("good-poor", 2.0), ("0-1", -2.0)):
            found, of_score = (lrp.explain(model, given, target=each) for each in (target, 1))
            for both, one in zip(found, of_score, strict=True):
                assert both.score == factor * one.score
                np.testing.assert_allclose(both.relevance, factor * one.relevance, rtol=1e-12)
                assert both.ledger.relative_residual < 1e-10

    def test_the_margin_is_that_of_the_class_that_is_taken(self):
        model = make_model(Dense(np.ones((1, 2)), None), Pool("mean"), classes=1)
        model, given = replace(model, labels=("poor", "good")), sequences_of(*[None] * 6)
        found = lrp.explain(model, given, target="predicted-second")
        assert {each.target for each in found} == {"good-poor", "poor-good"}
        for each in found:
            assert each.target.startswith(each.predicted)
            assert each.score == 2 * abs(each.scores[0])


class TestSeveralOutputs:
    """Three classes, two more, and one score alone."""

    @pytest.fixture
    def model(self):
        heads = (
            Head(3, "softmax", "mood"),
            Head(2, "softmax", "topic"),
            Head(1, "sigmoid", "spam"),
        )
        return replace(model_of(classes=6), heads=heads)

    def test_the_margin_is_one_of_each_that_chooses_among_classes(self, model):
        [given] = sequences_of(None)
        mood, topic = lrp.explain(model, given, target="predicted-second")
        assert (mood.output, topic.output) == ("mood", "topic")
        scores = mood.scores
        assert mood.score == np.sort(scores[:3])[2] - np.sort(scores[:3])[1]
        assert topic.score == abs(scores[3] - scores[4])
        assert {topic.target_number, topic.against_number} == {3, 4}
        assert Question.of(model, "predicted-second", None).targets(model) == 2

    def test_a_word_beside_a_number_is_of_that_ones_output(self, model):
        [each] = lrp.explain(model, sequences_of(None), target="predicted-4")
        assert (each.output, each.against_number) == ("topic", 4)
        assert each.target_number == 3 + int(each.scores[4] > each.scores[3])

    def test_two_numbers_may_be_of_two(self, model):
        [each] = lrp.explain(model, sequences_of(None), target="4-0")
        assert (each.output, each.target) == ("topic", "4-0")
        assert each.score == each.scores[4] - each.scores[0]

    @pytest.mark.parametrize("target", ["predicted-5", "5-second"])
    def test_none_is_chosen_by_one_score_among_others(self, model, target):
        with pytest.raises(WrongUsage, match="does not choose among classes of which each has a"):
            resolve_target(target, model)

    def test_there_is_no_one_true_class(self, model):
        with pytest.raises(WrongUsage, match="several outputs, and no one true class"):
            resolve_target("gold-second", model)


class TestValues:
    @pytest.fixture
    def model(self):
        heads = (Head(1), Head(1))
        return replace(model_of("tomorrow", "later"), heads=heads, regression=True)

    def test_two_can_be_subtracted(self, model):
        [each] = lrp.explain(model, sequences_of(None), target="later-tomorrow")
        assert each.score == each.scores[1] - each.scores[0]
        assert (each.predicted, each.target) == (None, "later-tomorrow")
        assert each.ledger.relative_residual < 1e-10

    @pytest.mark.parametrize("target", ["predicted-second", "predicted-0", "gold-1"])
    def test_none_of_them_is_predicted_as_a_class(self, model, target):
        with pytest.raises(WrongUsage, match="predicts values, and chooses no class, so there is"):
            resolve_target(target, model)

    def test_nor_where_nothing_says_what_they_are(self):
        model = model_of(classes=3, undecided=True)
        with pytest.raises(WrongUsage, match=r"classes or values \(`task` does\), so there is"):
            resolve_target("predicted-second", model)
        assert resolve_target("0-2", model) == Difference(0, 2)

    def test_a_single_one_has_none_to_be_subtracted(self):
        with pytest.raises(WrongUsage, match="there is no score '1', as in '0-1'"):
            resolve_target("0-1", model_of(classes=1, regression=True))


def test_at_every_step_both_are_of_that_step():
    weights = Dense(RNG.normal(size=(3, 2)), RNG.normal(size=3))
    model = make_model(weights, classes=3, by_step=True)
    given = sequences_of(None, None, None)
    found = lrp.explain(model, given, target="predicted-second", step="all")
    assert len(found) == sum(len(each) for each in given)
    for each in found:
        scores = np.sort(each.scores)
        assert each.score == scores[2] - scores[1]
        assert each.score == each.scores[each.target_number] - each.scores[each.against_number]
        # A step's scores are of its own numbers alone.
        others = np.arange(len(each.relevance)) != each.step
        assert not each.relevance[others].any()
        assert each.relevance[each.step].any()
        assert each.ledger.relative_residual < 1e-10
