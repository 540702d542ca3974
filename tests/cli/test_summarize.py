"""`lrp summarize`: what a user gets."""

import gzip
import html
import json
import subprocess
from collections import Counter

import pytest
from forking import forked_lrp
from models import PYTORCH, WEATHER, json_lines
from plain_summary import figures_of
from processes import run_lrp

from lstm_lrp_cli.results.read import read_results

LABELLED = PYTORCH.sequences.with_name("labelled.txt")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The explanations of the labelled sample."""
    path = tmp_path_factory.mktemp("results") / "results.jsonl"
    done = run_lrp("explain", PYTORCH.model, LABELLED, "--labelled", "-q", "-o", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def summary(run):
    """Summarize to JSON; give the document."""

    def summarize(*arguments, **options):
        done = run("summarize", *arguments, "--format", "json", **options)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    return summarize


def line(text="not bad", relevance=(0.5, 0.25), **keys):
    """A line of results of one's own."""
    return json.dumps(
        {"sequence": 0, "target": "good", "tokens": text.split(), "relevance": relevance} | keys
    )


class TestJson:
    def test_has_the_documented_keys(self, summary, results):
        found = summary(results)
        assert list(found) == [
            *("results", "files", "kind", "top", "min_count", "dropped", "methods")
        ]
        (method,) = found["methods"]
        assert list(method) == [
            *("method", "explanations", "without_score", "targets", "confusion"),
            "worst_residuals",
        ]
        target = method["targets"][0]
        assert list(target) == [
            *("target", "explanations", "tokens", "unknown", "relevance", "distinct"),
            *("highest_mean", "lowest_mean", "highest_total", "lowest_total", "positions"),
        ]
        token = ["token", "count", "unknown", "mean", "std", "total"]
        assert list(target["highest_mean"][0]) == token
        assert list(target["positions"]) == ["from_start", "later", "tenths"]
        assert list(target["positions"]["tenths"][0]) == [
            *("position", "count", "mean", "mean_absolute")
        ]
        assert list(method["confusion"][0]) == [
            *("label", "predicted", "right", "target", "explanations"),
            *("highest_total", "lowest_total"),
        ]
        assert list(method["worst_residuals"][0]) == [
            *("source", "sequence", "id", "target", "step", "text", "residual", "relative")
        ]

    def test_is_of_all_explanations(self, summary, results):
        lines = json_lines(results.read_text("utf-8"))
        (method,) = summary(results)["methods"]
        assert method["explanations"] == len(lines)
        targets = {each["target"]: each["explanations"] for each in method["targets"]}
        assert targets == Counter(each["target"] for each in lines)
        cells = {(c["label"], c["predicted"]): c["explanations"] for c in method["confusion"]}
        assert cells == Counter((each["label"], each["predicted"]) for each in lines)
        assert sum(each["unknown"] for each in method["targets"]) == sum(
            len(each.get("unknown", [])) for each in lines
        )

    def test_ranks_the_tokens_of_each_class(self, summary, results):
        everything = [result for block in read_results(str(results)) for result in block]
        for target in summary(results, "--top", 3, "--min-count", 4)["methods"][0]["targets"]:
            figures = figures_of(each for each in everything if each.target == target["target"])
            means = sorted(mean for count, _, mean, *_ in figures.values() if count >= 4)
            totals = sorted(total for *_, total in figures.values())
            for key, expected in [
                ("highest_mean", means[::-1][: (len(means) + 1) // 2]),
                ("lowest_mean", means[: len(means) // 2]),
                ("highest_total", totals[::-1]),
                ("lowest_total", totals),
            ]:
                found = [each[key.split("_")[1]] for each in target[key]]
                assert found == pytest.approx(expected[:3])

    def test_without_labels_there_is_no_confusion(self, summary):
        (method,) = summary("-", input=line())["methods"]
        assert method["confusion"] == []
        assert method["worst_residuals"] == []


class TestResults:
    def test_of_several_methods_have_a_section_each(self, run, summary, tmp_path):
        path = tmp_path / "methods.jsonl"
        names = "lrp-all,gradient"
        run("explain", PYTORCH.model, LABELLED, "--method", names, "-q", "-o", path)
        first, second = summary(path)["methods"]
        assert [first["method"], second["method"]] == ["lrp-all", "gradient"]
        assert first["explanations"] == second["explanations"] == 100
        assert first["worst_residuals"]
        assert second["worst_residuals"] == []
        assert "gradient: 100 explanations" in run("summarize", path).stdout

    def test_in_several_files_are_taken_together(self, summary, results, tmp_path):
        lines = results.read_text("utf-8").splitlines(keepends=True)
        paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl.gz"]
        paths[0].write_text("".join(lines[:40]), "utf-8")
        paths[1].write_bytes(gzip.compress("".join(lines[40:]).encode()))
        found, whole = summary(*paths), summary(results)
        assert found["results"] == list(map(str, paths))
        for one, other in zip(found["methods"], whole["methods"], strict=True):
            assert one["confusion"][0]["explanations"] == other["confusion"][0]["explanations"]
            worst = [each["residual"] for each in one["worst_residuals"]]
            assert worst == [each["residual"] for each in other["worst_residuals"]]
            for ours, theirs in zip(one["targets"], other["targets"], strict=True):
                assert ours["relevance"] == pytest.approx(theirs["relevance"])
                assert ours["distinct"] == theirs["distinct"]

    def test_of_numeric_series_are_grouped_by_feature(self, run, summary, tmp_path):
        path = tmp_path / "series.jsonl"
        run("explain", WEATHER.model, WEATHER.sequences, "-q", "-o", path)
        lines = json_lines(path.read_text("utf-8"))
        found = summary(path)
        assert found["kind"] == "feature"
        for target in found["methods"][0]["targets"]:
            ranked = target["highest_total"] + target["lowest_total"]
            assert {each["token"] for each in ranked} == set(lines[0]["features"])
            steps = sum(
                len(each["relevance"]) for each in lines if each["target"] == target["target"]
            )
            assert {each["count"] for each in ranked} == {target["tokens"]} == {steps}

    def test_by_dimension_add_up_to_those_by_token(self, run, summary, tmp_path):
        paths = [tmp_path / "token.jsonl", tmp_path / "dimension.jsonl"]
        for path in paths:
            run("explain", PYTORCH.model, LABELLED, "--by", path.stem, "-q", "-o", path)
        of_token, of_dimension = (summary(path)["methods"][0]["targets"] for path in paths)
        for one, other in zip(of_token, of_dimension, strict=True):
            assert one["distinct"] == other["distinct"]
            totals = [
                sorted(each["total"] for each in some["highest_total"]) for some in (one, other)
            ]
            assert totals[0] == pytest.approx(totals[1])

    def test_of_every_step_are_counted_each(self, run, summary, small):
        small.lstm["returns"] = "sequence"
        text = small.write("in.txt", "not bad\n\nthe film is bad\n")
        path = small.folder / "steps.jsonl"
        run("explain", small.save(), text, "--step", "all", "-q", "-o", path)
        (method,) = summary(path)["methods"]
        assert method["explanations"] == 7
        assert method["without_score"] == 1
        assert {each["step"] for each in method["worst_residuals"]} >= {0, 1, 2, 3}

    def test_of_one_class_alone(self, summary, results):
        found = summary(results, "--target", "neutral")["methods"][0]
        assert [each["target"] for each in found["targets"]] == ["neutral"]
        assert {cell["target"] for cell in found["confusion"]} == {"neutral"}


class TestTable:
    def test_is_the_default(self, run, results):
        shown = run("summarize", results, "--top", 3).stdout
        for text in (
            "100 explanations",
            "target  negative  41 explanations, 809 tokens",
            "highest mean (count ≥ 5)",
            "lowest total",
            "90–100 %",
            "positive (wrong)",
            "worst residuals",
        ):
            assert text.replace("  ", " ") in shown.replace("  ", " ")

    def test_shows_what_the_document_says(self, run, summary, results):
        shown = run("summarize", results, "--top", 2).stdout
        for target in summary(results, "--top", 2)["methods"][0]["targets"]:
            for each in target["highest_mean"] + target["lowest_total"]:
                assert f" {each['token']} " in shown

    def test_fits_a_narrow_terminal(self, run, results, monkeypatch):
        monkeypatch.setenv("COLUMNS", "60")
        shown = run("summarize", results).stdout
        assert max(map(len, shown.splitlines())) <= 60

    def test_cannot_move_the_cursor(self, run):
        shown = run("summarize", "-", "--min-count", 1, input=line("\x1b[2J [red]bad[/red]")).stdout
        assert "\x1b" not in shown
        assert "[red]bad[/red]" in shown

    def test_says_nothing_of_what_is_not_there(self, run):
        shown = run("summarize", "-", input=line()).stdout
        assert "highest total" in shown
        for text in ("highest mean", "unknown", "confusion", "residual"):
            assert text not in shown

    def test_tells_unknown_tokens_where_there_are_any(self, run):
        shown = run("summarize", "-", input=line("not bad bad", [2, -1, -1], unknown=[1, 2])).stdout
        assert "1 explanation, 3 tokens (2 unknown)" in shown
        columns = [each.split() for each in shown.splitlines() if each.startswith("  token")]
        known, unknown = ["token", "count"], ["token", "count", "unknown"]
        rest = ["mean", "std", "total"]
        assert columns == [[*known, *rest, *unknown, *rest]]

    def test_small_numbers_keep_their_digits(self, run):
        shown = run("summarize", "-", input=line(relevance=[1.25e-7, -3e-8])).stdout
        assert "+1.25e-07" in shown


class TestHtml:
    @pytest.fixture
    def page(self, run, tmp_path):
        def write(text):
            path = tmp_path / "summary.html"
            assert run("summarize", "-", "-o", path, "--min-count", 1, input=text).exit_code == 0
            return path.read_text("utf-8")

        return write

    def test_shows_what_the_document_says(self, run, summary, results, tmp_path):
        path = tmp_path / "summary.html"
        run("summarize", results, "-o", path)
        page = html.unescape(path.read_text("utf-8"))
        (method,) = summary(results)["methods"]
        for target in method["targets"]:
            assert f"target {target['target']}" in page
            for each in target["highest_mean"] + target["lowest_total"]:
                assert f">{each['token']}</th>" in page
        for each in method["worst_residuals"]:
            assert f"{each['residual']:.2g}" in page

    def test_is_whole_in_itself(self, page):
        found = page(line())
        assert found.startswith("<!DOCTYPE html>")
        assert "default-src 'none'" in html.unescape(found)
        for outside in ("http://", "https://", "<script", "src="):
            assert outside not in found.replace("script-src", "")

    def test_escapes_what_stands_in_files(self, page):
        wicked = '<script>alert("1")</script>&'
        ledger = {"score": 1.0, "residual": 0.5}
        keys = {"target": wicked, "label": wicked, "predicted": wicked, "method": wicked}
        found = page(line(wicked, [1], id=wicked, ledger=ledger, **keys))
        assert "<script" not in found
        assert found.count(html.escape(wicked).replace("&quot;", "&#34;")) >= 6


class TestStreams:
    def test_explain_pipes_into_it(self, results):
        """As in a shell: two processes, and a pipe between them."""
        options = ("--labelled", "--format", "jsonl", "-q")
        explain = subprocess.Popen(
            [*forked_lrp(), "explain", str(PYTORCH.model), str(LABELLED), *options],
            stdout=subprocess.PIPE,
        )
        command = [*forked_lrp(), "summarize", "-", "--format", "json"]
        done = subprocess.run(command, stdin=explain.stdout, capture_output=True, timeout=180)
        explain.stdout.close()
        assert explain.wait(60) == 0
        assert done.stderr == b""
        piped = json.loads(done.stdout)
        read = json.loads(run_lrp("summarize", results, "--format", "json").stdout)
        assert piped["results"] == ["standard input"]
        assert piped["methods"][0]["targets"] == read["methods"][0]["targets"]
        assert piped["methods"][0]["confusion"] == read["methods"][0]["confusion"]

    def test_the_ending_of_the_output_is_its_format(self, run, results, tmp_path):
        starts = {"s.json": "{", "s.html": "<!DOCTYPE", "s.htm": "<!DOCTYPE", "s.txt": "100 exp"}
        for name, start in starts.items():
            assert run("summarize", results, "-o", tmp_path / name).exit_code == 0
            assert (tmp_path / name).read_text("utf-8").startswith(start)
        packed = tmp_path / "s.json.gz"
        run("summarize", results, "-o", packed)
        assert gzip.decompress(packed.read_bytes()).startswith(b"{")


class TestErrors:
    def test_a_wrong_line_is_named(self, run, tmp_path):
        path = tmp_path / "results.jsonl"
        path.write_text(f"{line()}\n{line(relevance=[1])}\n")
        out = tmp_path / "summary.json"
        done = run("summarize", path, "-o", out)
        assert done.exit_code == 3
        assert done.stderr.startswith(f"lrp: {path}: line 2: has 2 `tokens` and 1 values")
        assert done.stderr.count("\n") == 1
        assert not out.exists()

    def test_a_table_is_told_from_json_lines(self, run):
        table = run("explain", PYTORCH.model, LABELLED, "-q").stdout
        done = run("summarize", "-", input=table)
        assert done.exit_code == 3
        assert "standard input: line 1: is not JSON" in done.stderr
        assert "--format jsonl" in done.stderr

    def test_predictions_are_no_explanations(self, run):
        lines = run("predict", PYTORCH.model, LABELLED, "-q", "--format", "jsonl").stdout
        done = run("summarize", "-", input=lines)
        assert done.exit_code == 3
        assert "missing required field `target`" in done.stderr

    def test_an_input_that_is_empty_or_not_there(self, run, tmp_path):
        done = run("summarize", "-", input="")
        assert done.exit_code == 3
        assert "standard input: is empty; expected" in done.stderr
        assert run("summarize", tmp_path / "none.jsonl").exit_code == 3

    def test_a_target_of_which_there_is_nothing(self, run, results):
        done = run("summarize", results, "--target", "best")
        assert done.exit_code == 2
        assert "no explanations of 'best', but of negative, neutral, positive" in done.stderr


def test_whole_steps_of_a_series_are_no_features(run, tmp_path):
    results = tmp_path / "results.jsonl"
    explained = run("explain", WEATHER.model, WEATHER.sequences, "--by", "step", "-o", results)
    assert explained.exit_code == 0
    shown = run("summarize", results).stdout
    assert "target rain  40 explanations, 995 steps, relevance -42.05 in all" in shown
