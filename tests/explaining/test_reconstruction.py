"""An autoencoder explained by its reconstruction error: (output - input)^2, on average."""

import numpy as np
import pytest
from made_models import make_model
from msgspec.structs import replace

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput, WrongUsage
from lstm_lrp_cli.explaining.reconstruction import reconstruction_error
from lstm_lrp_cli.model.layers import Dense, Embedding, Pool
from lstm_lrp_cli.model.model import Head
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from lstm_lrp_cli.model.text import Padding

FEATURES, HIDDEN, STEPS = 2, 5, 6


def lstm(inputs, *, returns, seed):
    rng = np.random.default_rng(seed)
    cell = LstmCell(
        rng.normal(size=(4, HIDDEN, inputs)) * 0.6,
        rng.normal(size=(4, HIDDEN, HIDDEN)) * 0.3,
        rng.normal(size=(4, HIDDEN)) * 0.2,
    )
    return Lstm((cell,), returns=returns)


def values(outputs):
    """What gives so many values, with weights of its own."""
    rng = np.random.default_rng(outputs)
    return Dense(rng.normal(size=(outputs, HIDDEN)) * 0.5, rng.normal(size=outputs) * 0.1)


def by_step(**settings):
    settings = {"regression": True, "by_step": True, "padding": None} | settings
    layers = lstm(FEATURES, returns="sequence", seed=1), values(FEATURES)
    model = make_model(*layers, classes=FEATURES, **settings)
    return replace(model, heads=(Head(1),) * FEATURES)


def flattened(steps=STEPS):
    layers = lstm(FEATURES, returns="last", seed=2), values(steps * FEATURES)
    model = make_model(*layers, classes=steps * FEATURES, regression=True)
    return replace(model, heads=(Head(1),) * (steps * FEATURES))


def series(count=4, *lengths):
    rng = np.random.default_rng(7)
    return [rng.normal(size=(length, FEATURES)) for length in lengths or (STEPS,) * count]


METHODS = (
    *("lrp-all", "lrp-half", "lrp-prop", "lrp-abs", "gradient", "gradient-x-input"),
    *("integrated-gradients", "occlusion", "contextual-decomposition"),
)


@pytest.mark.parametrize(
    ("model", "given"), [(by_step(), series(4, 3, 6, 1, 4)), (flattened(), series())]
)
class TestAnAutoencoder:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("by", ["step", "feature"])
    def test_its_score_is_the_mean_of_the_squares(self, model, given, method, by):
        outputs = [each.scores.reshape(-1, FEATURES) for each in lrp.predict(model, given)]
        expected = [np.square(y - x).mean() for y, x in zip(outputs, given, strict=True)]
        found = lrp.explain(model, given, method, target="error", by=by)
        np.testing.assert_allclose([each.score for each in found], expected, rtol=1e-12)
        assert {each.target for each in found} == {"error"}
        assert [each.relevance.shape[0] for each in found] == list(map(len, given))

    @pytest.mark.parametrize("bias_factor", [0.0, 1.0])
    def test_its_ledger_closes(self, model, given, bias_factor):
        for each in lrp.explain(model, given, target="error", bias_factor=bias_factor):
            assert abs(each.ledger.residual) < 1e-12
            assert each.ledger.score == each.score

    def test_its_gradient_is_that_of_the_error(self, model, given):
        step, feature, h = 0, 1, 1e-6
        for each, own in zip(
            lrp.explain(model, given, "gradient-x-input", target="error"), given, strict=True
        ):
            ends = []
            for way in (h, -h):
                moved = own.copy()
                moved[step, feature] += way
                [end] = lrp.explain(model, [moved], target="error")
                ends.append(end.score)
            slope = (ends[0] - ends[1]) / (2 * h)
            expected = slope * own[step, feature]
            assert each.relevance[step, feature] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("model", [by_step(), flattened()])
@pytest.mark.parametrize("method", ["lrp-all", "gradient-x-input", "occlusion"])
@pytest.mark.parametrize("spoilt", [(1, 0), (4, 1)])
def test_a_value_that_was_spoilt_stands_out(model, method, spoilt):
    [own] = series(1)
    own = own * 0.1
    own[spoilt] = 8.0
    [found] = lrp.explain(model, [own], method, target="error")
    place = np.unravel_index(np.abs(found.relevance).argmax(), found.relevance.shape)
    assert tuple(map(int, place)) == spoilt
    assert found.relevance[spoilt] > 0.5 * found.score


def test_the_output_is_what_the_framework_gives():
    """A last sigmoid is left out of the scores of predictions, and not of the error."""
    model = by_step()
    sigmoid = replace(model, heads=(Head(1, "sigmoid"),) * FEATURES)
    [own] = series(1)
    [predicted] = lrp.predict(model, [own])
    [found] = lrp.explain(sigmoid, [own], target="error")
    outputs = 1.0 / (1.0 + np.exp(-predicted.scores))
    assert found.score == pytest.approx(np.square(outputs - own).mean(), rel=1e-12)


def test_masked_steps_do_not_count():
    masked = by_step(padding=Padding("post", STEPS, value=0.0, masked=True))
    [own] = series(1, 4)
    filled = np.concatenate([own, np.zeros((2, FEATURES))])
    [alone] = lrp.explain(by_step(), [own], target="error")
    [found] = lrp.explain(masked, [filled], target="error")
    assert found.score == pytest.approx(alone.score, rel=1e-12)
    assert np.isnan(found.relevance[4:]).all()


class TestRefused:
    def test_a_sequence_that_padding_fills_up(self):
        padded = by_step(padding=Padding("pre", STEPS))
        assert len(lrp.explain(padded, series(2), target="error")) == 2
        with pytest.raises(UnusableInput, match=r"^sequence 1: has 4 steps and is filled up to 6,"):
            lrp.explain(padded, series(2, STEPS, 4), target="error")

    def test_a_sequence_of_other_steps_than_the_vector_has(self):
        with pytest.raises(UnusableInput, match=r"^sequence 0: has 5 steps, .*gives back step by"):
            lrp.explain(flattened(), series(1, 5), target="error")

    @pytest.mark.parametrize(
        ("model", "found"),
        [
            (replace(by_step(), heads=(Head(1),) * 3), "gives 3 values at every step for 2 feat"),
            (flattened(1), "gives 2 values a sequence for steps of 2 features"),
            (replace(flattened(), heads=(Head(1),) * 7), "gives 7 values a sequence for steps of"),
            (by_step(regression=False), "the model predicts classes"),
            (by_step(steps=False), "is given one vector a sequence"),
            (
                make_model(
                    *(Embedding(np.ones((9, FEATURES))), lstm(FEATURES, returns="last", seed=3)),
                    *(values(FEATURES),),
                    classes=FEATURES,
                    regression=True,
                ),
                "is given tokens",
            ),
            (replace(by_step(), outputs=(0, 1)), "has 2 outputs"),
            (replace(by_step(), inputs=by_step().inputs * 2), "has several inputs"),
        ],
    )
    def test_what_is_no_autoencoder(self, model, found):
        with pytest.raises(WrongUsage, match=found) as error:
            lrp.Explainer(model, target="error")
        assert error.value.keyword == "target"


def test_a_label_wins_over_the_word():
    model = make_model(
        lstm(FEATURES, returns="sequence", seed=1), Pool("last"), values(2), classes=2
    )
    named = replace(model, labels=("fine", "error"))
    explainer = lrp.Explainer(named, target="error")
    assert explainer.model is named
    assert explainer.question.target == 1


def test_the_error_is_asked_for_once():
    error = reconstruction_error(by_step())
    assert lrp.Explainer(error, target="error").model is error


def test_it_is_predicted_alone():
    given = series(3)
    found = lrp.predict(by_step(), given, target="error")
    explained = lrp.explain(by_step(), given, target="error")
    assert [each.scores.tolist() for each in found] == [[each.score] for each in explained]
    with pytest.raises(WrongUsage, match="'all' is not 'error'"):
        lrp.predict(by_step(), given, target="all")
