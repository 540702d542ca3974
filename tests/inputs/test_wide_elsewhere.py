"""Wide tables that are no CSV: of other formats, of programs, and on the command line."""

import json

import numpy as np
import pytest
from made_models import make_model
from models import SAMPLES, WEATHER

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import LeftOut, WrongUsage
from lstm_lrp_cli.model.layers import Dense

MODEL = make_model(Dense(np.ones((2, 2)), None), classes=2, labels=("dry", "wet"))
SEATTLE = SAMPLES / "data" / "seattle-weather.csv"
DAYS = ("2020-01-01", "2020-01-02", "2020-01-03")
COLUMNS = {"a": [1.0, 2.0, 3.0], "b": [10, 20, 30]}
ROWS = [[1, 10], [2, 20], [3, 30]]


def told(sequences):
    return [(each.id, each.inputs.tolist(), each.dates) for each in sequences]


class TestFiles:
    @pytest.mark.parametrize("form", ["parquet", "feather", "tsv"])
    def test_of_types_and_of_text(self, tmp_path, framework, form):
        pandas = framework("pandas")
        framework("pyarrow")
        table = pandas.DataFrame({"at": pandas.to_datetime(list(DAYS)), **COLUMNS})
        path = tmp_path / f"in.{form}"
        if form == "tsv":
            table.to_csv(path, sep="\t", index=False)
        else:
            getattr(table, f"to_{form}")(path)
        at = DAYS if form == "tsv" else tuple(f"{day} 00:00:00" for day in DAYS)
        assert told(lrp.read(path, MODEL, window=2, stride=1)) == [
            (at[0], ROWS[:2], at[:2]),
            (at[1], ROWS[1:], at[1:]),
        ]

    def test_of_zones_groups_and_labels(self, tmp_path, framework):
        pandas = framework("pandas")
        framework("pyarrow")
        at = pandas.date_range("2020-01-01", periods=4, freq="h", tz="Europe/Berlin")
        table = pandas.DataFrame(
            {"at": at, "a": 1, "b": [True, False, True, True], "g": [3, 3, 7, 7], "y": [0, 1, 1, 0]}
        )
        table.to_parquet(tmp_path / "in.parquet")
        found = list(lrp.read(tmp_path / "in.parquet", MODEL, group="g", label="y"))
        assert [(each.id, each.gold) for each in found] == [(3, 1), (7, 0)]
        assert found[0].inputs.tolist() == [[1, 1], [1, 0]]
        assert found[1].dates == ("2020-01-01 02:00:00+01:00", "2020-01-01 03:00:00+01:00")

    def test_missing_values_are_named(self, tmp_path, framework):
        pandas = framework("pandas")
        framework("pyarrow")
        table = pandas.DataFrame({"day": DAYS, "a": [1.0, None, 2.0], "b": 1})
        table.to_parquet(tmp_path / "in.parquet")
        with pytest.raises(lrp.UnusableInput, match=r"row 2: day 2020-01-02: `a` is missing"):
            list(lrp.read(tmp_path / "in.parquet", MODEL))

    def test_of_sequences_and_steps(self, tmp_path):
        path = tmp_path / "in.tsv"
        path.write_text("sequence\tstep\ta\tb\nx\t0\t1\t10\nx\t1\t2\t20\ny\t0\t3\t30\n")
        assert told(lrp.read(path, MODEL)) == [("x", ROWS[:2], None), ("y", ROWS[2:], None)]


class TestInMemory:
    def test_an_index_of_dates(self, framework):
        pandas = framework("pandas")
        table = pandas.DataFrame(COLUMNS, index=pandas.DatetimeIndex(DAYS))
        [one] = lrp.sequences(table, MODEL)
        assert told([one]) == [(None, ROWS, DAYS)]
        hours = table.set_axis(pandas.date_range("2020-01-01 22:30", periods=3, freq="h"))
        [late] = lrp.sequences(hours, MODEL)
        assert late.dates[1:] == ("2020-01-01 23:30:00", "2020-01-02 00:30:00")
        months = table.set_axis(pandas.period_range("2020-01", periods=3, freq="M"))
        assert next(lrp.sequences(months, MODEL)).dates[2] == "2020-03-01"
        windows = list(lrp.sequences(table, MODEL, window=2))
        assert [each.dates for each in windows] == [DAYS[:2], DAYS[1:]]
        with pytest.raises(lrp.UnusableInput, match="row 1: `date` is 2020-01-02 after"):
            list(lrp.sequences(table[::-1], MODEL))

    def test_an_index_of_texts_or_of_several_levels(self, framework):
        pandas = framework("pandas")
        table = pandas.DataFrame(COLUMNS, index=pandas.Index(DAYS))
        assert told(lrp.sequences(table, MODEL)) == [(None, ROWS, DAYS)]
        days = pandas.to_datetime(list(DAYS[:2]))
        pairs = pandas.MultiIndex.from_product([["u", "v"], days], names=["city", "day"])
        table = pandas.DataFrame({"a": range(4), "b": range(4)}, index=pairs)
        found = [each.id for each in lrp.sequences(table, MODEL, group="city")]
        assert found == ["u", "v"]
        with (
            pytest.warns(LeftOut, match="`city` left out"),
            pytest.raises(lrp.UnusableInput, match=r"row 2: `day` is .* after .*--group"),
        ):
            list(lrp.sequences(table, MODEL))
        by_city = table.reset_index("day")
        assert [each.id for each in lrp.sequences(by_city, MODEL, group="city")] == found

    def test_what_is_missing(self, framework):
        pandas = framework("pandas")
        table = pandas.DataFrame(COLUMNS).assign(g=pandas.array(["u", None, "u"], dtype="string"))
        with pytest.raises(lrp.UnusableInput, match="row 1: `g` is missing; expected of which ser"):
            list(lrp.sequences(table, MODEL, group="g"))
        table = table.assign(a=pandas.array([1, None, 2], dtype="Int64"))
        with pytest.raises(lrp.UnusableInput, match="row 1: `a` is missing; expected a finite num"):
            list(lrp.sequences(table[["a", "b"]], MODEL))

    def test_several_tables_are_a_sequence_each(self, framework):
        pandas = framework("pandas")
        table = pandas.DataFrame(COLUMNS, index=pandas.DatetimeIndex(DAYS))
        found = list(lrp.sequences([table, table[:2]], MODEL))
        assert [each.number for each in found] == [0, 1]
        assert told(found) == [(None, ROWS, DAYS), (None, ROWS[:2], DAYS[:2])]
        broken = table.assign(b=[1, None, 2])
        with pytest.raises(lrp.UnusableInput, match="sequence 1: row 1: date 2020-01-02: `b`"):
            list(lrp.sequences([table, broken], MODEL))

    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
    def test_columns_of_dates_groups_and_labels(self, framework, library):
        columns = {"g": ["u", "u", "v"], "day": list(DAYS), **COLUMNS, "y": ["dry", "wet", "dry"]}
        module = framework(library)
        table = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
        found = list(lrp.sequences(table, MODEL, group="g", label="y"))
        assert told(found) == [("u", ROWS[:2], DAYS[:2]), ("v", ROWS[2:], DAYS[2:])]
        assert [each.gold for each in found] == [1, 0]

    def test_what_is_no_table_of_numbers(self):
        with pytest.raises(WrongUsage, match="is of a table of numbers"):
            list(lrp.sequences(np.ones((4, 2)), MODEL, window=2))
        with pytest.raises(WrongUsage, match="is 0; expected a whole number of rows, from 1"):
            list(lrp.read("x.csv", MODEL, window=0))

    def test_dates_of_explanations(self, framework):
        pandas = framework("pandas")
        table = pandas.DataFrame(COLUMNS, index=pandas.DatetimeIndex(DAYS))
        [one] = lrp.explain(MODEL, table)
        assert one.dates == DAYS


class TestOnTheCommandLine:
    def test_windows_with_labels(self, run, tmp_path):
        """The sample model says whether it rains on the last day of a window."""
        rows = [line.split(",") for line in SEATTLE.read_text().splitlines()[:30]]
        header, *days = rows
        lines = [[*header, "city"], *([*day, city] for day in days for city in ("A", "B"))]
        for line in lines[1:]:
            line[5] = str(int(line[5] == "rain"))
        path = tmp_path / "in.csv"
        path.write_text("\n".join(map(",".join, lines)))
        asked = ("--window", 7, "--stride", 7, "--group", "city", "--date", "date")
        result = run("predict", WEATHER.model, path, *asked, "--label", "weather",
                     "--format", "jsonl")  # fmt: skip
        assert result.exit_code == 0, result.stderr
        found = [json.loads(line) for line in result.stdout.splitlines()]
        starts = ["2012/01/01", "2012/01/08", "2012/01/15", "2012/01/22"]
        assert [each["id"] for each in found] == [f"{c} {day}" for day in starts for c in "AB"]
        ends = [int(days[k][5] == "rain") for k in (6, 13, 20, 27) for _ in "AB"]
        assert [each["label"] for each in found] == ends
        assert set(ends) == {0, 1}
        assert "warning: " in result.stderr
        assert "2 rows behind the last windows left out" in result.stderr
        quiet = run("predict", WEATHER.model, path, *asked, "--label", "weather", "-q")
        assert quiet.stderr == ""

    def test_arrays_and_labels(self, run, tmp_path):
        rng = np.random.default_rng(2)
        values, classes = rng.standard_normal((4, 9, 4)), np.array([1, 0, 1, 1])
        np.savez(tmp_path / "in.npz", X_test=values, y_test=classes, X_train=values[:2])
        path = tmp_path / "in.npz"
        refused = run("explain", WEATHER.model, path)
        assert refused.exit_code == 3
        assert "name one: --array X_t" in refused.stderr
        asked = ("predict", WEATHER.model, path, "--array", "X_test", "-q", "--format", "jsonl")
        by_name = run(*asked, "--labelled")
        assert [json.loads(line)["label"] for line in by_name.stdout.splitlines()] == [1, 0, 1, 1]
        np.save(tmp_path / "y.npy", 1 - classes)
        by_file = run(*asked, "--label", tmp_path / "y.npy")
        assert [json.loads(line)["label"] for line in by_file.stdout.splitlines()] == [0, 1, 0, 0]

    def test_a_sentence_has_no_windows(self, run):
        model = SAMPLES / "sentiment_keras" / "model.h5"
        result = run("explain", model, "--text", "not bad", "--window", 3)
        assert result.exit_code == 2
        assert "--window is for files" in result.stderr

    def test_nothing_is_said_of_a_baseline_with_q(self, run, tmp_path):
        path = tmp_path / "in.csv"
        path.write_text("\n".join(SEATTLE.read_text().splitlines()[:8]))
        asked = ("--window", 5, "--stride", 5, "--baseline", f"mean:{path}")
        asked = ("explain", WEATHER.model, path, "--method", "occlusion", *asked)
        assert run(*asked).stderr.count("left out") == 2
        assert run(*asked, "-q").stderr == ""

    def test_standard_input(self, run):
        text = SEATTLE.read_text().splitlines()[:6]
        result = run("predict", WEATHER.model, "-", "--window", 5, input="\n".join(text))
        assert "warning: standard input: `weather` left out" in result.stderr
        assert result.stdout.splitlines()[1].startswith("0\t2012/01/05\t")

    def test_compare_evaluate_and_check_take_them(self, run, tmp_path):
        path = tmp_path / "in.csv"
        lines = [line.rpartition(",")[0] for line in SEATTLE.read_text().splitlines()[:12]]
        path.write_text("\n".join(lines))
        asked = ("--window", 4, "--stride", 3)
        same = run("compare", WEATHER.model, WEATHER.model, "--input", path, *asked)
        assert "3 sequences" in same.stdout
        checked = run("check", WEATHER.model, path, *asked)
        assert checked.exit_code == 0, checked.stderr
        judged = run("evaluate", WEATHER.model, path, *asked, "--methods", "lrp-all", "--format",
                     "json", "--min-length", 1)  # fmt: skip
        assert json.loads(judged.stdout)["sequences"] == 3
