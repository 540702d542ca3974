"""Heads and structure: what PyTorch computes live with attention, joins, several outputs and scores
at every step, a mapping describes, and `lrp check` reproduces to 1e-10 in float64."""

import numpy as np
import pytest
import yaml

VOCABULARY, EMBEDDING, HIDDEN, CLASSES = 20, 5, 4, 3
LENGTHS = [1, 2, 7, 12]

DENSE = {"layout": "classes_by_features"}
EMBEDDED = {"name": "embedded", "embedding": {"weights": "embedding.weight"}}


def lstm(name="lstm", returns="sequence", **place):
    """A bidirectional nn.LSTM of one layer."""
    directions = {
        direction: {
            "input": f"{name}.weight_ih_l0{suffix}",
            "recurrent": f"{name}.weight_hh_l0{suffix}",
            "bias": [f"{name}.bias_ih_l0{suffix}", f"{name}.bias_hh_l0{suffix}"],
        }
        for direction, suffix in (("forward", ""), ("backward", "_reverse"))
    }
    settings = {"gate_order": ["i", "f", "g", "o"], "layout": "gates_by_features"}
    return {"name": name, **place, "lstm": {**settings, **directions, "returns": returns}}


def dense(name="head", **place):
    return {
        "name": name,
        **place,
        "dense": {"weights": f"{name}.weight", "bias": f"{name}.bias", **DENSE},
    }


def normalized(name, **place):
    return {
        **place,
        "batch_norm": {
            "mean": f"{name}.running_mean",
            "variance": f"{name}.running_var",
            "scale": f"{name}.weight",
            "offset": f"{name}.bias",
            "epsilon": 1e-5,
        },
    }


class Structure:
    """A network's modules, how they are run, and the mapping that says the same."""

    def modules(self, nn):
        raise NotImplementedError

    def run(self, torch, net, embedded):
        """Scores of one sequence, of shape (1, classes), or (1, steps, classes)."""
        raise NotImplementedError

    layers: list
    others: dict = {}  # noqa: RUF012 (each class has its own)


def recurrent(nn, inputs=EMBEDDING):
    return nn.LSTM(inputs, HIDDEN, bidirectional=True, batch_first=True)


class Attention(Structure):
    """score_t = v . tanh(W h_t + b), softmax over steps, weighted sum."""

    layers = (
        lstm(),
        {
            "attention": {
                "weights": "vector.weight",
                "bias": "vector.bias",
                "hidden": {
                    "weights": "inner.weight",
                    "bias": "inner.bias",
                    **DENSE,
                    "activation": "tanh",
                },
            }
        },
        dense(),
    )

    def modules(self, nn):
        return {
            "lstm": recurrent(nn),
            "inner": nn.Linear(2 * HIDDEN, 6),
            "vector": nn.Linear(6, 1),
            "head": nn.Linear(2 * HIDDEN, CLASSES),
        }

    def run(self, torch, net, embedded):
        states, _ = net["lstm"](embedded)
        weights = net["vector"](torch.tanh(net["inner"](states))).softmax(1)
        return net["head"]((weights * states).sum(1))


class AttentionOfAVector(Structure):
    """score_t = v . h_t, written out with the layers that attention is made of."""

    layers = (
        lstm(),
        {"dense": {"weights": "vector.weight", "layout": "classes_by_features"}},
        {"softmax": "steps", "name": "weights"},
        {"merge": "gate", "from": ["weights", "lstm"]},
        {"pool": "sum"},
        dense(),
    )

    def modules(self, nn):
        return {
            "lstm": recurrent(nn),
            "vector": nn.Linear(2 * HIDDEN, 1, bias=False),
            "head": nn.Linear(2 * HIDDEN, CLASSES),
        }

    def run(self, torch, net, embedded):
        states, _ = net["lstm"](embedded)
        weights = net["vector"](states).softmax(1)
        return net["head"]((weights * states).sum(1))


class SkipConnections(Structure):
    """The embedding and two LSTMs side by side, pooled three ways, side by side again."""

    layers = (
        EMBEDDED,
        lstm("one"),
        lstm("two"),
        {"name": "all", "merge": "concat", "from": ["embedded", "one", "two"]},
        {"name": "most", "pool": "max"},
        {"name": "middle", "pool": "mean", "from": "all"},
        {"name": "end", "pool": "last", "from": "two"},
        {"merge": "concat", "from": ["most", "middle", "end"]},
        dense("hidden"),
        {"activation": "relu"},
        dense(),
    )

    def modules(self, nn):
        return {
            "one": recurrent(nn),
            "two": recurrent(nn, 2 * HIDDEN),
            "hidden": nn.Linear(2 * (EMBEDDING + 4 * HIDDEN) + 2 * HIDDEN, 7),
            "head": nn.Linear(7, CLASSES),
        }

    def run(self, torch, net, embedded):
        one, _ = net["one"](embedded)
        two, _ = net["two"](one)
        everything = torch.cat([embedded, one, two], dim=2)
        pooled = torch.cat([everything.amax(1), everything.mean(1), two[:, -1]], dim=1)
        return net["head"](net["hidden"](pooled).relu())


class LastStepOfBothDirections(Structure):
    """The popular `output[:, -1]`, where the backward half has read one step alone."""

    layers = (lstm(), {"pool": "last"}, dense())

    def modules(self, nn):
        return {"lstm": recurrent(nn), "head": nn.Linear(2 * HIDDEN, CLASSES)}

    def run(self, torch, net, embedded):
        states, _ = net["lstm"](embedded)
        return net["head"](states[:, -1])


class Residual(Structure):
    """A sum of two LSTMs' outputs, and batch normalization as it is at inference."""

    layers = (
        lstm("one"),
        lstm("two"),
        {"merge": "sum", "from": ["one", "two"]},
        {"pool": "mean"},
        normalized("norm"),
        dense(),
    )

    def modules(self, nn):
        norm = nn.BatchNorm1d(2 * HIDDEN)
        for tensor in (norm.running_mean, norm.running_var, norm.weight.data, norm.bias.data):
            tensor.uniform_(0.5, 1.5)
        return {
            "one": recurrent(nn),
            "two": recurrent(nn, 2 * HIDDEN),
            "norm": norm,
            "head": nn.Linear(2 * HIDDEN, CLASSES),
        }

    def run(self, torch, net, embedded):
        one, _ = net["one"](embedded)
        two, _ = net["two"](one)
        return net["head"](net["norm"]((one + two).mean(1)))


class ScoresAtEveryStep(Structure):
    """Sequence labelling."""

    layers = (lstm(), dense())

    def modules(self, nn):
        return {"lstm": recurrent(nn), "head": nn.Linear(2 * HIDDEN, CLASSES)}

    def run(self, torch, net, embedded):
        return net["head"](net["lstm"](embedded)[0])


class SeveralOutputs(Structure):
    """A class and two numbers, of the same hidden states."""

    layers = (
        lstm(returns="last"),
        dense("head", **{"from": "lstm"}),
        dense("numbers", **{"from": "lstm"}),
    )
    others = {"outputs": ["head", "numbers"]}  # noqa: RUF012

    def modules(self, nn):
        return {
            "lstm": recurrent(nn),
            "head": nn.Linear(2 * HIDDEN, CLASSES),
            "numbers": nn.Linear(2 * HIDDEN, 2),
        }

    def run(self, torch, net, embedded):
        _, (states, _) = net["lstm"](embedded)
        last = torch.cat(list(states), dim=1)
        return torch.cat([net["head"](last), net["numbers"](last)], dim=1)


STRUCTURES = Structure.__subclasses__()


@pytest.mark.parametrize("structure", STRUCTURES, ids=lambda each: each.__name__)
def test_scores_agree(run, framework, tmp_path, structure):
    torch = framework("torch")
    torch.manual_seed(7)
    chosen = structure()
    modules = {"embedding": torch.nn.Embedding(VOCABULARY, EMBEDDING), **chosen.modules(torch.nn)}
    net = torch.nn.ModuleDict(modules).double().eval()
    sequences = [torch.randint(VOCABULARY, (length,)) for length in LENGTHS]
    with torch.no_grad():
        scores = [
            chosen.run(torch, net, net["embedding"](ids[None]))[0].tolist() for ids in sequences
        ]
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    np.savez(tmp_path / "model.npz", **arrays)
    layers = list(chosen.layers)
    layers = layers if layers[0] is EMBEDDED else [EMBEDDED, *layers]
    document = {"format": 1, "layers": layers, **chosen.others}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "scores.jsonl").write_text("".join(f'{{"scores": {each}}}\n' for each in scores))
    lines = "".join(" ".join(map(str, ids.tolist())) + "\n" for ids in sequences)
    (tmp_path / "ids.txt").write_text(lines)
    steps = ("--step", "all") if structure is ScoresAtEveryStep else ()
    result = run(
        *("check", tmp_path / "model.npz", tmp_path / "ids.txt", "--ids", "--target", "all"),
        *("--expected", tmp_path / "scores.jsonl", "--tolerance", 1e-10, *steps),
    )
    assert result.exit_code == 0, result.output
