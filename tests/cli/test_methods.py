"""`lrp explain --method`: every method that is listed, alone and beside others."""

import json
import re

import numpy as np
import pytest
from models import KERAS, PYTORCH, WEATHER, json_lines, table

from lstm_lrp_cli.engine.methods import METHODS, Settings

MADE = {name: make(Settings()) for name, make in METHODS.items()}
PROMISING = [name for name, method in MADE.items() if method.promise is not None]
OF_VALUES = [name for name, method in MADE.items() if not method.whole_steps]

each_method = pytest.mark.parametrize("name", METHODS)


@pytest.fixture
def few(tmp_path):
    """The first sentences of a sample, and one without words."""
    lines = KERAS.sequences.read_text("utf-8").splitlines()[:4]
    path = tmp_path / "few.txt"
    path.write_text("\n".join([*lines[:2], "", *lines[2:]]) + "\n", "utf-8")
    return path


def explained(run, *arguments):
    result = run("explain", *arguments, "--format", "jsonl", "--report", "-")
    assert result.exit_code == 0, result.stderr
    return json_lines(result.stdout)


class TestEach:
    @each_method
    def test_has_the_name_that_it_is_listed_by(self, name):
        assert MADE[name].name == name

    @each_method
    def test_tells_of_every_token(self, run, few, name):
        found = explained(run, KERAS.model, few, "--method", name)
        assert [each["sequence"] for each in found] == [0, 1, 2, 3, 4]
        for each in found:
            assert len(each["relevance"]) == len(each["tokens"])
            assert np.isfinite(each["relevance"]).all()
            assert np.any(each["relevance"]) == bool(each["tokens"])

    @each_method
    def test_gives_the_same_in_a_table(self, run, few, name):
        result = run("explain", KERAS.model, few, "--method", name, "-q")
        rows = table(result.stdout)
        assert list(rows[0]) == ["sequence", "position", "token", "target", "score", "relevance"]
        found = explained(run, KERAS.model, few, "--method", name)
        wanted = [value for each in found for value in each["relevance"]]
        assert [float(row["relevance"]) for row in rows] == wanted

    @each_method
    def test_tells_of_steps_of_a_series(self, run, name):
        found = explained(run, WEATHER.model, WEATHER.sequences, "--method", name, "--by", "step")
        assert len(found) == 40
        assert all(np.shape(each["relevance"]) == np.shape(each["values"])[:1] for each in found)

    @pytest.mark.parametrize("name", OF_VALUES)
    def test_tells_of_features_of_a_series(self, run, name):
        found = explained(run, WEATHER.model, WEATHER.sequences, "--method", name)
        assert all(np.shape(each["relevance"]) == np.shape(each["values"]) for each in found)

    @pytest.mark.parametrize("form", ["terminal", "markdown"])
    @each_method
    def test_shows_steps_of_a_series(self, run, name, form):
        arguments = ("--method", name, "--by", "step", "--format", form)
        result = run("explain", WEATHER.model, WEATHER.sequences, *arguments)
        assert result.exit_code == 0, result.stderr
        assert result.stdout.count("all features ") == 40

    @each_method
    def test_takes_numbers_larger_than_float32_holds(self, run, tmp_path, name):
        series = tmp_path / "large.npy"
        np.save(series, np.full((1, 3, 4), 1e40))
        arguments = ("--method", name, "--by", "step")
        result = run("explain", WEATHER.model, series, *arguments)
        assert result.exit_code in (0, 3)
        assert result.exit_code == 0 or f"relevance by {name} overflows" in result.stderr

    @each_method
    def test_explains_every_target(self, run, few, name):
        found = explained(run, KERAS.model, few, "--method", name, "--target", "all")
        assert [each["target"] for each in found] == ["negative", "positive"] * 5

    @each_method
    def test_is_named_by_the_report(self, run, few, name):
        result = run(
            "explain", KERAS.model, few, "--method", name, "-o", "/dev/null", "--format", "tsv"
        )
        [line] = [line for line in result.stderr.splitlines() if line.startswith("method")]
        assert line.split()[1].rstrip(",") == name

    # LRP-prop divides by q + a, which may be near zero: rounding grows without bounds.
    @pytest.mark.parametrize("name", [name for name in METHODS if name != "lrp-prop"])
    def test_runs_in_float32_to_nearly_the_same(self, run, few, name):
        precise = explained(run, PYTORCH.model, few, "--method", name)
        found = explained(run, PYTORCH.model, few, "--method", name, "--dtype", "float32")
        for one, other in zip(found, precise, strict=True):
            largest = np.abs(other["relevance"]).max(initial=1e-3)
            np.testing.assert_allclose(
                one["relevance"], other["relevance"], rtol=0, atol=2e-3 * largest
            )


class TestPromises:
    """Those methods that account for the score say how well."""

    @pytest.mark.parametrize(
        ("sample", "name"),
        [
            (sample, name)
            for sample in (KERAS, PYTORCH, WEATHER)
            for name in PROMISING
            if (sample, name) != (PYTORCH, "integrated-gradients")  # see the next test
        ],
    )
    def test_are_kept_on_the_samples(self, run, tmp_path, sample, name):
        report = tmp_path / "report.json"
        by = ("--by", "step") if sample is WEATHER else ()
        result = run(
            *("explain", sample.model, sample.sequences, "--method", name, *by),
            *("-o", tmp_path / "out.tsv", "--report", report),
        )
        assert result.exit_code == 0, result.stderr
        [account] = json.loads(report.read_text())["methods"]
        promise = MADE[name].promise
        assert account["method"] == name
        assert account["worst_residual"][promise.word] is True
        assert account["worst_residual"]["relative"] <= promise.tolerances[np.dtype("float64")]
        ledger = account["ledger"]
        assert list(ledger) == ["score", *promise.shares, "residual"]
        shares = [ledger[share] for share in promise.shares]
        scale = max(abs(ledger["score"]), sum(map(abs, shares)))
        assert sum(shares) + ledger["residual"] == pytest.approx(ledger["score"], abs=1e-9 * scale)

    def test_that_are_not_kept_are_told_with_what_mends_them(self, run, tmp_path):
        """On the way from zero to this sentence the gradient changes too often for 50 points."""
        rough = tmp_path / "rough.txt"
        rough.write_text(PYTORCH.sequences.read_text("utf-8").splitlines()[6] + "\n", "utf-8")
        arguments = ("explain", PYTORCH.model, rough, "--method", "integrated-gradients")
        result = run(*arguments)
        assert result.exit_code == 0
        assert "complete        NO" in result.stderr
        assert "lrp: warning: relevance is not complete: sequence 0 has a residual" in result.stderr
        assert "try more --steps" in result.stderr
        assert "complete        yes" in run(*arguments, "--steps", 300).stderr

    @pytest.mark.parametrize("name", sorted(METHODS.keys() - set(PROMISING)))
    def test_are_not_given_where_nothing_is_promised(self, run, few, name):
        assert all(
            each["ledger"] is None for each in explained(run, KERAS.model, few, "--method", name)
        )


class TestSeveral:
    def test_have_a_column_and_a_key_in_the_order_asked_for(self, run, few):
        names = list(reversed(METHODS))
        result = run("explain", KERAS.model, few, "--method", ",".join(names), "-q")
        rows = table(result.stdout)
        assert list(rows[0])[:3] == ["sequence", "method", "position"]
        found = explained(run, KERAS.model, few, "--method", ",".join(names))
        assert [each["method"] for each in found] == names * 5
        assert list(dict.fromkeys(row["method"] for row in rows)) == names

    def test_each_give_what_they_give_alone(self, run, few):
        together = explained(run, KERAS.model, few, "--method", ",".join(METHODS))
        for name in METHODS:
            alone = explained(run, KERAS.model, few, "--method", name)
            mine = [each for each in together if each["method"] == name]
            assert mine == [{**each, "method": name} for each in alone]

    def test_each_have_their_account_in_the_report(self, run, few, tmp_path):
        report = tmp_path / "report.json"
        result = run(
            *("explain", KERAS.model, few, "--method", ",".join(METHODS)),
            *("-o", tmp_path / "out.jsonl", "--report", report),
        )
        assert result.exit_code == 0
        document = json.loads(report.read_text())
        assert [account["method"] for account in document["methods"]] == list(METHODS)
        first = document["methods"][0]
        assert {key: document[key] for key in first} == first
        assert document["explanations"] == 5 * len(METHODS)
        assert document["sequences"] == 5
        assert sum(document["predicted"].values()) == 5

    def test_stand_one_below_the_other_on_a_terminal(self, run, few):
        names = list(METHODS)
        result = run(
            "explain", KERAS.model, few, "--method", ",".join(names), "--format", "terminal"
        )
        headings = [line for line in result.stdout.splitlines() if line.startswith("0 ")]
        assert [heading.split()[1] for heading in headings[: len(names)]] == names

    def test_are_the_same_whatever_the_number_of_jobs(self, run, tmp_path):
        lines = PYTORCH.sequences.read_text("utf-8").splitlines()[:60]
        text = tmp_path / "several.txt"
        text.write_text("\n".join(lines) + "\n", "utf-8")
        written = []
        for jobs in (1, 3):
            output = tmp_path / f"{jobs}.tsv"
            arguments = ("--method", ",".join(METHODS), "--jobs", jobs, "-o", output)
            assert run("explain", PYTORCH.model, text, *arguments).exit_code == 0
            written.append(output.read_bytes())
        assert written[0] == written[1]


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (("--method", "lrp"), "there is no method 'lrp'; the methods are lrp-all,"),
            (("--method", "lrp-all,lrp-all"), "named twice"),
            (("--method", ""), "there is no method ''"),
            (("--span", "1:2"), "--span needs --method contextual-decomposition"),
            (("--steps", "9"), "--steps needs --method integrated-gradients"),
            (("--baseline", "zero"), "--baseline needs --method integrated-gradients"),
            (("--seed", "1"), "--seed needs --method random"),
            (("--span", "1"), "'1' is not FROM:TO"),
            (("--span", "a:2"), "'a:2' is not FROM:TO"),
            (("--span", "3:3"), "'3:3' has no tokens in it"),
            (("--span", "-1:-2"), "'-1:-2' has no tokens in it"),
            (("--method", "omission", "--by", "dimension"), "omission tells of whole tokens alone"),
        ],
    )
    def test_is_told(self, run, few, arguments, problem):
        result = run("explain", KERAS.model, few, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert problem in " ".join(result.stderr.split())


class TestReading:
    def test_very_large_shares_are_told_shortly(self, run):
        """By LRP-prop, relevance of these sentences is up to 1e71."""
        arguments = ("--method", "lrp-prop", "--format", "terminal")
        result = run("explain", PYTORCH.model, PYTORCH.sequences, *arguments)
        assert "e+7" in result.stdout
        assert "e+7" in result.stderr
        assert not re.search(r"\d{9}", result.stdout + result.stderr)


class TestBaseline:
    """Where integrated gradients begin."""

    def attributed(self, run, sample, *arguments):
        return explained(
            *(run, sample.model, sample.sequences, "--method", "integrated-gradients"),
            *("--steps", 5, *arguments),
        )

    def test_is_zero_unless_told(self, run):
        assert self.attributed(run, KERAS) == self.attributed(run, KERAS, "--baseline", "zero")

    def test_may_be_a_token_or_the_id_of_one(self, run):
        words = (KERAS.model.parent / "vocab.txt").read_text("utf-8").splitlines()
        number = words.index("boring")
        assert str(number) not in words  # as "1" is, which then is meant
        of_id = self.attributed(run, KERAS, "--baseline", number)
        assert of_id == self.attributed(run, KERAS, "--baseline", "boring")
        assert of_id != self.attributed(run, KERAS, "--baseline", "1")

    def test_has_no_way_to_itself(self, run):
        of_token = self.attributed(run, KERAS, "--baseline", "<unk>")
        assert of_token != self.attributed(run, KERAS)
        for each in of_token:
            for token, amount in zip(each["tokens"], each["relevance"], strict=True):
                assert amount == 0.0 or token != "<unk>"

    def test_may_be_a_number_of_a_series(self, run):
        found = self.attributed(run, WEATHER, "--baseline", "0.5")
        assert found != self.attributed(run, WEATHER)

    def test_is_named_by_the_report(self, run):
        arguments = ("--method", "integrated-gradients", "--baseline", "<unk>", "-o", "/dev/null")
        result = run("explain", KERAS.model, KERAS.sequences, *arguments)
        assert "method          integrated-gradients, steps 50, baseline <unk>" in result.stderr

    @pytest.mark.parametrize(
        ("sample", "baseline", "problem"),
        [
            (KERAS, "nosuchword", "neither zero, a token of the vocabulary nor an id below 4176"),
            (KERAS, "4176", "neither zero, a token of the vocabulary nor an id below 4176"),
            (WEATHER, "wind", "neither zero nor a finite number"),
            (WEATHER, "nan", "neither zero nor a finite number"),
        ],
    )
    def test_that_does_not_exist_is_told(self, run, sample, baseline, problem):
        arguments = ("--method", "integrated-gradients", "--baseline", baseline)
        result = run("explain", sample.model, sample.sequences, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert problem in " ".join(result.stderr.split())
