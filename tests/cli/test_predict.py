"""`lrp predict`: what a user gets."""

import json
import random
import re
from collections import Counter

import numpy as np
import pytest
from models import KERAS, PYTORCH, WEATHER, json_lines, table
from processes import run_lrp

SAMPLES = pytest.mark.parametrize(
    "sample", [PYTORCH, KERAS, WEATHER], ids=["pytorch", "keras", "weather"]
)
TEXT = "the film is not bad\nbad film\n"


def softmax(scores):
    exponentials = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def sigmoid(scores):
    return 1 / (1 + np.exp(-np.asarray(scores)))


def columns(rows, start):
    """The numbers of all columns that begin so, shape (rows, columns)."""
    names = [name for name in rows[0] if name.startswith(start)]
    return np.array([[float(row[name]) for name in names] for row in rows])


@pytest.fixture
def predict(run, small):
    """Predict with the small model as it stands; give the result."""

    def predict(text, *options):
        path = text if not isinstance(text, str) else small.write("in.txt", text)
        return run("predict", small.save(), path, *options)

    return predict


class TestScores:
    @SAMPLES
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_are_those_of_the_framework(self, run, sample, dtype):
        rows = table(run("predict", sample.model, sample.sequences, "--dtype", dtype, "-q").stdout)
        expected = np.load(sample.expected)
        found = columns(rows, "score:").reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    @SAMPLES
    def test_are_those_of_explain(self, run, sample):
        options = (sample.model, sample.sequences, "--format", "jsonl", "-q")
        explained = json_lines(run("explain", *options).stdout)
        predicted = json_lines(run("predict", *options).stdout)
        for key in ("sequence", "id"):
            assert [one[key] for one in predicted] == [one[key] for one in explained]
        # Batches may be cut otherwise, so that sums are rounded otherwise.
        scores = [[one["scores"] for one in found] for found in (predicted, explained)]
        np.testing.assert_allclose(*scores, rtol=0, atol=1e-13)

    @SAMPLES
    def test_are_what_check_compares(self, run, sample, tmp_path):
        """The output can be the expected scores of another run, or of another version."""
        path = tmp_path / "predictions.jsonl"
        assert run("predict", sample.model, sample.sequences, "-o", path).exit_code == 0
        checked = run("check", sample.model, sample.sequences, "--expected", path)
        assert checked.exit_code == 0


class TestTable:
    def test_has_a_row_for_every_sequence(self, run):
        result = run("predict", PYTORCH.model, PYTORCH.sequences)
        rows = table(result.stdout)
        classes = ["negative", "neutral", "positive"]
        assert list(rows[0]) == [
            *("sequence", "predicted"),
            *(f"score:{name}" for name in classes),
            *(f"probability:{name}" for name in classes),
        ]
        assert [row["sequence"] for row in rows] == [str(number) for number in range(100)]
        scores = columns(rows, "score:")
        np.testing.assert_allclose(columns(rows, "probability:"), softmax(scores), rtol=1e-12)
        assert [row["predicted"] for row in rows] == [classes[k] for k in scores.argmax(axis=1)]

    def test_csv_has_the_same_rows(self, run):
        tsv = run("predict", PYTORCH.model, PYTORCH.sequences)
        csv_ = run("predict", PYTORCH.model, PYTORCH.sequences, "--format", "csv")
        assert table(tsv.stdout) == table(csv_.stdout, ",")

    def test_has_the_label_of_labelled_input(self, predict, small):
        small.mapping["labels"] = ["poor", "fair", "good"]
        rows = table(predict("2\tthe film\n\npoor\tbad film\n", "--labelled").stdout)
        assert list(rows[0])[:3] == ["sequence", "label", "predicted"]
        assert [row["label"] for row in rows] == ["good", "", "poor"]

    @pytest.mark.parametrize(("form", "delimiter"), [("tsv", "\t"), ("csv", ",")])
    def test_reads_back_whole_whatever_the_labels(self, predict, small, form, delimiter):
        labels = ['so "so"', "good, or\tnot", "a\nb"]
        small.mapping["labels"] = labels
        rows = table(predict(TEXT, "--format", form).stdout, delimiter)
        assert [name for name in rows[0] if name.startswith("score:")] == [
            f"score:{label}" for label in labels
        ]
        best = columns(rows, "score:").argmax(axis=1)
        assert [row["predicted"] for row in rows] == [labels[k] for k in best]

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    def test_probabilities_read_back_exactly(self, predict, dtype):
        options = ("--dtype", np.dtype(dtype).name)
        found = columns(table(predict(TEXT, *options).stdout), "probability:")
        lines = json_lines(predict(TEXT, *options, "--format", "jsonl").stdout)
        assert found.tolist() == [line["probabilities"] for line in lines]
        assert found.astype(dtype).astype(str).astype(float).tolist() == found.tolist()


class TestJsonLines:
    def test_have_the_documented_keys(self, predict):
        first = json_lines(predict(TEXT, "--format", "jsonl").stdout)[0]
        assert list(first) == ["sequence", "id", "scores", "probabilities", "predicted"]
        assert first["predicted"] == int(np.argmax(first["scores"]))
        np.testing.assert_allclose(first["probabilities"], softmax(first["scores"]), rtol=1e-12)


class TestOneOutput:
    """Class 1 is what the output is of, class 0 that it is not; labels say it in the same way."""

    @pytest.fixture
    def single(self, small):
        small.arrays |= {"V": small.arrays["V"][:1], "c": np.zeros(1)}
        small.mapping["labels"] = ["good"]
        return small

    @pytest.mark.parametrize("activation", ["linear", "sigmoid"])
    def test_is_predicted_where_its_score_is_above_0(self, predict, single, activation):
        single.dense["activation"] = activation
        lines = json_lines(predict(TEXT + "\nnot is\n", "--format", "jsonl").stdout)
        scores = np.array([line["scores"][0] for line in lines])
        assert {0, 1} == {line["predicted"] for line in lines}
        assert [line["predicted"] for line in lines] == (scores > 0).astype(int).tolist()
        found = [line["probabilities"][0] for line in lines]
        np.testing.assert_allclose(found, sigmoid(scores), rtol=1e-12)

    def test_is_compared_with_labels(self, predict, single):
        rows = table(predict("good\tnot is\n0\tbad film\n1\tbad film\n", "--labelled").stdout)
        assert [row["label"] for row in rows] == ["1", "0", "1"]
        report = predict("good\tnot is\n0\tnot is\n", "--labelled").stderr
        predicted = rows[0]["predicted"]
        assert f"predicted       class {predicted}: 2 (class 1 is good, a score above 0)" in report
        assert "accuracy        50.0 % (1 of 2 right)" in report


class TestRegressors:
    @pytest.fixture(params=[3, 1])
    def regressor(self, request, small):
        small.arrays |= {"V": small.arrays["V"][: request.param], "c": np.zeros(request.param)}
        small.mapping["task"] = "regression"
        return small

    def test_have_scores_and_no_classes(self, predict, regressor):
        rows = table(predict(TEXT).stdout)
        numbers = range(len(regressor.arrays["c"]))
        assert list(rows[0]) == ["sequence", *(f"score:{k}" for k in numbers)]
        line = json_lines(predict(TEXT, "--format", "jsonl").stdout)[0]
        assert list(line) == ["sequence", "id", "scores", "predicted"]
        assert line["predicted"] is None
        assert "predicted" not in predict(TEXT).stderr

    def test_are_no_classifiers_to_explain_either(self, predict, run, regressor):
        predict(TEXT)
        explained = run("explain", regressor.path, regressor.folder / "in.txt")
        assert "predicted" not in explained.stderr

    def test_have_no_labels(self, predict, regressor):
        result = predict("1\tbad\n", "--labelled")
        assert result.exit_code == 2
        assert "--labelled: the model predicts values, not a class" in result.stderr

    def test_on_the_terminal_show_their_values(self, predict, regressor):
        shown = predict(TEXT, "--format", "terminal").stdout
        for row in table(predict(TEXT).stdout):
            assert f"{float(row['score:0']):.6g}" in shown


class TestSeveralOutputs:
    @pytest.fixture
    def two(self, small):
        """A class among three, and whether something is likely."""
        small.arrays |= {"V2": np.ones((1, 2))}
        embedding, lstm, dense = small.mapping["layers"]
        likely = {"weights": "V2", "layout": "classes_by_features", "activation": "sigmoid"}
        small.mapping["layers"] = [
            embedding,
            {"name": "state", **lstm},
            {"name": "class", **dense, "from": "state"},
            {"name": "likely", "from": "state", "dense": likely},
        ]
        small.mapping["outputs"] = ["likely", "class"]
        return small

    def test_have_a_prediction_each(self, predict, two):
        rows = table(predict(TEXT).stdout)
        assert list(rows[0])[1:3] == ["predicted:likely", "predicted:class"]
        scores, likely = columns(rows, "score:"), columns(rows, "probability:")
        np.testing.assert_allclose(likely[:, 0], sigmoid(scores[:, 0]), rtol=1e-12)
        np.testing.assert_allclose(likely[:, 1:], softmax(scores[:, 1:]), rtol=1e-12)
        predicted = [(int(r["predicted:likely"]), int(r["predicted:class"])) for r in rows]
        best = scores[:, 1:].argmax(axis=1) + 1
        assert predicted == list(zip(scores[:, 0] > 0, best, strict=True))
        for line, (first, second) in zip(
            json_lines(predict(TEXT, "--format", "jsonl").stdout), predicted, strict=True
        ):
            assert line["predicted"] == {"likely": first, "class": second}

    def test_of_which_one_is_a_value(self, predict, two):
        two.mapping["layers"][3]["dense"]["activation"] = "linear"
        rows = table(predict(TEXT).stdout)
        names = [f"probability:{number}" for number in (1, 2, 3)]
        assert [name for name in rows[0] if not name.startswith("score")] == [
            *("sequence", "predicted:class"),
            *names,
        ]
        for line in json_lines(predict(TEXT, "--format", "jsonl").stdout):
            assert list(line["predicted"]) == ["class"]
            assert line["probabilities"][0] is None
            assert sum(line["probabilities"][1:]) == pytest.approx(1)

    def test_report_each(self, predict, two):
        path = two.folder / "report.json"
        predict(TEXT, "--report", path)
        predicted = json.loads(path.read_text())["predicted"]
        assert {name: sum(counts.values()) for name, counts in predicted.items()} == {
            "likely": 2,
            "class": 2,
        }
        assert "predicted       likely: class " in predict(TEXT).stderr

    def test_have_no_one_label(self, predict, two):
        result = predict("0\tbad\n", "--labelled")
        assert result.exit_code == 2
        assert "several outputs, and no one class" in result.stderr


class TestEveryStep:
    TEXT = "not bad\n\nthe film is bad\n"

    @pytest.fixture
    def labeller(self, small):
        small.lstm["returns"] = "sequence"
        return small

    def places(self, rows):
        return [(int(row["sequence"]), int(row["step"])) for row in rows]

    def test_has_a_row(self, predict, labeller, run):
        rows = table(predict(self.TEXT).stdout)
        assert list(rows[0])[:3] == ["sequence", "step", "predicted"]
        assert self.places(rows) == [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2), (2, 3)]
        options = (labeller.path, labeller.folder / "in.txt", "--format", "jsonl", "-q")
        explained = json_lines(run("explain", *options, "--step", "all").stdout)
        scores = [each["scores"] for each in explained if each["scores"]]
        assert columns(rows, "score:").tolist() == scores

    def test_a_sequence_without_steps_is_not_lost(self, predict, labeller):
        result = predict(self.TEXT, "--format", "jsonl")
        found = json_lines(result.stdout)
        assert [(one["sequence"], one["step"]) for one in found] == [
            *((0, 0), (0, 1), (1, None)),
            *((2, 0), (2, 1), (2, 2), (2, 3)),
        ]
        assert found[2] == {
            "sequence": 1,
            "id": None,
            "scores": [],
            "step": None,
            "probabilities": [],
            "predicted": None,
        }
        assert "1 empty sequence (counted from 0: 1): kept, without scores" in result.stderr

    def test_but_those_that_are_masked(self, predict, labeller):
        labeller.mapping["padding"] = {"masked": True, "value": 3}  # the token `not`
        assert self.places(table(predict(self.TEXT).stdout)) == [
            *((0, 1), (2, 0), (2, 1), (2, 2), (2, 3))
        ]

    def test_but_padding(self, predict, labeller):
        labeller.mapping["padding"] = {"side": "pre", "length": 3}
        assert self.places(table(predict(self.TEXT).stdout)) == [
            *((0, 0), (0, 1), (2, 0), (2, 1), (2, 2), (2, 3))
        ]

    def test_has_a_line_on_the_terminal(self, predict, labeller):
        shown = predict(self.TEXT, "--format", "terminal").stdout.splitlines()
        starts = [line.split()[:3] for line in shown if line.split()[:1] in (["0"], ["2"])]
        assert starts == [
            *(["0", "0", "not"], ["0", "1", "bad"]),
            *(["2", "0", "the"], ["2", "1", "film"], ["2", "2", "is"], ["2", "3", "bad"]),
        ]

    def test_has_no_label(self, predict, labeller):
        result = predict("0\tnot bad\n", "--labelled")
        assert result.exit_code == 2
        assert "scores at every step, not a class" in result.stderr


class TestLabelled:
    @pytest.fixture(params=[PYTORCH, KERAS], ids=["pytorch", "keras"])
    def agreement(self, request, run, tmp_path):
        """The rows and both reports of a sample's labelled sentences."""
        labelled = request.param.sequences.with_name("labelled.txt")
        arguments = ("predict", request.param.model, labelled, "--labelled")
        result = run(*arguments)
        report = tmp_path / "report.json"
        run(*arguments, "--report", report)
        return table(result.stdout), result.stderr, json.loads(report.read_text())

    def test_accuracy_is_the_part_that_is_right(self, agreement):
        rows, text, report = agreement
        right = sum(row["label"] == row["predicted"] for row in rows)
        assert (report["labelled"], report["right"]) == (100, right)
        assert report["accuracy"] == right / 100
        assert f"accuracy        {right:.1f} % ({right} of 100 right), between" in text

    def test_confusion_has_what_was_taken_for_what(self, agreement):
        rows, text, report = agreement
        wanted = Counter((row["label"], row["predicted"]) for row in rows)
        found = {
            (true, predicted): count
            for true, counts in report["confusion"].items()
            for predicted, count in counts.items()
        }
        assert found == wanted
        names = sorted({name for pair in wanted for name in pair})
        _, below = text.split("confusion ")
        lines = [line.split() for line in below.splitlines()[1:]]
        assert lines[0] == [*names, "recall"]
        for name, line in zip(names, lines[1:], strict=False):
            assert line[:-2] == [name, *(str(wanted[name, other]) for other in names)]

    def test_each_class_has_its_precision_and_recall(self, agreement):
        rows, _, report = agreement
        for each in report["by_class"]:
            name = each["class"]
            true = [row["predicted"] for row in rows if row["label"] == name]
            taken = [row["label"] for row in rows if row["predicted"] == name]
            assert each["recall"] == true.count(name) / len(true)
            assert each["precision"] == taken.count(name) / len(taken)
            mean = 2 / (1 / each["recall"] + 1 / each["precision"])
            assert each["f1"] == pytest.approx(mean)

    def test_is_what_explain_counts(self, agreement, run, tmp_path):
        rows, _, report = agreement
        sample = PYTORCH if len(report["by_class"]) == 3 else KERAS
        path = tmp_path / "explained.json"
        labelled = sample.sequences.with_name("labelled.txt")
        run("explain", sample.model, labelled, "--labelled", "--report", path)
        explained = json.loads(path.read_text())
        for key in ("labelled", "right", "predicted", "tokens", "unknown_tokens"):
            assert report[key] == explained[key]
        assert len(rows) == 100

    def test_a_class_that_nothing_is_of_has_no_recall(self, predict, small):
        small.arrays["c"] = np.array([0.0, 0.0, 99.0])
        report = small.folder / "report.json"
        predict("0\tbad\n0\tfilm\n", "--labelled", "--report", report)
        found = {each["class"]: each for each in json.loads(report.read_text())["by_class"]}
        assert list(found) == [0, 2]
        assert (found[2]["recall"], found[2]["precision"]) == (None, 0.0)
        assert (found[0]["recall"], found[0]["precision"], found[0]["f1"]) == (0.0, None, 0.0)
        assert (
            "precision           -    0.0 %"
            in predict(small.folder / "in.txt", "--labelled").stderr
        )

    def test_without_a_label_on_any_line_there_is_no_accuracy(self, predict):
        result = predict("\n\n", "--labelled")
        assert result.exit_code == 0
        assert "accuracy" not in result.stderr

    def test_an_unknown_label_is_an_error(self, predict):
        result = predict("0\tbad\n3\tfilm\n", "--labelled")
        assert result.exit_code == 3
        assert "in.txt: line 2: label `3`; expected a class number from 0 to 2" in result.stderr


def test_of_many_classes_only_the_file_has_the_table(predict, small):
    rng = np.random.default_rng(1)
    small.arrays |= {"V": 9 * rng.standard_normal((40, 2)), "c": np.zeros(40)}
    result = predict("".join(f"{k}\tbad\n" for k in range(40)), "--labelled")
    assert "confusion       of 40 classes: too many to show; --report FILE.json" in result.stderr


class TestEmptyLines:
    def test_have_the_scores_of_a_model_that_read_nothing(self, predict, small):
        result = predict("the film\n\nbad\n")
        rows = table(result.stdout)
        assert [row["sequence"] for row in rows] == ["0", "1", "2"]
        np.testing.assert_allclose(columns(rows, "score:")[1], small.arrays["c"])
        assert "warning: 1 empty sequence (counted from 0: 1): kept, predicted from no token" in (
            result.stderr
        )


class TestTheTerminal:
    def test_shows_text_class_and_probability(self, run):
        labelled = PYTORCH.sequences.with_name("labelled.txt")
        arguments = ("predict", PYTORCH.model, labelled, "--labelled")
        shown = run(*arguments, "--format", "terminal").stdout
        rows = table(run(*arguments).stdout)
        lines = [line.split() for line in shown.splitlines() if line.split()[:1] != []]
        found = {line[0]: line for line in lines if line[0].isdigit()}
        for row in rows[:50]:
            line = found[row["sequence"]]
            right = "right" if row["label"] == row["predicted"] else "wrong"
            likely = 100 * float(row[f"probability:{row['predicted']}"])
            assert line[-1] == right
            assert line[-6:-2] == [row["label"], row["predicted"], f"{likely:.1f}", "%"]
        assert len(found) == 50
        assert "and 50 more; --format tsv writes a full table" in shown

    def test_leaves_text_room_at_80_columns(self, run, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        labelled = KERAS.sequences.with_name("labelled.txt")
        shown = run("predict", KERAS.model, labelled, "--labelled", "--format", "terminal").stdout
        assert "the large format fi…   positive" in shown
        assert max(map(len, shown.splitlines())) <= 80

    def test_names_outputs_whole_at_80_columns(self, run, monkeypatch, small):
        small.mapping["layers"][-1] |= {"name": "topic", "from": "states"}
        small.mapping["layers"][-2]["name"] = "states"
        mood = {"dense": {"weights": "V", "bias": "c", "activation": "softmax"}}
        small.mapping["layers"].append({"name": "mood", "from": "states", **mood})
        small.mapping["outputs"] = ["topic", "mood"]
        monkeypatch.setenv("COLUMNS", "80")
        text = small.write("in.txt", "not bad\n")
        shown = run("predict", small.save(), text, "--format", "terminal").stdout
        assert re.search(r"tokens +topic +probability +mood +probability", shown), shown

    def test_says_how_likely_the_class_is_that_one_output_predicts(self, run):
        shown = run("predict", WEATHER.model, WEATHER.sequences, "--format", "terminal").stdout
        rows = table(run("predict", WEATHER.model, WEATHER.sequences).stdout)
        lines = [line.split() for line in shown.splitlines()]
        found = {line[0]: line for line in lines if line and line[0].isdigit()}
        for row in rows:
            rain = float(row["probability:rain"])
            likely = rain if row["predicted"] == "1" else 1 - rain
            assert found[row["sequence"]][2:5] == [row["predicted"], f"{100 * likely:.1f}", "%"]
        assert "class 1 is rain, a score above 0" in shown

    def test_is_safe_from_what_files_hold(self, predict, small):
        small.mapping["labels"] = ["\x1b[2Jgood", "fair", "poor"]
        line = small.write("in.jsonl", json.dumps({"tokens": ["\x1b[31m"], "id": "\x07"}) + "\n")
        small.vocabulary += "\x1b[31m\n"
        small.arrays["E"] = np.vstack([small.arrays["E"], np.zeros(3)])
        small.arrays["c"] = np.array([99.0, 0.0, 0.0])
        result = predict(line, "--format", "terminal")
        assert result.exit_code == 0, result.stderr
        assert "\x1b" not in result.output
        assert "\x07" not in result.output
        assert "\\x1b[2Jgood" in result.stdout


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Labelled sentences of several blocks, of all lengths in any order."""
    lines = KERAS.sequences.with_name("labelled.txt").read_text("utf-8").splitlines()
    rng = random.Random(5)
    path = tmp_path_factory.mktemp("corpus") / "long.txt"
    many = [line for _ in range(50) for line in rng.sample([*lines, ""], len(lines) + 1)]
    path.write_text("".join(f"{line}\n" for line in many), "utf-8")
    assert path.stat().st_size > 4 * 2**17
    return path


class TestStreams:
    def test_a_sequence_is_predicted_as_if_it_were_alone(self, run, corpus, monkeypatch):
        """Windows and batches change neither order nor scores, but for rounding."""
        monkeypatch.setattr("lstm_lrp_cli.explaining.windows.WINDOW_STEPS", 100)
        options = (KERAS.model, KERAS.sequences, "-q")
        small_windows = table(run("predict", *options).stdout)
        monkeypatch.undo()
        rows = table(run("predict", *options).stdout)
        assert [row["predicted"] for row in small_windows] == [row["predicted"] for row in rows]
        np.testing.assert_allclose(
            columns(small_windows, "score:"), columns(rows, "score:"), rtol=1e-10
        )

    def test_a_bad_line_comes_after_what_was_right(self, corpus, tmp_path):
        bad = tmp_path / "bad.txt"
        bad.write_bytes(corpus.read_bytes() + b"\xff\xfe\n")
        results = [
            run_lrp("predict", KERAS.model, bad, "--labelled", "--jobs", jobs) for jobs in (1, 3)
        ]
        for result in results:
            assert result.returncode == 3
            assert b"bad.txt: line 5051: " in result.stderr
            assert result.stdout.count(b"\n") == 5051
        assert results[0].stdout == results[1].stdout

    @pytest.mark.parametrize(
        ("name", "beginning"),
        [("out.csv", b"sequence,predicted,"), ("out.jsonl", b'{"sequence":0,')],
    )
    def test_the_ending_of_the_file_decides_its_format(self, predict, small, name, beginning):
        predict(TEXT, "-o", small.folder / name)
        assert (small.folder / name).read_bytes().startswith(beginning)


class TestBadInput:
    def test_a_score_that_overflows(self, predict, small):
        small.arrays["c"] = np.array([np.finfo(np.float64).max, 0, 0])
        small.arrays["V"] = np.full((3, 2), 1e308)
        result = predict(TEXT)
        assert result.exit_code == 3
        assert "scores overflow" in result.stderr

    def test_text_for_a_model_of_numbers(self, run):
        result = run("predict", WEATHER.model, KERAS.sequences)
        assert result.exit_code == 3
        assert "expected a series" in result.stderr
