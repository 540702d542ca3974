"""`--target A-B`: the difference of two scores, in every command, output and reader of results."""

import json

import numpy as np
import pytest
from installed import spec_of
from models import KERAS, PYTORCH, json_lines, table
from pages import Page

TEXT = "the film is not bad\nbad film\n\nnot not the film\nis\n"
LABELLED = "fair\tthe film is not bad\npoor\tbad film\ngood\tnot not the film\npoor\tis\n"
LABELS = ["poor", "fair", "good"]
SIGNED = (
    "lrp-all,lrp-half,lrp-prop,lrp-abs,gradient-x-input,integrated-gradients,occlusion,omission,"
    "contextual-decomposition,random"
)


@pytest.fixture
def labelled(small):
    small.mapping["labels"] = LABELS
    small.save()
    small.write("in.txt", TEXT)
    small.write("labelled.txt", LABELLED)
    return small


@pytest.fixture
def explain(run, labelled):
    def explained(*options, text="in.txt"):
        result = run("explain", labelled.path, labelled.folder / text, "-q", *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return explained


@pytest.fixture
def lines(explain):
    return lambda *options, **given: json_lines(explain("--format", "jsonl", *options, **given))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bias_factor", ["0", "1"])
def test_every_method_gives_the_difference_and_accounts_for_it(lines, dtype, bias_factor):
    options = ("--method", SIGNED, "--dtype", dtype, "--bias-factor", bias_factor)
    both, good, poor = (lines(*options, "--target", each) for each in ("good-poor", "good", "0"))
    assert len(both) == 5 * len(SIGNED.split(","))
    for found, one, other in zip(both, good, poor, strict=True):
        assert found["target"] == "good-poor"
        assert (found["method"], found["predicted"]) == (one["method"], one["predicted"])
        assert_difference(*(line["relevance"] for line in (found, one, other)), dtype)
        ledger = found["ledger"]
        if ledger is None:
            continue
        assert ledger["score"] == pytest.approx(found["scores"][2] - found["scores"][0], abs=1e-6)
        sizes = abs(found["scores"][2]) + abs(found["scores"][0])
        assert ledger["scores_size"] == pytest.approx(sizes, rel=1e-6)
        if found["method"].startswith("lrp"):
            shares = [name for name in ledger if not name.endswith("_size")]
            amounts = ([line["ledger"][name] for name in shares] for line in (found, one, other))
            assert_difference(*amounts, dtype)


def assert_difference(both, one, other, dtype):
    """To the rounding errors of the two that are subtracted."""
    size = max(map(abs, (*one, *other)), default=0.0)
    off = np.abs(np.subtract(both, np.subtract(one, other))).max(initial=0.0)
    assert off <= size * (1e-13 if dtype == "float64" else 1e-5)


def test_the_margin_is_of_other_classes_in_each_sequence(lines):
    for line in lines("--target", "predicted-second"):
        order = np.argsort(line["scores"])[::-1]
        assert line["target"] == f"{LABELS[order[0]]}-{LABELS[order[1]]}"
        assert line["predicted"] == LABELS[order[0]]
        assert line["ledger"]["score"] == line["scores"][order[0]] - line["scores"][order[1]] > 0


def test_true_classes_need_labelled_input(run, lines, labelled):
    found = lines("--labelled", "--target", "gold-predicted", text="labelled.txt")
    assert [line["target"].split("-")[0] for line in found] == ["fair", "poor", "good", "poor"]
    for line in found:
        assert line["target"] == f"{line['label']}-{line['predicted']}"
        if line["label"] == line["predicted"]:
            assert not any(line["relevance"])
            assert not any(line["ledger"][name] for name in ("score", "tokens", "residual"))
    result = run("explain", labelled.path, labelled.folder / "in.txt", "--target", "second-gold")
    assert result.exit_code == 2
    assert (
        "--target second-gold needs labelled input: add --labelled, or --label COLUMN."
        in result.stderr
    )


@pytest.mark.parametrize("form", ["tsv", "csv", "parquet", "npz", "html", "terminal", "markdown"])
def test_every_output_tells_of_both(explain, lines, labelled, form):
    if form == "parquet":
        spec_of("pyarrow")
    first, target = lines("--target", "good-poor")[0], ("--target", "good-poor")
    path, score = labelled.folder / f"out.{form}", first["ledger"]["score"]
    if form in ("terminal", "markdown"):
        shown = explain(*target, "--format", form)
        before = "target **good-poor**, score **" if form == "markdown" else "  good-poor "
        assert f"{before}{score:+.3f}" in shown
        return
    explain(*target, "-o", path)
    if form in ("tsv", "csv"):
        rows = table(path.read_text("utf-8"), "," if form == "csv" else "\t")
        assert {row["target"] for row in rows} == {"good-poor"}
        assert float(rows[0]["score"]) == score
        assert float(rows[0]["relevance"]) == first["relevance"][0]
    elif form == "parquet":
        from pyarrow import parquet

        row = parquet.read_table(path).to_pylist()[0]
        assert (row["target"], row["score"]) == ("good-poor", score)
        assert row["relevance"] == first["relevance"][0]
    elif form == "npz":
        with np.load(path) as arrays:
            assert arrays["target"].tolist() == [2] * 5
            assert arrays["against"].tolist() == [0] * 5
            assert arrays["ledger_names"][-1] == "scores_size"
            assert arrays["ledger"][0, 0] == score
            assert arrays["ledger"][0, -1] == first["ledger"]["scores_size"]
    else:
        each = Page(path.read_text("utf-8")).explanations[0]
        assert (each["target"], each["against"]) == (2, 0)
        assert each["ledger"][0] == pytest.approx(score, rel=1e-5)


def test_outputs_of_one_score_do_not_change(explain, lines, labelled):
    assert not any("scores_size" in line["ledger"] for line in lines())
    path = labelled.folder / "out.npz"
    explain("-o", path)
    with np.load(path) as arrays:
        assert "against" not in arrays
        assert "scores_size" not in arrays["ledger_names"]


def test_a_label_that_must_be_quoted_is_so_in_a_table(explain, labelled):
    labelled.mapping["labels"] = ["a\tb", 'so "so"', "-"]
    labelled.save()
    rows = table(explain("--target", "0-1"))
    assert {row["target"] for row in rows} == {'a\tb-so "so"'}
    assert {row["target"] for row in table(explain("--target", "--1"))} == {'\'--so "so"'}


@pytest.mark.parametrize("form", ["jsonl", "parquet", "parquet-nested"])
def test_summarize_reads_them_and_keeps_them_apart(run, explain, labelled, form):
    if form != "jsonl":
        spec_of("pyarrow")
    path = labelled.folder / "results"
    explain("--target", "predicted-second", "--format", form, "-o", path)
    result = run("summarize", path, "--format", "json", "--min-count", "1")
    assert result.exit_code == 0, result.output
    [method] = json.loads(result.stdout)["methods"]
    names = [each["target"] for each in method["targets"]]
    of_all = {row["target"] for row in table(explain("--target", "predicted-second"))}
    assert set(names) >= of_all
    assert sum(each["explanations"] for each in method["targets"]) == (
        5 if form != "parquet" else 4
    )
    [only] = {"--target": names[0]}.items()
    one = run("summarize", path, "--format", "json", *only)
    assert [each["target"] for each in json.loads(one.stdout)["methods"][0]["targets"]] == names[:1]
    for other in ("table", "html"):
        assert names[0] in run("summarize", path, "--format", other).stdout


def test_summarize_measures_residuals_as_they_are_checked(run, labelled):
    """Against the sizes of both scores, of which rounding errors are left."""
    ledger = {"score": 1e-9, "tokens": 1e-9, "biases": 0.0, "residual": 1e-15, "scores_size": 10.0}
    line = {"sequence": 0, "id": None, "tokens": ["a"], "scores": [5.0, 5.0 - 1e-9]}
    line |= {"predicted": 0, "target": "0-1", "relevance": [1e-9], "ledger": ledger}
    path = labelled.write("results.jsonl", json.dumps(line) + "\n")
    summary = json.loads(run("summarize", path, "--format", "json").stdout)
    [worst] = summary["methods"][0]["worst_residuals"]
    assert worst["relative"] == pytest.approx(1e-16)


class TestCompare:
    def test_two_methods(self, run):
        options = ("--methods", "lrp-all,gradient-x-input", "--target", "predicted-second")
        result = run(
            "compare", PYTORCH.model, "--input", PYTORCH.sequences, *options, "--format", "json"
        )
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["relevance"]["compared"] == found["sequences"]
        assert {each["target"] for each in found["most_different"]} <= {
            f"{a}-{b}"
            for a in ("negative", "neutral", "positive")
            for b in ("negative", "neutral", "positive")
        }

    def test_a_model_with_its_own_results_and_results_by_target(self, run, explain, labelled):
        path, given = labelled.folder / "out.jsonl", labelled.folder / "in.txt"
        explain("--target", "good-poor", "-o", path)
        options = ("--target", "good-poor", "--tolerance", "1e-12", "--format", "json")
        result = run("compare", path, labelled.path, "--input", given, *options)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["relevance"]["compared"] == 5
        result = run("compare", path, path, *options)
        assert json.loads(result.stdout)["relevance"]["compared"] == 5
        result = run("compare", path, path, "--target", "predicted-second")
        assert result.exit_code == 2
        assert (
            "there are no explanations of 'predicted-second' to compare; results name classes"
            in (" ".join(result.stderr.split()))
        )


class TestCheck:
    def test_every_difference_is_conserved(self, run):
        for sample in (PYTORCH, KERAS):
            for dtype in ("float64", "float32"):
                options = ("--target", "predicted-second", "--dtype", dtype, "--format", "json")
                result = run("check", sample.model, sample.sequences, *options)
                assert result.exit_code == 0, result.output

    def test_expected_relevance_is_of_the_same_difference(self, run, explain, labelled):
        path, given = labelled.folder / "expected.jsonl", labelled.folder / "in.txt"
        explain("--target", "good-poor", "-o", path)
        options = (labelled.path, given, "--expected", path)
        assert run("check", *options, "--target", "good-poor").exit_code == 0
        for other in ("good", "poor-good"):
            result = run("check", *options, "--target", other)
            assert result.exit_code == 3
            assert f"its relevance is for target good-poor, explained is {other}" in result.stderr


class TestEvaluate:
    @pytest.fixture
    def starts(self, run, labelled):
        options = ("--methods", "lrp-all", "--draws", "0", "--min-length", "1", "--format", "json")

        def starts_of(*more, text="in.txt"):
            path = labelled.folder / text
            result = run("evaluate", labelled.path, path, *options, *more)
            assert result.exit_code == 0, result.output
            found = json.loads(result.stdout)
            curves = found["curves"]
            return found["explained"], [each["score"]["lrp-all"]["mean"][0] for each in curves]

        return starts_of

    def test_curves_are_of_the_difference(self, starts):
        (_, good), (_, poor) = starts("--target", "good"), starts("--target", "poor")
        explained, both = starts("--target", "good-poor")
        assert explained == "2-0"
        np.testing.assert_allclose(both, np.subtract(good, poor), rtol=1e-12)
        explained, (deletion, _) = starts("--target", "predicted-second")
        assert explained == "predicted-second"
        assert deletion > 0

    def test_with_true_classes(self, run, starts, labelled):
        explained, scores = starts("--labelled", "--target", "gold-second", text="labelled.txt")
        assert (explained, len(scores)) == ("gold-second", 3)  # as of gold, by right and wrong
        path = labelled.folder / "labelled.txt"
        for target, problem in (
            ("good-poor", "with --labelled it is the true class that is explained"),
            ("all", "with --labelled it is the true class that is explained"),
        ):
            result = run("evaluate", labelled.path, path, "--labelled", "--target", target)
            assert result.exit_code == 2
            assert problem in " ".join(result.stderr.split())
        result = run("evaluate", labelled.path, labelled.folder / "in.txt", "--target", "gold-poor")
        assert (
            "--target gold-poor needs labelled input: add --labelled, or --label COLUMN."
            in result.stderr
        )


@pytest.mark.parametrize("command", ["explain", "check", "evaluate"])
@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("good-bad", "there is no class 'bad', as in 'good-bad'; the model has 3, from 0 to 2"),
        ("good-2", "'good-2' has the same score on both sides, and so is 0"),
    ],
)
def test_what_is_no_difference_is_one_clear_error(run, labelled, command, target, problem):
    result = run(command, labelled.path, labelled.folder / "in.txt", "--target", target)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())


def test_processes_make_no_difference(explain):
    options = ("--target", "predicted-second", "--format", "jsonl")
    assert explain(*options, "--jobs", "2") == explain(*options, "--jobs", "1")
