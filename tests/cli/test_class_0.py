"""Of a single score, class 0 is explained by its negative: `--target 0`, or class 0's label."""

import json

import numpy as np
import pytest
from installed import spec_of
from models import WEATHER, json_lines, table

TEXT = "the film is not bad\nbad film\n\nnot not the film\nis\n"
# All but the gradient, whose relevance has no sign.
SIGNED = (
    "lrp-all,lrp-half,lrp-prop,lrp-abs,gradient-x-input,integrated-gradients,occlusion,omission,"
    "contextual-decomposition,random"
)


@pytest.fixture
def single(small):
    """The small model with one score, which is above 0 for some sentences."""
    small.arrays |= {"V": 3 * small.arrays["V"][:1], "c": np.array([-0.57])}
    small.dense["activation"] = "sigmoid"
    return small


@pytest.fixture
def explain(run, single):
    def explained(*options, text=TEXT):
        path = single.write("in.txt", text)
        result = run("explain", single.save(), path, "-q", *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    return explained


@pytest.fixture
def lines(explain):
    return lambda *options, **text: json_lines(explain("--format", "jsonl", *options, **text))


def assert_negated(found, other):
    """A line explains the negative of what another explains, in every number that has a sign."""
    assert found["scores"] == other["scores"]
    assert found["predicted"] == other["predicted"]
    np.testing.assert_array_equal(found["relevance"], np.negative(other["relevance"]))
    if other["ledger"] is None:
        assert found["ledger"] is None
    else:
        # A size has no sign.
        sizes = {name: each for name, each in other["ledger"].items() if name.endswith("_size")}
        negated = {name: -amount for name, amount in other["ledger"].items()}
        assert found["ledger"] == negated | sizes


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bias_factor", ["0", "1"])
def test_every_method_explains_the_negative(lines, dtype, bias_factor):
    options = ("--method", SIGNED, "--dtype", dtype, "--bias-factor", bias_factor)
    class_1, class_0 = lines(*options), lines(*options, "--target", "0")
    assert {line["target"] for line in class_1} == {1}
    assert {line["target"] for line in class_0} == {0}
    assert len(class_0) == len(class_1) == 5 * len(SIGNED.split(","))
    for one, zero in zip(class_1, class_0, strict=True):
        assert_negated(zero, one)
        assert zero["method"] == one["method"]


def test_the_gradient_squared_is_that_of_either_class(lines):
    class_1, class_0 = (lines("--method", "gradient", "--target", name) for name in "10")
    assert [line["relevance"] for line in class_0] == [line["relevance"] for line in class_1]


@pytest.mark.parametrize("by", ["token", "dimension"])
def test_tables_have_its_score_and_relevance(explain, by):
    class_1, class_0 = (table(explain("--by", by, "--target", name)) for name in "10")
    assert {row["target"] for row in class_1} == {"1"}
    assert {row["target"] for row in class_0} == {"0"}
    for one, zero in zip(class_1, class_0, strict=True):
        for name in ("score", "relevance"):
            assert float(zero[name]) == -float(one[name])


@pytest.mark.parametrize("form", ["parquet", "npz", "html", "terminal", "markdown"])
def test_other_outputs_have_them_as_well(explain, lines, single, form):
    """What stands for a score of the first sentence, and its first relevance."""
    if form == "parquet":
        spec_of("pyarrow")
    zero = lines("--target", "0")[0]
    path = single.folder / f"out.{form}"
    if form in ("terminal", "markdown"):
        shown = explain("--target", "0", "--format", form)
        assert ("target **0**, score **" if form == "markdown" else "  0 ") + (
            f"{zero['ledger']['score']:+.3f}"
        ) in shown
        return
    explain("--target", "0", "-o", path)
    if form == "parquet":
        from pyarrow import parquet

        first = parquet.read_table(path).to_pylist()[0]
        assert first["target"] == "0"
        assert (first["score"], first["relevance"]) == (
            zero["ledger"]["score"],
            zero["relevance"][0],
        )
    elif form == "npz":
        with np.load(path) as arrays:
            assert arrays["targets"].tolist() == ["0", "1"]
            assert arrays["target"].tolist() == [0] * 5
            assert arrays["ledger"][0, 0] == zero["ledger"]["score"]
            np.testing.assert_allclose(arrays["relevance"][:5].sum(axis=1), zero["relevance"])
    else:
        data = path.read_text("utf-8").split('class="explanations">')[1].split("</script>")[0]
        first = json.loads(data)[0]
        assert (first["target"], first["predicted"]) == (0, zero["predicted"])
        assert first["ledger"][0] == pytest.approx(zero["ledger"]["score"], rel=1e-5)


@pytest.mark.parametrize("labels", [["good"], ["poor", "good"]])
def test_targets_are_called_by_the_labels_that_there_are(lines, single, labels):
    single.mapping["labels"] = labels
    names = [0, "good"] if len(labels) == 1 else labels
    for options, place in (
        ((), 1),
        (("--target", "good"), 1),
        (("--target", "1"), 1),
        (("--target", "predicted"), 1),
        (("--target", "all"), 1),
        (("--target", "0"), 0),
        (("--target", str(names[0])), 0),
    ):
        found = lines(*options)
        assert {line["target"] for line in found} == {names[place]}
        assert len(found) == 5


def test_a_class_that_there_is_not_is_an_error(run, single):
    result = run("explain", single.save(), single.write("in.txt", TEXT), "--target", "2")
    assert result.exit_code == 2
    assert "there is no class '2'; the model has 2, from 0 to 1" in result.stderr


def test_gold_explains_the_true_class(lines):
    """Of an empty line, which has none, the predicted one."""
    texts = TEXT.splitlines()
    golds = [0, 1, None, 1, 0]
    labelled = "".join(
        "\n" if gold is None else f"{gold}\t{text}\n"
        for gold, text in zip(golds, texts, strict=True)
    )
    found = lines("--labelled", "--target", "gold", text=labelled)
    predicted = found[2]["predicted"]
    assert [line["target"] for line in found] == [0, 1, predicted, 1, 0]
    for line, other in zip(found, lines(), strict=True):
        if line["target"] == 0:
            assert_negated(line, other)
        else:
            assert line["relevance"] == other["relevance"]


def test_at_every_step_it_is_the_negative_of_that_step(lines, single):
    single.lstm["returns"] = "sequence"
    class_1, class_0 = (lines("--step", "all", "--target", name) for name in "10")
    scored = [(one, zero) for one, zero in zip(class_1, class_0, strict=True) if one["scores"]]
    assert len(scored) == sum(len(text.split()) for text in TEXT.splitlines())
    for one, zero in scored:
        assert_negated(zero, one)


def test_a_series_is_explained_alike(run):
    """The sample model of a series has a label of class 1 alone."""
    options = (WEATHER.model, WEATHER.sequences, "-q", "--format", "jsonl")
    class_1 = json_lines(run("explain", *options).stdout)
    class_0 = json_lines(run("explain", *options, "--target", "0").stdout)
    assert {line["target"] for line in class_1} == {"rain"}
    assert {line["target"] for line in class_0} == {0}
    for one, zero in zip(class_1, class_0, strict=True):
        assert one["predicted"] == int(one["scores"][0] > 0)
        assert_negated(zero, one)


def test_check_holds_its_ledger_and_its_relevance(run, explain, single):
    path = single.folder / "expected.jsonl"
    explain("--target", "0", "--format", "jsonl", "-o", path)
    options = (single.path, single.folder / "in.txt", "--expected", path)
    assert run("check", *options, "--target", "0").exit_code == 0
    other = run("check", *options)
    assert other.exit_code == 3
    assert "its relevance is for target 0, explained is 1; use --target" in other.stderr


def test_evaluate_judges_it_by_the_negative(run, single):
    """Curves of class 0 are those of class 1, with the other sign."""
    path, model = single.write("in.txt", TEXT), single.save()
    options = ("--methods", "lrp-all", "--draws", "0", "--min-length", "2", "--format", "json")

    def starts(target):
        """Mean score and share of sequences of the class, before anything is deleted."""
        result = run("evaluate", model, path, *options, "--target", target)
        assert result.exit_code == 0, result.output
        curves = json.loads(result.stdout)["curves"][0]
        return [curves[kind]["lrp-all"]["mean"][0] for kind in ("score", "predicted")]

    (score, share), (other_score, other_share) = starts("0"), starts("1")
    assert score == -other_score
    assert share == pytest.approx(1 - other_share)
    assert 0 < share < 1


def test_labels_of_a_checkpoint_may_name_both_classes(run, tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(5, 3),
            "lstm": torch.nn.LSTM(3, 2, batch_first=True),
            "out": torch.nn.Linear(2, 1),
        }
    )
    path, text = tmp_path / "model.pt", tmp_path / "in.txt"
    torch.save({"state_dict": net.state_dict(), "labels": ["poor", "good"]}, path)
    text.write_text("0 1\n4 4 2\n", "utf-8")
    result = run("explain", path, text, "--ids", "-q", "--format", "jsonl", "--target", "poor")
    assert result.exit_code == 0, result.output
    for line in json_lines(result.stdout):
        assert line["predicted"] == ("good" if line["scores"][0] > 0 else "poor")
        assert line["target"] == "poor"
