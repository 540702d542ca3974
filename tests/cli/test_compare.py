"""`lrp compare`: what a user gets."""

import gzip
import json
import re
import subprocess

import numpy as np
import pytest
from forking import forked_lrp
from models import KERAS, PYTORCH, SAMPLES, WEATHER, SmallModel, json_lines
from processes import LRP, run_lrp

from lstm_lrp_cli.compare.table import MOST_TOKENS

LABELLED = PYTORCH.sequences.with_name("labelled.txt")
OF_KERAS = KERAS.sequences.with_name("labelled.txt")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The explanations of the labelled sample by two methods."""
    path = tmp_path_factory.mktemp("results") / "results.jsonl"
    methods = ("--method", "lrp-all,occlusion")
    done = run_lrp("explain", PYTORCH.model, LABELLED, "--labelled", *methods, "-q", "-o", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def other(tmp_path):
    """A second small model, with the weights of the first."""
    folder = tmp_path / "other"
    folder.mkdir()
    return SmallModel(folder)


@pytest.fixture
def compared(run):
    """Compare to JSON; give the document."""

    def compare(*arguments, **options):
        done = run("compare", *arguments, "--format", "json", **options)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return compare


@pytest.fixture
def written(tmp_path):
    """Write lines of results; give the path."""

    def write(name, *lines):
        path = tmp_path / name
        path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def refused(run):
    """Run what must be refused as unusable; give the one line of the error."""

    def compare(*arguments, **options):
        done = run("compare", *arguments, **options)
        assert done.exit_code == 3, done.output
        assert done.stdout == ""
        (error,) = done.stderr.splitlines()
        return error.removeprefix("lrp: ")

    return compare


def line(sequence=0, text="not bad", **changes):
    """A line of results of one's own."""
    tokens = text.split()
    whole = {
        "sequence": sequence,
        "tokens": tokens,
        "scores": [0.5, 1.5],
        "predicted": "good",
        "target": "good",
        "relevance": [0.5] * len(tokens),
    }
    return json.dumps({key: value for key, value in (whole | changes).items() if value != "absent"})


def by_method(path):
    """The lines of both methods."""
    lines = json_lines(path.read_text("utf-8"))
    return lines[::2], lines[1::2]


def assert_alike(found, expected):
    """The same but for what is compared, and for the last digits of sums."""

    def flat(value):
        if isinstance(value, dict):
            return [each for key, some in value.items() for each in (key, *flat(some))]
        if isinstance(value, list):
            return [each for some in value for each in flat(some)]
        return [value]

    def parts(document):
        return flat(
            {
                key: value
                for key, value in document.items()
                if key not in ("a", "b", "assumptions", "warnings")
            }
        )

    for one, other in zip(parts(found), parts(expected), strict=True):
        assert one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)


class TestJson:
    def test_has_the_documented_keys(self, compared, results):
        found = compared(results, "--methods", "lrp-all,occlusion")
        assert list(found) == [
            *("a", "b", "kind", "rank", "min_count", "sequences", "predictions", "scores"),
            *("relevance", "dropped", "tokens", "most_different", "assumptions", "warnings"),
        ]
        assert list(found["predictions"]) == [
            *("compared", "different", "changes", "labelled", "sequences")
        ]
        assert list(found["scores"]) == [
            *("compared", "mean", "largest", "relative", "sequence", "input")
        ]
        assert list(found["relevance"]) == [
            *("compared", "alone", "other_tokens", "masked_by_one", "differences"),
            *("pearson", "spearman", "signs", "same_sign"),
        ]
        assert list(found["relevance"]["pearson"]) == ["explanations", "mean", "quantiles"]
        assert list(found["tokens"][0]) == ["token", "count", "difference", "a", "b"]
        assert list(found["most_different"][0]) == [
            *("sequence", "id", "step", "target", "label", "a_predicted", "b_predicted"),
            *("pearson", "spearman", "difference", "position", "tokens", "a", "b", "dates"),
            "input",
        ]
        with_tolerance = compared(results, "--methods", "lrp-all,occlusion", "--tolerance", 99)
        assert with_tolerance == found | {
            "tolerance": 99.0,
            "worst": with_tolerance["worst"],
            "passed": True,
        }

    def test_tells_the_explanations_that_correlate_least(self, compared, results):
        found = compared(results, "--methods", "lrp-all,occlusion", "--top", 4)["most_different"]
        both = [
            (a["sequence"], np.corrcoef(a["relevance"], b["relevance"])[0, 1])
            for a, b in zip(*by_method(results), strict=True)
            if len(a["tokens"]) >= 3
        ]
        lowest = sorted(both, key=lambda each: each[1])[:4]
        assert [each["sequence"] for each in found] == [number for number, _ in lowest]
        assert [each["pearson"] for each in found] == pytest.approx([each for _, each in lowest])
        firsts, others = by_method(results)
        for each in found:
            assert each["a"] == firsts[each["sequence"]]["relevance"]
            assert each["b"] == others[each["sequence"]]["relevance"]

    def test_tells_the_explanations_that_differ_most(self, compared, results):
        options = ("--methods", "lrp-all,occlusion", "--rank", "difference", "--top", 1)
        (found,) = compared(results, *options)["most_different"]
        apart = [
            np.abs(np.subtract(a["relevance"], b["relevance"])).max()
            for a, b in zip(*by_method(results), strict=True)
        ]
        assert found["sequence"] == int(np.argmax(apart))
        assert found["difference"] == max(apart)


class TestWhatIsCompared:
    """Whatever A and B are, the same explanations compare alike."""

    def test_methods_are_named_as_lrp_explain_names_them(self, compared, results):
        methods = "lrp-all,occlusion"
        assert compared(results, "--method", methods) == compared(results, "--methods", methods)

    def test_two_methods_of_one_model_or_file(self, compared, results):
        methods = ("--methods", "lrp-all,occlusion")
        of_file = compared(results, *methods)
        of_model = compared(PYTORCH.model, "--input", LABELLED, "--labelled", *methods)
        assert of_file["a"] == f"{results}, lrp-all"
        assert of_model["b"] == f"{PYTORCH.model}, occlusion"
        assert_alike(of_model, of_file)

    def test_two_files(self, compared, results, written):
        files = [
            written(f"{name}.jsonl", *(json.dumps(each) for each in lines))
            for name, lines in zip("ab", by_method(results), strict=True)
        ]
        one = compared(results, "--methods", "lrp-all,occlusion")
        two = compared(*files)
        assert_alike(two, one)
        swapped = compared(*files[::-1])
        assert swapped["most_different"][0]["a"] == one["most_different"][0]["b"]

    def test_the_same_method_of_two_files(self, compared, results):
        found = compared(results, results, "--methods", "occlusion")
        assert found["relevance"]["compared"] == 100
        assert found["relevance"]["differences"]["largest"] == 0

    def test_a_file_that_names_no_method_with_one_of_several(
        self, compared, run, results, tmp_path
    ):
        alone = tmp_path / "alone.jsonl"
        run("explain", PYTORCH.model, LABELLED, "--labelled", "-q", "-o", alone)
        found = compared(alone, results, "--methods", "lrp-all")["relevance"]
        assert found["compared"] == 100
        assert found["differences"]["largest"] < 1e-12

    def test_json_lines_with_parquet(self, compared, results, tmp_path):
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        path = tmp_path / "results.parquet"
        parquet.write_table(pa.Table.from_pylist(json_lines(results.read_text("utf-8"))), path)
        found = compared(results, path, "--methods", "lrp-all")
        assert found["scores"]["largest"] == found["relevance"]["differences"]["largest"] == 0
        assert found["relevance"]["compared"] == found["predictions"]["compared"] == 100

    def test_methods_that_this_tool_does_not_have(self, compared, written):
        path = written("mine.jsonl", line(method="mine"), line(method="theirs"))
        assert compared(path, "--methods", "mine,theirs")["a"] == f"{path}, mine"

    def test_two_models(self, compared, small, other, tmp_path):
        other.arrays["V"] = small.arrays["V"][::-1]
        text = small.write("in.txt", "the film is not bad\nbad film\n\nnot the film\n")
        models = small.save(), other.save()
        found = compared(*models, "--input", text, "--target", "1")
        files = []
        for name, model in zip("ab", models, strict=True):
            files.append(tmp_path / f"{name}.jsonl")
            done = run_lrp("explain", model, text, "--target", "1", "-q", "-o", files[-1])
            assert done.returncode == 0
        of_files = compared(*files)
        assert found["relevance"]["compared"] == 4
        assert found["scores"]["largest"] > 0
        assert_alike(found, of_files)

    def test_a_model_with_what_it_gave_before(self, run, tmp_path):
        path = tmp_path / "before.jsonl"
        run("explain", KERAS.model, KERAS.sequences, "-q", "-o", path)
        options = ("--input", KERAS.sequences, "--tolerance", 1e-12)
        assert run("compare", KERAS.model, path, *options).exit_code == 0
        assert run("compare", path, KERAS.model, *options).exit_code == 0
        changed = run("compare", KERAS.model, path, *options, "--eps", 0.1)
        assert changed.exit_code == 1
        assert "FAILED" in changed.stdout

    def test_numeric_series_by_feature(self, compared):
        methods = ("--methods", "lrp-all,gradient-x-input")
        found = compared(WEATHER.model, "--input", WEATHER.sequences, *methods)
        assert found["kind"] == "feature"
        assert {each["token"] for each in found["tokens"]} <= {
            "precipitation",
            "temp_max",
            "temp_min",
            "wind",
        }
        assert found["most_different"][0]["tokens"] is None

    def test_numeric_series_by_step_where_a_method_tells_of_no_more(self, compared):
        methods = ("--methods", "lrp-all,omission")
        by_step = compared(WEATHER.model, "--input", WEATHER.sequences, *methods)
        methods = ("--methods", "lrp-all,gradient-x-input")
        by_feature = compared(WEATHER.model, "--input", WEATHER.sequences, *methods)
        assert by_step["tokens"] == []
        steps, values = (
            each["relevance"]["differences"]["compared"] for each in (by_step, by_feature)
        )
        assert values == 4 * steps

    def test_regressors_predict_no_class(self, run):
        toy = SAMPLES / "toy_addition"
        models = [next((toy / f"model_0{k}").glob("model.*[!l]")) for k in (1, 2)]
        done = run("compare", *models, "--input", toy / "series.csv")
        assert done.exit_code == 0, done.output
        assert "predictions" not in done.stdout
        assert "scores: mean difference" in done.stdout

    def test_results_that_begin_as_weights_might(self, compared, written):
        """A safetensors file is known by a brace in the ninth place."""
        path = written("a.jsonl", line().replace("{", '{"abc": {}, ', 1))
        assert path.read_bytes()[8:9] == b"{"
        assert compared(path, path)["relevance"]["compared"] == 1

    def test_every_step(self, compared, small):
        small.lstm["returns"] = "sequence"
        text = small.write("in.txt", "not bad\n\nthe film is bad\n")
        options = ("--input", text, "--step", "all", "--methods", "lrp-all,occlusion")
        found = compared(small.save(), *options)
        assert found["sequences"] == 3
        assert found["predictions"]["compared"] == found["relevance"]["compared"] == 6

    def test_one_class_alone(self, compared, run, tmp_path):
        path = tmp_path / "all.jsonl"
        run("explain", PYTORCH.model, LABELLED, "--target", "all", "-q", "-o", path)
        assert compared(path, path)["relevance"]["compared"] == 300
        found = compared(path, path, "--target", "neutral")["relevance"]
        assert found["compared"] == 100
        assert found["alone"] == 0
        wrong = run("compare", path, path, "--target", "excellent")
        assert wrong.exit_code == 2
        assert "no explanations of 'excellent'" in wrong.stderr

    def test_where_predictions_differ_relevance_of_the_same_target_alone(self, run, written):
        files = [
            written("a.jsonl", line(0), line(1)),
            written("b.jsonl", line(0), line(1, predicted="bad", target="bad")),
        ]
        done = run("compare", *files)
        assert "predictions: 1 of 2 differ" in done.stdout
        assert "relevance: 1 explanation compared" in done.stdout
        assert "not compared: 2 explanations of a target" in done.stdout
        assert "--target all" in done.stdout


class TestTokens:
    """Models that cut a text differently."""

    def test_are_compared_where_they_are_the_same(self, run, compared, small, other):
        other.mapping["tokens"] = {"split": "whitespace", "lowercase": True}
        text = small.write("in.txt", "The film is bad\nthe film is bad\n")
        small.mapping["tokens"] = {"unknown": "not"}
        models = small.save(), other.save()
        found = compared(*models, "--input", text, "--target", "0")
        assert found["sequences"] == 2
        assert found["scores"]["compared"] == 6
        assert found["relevance"]["other_tokens"] == 1
        assert found["relevance"]["compared"] == 1
        shown = run("compare", *models, "--input", text, "--target", "0", "--tolerance", 1000)
        assert shown.exit_code == 1
        assert "not compared: 1 sequence cut into other tokens" in shown.stdout
        assert "not all could be compared" in shown.stdout

    def test_may_differ_in_files_where_ids_are_the_same(self, compared, refused, written):
        named = [written(f"{k}.jsonl", line(text=text, id="x")) for k, text in enumerate("ab")]
        assert compared(*named)["relevance"]["other_tokens"] == 1
        files = [written(f"n{k}.jsonl", line(text=text)) for k, text in enumerate("ab")]
        error = refused(*files)
        assert error.startswith(f"{files[1]}: line 1: has other tokens than {files[0]}: line 1: ")
        assert "`b` for `a` at position 0" in error


class TestLabels:
    def test_tell_which_side_is_right(self, run, compared, written):
        a = [line(k, predicted=each, label="good") for k, each in enumerate(["good"] * 3 + ["bad"])]
        b = [line(k, predicted=each) for k, each in enumerate(["good", "bad", "bad", "good"])]
        files = written("a.jsonl", *a), written("b.jsonl", *b)
        found = compared(*files)["predictions"]
        assert found["labelled"] == {
            "both_right": 1,
            "only_a_right": 2,
            "only_b_right": 1,
            "both_wrong": 0,
            "p_value": 1.0,
        }
        assert found["changes"] == [
            {"a": "good", "b": "bad", "count": 2},
            {"a": "bad", "b": "good", "count": 1},
        ]
        shown = run("compare", *files).stdout
        assert "right: both 1, only A 2, only B 1, neither 0 (McNemar's test: p = 1)" in shown
        assert "good (right)" in shown
        assert "bad (wrong)" in shown

    def test_of_the_sample_are_those_of_predict(self, compared):
        methods = ("--methods", "lrp-all,gradient")
        found = compared(KERAS.model, "--input", OF_KERAS, "--labelled", *methods)["predictions"]
        done = run_lrp("predict", KERAS.model, OF_KERAS, "--labelled", "--report", "/dev/stderr")
        accuracy = next(x for x in done.stderr.decode().splitlines() if x.startswith("accuracy"))
        right = found["labelled"]["both_right"]
        assert right + found["labelled"]["both_wrong"] == 100
        assert f"{right} of 100" in accuracy


class TestTable:
    def test_is_the_default(self, run, results):
        shown = run("compare", results, "--methods", "lrp-all,occlusion", "--top", 2).stdout
        for text in (
            f"A  {results}, lrp-all",
            f"B  {results}, occlusion",
            "100 sequences",
            "predictions: 0 of 100 differ",
            "relevance: 100 explanations compared",
            "same sign: 83.0 % of 1,898 tokens",
            "correlation of relevance within explanations",
            "tokens whose relevance differs most",
        ):
            assert text in shown

    def test_shows_relevance_of_both_below_each_token(self, run, written):
        files = [
            written(f"{k}.jsonl", line(text="not a bad film", relevance=[amount, 0.5, -0.25, 1]))
            for k, amount in enumerate([-1, 1.25])
        ]
        shown = [each.rstrip() for each in run("compare", *files).stdout.splitlines()]
        place = shown.index("  not   a     bad   film")
        assert shown[place + 1 : place + 3] == [
            "A -1.00 +0.50 -0.25 +1.00",
            "B +1.25 +0.50 -0.25 +1.00",
        ]

    def test_colours_relevance_on_a_terminal(self, run, written, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLORTERM", "truecolor")
        monkeypatch.setenv("TERM", "xterm-256color")
        files = [
            written(f"{k}.jsonl", line(text="a b c", relevance=[1, amount, 0]))
            for k, amount in enumerate([-1, 1])
        ]
        shown = run("compare", *files).stdout
        (a,) = (each for each in shown.splitlines() if each.startswith("A ") and "1.00" in each)
        red, blue = "48;2;212;0;24m+1.00", "48;2;0;98;220m-1.00"
        assert red in a
        assert blue in a

    def test_fits_a_narrow_terminal(self, run, results, monkeypatch):
        monkeypatch.setenv("COLUMNS", "60")
        for options in ((), ("--rank", "difference")):
            shown = run("compare", results, "--methods", "lrp-all,occlusion", *options).stdout
            lines = [each for each in shown.splitlines() if str(results) not in each]
            assert max(map(len, lines)) <= 60

    def test_of_a_long_sequence_shows_the_beginning(self, run, written):
        count = MOST_TOKENS + 7
        text = " ".join(f"t{k}" for k in range(count))
        files = [
            written(
                f"{k}.jsonl",
                line(text=text, relevance=[float(k * (j % 3)) + j for j in range(count)]),
            )
            for k in range(2)
        ]
        shown = run("compare", *files).stdout
        assert "and 7 more tokens" in shown
        assert f" t{MOST_TOKENS - 1} " in f"{shown} "
        assert f"t{MOST_TOKENS} " not in shown

    def test_writes_out_what_could_move_the_cursor(self, run, written):
        files = [
            written(
                f"{k}.jsonl", line(text="a\x1b[2J b c", relevance=[1, k, 0], predicted=f"\x1b{k}")
            )
            for k in range(2)
        ]
        shown = run("compare", *files, "--min-count", 1).stdout
        assert "\x1b" not in shown
        assert r"a\x1b[2J" in shown


class TestTolerance:
    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({}, 0),
            ({"relevance": [0.5, 0.5 + 1e-7]}, 0),
            ({"relevance": [0.5, 0.5 + 1e-5]}, 1),
            ({"scores": [0.5, 1.5 + 1e-5]}, 1),
            ({"scores": [0.5, 1.5 + 1e-6]}, 0),
        ],
    )
    def test_is_of_scores_and_relevance(self, run, written, changes, status):
        files = written("a.jsonl", line()), written("b.jsonl", line(**changes))
        assert run("compare", *files).exit_code == 0
        done = run("compare", *files, "--tolerance", 1e-6)
        assert done.exit_code == status
        assert ("FAILED" if status else "passed") in done.stdout

    def test_is_relative_to_numbers_over_one(self, run, written):
        files = [written(f"{k}.jsonl", line(scores=[0, 1000 + k / 100])) for k in range(2)]
        assert run("compare", *files, "--tolerance", 1.1e-5).exit_code == 0
        assert run("compare", *files, "--tolerance", 0.9e-5).exit_code == 1

    def test_is_not_kept_by_what_could_not_be_compared(self, run, written):
        files = written("a.jsonl", line()), written("b.jsonl", line(target="bad"))
        assert run("compare", *files, "--tolerance", 1).exit_code == 1


class TestStreams:
    def test_two_pipes_and_compressed_files(self, results, tmp_path):
        packed = tmp_path / "results.jsonl.gz"
        packed.write_bytes(gzip.compress(results.read_bytes()))
        command = " ".join(LRP)  # it is given more descriptors than those of its streams
        script = (
            f"{command} compare <(cat '{results}') <(cat '{packed}') --methods lrp-all,occlusion "
            f"--format json"
        )
        done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=180)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["relevance"]["compared"] == 100

    @pytest.mark.parametrize("place", [0, 1])
    def test_standard_input_is_either_of_both(self, compared, results, place):
        paths = [results, results]
        paths[place] = "-"
        found = compared(*paths, "--methods", "lrp-all", input=results.read_bytes())
        assert found["ab"[place]] == "standard input, lrp-all"
        assert found["relevance"]["compared"] == 100

    def test_explain_pipes_into_it(self, results, tmp_path):
        explain = f"{' '.join(forked_lrp())} explain '{PYTORCH.model}' '{LABELLED}' --labelled"
        compare = f"{' '.join(forked_lrp())} compare '{results}' - --methods lrp-all"
        script = f"set -o pipefail; {explain} --format jsonl -q | {compare} --tolerance 1e-9"
        done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_sequences_for_two_models_come_through_one_pipe(self, compared, small, other):
        text = b"the film is not bad\n" * 5000
        found = compared(small.save(), other.save(), "--input", "-", input=text)
        assert found["sequences"] == found["relevance"]["compared"] == 5000
        assert found["relevance"]["differences"]["largest"] == 0


class TestMisalignedFiles:
    """One error names the file and the line."""

    @pytest.mark.parametrize(
        ("a", "b", "error"),
        [
            ([0, 1, 2], [0, 2], "b: line 2: is of sequence 2; expected sequence 1, as a: line 2"),
            ([0, 2], [0, 1, 2], "a: line 2: is of sequence 2; expected sequence 1, as b: line 2"),
            ([0, 1], [0], "b: ends before sequence 1, which a: line 2 has"),
            ([0], [0, 1], "a: ends before sequence 1, which b: line 2 has"),
            ([1, 0], [1, 0], "a: line 2: is of sequence 0, which stands before 1"),
        ],
    )
    def test_that_lack_a_sequence(self, refused, written, a, b, error):
        files = written("a", *map(line, a)), written("b", *map(line, b))
        found = refused(*files).replace(f"{files[0]}", "a").replace(f"{files[1]}", "b")
        assert found.startswith(error)

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"text": "not bad at", "relevance": [1, 2, 3]}, "`at` for nothing at position 2"),
            ({"text": "was bad"}, "`was` for `not` at position 0"),
            ({"id": "y"}, "has the id 'y', and "),
            ({"label": "bad"}, "has the label 'bad', and "),
            ({"scores": [1.0]}, "has 1 scores, and "),
            ({"predicted": 1, "target": 1}, "predicts 1, and "),
            ({"tokens": "absent", "features": ["x"], "relevance": [[1]]}, "is of a numeric series"),
        ],
    )
    def test_that_are_not_of_the_same(self, refused, written, changes, problem):
        whole = {"id": "x", "label": "good"}
        if "text" in changes:
            whole = {}
        a = written("a.jsonl", line(0, **whole), line(1, **whole))
        b = written("b.jsonl", line(0, **whole), "", line(1, **(whole | changes)))
        error = refused(a, b)
        assert error.startswith(f"{b}: line 3: ")
        assert problem in error
        assert f"{a}: line 2" in error

    def test_numeric_series_of_other_features_or_steps(self, refused, written):
        def series(features, steps):
            relevance = [[0.5] * len(features)] * steps
            return line(tokens="absent", features=features, relevance=relevance)

        a = written("a.jsonl", series(["x", "y"], 3))
        b = written("b.jsonl", series(["x", "z"], 3))
        assert f"has the features x, z, and {a}: line 1 x, y" in refused(a, b)
        b = written("b.jsonl", series(["x", "y"], 4))
        assert f"has 4 steps, and {a}: line 1 3" in refused(a, b)

    def test_that_explain_the_same_twice(self, refused, written):
        a, b = written("a.jsonl", line(), line()), written("b.jsonl", line())
        assert "line 2: explains good of sequence 0 again" in refused(a, b)

    def test_of_several_methods_of_which_none_is_chosen(self, refused, results):
        error = refused(results, results)
        assert "several methods (lrp-all,occlusion); say which are compared: --methods" in error

    def test_without_the_method(self, refused, results, written):
        error = refused(results, "--methods", "lrp-all,omission")
        assert "line 1: is an explanation by lrp-all, occlusion; expected omission" in error
        path = written("a.jsonl", line())
        assert "does not say by which method" in refused(path, "--methods", "lrp-all,omission")

    def test_of_lines_that_explain_did_not_write(self, refused, written):
        a, b = written("a.jsonl", line()), written("b.jsonl", line(0), "sequence\ttoken")
        assert refused(a, b).startswith(f"{b}: line 2: is not JSON")


class TestModelsThatCannotBeCompared:
    def test_of_other_labels(self, refused, small, other):
        small.mapping["labels"] = ["bad", "fair", "good"]
        other.mapping["labels"] = ["good", "fair", "bad"]
        text = small.write("in.txt", "not bad\n")
        error = refused(small.save(), other.save(), "--input", text)
        assert error.startswith(f"{other.path}: has the labels good, fair, bad, and {small.path}")

    def test_but_labels_of_one_are_those_of_both(self, compared, small, other):
        other.mapping["labels"] = ["bad", "fair", "good"]
        text = small.write("in.txt", "not bad film\n")
        found = compared(small.save(), other.save(), "--input", text, "--target", "fair")
        assert found["relevance"]["compared"] == 1
        assert found["predictions"]["different"] == 0

    @pytest.mark.parametrize(
        ("different", "error"),
        [
            (KERAS, "gives 2 scores, and .* gives 3 scores"),
            (WEATHER, "takes numbers, and .* takes tokens"),
        ],
        ids=["classes", "input"],
    )
    def test_of_other_kinds(self, refused, different, error):
        found = refused(PYTORCH.model, different.model, "--input", PYTORCH.sequences)
        assert re.fullmatch(f"{different.model}: .*{error}; they cannot be compared", found)


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["M", "M"], "is a model; say what it explains: --input"),
            (["M", "--input", "in.txt"], "without B, two methods of A are compared"),
            (["R"], "without B, two methods of A are compared"),
            (["R", "--methods", "lrp-all"], "without B, two methods of A are compared"),
            (["R", "R", "--input", "in.txt"], "--input is for models"),
            (["R", "R", "--eps", "0.1"], "--eps is for models"),
            (
                ["R", "R", "--target", "predicted"],
                "expected a class, the difference of two, or all",
            ),
            (["-", "-"], "standard input (-) can be read once"),
            (["-", "M", "--input", "-"], "standard input (-) can be read once"),
            (["M", "R", "--input", "x", "--mapping-b", "x"], "--mapping-b: B is no model"),
            (["R", "M", "--input", "x", "--mapping-a", "x"], "--mapping-a: A is no model"),
            (["R", "R", "--methods", "a,b,c"], "is neither one method nor two"),
            (["R", "R", "--methods", "a,"], "is neither one method nor two"),
            (["R", "R", "--methods", "a,a"], "a method is named twice"),
            (["M", "M", "--input", "x", "--methods", "mine"], "there is no method 'mine'"),
            (["M", "--input", "x", "--methods", "mine,yours"], "there is no method 'mine'"),
            (["M", "M", "--input", "x", "--seed", "1"], "--seed needs --method random"),
        ],
    )
    def test_is_told(self, run, results, arguments, problem):
        named = {"M": KERAS.model, "R": results}
        done = run("compare", *(named.get(each, each) for each in arguments))
        assert done.exit_code == 2, done.output
        assert problem in " ".join(done.stderr.split())

    def test_a_file_that_is_not_there_is_told(self, refused, results, tmp_path):
        path = tmp_path / "nothing.h5"
        assert (
            refused(path, results) == f"{path}: there is no such file; expected a model, or results"
        )

    def test_each_model_has_its_mapping(self, compared, small):
        model = small.save()
        mapping = (small.folder / "model.yaml").rename(small.folder / "another.yaml")
        text = small.write("in.txt", "not bad film\n")
        both = compared(model, model, "--input", text, "--mapping", mapping)
        each = compared(
            *(model, model, "--input", text, "--mapping-a", mapping, "--mapping-b", mapping)
        )
        assert both == each
        assert both["relevance"]["compared"] == 1
