"""`lrp check`: passes where all is right, and fails where anything is wrong."""

import json

import h5py
import msgspec
import numpy as np
import pytest
import yaml
from models import KERAS, PYTORCH, TESTS, WEATHER, json_lines

SAMPLES = pytest.mark.parametrize(
    "sample", [PYTORCH, KERAS, WEATHER], ids=["pytorch", "keras", "weather"]
)


def results(result):
    document = json.loads(result.stdout)
    return {check["name"]: check for check in document["checks"]}


class TestSampleModels:
    @SAMPLES
    def test_agree_with_their_frameworks_scores(self, run, sample):
        result = run("check", sample.model, sample.sequences, "--expected", sample.expected)
        assert result.exit_code == 0, result.output
        assert "FAILED" not in result.stdout
        assert result.stdout.count("passed") == 3

    @SAMPLES
    @pytest.mark.parametrize("bias_factor", [0, 0.5, 1])
    @pytest.mark.parametrize(("dtype", "allowed"), [("float64", 1e-10), ("float32", 1e-3)])
    def test_conserve_relevance_for_every_class(self, run, sample, dtype, allowed, bias_factor):
        result = run(
            *("check", sample.model, sample.sequences, "--expected", sample.expected),
            *("--dtype", dtype, "--bias-factor", bias_factor),
            *("--target", "all", "--format", "json"),
        )
        assert result.exit_code == 0
        found = results(result)
        assert found["conservation"]["worst"] < allowed
        assert found["reference"]["worst"] < allowed
        assert found["forward"]["worst"] < 1e-5

    @SAMPLES
    @pytest.mark.parametrize(
        ("method", "dtype", "allowed"),
        [
            ("lrp-half", "float64", 1e-10),
            ("lrp-half", "float32", 1e-3),
            ("lrp-prop", "float64", 1e-10),
            ("lrp-abs", "float64", 1e-10),
            ("lrp-abs", "float32", 1e-3),
        ],
    )
    def test_conserve_relevance_by_every_rule(self, run, sample, method, dtype, allowed):
        result = run(
            *("check", sample.model, sample.sequences, "--method", method, "--dtype", dtype),
            *("--bias-factor", "0.5", "--format", "json"),
        )
        assert result.exit_code == 0
        found = results(result)
        for check in ("conservation", "reference"):
            assert found[check]["worst"] < allowed
            assert f"by {method}" in found[check]["meaning"]

    @SAMPLES
    def test_hold_more_relevance_by_lrp_prop_than_float32_can(self, run, sample):
        result = run(
            *("check", sample.model, sample.sequences, "--method", "lrp-prop"),
            *("--dtype", "float32"),
        )
        assert result.exit_code == 3
        assert "its relevance by lrp-prop overflows; try --dtype float64" in result.stderr

    @SAMPLES
    def test_agree_with_probabilities_too(self, run, sample, tmp_path):
        """What a framework's predict gives is recognised, and the table says so."""
        scores = np.load(sample.expected)
        odds = np.exp(scores.astype(np.float64))
        several = scores.shape[1] > 1
        probabilities = odds / odds.sum(axis=1, keepdims=True) if several else odds / (1 + odds)
        np.save(tmp_path / "probabilities.npy", probabilities)
        result = run(
            *("check", sample.model, sample.sequences, "--format", "json"),
            *("--expected", tmp_path / "probabilities.npy"),
        )
        assert result.exit_code == 0
        assert "= expected probabilities" in results(result)["forward"]["meaning"]

    @SAMPLES
    def test_agree_with_logarithms_of_probabilities(self, run, sample, tmp_path):
        """As PyTorch's models give them that end in a log_softmax, or a logsigmoid."""
        scores = np.load(sample.expected).astype(np.float64)
        several = scores.shape[1] > 1
        rest = np.log(np.exp(scores).sum(axis=1, keepdims=True)) if several else 0
        logarithms = scores - rest if several else -np.log1p(np.exp(-scores))
        for change, status in ((0, 0), (1e-3, 1)):
            np.save(tmp_path / "logarithms.npy", logarithms - change)
            result = run(
                *("check", sample.model, sample.sequences, "--format", "json"),
                *("--expected", tmp_path / "logarithms.npy"),
            )
            assert result.exit_code == status
            meaning = "log-probabilities = expected log-probabilities"
            assert results(result)["forward"]["meaning"] == meaning


class TestMistakes:
    """Each of the mistakes that people make with weights is caught by the framework's scores."""

    @pytest.fixture
    def failed(self, run):
        def check(model, sample, *arguments):
            result = run(
                *("check", model, sample.sequences, "--expected", sample.expected),
                *("--format", "json", *arguments),
            )
            assert result.exit_code == 1, result.output
            found = results(result)
            return {name for name, check in found.items() if not check["passed"]}

        return check

    @pytest.fixture
    def pytorch(self, tmp_path):
        """The PyTorch sample's arrays and mapping, to be changed and saved."""
        with np.load(PYTORCH.model) as file:
            arrays = dict(file)
        mapping = yaml.safe_load(PYTORCH.model.with_suffix(".yaml").read_text())
        mapping["vocabulary"] = str(PYTORCH.model.parent / mapping["vocabulary"])

        def save():
            np.savez(tmp_path / "model.npz", **arrays)
            (tmp_path / "model.yaml").write_text(yaml.safe_dump(mapping))
            return tmp_path / "model.npz"

        return arrays, mapping, save

    def test_none_made(self, run, pytorch):
        _, _, save = pytorch
        result = run("check", save(), PYTORCH.sequences, "--expected", PYTORCH.expected)
        assert result.exit_code == 0

    @pytest.mark.parametrize("order", ["ifgo", "gifo", "igof", "ogfi"])
    def test_gates_swapped(self, failed, pytorch, order):
        _, mapping, save = pytorch
        mapping["layers"][1]["lstm"]["gate_order"] = list(order)
        assert failed(save(), PYTORCH) == {"forward"}

    def test_one_bias_of_two_dropped(self, failed, pytorch):
        _, mapping, save = pytorch
        mapping["layers"][1]["lstm"]["forward"]["bias"] = "bxh_Left"
        assert failed(save(), PYTORCH) == {"forward"}

    def test_both_biases_dropped(self, failed, pytorch):
        _, mapping, save = pytorch
        for direction in ("forward", "backward"):
            mapping["layers"][1]["lstm"][direction]["bias"] = None
        assert failed(save(), PYTORCH) == {"forward"}

    def test_bias_of_the_output_layer_dropped(self, failed, tmp_path):
        with h5py.File(WEATHER.model) as source, h5py.File(tmp_path / "model.h5", "w") as copy:
            for name in source:
                source.copy(name, copy)
        mapping = yaml.safe_load(WEATHER.model.with_suffix(".yaml").read_text())
        mapping["layers"][-1]["dense"]["bias"] = None
        (tmp_path / "model.yaml").write_text(yaml.safe_dump(mapping))
        assert failed(tmp_path / "model.h5", WEATHER) == {"forward"}

    def test_directions_swapped(self, failed, pytorch):
        _, mapping, save = pytorch
        lstm = mapping["layers"][1]["lstm"]
        lstm["forward"], lstm["backward"] = lstm["backward"], lstm["forward"]
        assert failed(save(), PYTORCH) == {"forward"}

    def test_layout_mistaken_where_matrices_are_square(self, failed, pytorch):
        """Kept gate by gate, all weights are (60, 60): no shape tells the layout."""
        arrays, mapping, save = pytorch
        for side, direction in (("Left", "forward"), ("Right", "backward")):
            spec = mapping["layers"][1]["lstm"][direction]
            for key, name in (("input", f"Wxh_{side}"), ("recurrent", f"Whh_{side}")):
                for gate, part in zip("igfo", np.split(arrays.pop(name), 4), strict=True):
                    assert part.shape == (60, 60)
                    arrays[f"{name}_{gate}"] = part
                spec[key] = {gate: f"{name}_{gate}" for gate in "ifgo"}
        right = run_check(save(), PYTORCH)
        assert right.exit_code == 0
        mapping["layers"][1]["lstm"]["layout"] = "features_by_gates"
        assert failed(save(), PYTORCH) == {"forward"}

    def test_vocabulary_shifted_by_one(self, failed, pytorch, tmp_path):
        _, mapping, save = pytorch
        first, *others = PYTORCH.model.with_name("vocab.txt").read_text("utf-8").splitlines()
        (tmp_path / "shifted.txt").write_text("\n".join([*others, first]) + "\n", "utf-8")
        mapping["vocabulary"] = "shifted.txt"
        assert failed(save(), PYTORCH) == {"forward"}

    def test_forget_bias_added_twice(self, failed, pytorch):
        _, mapping, save = pytorch
        mapping["layers"][1]["lstm"]["forget_bias"] = 1.0
        assert failed(save(), PYTORCH) == {"forward"}

    def test_a_wrong_eps(self, run, failed, tmp_path):
        """Relevance that was computed elsewhere, with its eps, is compared as well."""
        recorded = tmp_path / "recorded.jsonl"
        recorded.write_text(
            run("explain", KERAS.model, KERAS.sequences, "--format", "jsonl", "-q").stdout
        )
        sample = type(KERAS)(KERAS.model, KERAS.sequences, recorded)
        result = run("check", sample.model, sample.sequences, "--expected", recorded)
        assert result.exit_code == 0
        assert failed(sample.model, sample, "--eps", "0.01") == {"relevance"}

    def test_a_wrong_bias_factor(self, run, failed, tmp_path):
        recorded = tmp_path / "recorded.jsonl"
        recorded.write_text(
            run("explain", KERAS.model, KERAS.sequences, "--format", "jsonl", "-q").stdout
        )
        sample = type(KERAS)(KERAS.model, KERAS.sequences, recorded)
        assert failed(sample.model, sample, "--bias-factor", "1") == {"relevance"}

    def test_a_wrong_rule(self, run, failed, tmp_path):
        recorded = tmp_path / "recorded.jsonl"
        by_half = ("--method", "lrp-half")
        recorded.write_text(
            run("explain", KERAS.model, KERAS.sequences, "--format", "jsonl", "-q", *by_half).stdout
        )
        sample = type(KERAS)(KERAS.model, KERAS.sequences, recorded)
        result = run("check", sample.model, sample.sequences, "--expected", recorded, *by_half)
        assert result.exit_code == 0
        assert failed(sample.model, sample) == {"relevance"}
        assert failed(sample.model, sample, "--method", "lrp-abs") == {"relevance"}

    @pytest.mark.parametrize("method", ["gradient", "lrp-most"])
    def test_a_method_that_is_no_rule_of_lrp(self, run, method):
        result = run("check", KERAS.model, KERAS.sequences, "--method", method)
        assert result.exit_code == 2
        assert "'lrp-all', 'lrp-half', 'lrp-prop', 'lrp-abs'" in result.stderr

    @pytest.mark.parametrize(
        "mistake", ["an eps that the accounting does not know", "a bias left out of the accounting"]
    )
    def test_in_the_engine_itself_show_in_the_residual(self, failed, monkeypatch, mistake):
        """The shares are computed each for itself, so the residual is a real check."""
        from lstm_lrp_cli.engine.rules import LrpRule

        right = LrpRule.messages

        def wrong(self, relevance, z, bias, lower):
            if mistake.startswith("an eps"):
                found = right(self, relevance, z, bias, lower)
                values = relevance / (z + 1.01 * np.where(z >= 0, self.eps, -self.eps))
                return msgspec.structs.replace(found, values=values)
            return right(self, relevance, z, None, lower)

        monkeypatch.setattr(LrpRule, "messages", wrong)
        assert failed(KERAS.model, KERAS) == {"conservation", "reference"}


def run_check(model, sample):
    from click.testing import CliRunner

    from lstm_lrp_cli.cli import main

    arguments = ["check", model, sample.sequences, "--expected", sample.expected]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class TestExpectedFiles:
    @pytest.fixture
    def scores(self):
        return np.load(KERAS.expected)

    @pytest.fixture
    def check(self, run):
        def with_expected(path):
            return run("check", KERAS.model, KERAS.sequences, "--expected", path)

        return with_expected

    def test_npz(self, check, scores, tmp_path):
        np.savez(tmp_path / "a.npz", scores=scores, other=np.ones(3))
        np.savez(tmp_path / "b.npz", logits=scores)
        assert check(tmp_path / "a.npz").exit_code == 0
        assert check(tmp_path / "b.npz").exit_code == 0

    @pytest.mark.parametrize("header", ["", "negative,positive\n"])
    def test_csv(self, check, scores, tmp_path, header):
        rows = "".join(f"{a},{b}\n" for a, b in scores.tolist())
        (tmp_path / "scores.csv").write_text(header + rows)
        assert check(tmp_path / "scores.csv").exit_code == 0

    def test_csv_with_columns_that_are_no_scores(self, check, scores, tmp_path):
        rows = "".join(f"{k},{a},{b}\n" for k, (a, b) in enumerate(scores.tolist()))
        (tmp_path / "scores.csv").write_text("sequence,negative,positive\n" + rows)
        assert check(tmp_path / "scores.csv").exit_code == 0

    @pytest.mark.parametrize("form", ["objects", "lists"])
    def test_json_lines(self, check, scores, tmp_path, form):
        lines = [{"scores": row} if form == "objects" else row for row in scores.tolist()]
        (tmp_path / "scores.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        assert check(tmp_path / "scores.jsonl").exit_code == 0

    @pytest.mark.parametrize(
        ("name", "content", "hint"),
        [
            ("none.npy", None, "there is no such file"),
            ("s.npy", b"\x93NUMPY", "is not a whole .npy"),
            ("s.csv", b"", "is empty"),
            ("s.csv", b"1,2\n3\n", "line 2: found `3`; expected 2 scores"),
            ("s.jsonl", b'{"scores": 1}\n', "line 1: Expected"),
            ("s.jsonl", b"[1, 2]\n[1]\n", "line 2: has scores of shape (1)"),
            ("s.csv", b"1,2\n", "holds 1 rows of scores; the input has more"),
            ("s.csv", b"1,2\n" * 101, "holds 101 rows of scores; the input has 100 sequences"),
            ("s.csv", b"1,2,3\n", r"has scores of shape (1, 3); expected (sequences, 2)"),
            ("s.txt", b"1 2\n", "are read from .npy, .npz, .csv or .jsonl"),
        ],
    )
    def test_that_cannot_be_used(self, check, tmp_path, name, content, hint):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        result = check(path)
        assert result.exit_code == 3
        assert hint in result.stderr

    def test_relevance_for_another_target(self, run, tmp_path):
        recorded = tmp_path / "recorded.jsonl"
        arguments = (KERAS.model, KERAS.sequences, "--target", "0")
        recorded.write_text(run("explain", *arguments, "--format", "jsonl").stdout)
        result = run("check", KERAS.model, KERAS.sequences, "--expected", recorded)
        assert result.exit_code == 3
        assert "its relevance is for target negative" in result.stderr


class TestWithoutInput:
    @SAMPLES
    def test_random_sequences_are_used_and_it_says_so(self, run, sample):
        result = run("check", sample.model)
        assert result.exit_code == 0
        assert "random sequences" in result.stderr
        assert "forward" not in result.stdout

    def test_they_are_no_longer_than_the_padding(self, run):
        """A model that lays its steps side by side takes no other number of them."""
        flattened = TESTS / "golden" / "keras2" / "graphs" / "flattened.h5"
        assert run("check", flattened).exit_code == 0

    def test_there_is_nothing_to_compare_with(self, run):
        result = run("check", KERAS.model, "--expected", KERAS.expected)
        assert result.exit_code == 2


def test_the_table_names_the_worst_case_and_its_sequence(run, tmp_path):
    scores = np.load(KERAS.expected)
    scores[17, 1] += 0.25
    np.save(tmp_path / "scores.npy", scores)
    result = run("check", KERAS.model, KERAS.sequences, "--expected", tmp_path / "scores.npy")
    assert result.exit_code == 1
    row = next(line for line in result.stdout.splitlines() if "forward" in line)
    assert "FAILED" in row
    assert " 17 " in row


def test_json_is_one_document(run):
    result = run("check", KERAS.model, "--format", "json")
    document = json.loads(result.stdout)
    assert document["passed"] is True
    assert [check["name"] for check in document["checks"]] == ["conservation", "reference"]
    assert json_lines(json.dumps(document))


class TestWhatWasCompared:
    """Conservation holds of a file that is read wrong too, so the last line says what is open."""

    LINE = (
        "Scores were not compared with anything, so the file may be read wrong: use --expected or "
        "--against."
    )

    @pytest.mark.parametrize("given", [True, False], ids=["input", "random sequences"])
    def test_nothing(self, run, small, given):
        text = [small.write("in.txt", "not bad\n")] if given else []
        result = run("check", small.save(), *text)
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == self.LINE
        document = json.loads(run("check", small.path, *text, "--format", "json").stdout)
        assert (document["passed"], document["compared_with"]) == (True, None)
        assert document["unproven"] == self.LINE

    def test_a_wrong_gate_order_conserves_all_the_same(self, run, small):
        small.lstm["gate_order"] = list("igfo")
        assert run("check", small.save()).exit_code == 0

    def test_scores_in_a_file(self, run):
        arguments = ("check", KERAS.model, KERAS.sequences, "--expected", KERAS.expected)
        assert "not compared" not in run(*arguments).output
        document = json.loads(run(*arguments, "--format", "json").stdout)
        assert (document["compared_with"], document["unproven"]) == (str(KERAS.expected), None)
