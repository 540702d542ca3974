"""State dicts of modules as several people write them: each loads by itself, or by its draft as it
is, or by the draft mended in a few places, or by `lrp match` from eight sequences' scores of torch.

The shapes and names are those that published files have, in small.
"""

import json

import msgspec
import numpy as np
import pytest

from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.opening import draft_of, open_arrays

WORDS, CHANNELS, COUNT = 17, 3, 8
LENGTHS = (10, 11, 12, 13, 16, 20, 14, 18)

# What of all steps goes on.
HEADS = {
    "states": lambda torch, out, hidden: torch.cat((hidden[-2], hidden[-1]), 1),
    "state": lambda torch, out, hidden: hidden[-1],
    "step": lambda torch, out, hidden: out[:, -1],
    "mean": lambda torch, out, hidden: out.mean(1),
    "max": lambda torch, out, hidden: out.amax(1),
    "every": lambda torch, out, hidden: out,
}


def chain(head, *, embedding="", both=False, depth=1, kind="LSTM", tail=(), behind=None):
    """A module: an embedding or none, one recurrent module, linear layers with one activation."""

    def make(torch):
        nn, functional = torch.nn, torch.nn.functional

        class Written(nn.Module):
            def __init__(self):
                super().__init__()
                if embedding:
                    setattr(self, embedding, nn.Embedding(WORDS, CHANNELS))
                options = {"batch_first": True, "bidirectional": both, "num_layers": depth}
                self.lstm = getattr(nn, kind)(CHANNELS, 4, **options)
                units = 8 if both else 4
                for name, size in tail:
                    setattr(self, name, nn.Linear(units, size))
                    units = size

            def forward(self, x):
                if embedding:
                    x = getattr(self, embedding)(x)
                out, states = self.lstm(x)
                x = HEADS[head](torch, out, states[0] if kind == "LSTM" else states)
                for place, (name, _) in enumerate(tail):
                    x = getattr(self, name)(x)
                    if place < len(tail) - 1 and behind:
                        x = getattr(functional, behind)(x)
                return x

        return Written()

    return make


def convolved(act, pool, padding, head="step"):
    """Two convolutions in front of an LSTM, as attributes of the module."""

    def make(torch):
        nn, functional = torch.nn, torch.nn.functional

        class Convolved(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv1 = nn.Conv1d(CHANNELS, 5, 3, padding=padding)
                self.conv2 = nn.Conv1d(5, 4, 3, padding=padding)
                self.lstm = nn.LSTM(4, 4, batch_first=True)
                self.fc = nn.Linear(4, 2)

            def forward(self, x):
                x = x.transpose(1, 2)
                for layer in (self.conv1, self.conv2):
                    x = getattr(functional, act)(layer(x))
                    x = functional.max_pool1d(x, pool) if pool > 1 else x
                out, (hidden, _) = self.lstm(x.transpose(1, 2))
                return self.fc(HEADS[head](torch, out, hidden))

        return Convolved()

    return make


def in_sequence(act, pool):
    """Convolutions with batch normalization in an nn.Sequential, attention behind the LSTM."""

    def make(torch):
        nn = torch.nn

        class Weighing(nn.Module):
            def __init__(self):
                super().__init__()
                self.attn = nn.Linear(8, 1)

        class Recognizer(nn.Module):
            def __init__(self):
                super().__init__()
                one = [nn.Conv1d(CHANNELS, 5, 3, padding=1), nn.BatchNorm1d(5), act(nn)]
                two = [nn.Conv1d(5, 4, 3, padding=1), nn.BatchNorm1d(4), act(nn)]
                ends = [nn.MaxPool1d(2), nn.Dropout(0.3)] if pool else []
                self.cnn = nn.Sequential(*one, *ends, *two, *ends)
                self.lstm = nn.LSTM(4, 4, num_layers=2, bidirectional=True, batch_first=True)
                self.attention = Weighing()
                self.fc = nn.Linear(8, 3)

            def forward(self, x):
                out, _ = self.lstm(self.cnn(x.transpose(1, 2)).transpose(1, 2))
                return self.fc((self.attention.attn(out).softmax(1) * out).sum(1))

        return Recognizer()

    return make


def attended(form):
    """Attention of one linear layer, with a tanh where some put one."""

    def make(torch):
        nn = torch.nn

        class Attended(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(CHANNELS, 4, bidirectional=True, batch_first=True)
                self.attention = nn.Linear(8, 1)
                self.fc = nn.Linear(8, 3)

            def forward(self, x):
                out, _ = self.lstm(x)
                numbers = self.attention(out.tanh() if form == "steps" else out)
                weights = (numbers.tanh() if form == "numbers" else numbers).softmax(1)
                return self.fc((weights * out).sum(1))

        return Attended()

    return make


def decoded(repeats, steps=None):
    """An encoder and a decoder without a linear layer; of so many steps, or as many as it reads."""

    def make(torch):
        nn = torch.nn

        class Autoencoder(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.LSTM(CHANNELS, 4, batch_first=True)
                self.decoder = nn.LSTM(4, CHANNELS, batch_first=True)

            def forward(self, x):
                out, (hidden, _) = self.encoder(x)
                again = hidden[-1].unsqueeze(1).repeat(1, steps or x.shape[1], 1)
                return self.decoder(again if repeats else out)[0]

        return Autoencoder()

    return make


def of_cells(form):
    """Two LSTMCells that read one series."""

    def make(torch):
        nn = torch.nn

        class Cells(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm1 = nn.LSTMCell(CHANNELS, 4)
                self.lstm2 = nn.LSTMCell(CHANNELS, 4)
                self.linear = nn.Linear(4, 1)

            def forward(self, x):
                zeros = x.new_zeros(len(x), 4)
                one, other, found = (zeros, zeros), (zeros, zeros), []
                for step in x.unbind(1):
                    one = self.lstm1(step, one)
                    other = self.lstm2(step, other)
                    found.append(self.linear(one[0] + other[0]))
                if form == "handed":
                    for step in x.unbind(1):
                        one = self.lstm2(step, one)
                    return self.linear(one[0])
                return torch.stack(found, 1) if form == "every" else found[-1]

        return Cells()

    return make


def stacked_states(act):
    """A linear layer in front, and the last states of both layers side by side behind."""

    def make(torch):
        nn = torch.nn

        class Stacked(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear_1 = nn.Linear(CHANNELS, 4)
                self.lstm = nn.LSTM(4, 4, num_layers=2, batch_first=True)
                self.linear_2 = nn.Linear(8, 1)

            def forward(self, x):
                x = self.linear_1(x)
                x = x if act is None else getattr(torch.nn.functional, act)(x)
                _, (hidden, _) = self.lstm(x)
                return self.linear_2(hidden.permute(1, 0, 2).reshape(len(x), -1))

        return Stacked()

    return make


def normed(place):
    """Layer normalization of every step, or of their mean."""

    def make(torch):
        nn = torch.nn

        class Normed(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(CHANNELS, 4, batch_first=True)
                self.norm = nn.LayerNorm(4)
                self.fc = nn.Linear(4, 2)

            def forward(self, x):
                out, _ = self.lstm(x)
                pooled = self.norm(out).mean(1) if place == "steps" else self.norm(out.mean(1))
                return self.fc(pooled)

        return Normed()

    return make


def behind_two():
    """Two linear layers in front of the LSTM."""

    def make(torch):
        nn = torch.nn

        class Behind(nn.Module):
            def __init__(self):
                super().__init__()
                self.pre = nn.Sequential(
                    nn.Linear(CHANNELS, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU()
                )
                self.lstm = nn.LSTM(6, 4, batch_first=True)
                self.fc = nn.Linear(4, 2)

            def forward(self, x):
                return self.fc(self.lstm(self.pre(x))[0][:, -1])

        return Behind()

    return make


def convolved_behind(head):
    """A convolution over the LSTM's steps, and one vector of what it makes."""

    def make(torch):
        nn = torch.nn

        class Behind(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(CHANNELS, 4, batch_first=True)
                self.conv = nn.Conv1d(4, 5, 3, padding=1)
                self.fc = nn.Linear(5, 2)

            def forward(self, x):
                out, _ = self.lstm(x)
                out = self.conv(out.transpose(1, 2)).relu().transpose(1, 2)
                return self.fc(HEADS[head](torch, out, None))

        return Behind()

    return make


def attends(heads, units=4):
    """nn.MultiheadAttention of the LSTM's steps, and their mean."""

    def make(torch):
        nn = torch.nn

        class Attends(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(CHANNELS, units, batch_first=True)
                self.attn = nn.MultiheadAttention(units, heads, batch_first=True)
                self.fc = nn.Linear(units, 2)

            def forward(self, x):
                out, _ = self.lstm(x)
                return self.fc(self.attn(out, out, out)[0].mean(1))

        return Attends()

    return make


def bare(torch):
    return torch.nn.LSTM(CHANNELS, 6, proj_size=2, batch_first=True)


FC, TWO, TAGS = (("fc", 3),), (("fc", 9), ("output", 3)), (("hidden2tag", 4),)
ITSELF, DRAFT, MATCH = "itself", "draft", "match"
# The module, how it comes to be read, and of how many choices of the draft others are meant.
CASES = {
    "state": (chain("state", tail=FC, depth=2), ITSELF, 0),
    "step": (chain("step", tail=FC), ITSELF, 0),
    "every": (chain("every", tail=FC), MATCH, 1),
    "gru": (chain("step", tail=FC, kind="GRU", depth=2), ITSELF, 0),
    "rnn": (chain("step", tail=FC, kind="RNN", both=True), MATCH, 1),
    "bare": (bare, ITSELF, 0),
    "words": (chain("states", embedding="embedding", both=True, tail=FC), DRAFT, 0),
    "words, step": (chain("step", embedding="embedding", both=True, tail=FC), MATCH, 1),
    "words, mean": (chain("mean", embedding="embedding", both=True, tail=FC), MATCH, 1),
    "words, max": (chain("max", embedding="embedding", tail=FC), MATCH, 1),
    "tags": (chain("every", embedding="word_embeddings", both=True, tail=TAGS), DRAFT, 0),
    "two": (chain("state", embedding="embedding", tail=TWO, behind="relu"), DRAFT, 0),
    "two, none": (chain("state", embedding="embedding", tail=TWO), MATCH, 1),
    "two, leaky": (chain("mean", embedding="embedding", tail=TWO, behind="leaky_relu"), MATCH, 2),
    "attention": (attended(""), DRAFT, 0),
    "attention, tanh of numbers": (attended("numbers"), MATCH, 1),
    "attention, tanh of steps": (attended("steps"), MATCH, 1),
    "convolutions": (convolved("relu", 1, 1), MATCH, 0),
    "convolutions, all else": (convolved("tanh", 1, 0), MATCH, 4),
    "sequence": (in_sequence(lambda nn: nn.ReLU(), pool=True), MATCH, 0),
    "sequence, gelu": (in_sequence(lambda nn: nn.GELU(), pool=False), MATCH, 2),
    "decoder": (decoded(repeats=True), MATCH, 0),
    "decoder, steps": (decoded(repeats=False), MATCH, 1),
    "cells": (of_cells(""), MATCH, 0),
    "cells, every": (of_cells("every"), MATCH, 1),
    "cells, handed": (of_cells("handed"), MATCH, 1),
    "in front": (stacked_states("relu"), MATCH, 0),
    "in front, none": (stacked_states(None), MATCH, 1),
    "norm": (normed("mean"), MATCH, 1),
    "norm of steps": (normed("steps"), MATCH, 1),
    "heads": (attends(2), MATCH, 1),
    "heads, three": (attends(3, 6), MATCH, 1),
    "decoder, other steps": (decoded(repeats=True, steps=5), MATCH, 0),
    "two in front": (behind_two(), MATCH, 0),
    "convolution behind": (convolved_behind("max"), MATCH, 0),
    "convolution behind, mean": (convolved_behind("mean"), MATCH, 1),
}


class Published:
    """A state dict on disk, sequences, and what torch gives of them."""

    def __init__(self, torch, folder, make, change=lambda module: None):
        torch.manual_seed(3)
        module = make(torch).double().eval()
        change(module)
        for key, value in module.state_dict().items():
            if key.endswith("running_mean"):
                value.normal_()
            elif key.endswith("running_var"):
                value.uniform_(0.5, 2)
            else:  # far enough from zero that activations differ
                value.mul_(3)
        self.path = folder / "model.pt"
        torch.save(module.state_dict(), self.path)
        rng = np.random.default_rng(5)
        names = list(module.state_dict())
        self.options = ("--ids",) if any("emb" in name for name in names) else ()
        # What repeats a vector has one number of steps.
        lengths = (10,) * COUNT if any("decoder" in name for name in names) else LENGTHS
        with torch.no_grad():
            if self.options:
                ids = [rng.integers(WORDS, size=n) for n in lengths]
                self.input = folder / "in.txt"
                self.input.write_text("".join(" ".join(map(str, each)) + "\n" for each in ids))
                scores = [module(torch.tensor(each)[None]) for each in ids]
            else:
                series = [rng.normal(size=(n, CHANNELS)) for n in lengths]
                self.input = folder / "in.npz"
                np.savez(self.input, **{f"x{k}": each for k, each in enumerate(series)})
                scores = [module(torch.tensor(each)[None]) for each in series]
        found = [each[0] if isinstance(each, tuple) else each for each in scores]
        self.expected = folder / "scores.jsonl"
        lines = (json.dumps({"scores": each[0].tolist()}) for each in found)
        self.expected.write_text("\n".join(lines) + "\n")

    def passes(self, run, *options):
        """Whether `lrp check` finds torch's scores; None where it asks."""
        result = run(
            *("check", self.path, self.input, "--expected", self.expected, *self.options),
            *("--tolerance", "1e-10", *options),
        )
        return None if result.exit_code == 3 else result.exit_code == 0


def mends(path, found):
    """Of how many choices of a draft a mapping has another than the likeliest."""
    with open_arrays(path) as file:
        slots = draft_of(file).layers
    ways = [[_plain(way) for way in slot.choices.values()] for slot in slots]

    def of(place, rest):
        if place == len(ways):
            return [] if rest else [0]
        counts = []
        for number, own in enumerate(ways[place]):
            if rest[: len(own)] == own:
                counts += [(number > 0) + more for more in of(place + 1, rest[len(own) :])]
        return counts

    return min(of(0, _plain(msgspec.convert(found["layers"], list[LayerSpec]))))


def _plain(layers):
    """Layers as they are written, whatever the number of steps that a vector is repeated for."""
    entries = [msgspec.to_builtins(layer) for layer in layers]
    return [entry | {"repeat": None} if "repeat" in entry else entry for entry in entries]


@pytest.mark.parametrize(("make", "how", "changed"), CASES.values(), ids=CASES)
def test_it_comes_to_be_read_as_torch_computes_it(run, framework, tmp_path, make, how, changed):
    case = Published(framework("torch"), tmp_path, make)
    asked = case.passes(run)
    assert (asked is True) == (how == ITSELF)
    if how == DRAFT:
        assert asked is None
        assert case.passes(run, "--assume")
    mapping = tmp_path / "found.yaml"
    result = run(
        *("match", case.path, case.input, "--expected", case.expected, *case.options),
        *("--tolerance", "1e-10", "--format", "json", "--write-mapping", mapping),
    )
    assert result.exit_code == 0, result.output
    assert case.passes(run, "--mapping", mapping)
    # What stands first departs least from the draft; nothing tells it from the others.
    document = json.loads(result.stdout)
    first, *others = document["matches"]
    assert mends(case.path, first["mapping"]) == changed
    assert all(other["worst"] <= 1e-10 for other in others)
    assert bool(document["told_apart_by"]) == bool(others)


# Of what is well above zero they make the same.
ALIKE = ("relu", "linear", "gelu", "elu", "leaky_relu")


def test_what_no_sequence_tells_apart_is_listed_with_what_would(run, framework, tmp_path):
    """Where no unit is negative, relu and no activation are one."""
    torch = framework("torch")

    def raise_biases(module):
        with torch.no_grad():
            module.fc.bias += 10

    make = chain("state", embedding="embedding", tail=TWO)
    case = Published(torch, tmp_path, make, raise_biases)
    options = ("--expected", case.expected, "--ids", "--format", "json")
    document = json.loads(run("match", case.path, case.input, *options).stdout)
    told = [match["what"].rsplit("; ", 1)[-1] for match in document["matches"]]
    assert told == [f"{name} behind it" for name in ALIKE]
    [way] = document["told_apart_by"]
    assert "relu and linear are one where no unit is negative" in way
    assert way in document["verdict"]


def test_embeddings_and_numbers_side_by_side(run, framework, tmp_path):
    """As words with their tags and a number each: every one is an input of its own."""
    torch = framework("torch")
    torch.manual_seed(0)
    parts = torch.nn.ModuleDict(
        {
            "word_emb": torch.nn.Embedding(9, 4),
            "tag_emb": torch.nn.Embedding(5, 3),
            "lstm": torch.nn.LSTM(9, 6, batch_first=True),
            "fc": torch.nn.Linear(6, 2),
        }
    ).double()
    words, tags = torch.randint(0, 9, (3, 7)), torch.randint(0, 5, (3, 7))
    numbers = torch.randn(3, 7, 2, dtype=torch.float64)
    embedded = [parts["word_emb"](words), parts["tag_emb"](tags), numbers]
    _, (hidden, _) = parts["lstm"](torch.cat(embedded, dim=2))
    np.save(tmp_path / "y.npy", parts["fc"](hidden[-1]).detach().numpy())
    torch.save(parts.state_dict(), tmp_path / "model.pt")
    rows = [
        {"tokens1": words[k].tolist(), "tokens2": tags[k].tolist(), "numbers": numbers[k].tolist()}
        for k in range(3)
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = (tmp_path / "model.pt", tmp_path / "x.jsonl", "--expected", tmp_path / "y.npy")
    asked = run("check", *files)
    assert "nothing says which input each is of" in asked.stderr
    draft = asked.stderr[asked.stderr.index("format: 1") :]
    (tmp_path / "model.yaml").write_text(draft)
    result = run("check", *files, "--tolerance", "1e-10")
    assert result.exit_code == 0, result.output
