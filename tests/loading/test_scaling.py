"""A scaling belongs to the input: relevance is that of the scaled values, shown are the user's."""

import json

import numpy as np
import pytest
from models import json_lines

import lstm_lrp_cli as lrp
from lstm_lrp_cli.loading.mapping import Described, Mapping, ScalingSpec

MEAN, DEVIATION = [3.0, -2.0, 250.0], [2.0, 0.5, 40.0]
MANY = np.random.default_rng(2).normal(MEAN, DEVIATION, (4, 6, 3))
SCALED = (MANY - MEAN) / DEVIATION


@pytest.fixture
def series(small):
    """A model of three features, with a scaling or without; and what it is given."""

    def save(**mapping):
        small.take_numbers()
        small.mapping |= {"task": "regression"} | mapping
        small.arrays |= {"mean": np.array(MEAN), "variance": np.square(DEVIATION)}
        np.savez(small.folder / "user.npz", x=MANY)
        np.savez(small.folder / "scaled.npz", x=SCALED)
        return small.save()

    return save


FORMS = {
    "numbers": {"minus": MEAN, "divide": DEVIATION},
    "datasets": {"minus": "mean", "variance": "variance"},
    "one after the other": [{"minus": MEAN, "divide": 2.0}, {"divide": [1.0, 0.25, 20.0]}],
    "backwards": {
        "minus": [-m / d for m, d in zip(MEAN, DEVIATION, strict=True)],
        "divide": [1 / d for d in DEVIATION],
        "invert": True,
    },
    "by the model": {"minus": MEAN, "divide": DEVIATION, "inside": True},
}
each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
EXPLAIN = ("--format", "jsonl", "--target", 0, "-q")


def explained(run, small, given, *options):
    result = run("explain", small.path, small.folder / given, *EXPLAIN, *options)
    assert result.exit_code == 0, result.stderr
    return json_lines(result.stdout)


@each_form
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--by", "feature"),
        ("--method", "gradient-x-input"),
        ("--method", "occlusion"),
        ("--method", "contextual-decomposition"),
    ],
    ids=" ".join,
)
def test_relevance_is_that_of_the_scaled_values(run, small, series, form, options):
    series()
    wanted = explained(run, small, "scaled.npz", *options)
    small.mapping["scaling"] = form
    small.save()
    for own, each, values in zip(
        explained(run, small, "user.npz", *options), wanted, MANY, strict=True
    ):
        for key in ("scores", "relevance"):
            np.testing.assert_allclose(own[key], each[key], rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(own["values"], values)


def test_a_baseline_is_in_the_units_of_the_user(run, small, series):
    series()
    options = ("--method", "integrated-gradients", "--steps", 20)
    zero = explained(run, small, "scaled.npz", *options)
    ones = explained(run, small, "scaled.npz", *options, "--baseline", 1)
    small.mapping["scaling"] = {"minus": 5.0, "divide": 2.0}
    small.save()
    np.savez(small.folder / "user.npz", x=SCALED * 2 + 5)
    for wanted, baseline in ((zero, "zero"), (zero, 5), (ones, 7)):
        found = explained(run, small, "user.npz", *options, "--baseline", baseline)
        for own, each in zip(found, wanted, strict=True):
            np.testing.assert_allclose(own["relevance"], each["relevance"], rtol=1e-9, atol=1e-12)


class TestPadding:
    """A scaler comes before the padding, and a model's own scaling behind it."""

    def scores(self, run, small, given="user.npz"):
        return [each["scores"] for each in explained(run, small, given)]

    def padded(self, run, small, series, filled):
        """The scores of what is filled up by hand."""
        series()
        np.savez(small.folder / "filled.npz", x=filled)
        return self.scores(run, small, "filled.npz")

    def test_a_scaler_comes_before(self, run, small, series):
        zeros = np.zeros((4, 2, 3))
        wanted = self.padded(run, small, series, np.concatenate([zeros, SCALED], axis=1))
        padding = {"side": "pre", "length": 8, "value": 0}
        small.mapping |= {"scaling": FORMS["numbers"], "padding": padding}
        small.save()
        np.testing.assert_allclose(self.scores(run, small), wanted, rtol=1e-10)

    def test_what_the_model_does_comes_behind(self, run, small, series):
        filled = np.concatenate([np.zeros((4, 2, 3)), MANY], axis=1)
        wanted = self.padded(run, small, series, (filled - MEAN) / DEVIATION)
        padding = {"side": "pre", "length": 8, "value": 0}
        small.mapping |= {"scaling": FORMS["by the model"], "padding": padding}
        small.save()
        np.testing.assert_allclose(self.scores(run, small), wanted, rtol=1e-10)

    @pytest.mark.parametrize("inside", [False, True])
    def test_a_mask_is_of_what_is_padded(self, run, small, series, inside):
        masked = {"masked": True, "value": 0}
        series()
        wanted = [self.of_one(run, small, SCALED[k, 1:]) for k in range(4)]
        small.mapping |= {"scaling": FORMS["numbers"] | {"inside": inside}, "padding": masked}
        small.save()
        given = MANY.copy()
        given[:, 0] = 0 if inside else MEAN  # the zero of what the mask sees
        np.savez(small.folder / "user.npz", x=given)
        found = explained(run, small, "user.npz")
        for own, scores in zip(found, wanted, strict=True):
            np.testing.assert_allclose(own["scores"], scores, rtol=1e-10)
            assert own["relevance"][0] == [None] * 3

    def of_one(self, run, small, values):
        np.savez(small.folder / "one.npz", x=values[np.newaxis])
        return self.scores(run, small, "one.npz")[0]


class TestBesideTheModelsOwn:
    """What a user scales is done first, and what the file says of the model's own stays."""

    def test_a_users_scaling_comes_before_the_models(self, run, small, series):
        own = Described.by(Mapping(scaling=ScalingSpec(divide=2.0, inside=True)), "the file")
        user = Described.by(Mapping(scaling=ScalingSpec(divide=4.0)), "model.yaml")
        both = own.overridden_by(user).mapping.scaling
        assert both == [ScalingSpec(divide=4.0), ScalingSpec(divide=2.0, inside=True)]
        none = own.overridden_by(Described.by(Mapping(scaling=None), "model.yaml"))
        assert none.mapping.scaling is None

    def test_both_are_told_apart(self, run, small, series):
        series(scaling=[{"minus": MEAN, "divide": 1.0}, {"divide": DEVIATION, "inside": True}])
        found = json.loads(run("inspect", small.path, "--format", "json").stdout)["scaling"]
        assert found == [
            {"minus": MEAN, "divide": [1.0] * 3, "inside": False},
            {"minus": [0.0] * 3, "divide": DEVIATION, "inside": True},
        ]
        shown = run("inspect", small.path).stdout
        assert "minus 3, -2, 250, divide 1: scaled before the model has it" in shown
        assert "minus 0, divide 2, 0.5, 40: the model scales" in shown


@each_form
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_is_written_out_with_the_model(run, small, series, form, ending):
    series(scaling=form)
    wanted = run("predict", small.path, small.folder / "user.npz").stdout
    out = small.folder / f"out.{ending}"
    assert run("convert", small.path, out).exit_code == 0
    assert run("predict", out, small.folder / "user.npz").stdout == wanted
    mapping = small.folder / "whole.yaml"
    run("inspect", small.path, "--write-mapping", mapping)
    found = run("predict", small.path, small.folder / "user.npz", "--mapping", mapping)
    assert found.stdout == wanted


def test_numbers_too_large_for_the_precision_are_scaled_first(run, small, series):
    """As times in seconds are, of which float32 keeps two minutes."""
    series(scaling={"minus": 1.7e9, "divide": 60.0})
    given = 1.7e9 + 60.0 * SCALED
    np.savez(small.folder / "times.npz", x=given)
    wide = run("predict", small.path, small.folder / "times.npz").stdout
    narrow = run("predict", small.path, small.folder / "times.npz", "--dtype", "float32").stdout
    for one, other in zip(wide.splitlines()[1:], narrow.splitlines()[1:], strict=True):
        np.testing.assert_allclose(float(one.split()[1]), float(other.split()[1]), atol=1e-4)


class TestReconstructionError:
    """It is that against what the model is given: behind a user's scaler, before its own."""

    @pytest.mark.parametrize("inside", [False, True])
    def test_is_against_what_the_model_is_given(self, run, small, series, inside):
        lstm = small.lstm | {"returns": "sequence"}
        series(layers=[{"lstm": lstm}, {"dense": small.dense}], unused=["E", "mean", "variance"])
        model = lrp.load(small.path)
        rebuilt = np.array([each.scores for each in lrp.predict(model, list(SCALED))])
        against = MANY if inside else SCALED
        wanted = np.square(rebuilt - against).mean(axis=(1, 2))
        small.mapping["scaling"] = FORMS["numbers"] | {"inside": inside}
        small.save()
        found = explained(run, small, "user.npz", "--target", "error")
        np.testing.assert_allclose([each["scores"][0] for each in found], wanted, rtol=1e-10)
        for each in found:
            assert abs(each["ledger"]["residual"]) < 1e-10 * abs(each["ledger"]["score"])


class TestRefused:
    @pytest.mark.parametrize(
        ("scaling", "problem"),
        [
            ({"minus": MEAN}, "scaling: expected one of divide and variance"),
            ({"divide": 1.0, "variance": 1.0}, "scaling: expected one of divide and variance"),
            ({"divide": [1.0, 2.0]}, "scaling.divide: found 2 numbers; expected 3, one for each"),
            ({"divide": [1.0, 0.0, 2.0]}, "scaling.divide: found 0; expected numbers to divide by"),
            ({"variance": -1.0}, "scaling.variance: found -1.0; expected squares"),
            ({"variance": []}, "scaling.variance: found 0 numbers; expected 3, one for each"),
            ({"variance": ""}, "there is no dataset ``, which scaling.variance in"),
            ({"divide": float("nan")}, "scaling.divide: found a number that is not finite"),
            ({"divide": "nowhere"}, "there is no dataset `nowhere`, which scaling.divide in"),
            ({"divided": 1.0}, "scaling: unknown key `divided`; did you mean `divide`?"),
            (
                [{"divide": 1.0, "inside": True}, {"divide": 1.0}],
                "scaling[1]: the model scales first; expected those with `inside: true` last",
            ),
        ],
    )
    def test_in_one_line(self, run, small, series, scaling, problem):
        series(scaling=scaling)
        result = run("predict", small.path, small.folder / "user.npz")
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert problem in line

    def test_of_tokens(self, run, small):
        small.mapping["scaling"] = {"divide": 2.0}
        result = run("inspect", small.save())
        assert result.exit_code == 3
        assert "scaling: is of numbers, and the input has an embedding" in result.stderr

    def test_a_number_that_scaled_is_too_large(self, run, small, series):
        series(scaling={"divide": 1e-30})
        given = small.folder / "large.npz"
        np.savez(given, x=np.full((1, 2, 3), 1e10))
        result = run("predict", small.path, given, "--dtype", "float32")
        assert result.exit_code == 3
        assert "is 10000000000.0 at step 0" in result.stderr
        assert "which, scaled, float32 cannot hold" in result.stderr
