"""What a state dict's head is given is open: `lrp match` finds it by the model's own scores."""

import json

import numpy as np
import pytest

VOCABULARY, EMBEDDING, HIDDEN, CLASSES = 20, 5, 4, 3
LENGTHS = [1, 3, 9, 12, 5]

HEADS = {
    "last states": lambda torch, steps, states: torch.cat(list(states[-2:]), 1),
    "last step": lambda torch, steps, states: steps[:, -1],
    "every step": lambda torch, steps, states: steps,
    "sum": lambda torch, steps, states: steps.sum(1),
    "mean": lambda torch, steps, states: steps.mean(1),
    "max": lambda torch, steps, states: steps.amax(1),
}


class Case:
    """A network, its file, its input and the scores that torch itself computes."""

    def __init__(self, torch, folder, modules, score):
        torch.manual_seed(5)
        net = torch.nn.ModuleDict(modules(torch.nn))
        self.model, self.input = folder / "model.pt", folder / "ids.txt"
        self.expected = folder / "scores.jsonl"
        torch.save(net.state_dict(), self.model)
        rng = np.random.default_rng(2)
        sequences = [rng.integers(VOCABULARY, size=length).tolist() for length in LENGTHS]
        self.input.write_text("".join(" ".join(map(str, ids)) + "\n" for ids in sequences))
        with torch.no_grad():
            scores = [score(net, torch.tensor([ids]))[0].tolist() for ids in sequences]
        self.expected.write_text("".join(json.dumps({"scores": each}) + "\n" for each in scores))

    def check(self, run, *options):
        """The checks by their names, and what was said."""
        result = run("check", self.model, self.input, "--ids", "--format", "json", *options)
        assert result.exit_code in (0, 1), result.output
        document = json.loads(result.stdout)
        return {each["name"]: each["passed"] for each in document["checks"]}, document


def bidirectional(nn):
    return {
        "embedding": nn.Embedding(VOCABULARY, EMBEDDING),
        "lstm": nn.LSTM(EMBEDDING, HIDDEN, 2, bidirectional=True, batch_first=True),
        "head": nn.Linear(2 * HIDDEN, CLASSES),
    }


@pytest.mark.parametrize("head", HEADS)
def test_what_a_bidirectional_head_is_given(run, framework, tmp_path, head):
    torch = framework("torch")

    def score(net, ids):
        steps, (states, _) = net["lstm"](net["embedding"](ids))
        return net["head"](HEADS[head](torch, steps, states))

    case = Case(torch, tmp_path, bidirectional, score)
    asked = run("check", case.model, case.input, "--ids", "--expected", case.expected)
    assert asked.exit_code == 3
    assert "nothing says what `head.weight` is given" in asked.stderr
    # Torch's modules agree, whatever is assumed: what they are given is not their affair.
    checks, document = case.check(run, "--assume", "--against", "torch")
    assert checks["modules"]
    assert document["compared_with"] is None
    if head != "every step":
        checks, document = case.check(run, "--assume", "--expected", case.expected)
        assert checks["forward"] == (head == "last states")
        assert document["compared_with"] == str(case.expected)
    mapping = case.model.with_suffix(".yaml")
    options = ("--ids", "--expected", case.expected, "--write-mapping", mapping)
    found = run("match", case.model, case.input, *options)
    assert found.exit_code == 0, found.output
    checks, document = case.check(run, "--expected", case.expected)
    assert checks["forward"]
    assert document["assumptions"] == []


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
def test_what_stands_between_linear_layers(run, framework, tmp_path, activation):
    torch = framework("torch")

    def modules(nn):
        lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        layers = {"embedding": nn.Embedding(VOCABULARY, EMBEDDING), "lstm": lstm}
        return layers | {"fc1": nn.Linear(HIDDEN, 6), "fc2": nn.Linear(6, CLASSES)}

    def score(net, ids):
        _, (states, _) = net["lstm"](net["embedding"](ids))
        hidden = net["fc1"](states[-1])
        return net["fc2"](hidden if activation == "linear" else getattr(torch, activation)(hidden))

    case = Case(torch, tmp_path, modules, score)
    checks, document = case.check(run, "--assume", "--expected", case.expected)
    assert checks["forward"] == (activation == "relu")
    head, between, classes = document["assumptions"]
    assert "last hidden state" in head
    assert "a relu stands between" in between
    assert "scores are of classes" in classes
    options = ("--ids", "--expected", case.expected, "--format", "json")
    found = json.loads(run("match", case.model, case.input, *options).stdout)
    dense = [each["mapping"]["layers"][2]["dense"] for each in found["matches"]]
    assert {each.get("activation", "linear") for each in dense} == {activation}


def test_one_direction_is_given_its_last_state_with_a_warning(run, framework, tmp_path):
    torch = framework("torch")

    def modules(nn):
        lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        layers = {"embedding": nn.Embedding(VOCABULARY, EMBEDDING), "lstm": lstm}
        return layers | {"fc": nn.Linear(HIDDEN, CLASSES)}

    case = Case(
        *(torch, tmp_path, modules),
        lambda net, ids: net["fc"](net["lstm"](net["embedding"](ids))[0][:, -1]),
    )
    checks, document = case.check(run, "--expected", case.expected)
    assert checks["forward"]
    assert document["assumptions"] == [
        "`fc.weight` is given the last hidden state (layers)",
        "its 3 scores are of classes, of which the highest is predicted (task or labels)",
    ]


@pytest.mark.parametrize("hidden", [True, False], ids=["of a hidden layer", "of the steps"])
def test_attention_is_drafted_as_it_is_most_often_made(run, framework, tmp_path, hidden):
    torch = framework("torch")

    def modules(nn):
        layers = bidirectional(nn)
        head = layers.pop("head")
        parts = [nn.Linear(2 * HIDDEN, 7), nn.Tanh(), nn.Linear(7, 1, bias=False)]
        attention = nn.Sequential(*parts) if hidden else nn.Linear(2 * HIDDEN, 1)
        return layers | {"attention": attention, "head": head}

    def score(net, ids):
        steps, _ = net["lstm"](net["embedding"](ids))
        weights = net["attention"](steps).softmax(1)
        return net["head"]((weights * steps).sum(1))

    case = Case(torch, tmp_path, modules, score)
    checks, _ = case.check(run, "--assume", "--expected", case.expected)
    assert checks["forward"]
    checks, _ = case.check(run, "--assume", "--against", "torch")
    assert checks["modules"]


def test_safetensors_sorts_its_layers_and_they_are_the_same(run, framework, tmp_path):
    """Its head stands before the LSTM, where it would fit as well."""
    torch = framework("torch")
    framework("safetensors")
    from safetensors.torch import save_file

    def modules(nn):
        return {
            "lstm": nn.LSTM(HIDDEN, HIDDEN, batch_first=True),
            "embedding": nn.Embedding(VOCABULARY, HIDDEN),
            "classes": nn.Linear(HIDDEN, HIDDEN),
        }

    def score(net, ids):
        return net["classes"](net["lstm"](net["embedding"](ids))[1][0][-1])

    case = Case(torch, tmp_path, modules, score)
    save_file(torch.load(case.model), tmp_path / "model.safetensors")
    case.model = tmp_path / "model.safetensors"
    checks, _ = case.check(run, "--expected", case.expected)
    assert checks["forward"]
