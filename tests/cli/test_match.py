"""`lrp match` finds the mapping by which a model gives its framework's scores."""

import itertools
import json

import numpy as np
import pytest
import yaml
from models import PYTORCH, json_lines

ORDERS = ["".join(order) for order in itertools.permutations("ifgo")]
SENTENCES = (
    "the film is not bad\nnot the film\nis bad not the\nbad film is\nthe not bad bad film is\n"
)
LAYOUTS = ("gates_by_features", "features_by_gates")


class Problem:
    """A model whose true mapping is known, its scores, and a mapping that says less or wrong."""

    def __init__(self, run, small):
        self.run, self.small = run, small
        self.text = small.write("in.txt", SENTENCES)

    def scores(self):
        """Save the model with the true mapping, and what it gives."""
        path = self.small.save()
        result = self.run("explain", path, self.text, "--format", "jsonl", "-q")
        assert result.exit_code == 0, result.output
        found = [each["scores"] for each in json_lines(result.stdout)]
        np.save(self.small.folder / "scores.npy", found)
        return np.array(found)

    def match(self, *options, form="json"):
        self.small.save()
        return self.run(
            *("match", self.small.path, self.text),
            *("--expected", self.small.folder / "scores.npy", "--format", form, *options),
        )

    def found(self, *options):
        result = self.match(*options)
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        assert document["found"]
        return document

    def lstm(self, *options):
        """The LSTM of the one mapping that was found."""
        [match] = self.found(*options)["matches"]
        return next(layer["lstm"] for layer in match["mapping"]["layers"] if "lstm" in layer)


@pytest.fixture
def problem(run, small):
    return Problem(run, small)


def set_order(small, order, layout):
    small.lstm |= {"gate_order": list(order), "layout": layout}
    if layout == "features_by_gates":
        for name in "WU":
            small.arrays[name] = small.arrays[name].T


@pytest.mark.parametrize(
    ("order", "layout"), [(order, LAYOUTS[k % 2]) for k, order in enumerate(ORDERS)]
)
def test_every_gate_order_is_found_from_five_sentences(problem, small, order, layout):
    set_order(small, order, layout)
    problem.scores()
    small.lstm |= {"gate_order": list("ifgo")}  # a wrong guess, most often
    del small.lstm["layout"]
    assert problem.lstm()["gate_order"] == list(order)


@pytest.mark.parametrize("order", ORDERS[::5])
def test_and_without_a_mapping(run, problem, small, order):
    set_order(small, order, "gates_by_features")
    problem.scores()
    words = {"vocabulary": "vocab.txt"}
    small.mapping = words
    [match] = problem.found()["matches"]
    layers = match["mapping"]["layers"]
    assert [next(iter(layer)) for layer in layers] == ["embedding", "lstm", "dense"]
    assert layers[1]["lstm"]["gate_order"] == list(order)
    assert match["mapping"]["vocabulary"] == "vocab.txt"


def test_a_bias_too_many(problem, small):
    small.lstm["gate_order"] = list("igfo")
    problem.scores()
    small.arrays["b2"] = np.arange(8.0)
    small.lstm["forward"]["bias"] = ["b", "b2"]
    assert problem.lstm()["forward"]["bias"] == "b"


def test_both_biases(problem, small):
    small.arrays["b2"] = np.arange(8.0) / 8
    small.lstm["forward"]["bias"] = ["b", "b2"]
    problem.scores()
    assert problem.lstm()["forward"]["bias"] == ["b", "b2"]


def test_the_forget_bias_that_tensorflow_adds(problem, small):
    small.lstm |= {"gate_order": list("igfo"), "forget_bias": 1.0}
    problem.scores()
    del small.lstm["forget_bias"]
    assert problem.lstm()["forget_bias"] == 1.0


@pytest.mark.parametrize("sigmoid", ["hard_sigmoid", "hard_sigmoid_relu6"])
def test_the_sigmoid(problem, small, sigmoid):
    small.lstm["recurrent_activation"] = sigmoid
    problem.scores()
    del small.lstm["recurrent_activation"]
    assert problem.lstm()["recurrent_activation"] == sigmoid


def test_the_direction(problem, small):
    forward = small.lstm.pop("forward")
    small.lstm["backward"] = forward
    problem.scores()
    small.lstm.pop("backward")
    small.lstm["forward"] = forward
    assert "backward" in problem.lstm()


def test_directions_that_are_exchanged(problem, small):
    rng = np.random.default_rng(1)
    small.arrays |= {"W2": rng.normal(size=(8, 3)), "U2": rng.normal(size=(8, 2))}
    small.arrays["V"] = rng.normal(size=(3, 4))
    one = small.lstm["forward"]
    two = {"input": "W2", "recurrent": "U2"}
    small.lstm |= {"forward": two, "backward": one}
    problem.scores()
    small.lstm |= {"forward": one, "backward": two}
    assert problem.lstm()["forward"]["input"] == "W2"


@pytest.mark.parametrize("pool", ["mean", "max", "sum"])
def test_what_becomes_of_the_steps(problem, small, pool):
    small.lstm["returns"] = "sequence"
    small.mapping["layers"].insert(2, {"pool": pool})
    problem.scores()
    small.lstm["returns"] = "last"
    small.mapping["layers"].pop(2)
    found = problem.found()["matches"]  # a maximum may not mind the padding
    assert all(match["mapping"]["layers"][2] == {"pool": pool} for match in found)


@pytest.mark.parametrize("wrong", ["mean", "max"])
def test_a_pool_that_is_the_wrong_one(problem, small, wrong):
    problem.scores()
    small.lstm["returns"] = "sequence"
    small.mapping["layers"].insert(2, {"pool": wrong})
    [match] = problem.found()["matches"]
    assert [next(iter(layer)) for layer in match["mapping"]["layers"]] == [
        *("embedding", "lstm", "dense")
    ]


@pytest.mark.parametrize("form", ["npy", "jsonl"])
def test_scores_at_every_step(problem, small, form):
    """A tagger, whose mapping says that one score is given a sequence; numbers fill its rows up."""
    small.lstm["gate_order"] = list("igfo")
    path = small.save()
    small.lstm["returns"] = "sequence"
    small.save()
    steps = problem.run("predict", path, problem.text, "--format", "jsonl")
    assert steps.exit_code == 0, steps.output
    rows: dict[int, list] = {}
    for each in json_lines(steps.stdout):
        rows.setdefault(each["sequence"], []).append(each["scores"])
    expected = small.folder / f"scores.{form}"
    if form == "jsonl":
        expected.write_text("".join(json.dumps({"scores": each}) + "\n" for each in rows.values()))
    else:
        filled = np.full((len(rows), max(map(len, rows.values())), 3), 99.0)
        for row, each in zip(filled, rows.values(), strict=True):
            row[: len(each)] = each
        np.save(expected, filled)
    small.lstm |= {"returns": "last", "gate_order": list("ifgo")}
    small.save()
    written = small.folder / "found.yaml"
    options = ("--expected", expected, "--format", "json", "--write-mapping", written)
    result = problem.run("match", path, problem.text, *options)
    assert result.exit_code == 0, result.output
    for match in json.loads(result.stdout)["matches"]:
        assert match["what"].startswith("gate order i, g, f, o")
        assert "every step" in match["what"]
    check = ("check", path, problem.text, "--mapping", written, "--expected", expected)
    assert problem.run(*check).exit_code == 0


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear", "sigmoid"])
def test_what_stands_between_linear_layers(problem, small, activation):
    rng = np.random.default_rng(4)
    small.arrays |= {"A": rng.normal(size=(4, 2)), "a": rng.normal(size=4)}
    small.arrays["V"] = rng.normal(size=(3, 4))
    hidden = {"weights": "A", "bias": "a", "activation": activation}
    small.mapping["layers"].insert(2, {"dense": hidden})
    problem.scores()
    hidden["activation"] = "relu" if activation != "relu" else "tanh"
    [match] = problem.found()["matches"]
    assert match["mapping"]["layers"][2]["dense"].get("activation", "linear") == activation


@pytest.mark.parametrize("activation", ["tanh", "linear"])
def test_linear_layers_are_found_by_their_shapes(problem, small, activation):
    """Without a mapping: which of them comes first, and what stands between."""
    rng = np.random.default_rng(4)
    hidden = {"weights": "A", "bias": "a", "activation": activation}
    small.arrays |= {"A": rng.normal(size=(4, 2)), "a": rng.normal(size=4)}
    small.arrays["V"] = rng.normal(size=(3, 4))
    small.mapping["layers"].insert(2, {"dense": hidden})
    small.lstm["gate_order"] = list("igfo")
    problem.scores()
    small.mapping = {"vocabulary": "vocab.txt"}
    [match] = problem.found()["matches"]
    layers = match["mapping"]["layers"]
    assert [layer["dense"]["weights"] for layer in layers[2:]] == ["A", "V"]
    assert layers[2]["dense"].get("activation", "linear") == activation


@pytest.mark.parametrize("wrong", ["padding and pooling", "activation", "epsilon"])
def test_convolutions_and_normalization(problem, small, wrong):
    rng = np.random.default_rng(4)
    small.arrays |= {"K": rng.normal(size=(3, 3, 3)), "g": rng.normal(size=2)}
    convolution = {"weights": "K", "layout": "outputs_inputs_width", "padding": [1, 1]}
    norm = {"scale": "g", "epsilon": 1e-3}
    pool = {"windows": {"kind": "max", "size": 2}}
    layers = small.mapping["layers"]
    layers[1:1] = [{"convolution": convolution}, {"activation": "tanh"}, pool]
    layers.insert(-1, {"layer_norm": norm})
    problem.text = small.write("in.txt", SENTENCES.replace("not", "not the bad"))
    problem.scores()
    if wrong == "padding and pooling":
        convolution["padding"] = "valid"
        layers.remove(pool)
    elif wrong == "activation":
        layers[2] = {"activation": "relu"}
    else:
        norm["epsilon"] = 1e-5
    found = problem.found()["matches"][0]["mapping"]["layers"]
    assert found[1]["convolution"]["padding"] == [1, 1]
    assert found[2:4] == [{"activation": "tanh"}, pool]
    assert found[-2]["layer_norm"]["epsilon"] == 1e-3


def test_steps_that_another_layer_needs_stay_as_they_are(problem, small):
    """Attention reads every step; a last hidden state in its place is no model."""
    small.lstm["returns"] = "sequence"
    small.arrays["v"] = np.array([1.0, -1])
    small.mapping["layers"].insert(2, {"attention": {"weights": "v"}})
    problem.scores()
    small.lstm["gate_order"] = list("igfo")
    for match in problem.found()["matches"]:
        assert [next(iter(layer)) for layer in match["mapping"]["layers"]] == [
            *("embedding", "lstm", "attention", "dense")
        ]


@pytest.mark.parametrize("side", ["pre", "post"])
def test_the_side_of_the_padding(problem, small, side):
    small.mapping["padding"] = {"side": side, "length": 9}
    problem.scores()
    small.mapping["padding"] = {"length": 9}
    [match] = problem.found()["matches"]
    assert match["mapping"]["padding"]["side"] == side


@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("truncate", ["pre", "post"])
def test_where_longer_sequences_were_cut(problem, small, side, truncate):
    small.mapping["padding"] = {"side": side, "length": 4, "truncate": truncate}
    problem.scores()
    small.mapping["padding"] = {"length": 4}
    [match] = problem.found()["matches"]
    padding = match["mapping"]["padding"]
    assert (padding["side"], padding["truncate"]) == (side, truncate)


@pytest.mark.parametrize("truncate", ["pre", "post"])
def test_and_to_which_length_where_nothing_says_it(problem, small, truncate):
    small.mapping["padding"] = {"side": "post", "length": 4, "truncate": truncate}
    problem.scores()
    del small.mapping["padding"]
    [match] = problem.found()["matches"]
    assert match["mapping"]["padding"] == {
        "side": "post",
        "length": 4,
        "masked": False,
        "truncate": truncate,
    }


@pytest.mark.parametrize("truncate", ["pre", "post"])
def test_to_which_length_in_a_layout_that_is_not_the_first(problem, small, truncate):
    """As a Keras model of no fixed length has it, whose input `pad_sequences` cut."""
    small.lstm |= {
        "layout": "features_by_gates",
        "forward": {"input": "W.T", "recurrent": "U.T", "bias": "b"},
    }
    small.arrays |= {"W.T": small.arrays["W"].T, "U.T": small.arrays["U"].T}
    small.mapping["padding"] = {"side": "post", "length": 4, "truncate": truncate}
    problem.scores()
    del small.mapping["padding"]
    [match] = problem.found()["matches"]
    padding = match["mapping"]["padding"]
    assert (padding["length"], padding["truncate"]) == (4, truncate)


@pytest.mark.parametrize("truncate", ["pre", "post"])
def test_masked_ones_that_were_cut_to_a_length_that_nothing_says(problem, small, truncate):
    """As of an Embedding with mask_zero=True in a Keras model of no fixed length."""
    small.mapping["padding"] = {"length": 4, "truncate": truncate, "masked": True, "value": 3}
    problem.scores()
    small.mapping["padding"] = {"masked": True, "value": 3}
    [match] = problem.found()["matches"]
    padding = match["mapping"]["padding"]
    assert (padding["length"], padding["truncate"], padding["masked"]) == (4, truncate, True)


def test_check_names_lrp_match_where_scores_differ(problem, small, run):
    """Nothing in the file says that sequences were cut, which is why no warning can."""
    small.mapping["padding"] = {"side": "post", "length": 4, "truncate": "post"}
    problem.scores()
    del small.mapping["padding"]
    check = ("check", small.save(), problem.text, "--expected", small.folder / "scores.npy")
    result = run(*check)
    assert result.exit_code == 1
    assert "`lrp match` searches a mapping that does" in " ".join(result.stderr.split())
    small.mapping["padding"] = {"side": "post", "length": 4, "truncate": "post"}
    small.save()
    result = run(*check)
    assert result.exit_code == 0, result.output
    assert "lrp match" not in result.stderr


def test_masked_ones_that_were_cut(problem, small):
    small.mapping["padding"] = {"length": 4, "truncate": "post", "masked": True, "value": 3}
    problem.scores()
    del small.mapping["padding"]["truncate"]
    [match] = problem.found()["matches"]
    assert match["mapping"]["padding"]["truncate"] == "post"


@pytest.mark.parametrize("said", [True, False])
def test_the_layout_that_keras_kept_for_cudnn(problem, small, said):
    """Its two biases stand in one vector, by which shapes alone tell it too."""
    rng = np.random.default_rng(3)
    small.arrays |= {"W": rng.normal(size=(3, 8)), "U": rng.normal(size=(2, 8))}
    small.arrays["b"] = rng.normal(size=16)
    small.lstm["layout"] = "cudnn"
    problem.scores()
    if not said:
        small.mapping = {"vocabulary": "vocab.txt"}
    lstm = problem.lstm()
    assert (lstm["layout"], lstm["gate_order"]) == ("cudnn", list("ifgo"))


def test_steps_side_by_side_need_their_padding(problem, small):
    """Without it no sequence has the length that the model takes."""
    small.lstm["returns"] = "sequence"
    small.arrays["V"] = np.random.default_rng(2).normal(size=(3, 12))
    small.mapping["layers"].insert(2, {"flatten": {"steps": 6}})
    small.mapping["padding"] = {"side": "post", "length": 6}
    problem.scores()
    small.mapping["padding"] = {"length": 6}
    [match] = problem.found()["matches"]
    assert match["mapping"]["padding"]["side"] == "post"


def test_probabilities(problem, small):
    scores = problem.scores()
    exponentials = np.exp(scores)
    np.save(small.folder / "scores.npy", exponentials / exponentials.sum(axis=1, keepdims=True))
    document = problem.found()
    assert document["matches"][0]["compared"] == "probabilities"


def test_logarithms_of_probabilities(problem, small):
    scores = problem.scores()
    rest = np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.save(small.folder / "scores.npy", scores - rest)
    document = problem.found()
    assert document["matches"][0]["compared"] == "log-probabilities"


def test_mappings_that_cannot_be_told_apart(problem, small):
    """Sequences of one step, whose forget gate has nothing to forget."""
    problem.text = small.write("in.txt", "not\nbad\nfilm\n")
    problem.scores()
    result = problem.match()
    document = json.loads(result.stdout)
    assert len(document["matches"]) > 1
    assert "cannot tell them apart" in document["verdict"]
    assert document["verdict"] in result.stderr


def test_the_runner_up_is_told(problem):
    problem.scores()
    document = problem.found()
    assert document["nearest_others"][0]["worst"] > document["tolerance"]
    assert "the nearest other one is" in document["verdict"]


def test_scores_of_another_model(problem, small):
    np.save(small.folder / "scores.npy", problem.scores() + np.arange(3) * 5.0)
    result = problem.match()
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert not document["found"]
    assert document["nearest_others"]
    assert "What may be missing" in result.stderr


def test_the_mapping_that_is_written_passes_the_check(run, problem, small):
    small.lstm["gate_order"] = list("ogif")
    small.mapping["labels"] = ["one", "two", "three"]
    problem.scores()
    small.lstm["gate_order"] = list("ifgo")
    written = small.folder / "found.yaml"
    assert problem.match("--write-mapping", written, form="table").exit_code == 0
    assert yaml.safe_load(written.read_text())["labels"] == ["one", "two", "three"]
    arguments = ("check", small.path, problem.text, "--expected", small.folder / "scores.npy")
    assert run(*arguments).exit_code == 1
    assert run(*arguments, "--mapping", written).exit_code == 0


def test_the_table_shows_the_mapping_to_paste(problem):
    problem.scores()
    result = problem.match(form="table")
    assert "matches" in result.stdout
    assert "gate_order: [i, f, g, o]" in result.stdout


def test_a_real_model(run, tmp_path):
    lines = PYTORCH.sequences.read_text().splitlines(keepends=True)[:5]
    (tmp_path / "five.txt").write_text("".join(lines))
    np.save(tmp_path / "five.npy", np.load(PYTORCH.expected)[:5])
    result = run(
        *("match", PYTORCH.model, tmp_path / "five.txt"),
        *("--expected", tmp_path / "five.npy", "--format", "json"),
    )
    assert result.exit_code == 0, result.output
    [match] = json.loads(result.stdout)["matches"]
    assert match["mapping"]["layers"][1]["lstm"]["gate_order"] == ["i", "g", "f", "o"]


class TestRefusals:
    def test_another_number_of_scores(self, problem, small):
        np.save(small.folder / "scores.npy", problem.scores()[:4])
        result = problem.match()
        assert result.exit_code == 3
        assert "holds 4 rows of scores; the input has 5 sequences" in result.stderr

    def test_no_lstm_among_the_shapes(self, problem, small):
        problem.scores()
        small.mapping = {"vocabulary": "vocab.txt"}
        del small.arrays["U"]
        result = problem.match()
        assert result.exit_code == 3
        assert "its shapes show no LSTM of one layer" in result.stderr

    def test_arrays_that_do_not_fit_together(self, problem, small):
        problem.scores()
        small.arrays["U"] = np.ones((12, 3))
        result = problem.match()
        assert result.exit_code == 3
        assert "dataset `W`" in result.stderr

    def test_without_expected_scores(self, run, small):
        assert run("match", small.save(), small.write("in.txt", "bad\n")).exit_code == 2
