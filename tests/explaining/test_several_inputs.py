"""Models of several inputs explained: as the plain version has it, whatever is run together."""

import numpy as np
import pytest
from msgspec.structs import replace
from plain_forward import embedded, scores_of
from several import INPUTS, SeveralInputs

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput, WrongUsage
from lstm_lrp_cli.model.layers import Dense, Embedding, Repeat
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell

METHODS = (
    *("lrp-all", "lrp-half", "lrp-prop", "lrp-abs", "gradient", "gradient-x-input"),
    *("integrated-gradients", "occlusion", "contextual-decomposition"),
)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    return SeveralInputs(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def model(several):
    return lrp.load(several.save())


@pytest.fixture(scope="module")
def found(several, model):
    return list(lrp.read(several.lines(), model))


def plain_scores(model, sequence):
    """The scores of one sequence, whose last part is a vector."""
    *steps, vector = (part.inputs for part in sequence.parts)
    return scores_of(model, embedded(model, (*steps, vector[0])))


def test_scores_are_those_of_the_plain_version(model, found):
    for predicted in lrp.predict(model, found):
        expected = plain_scores(model, predicted.sequence)
        np.testing.assert_allclose(predicted.scores, expected, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("by", [None, "step", "dimension"])
def test_what_is_told_does_not_depend_on_what_is_run_together(model, found, method, by):
    together = lrp.explain(model, found, method, target="all", by=by)
    alone = [
        each
        for sequence in found
        for each in lrp.explain(model, [sequence], method, target="all", by=by)
    ]
    assert [each.number for each in together] == [each.number for each in alone]
    for one, other in zip(together, alone, strict=True):
        assert list(one.relevance) == list(INPUTS)
        for name, amounts in one.relevance.items():
            np.testing.assert_allclose(amounts, other.relevance[name], rtol=1e-9, atol=1e-12)


def test_what_is_told_has_the_shape_of_each_input(model, found):
    first = found[0]
    tokens, steps = len(first.tokens), len(first.others[0].inputs)
    for by, shapes in (
        (None, [(tokens,), (steps, 2), (1, 3)]),
        ("token", [(tokens,), (steps, 2), (1, 3)]),
        ("feature", [(tokens,), (steps, 2), (1, 3)]),
        ("dimension", [(tokens, 4), (steps, 2), (1, 3)]),
        ("step", [(tokens,), (steps,), (1,)]),
        (("dimension", "step", "feature"), [(tokens, 4), (steps,), (1, 3)]),
    ):
        [each] = lrp.explain(model, [first], by=by)
        assert [amounts.shape for amounts in each.relevance.values()] == shapes
    with pytest.raises(WrongUsage, match="expected token or dimension or feature or step"):
        lrp.explain(model, [first], by="word")
    for wrong in (("token",), ("step", "step", "step"), ("token", "step", "step", "step")):
        with pytest.raises(WrongUsage, match="expected one for each input"):
            lrp.explain(model, [first], by=wrong)


def test_the_ledgers_tokens_are_those_of_all_inputs(model, found):
    for each in lrp.explain(model, found, "lrp-all,lrp-half,integrated-gradients"):
        total = sum(float(np.nansum(amounts)) for amounts in each.relevance.values())
        assert each.ledger["tokens"] == pytest.approx(total, abs=1e-12)
        steps = each.relevance_of_steps
        assert sum(map(np.sum, steps.values())) == pytest.approx(total, abs=1e-12)


def test_occlusion_is_what_the_score_loses_without_a_number(model, found):
    sequence = found[4]
    [each] = lrp.explain(model, [sequence], "occlusion")
    review, wind, person = sequence.parts
    changed = [part.inputs.copy() for part in (review, wind, person)]
    changed[1][2, 1] = 0.0
    without = replace(sequence, others=(replace(wind, inputs=changed[1]), person))
    target = each.target_number
    lost = plain_scores(model, sequence)[target] - plain_scores(model, without)[target]
    assert each.relevance["wind"][2, 1] == pytest.approx(lost, abs=1e-12)
    changed[2][0, 0] = 0.0
    without = replace(sequence, others=(wind, replace(person, inputs=changed[2])))
    lost = plain_scores(model, sequence)[target] - plain_scores(model, without)[target]
    assert each.relevance["person"][0, 0] == pytest.approx(lost, abs=1e-12)


def test_it_shows_every_input(model, found):
    [each] = lrp.explain(model, found[:1])
    assert each.tokens == {"review": ("the", "film", "is", "bad")}
    assert list(each.features) == ["wind", "person"]
    text, page = repr(each), each._repr_html_()
    for name in INPUTS:
        assert f"\n{name}: " in text
        assert f">{name}</div>" in page


def test_what_tells_of_whole_steps_needs_them(model, found):
    with pytest.raises(WrongUsage, match="it needs `by` step"):
        lrp.explain(model, found, "contextual-decomposition", span=(0, 1))
    with pytest.raises(UnusableInput, match="an input of the model is a vector"):
        lrp.explain(model, found, "omission", by="step")


def test_a_baseline_is_of_an_input(model):
    with pytest.raises(WrongUsage, match=r"that of all inputs .* or NAME=.. for some: review=..."):
        lrp.Explainer(model, "integrated-gradients", baseline="bad")


def decoder(steps: int) -> Model:
    """Tokens are read to one vector, from which so many steps are written, each with scores."""
    from made_models import make_model

    rng = np.random.default_rng(1)

    def lstm(reads: int, returns: str) -> Lstm:
        weights = [rng.normal(size=(4, 3, size)) for size in (reads, 3)]
        return Lstm((LstmCell(*weights, rng.normal(size=(4, 3))),), returns=returns)

    layers = (
        Embedding(rng.normal(size=(9, 2))),
        lstm(2, "last"),
        Repeat(steps),
        lstm(3, "sequence"),
        Dense(rng.normal(size=(2, 3)), None),
    )
    return make_model(*layers, classes=2, by_step=True)


class TestStepsOfTheScoresOwn:
    """A decoder's steps are not its input's: --step counts them, and it has them for any input."""

    IDS = ([1, 2, 3, 4, 5, 6], [3], [], [8, 7])

    @pytest.mark.parametrize("step", [0, 1, -1, -3])
    def test_are_counted_and_named(self, step):
        model = decoder(3)
        for each, ids in zip(lrp.explain(model, self.IDS, step=step), self.IDS, strict=True):
            plain = scores_of(model, embedded(model, np.array(ids, dtype=int)))
            assert plain.shape == (3, 2)
            assert each.step == step % 3
            np.testing.assert_allclose(each.scores, plain[step], rtol=1e-12)
            assert len(each.relevance) == len(ids)
            assert abs(each.ledger.residual) < 1e-12

    def test_all_of_them(self):
        found = lrp.explain(decoder(3), self.IDS, step="all", target="all")
        assert [(e.number, e.step, e.target) for e in found] == [
            (number, step, target) for number in range(4) for step in range(3) for target in (0, 1)
        ]

    def test_there_are_no_more(self):
        with pytest.raises(UnusableInput, match="has 3 steps with scores, and none is number 3"):
            lrp.explain(decoder(3), self.IDS, step=3)

    def test_are_predicted(self):
        model = decoder(3)
        for each, ids in zip(lrp.predict(model, self.IDS), self.IDS, strict=True):
            plain = scores_of(model, embedded(model, np.array(ids, dtype=int)))
            np.testing.assert_allclose(each.scores, plain, rtol=1e-12)
            assert each.steps.tolist() == [0, 1, 2]


def test_steps_of_an_input_are_those_as_they_were_given():
    """Where scores are of an input's steps, a masked one has none."""
    from made_models import make_model
    from models import with_input

    from lstm_lrp_cli.model.text import Padding

    layers = (Embedding(np.eye(4)), Dense(np.ones((1, 4)), None))
    model = with_input(
        make_model(*layers, classes=1, by_step=True), padding=Padding(value=0, masked=True)
    )
    [each] = lrp.explain(model, [[2, 0, 3]], step=1)
    assert each.step == 2
