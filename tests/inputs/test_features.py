"""Features have names, by which the columns of tables are chosen."""

import json

import numpy as np
import pytest
from models import json_lines, table
from several import SeveralInputs

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput

NAMES = ["rain", "wind", "temp"]
VALUES = np.arange(18.0).reshape(2, 3, 3)


@pytest.fixture
def weather(small):
    """A model of three numbers a step, whose features have names."""

    def save(features=NAMES, **mapping):
        small.mapping["layers"] = [{"lstm": small.lstm}, {"dense": small.dense}]
        small.mapping.pop("vocabulary", None)
        small.mapping |= {"unused": ["E"], "task": "regression", **mapping}
        if features is not None:
            small.mapping["features"] = features
        return small.save()

    return save


def csv_of(columns):
    """The values as CSV with columns in this order, some of which may be text."""
    lines = [",".join(["sequence", "step", *columns])]
    for number, series in enumerate(VALUES):
        for step, row in enumerate(series):
            cells = dict(zip(NAMES, map(str, row), strict=True))
            own = [cells.get(column, f"{column} of {step}") for column in columns]
            lines.append(",".join([str(number), str(step), *own]))
    return "\n".join(lines) + "\n"


def explained(run, small, name, *options):
    result = run("explain", small.path, small.folder / name, "--format", "jsonl", "-q", *options)
    assert result.exit_code == 0, result.output
    return json_lines(result.stdout)


class TestArrays:
    def test_have_the_names(self, run, small, weather):
        weather()
        np.save(small.folder / "x.npy", VALUES)
        for line in explained(run, small, "x.npy"):
            assert line["features"] == NAMES
        rows = table(run("explain", small.path, small.folder / "x.npy", "-q").stdout)
        assert [row["feature"] for row in rows[:3]] == NAMES

    def test_are_numbered_without(self, run, small, weather):
        weather(None)
        np.save(small.folder / "x.npy", VALUES)
        assert explained(run, small, "x.npy")[0]["features"] == [f"feature_{k}" for k in range(3)]

    def test_of_another_width_are_refused_as_ever(self, run, small, weather):
        np.savez(small.folder / "x.npz", a=VALUES[0, :, :2])
        result = run("predict", weather(), small.folder / "x.npz")
        assert result.exit_code == 3
        assert "has 2 features (feature_0, feature_1); the model takes 3" in result.stderr

    def test_in_python(self, weather):
        model = lrp.load(weather())
        assert model.inputs[0].features == tuple(NAMES)
        [one, _] = lrp.sequences(VALUES, model)
        assert one.features == tuple(NAMES)


class TestTables:
    """Whatever the order of the columns, the model is given its features in its own."""

    @pytest.mark.parametrize(
        "columns",
        [NAMES, ["temp", "rain", "wind"], ["date", "wind", "city", "temp", "rain"]],
        ids=", ".join,
    )
    def test_csv(self, run, small, weather, columns):
        weather()
        small.write("x.csv", csv_of(columns))
        np.save(small.folder / "x.npy", VALUES)
        pairs = zip(explained(run, small, "x.csv"), explained(run, small, "x.npy"), strict=True)
        for own, wanted in pairs:
            assert own["features"] == NAMES
            for key in ("values", "scores", "relevance"):
                assert own[key] == wanted[key]

    @pytest.mark.parametrize("command", ["predict", "explain", "check"])
    def test_of_columns_that_are_left_out_no_warning(self, run, small, weather, command):
        """They were named: the report has which."""
        path = small.write("x.csv", csv_of(["date", "wind", "city", "temp", "rain"]))
        result = run(command, weather(), path)
        assert "warning" not in result.stderr
        line = f"features        {', '.join(NAMES)}\n"
        assert (line in result.stderr) == (command != "check")

    @pytest.mark.parametrize("command", ["predict", "explain"])
    def test_reports_have_their_names(self, run, small, weather, command):
        path = small.write("x.csv", csv_of(["date", *NAMES]))
        report = small.folder / "report.json"
        run(command, weather(), path, "-q", "--report", report)
        assert json.loads(report.read_text())["features"] == NAMES

    def test_without_names_order_counts_alone(self, run, small, weather):
        weather(None)
        small.write("x.csv", csv_of(["temp", "rain", "wind"]))
        assert explained(run, small, "x.csv")[0]["features"] == ["temp", "rain", "wind"]

    def test_json_lines(self, run, small, weather):
        weather()
        columns = ["wind", "temp", "city", "rain"]
        places = [NAMES.index(name) if name in NAMES else 0 for name in columns]
        lines = [
            json.dumps({"values": series[:, places].tolist(), "features": columns})
            for series in VALUES
        ]
        small.write("x.jsonl", "\n".join(lines))
        small.write("plain.jsonl", "\n".join(json.dumps({"values": s.tolist()}) for s in VALUES))
        found = explained(run, small, "x.jsonl")
        assert found == explained(run, small, "plain.jsonl")
        assert found[0]["features"] == NAMES

    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_data_frames(self, framework, weather, library):
        frames, model = framework(library), lrp.load(weather())
        columns = {"day": ["mon", "tue", "wed"]}
        columns |= {name: VALUES[0, :, NAMES.index(name)] for name in ("temp", "rain", "wind")}
        [one] = lrp.sequences(frames.DataFrame(columns), model)
        np.testing.assert_array_equal(one.inputs, VALUES[0])
        assert one.features == tuple(NAMES)
        [one] = lrp.sequences([frames.DataFrame(columns)], model)
        np.testing.assert_array_equal(one.inputs, VALUES[0])

    def test_of_one_of_several_inputs(self, run, tmp_path):
        several = SeveralInputs(tmp_path)
        several.mapping["inputs"][2]["features"] = ["age", "income", "height"]
        model = lrp.load(several.save())
        wanted = lrp.explain(model, lrp.read(several.lines(), model))
        lines = json_lines(several.lines().read_text())
        for line in lines:
            age, income, height = line["person"]
            line["person"] = [height, age, income]
            line["features"] = {"person": ["height", "age", "income"]}
        (tmp_path / "other.jsonl").write_text("\n".join(map(json.dumps, lines)))
        found = lrp.explain(model, lrp.read(tmp_path / "other.jsonl", model))
        for one, other in zip(found, wanted, strict=True):
            assert one.features["person"] == ("age", "income", "height")
            np.testing.assert_array_equal(one.scores, other.scores)


class TestKept:
    def test_written_out_and_shown(self, run, small, weather):
        weather()
        assert "rain, wind, temp" in run("inspect", small.path).stdout
        found = json.loads(run("inspect", small.path, "--format", "json").stdout)
        assert found["features"] == NAMES
        for option in ("--write-mapping",):
            whole = small.folder / "whole.yaml"
            assert run("inspect", small.path, option, whole).exit_code == 0
            assert lrp.load(small.path, whole).inputs[0].features == tuple(NAMES)
        out = small.folder / "out.npz"
        assert run("convert", small.path, out).exit_code == 0
        assert lrp.load(out).inputs[0].features == tuple(NAMES)

    def test_numbers_are_names_too(self, weather):
        assert lrp.load(weather([2019, 2020, 2021])).inputs[0].features == ("2019", "2020", "2021")


class TestRefused:
    @pytest.mark.parametrize(
        ("features", "problem"),
        [
            (["a", "b"], "features: found 2 (a, b); the model takes 3"),
            (["a", "b", "a"], "features: [a, b, a] names one twice"),
            (["a", "b", ""], "features: found an empty name"),
            ("a", "features: expected `array | null`, got `str`"),
        ],
    )
    def test_names_in_the_mapping(self, run, weather, features, problem):
        result = run("inspect", weather(features))
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert problem in line

    def test_of_tokens(self, run, small):
        small.mapping["features"] = NAMES
        result = run("inspect", small.save())
        assert result.exit_code == 3
        assert "features: are of numbers, and the input has an embedding" in result.stderr

    def test_for_several_inputs_at_once(self, run, tmp_path):
        several = SeveralInputs(tmp_path)
        several.mapping["features"] = NAMES
        result = run("inspect", several.save())
        assert result.exit_code == 3
        assert "features: there are 3 inputs; expected those of each in inputs" in result.stderr

    def test_a_table_that_lacks_one(self, run, small, weather):
        path = small.write("x.csv", csv_of(["rain", "city", "temp"]))
        result = run("predict", weather(), path)
        assert result.exit_code == 3
        [line] = result.stderr.splitlines()
        assert line == (
            f"lrp: {path}: line 1: has no `wind` (it has `rain`, `city`, `temp`); expected the "
            "model's features: `rain`, `wind`, `temp`, or `features` in the mapping with the names "
            "that stand here"
        )

    def test_a_table_that_has_one_twice(self, run, small, weather):
        path = small.write("x.csv", csv_of(["rain", "wind", "temp", "wind"]))
        result = run("predict", weather(), path)
        assert result.exit_code == 3
        assert "has 2 columns `wind`; rename all of them but one" in result.stderr

    def test_in_json_lines(self, weather, small):
        lines = ['{"values": [[1, 2, 3]]}', '{"values": [[1, 2, 3]], "features": ["a", "b", "c"]}']
        path = small.write("x.jsonl", "\n".join(lines))
        found = lrp.read(path, lrp.load(weather()))
        next(found)
        with pytest.raises(UnusableInput, match="line 2: has no `rain`, `wind`, `temp`"):
            next(found)
