"""Dates of a wide table: in every output, in what reads results, and in comparisons."""

import csv
import itertools
import json
import re

import numpy as np
import pytest
from models import SAMPLES, WEATHER
from several import SeveralInputs

import lstm_lrp_cli as lrp
from lstm_lrp_cli.results.read import read_results

SEATTLE = SAMPLES / "data" / "seattle-weather.csv"
DAYS = [f"2012/01/0{day}" for day in range(1, 6)]
FEATURES = ("precipitation", "temp_max", "temp_min", "wind")


@pytest.fixture
def days(tmp_path):
    """Five days of what the sample model was trained on, and their weather."""
    path = tmp_path / "days.csv"
    path.write_text("\n".join(SEATTLE.read_text().splitlines()[:6]) + "\n")
    return path


@pytest.fixture
def explained(run, days, tmp_path):
    """Explain windows of three days, and give what is written."""

    def explain(form, *more, command="explain"):
        path = tmp_path / f"out.{form}"
        result = run(
            command, WEATHER.model, days, "--window", 3, "--format", form, "-o", path, *more
        )
        assert result.exit_code == 0, result.stderr
        return path

    return explain


class TestRows:
    @pytest.mark.parametrize(("form", "delimiter"), [("tsv", "\t"), ("csv", ",")])
    def test_have_a_column_behind_the_position(self, explained, form, delimiter):
        rows = list(csv.DictReader(explained(form).read_text().splitlines(), delimiter=delimiter))
        assert list(rows[0])[:4] == ["sequence", "position", "date", "feature"]
        told = [(row["sequence"], row["position"], row["date"]) for row in rows]
        assert told == [
            (str(window), str(step), DAYS[window + step])
            for window in range(3)
            for step in range(3)
            for _ in FEATURES
        ]

    def test_of_whole_steps(self, explained):
        rows = list(csv.DictReader(explained("csv", "--by", "step").read_text().splitlines()))
        assert [row["date"] for row in rows] == [*DAYS[:3], *DAYS[1:4], *DAYS[2:]]

    def test_of_the_strongest(self, explained):
        rows = list(csv.DictReader(explained("csv", "--top", 2).read_text().splitlines()))
        assert all(row["date"] == DAYS[int(row["sequence"]) + int(row["position"])] for row in rows)

    def test_parquet(self, explained, framework):
        parquet = framework("pyarrow.parquet")
        rows = parquet.read_table(explained("parquet")).to_pylist()
        assert list(rows[0])[:4] == ["sequence", "position", "date", "feature"]
        assert [row["date"] for row in rows[::4]] == [*DAYS[:3], *DAYS[1:4], *DAYS[2:]]
        nested = parquet.read_table(explained("parquet-nested")).to_pylist()
        assert [row["dates"] for row in nested] == [DAYS[:3], DAYS[1:4], DAYS[2:]]

    def test_npz(self, explained):
        with np.load(explained("npz")) as arrays:
            ends, text = arrays["date_offsets"], arrays["date_bytes"].tobytes().decode()
        found = [text[start:end] for start, end in itertools.pairwise(ends)]
        assert found == [*DAYS[:3], *DAYS[1:4], *DAYS[2:]]

    def test_json_lines(self, explained):
        objects = [json.loads(line) for line in explained("jsonl").read_text().splitlines()]
        assert [each["dates"] for each in objects] == [DAYS[:3], DAYS[1:4], DAYS[2:]]
        assert [each["id"] for each in objects] == DAYS[:3]

    def test_without_dates_are_as_ever(self, run):
        result = run("explain", WEATHER.model, WEATHER.sequences, "--format", "tsv", "-q")
        assert result.stdout.startswith("sequence\tposition\tfeature\tvalue\ttarget")

    def test_jobs_change_nothing(self, run, days, tmp_path):
        for form in ("tsv", "jsonl", "html"):
            files = [tmp_path / f"{jobs}.{form}" for jobs in (1, 2)]
            for jobs, file in zip((1, 2), files, strict=True):
                arguments = ("--window", 2, "--format", form, "-q", "-o", file, "--jobs", jobs)
                assert run("explain", WEATHER.model, days, *arguments).exit_code == 0
            assert files[0].read_text() == files[1].read_text()


class TestPictures:
    def test_the_terminal_has_the_ends_below_the_cells(self, explained):
        lines = explained("terminal").read_text().splitlines()
        assert lines[2].startswith("0 (2012/01/01)")
        assert sum(line.strip() == "2012/01/01 to 2012/01/03" for line in lines) == 1

    def test_the_ends_stand_at_the_ends_where_they_fit(self, run, days):
        result = run("explain", WEATHER.model, SEATTLE, "--window", 30, "--stride", 2000,
                     "--format", "terminal", "-q")  # fmt: skip
        cells = next(line for line in result.stdout.splitlines() if line.startswith("wind"))
        axis = next(line for line in result.stdout.splitlines() if "2012/01/30" in line)
        assert axis.strip() == "2012/01/01" + 10 * " " + "2012/01/30"
        assert len(axis) == len(cells)

    def test_the_list_of_the_strongest(self, explained):
        text = explained("terminal", "--top", 1).read_text()
        assert re.search(r"\n1  [-+]\d\.\d{3} precipitation = 10\.9 at 2012/01/02\n", text)

    def test_markdown(self, explained):
        assert "             2012/01/02 to 2012/01/04\n" in explained("markdown").read_text()

    def test_the_page_has_them_in_its_data(self, explained):
        text = explained("html").read_text()
        assert '"dates":["2012/01/01","2012/01/02","2012/01/03"]' in text

    def test_a_notebook(self, days):
        model = lrp.load(WEATHER.model)
        with pytest.warns(UserWarning, match="`weather` left out"):
            [one] = lrp.explain(model, lrp.read(days, model))
        with pytest.warns(UserWarning, match="`weather` left out"):
            [steps] = lrp.explain(model, lrp.read(days, model), by="step")
        assert one.dates == tuple(DAYS)
        assert "2012/01/01 to 2012/01/05" in repr(one)
        assert "<title>2012/01/02: " in one._repr_html_()
        assert "<span>2012/01/01</span><span>2012/01/05</span>" in one._repr_html_()
        assert "2012/01/03(" in repr(steps)

    def test_escaped(self, run, tmp_path):
        hostile = tmp_path / "x.jsonl"
        hostile.write_text(json.dumps({"values": [[1, 1, 1, 1]], "dates": ["</script>\t\x1b[2J"]}))
        page = run("explain", WEATHER.model, hostile, "--format", "html", "-q").stdout
        assert "</script>\t" not in page
        assert "\x1b" not in run("explain", WEATHER.model, hostile, "--format", "terminal").stdout
        table = run("explain", WEATHER.model, hostile, "--format", "tsv", "-q").stdout
        assert '\t"</script>\t\x1b[2J"\t' in table


class TestPredictions:
    def test_have_the_date_of_the_last_step(self, explained):
        rows = list(csv.DictReader(explained("csv", command="predict").read_text().splitlines()))
        assert list(rows[0])[:2] == ["sequence", "date"]
        assert [row["date"] for row in rows] == DAYS[2:]
        lines = explained("jsonl", command="predict").read_text().splitlines()
        assert [json.loads(line)["date"] for line in lines] == DAYS[2:]
        assert "3, 2012/01/02 to 2012/01/04" in explained("terminal", command="predict").read_text()

    def test_of_each_step_have_its_own(self, run, days, tmp_path):
        mapping = tmp_path / "m.yaml"
        text = (WEATHER.model.parent / "model.yaml").read_text()
        mapping.write_text(text.replace("returns: last", "returns: sequence"))
        asked = (WEATHER.model, days, "--mapping", mapping, "-q")
        rows = run("predict", *asked, "--format", "tsv").stdout.splitlines()
        assert [row.split("\t")[:3] for row in rows[1:]] == [
            ["0", str(step), day] for step, day in enumerate(DAYS)
        ]
        assert DAYS[3] in run("predict", *asked, "--format", "terminal").stdout

    def test_may_stand_beside_what_is_expected(self, explained, run, days, tmp_path):
        rows = csv.DictReader(explained("csv", command="predict").read_text().splitlines())
        scores = tmp_path / "scores.csv"
        lines = [f"{row['sequence']},{row['date']},{row['score:rain']}" for row in rows]
        scores.write_text("\n".join(["sequence,date,rain", *lines]))
        result = run("check", WEATHER.model, days, "--window", 3, "--expected", scores)
        assert result.exit_code == 0, result.stderr


class TestResults:
    @pytest.mark.parametrize("form", ["jsonl", "parquet", "parquet-nested"])
    def test_are_read_with_them(self, explained, form):
        if form != "jsonl":
            pytest.importorskip("pyarrow")
        found = [each for block in read_results(str(explained(form))) for each in block]
        assert [each.dates for each in found] == [DAYS[:3], DAYS[1:4], DAYS[2:]]

    def test_of_another_number_are_refused(self, run, explained):
        path = explained("jsonl")
        line = json.loads(path.read_text().splitlines()[0]) | {"dates": DAYS}
        path.write_text(json.dumps(line) + "\n")
        result = run("summarize", path)
        assert result.exit_code == 3
        assert "line 1: has 5 `dates` and 3 values of `relevance`" in result.stderr

    def test_are_named_where_sides_differ(self, run, explained, tmp_path):
        path = explained("jsonl", "--by", "step")
        changed = [json.loads(line) for line in path.read_text().splitlines()]
        changed[0]["relevance"][1] += 5
        other = tmp_path / "other.jsonl"
        other.write_text("".join(json.dumps(each) + "\n" for each in changed))
        text = run("compare", path, other, "--rank", "difference", "--top", 1).stdout
        assert re.search(r"largest difference 5 at 2012/01/02\n.* 2012/01/01 +2012/01/02 ", text)
        found = json.loads(run("compare", path, other, "--format", "json").stdout)
        assert found["most_different"][0]["dates"] == DAYS[:3]

    def test_methods_are_compared_with_them(self, run, days):
        result = run("compare", WEATHER.model, "--methods", "lrp-all,gradient", "--input", days,
                     "--window", 3, "--format", "json")  # fmt: skip
        assert json.loads(result.stdout)["most_different"][0]["dates"] in (
            DAYS[:3], DAYS[1:4], DAYS[2:]
        )  # fmt: skip


class TestJsonLines:
    def test_have_dates_too(self, run, tmp_path):
        path = tmp_path / "in.jsonl"
        objects = [{"values": [[0, 0, 0, day]], "dates": [DAYS[day]]} for day in range(2)]
        path.write_text("".join(json.dumps(each) + "\n" for each in objects))
        rows = run("explain", WEATHER.model, path, "-q", "--by", "step").stdout.splitlines()
        assert [row.split("\t")[:3] for row in rows] == [
            ["sequence", "position", "date"], ["0", "0", DAYS[0]], ["1", "0", DAYS[1]]
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ({"dates": DAYS}, "line 1: has 5 `dates` of 1 steps"),
            ({"dates": [3]}, "line 1: Expected `str`, got `int`"),
        ],
    )
    def test_that_do_not_fit_are_refused(self, run, tmp_path, line, problem):
        path = tmp_path / "in.jsonl"
        path.write_text(json.dumps({"values": [[0, 0, 0, 1]]} | line) + "\n")
        assert problem in run("explain", WEATHER.model, path).stderr

    def test_that_come_late_have_no_column(self, tmp_path):
        """The header is written before it is known what others have; none is lost silently."""
        path, model = tmp_path / "in.jsonl", lrp.load(WEATHER.model)
        lines = [{"values": [[0, 0, 0, 1]]}, {"values": [[0, 0, 0, 1]], "dates": DAYS[:1]}]
        path.write_text("".join(json.dumps(each) + "\n" for each in lines))
        found = lrp.explain(model, lrp.read(path, model))
        lrp.write(found, tmp_path / "out.jsonl")
        assert "dates" in (tmp_path / "out.jsonl").read_text().splitlines()[1]
        for form in ("tsv", "npz"):
            with pytest.raises(lrp.UnusableInput, match="sequence 1: has dates, and the first seq"):
                lrp.write(found, tmp_path / f"out.{form}")
        lrp.write(lrp.explain(model, list(lrp.read(path, model))[::-1][:1]), tmp_path / "out.tsv")
        assert DAYS[0] in (tmp_path / "out.tsv").read_text()

    def test_of_several_inputs(self, run, tmp_path):
        several = SeveralInputs(tmp_path)
        model = several.save()
        lines = [json.loads(line) for line in several.lines().read_text().splitlines()]
        steps = [len(each["wind"]) for each in lines]
        for each, count in zip(lines, steps, strict=True):
            each["dates"] = {"wind": [f"{step} o'clock" for step in range(count)]}
        path = tmp_path / "in.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in lines))
        out = tmp_path / "out.jsonl"
        assert run("explain", model, path, "-o", out, "-q").exit_code == 0
        found = [json.loads(line)["dates"] for line in out.read_text().splitlines()]
        assert found == [each["dates"] for each in lines]
        [block] = read_results(str(out))
        by_name = {part.name: part.dates for part in block[0].inputs}
        assert by_name == {"review": None, "wind": lines[0]["dates"]["wind"], "person": None}
        rows = run("explain", model, path, "-q").stdout.splitlines()
        header, first, last = rows[0].split("\t"), rows[1].split("\t"), rows[-1].split("\t")
        assert header[:4] == ["sequence", "input", "position", "date"]
        assert (first[1], first[3], last[1], last[3]) == ("review", "", "person", "")
        winds = [row.split("\t")[3] for row in rows if row.startswith("0\twind")]
        assert dict.fromkeys(winds) == dict.fromkeys(lines[0]["dates"]["wind"])
