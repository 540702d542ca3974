"""`lrp explain --method`: every method that is listed, alone and beside others."""

import json
import re

import numpy as np
import pytest
from models import KERAS, PYTORCH, WEATHER, json_lines, table

from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.loading.files.safetensors import write_safetensors

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

    def test_overflow_that_cancels_is_an_error_and_no_warning(self, run, tmp_path):
        """Two layers and many steps, at which some features get inf and others -inf."""
        rng = np.random.default_rng(5)
        arrays = {}
        for layer, features in enumerate((2, 12)):
            arrays |= {
                f"lstm.weight_ih_l{layer}": rng.uniform(-0.9, 0.9, (48, features)),
                f"lstm.weight_hh_l{layer}": rng.uniform(-0.9, 0.9, (48, 12)),
                f"lstm.bias_ih_l{layer}": np.repeat([0.0, 3.0, 0.0, 0.0], 12),
                f"lstm.bias_hh_l{layer}": rng.uniform(-0.9, 0.9, 48),
            }
        arrays |= {"fc.weight": rng.uniform(-0.9, 0.9, (2, 12)), "fc.bias": np.zeros(2)}
        with (tmp_path / "model.safetensors").open("wb") as file:
            write_safetensors(file, arrays)
        np.save(tmp_path / "x.npy", np.cumsum(rng.normal(size=(4, 400, 2)), axis=1) * 0.3)
        arguments = (tmp_path / "model.safetensors", tmp_path / "x.npy", "--method", "lrp-prop")
        result = run("explain", *arguments)
        assert result.exit_code == 3
        assert "relevance by lrp-prop overflows" in result.stderr

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
        beside = ["stabilizers_size"] if "stabilizers" in promise.shares else []
        assert list(ledger) == ["score", *promise.shares, "residual", *beside]
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


class TestSettingThatNoMethodTakes:
    @pytest.mark.parametrize("setting", [("--eps", "0.5"), ("--bias-factor", "1")])
    @pytest.mark.parametrize("method", ["gradient", "occlusion,omission"])
    def test_changes_nothing_where_it_has_a_default(self, run, few, method, setting):
        arguments = ("explain", KERAS.model, few, "--method", method)
        with_it, without = run(*arguments, *setting), run(*arguments)
        assert (with_it.exit_code, without.exit_code) == (0, 0)
        assert (with_it.stdout, with_it.stderr) == (without.stdout, without.stderr)

    def test_may_stand_in_the_environment(self, run, few, monkeypatch):
        monkeypatch.setenv("LRP_EXPLAIN_EPS", "0.5")
        assert run("explain", KERAS.model, few, "--method", "gradient").exit_code == 0


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


class TestSettingsInNames:
    """One run compares settings: each method is told from others of its kind by its name."""

    def test_set_a_method_as_options_do(self, run, few):
        named = "lrp-all:eps=1e-6:bias-factor=0.5,integrated-gradients:steps=3:baseline=film"
        found = explained(run, KERAS.model, few, "--method", named)
        assert [each["method"] for each in found[:2]] == named.split(",")
        for name, *options in (
            ("lrp-all", "--eps", "1e-6", "--bias-factor", "0.5"),
            ("integrated-gradients", "--steps", "3", "--baseline", "film"),
        ):
            alone = explained(run, KERAS.model, few, "--method", name, *options)
            own = [each for each in found if each["method"].startswith(name)]
            for each, other in zip(own, alone, strict=True):
                np.testing.assert_allclose(each["relevance"], other["relevance"], rtol=1e-9)

    def test_are_told_apart_in_every_output(self, run, few, tmp_path):
        names = ["lrp-all:eps=1e-6", "lrp-all", "random:seed=3", "random"]
        arguments = ("explain", KERAS.model, few, "--method", ",".join(names))
        rows = table(run(*arguments, "-q").stdout)
        assert list(dict.fromkeys(row["method"] for row in rows)) == names
        of_first = [[r["relevance"] for r in rows if r["method"] == name] for name in names]
        assert len({tuple(each) for each in of_first}) == 4
        report = tmp_path / "report.json"
        result = run(*arguments, "--report", report, "-o", tmp_path / "out.npz", "--by", "token")
        assert result.exit_code == 0, result.stderr
        accounts = json.loads(report.read_text())["methods"]
        assert [each["method"] for each in accounts] == names
        assert [each.get("eps") for each in accounts] == [1e-6, 1e-3, None, None]
        with np.load(tmp_path / "out.npz") as arrays:
            assert arrays["methods"].tolist() == names
        for form in ("terminal", "markdown", "html"):
            shown = run(*arguments, "--format", form, "--report", "-").stdout
            assert all(name in shown for name in names)

    def test_leave_what_they_do_not_set_to_the_options(self, run, few, tmp_path):
        report = tmp_path / "report.json"
        named = "lrp-all:bias-factor=1,lrp-half:eps=0"
        run("explain", KERAS.model, few, "--method", named, "--eps", 0.01, "--report", report)
        accounts = json.loads(report.read_text())["methods"]
        assert [(each["eps"], each["bias_factor"]) for each in accounts] == [
            (0.01, 1.0),
            (0.0, 0.0),
        ]

    @pytest.mark.parametrize("span", ["0:2", ":2", "-3:", "1:-1"])
    def test_a_span_keeps_its_colon(self, run, few, span):
        name = f"contextual-decomposition:span={span}"
        in_name = explained(run, KERAS.model, few, "--method", name)
        by_option = ("--method", "contextual-decomposition", "--span", span)
        for each, other in zip(in_name, explained(run, KERAS.model, few, *by_option), strict=True):
            assert each["relevance"] == other["relevance"]

    def test_are_read_back_by_summarize_and_compare(self, run, few, tmp_path):
        names = "lrp-all:eps=1e-6,lrp-all:eps=1e-2"
        results = tmp_path / "results.jsonl"
        run("explain", KERAS.model, few, "--method", names, "-o", results, "-q")
        summary = json.loads(run("summarize", results, "--format", "json").stdout)
        assert [each["method"] for each in summary["methods"]] == names.split(",")
        of_results = run("compare", results, "--methods", names, "--format", "json")
        of_model = run(
            "compare", KERAS.model, "--input", few, "--methods", names, "--format", "json"
        )
        assert of_results.exit_code == of_model.exit_code == 0, of_model.stderr
        both = [json.loads(each.stdout)["relevance"]["pearson"] for each in (of_results, of_model)]
        assert both[0] == both[1]
        assert "eps=1e-2" in of_model.stdout

    def test_of_a_check_are_those_of_its_rule(self, run):
        arguments = ("check", KERAS.model, KERAS.sequences, "--format", "json")
        named = json.loads(run(*arguments, "--method", "lrp-half:eps=0.01").stdout)
        by_option = json.loads(run(*arguments, "--method", "lrp-half", "--eps", 0.01).stdout)
        usual = json.loads(run(*arguments, "--method", "lrp-half").stdout)
        [warning] = named.pop("warnings")  # it has the name as it was given
        assert by_option.pop("warnings") == [warning.replace("lrp-half:eps=0.01", "lrp-half")]
        assert named == by_option != usual

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("lrp-all:epsilon=1", "lrp-all takes :eps=NUMBER and :bias-factor=NUMBER"),
            ("lrp-all:steps=3", "lrp-all takes :eps=NUMBER and :bias-factor=NUMBER"),
            ("lrp-all:eps", "lrp-all takes :eps=NUMBER and :bias-factor=NUMBER"),
            ("lrp-all:eps=1:eps=2", "each once"),
            ("lrp-all:eps=-1", "is not in the range"),
            ("lrp-all:eps=nan", "not a finite number"),
            ("lrp-all:bias-factor=2", "is not in the range"),
            ("integrated-gradients:steps=0", "is not in the range"),
            ("integrated-gradients:baseline=qqq", "is neither zero, a token"),
            ("occlusion:baseline=film,occlusoin", "'film,occlusoin' is neither zero, a token"),
            ("contextual-decomposition:span=2", "is not FROM:TO"),
            ("random:seed=x", "seed: 'x' is not a valid integer"),
            ("occlusion:eps=1", "occlusion takes :baseline=VALUE and :groups=GROUPS, each once"),
            ("omission:eps=1", "omission takes no settings"),
            ("lrp:eps=1", "there is no method 'lrp'"),
            ("lrp-all:eps=1e-3,lrp-all:eps=1e-3", "named twice"),
            ("lrp-all,lrp-all:eps=0.001", "the same method with the same settings"),
            ("lrp-all:eps=1e-2,lrp-all:eps=0.01", "the same method with the same settings"),
        ],
    )
    @pytest.mark.parametrize("command", ["explain", "evaluate"])
    def test_that_are_none_are_wrong_usage(self, run, few, command, name, problem):
        option = "--method" if command == "explain" else "--methods"
        result = run(command, KERAS.model, few, option, name)
        assert result.exit_code == 2
        assert problem in " ".join(result.stderr.split())

    def test_of_evaluate_stand_in_its_tables(self, run):
        names = ["lrp-all:eps=1e-6", "lrp-all:eps=1e-1", "random:seed=3"]
        labelled = KERAS.model.parent / "labelled.txt"
        arguments = ("evaluate", KERAS.model, labelled, "--labelled", "--draws", 0)
        result = run(*arguments, "--methods", ",".join(names), "--format", "json")
        found = json.loads(result.stdout)["methods"]
        assert list(found) == names
        assert found[names[0]]["most_effective"] > found[names[1]]["most_effective"]
        assert found[names[0]]["sizes"]["stabilizers"]["relative"] < 1e-3
        assert found[names[1]]["sizes"]["stabilizers"]["relative"] > 0.9
        assert [each["seed"] for each in found[names[2]]["settings"]] == [3, 4, 5, 6, 7]
