"""Commands on a model of several inputs: every output says of which input something is."""

import csv
import io
import itertools
import json

import numpy as np
import pytest
from models import json_lines, table
from several import FEATURES, INPUTS, NUMBERS, TEXTS, SeveralInputs

import lstm_lrp_cli as lrp

COLUMNS = ["sequence", "input", "position", "token", "feature", "value", "target", "score"]


@pytest.fixture
def several(tmp_path):
    return SeveralInputs(tmp_path)


@pytest.fixture
def explain(run, several):
    """Explain the sequences, quietly; what stands on standard output."""

    def of(*options):
        result = run("explain", several.save(), several.lines(), "-q", *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return of


@pytest.fixture
def told(several):
    """The explanations themselves."""
    model = lrp.load(several.save())
    return lrp.explain(model, lrp.read(several.lines(), model))


def rows_of(told):
    """The rows of a table, but for how numbers are written."""
    for each in told:
        for part in each.parts:
            for position, amounts in enumerate(np.asarray(part.relevance)):
                of_step = (
                    [(part.tokens[position], "", "")]
                    if part.tokens
                    else [
                        ("", feature, value)
                        for feature, value in zip(
                            part.features, part.part.inputs[position].tolist(), strict=True
                        )
                    ]
                )
                for (token, feature, value), amount in zip(
                    of_step, np.atleast_1d(amounts).tolist(), strict=True
                ):
                    head = (each.number, part.name, position, token, feature, value)
                    yield (*head, each.target, each.score, amount)


class TestTables:
    @pytest.mark.parametrize(("form", "delimiter"), [("tsv", "\t"), ("csv", ",")])
    def test_have_a_row_for_every_value_of_every_input(self, explain, told, form, delimiter):
        text = explain("--format", form)
        assert next(csv.reader(io.StringIO(text), delimiter=delimiter)) == [*COLUMNS, "relevance"]
        for row, expected in zip(table(text, delimiter), rows_of(told), strict=True):
            cells = [
                value if isinstance(value, str) or cell == "" else type(value)(cell)
                for value, cell in zip(expected, row.values(), strict=True)
            ]
            assert cells == list(expected)

    def test_of_steps_dimensions_methods_and_the_strongest(self, explain):
        assert explain("--by", "step").splitlines()[0].split("\t") == [
            *COLUMNS[:4],
            *COLUMNS[6:],
            "relevance",
        ]
        header, *rows = explain("--by", "dimension", "--method", "lrp-all,occlusion").splitlines()
        assert header.split("\t") == [
            *("sequence", "method", "input", "position", "token", "dimension"),
            *("feature", "value", "target", "score", "relevance"),
        ]
        assert rows[0].startswith("0\tlrp-all\treview\t0\tthe\t0\t\t\t")
        strongest = table(explain("--top", "3"))
        for number in range(len(TEXTS)):
            own = [r for r in table(explain()) if r["sequence"] == str(number)]
            sizes = sorted((abs(float(row["relevance"])) for row in own), reverse=True)[:3]
            found = [r for r in strongest if r["sequence"] == str(number)]
            assert [abs(float(row["relevance"])) for row in found] == sizes

    def test_are_the_same_of_any_number_of_processes(self, run, several, explain, tmp_path):
        model, lines, texts = several.save(), several.lines(times=900), []
        for jobs in (1, 3):
            out = tmp_path / f"{jobs}.tsv"
            assert run("explain", model, lines, "-q", "--jobs", jobs, "-o", out).exit_code == 0
            texts.append(out.read_text())
        assert texts[0] == texts[1]
        once = table(explain())
        for row, wanted in zip(table(texts[0]), once * 900, strict=True):
            assert float(row.pop("relevance")) == pytest.approx(float(wanted["relevance"]))
            assert [row[name] for name in COLUMNS[1:7]] == [wanted[name] for name in COLUMNS[1:7]]


class TestJsonLines:
    def test_have_objects_by_input(self, explain, told):
        for line, each in zip(json_lines(explain("--format", "jsonl")), told, strict=True):
            review, wind, person = each.parts
            assert line["tokens"] == {"review": list(review.tokens)}
            assert line["features"] == {
                "wind": ["feature_0", "feature_1"],
                "person": ["feature_0", "feature_1", "feature_2"],
            }
            assert line["values"] == {
                "wind": wind.part.inputs.tolist(),
                "person": person.part.inputs.tolist(),
            }
            assert line["relevance"] == {part.name: part.relevance.tolist() for part in each.parts}
            amounts = (np.ravel(part.relevance) for part in each.parts)
            assert line["ledger"]["tokens"] == pytest.approx(sum(map(np.sum, amounts)), abs=1e-12)
            sums = {name: np.sum(own) for name, own in line["relevance"].items()}
            assert line["ledger"]["inputs"] == pytest.approx(sums, abs=1e-12)
        with_unknown = json_lines(explain("--format", "jsonl"))[2]
        assert with_unknown["unknown"] == {"review": [0, 1]}

    def test_are_the_same_of_files_for_each_input(self, run, several, explain):
        lines = json_lines(explain("--format", "jsonl"))
        files = several.files()
        found = run("explain", several.save(), *files, "-q", "--format", "jsonl")
        for one, other in zip(json_lines(found.stdout), lines, strict=True):
            assert {**one, "id": None} == {**other, "id": None}


class TestFilesOfBytes:
    def test_parquet_has_the_rows_of_the_table(self, explain, framework, told, tmp_path):
        framework("pyarrow")
        import pyarrow.parquet as parquet

        explain("-o", tmp_path / "a.parquet")
        found = parquet.read_table(tmp_path / "a.parquet")
        assert found.column_names == [*COLUMNS, "relevance"]
        for row, expected in zip(found.to_pylist(), rows_of(told), strict=True):
            assert list(row.values()) == [None if value == "" else value for value in expected]

    def test_nested_has_the_objects_of_json_lines(self, explain, framework, tmp_path):
        framework("pyarrow")
        import pyarrow.parquet as parquet

        explain("--format", "parquet-nested", "-o", tmp_path / "a.parquet")
        found = parquet.read_table(tmp_path / "a.parquet").to_pylist()
        for row, line in zip(found, json_lines(explain("--format", "jsonl")), strict=True):
            assert row.pop("unknown") == {"review": line.pop("unknown", {}).get("review", [])}
            assert row.pop("label") is None
            line["ledger"].pop("inputs")  # which its columns of relevance sum to
            assert row == line

    def test_npz_has_arrays_for_each(self, explain, told, tmp_path):
        explain("-o", tmp_path / "a.npz")
        with np.load(tmp_path / "a.npz") as file:
            arrays = dict(file)
        assert arrays["inputs"].tolist() == list(INPUTS)
        for place, each in enumerate(told):
            for part in each.parts:
                start, end = arrays[f"offsets:{part.name}"][place : place + 2]
                amounts = arrays[f"relevance:{part.name}"][start:end]
                if part.name == "review":
                    text = arrays["token_bytes:review"].tobytes()
                    ends = arrays["token_offsets:review"][start : end + 1]
                    tokens = [text[a:b].decode() for a, b in itertools.pairwise(ends)]
                    assert tuple(tokens) == part.tokens
                    amounts = amounts.sum(axis=1)
                else:
                    values = arrays[f"values:{part.name}"][start:end]
                    assert np.array_equal(values, part.part.inputs)
                np.testing.assert_allclose(amounts, part.relevance, atol=1e-12)


class TestPictures:
    def test_the_heat_map_names_each_input(self, explain):
        lines = explain("--format", "terminal").splitlines()
        first = lines[2 : lines.index("", 2)]
        assert first[0].startswith("0 (r0)  predicted")
        assert [line for line in first if line.endswith(":")] == [f"{name}:" for name in INPUTS]
        assert "the(" in first[2]
        assert sum(line.startswith("feature_") for line in first) == FEATURES + NUMBERS
        listed = explain("--format", "terminal", "--top", "2").splitlines()
        assert any(name in listed[3] for name in INPUTS)

    def test_markdown_names_each_input(self, explain):
        text = explain("--format", "markdown")
        section = text.split("## Sequence 0")[1].split("## Sequence 1")[0]
        for name in INPUTS:
            assert f"\n{name}:\n\n" in section
        assert "| review: " in text
        assert "| person: feature\\_" in text

    def test_the_page_has_all_inputs_of_each_sequence(self, explain, told, tmp_path):
        explain("-o", tmp_path / "a.html")
        page = (tmp_path / "a.html").read_text()
        data = page.split('class="explanations">')[1].split("</script>")[0]
        for found, each in zip(json.loads(data), told, strict=True):
            # The features of one vector stand there as words do.
            _, wind, person = each.parts
            (values,) = person.part.inputs.tolist()
            assert [list(own) for own in found["inputs"]] == [
                ["tokens"],
                ["features", "values"],
                ["tokens"],
            ]
            named = [f"feature_{k} = {value:g}" for k, value in enumerate(values)]
            assert found["inputs"][2]["tokens"] == named
            assert np.shape(found["relevance"][1]) == wind.relevance.shape
            assert found["relevance"][2] == pytest.approx(person.relevance[0].tolist(), rel=1e-3)


class TestReports:
    def test_count_each_input(self, run, several, tmp_path):
        report = tmp_path / "report.json"
        result = run("explain", several.save(), several.lines(), "--report", report)
        found = json.loads(report.read_text())
        assert found["tokens"] == 17 + 18 + 6
        assert found["unknown_tokens"] == 2
        assert {name: own["tokens"] for name, own in found["inputs"].items()} == {
            "review": 17,
            "wind": 18,
            "person": 6,
        }
        assert found["inputs"]["review"]["unknown_tokens"] == 2
        text = run("explain", several.save(), several.lines(), "-o", tmp_path / "a.tsv").stderr
        assert "review: 17 tokens (2 unknown), wind: 18 steps, person: 6 vectors" in text
        assert result.exit_code == 0

    def test_say_what_each_input_has_of_the_scores(self, run, several, told, tmp_path):
        wanted = {name: sum(each.of_inputs[name] for each in told) for name in INPUTS}
        arguments = ("explain", several.save(), several.lines(), "-o", tmp_path / "a.html")
        for jobs in (1, 2):
            report = tmp_path / f"{jobs}.json"
            assert run(*arguments, "--jobs", jobs, "--report", report).exit_code == 0
            ledger = json.loads(report.read_text())["ledger"]
            assert ledger["inputs"] == pytest.approx(wanted, rel=1e-12)
            assert sum(ledger["inputs"].values()) == pytest.approx(ledger["tokens"], abs=1e-12)
        text = run(*arguments).stderr
        page = (tmp_path / "a.html").read_text()
        for name, amount in wanted.items():
            assert f"    {name}" in text
            assert f'of {name}</th><td class="dim">{amount:.6g}' in page
        picture = run(*arguments[:3], "--format", "terminal").stdout
        assert "(review " in next(line for line in picture.splitlines() if " = tokens" in line)

    def test_padding_is_told_of_its_input(self, run, several, tmp_path):
        several.wind["padding"] = {"side": "pre", "length": 4, "value": 0, "truncate": "post"}
        text = run("explain", several.save(), several.lines(), "-o", tmp_path / "a.tsv").stderr
        assert "padded          wind: 4 sequences, pre, to 4 steps" in text
        assert "cut             wind: 1 sequence, at the end, to 4 steps" in text


def test_predict(run, several):
    rows = table(run("predict", several.save(), several.lines(), "-q").stdout)
    model = lrp.load(several.save())
    for row, each in zip(rows, lrp.predict(model, lrp.read(several.lines(), model)), strict=True):
        scores = [float(row["score:poor"]), float(row["score:good"])]
        assert scores == each.scores.tolist()
    shown = run("predict", several.save(), several.lines(), "-q", "--format", "terminal").stdout
    assert "not bad | 1 " in shown


@pytest.mark.parametrize("form", ["jsonl", "parquet", "parquet-nested"])
class TestResultsReadBack:
    @pytest.fixture
    def results(self, explain, framework, form, tmp_path):
        if form != "jsonl":
            framework("pyarrow")
        path = tmp_path / f"results.{form}"
        explain("--labelled", "--format", form, "-o", path)
        return path

    def test_by_summarize(self, run, results, told):
        summary = json.loads(run("summarize", results, "--format", "json", "--min-count", 1).stdout)
        assert summary["kind"] == "token or feature"
        [method] = summary["methods"]
        totals = {}
        for target in method["targets"]:
            for each in (*target["highest_total"], *target["lowest_total"]):
                totals[target["target"], each["token"]] = each["total"]
        expected = {}
        for each in told:
            for part in each.parts:
                names, amounts = part.tokens, part.relevance
                if names is None:
                    names, amounts = part.features, part.relevance.sum(axis=0)
                for name, amount in zip(names, amounts.tolist(), strict=True):
                    key = each.target, f"{part.name}: {name}"
                    expected[key] = expected.get(key, 0.0) + amount
        assert totals == pytest.approx(expected)
        page = run("summarize", results, "--format", "html").stdout
        assert "review: bad" in page
        assert "tokens or steps" in run("summarize", results).stdout

    def test_by_compare(self, run, results, explain, tmp_path):
        other = tmp_path / "other.jsonl"
        other.write_text(explain("--format", "jsonl", "--labelled"))
        same = run("compare", results, other, "--tolerance", "1e-12")
        assert same.exit_code == 0, same.output
        lines = json_lines(other.read_text())
        lines[0]["relevance"]["person"][0][0] = 9.0
        other.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        found = json.loads(
            run("compare", results, other, "--format", "json", "--min-count", 1).stdout
        )
        assert found["kind"] == "token or feature"
        assert found["tokens"][0]["token"] == "person: feature_0"
        assert found["most_different"][0]["tokens"][-1] == "person: step 0"


def test_two_methods_are_compared(run, several):
    files = (option for file in several.files() for option in ("--input", file))
    options = ("--methods", "lrp-all,occlusion", "--format", "json", "--min-count", 1)
    found = json.loads(run("compare", several.save(), *files, *options).stdout)
    assert found["sequences"] == 6
    assert {each["token"].partition(":")[0] for each in found["tokens"]} == set(INPUTS)


def test_methods_are_evaluated_over_the_steps_of_all_inputs(run, several):
    """The first deletion is of the strongest step, of whatever input; all of them leave none."""
    options = ("--methods", "occlusion", "--min-length", 1, "--deletions", 13, "--format", "json")
    result = run("evaluate", several.save(), several.lines(), *options)
    found = json.loads(result.stdout)
    assert (found["sequences"], found["tokens"]) == (6, 17 + 18 + 6)
    assert found["methods"]["occlusion"]["most_effective"] == 1.0
    model = lrp.load(several.save())
    read = list(lrp.read(several.lines(), model))
    explained = lrp.explain(model, read, "occlusion", by="step")
    first = np.mean([each.score for each in explained])
    after_one = np.mean([each.score - each.of_all_steps.max() for each in explained])
    [curves] = [each for each in found["curves"] if each["what"] == "deletion"]
    means = curves["score"]["occlusion"]["mean"]
    assert means[:2] == pytest.approx([first, after_one])
    [back] = [each for each in found["curves"] if each["what"] == "insertion"]
    assert back["score"]["occlusion"]["mean"][0] == pytest.approx(means[-1])
    assert back["score"]["occlusion"]["mean"][-1] == pytest.approx(first)


class TestCheck:
    def test_of_random_sequences_and_of_ones_own(self, run, several):
        assert run("check", several.save()).exit_code == 0
        assert run("check", several.save(), several.lines()).exit_code == 0

    def test_relevance_is_that_of_each_input(self, run, several, explain, tmp_path):
        expected = tmp_path / "expected.jsonl"
        lines = json_lines(explain("--format", "jsonl"))
        check = ("check", several.save(), several.lines(), "--expected", expected)

        def write():
            expected.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

        write()
        found = json.loads(run(*check, "--format", "json").stdout)
        assert [each["name"] for each in found["checks"]][2:] == ["forward", "relevance"]
        assert found["passed"]
        lines[3]["relevance"]["wind"][1][0] += 0.5
        write()
        found = json.loads(run(*check, "--format", "json").stdout)
        assert (found["passed"], found["checks"][3]["sequence"]) == (False, 3)
        del lines[3]["relevance"]["wind"]
        write()
        assert "its relevance is not that of all inputs" in run(*check).stderr

    def test_match_finds_the_gate_order(self, run, several, tmp_path):
        model, lines = several.save(), several.lines()
        scores = [
            each["scores"]
            for each in json_lines(run("predict", model, lines, "--format", "jsonl").stdout)
        ]
        np.save(tmp_path / "scores.npy", scores)
        several.mapping["layers"][1]["lstm"]["gate_order"] = ["f", "i", "o", "g"]
        several.mapping["layers"][2]["lstm"]["gate_order"] = ["f", "i", "o", "g"]
        assert run("check", several.save(), lines, "--expected", tmp_path / "scores.npy").exit_code
        found = tmp_path / "found.yaml"
        options = ("--expected", tmp_path / "scores.npy", "--write-mapping", found)
        assert run("match", model, lines, *options).exit_code == 0
        mended = run(
            *("check", model, lines, "--mapping", found, "--expected", tmp_path / "scores.npy")
        )
        assert mended.exit_code == 0, mended.output


def test_inspect_tells_of_each_input(run, several):
    found = json.loads(run("inspect", several.save(), "--format", "json").stdout)
    assert [(each["name"], each["steps"], each["size"]) for each in found["inputs"]] == [
        ("review", True, 4),
        ("wind", True, FEATURES),
        ("person", False, NUMBERS),
    ]
    assert found["inputs"][0]["vocabulary"]["unknown_token"] == "<unk>"
    text = run("inspect", several.save()).stdout
    assert "input wind" in text
    assert "3 numbers, one vector" in text


def test_an_output_is_not_one_of_the_inputs(run, several):
    files = several.files()
    path = files[2].partition("=")[2]
    result = run("explain", several.save(), *files, "--format", "tsv", "-o", path)
    assert result.exit_code == 2
    assert "-o is the same file as INPUT person=" in result.stderr


def test_a_second_input_of_a_model_that_takes_one(run, several):
    from models import KERAS

    result = run("explain", KERAS.model, KERAS.sequences, KERAS.sequences)
    assert result.exit_code == 3
    assert "is a second INPUT, and the model has one input" in result.stderr


@pytest.mark.parametrize(
    ("length", "key"), [(4, "padding: {side: pre}"), (2, "padding: {truncate: pre}")]
)
def test_the_mend_of_a_warning_is_of_its_input(run, several, length, key):
    several.wind["padding"] = {"length": length}
    result = run("explain", several.save(), several.lines())
    assert f"inputs: [{{name: wind, {key}}}]" in result.stderr
