"""Methods are compared as loops over single sequences would compare them."""

import dataclasses
from statistics import mean

import numpy as np
import plain_lrp
import pytest
from made_models import make_model
from models import with_input
from msgspec.structs import replace
from plain_evaluation import rank_correlation, scores_as_steps_go, scores_of

from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.evaluate import Contestant, Experiment
from lstm_lrp_cli.evaluate import evaluate as evaluating
from lstm_lrp_cli.evaluate.evaluate import evaluate
from lstm_lrp_cli.explaining import windows as corpus
from lstm_lrp_cli.explaining.question import Question
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.model.layers import Dense, Embedding, Pool
from lstm_lrp_cli.model.model import Head
from lstm_lrp_cli.model.text import Padding

EXPERIMENT = Experiment(deletions=4, least_steps=3, draws=2)
PADDED = 7


@pytest.fixture
def load(small):
    """Load the small model, which a test may change before."""
    return lambda: load_model(small.save(), None, np.dtype(np.float64)).model


@pytest.fixture
def model(load):
    return load()


def contestants(*names, seeds=1):
    found = []
    for name in names:
        count = seeds if name == "random" else 1
        methods = tuple(METHODS[name](Settings(seed=seed)) for seed in range(count))
        found.append(Contestant(name, methods))
    return tuple(found)


def sequences(count=40, classes=3, tokens=5):
    """Of 1 to 8 tokens, with a true class each."""
    rng = np.random.default_rng(3)
    for number in range(count):
        ids = rng.integers(0, tokens, rng.integers(1, 9))
        yield Sequence(number, ids, gold=int(rng.integers(classes)))


def judged(model, *names, target="gold", experiment=EXPERIMENT, given=None, seeds=1):
    return evaluate(
        model,
        sequences() if given is None else given,
        contestants(*names, seeds=seeds),
        experiment,
        Question(target),
    )


class Plainly:
    """The same model and sequences, by loops; padded in front to a length, where there is one."""

    def __init__(self, model, padded=0):
        self.model, self.padded = model, padded
        self.long = [each for each in sequences() if len(each) >= EXPERIMENT.least_steps]

    def values(self, sequence):
        """What the model reads, and how much of it is padding."""
        weights = self.model.only_input.embedding.weights
        missing = max(self.padded - len(sequence), 0)
        return weights[[0] * missing + sequence.inputs.tolist()], missing

    def relevance(self, sequence, target):
        values, missing = self.values(sequence)
        numeric = with_input(self.model, embedding=None)
        found = plain_lrp.explain(numeric, values, target, eps=1e-3, bias_factor=0.0)
        return found.relevance.sum(axis=1)[missing:].tolist()

    def right(self, sequence):
        return int(scores_of(self.model, self.values(sequence)[0]).argmax()) == sequence.gold

    def curves(self, wanted, **order):
        """The mean score of the true class, and the accuracy, of the sequences that are wanted."""
        kept = [each for each in self.long if self.right(each) == wanted]
        assert len(kept) > 5
        found = []
        for sequence in kept:
            values, missing = self.values(sequence)
            relevance = self.relevance(sequence, sequence.gold)
            found.append(
                scores_as_steps_go(
                    self.model, values, relevance, EXPERIMENT.deletions, padding=missing, **order
                )
            )
        golds = [sequence.gold for sequence in kept]
        score = np.mean([each[:, gold] for each, gold in zip(found, golds, strict=True)], axis=0)
        accuracy = np.mean(
            [each.argmax(axis=1) == gold for each, gold in zip(found, golds, strict=True)], axis=0
        )
        return score, accuracy


ORDERS = {
    ("deletion", "right"): {},
    ("deletion", "wrong"): {"least_first": True},
    ("insertion", "right"): {"insert": True},
}


@pytest.mark.parametrize("padded", [0, PADDED])
def test_curves_are_those_of_plain_loops(model, padded):
    if padded:
        model = with_input(model, padding=Padding(length=padded, side="pre", value=0, masked=False))
    found = judged(model, "lrp-all")
    plainly = Plainly(model, padded)
    assert {(each.perturbation.what, each.perturbation.group) for each in found.curves} == set(
        ORDERS
    )
    for curves in found.curves:
        perturbation = curves.perturbation
        order = ORDERS[perturbation.what, perturbation.group]
        score, accuracy = plainly.curves(perturbation.group == "right", **order)
        np.testing.assert_allclose(curves.score["lrp-all"].mean, score, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(curves.predicted["lrp-all"].mean, accuracy)


def test_what_is_too_short_is_left_out_and_counted(model):
    found = judged(model, "lrp-all")
    lengths = [len(each) for each in sequences()]
    assert found.left_out == sum(length < 3 for length in lengths) > 0
    assert found.steps == sum(length for length in lengths if length >= 3)
    assert found.sequences + found.left_out == len(lengths)
    starts = {(c.perturbation.what, c.perturbation.group): c.sequences for c in found.curves}
    assert starts["deletion", "right"] + starts["deletion", "wrong"] == found.sequences


def test_tokens_that_the_mask_skips_are_no_steps(model):
    model = with_input(model, padding=Padding(length=0, side="pre", value=4, masked=True))
    given = [Sequence(0, np.array([4, 1, 4, 2])), Sequence(1, np.array([1, 4, 2, 3]))]
    found = judged(model, "lrp-all", target="predicted", given=given)
    assert (found.sequences, found.steps, found.left_out) == (1, 3, 1)


def test_the_class_that_is_predicted_stays_so_until_something_is_deleted(model):
    found = judged(model, "lrp-all", target="predicted")
    by_kind = {each.perturbation.what: each for each in found.curves}
    assert by_kind["deletion"].predicted["lrp-all"].mean[0] == 1.0
    assert by_kind["deletion"].sequences == by_kind["insertion"].sequences == found.sequences


def test_deleting_all_is_where_insertion_begins(model):
    given = [each for each in sequences() if len(each) <= EXPERIMENT.deletions]
    found = judged(model, "lrp-all", "gradient", target=1, given=given)
    deletion, insertion = found.curves
    for kind in ("score", "predicted"):
        gone, whole = getattr(deletion, kind), getattr(insertion, kind)
        for name in ("lrp-all", "gradient"):
            assert gone[name].mean[-1] == pytest.approx(whole["gradient"].mean[0], rel=1e-12)
            assert whole[name].mean[-1] == pytest.approx(gone["gradient"].mean[0], rel=1e-12)


def test_a_curve_goes_on_level_where_no_sequence_has_more_steps(model):
    far = judged(
        model, "lrp-all", "random", experiment=dataclasses.replace(EXPERIMENT, deletions=20)
    )
    near = judged(
        model, "lrp-all", "random", experiment=dataclasses.replace(EXPERIMENT, deletions=8)
    )
    for long, short in zip(far.curves, near.curves, strict=True):
        for name in ("lrp-all", "random"):
            values = long.score[name].values
            np.testing.assert_allclose(values[:, :9], short.score[name].values, rtol=1e-12)
            np.testing.assert_array_equal(values[:, 9:], values[:, [8] * 12])


def test_a_single_output_is_judged_like_two_classes(small, load):
    """The score of the other class is the output's negative; so is what speaks for it."""
    weights, bias = small.arrays["V"][:1], small.arrays["c"][:1]
    small.arrays |= {"V": weights, "c": bias}
    names = ("lrp-all", "gradient", "gradient-x-input", "occlusion")
    given = list(sequences(classes=2))
    one = judged(load(), *names, given=given)
    small.arrays |= {"V": np.vstack([-weights, weights]), "c": np.append(-bias, bias)}
    two = judged(load(), *names, given=given)
    for ours, theirs in zip(one.curves, two.curves, strict=True):
        assert ours.sequences == theirs.sequences > 3
        for name in names:
            np.testing.assert_allclose(ours.score[name].mean, theirs.score[name].mean, rtol=1e-9)
            np.testing.assert_array_equal(ours.predicted[name].mean, theirs.predicted[name].mean)
    np.testing.assert_allclose(one.agreement, two.agreement, atol=1e-12)
    assert [one.measures[name].hits for name in names] == [
        two.measures[name].hits for name in names
    ]


def test_of_several_outputs_a_class_is_predicted_among_its_own_alone():
    """As if the output that is explained were the only one."""
    rng = np.random.default_rng(2)
    embedding, weights = Embedding(rng.normal(size=(5, 3))), rng.normal(size=(5, 3))
    both = make_model(embedding, Pool("mean"), Dense(weights, None), classes=5)
    both = replace(both, heads=(Head(2), Head(3)))
    second = make_model(embedding, Pool("mean"), Dense(weights[2:], None), classes=3)
    for target in range(3):
        found = judged(both, "lrp-all", target=2 + target)
        expected = judged(second, "lrp-all", target=target)
        for ours, theirs in zip(numbers(found), numbers(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_of_a_regressor_there_are_scores_alone(small, load):
    small.mapping["task"] = "regression"
    deletion, insertion = judged(load(), "lrp-all", target=2).curves
    assert deletion.predicted == insertion.predicted == {}
    assert np.isfinite(deletion.score["lrp-all"].mean).all()


def test_agreement_is_the_mean_rank_correlation(model):
    """Of the gradient, which has no signs, with the size of what the other gives."""
    plainly = Plainly(model)
    some = plainly.long[:9]
    found = judged(model, "lrp-all", "occlusion", "gradient", given=some).agreement
    lrp, effects, sizes = [], [], []
    for each in some:
        values, _ = plainly.values(each)
        lrp.append(plainly.relevance(each, each.gold))
        score = scores_of(model, values)[each.gold]
        alone = [score - scores_of(model, without(values, t))[each.gold] for t in range(len(each))]
        effects.append(alone)
        sizes.append([abs(value) for value in lrp[-1]])
    expected = mean(map(rank_correlation, lrp, effects))
    assert found[0, 1] == found[1, 0] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(np.diag(found), 1.0)
    gradients = squares(model, some)
    assert found[0, 2] == pytest.approx(mean(map(rank_correlation, sizes, gradients)), rel=1e-6)


def without(values, step):
    changed = values.copy()
    changed[step] = 0.0
    return changed


def squares(model, long):
    """The squared gradient of each step, by differences."""
    found = []
    for each in long:
        values = model.only_input.embedding.weights[each.inputs]
        of_steps = []
        for step in range(len(values)):
            total = 0.0
            for feature in range(values.shape[1]):
                ends = []
                for move in (1e-6, -1e-6):
                    changed = values.copy()
                    changed[step, feature] += move
                    ends.append(scores_of(model, changed)[each.gold])
                total += ((ends[0] - ends[1]) / 2e-6) ** 2
            of_steps.append(total)
        found.append(of_steps)
    return found


def test_occlusion_always_names_the_step_that_matters_most(model):
    found = judged(model, "occlusion", "lrp-all", "random", seeds=3)
    assert found.measures["occlusion"].hits == 1.0
    assert 0.0 < found.measures["random"].hits < found.measures["lrp-all"].hits < 1.0


def test_the_most_relevant_step_is_looked_for_as_loops_would(model):
    plainly = Plainly(model)
    hits = 0
    for each in plainly.long:
        values, _ = plainly.values(each)
        left = [scores_of(model, without(values, step))[each.gold] for step in range(len(each))]
        hits += np.argmax(plainly.relevance(each, each.gold)) == np.argmin(left)
    assert judged(model, "lrp-all").measures["lrp-all"].hits == hits / len(plainly.long)


def test_what_has_no_signs_is_to_find_the_largest_change_whichever_way(model):
    plainly = Plainly(model)
    found, rises = 0, 0
    for each, squared in zip(plainly.long, squares(model, plainly.long), strict=True):
        values, _ = plainly.values(each)
        score = scores_of(model, values)[each.gold]
        effects = [
            score - scores_of(model, without(values, t))[each.gold] for t in range(len(each))
        ]
        largest = np.argmax(np.abs(effects))
        found += np.argmax(squared) == largest
        rises += effects[largest] < 0
    assert rises
    hits = judged(model, "gradient").measures["gradient"].hits
    assert hits == pytest.approx(found / len(plainly.long))


def numbers(evaluation):
    """All that does not depend on the clock."""
    for curves in evaluation.curves:
        for kind in (curves.score, curves.predicted):
            yield from (curve.values for curve in kind.values())
    yield evaluation.agreement
    for measures in evaluation.measures.values():
        yield np.array([measures.hits, measures.sensitivity])


def test_windows_and_batches_do_not_matter(model, monkeypatch):
    names = ("lrp-all", "gradient", "integrated-gradients", "random")
    whole = judged(model, *names, seeds=2)
    monkeypatch.setattr(corpus, "WINDOW_STEPS", 30)
    monkeypatch.setattr(corpus, "BATCH_SEQUENCES", 3)
    for together, apart in zip(
        numbers(whole), numbers(judged(model, *names, seeds=2)), strict=True
    ):
        np.testing.assert_allclose(together, apart, rtol=1e-9, atol=1e-12)


class TestRandom:
    def test_has_a_curve_for_each_seed_and_their_spread(self, model):
        found = judged(model, "random", seeds=4)
        for curves in found.curves:
            curve = curves.score["random"]
            assert curve.values.shape == (4, 5)
            np.testing.assert_allclose(curve.spread, curve.values.std(axis=0, ddof=1))
            assert curve.area_spread == pytest.approx(np.std(curve.values.mean(axis=1), ddof=1))
            assert curve.area_spread > 0

    def test_the_same_seed_gives_the_same(self, model):
        both = [judged(model, "random", seeds=2) for _ in range(2)]
        for first, second in zip(*map(numbers, both), strict=True):
            np.testing.assert_array_equal(first, second)


class TestSensitivity:
    @pytest.fixture
    def linear(self):
        """A mean of steps and a linear map: the gradient is the same everywhere."""
        rng = np.random.default_rng(1)
        weights = Embedding(rng.normal(size=(5, 3))), Dense(rng.normal(size=(3, 3)), None)
        return make_model(weights[0], Pool("mean"), weights[1], classes=3)

    def test_of_what_does_not_depend_on_the_input_is_none(self, linear):
        assert judged(linear, "gradient").measures["gradient"].sensitivity == pytest.approx(
            0.0, abs=1e-12
        )

    def test_of_a_linear_model_is_that_of_its_input(self, linear):
        """Gradient x input is w . x of a step, and so is its change that of the noise."""
        experiment = dataclasses.replace(EXPERIMENT, radius=0.3, seed=8)
        found = judged(linear, "gradient-x-input", experiment=experiment)
        weights = linear.nodes[1].layer.weights
        expected = []
        for each in Plainly(linear).long:
            values = linear.only_input.embedding.weights[each.inputs]
            size = np.sqrt(np.mean(values**2))
            changes = []
            for draw in range(experiment.draws):
                rng = np.random.default_rng((experiment.seed, draw, each.number))
                noise = 0.3 * size * rng.uniform(-1, 1, values.shape)
                changes.append(np.linalg.norm(noise @ weights[each.gold]))
            expected.append(max(changes) / np.linalg.norm(values @ weights[each.gold]))
        assert found.measures["gradient-x-input"].sensitivity == pytest.approx(mean(expected))

    def test_grows_with_the_radius(self, model):
        changes = [
            judged(model, "lrp-all", experiment=dataclasses.replace(EXPERIMENT, radius=radius))
            .measures["lrp-all"]
            .sensitivity
            for radius in (1e-9, 1e-3, 1e-1)
        ]
        assert changes == sorted(changes)
        assert changes[0] < 1e-5 < changes[-1]

    def test_sees_the_same_padding(self, model):
        """Omission pads anew what it shortens, and does so with the padding token's embedding."""
        padding = Padding(length=PADDED, side="pre", value=3, masked=False)
        found = judged(
            with_input(model, padding=padding),
            "omission",
            experiment=dataclasses.replace(EXPERIMENT, radius=1e-9),
        )
        assert found.measures["omission"].sensitivity < 1e-5

    def test_is_left_out_without_draws(self, model):
        found = judged(model, "lrp-all", experiment=dataclasses.replace(EXPERIMENT, draws=0))
        assert found.measures["lrp-all"].sensitivity is None


def test_time_is_told_of_each_method(model):
    """What runs the model once for every step takes longer than what reads its forward pass."""
    given = [Sequence(number, np.arange(60) % 5, gold=0) for number in range(60)]
    found = judged(model, "random", "occlusion", given=given)
    assert 0 < found.measures["random"].seconds < found.measures["occlusion"].seconds
    assert found.forward_seconds > 0


def test_the_time_of_several_seeds_is_that_of_one(model, monkeypatch):
    """By a clock that goes on by one each time that it is looked at."""
    monkeypatch.setattr(evaluating, "process_time", iter(range(10**6)).__next__)
    found = judged(model, "lrp-all", "random", seeds=4)
    seconds = [found.measures[name].seconds for name in ("lrp-all", "random")]
    assert seconds == pytest.approx([1000 / found.steps, 1000 / 4 / found.steps])


def test_progress_is_told_within_a_batch(model):
    told = []
    names = contestants("lrp-all", "random")
    found = evaluate(model, sequences(), names, EXPERIMENT, Question("gold"), told.append)
    assert told == sorted(told)
    assert told[0] < found.sequences == told[-1]
    assert len(told) == 2 * (1 + 3 + EXPERIMENT.draws)
