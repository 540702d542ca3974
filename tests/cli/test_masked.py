"""Masked steps are not steps: they have no relevance, have no number, and are in no statistic."""

import io
import itertools
import json
import math

import numpy as np
import pytest
from installed import spec_of
from models import json_lines, table

MASKED = 0  # the id of the word `the`
NOTHING = 3  # the id of `not`, whose embedding is made zeros: by LRP it has a relevance of 0
PADDED = {
    "behind": ([1, 4, 2, 0, 0], [1, 4, 2]),
    "before": ([0, 0, 1, 4, 2], [1, 4, 2]),
    "inside": ([0, 1, 0, 4, 2, 0], [1, 4, 2]),
}
METHODS = (
    *("lrp-all", "lrp-half", "lrp-prop", "lrp-abs", "gradient", "gradient-x-input"),
    *("integrated-gradients", "occlusion", "omission", "contextual-decomposition", "random"),
)
VALUE = -1.0  # of every feature of a masked step


@pytest.fixture
def masking(small):
    """A model of tokens that masks one of them."""
    small.mapping["padding"] = {"masked": True, "value": MASKED}
    small.arrays["E"][NOTHING] = 0.0
    small.save()
    return small


@pytest.fixture
def series(small):
    """A model of three features that masks steps of a value."""
    small.mapping["layers"].pop(0)
    del small.mapping["vocabulary"]
    small.mapping["padding"] = {"masked": True, "value": VALUE}
    small.save()
    return small


@pytest.fixture
def labeller(masking):
    """A model of tokens that gives scores at every step, and masks one token."""
    masking.lstm["returns"] = "sequence"
    masking.save()
    return masking


def ids(model, name, *sequences):
    return model.write(name, "".join(" ".join(map(str, each)) + "\n" for each in sequences))


def values_of(steps, masked):
    """Series of so many steps, of which those at some places are masked."""
    values = np.random.default_rng(steps).standard_normal((steps, 3))
    values[list(masked)] = VALUE
    return values


@pytest.fixture
def explain(run):
    def explain(model, path, *options):
        kind = () if path.suffix in (".npy", ".npz") else ("--ids",)
        result = run("explain", model.path, path, *kind, *options)
        assert result.exit_code == 0, result.output
        return result

    return explain


@pytest.fixture
def explained(explain):
    return lambda *arguments: json_lines(explain(*arguments, "--format", "jsonl", "-q").stdout)


def without(relevance):
    """What is left of relevance without the steps that are masked."""
    missing = [amount is None or amount == [None] * 3 for amount in relevance]
    return [amount for amount, gone in zip(relevance, missing, strict=True) if not gone], missing


class TestRelevance:
    @pytest.mark.parametrize("where", PADDED)
    @pytest.mark.parametrize("method", METHODS)
    def test_is_that_of_the_tokens_alone_by_every_method(self, masking, explained, method, where):
        padded, cut = PADDED[where]
        for by in ["token", *["dimension"] * (method != "omission")]:
            options = ("--method", method, "--by", by)
            [found] = explained(masking, ids(masking, "padded.txt", padded), *options)
            [bare] = explained(masking, ids(masking, "cut.txt", cut), *options)
            left, missing = without(found["relevance"])
            assert missing == [token == MASKED for token in padded]
            assert (left, found["scores"]) == (bare["relevance"], bare["scores"])
            assert found["ledger"] == bare["ledger"]

    @pytest.mark.parametrize("masked", [(4, 5), (0, 1), (0, 2, 5)], ids=list(PADDED))
    @pytest.mark.parametrize("method", METHODS)
    def test_is_that_of_the_steps_alone(self, series, explained, method, masked):
        values = values_of(6, masked)
        np.save(series.folder / "padded.npy", values)
        np.save(series.folder / "cut.npy", np.delete(values, masked, axis=0))
        for by in ["step", *["feature"] * (method != "omission")]:
            options = ("--method", method, "--by", by)
            [found] = explained(series, series.folder / "padded.npy", *options)
            [bare] = explained(series, series.folder / "cut.npy", *options)
            left, missing = without(found["relevance"])
            assert missing == [step in masked for step in range(6)]
            assert left == bare["relevance"]
            shape = (6, 3) if by == "feature" else (6,)
            assert np.array(found["relevance"], dtype=float).shape == shape

    def test_of_the_others_sums_to_the_ledgers(self, masking, explained):
        [found] = explained(masking, ids(masking, "in.txt", [0, 1, 0, 4, 2, 0]))
        assert math.fsum(without(found["relevance"])[0]) == pytest.approx(found["ledger"]["tokens"])

    def test_of_padding_that_a_length_asks_for_is_not_added(self, masking, explained):
        masking.mapping["padding"] |= {"length": 8, "side": "post"}
        masking.save()
        [found] = explained(masking, ids(masking, "in.txt", [1, 4]))
        assert None not in found["relevance"]
        assert len(found["relevance"]) == 2

    def test_text_is_masked_where_it_has_the_token(self, masking, run):
        text = masking.write("in.txt", "the film is the bad\n")
        [found] = json_lines(run("explain", masking.path, text, "--format", "jsonl", "-q").stdout)
        assert without(found["relevance"])[1] == [True, False, False, True, False]

    def test_spans_count_the_tokens_that_are_left(self, masking, explained):
        options = ("--method", "contextual-decomposition", "--span", "-2:")
        [found] = explained(masking, ids(masking, "in.txt", [1, 4, 0, 2, 0, 0]), *options)
        [bare] = explained(masking, ids(masking, "cut.txt", [1, 4, 2]), *options)
        assert without(found["relevance"])[0] == bare["relevance"]
        assert found["relevance"][0] == 0.0 != found["relevance"][1]


class TestOutputs:
    """A masked step is told from a real one whose relevance is 0, in every output."""

    @pytest.fixture
    def tokens(self, masking):
        """`film not the bad`: `not` has relevance 0, `the` is masked."""
        return masking, ids(masking, "in.txt", [1, NOTHING, MASKED, 4])

    @pytest.fixture
    def steps(self, series):
        """Of four steps, the second has relevance 0, and the third is masked."""
        values = values_of(4, [2])
        values[1] = 0.0
        np.save(series.folder / "x.npy", values)
        return series, series.folder / "x.npy"

    @pytest.mark.parametrize(("form", "delimiter"), [("tsv", "\t"), ("csv", ",")])
    @pytest.mark.parametrize("by", ["token", "dimension"])
    def test_tables(self, explain, tokens, form, delimiter, by):
        rows = table(explain(*tokens, "--format", form, "--by", by, "-q").stdout, delimiter)
        cells = {token: [row["relevance"] for row in rows if row["token"] == token]
                 for token in ("not", "the")}  # fmt: skip
        times = 1 if by == "token" else 3
        assert cells["the"] == [""] * times
        assert [float(cell) for cell in cells["not"]] == [0.0] * times

    def test_tables_of_series_have_rows_of_every_feature(self, explain, steps):
        rows = table(explain(*steps, "-q").stdout)
        assert [row["relevance"] for row in rows if row["position"] == "2"] == [""] * 3
        zeros = [float(row["relevance"]) for row in rows if row["position"] == "1"]
        assert zeros == [0.0] * 3
        assert [row["position"] for row in rows] == list("000111222333")

    def test_json_lines(self, explained, steps):
        [found] = explained(*steps)
        assert found["relevance"][1:3] == [[0.0] * 3, [None] * 3]

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_npz(self, explain, tokens, dtype):
        path = tokens[0].folder / "out.npz"
        explain(*tokens, "-o", path, "-q", "--dtype", dtype)
        with np.load(path) as file:
            assert np.isnan(file["relevance"]).all(axis=1).tolist() == [False, False, True, False]
            assert file["relevance"][1].tolist() == [0.0] * 3
            assert file["relevance"].dtype == dtype

    @pytest.mark.parametrize("form", ["parquet", "parquet-nested"])
    def test_parquet(self, explain, steps, form):
        spec_of("pyarrow")
        from pyarrow import parquet

        path = steps[0].folder / "out.parquet"
        explain(*steps, "-o", path, "-q", "--format", form)
        column = parquet.read_table(path)["relevance"].to_pylist()
        relevance = np.array(column, dtype=object).reshape(4, 3).tolist()
        assert relevance[1:3] == [[0.0] * 3, [None] * 3]

    def test_the_page(self, explain, tokens):
        path = tokens[0].folder / "out.html"
        explain(*tokens, "-o", path, "-q")
        text = path.read_text("utf-8")
        [block] = text.split('class="explanations">')[1].split("</script>")[:1]
        [found] = json.loads(block)
        assert found["relevance"][1:3] == [0.0, None]
        assert "1 more masked" in text
        assert '"missing":"masked"' in text

    def test_markdown(self, explain, tokens):
        found = explain(*tokens, "--format", "markdown", "-q").stdout
        assert " not ~~the~~ " in found
        assert "~~Struck~~ tokens are those that the model passes over: masked" in found

    def test_markdown_of_series(self, explain, steps):
        found = explain(*steps, "--format", "markdown", "-q").stdout
        strips = [line.split()[-1] for line in found.splitlines() if line.startswith("    feature")]
        assert len(strips) == 3
        assert {strip[1:3] for strip in strips} == {"._"}

    def test_a_heat_map_without_colours(self, explain, steps):
        found = explain(*steps, "--format", "terminal", "-q").stdout
        strips = [line.split()[-1] for line in found.splitlines() if line.startswith("feature_")]
        assert {strip[1:3] for strip in strips} == {"._"}
        assert "_: masked, the model passes over it" in found

    def test_a_heat_map_of_text(self, explain, tokens):
        found = explain(*tokens, "--format", "terminal", "-q").stdout
        assert "not(+0.00) the(masked) bad(" in found
        assert found.index("(masked): the model passes over it") < found.index("0  pred")

    def test_the_legend_has_it_where_there_are_any(self, explain, masking):
        path = ids(masking, "in.txt", [1, 4])
        assert "masked" not in explain(masking, path, "--format", "terminal", "-q").stdout

    @pytest.fixture
    def colour(self, monkeypatch):
        """A terminal of all colours."""
        settings = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("NO_COLOR", raising=False)

    def test_a_heat_map_in_colour_leaves_series_dim(self, explain, steps, colour):
        text = explain(*steps, "--format", "terminal", "-q").stdout
        assert text.count("\x1b[2m__\x1b[0m") == 3

    def test_a_heat_map_in_colour_leaves_it_dim(self, explain, tokens, colour):
        text = explain(*tokens, "--format", "terminal", "-q").stdout
        assert "\x1b[2mthe\x1b[0m" in text
        assert "\x1b[2mdim\x1b[0m: masked, the model passes over it" in text

    @pytest.mark.parametrize("by", ["token", "dimension"])
    def test_top_never_picks_it(self, explain, tokens, by):
        rows = table(explain(*tokens, "--top", "99", "--by", by, "-q").stdout)
        assert {row["token"] for row in rows} == {"film", "not", "bad"}
        found = explain(*tokens, "--top", "2", "--format", "terminal", "-q").stdout
        assert "and 1 other +0.000" in found


class TestSteps:
    """`--step` counts the steps that are left; what is shown is where they stand."""

    INPUT = ([1, 4, 2, 0, 0], [0, 1, 0, 4], [0, 0], [], [2, 1])

    @pytest.fixture
    def found(self, explain, labeller):
        def found(*options):
            path = ids(labeller, "in.txt", *self.INPUT)
            rows = table(explain(labeller, path, "-q", *options).stdout)
            return list(dict.fromkeys((int(row["sequence"]), int(row["step"])) for row in rows))

        return found

    @pytest.mark.parametrize(
        ("step", "expected"),
        [
            ("first", [(0, 0), (1, 1), (4, 0)]),
            ("last", [(0, 2), (1, 3), (4, 1)]),
            ("-2", [(0, 1), (1, 1), (4, 0)]),
            ("1", [(0, 1), (1, 3), (4, 1)]),
            ("all", [(0, 0), (0, 1), (0, 2), (1, 1), (1, 3), (4, 0), (4, 1)]),
        ],
    )
    def test_that_are_explained(self, found, step, expected):
        assert found("--step", step) == expected

    @pytest.mark.parametrize("step", ["2", "-3"])
    def test_that_a_sequence_has_not(self, run, labeller, step):
        path = ids(labeller, "in.txt", [4, 2, 1, 4], [0, 1, 0, 4])
        result = run("explain", labeller.path, path, "--ids", "--step", step)
        assert result.exit_code == 3
        told = (
            f"sequence 1: has 2 steps that the model is run on, and none is number {step}; expected"
        )
        assert told in result.stderr

    def test_of_a_sequence_without_any_are_none(self, explain, labeller):
        path = ids(labeller, "in.txt", *self.INPUT)
        result = explain(labeller, path, "--step", "last", "--format", "jsonl")
        lines = json_lines(result.stdout)
        assert [line["step"] for line in lines] == [2, 3, None, None, 1]
        assert (lines[2]["target"], lines[2]["relevance"]) == (None, [None, None])
        assert "2 empty sequences (counted from 0: 2, 3): kept" in result.stderr

    def test_have_the_score_of_the_sequence_up_to_them(self, explained, labeller):
        """Of a bidirectional model too, since what is masked is not read from behind either."""
        labeller.lstm["backward"] = dict(labeller.lstm["forward"])
        labeller.arrays["V"] = np.hstack([labeller.arrays["V"]] * 2)
        labeller.save()
        padded = explained(labeller, ids(labeller, "in.txt", *self.INPUT), "--step", "last")
        cut = [[token for token in each if token != MASKED] for each in self.INPUT]
        bare = explained(labeller, ids(labeller, "cut.txt", *cut), "--step", "last")
        for one, other in zip(padded, bare, strict=True):
            assert (one["scores"], one["ledger"]) == (other["scores"], other["ledger"])
            assert without(one["relevance"])[0] == other["relevance"]

    def test_are_predicted(self, run, labeller):
        path = ids(labeller, "in.txt", *self.INPUT)
        lines = json_lines(
            run("predict", labeller.path, path, "--ids", "--format", "jsonl", "-q").stdout
        )
        steps = [(line["sequence"], line["step"]) for line in lines]
        assert steps == [
            *((0, 0), (0, 1), (0, 2), (1, 1), (1, 3), (2, None), (3, None), (4, 0), (4, 1))
        ]


class TestReports:
    """They count the steps that are left, and say how many more are masked."""

    @pytest.fixture
    def padded(self, masking):
        return masking, ids(masking, "in.txt", [1, 4, 2, 0, 0], [0, 2, 3, 4, 1])

    @pytest.mark.parametrize("command", ["explain", "predict"])
    def test_of_tokens(self, run, padded, command):
        model, path = padded
        report = model.folder / "report.json"
        result = run(command, model.path, path, "--ids", "--report", report, "-o", "-")
        assert result.exit_code == 0
        read = json.loads(report.read_text())
        assert (read["tokens"], read["masked_tokens"]) == (7, 3)
        result = run(command, model.path, path, "--ids", "--report", "-", "-o", model.folder / "o")
        assert "2 sequences, 7 tokens (0 unknown, 3 more masked)" in result.stderr

    @pytest.mark.parametrize("command", ["explain", "predict"])
    def test_of_steps(self, run, series, command):
        np.save(series.folder / "x.npy", np.stack([values_of(6, [4, 5]), values_of(6, [0])]))
        result = run(command, series.path, series.folder / "x.npy", "-o", series.folder / "out")
        assert "2 sequences, 9 steps (3 more masked)" in result.stderr

    def test_are_silent_where_none_is(self, run, masking):
        path = ids(masking, "in.txt", [1, 4, 2])
        result = run("explain", masking.path, path, "--ids", "-o", masking.folder / "out")
        assert "1 sequence, 3 tokens (0 unknown)" in result.stderr

    def test_a_table_of_predictions_says_how_many_steps_there_are(self, run, series):
        np.save(series.folder / "x.npy", values_of(9, [4, 5, 8]))
        arguments = (series.path, series.folder / "x.npy", "--format", "terminal", "-q")
        lines = run("predict", *arguments).stdout.splitlines()
        assert next(line.split() for line in lines if line.split()[:1] == ["0"])[1] == "6"

    def test_a_table_of_predictions_shows_text_without_them(self, run, masking):
        path = ids(masking, "in.txt", [0, 0, 1, 0, 4])
        arguments = (masking.path, path, "--ids", "--format", "terminal", "-q")
        lines = run("predict", *arguments).stdout.splitlines()
        assert any(line.split()[:3] == ["0", "film", "bad"] for line in lines)

    def test_evaluate(self, run, masking):
        padded = [[1, 4, 2, 0, 0, 0, 0], [0, 2, 3, 4, 1, 1], [0, 0, 0, 1, 2, 0]]
        options = ("--ids", "--min-length", "3", "--deletions", "2", "--draws", "0")
        options = (*options, "--methods", "lrp-all,occlusion", "--format", "json")
        both = []
        for name, sequences in [
            ("padded.txt", padded),
            ("cut.txt", [[token for token in each if token] for each in padded]),
        ]:
            path = ids(masking, name, *sequences)
            found = json.loads(run("evaluate", masking.path, path, *options).stdout)
            assert (found["sequences"], found["left_out"], found["tokens"]) == (2, 1, 8)
            assert found.pop("masked_tokens") == (5 if name == "padded.txt" else 0)
            for each in found["methods"].values():
                del each["seconds"]
            both.append({**found, "input": None, "forward_seconds": None})
        assert both[0] == both[1]
        result = run("evaluate", masking.path, masking.folder / "padded.txt", *options[:-2])
        assert "(8 tokens in all and 5 more masked; 1 shorter left out)" in result.stdout


class TestStatistics:
    """Of padded and of cut sequences they are the same."""

    LENGTHS = (12, 9, 5, 3, 1)

    @pytest.fixture
    def both(self, series):
        """Series with padding behind to 12 steps, and the same without."""
        given = [values_of(12, range(length, 12)) for length in self.LENGTHS]
        np.save(series.folder / "padded.npy", np.stack(given))
        cut = {
            str(k): each[:n] for k, (each, n) in enumerate(zip(given, self.LENGTHS, strict=True))
        }
        np.savez(series.folder / "cut.npz", **cut)
        return series, [series.folder / name for name in ("padded.npy", "cut.npz")]

    FORMS = ("jsonl", "parquet", "parquet-nested")

    @pytest.mark.parametrize("by", ["feature", "step"])
    @pytest.mark.parametrize("form", FORMS)
    def test_of_series(self, run, explain, both, form, by):
        if form != "jsonl":
            spec_of("pyarrow")
        model, paths = both
        summaries = []
        for path in paths:
            results = model.folder / f"{path.stem}.{form}"
            explain(model, path, "--format", form, "--by", by, "-o", results, "-q")
            found = json.loads(run("summarize", results, "--format", "json").stdout)
            summaries.append(found["methods"])
            counted = sum(each["tokens"] for each in found["methods"][0]["targets"])
            assert counted == sum(self.LENGTHS)
        assert_same(*summaries)

    @pytest.mark.parametrize("form", FORMS)
    def test_of_text(self, run, explain, masking, form):
        if form != "jsonl":
            spec_of("pyarrow")
        padded = [[1, 4, 2, 0, 0, 0], [0, 2, 3, 0, 1, 1], [0, 0, 0], [4]]
        cut = [[token for token in each if token != MASKED] for each in padded]
        summaries = []
        for name, sequences in [("padded", padded), ("cut", cut)]:
            results = masking.folder / f"{name}.{form}"
            path = ids(masking, f"{name}.txt", *sequences)
            explain(masking, path, "--format", form, "--target", "0", "-o", results, "-q")
            found = json.loads(run("summarize", results, "--format", "json").stdout)
            [target] = found["methods"][0]["targets"]
            assert target["tokens"] == 8
            ranked = target["highest_total"] + target["lowest_total"]
            assert "the" not in {each["token"] for each in ranked}
            tenths = target["positions"]["tenths"]
            assert sum(each["count"] for each in tenths) == 8
            summaries.append([target["positions"], sorted(ranked, key=lambda each: each["token"])])
        assert_same(*summaries)

    def test_of_labelled_text_with_unknown_tokens(self, run, masking):
        masking.mapping["tokens"] = {"unknown": "bad"}
        masking.save()
        found = []
        for name, text in [("padded", "the film the twist plot"), ("cut", "film twist plot")]:
            path = masking.write(f"{name}.txt", f"1\t{text}\n")
            results = masking.folder / f"{name}.jsonl"
            run("explain", masking.path, path, "--labelled", "-o", results, "-q")
            found.append(
                json.loads(run("summarize", results, "--format", "json").stdout)["methods"]
            )
        assert found[0][0]["targets"][0]["unknown"] == 2
        assert_same(*found)

    @pytest.mark.parametrize("method", ["random", "occlusion"])
    def test_compare(self, run, explain, both, method):
        """Two models that mask alike, and two methods."""
        model, paths = both
        options = ("--methods", f"lrp-all,{method}", "--format", "json", "--by", "feature")
        found = []
        for path in paths:
            compared = run("compare", model.path, "--input", path, *options[:4])
            assert compared.exit_code == 0, compared.output
            found.append(json.loads(compared.stdout))
            assert found[-1]["relevance"]["masked_by_one"] == 0
            assert found[-1]["relevance"]["differences"]["compared"] == 3 * sum(self.LENGTHS)
            for each in found[-1]["most_different"]:
                steps = self.LENGTHS[each["sequence"]]
                assert each["position"] < steps
                assert not any(each["a"][steps:])
                each.update(a=each["a"][:steps], b=each["b"][:steps], id=None)
        assert_same(*found)

    def test_compare_finds_the_position_among_all(self, run, masking):
        path = ids(masking, "in.txt", [0, 0, 1, 4, 2])
        options = ("--input", path, "--ids", "--methods", "lrp-all,random", "--format", "json")
        found = json.loads(run("compare", masking.path, *options).stdout)
        [each] = found["most_different"]
        apart = [
            abs(b - a) if a is not None else 0 for a, b in zip(each["a"], each["b"], strict=True)
        ]
        assert each["position"] == int(np.argmax(apart)) >= 2
        assert each["difference"] == pytest.approx(max(apart))
        text = run("compare", masking.path, *options[:-2]).stdout
        assert "nan" not in text

    def test_compare_with_what_masks_nothing(self, run, explain, masking):
        """What one side masks is not compared, and so not all could be."""
        path = ids(masking, "in.txt", [1, 4, 0, 2, 0])
        options = ("--target", "1", "-q")
        explain(masking, path, "-o", masking.folder / "masked.jsonl", *options)
        masking.mapping["padding"] = None
        masking.save()
        explain(masking, path, "-o", masking.folder / "plain.jsonl", *options)
        results = (masking.folder / "masked.jsonl", masking.folder / "plain.jsonl")
        result = run("compare", *results, "--tolerance", "99")
        assert result.exit_code == 1
        assert "not compared: 2 tokens that one side masks" in result.stdout

    def test_results_of_older_versions_have_zeros_there(self, run, explain, masking):
        path = ids(masking, "in.txt", [1, 4, 0, 2, 0])
        new, old = (masking.folder / name for name in ("new.jsonl", "old.jsonl"))
        explain(masking, path, "-o", new, "-q")
        old.write_text(new.read_text().replace("null", "0.0").replace('"id":0.0', '"id":null'))
        assert json.loads(run("summarize", old, "--format", "json").stdout)["methods"][0]["targets"]
        result = run("compare", old, new, "--tolerance", "1e-12")
        assert result.exit_code == 0, result.output


def assert_same(one, other):
    """The same, but for how sums are rounded."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            if key not in ("id", "source", "text"):
                assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for both in zip(one, other, strict=True):
            assert_same(*both)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    else:
        assert one == other


class TestChecks:
    """What a framework's file holds at masked steps means nothing."""

    INPUT = ([1, 4, 2, 0, 0], [0, 1, 0, 4, 2], [0, 0, 0, 0, 0])
    RUBBISH = (99.0, math.nan)

    @pytest.fixture
    def scores(self, explained, labeller):
        """The scores of every step, as an array that is filled with something at the others."""

        def scores(rubbish, kind="scores"):
            array = np.full((3, 5, 3), rubbish)
            path = ids(labeller, "in.txt", *self.INPUT)
            for each in explained(labeller, path, "--step", "all"):
                if each["scores"]:
                    array[each["sequence"], each["step"]] = each["scores"]
            if kind == "probabilities":
                array = np.exp(array) / np.exp(array).sum(axis=-1, keepdims=True)
            np.save(labeller.folder / "s.npy", array)
            return labeller.folder / "s.npy"

        return scores

    def check(self, run, labeller, expected, *options):
        path = labeller.folder / "in.txt"
        return run("check", labeller.path, path, "--ids", "--expected", expected, *options)

    @pytest.mark.parametrize("kind", ["scores", "probabilities"])
    @pytest.mark.parametrize("rubbish", RUBBISH, ids=str)
    def test_pass_over_it(self, run, labeller, scores, rubbish, kind):
        result = self.check(run, labeller, scores(rubbish, kind), "--format", "json")
        found = json.loads(result.stdout)
        assert result.exit_code == 0, result.stdout
        assert (found["steps"], found["masked_steps"]) == (6, 9)
        assert found["checks"][-1]["meaning"] == f"{kind} = expected {kind}"

    def test_say_how_many_were_compared(self, run, labeller, scores):
        result = self.check(run, labeller, scores(99.0))
        assert "3 sequences, scores compared at 6 steps (9 more masked)" in result.stdout

    def test_fail_at_any_other_step(self, run, labeller, scores):
        path = scores(99.0)
        array = np.load(path)
        for place in [(0, 0), (0, 2), (1, 1), (1, 4)]:
            changed = array.copy()
            changed[(*place, 1)] += 0.1
            np.save(path, changed)
            assert self.check(run, labeller, path).exit_code == 1

    def test_json_lines_may_have_nothing_there(self, run, labeller, scores):
        array = np.load(scores(math.nan))
        lines = [
            [None if np.isnan(step).any() else step.tolist() for step in sequence]
            for sequence in array
        ]
        path = labeller.write("s.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        assert self.check(run, labeller, path).exit_code == 0
        lines[0][1] = None
        labeller.write("s.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        assert self.check(run, labeller, path).exit_code == 1

    @pytest.mark.parametrize("by", ["token", "dimension"])
    @pytest.mark.parametrize("older", [False, True], ids=["", "older version"])
    def test_relevance_of_another_run_is_compared(self, run, explain, masking, by, older):
        path = ids(masking, "in.txt", [1, 4, 0, 2, 0], [3])
        expected = masking.folder / "expected.jsonl"
        explain(masking, path, "--by", by, "-o", expected, "-q")
        if older:
            text = expected.read_text().replace("null", "0.0").replace('"id":0.0', '"id":null')
            expected.write_text(text)
        result = run("check", masking.path, path, "--ids", "--expected", expected)
        assert result.exit_code == 0, result.output
        lines = json_lines(expected.read_text())
        changed = np.array(lines[0]["relevance"], dtype=float)
        changed[1] += 0.5
        lines[0]["relevance"] = np.nan_to_num(changed).tolist()
        expected.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert run("check", masking.path, path, "--ids", "--expected", expected).exit_code == 1

    def test_match_finds_the_gate_order_of_a_model_by_step(self, run, labeller, scores):
        expected = scores(math.nan)
        order = labeller.lstm["gate_order"]
        labeller.lstm["gate_order"] = ["o", "g", "f", "i"]
        labeller.save()
        path = labeller.folder / "in.txt"
        options = ("--ids", "--expected", expected, "--format", "json")
        result = run("match", labeller.path, path, *options)
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["matches"][0]["mapping"]["layers"][1]["lstm"]["gate_order"] == order
        assert (found["steps"], found["masked_steps"]) == (6, 9)


class TestTokensThatAreLeftOut:
    """Unknown tokens that `skip` leaves out are no steps of the model either."""

    TEXT = "film twist bad plot\n"

    @pytest.fixture
    def leaving(self, small):
        small.mapping["tokens"] = {"skip": True}
        small.save()
        return small

    def test_have_no_relevance(self, run, leaving):
        path = leaving.write("in.txt", self.TEXT)
        [found] = json_lines(run("explain", leaving.path, path, "--format", "jsonl", "-q").stdout)
        assert [amount is None for amount in found["relevance"]] == [False, True, False, True]
        result = run("explain", leaving.path, path, "--format", "terminal")
        assert "twist(left out)" in result.stdout
        assert "1 sequence, 2 tokens (2 more unknown and left out)" in result.stderr

    def test_are_not_the_last_step(self, run, leaving):
        leaving.lstm["returns"] = "sequence"
        leaving.save()
        path = leaving.write("in.txt", self.TEXT)
        arguments = (leaving.path, path, "--step", "last", "--format", "jsonl", "-q")
        [found] = json_lines(run("explain", *arguments).stdout)
        assert found["step"] == 2

    def test_the_page_says_which(self, run, leaving):
        path = leaving.write("in.txt", self.TEXT)
        page = leaving.folder / "out.html"
        run("explain", leaving.path, path, "-o", page)
        assert '"left_out":[1,3]' in page.read_text()
        assert '"missing":"left out"' in page.read_text()  # as its legend has it
        assert "2 more unknown and left out" in page.read_text()

    def test_with_a_token_for_unknown_ones_none_is(self, run, leaving):
        leaving.mapping["tokens"] = {"skip": True, "unknown": "is"}
        leaving.save()
        path = leaving.write("in.txt", self.TEXT)
        result = run("explain", leaving.path, path, "--format", "jsonl")
        assert None not in json_lines(result.stdout)[0]["relevance"]
        assert "4 tokens (2 unknown)" in result.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_any_number_of_processes_writes_the_same(explain, masking, jobs):
    """Blocks are of many lines, so that there are several."""
    lines = list(itertools.islice(itertools.cycle([[1, 0, 2], [0, 0], [3, 4, 0]]), 60_000))
    path = ids(masking, "in.txt", *lines)
    out, report = masking.folder / f"{jobs}.tsv", masking.folder / "report.json"
    explain(masking, path, "-o", out, "--jobs", jobs, "--report", report, "-q")
    rows = table(io.StringIO(out.read_text()).read())
    assert sum(row["relevance"] == "" for row in rows) == 80_000
    read = json.loads(report.read_text())
    assert (read["tokens"], read["masked_tokens"], read["empty_sequences"]) == (
        80_000,
        80_000,
        20_000,
    )
