"""Predicted values in the user's own units, beside the model's, which relevance is of."""

import json
import pickle
import re

import numpy as np
import pytest
from golden import unpack
from models import TESTS, json_lines, table
from msgspec.structs import replace

import lstm_lrp_cli as lrp
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.results import misfit
from lstm_lrp_cli.results.read import read_results

MINUS, DIVIDE = [12.5, -3.0, 1000.0], [7.3, 0.5, 250.0]
SCALED = {"minus": MINUS, "divide": DIVIDE}
NAMES = ["temperature", "wind", "pressure"]
SERIES = np.random.default_rng(4).normal(20.0, 5.0, (3, 4, 3)).round(2)
INPUT = {"minus": 20.0, "divide": 5.0}


@pytest.fixture
def forecaster(small):
    """A model of three numbers a step that predicts three values, and what it is given."""

    def save(**mapping):
        small.mapping["layers"] = [{"lstm": small.lstm}, {"dense": small.dense}]
        small.mapping.pop("vocabulary", None)
        small.mapping |= {"unused": ["E"], "labels": NAMES, "scaling": INPUT} | mapping
        np.savez(small.folder / "x.npz", x=SERIES)
        return small.save(), small.folder / "x.npz"

    return save


@pytest.fixture
def told(run, forecaster):
    """What a command writes of the forecasts, quietly, to a file or to standard output."""

    def write(command, *options, output=None, scaled=SCALED, **mapping):
        model, given = forecaster(task="regression", output_scaling=scaled, **mapping)
        to = () if output is None else ("-o", model.parent / output)
        result = run(command, model, given, "-q", *options, *to)
        assert result.exit_code == 0, result.output
        return result.stdout if output is None else model.parent / output

    return write


def unscaled(scores):
    return np.asarray(scores) * DIVIDE + MINUS


def arrays_of(path):
    with np.load(path) as file:
        return dict(file)


def of_target(scores, target):
    return unscaled(scores)[NAMES.index(target)]


class TestExplanations:
    """Score, relevance and ledger are in the model's own units, as without a scaling."""

    @pytest.mark.parametrize(
        "options", [(), ("--by", "step"), ("--top", 2), ("--method", "lrp-all,gradient")]
    )
    @pytest.mark.parametrize(("form", "delimiter"), [("tsv", "\t"), ("csv", ",")])
    def test_tables_have_a_last_column(self, told, form, delimiter, options):
        lines = json_lines(told("explain", "--format", "jsonl"))
        scores = {(each["sequence"], each["target"]): each["scores"] for each in lines}
        rows = table(told("explain", "--format", form, *options), delimiter)
        without = table(told("explain", "--format", form, *options, scaled=None), delimiter)
        assert list(rows[0]) == [*without[0], "original"]
        for row, plain in zip(rows, without, strict=True):
            original = of_target(scores[int(row["sequence"]), row["target"]], row["target"])
            assert float(row.pop("original")) == original
            assert row == plain

    def test_of_a_difference_it_is_that_of_the_original_values(self, told):
        rows = table(told("explain", "--target", "wind-pressure"))
        assert {row["target"] for row in rows} == {"wind-pressure"}
        lines = json_lines(told("explain", "--format", "jsonl", "--target", "wind-pressure"))
        for row in rows:
            _, wind, pressure = unscaled(lines[int(row["sequence"])]["scores"])
            assert float(row["original"]) == wind - pressure

    def test_json_lines_have_all_of_them_beside_the_scores(self, told):
        lines = json_lines(told("explain", "--format", "jsonl"))
        without = json_lines(told("explain", "--format", "jsonl", scaled=None))
        for line, plain in zip(lines, without, strict=True):
            assert list(line).index("original") == list(line).index("scores") + 1
            assert line.pop("original") == unscaled(line["scores"]).tolist()
            assert line == plain

    def test_parquet(self, told, framework):
        parquet = framework("pyarrow.parquet")
        nested = parquet.read_table(told("explain", "--format", "parquet-nested", output="n"))
        originals = {}
        for row in nested.to_pylist():
            assert row["original"] == unscaled(row["scores"]).tolist()
            originals[row["sequence"], row["target"]] = of_target(row["scores"], row["target"])
        rows = parquet.read_table(told("explain", output="r.parquet"))
        assert rows.schema.names[-1] == "original"
        for row in rows.to_pylist():
            assert row["original"] == originals[row["sequence"], row["target"]]
        about = json.loads(rows.schema.metadata[b"lrp"])
        assert about["output_scaling"] == SCALED
        plain = parquet.read_table(told("explain", output="p.parquet", scaled=None))
        assert plain.schema.names == rows.schema.names[:-1]

    def test_npz(self, told):
        arrays = arrays_of(told("explain", output="r.npz"))
        np.testing.assert_array_equal(arrays["original"], unscaled(arrays["scores"]))
        assert json.loads(str(arrays["about"]))["output_scaling"] == SCALED
        assert "original" not in arrays_of(told("explain", output="p.npz", scaled=None))

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("form", ["parquet", "parquet-nested", "npz", "tsv", "jsonl"])
    def test_values_are_the_users(self, told, framework, form, dtype):
        """Those that a scaler makes small are no less exact for that, in either precision."""
        if form.startswith("parquet"):
            framework("pyarrow")
        file = told("explain", "--format", form, "--dtype", dtype, "--target", 0, output="out")
        if form == "npz":
            values = arrays_of(file)["values"]
        elif form == "tsv":
            values = [float(row["value"]) for row in table(file.read_text())]
        elif form == "jsonl":
            values = [line["values"] for line in json_lines(file.read_text())]
        else:
            rows = framework("pyarrow.parquet").read_table(file).to_pylist()
            values = [row["values"] if "values" in row else row["value"] for row in rows]
        np.testing.assert_array_equal(np.ravel(values), SERIES.ravel())

    def test_in_float32_they_read_back_exactly(self, told):
        for line in json_lines(told("explain", "--format", "jsonl", "--dtype", "float32")):
            scores = np.array(line["scores"], np.float32)
            np.testing.assert_array_equal(
                np.array(line["original"], np.float32), unscaled(scores).astype(np.float32)
            )

    def test_no_process_more_makes_a_difference(self, told):
        assert told("explain", "--jobs", 2) == told("explain", "--jobs", 1)


class TestPictures:
    """People are told of both, and how much of the one a unit of the other is."""

    UNITS = "1 of relevance is, in original units, 7.3 of temperature, 0.5 of wind, 250 of pressure"

    def test_the_heat_map(self, told, monkeypatch):
        monkeypatch.setenv("COLUMNS", "120")
        [line, *_] = json_lines(told("explain", "--format", "jsonl", "--target", "wind"))
        original = f"{unscaled(line['scores'])[1]:.6g}"
        shown = told("explain", "--format", "terminal", "--target", "wind")
        assert self.UNITS in shown.splitlines()
        assert f"wind {line['scores'][1]:+.3f}  original {original}" in shown
        [heading] = [each for each in shown.splitlines() if "most for it" in each]
        assert heading.split()[:4] == ["sequence", "target", "score", "original"]
        [row] = [each for each in shown.splitlines() if each.startswith("  0  ")]
        assert row.split()[3] == original

    def test_a_narrow_one(self, told, monkeypatch):
        monkeypatch.setenv("COLUMNS", "40")
        [line, *_] = json_lines(told("explain", "--format", "jsonl", "--target", "wind"))
        shown = told("explain", "--format", "terminal", "--target", "wind")
        assert max(map(len, shown.splitlines())) <= 40
        assert f"wind {line['scores'][1]:+.3f}  {unscaled(line['scores'])[1]:.6g}" in shown

    def test_markdown(self, told):
        [line, *_] = json_lines(told("explain", "--format", "jsonl", "--target", 2))
        page = told("explain", "--format", "markdown", "--target", 2)
        assert f"- units: {self.UNITS}" in page
        score, original = line["scores"][2], unscaled(line["scores"])[2]
        assert f"score **{score:+.3f}**, original **{original:.6g}**" in page

    def test_the_page(self, told):
        page = told("explain", "--format", "html")
        assert f"<dt>Units</dt><dd>{self.UNITS}</dd>" in page
        blocks = re.findall(r'json" class="explanations">(.*?)</script>', page, re.DOTALL)
        found = [each for block in blocks for each in json.loads(block)]
        assert len(found) == 9
        for each in found:
            np.testing.assert_allclose(each["original"], unscaled(each["scores"]), rtol=1e-4)

    def test_a_notebook(self, forecaster):
        model = lrp.load(forecaster(output_scaling=SCALED)[0])
        one, *_ = lrp.explain(model, SERIES)
        for shown in (repr(one), one._repr_html_()):
            assert f"original {one.original_score:.6g}" in shown
            assert self.UNITS in shown

    @pytest.mark.parametrize(
        ("scaled", "units"),
        [
            ({"divide": 4.0}, "1 of relevance is 4 in original units"),
            ({"minus": MINUS, "divide": 0.25}, "1 of relevance is 0.25 in original units"),
        ],
    )
    def test_one_unit_is_told_once(self, run, told, scaled, units):
        assert units in told("explain", "--format", "terminal", scaled=scaled)

    @pytest.mark.parametrize(
        ("scaled", "units"),
        [
            ([7.3, 0.5, 0.5], "1 of relevance is 0.5 in original units"),
            (
                DIVIDE,
                "relevance is of a difference of values in different units, and not in original "
                "units",
            ),
        ],
    )
    def test_a_difference_has_the_unit_of_both(self, run, forecaster, monkeypatch, scaled, units):
        monkeypatch.setenv("COLUMNS", "120")
        model, given = forecaster(output_scaling={"minus": MINUS, "divide": scaled})
        for form, line in (
            ("terminal", f"{units}\n"),
            ("markdown", f"- units: {units}\n"),
            ("html", f"<dt>Units</dt><dd>{units}</dd>"),
        ):
            result = run("explain", model, given, "--target", "wind-pressure", "--format", form)
            assert line in result.stdout
            assert f"units           {units}\n" in result.stderr
        one, *_ = lrp.explain(lrp.load(model), SERIES, target="wind-pressure")
        assert units in repr(one)

    def test_what_is_in_no_unit_of_the_score_has_no_unit(self, run, forecaster):
        """A squared derivative is none, nor are random numbers."""
        model, given = forecaster(output_scaling={"divide": 4.0})
        told = {
            "gradient,random": "",
            "occlusion": "1 of relevance is 4 in original units",
            "gradient,lrp-all,occlusion": "1 of relevance by lrp-all, occlusion is 4 in original "
            "units",
        }
        for methods, units in told.items():
            result = run("explain", model, given, "--format", "markdown", "--method", methods)
            assert result.exit_code == 0, result.output
            assert ("original **" in result.stdout) is True
            assert (f"- units: {units}\n" in result.stdout) is bool(units)
            assert (f"units           {units}\n" in result.stderr) is bool(units)
            assert ("in original units" in result.stdout + result.stderr) is bool(units)

    def test_nothing_of_it_without_a_scaling(self, told):
        for form in ("terminal", "markdown"):
            assert "original" not in told("explain", "--format", form, scaled=None)
        page = told("explain", "--format", "html", scaled=None)
        assert "<dt>Units" not in page
        assert '"original":' not in page


class TestReports:
    def test_say_the_unit_and_the_scaling(self, run, forecaster):
        model, given = forecaster(output_scaling=SCALED)
        report = model.parent / "report.json"
        result = run("explain", model, given)
        assert f"units           {TestPictures.UNITS}" in result.stderr
        for command in ("explain", "predict"):
            assert run(command, model, given, "--report", report).exit_code == 0
            assert json.loads(report.read_text())["output_scaling"] == SCALED

    def test_say_nothing_without(self, run, forecaster):
        model, given = forecaster(task="regression")
        report = model.parent / "report.json"
        result = run("explain", model, given, "--report", report)
        assert "units" not in result.stderr
        assert "output_scaling" not in json.loads(report.read_text())


class TestPredictions:
    def test_tables(self, told):
        rows = table(told("predict"))
        columns = [f"{what}:{name}" for what in ("score", "original") for name in NAMES]
        assert list(rows[0]) == ["sequence", *columns]
        for row in rows:
            scores, originals = np.array([float(row[each]) for each in columns]).reshape(2, 3)
            np.testing.assert_array_equal(originals, unscaled(scores))

    def test_json_lines(self, told):
        for line in json_lines(told("predict", "--format", "jsonl")):
            assert list(line) == ["sequence", "id", "scores", "original", "predicted"]
            assert line["original"] == unscaled(line["scores"]).tolist()

    def test_on_a_terminal(self, told, monkeypatch):
        monkeypatch.setenv("COLUMNS", "140")
        [line, *_] = json_lines(told("predict", "--format", "jsonl"))
        heading, _, row, *_ = told("predict", "--format", "terminal").splitlines()[1:]
        pairs = zip(line["scores"], line["original"], strict=True)
        assert row.split()[2:] == [f"{each:.6g}" for pair in pairs for each in pair]
        assert heading.split().count("original") == 3

    def test_of_a_program(self, forecaster):
        model = lrp.load(forecaster(output_scaling=SCALED)[0])
        for predicted, explained in zip(
            lrp.predict(model, SERIES), lrp.explain(model, SERIES, target=0), strict=True
        ):
            np.testing.assert_array_equal(predicted.original, unscaled(predicted.scores))
            np.testing.assert_array_equal(explained.original, predicted.original)
            assert explained.original_score == predicted.original[0]

    def test_at_every_step(self, run, forecaster, small):
        small.lstm["returns"] = "sequence"
        model, given = forecaster(output_scaling=SCALED)
        small.write("empty.jsonl", '{"values": []}\n{"values": [[1, 2, 3]]}\n')
        for command, options in (("predict", ()), ("explain", ("--step", "all"))):
            for name in (given, small.folder / "empty.jsonl"):
                result = run(command, model, name, "--format", "jsonl", "-q", *options)
                assert result.exit_code == 0, result.output
                lines = json_lines(result.stdout)
                assert len(lines) >= 2
                for line in lines:
                    wanted = unscaled(line["scores"]).tolist() if line["scores"] else []
                    assert line["original"] == wanted


class TestBehindASigmoid:
    """Values that were scaled to 0 and 1 are often predicted so: the score is that before it."""

    def save(self, forecaster, small):
        small.dense["activation"] = "sigmoid"
        return forecaster(output_scaling=SCALED)

    def test_originals_are_of_what_the_model_puts_out(self, forecaster, small):
        model = lrp.load(self.save(forecaster, small)[0])
        for each in lrp.predict(model, SERIES):
            wanted = unscaled(1 / (1 + np.exp(-each.scores)))
            np.testing.assert_allclose(each.original, wanted, rtol=1e-14)

    def test_relevance_has_no_original_unit(self, run, forecaster, small):
        result = run("explain", *self.save(forecaster, small), "--format", "terminal")
        assert result.exit_code == 0
        told = "relevance is of the score before the last activation, and not in original units"
        assert told in result.stdout.replace("\n  ", " ")
        assert f"units           {told}" in result.stderr


class TestTheTask:
    """Who says how values were scaled, says that they are values."""

    @pytest.mark.parametrize("task", [{}, {"task": "regression"}])
    def test_is_regression(self, run, forecaster, task):
        model, _ = forecaster(output_scaling=SCALED, **task)
        found = json.loads(run("inspect", model, "--format", "json").stdout)
        assert found["task"] == "regression"
        assert found["output_scaling"] == SCALED
        assert found["assumptions"] == []

    def test_where_the_file_leaves_it_open(self, tmp_path, run):
        """As a state dict does, of which it is then no assumption."""
        from lstm_lrp_cli.loading.files.safetensors import write_safetensors

        rng = np.random.default_rng(1)
        shapes = {
            "lstm.weight_ih_l0": (8, 3), "lstm.weight_hh_l0": (8, 2),
            "lstm.bias_ih_l0": (8,), "lstm.bias_hh_l0": (8,),
            "fc.weight": (1, 2), "fc.bias": (1,),
        }  # fmt: skip
        path = tmp_path / "model.safetensors"
        with path.open("wb") as file:
            write_safetensors(file, {key: rng.normal(size=shape) for key, shape in shapes.items()})
        np.save(tmp_path / "x.npy", SERIES)
        assert "none is predicted (task or labels)" in run("inspect", path).stdout
        (tmp_path / "model.yaml").write_text("output_scaling: {minus: 12.5, divide: 7.3}\n")
        result = run("predict", path, tmp_path / "x.npy", "--format", "jsonl")
        assert "task" not in result.stderr
        for line in json_lines(result.stdout):
            assert line["original"] == [line["scores"][0] * 7.3 + 12.5]
        assert "output_scaling from model.yaml" in run("inspect", path).stdout

    def test_the_reconstruction_error_is_in_the_models_units(self, run, forecaster, small):
        small.lstm["returns"] = "sequence"
        model, given = forecaster(output_scaling=SCALED)
        result = run("explain", model, given, "--target", "error", "--format", "jsonl", "-q")
        assert result.exit_code == 0, result.output
        assert all("original" not in line for line in json_lines(result.stdout))


class TestKept:
    @pytest.mark.parametrize("ending", ["npz", "safetensors"])
    @pytest.mark.parametrize(
        "scaled",
        [
            SCALED,
            {"minus": [1.0, 2.0, 3.0], "divide": 2.0, "invert": True},
            [{"divide": 10.0}, {"minus": "c", "divide": 0.5}],
        ],
        ids=["once", "backwards", "twice"],
    )
    def test_with_the_model(self, run, told, small, ending, scaled):
        wanted = told("predict", scaled=scaled)
        out, whole = small.folder / f"out.{ending}", small.folder / "whole.yaml"
        assert run("convert", small.path, out).exit_code == 0
        given = small.folder / "x.npz"
        assert run("predict", out, given, "-q").stdout == wanted
        assert run("inspect", small.path, "--write-mapping", whole).exit_code == 0
        assert run("predict", small.path, given, "-q", "--mapping", whole).stdout == wanted

    def test_one_after_the_other_undone_from_the_end(self, told):
        twice = told(
            "predict", scaled=[{"minus": 3.0, "divide": 10.0}, {"minus": 1.0, "divide": 0.5}]
        )
        for row in table(twice):
            for name in NAMES:
                wanted = (float(row[f"score:{name}"]) * 0.5 + 1.0) * 10.0 + 3.0
                assert float(row[f"original:{name}"]) == pytest.approx(wanted, rel=1e-14)

    def test_by_pickling(self, forecaster):
        model = lrp.load(forecaster(output_scaling=SCALED, features=["a", "b", "c"])[0])
        again = pickle.loads(pickle.dumps(model))
        assert again.inputs[0].features == ("a", "b", "c")
        one, other = (lrp.predict(each, SERIES)[0].original for each in (model, again))
        np.testing.assert_array_equal(one, other)


class TestAScalersFile:
    """What scikit-learn scaled the values by, and what its inverse makes of the model's outputs."""

    @pytest.fixture
    def scalers(self, forecaster, small):
        forecaster()
        unpack(TESTS / "golden" / "scikit_learn" / "1.9.1-py3.13.tar.bz2", small.folder)
        return json.loads((small.folder / "expected.json").read_text())["scalers"]

    def undone(self, forecaster, scaled, **mapping):
        return lrp.load(forecaster(output_scaling=scaled, **mapping)[0]).output_scaling.undone

    def test_to_the_last_digit(self, forecaster, scalers):
        def numbers(texts):
            return np.array([[float.fromhex(text) for text in row] for row in texts])

        for name, expected in scalers.items():
            undone = self.undone(forecaster, {"file": f"{name}.joblib"}, labels=None)
            back = undone(numbers(expected["made"]))
            np.testing.assert_array_equal(back, numbers(expected["back"]), err_msg=name)

    @pytest.mark.parametrize(
        ("picked", "labels", "columns"),
        [
            ({}, ["rain", "temperature", "wind"], ["rain", "temperature", "wind"]),
            ({}, ["a", "b", "c"], ["temperature", "wind", "rain"]),
            ({"features": ["wind"]}, ["1 h", "2 h", "3 h"], ["wind"] * 3),
            ({"features": [2, 0, 2]}, None, ["rain", "temperature", "rain"]),
        ],
        ids=["by labels", "in order", "one of all", "by number"],
    )
    def test_columns(self, forecaster, scalers, picked, labels, columns):
        found = self.undone(forecaster, {"file": "scaler_named.pickle"} | picked, labels=labels)
        whole = self.undone(forecaster, {"file": "scaler_named.pickle"}, labels=None)
        row = np.array([[0.25, 0.5, 2.0]])
        for place, column in enumerate(columns):
            at = ["temperature", "wind", "rain"].index(column)
            wanted = whole(np.full((1, 3), row[0, place]))[0, at]
            assert found(row)[0, place] == wanted

    def test_from_the_command_line(self, run, forecaster, small, scalers, monkeypatch):
        monkeypatch.chdir(small.folder)
        model, given = forecaster(output_scaling={"file": "scaler_robust.joblib"})
        wanted = run("predict", model, given).stdout
        assert "original:" in wanted
        model, given = forecaster(output_scaling=None, task="regression")
        options = ("--set", "output_scaling=scaler_robust.joblib")
        assert run("predict", model, given, *options).stdout == wanted

    @pytest.mark.parametrize("kind", ["scaling", "output_scaling"])
    def test_names_that_are_partly_others_are_asked_for(self, run, forecaster, scalers, kind):
        names = ["wind", "rain", "pressure"]
        named = {"features": names} if kind == "scaling" else {"labels": names}
        scaled = {kind: {"file": "scaler_named.joblib"}}
        model, given = forecaster(task="regression", **{"labels": None} | named | scaled)
        result = run("predict", model, given)
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        problem = f"scales temperature, wind, rain; {kind} is of wind, rain, pressure; expected"
        assert problem in line

    def test_a_scaler_of_another_width(self, run, forecaster, scalers, small):
        small.arrays["V"], small.arrays["c"] = small.arrays["V"][:2], small.arrays["c"][:2]
        scaled = {"file": "scaler_named.joblib"}
        model, given = forecaster(output_scaling=scaled, labels=["a", "b"])
        result = run("predict", model, given)
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert "scales 3 columns (temperature, wind, rain), and output_scaling is of 2" in line


class TestReadBack:
    @pytest.mark.parametrize("form", ["jsonl", "parquet-nested"])
    def test_with_the_results(self, told, framework, form):
        if form != "jsonl":
            framework("pyarrow")
        file = told("explain", "--format", form, output="results")
        results = [result for block in read_results(str(file)) for result in block]
        assert len(results) == 9
        for result in results:
            assert result.original == unscaled(result.scores).tolist()
        plain = told("explain", "--format", form, output="plain", scaled=None)
        assert all(each.original == [] for block in read_results(str(plain)) for each in block)

    @pytest.mark.parametrize("command", [("summarize",), ("compare", "--")])
    def test_by_commands(self, run, told, command):
        name, *_ = command
        file = told("explain", "--format", "jsonl", output="results.jsonl")
        result = run(name, *([file] if name == "summarize" else [file, file]))
        assert result.exit_code == 0, result.output

    def test_not_where_they_are_of_other_scores(self, told):
        file = told("explain", "--format", "jsonl", output="results.jsonl")
        [result, *_], *_ = read_results(str(file))
        problem = misfit(replace(result, original=[1.0]))
        assert problem == "has 3 `scores` and 1 of `original`"


class TestChecked:
    """Expected scores may be in original units; they are compared in the model's own."""

    def expected(self, forecaster, scaled, change=0.0):
        path, given = forecaster(output_scaling=scaled)
        model = lrp.load(path)
        originals = np.array([each.original for each in lrp.predict(model, SERIES)])
        np.save(path.parent / "expected.npy", originals + change)
        return path, given, "--expected", path.parent / "expected.npy"

    def forward(self, result):
        checks = json.loads(result.stdout)["checks"]
        return next(each for each in checks if each["name"] == "forward")

    @pytest.mark.parametrize("divide", [7.3, 1e-7, 1e6])
    def test_they_pass(self, run, forecaster, divide):
        scaled = {"minus": 3.0 * divide, "divide": divide}
        result = run("check", *self.expected(forecaster, scaled), "--format", "json")
        assert result.exit_code == 0, result.output
        forward = self.forward(result)
        assert forward["meaning"] == "original values = expected original values"
        assert forward["worst"] < 1e-9

    @pytest.mark.parametrize("divide", [7.3, 1e-7, 1e6])
    def test_what_is_small_in_their_units_is_not_for_that_in_the_models(
        self, run, forecaster, divide
    ):
        scaled = {"minus": 3.0 * divide, "divide": divide}
        result = run("check", *self.expected(forecaster, scaled, 0.01 * divide), "--format", "json")
        assert result.exit_code == 1, result.output
        forward = self.forward(result)
        assert 1e-3 < forward["worst"] < 0.1

    def test_the_models_own_units_pass_as_ever(self, run, forecaster):
        path, given = forecaster(output_scaling=SCALED)
        scores = np.array([each.scores for each in lrp.predict(lrp.load(path), SERIES)])
        np.save(path.parent / "expected.npy", scores)
        result = run("check", path, given, "--expected", path.parent / "expected.npy")
        assert result.exit_code == 0, result.output
        assert "scores = expected scores" in result.stdout.replace("\n", "")

    def test_a_mapping_is_matched_by_them(self, run, forecaster, small):
        arguments = self.expected(forecaster, SCALED)
        small.lstm["gate_order"] = ["i", "f", "o", "g"]
        small.save()
        found = small.folder / "found.yaml"
        result = run("match", *arguments, "--write-mapping", found)
        assert result.exit_code == 0, result.output
        wanted = run("predict", small.path, arguments[1], "-q", "--mapping", found).stdout
        expected = np.load(small.folder / "expected.npy")
        rows = [[float(row[f"original:{name}"]) for name in NAMES] for row in table(wanted)]
        np.testing.assert_allclose(rows, expected, rtol=1e-9)


class TestRefused:
    @pytest.mark.parametrize(
        ("scaled", "problem"),
        [
            ({"divide": [1.0, 2.0]}, "output_scaling.divide: found 2 numbers; expected 3"),
            ({"divide": 0.0}, "output_scaling.divide: found 0; expected numbers to divide by"),
            ({"minus": 1.0}, "output_scaling: expected one of divide and variance"),
            ({"divide": 1.0, "inside": True}, "output_scaling.inside: is of inputs"),
            (
                [{"divide": 1.0}, {"divide": float("inf")}],
                "output_scaling[1].divide: found a number that is not finite",
            ),
            ({"by": 2.0}, "output_scaling: unknown key `by`"),
        ],
    )
    def test_in_one_line(self, run, forecaster, scaled, problem):
        result = run("predict", *forecaster(output_scaling=scaled))
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert problem in line

    def test_of_classes(self, run, forecaster):
        result = run("predict", *forecaster(output_scaling=SCALED, task="classification"))
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert "output_scaling: is of predicted values, and the model predicts classes" in line

    def test_behind_a_softmax(self, run, forecaster, small):
        small.dense["activation"] = "softmax"
        result = run("predict", *forecaster(output_scaling=SCALED))
        assert result.exit_code == 3
        problem = "output_scaling: is of predicted values, and the model ends in a softmax"
        assert problem in result.stderr

    def test_null_takes_it_away(self, forecaster):
        path, _ = forecaster(output_scaling=None, task="regression")
        assert load_model(path, None, np.dtype("float64")).model.output_scaling is None
