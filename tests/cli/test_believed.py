"""Accounts that close, of numbers that are not to be believed: who is told, and how."""

import json

import numpy as np
import pytest
from installed import spec_of
from models import KERAS, PYTORCH, WEATHER, json_lines

# Of which the Keras sample's stabilizers take half of the score by size, and a tenth net.
SENTENCE = 47


def told(result):
    """The warnings of a run."""
    lines = result.stderr.splitlines()
    return [line for line in lines if line.startswith("lrp: warning: by ")]


def report_of(run, path, *arguments):
    result = run("explain", *arguments, "-o", path / "out.jsonl", "--report", path / "report.json")
    assert result.exit_code == 0, result.stderr
    return json.loads((path / "report.json").read_text())


@pytest.fixture
def sentence(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text(KERAS.sequences.read_text("utf-8").splitlines()[SENTENCE] + "\n", "utf-8")
    return path


@pytest.fixture
def cancelling(small):
    """A model whose bias is all but the opposite of what the tokens give."""
    small.arrays["c"] = np.zeros(3)
    small.save()
    (small.folder / "in.txt").write_text("the film is not bad the film is not bad the film\n" * 3)
    return small


class TestStabilizersBySize:
    def test_are_half_of_the_score_where_net_they_are_a_tenth(self, run):
        result = run("explain", KERAS.model, KERAS.sequences, "--format", "jsonl", "-q")
        ledger = json_lines(result.stdout)[SENTENCE]["ledger"]
        assert list(ledger)[-2:] == ["residual", "stabilizers_size"]
        assert abs(ledger["stabilizers"]) < 0.1 * abs(ledger["score"])
        assert ledger["stabilizers_size"] >= 0.5 * abs(ledger["score"])
        shares = [v for k, v in ledger.items() if k not in ("score", "stabilizers_size")]
        assert sum(shares) == pytest.approx(ledger["score"], rel=1e-12)

    def test_are_never_less_than_net(self, run):
        for sample in (KERAS, PYTORCH, WEATHER):
            result = run("explain", sample.model, sample.sequences, "--format", "jsonl", "-q")
            for ledger in (each["ledger"] for each in json_lines(result.stdout)):
                assert ledger["stabilizers_size"] >= abs(ledger["stabilizers"]) * (1 - 1e-12)

    def test_are_in_parquet_and_npz_as_in_json_lines(self, run, tmp_path):
        spec_of("pyarrow")
        from pyarrow import parquet as reader

        arguments = ("explain", KERAS.model, KERAS.sequences, "-q")
        methods = ("--method", "lrp-all,integrated-gradients", "--steps", 2)
        wanted = [
            each["ledger"].get("stabilizers_size")
            for each in json_lines(run(*arguments, *methods, "--format", "jsonl").stdout)
        ]
        assert wanted[1] is None
        parquet, npz = tmp_path / "r.parquet", tmp_path / "r.npz"
        run(*arguments, *methods, "--format", "parquet-nested", "-o", parquet)
        ledgers = reader.read_table(parquet).column("ledger").to_pylist()
        assert [ledger["stabilizers_size"] for ledger in ledgers] == wanted
        run(*arguments, *methods, "--by", "token", "-o", npz)
        with np.load(npz) as arrays:
            place = arrays["ledger_names"].tolist().index("stabilizers_size")
            found = [None if np.isnan(v) else v for v in arrays["ledger"][:, place].tolist()]
        assert found == wanted

    def test_methods_without_stabilizers_have_none(self, run, tmp_path):
        npz = tmp_path / "r.npz"
        run(
            "explain",
            KERAS.model,
            KERAS.sequences,
            "-q",
            "--method",
            "contextual-decomposition",
            "--by",
            "token",
            "-o",
            npz,
        )
        with np.load(npz) as arrays:
            assert arrays["ledger_names"].tolist() == [
                "score",
                "relevant",
                "irrelevant",
                "residual",
            ]

    def test_are_in_the_report(self, run, tmp_path):
        report = report_of(run, tmp_path, KERAS.model, KERAS.sequences)
        lines = json_lines((tmp_path / "out.jsonl").read_text())
        sizes = [each["ledger"]["stabilizers_size"] for each in lines]
        scores = [abs(each["ledger"]["score"]) for each in lines]
        assert report["ledger"]["stabilizers_size"] == pytest.approx(sum(sizes), rel=1e-12)
        found = report["sizes"]["stabilizers"]
        assert found["relative"] == pytest.approx(sum(sizes) / sum(scores), rel=1e-12)
        ratios = np.divide(sizes, scores)
        assert (found["sequence"], found["worst"]) == (ratios.argmax(), ratios.max())
        assert found["large"] == (ratios > 0.5).sum() == 6
        assert found["limit"] == 0.5

    def test_are_a_warning_that_a_smaller_eps_silences(self, run, sentence):
        arguments = ("explain", KERAS.model, sentence, "-o", sentence.with_suffix(".tsv"))
        [warning] = told(run(*arguments))
        assert "stabilizers are large beside the score by size, 0.52 times (sequence 0)" in warning
        assert "try a smaller --eps, such as 1e-06" in warning
        assert "stabilizers" not in "".join(told(run(*arguments, "--eps", "1e-6")))

    def test_of_few_sequences_of_a_corpus_are_counted_by_the_report(self, run, tmp_path):
        result = run("explain", KERAS.model, KERAS.sequences, "-o", tmp_path / "out.tsv")
        [line] = [line for line in result.stderr.splitlines() if line.startswith("sizes")]
        assert "stabilizers by size 0.12 (over 0.5 in 6, most 3.5: sequence 18)" in line
        assert not told(result)

    def test_of_many_sequences_of_a_corpus_are_a_warning_that_counts_them(self, run, tmp_path):
        toy = KERAS.model.parent.parent / "toy_subtraction"
        arguments = ("explain", toy / "model_01" / "model.npz", toy / "series.csv")
        [warning] = told(run(*arguments, "-o", tmp_path / "out.tsv"))
        assert (
            "stabilizers are large beside the score by size, over 0.5 times in 182 of 500"
            in warning
        )
        assert not told(run(*arguments, "--eps", "1e-6", "-o", tmp_path / "out.tsv"))

    def test_of_sequences_beyond_the_limit_are_marked_in_the_heat_map(self, run):
        result = run("explain", KERAS.model, KERAS.sequences, "--format", "terminal", "-q")
        marked = [line for line in result.stdout.splitlines() if "! " in line]
        assert sum("stabilizers by size" in line for line in marked) == 6


class TestLargeNumbersThatCancel:
    @pytest.fixture
    def model(self, run, cancelling):
        """The scores are next to nothing, what tokens and biases give is not."""
        given = run(
            "predict", cancelling.path, cancelling.folder / "in.txt", "--format", "jsonl", "-q"
        )
        scores = np.array(json_lines(given.stdout)[0]["scores"])
        cancelling.arrays["c"] = -scores * (1 - 1e-3)
        cancelling.save()
        return cancelling.path, cancelling.folder / "in.txt"

    @pytest.mark.parametrize("method", ["lrp-all", "lrp-half", "lrp-abs"])
    def test_are_a_warning_of_explain_and_check(self, run, model, method, tmp_path):
        explained = run("explain", *model, "--method", method, "-o", tmp_path / "out.tsv")
        assert "conserved       yes" in explained.stderr
        assert f"by {method}, the ledger's shares are large beside the score" in told(explained)[0]
        assert "over 10 times in 3 of 3 explanations" in told(explained)[0]
        checked = run("check", *model, "--method", method)
        assert checked.exit_code == 0
        assert told(checked) == told(explained)

    def test_are_a_warning_of_evaluate_for_each_method_by_its_name(self, run, model):
        result = run(
            "evaluate", *model, "--draws", 0, "--methods", "lrp-all:eps=1e-6,lrp-half,random"
        )
        assert result.exit_code == 0, result.stderr
        assert [line.split(",")[0] for line in told(result)] == [
            "lrp: warning: by lrp-all:eps=1e-6",
            "lrp: warning: by lrp-half",
        ]

    def test_are_a_warning_of_compare_for_each_method(self, run, model, tmp_path):
        path, text = model
        explained = run("explain", *model, "-o", tmp_path / "out.tsv")
        asked = ("compare", path, "--input", text, "--methods", "lrp-all,occlusion")
        result = run(*asked)
        assert result.exit_code == 0, result.stderr
        assert told(result) == told(explained)
        document = json.loads(run(*asked, "--format", "json").stdout)
        assert [f"lrp: warning: {each}" for each in document["warnings"]] == told(explained)

    def test_are_a_warning_of_compare_that_names_the_model(self, run, model, tmp_path):
        path, text = model
        other = tmp_path / "other.npz"
        with np.load(path) as arrays:
            np.savez(other, **{**arrays, "c": np.zeros(3)})
        other.with_suffix(".yaml").write_text(path.with_suffix(".yaml").read_text("utf-8"), "utf-8")
        result = run("compare", other, path, "--input", text)
        assert result.exit_code == 0, result.stderr
        [line] = [line for line in result.stderr.splitlines() if "large beside" in line]
        assert line.startswith(f"lrp: warning: {path}: by lrp-all, the ledger's shares are large")

    def test_are_a_warning_for_integrated_gradients(self, run, model, tmp_path):
        result = run(
            "explain", *model, "--method", "integrated-gradients", "-o", tmp_path / "o.tsv"
        )
        assert "by integrated-gradients, the ledger's shares" in told(result)[0]

    @pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
    def test_are_marked_at_each_sequence(self, run, model, form):
        result = run("explain", *model, "--format", form, "--report", "-")
        shown = [line for line in result.stdout.splitlines() if " times the score" in line]
        assert sum(line.count("shares ") for line in shown) >= 3

    def test_no_sample_model_warns(self, run, tmp_path):
        for sample in (KERAS, PYTORCH, WEATHER):
            path = tmp_path / "out.tsv"
            assert not told(run("explain", sample.model, sample.sequences, "-o", path))
            assert not told(
                run("explain", sample.model, sample.sequences, "--eps", "1e-6", "-o", path)
            )

    def test_the_residual_is_said_to_be_of_the_shares_sizes(self, run, model, tmp_path):
        result = run("explain", *model, "-o", tmp_path / "out.tsv")
        assert "of the shares' sizes (sequence" in result.stderr
        assert "of the score (sequence" not in result.stderr


class TestEpsOfZero:
    @pytest.mark.parametrize("given", [("--eps", "0"), ("--method", "lrp-all:eps=0")])
    def test_is_taken_and_leaves_nothing_to_stabilizers(self, run, given):
        result = run("explain", KERAS.model, KERAS.sequences, *given, "--format", "jsonl", "-q")
        assert result.exit_code == 0, result.stderr
        found = json_lines(result.stdout)
        assert {each["ledger"]["stabilizers_size"] for each in found} == {0.0}
        tiny = run(
            "explain", KERAS.model, KERAS.sequences, "--eps", "1e-12", "--format", "jsonl", "-q"
        )
        for each, near in zip(found, json_lines(tiny.stdout), strict=True):
            np.testing.assert_allclose(each["relevance"], near["relevance"], rtol=1e-6, atol=1e-9)

    # By LRP-prop rounding grows without bounds here, with any eps.
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("method", ["lrp-all", "lrp-half", "lrp-abs"])
    def test_of_an_input_of_zeros_is_conserved(self, run, tmp_path, method, dtype):
        np.save(tmp_path / "zeros.npy", np.zeros((2, 5, 4)))
        arguments = (WEATHER.model, tmp_path / "zeros.npy", "--method", method, "--dtype", dtype)
        result = run("check", *arguments, "--eps", 0)
        assert result.exit_code == 0, result.output

    def test_of_a_model_of_zeros_leaves_the_score_to_its_bias(self, run, small):
        small.arrays |= {name: np.zeros_like(small.arrays[name]) for name in "EWUbV"}
        path = small.save()
        (small.folder / "in.txt").write_text("the film\n")
        for method in ("lrp-all", "lrp-half", "lrp-prop", "lrp-abs"):
            arguments = ("--method", method, "--eps", 0, "--format", "jsonl", "-q")
            result = run("explain", path, small.folder / "in.txt", *arguments)
            [found] = json_lines(result.stdout)
            assert found["relevance"] == [0.0, 0.0]
            assert found["ledger"]["biases"] == found["ledger"]["score"] == max(found["scores"])
            assert found["ledger"]["residual"] == found["ledger"]["stabilizers_size"] == 0.0

    def test_a_negative_one_is_refused(self, run):
        result = run("explain", KERAS.model, KERAS.sequences, "--eps", "-1e-3")
        assert result.exit_code == 2
