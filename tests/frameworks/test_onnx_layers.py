"""Layers around LSTMs and beside them, as PyTorch exports them: scores are PyTorch's own.

Weights are exported in float64, so lrp must agree to 1e-10, whatever onnxruntime could run.
"""

import json

import numpy as np
import pytest
from onnx_models import CLASSES, FEATURES, HIDDEN, OnnxGraph, random_weights

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch_modules import MODULES, inputs_of, made, scores_of

from lstm_lrp_cli.loading.load import read_contents

SEQUENCES, STEPS = 4, 8
BY_STEP = ("tagger", "encoder-decoder", "two sequences")

# PyTorch calls its own first exporter legacy, and warns of what it traces.
pytestmark = pytest.mark.filterwarnings("ignore")


def export(module, inputs, path, *, open_steps=True, names=None):
    """By PyTorch's first exporter, through TorchScript."""
    names = names or [f"x{k}" for k in range(len(inputs))]
    axes = {name: {0: "batch"} for name in names}
    for name, tensor in zip(names, inputs, strict=True):
        if open_steps and (tensor.ndim == 3 or (tensor.ndim == 2 and tensor.dtype == torch.int64)):
            axes[name][1] = f"steps of {name}"
    torch.onnx.export(
        module, inputs, path, dynamo=False, input_names=names, dynamic_axes=axes, verbose=False
    )


def export_by_dynamo(framework, module, inputs, path):
    """By the exporter that goes through torch.export, which fixes the number of steps."""
    framework("onnxscript")
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        *(module, inputs, path),
        dynamo=True,
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        external_data=False,
        verbose=False,
    )


def write(folder, rows, scores):
    """Sequences and the scores that are expected of them, as files."""
    (folder / "input.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = "".join(json.dumps({"scores": np.asarray(each).tolist()}) + "\n" for each in scores)
    (folder / "scores.jsonl").write_text(lines)


def assert_scores(run, path, rows, scores, *options):
    write(path.parent, rows, scores)
    result = run(
        *("check", path, path.parent / "input.jsonl", "--target", "all"),
        *("--expected", path.parent / "scores.jsonl", "--tolerance", 1e-10, *options),
    )
    assert result.exit_code == 0, result.output


def rows_of(inputs, names=None):
    if len(inputs) == 1:
        key = "values" if inputs[0].is_floating_point() else "tokens"
        return [{key: row.tolist()} for row in inputs[0]]
    return [
        {name: tensor[k].tolist() for name, tensor in zip(names, inputs, strict=True)}
        for k in range(len(inputs[0]))
    ]


def agrees(run, module, inputs, path, *, by_step=False, names=None):
    steps = ("--step", "all") if by_step else ()
    with torch.no_grad():
        scores = module(*inputs).numpy()
    assert_scores(run, path, rows_of(inputs, names), scores, *steps)


def kinds(path):
    return [spec.kind for spec in read_contents(path, None).described.mapping.layers]


# The twelve modules.


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_what_pytorch_computes(run, framework, tmp_path, name):
    framework("onnx")
    module, inputs = made(name), inputs_of(name)
    path = tmp_path / "m.onnx"
    export(module, (inputs,), path)
    steps = ("--step", "all") if name in BY_STEP else ()
    assert_scores(run, path, rows_of((inputs,)), scores_of(module, inputs), *steps)


# Other networks: a function of the network and the series.


class Network(nn.Module):
    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def network(function, **modules):
    """In float64, with weights none of which is 0 or 1."""
    net = Network(function, **modules).double().eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in net.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.4 * noise + 0.05)
    return net


def reads(features=4, hidden=6, **settings):
    return nn.LSTM(features, hidden, batch_first=True, **settings)


def softmax_of_products(net, x):
    """Luong's attention: the last hidden state is the query."""
    steps, (hidden, _) = net.lstm(x)
    weights = torch.softmax(torch.bmm(steps, hidden[-1].unsqueeze(2)), 1)
    return net.head(torch.bmm(steps.transpose(1, 2), weights).squeeze(2))


def query_before_keys(net, x):
    steps, (hidden, _) = net.lstm(x)
    weights = torch.softmax(hidden[-1].unsqueeze(1) @ steps.transpose(1, 2), -1)
    return net.wide(torch.cat([(weights @ steps).squeeze(1), hidden[-1]], 1))


def weighed_steps(net, x):
    steps, (hidden, _) = net.lstm(x)
    products = torch.bmm(steps, hidden[-1].unsqueeze(2)).squeeze(2)
    return net.head((steps * torch.softmax(products, 1).unsqueeze(2)).sum(1))


def self_attention(net, x):
    steps, _ = net.lstm(x)
    query, key, value = net.three(steps).chunk(3, -1)
    weights = torch.softmax(query @ key.transpose(1, 2) / 6**0.5, -1)
    return net.head((weights @ value).mean(1))


def hidden_later_steps(net, x):
    steps, _ = net.lstm(x)
    query, key, value = net.three(steps).chunk(3, -1)
    mask = torch.full((STEPS, STEPS), -torch.inf, dtype=torch.float64).triu(1)
    weights = torch.softmax(query @ key.transpose(1, 2) + mask, -1)
    return net.head((weights @ value).mean(1))


def several_heads(net, x):
    steps, _ = net.lstm(x)
    attended, _ = net.attention(steps, steps, steps)
    return net.head(net.norm(attended + steps).mean(1))


def additive(net, x):
    """Bahdanau's attention, whose query is added to every step."""
    steps, (hidden, _) = net.lstm(x)
    weights = torch.softmax(net.one(torch.tanh(net.same(steps) + hidden[-1].unsqueeze(1))), 1)
    return net.head((weights * steps).sum(1))


def handed_over(net, x):
    _, states = net.lstm(x)
    steps, _ = net.second(x.flip(1), states)
    return net.head(steps[:, -1])


def hidden_state_handed_over(net, x):
    steps, (hidden, cell) = net.lstm(x)
    _, (last, end) = net.third(steps, (hidden, torch.zeros_like(cell)))
    return net.head(last[-1] + end[-1])


def both_directions_handed_over(net, x):
    steps, states = net.both(x)
    steps, _ = net.reader(steps, states)
    return net.wide(steps.mean(1))


def gru_handed_over(net, x):
    steps, hidden = net.gru(x)
    _, hidden = net.other(steps, hidden)
    return net.wide(hidden[-2:].transpose(0, 1).flatten(1))


def all_of_one_layer(net, x):
    """All steps, the last hidden and the last cell state: of one layer, not of three."""
    steps, (hidden, cell) = net.lstm(x)
    return net.three_heads(torch.cat([steps.mean(1), hidden[-1], cell[-1]], 1))


def plain(net, x):
    _, hidden = net.rnn(x)
    return net.wide(torch.cat([hidden[-2], hidden[-1]], 1))


def residual(net, x):
    turned = functional.relu(net.conv(x.transpose(1, 2)))
    steps, _ = net.wider((turned + net.depthwise(turned)).transpose(1, 2))
    return net.head(steps[:, -1])


def causal_convolution(net, x):
    turned = net.valid(functional.pad(x.transpose(1, 2), (2, 0)))
    steps, _ = net.wider(functional.elu(turned).transpose(1, 2))
    return net.head(steps[:, -1])


def units_after_steps(net, x):
    steps, _ = net.lstm(x)
    return net.flat(functional.max_pool1d(steps.transpose(1, 2), 2, 2).flatten(1))


def pooled_whole(net, x):
    turned = net.lstm(x)[0].transpose(1, 2)
    pools = (functional.adaptive_avg_pool1d, functional.adaptive_max_pool1d)
    return net.wide(torch.cat([pool(turned, 1).squeeze(-1) for pool in pools], 1))


def strides_and_pads(net, x):
    turned = net.grouped(net.conv(x.transpose(1, 2)))
    turned = functional.avg_pool1d(turned, 2, stride=1, padding=1)
    steps, _ = net.wider(functional.interpolate(turned, scale_factor=2.0).transpose(1, 2))
    return net.head(steps.mean(1))


def normalizations(net, x):
    turned = net.groups(net.conv(x.transpose(1, 2)))
    turned = net.instance(net.slopes(functional.leaky_relu(turned, 0.2)))
    steps, _ = net.wider(functional.gelu(turned, approximate="tanh").transpose(1, 2))
    return net.head(functional.gelu(net.norm(steps)).mean(1))


def gated_units(net, x):
    steps, _ = net.lstm(x)
    return net.head(functional.glu(net.double_units(steps), -1).mean(1))


def arithmetic(net, x):
    steps, _ = net.lstm(x)
    return net.head((steps[:, -1] - steps[:, 0]) * 0.5 - 1.0) / 3.0


def transformer(net, x):
    return net.head(net.encoder(net.lstm(x)[0]).mean(1))


NETWORKS = {
    "softmax of products": (softmax_of_products, ["lstm", "pool", "attend", "dense"]),
    "query before keys": (query_before_keys, None),
    "weighed steps": (weighed_steps, ["lstm", "pool", "attend", "dense"]),
    "self-attention": (self_attention, None),
    "hidden later steps": (hidden_later_steps, None),
    "several heads": (several_heads, None),
    "additive": (additive, None),
    "handed over": (handed_over, ["reverse", "lstm", "lstm", "dense"]),
    "hidden state handed over": (hidden_state_handed_over, None),
    "both directions handed over": (both_directions_handed_over, None),
    "gru handed over": (gru_handed_over, None),
    "all of one layer": (all_of_one_layer, None),
    "plain": (plain, ["rnn", "rnn", "dense"]),
    "residual": (residual, None),
    "causal convolution": (causal_convolution, ["convolution", "activation", "lstm", "dense"]),
    "units after steps": (units_after_steps, None),
    "pooled whole": (pooled_whole, None),
    "strides and pads": (strides_and_pads, None),
    "normalizations": (normalizations, None),
    "gated units": (gated_units, None),
    "arithmetic": (arithmetic, None),
    "transformer": (transformer, None),
}
# What may not be left open: steps that lie side by side, or that a mask has as many of.
FIXED = ("units after steps", "hidden later steps")


def parts():
    return {
        "lstm": reads(),
        "second": reads(),
        "third": reads(6),
        "both": reads(bidirectional=True),
        "reader": reads(12, bidirectional=True),
        "wider": reads(6),
        "gru": nn.GRU(4, 6, batch_first=True, bidirectional=True),
        "other": nn.GRU(12, 6, batch_first=True, bidirectional=True),
        "rnn": nn.RNN(4, 6, 2, batch_first=True, bidirectional=True, nonlinearity="relu"),
        "attention": nn.MultiheadAttention(6, 2, batch_first=True),
        "encoder": nn.TransformerEncoderLayer(6, 3, 7, batch_first=True, activation="gelu"),
        "norm": nn.LayerNorm(6),
        "groups": nn.GroupNorm(2, 6),
        "instance": nn.InstanceNorm1d(6, affine=True),
        "slopes": nn.PReLU(6),
        "conv": nn.Conv1d(4, 6, 3, padding="same"),
        "depthwise": nn.Conv1d(6, 6, 5, padding=2, groups=6),
        "valid": nn.Conv1d(4, 6, 3),
        "grouped": nn.Conv1d(6, 6, 3, stride=2, padding=1, groups=3),
        "head": nn.Linear(6, 2),
        "wide": nn.Linear(12, 2),
        "three_heads": nn.Linear(18, 2),
        "flat": nn.Linear(24, 2),
        "same": nn.Linear(6, 6),
        "one": nn.Linear(6, 1),
        "three": nn.Linear(6, 18),
        "double_units": nn.Linear(6, 12),
    }


def some_series(features=4, steps=STEPS):
    generator = torch.Generator().manual_seed(4)
    return torch.randn(SEQUENCES, steps, features, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_what_pytorch_computes(run, framework, tmp_path, name):
    framework("onnx")
    function, wanted = NETWORKS[name]
    net, inputs = network(function, **parts()), (some_series(),)
    export(net, inputs, tmp_path / "m.onnx", open_steps=name not in FIXED)
    agrees(run, net, inputs, tmp_path / "m.onnx")
    if wanted is not None:
        assert kinds(tmp_path / "m.onnx") == wanted


class Everything(nn.Module):
    """One export takes seconds, so all that dynamo writes in its own way stands in one."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2)
        )
        self.gru, self.decoder = nn.GRU(6, 6, batch_first=True), reads(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(9, 2)

    def forward(self, series, person):
        _, hidden = self.gru(self.conv(series.transpose(1, 2)).transpose(1, 2))
        repeated = hidden[-1].unsqueeze(1).repeat(1, 3, 1)
        steps, _ = self.decoder(repeated)
        attended, _ = self.attention(steps, steps, steps)
        return self.head(torch.cat([self.norm(attended + steps).mean(1), person], 1))


def test_layers_and_inputs_through_dynamo(run, framework, tmp_path):
    framework("onnx")
    torch.manual_seed(11)
    module, inputs = Everything().double().eval(), (some_series(), some_vectors())
    module.conv[1].running_mean.normal_()
    export_by_dynamo(framework, module, inputs, tmp_path / "m.onnx")
    agrees(run, module, inputs, tmp_path / "m.onnx", names=("series", "person"))
    mapping = read_contents(tmp_path / "m.onnx", None).described.mapping
    [attend] = [spec.attend for spec in mapping.layers if spec.attend]
    assert attend.heads == 2
    assert attend.scale == pytest.approx(3**-0.5)  # and no layer scales queries or keys
    assert not any(spec.batch_norm for spec in mapping.layers)


def with_states(net, x):
    """All steps pooled by their number, which is written out; and the states, for the next run."""
    steps, states = net.lstm(x)
    return net.head(functional.max_pool1d(steps.transpose(1, 2), steps.shape[1]).squeeze(2)), states


def test_sizes_of_an_example_are_taken_for_any_or_told(run, framework, tmp_path):
    """Of a graph all of whose sizes are written out, as without dynamic_axes."""
    framework("onnx")
    net, series = network(with_states, **parts()), some_series()
    torch.onnx.export(net, (series,), tmp_path / "m.onnx", dynamo=False, verbose=False)
    described = read_contents(tmp_path / "m.onnx", None).described
    told = [each.text for each in described.assumptions]
    assert described.mapping.padding.length == STEPS
    assert any(f"depends on the {STEPS} steps of its example" in each for each in told)
    assert any("the states that it gives beside its scores" in each for each in told)
    shorter = series[:, 3:]
    with torch.no_grad():
        scores = net(functional.pad(shorter, (0, 0, 3, 0)))[0].numpy()
    assert_scores(run, tmp_path / "m.onnx", rows_of((shorter,)), scores)


@pytest.mark.parametrize("version", [9, 13])
def test_older_operators(run, framework, tmp_path, version):
    """Before version 17 normalization over units is taken apart, and gelu before 20."""
    framework("onnx")
    net, inputs = network(normalizations, **parts()), (some_series(),)
    torch.onnx.export(
        *(net, inputs, tmp_path / "m.onnx"),
        dynamo=False,
        opset_version=version,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch", 1: "steps"}},
    )
    agrees(run, net, inputs, tmp_path / "m.onnx")
    assert kinds(tmp_path / "m.onnx").count("layer_norm") == 1


def test_one_layer_gives_all_that_is_taken_of_it(framework, tmp_path):
    framework("onnx")
    net = network(all_of_one_layer, **parts())
    export(net, (some_series(),), tmp_path / "m.onnx")
    mapping = read_contents(tmp_path / "m.onnx", None).described.mapping
    [lstm] = [spec.lstm for spec in mapping.layers if spec.lstm]
    assert (lstm.returns, lstm.cell_state) == ("sequence", True)


# Several inputs.


class WordsAndNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(20, 6), reads(6)
        self.dense, self.head = nn.Linear(3, 4), nn.Linear(10, 2)

    def forward(self, text, person):
        _, (hidden, _) = self.lstm(self.embedding(text))
        return self.head(torch.cat([hidden[-1], torch.relu(self.dense(person))], 1))


class Conditioned(nn.Module):
    """A vector is the state in which a series begins."""

    def __init__(self):
        super().__init__()
        self.dense, self.gru, self.head = nn.Linear(3, 5), nn.GRU(4, 5), nn.Linear(5, 2)

    def forward(self, series, person):
        begins = torch.tanh(self.dense(person)).unsqueeze(0)
        _, hidden = self.gru(series.transpose(0, 1), begins)
        return self.head(hidden[-1])


class TwoTexts(nn.Module):
    """Two texts by one embedding and one LSTM."""

    def __init__(self):
        super().__init__()
        self.embedding, self.lstm, self.head = nn.Embedding(20, 6), reads(6), nn.Linear(6, 2)

    def forward(self, one, other):
        ends = [self.lstm(self.embedding(text))[1][0][-1] for text in (one, other)]
        return self.head(ends[0] * ends[1])


class TwoSequences(nn.Module):
    """Each with steps of its own: the decoder's attend to the encoder's."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder, self.head = reads(4), reads(3), nn.Linear(12, 2)

    def forward(self, source, target):
        keys, states = self.encoder(source)
        queries, _ = self.decoder(target, states)
        weights = torch.softmax(queries @ keys.transpose(1, 2), -1)
        return self.head(torch.cat([queries, weights @ keys], 2))


def some_ids(steps=STEPS):
    generator = torch.Generator().manual_seed(5)
    return torch.randint(1, 20, (SEQUENCES, steps), generator=generator)


def some_vectors(size=3):
    return some_series(size, 1)[:, 0]


SEVERAL = {
    "words and numbers": (WordsAndNumbers, ("text", "person"), (some_ids(), some_vectors())),
    "conditioned": (Conditioned, ("series", "person"), (some_series(), some_vectors())),
    "two texts": (TwoTexts, ("one", "other"), (some_ids(), some_ids(5))),
    "two sequences": (TwoSequences, ("source", "target"), (some_series(), some_series(3, 6))),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_several_inputs(run, framework, tmp_path, name):
    framework("onnx")
    kind, names, inputs = SEVERAL[name]
    torch.manual_seed(3)
    module = kind().double().eval()
    export(module, inputs, tmp_path / "m.onnx", names=list(names))
    agrees(run, module, inputs, tmp_path / "m.onnx", names=names, by_step=name in BY_STEP)
    given = read_contents(tmp_path / "m.onnx", None).described.mapping.inputs
    assert [(each.name, each.steps is False) for each in given] == [
        (name, name == "person") for name in names
    ]


# Lengths.


class Packed(nn.Module):
    """Sequences that are packed: each is read up to its own length."""

    def __init__(self, head, bidirectional=False, dtype=torch.float64):
        super().__init__()
        self.dtype = dtype
        self.embedding = nn.Embedding(20, 4)
        self.lstm = reads(4, 6, bidirectional=bidirectional)
        self.head, self.fc = head, nn.Linear(12 if bidirectional else 6, 2)

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(
            self.embedding(ids), lengths, batch_first=True, enforce_sorted=False
        )
        directions = 1 + self.lstm.bidirectional
        zeros = torch.zeros(directions, ids.shape[0], 6, dtype=self.dtype)
        steps, (hidden, _) = self.lstm(packed, (zeros, zeros))
        if self.head == "last":
            return self.fc(hidden.transpose(0, 1).flatten(1))
        steps, _ = pad_packed_sequence(steps, batch_first=True)
        match self.head:
            case "steps":
                return self.fc(steps)
            case "sum by length":
                return self.fc(steps.sum(1) / lengths.unsqueeze(1))
            case "max":
                return self.fc(steps.max(1)[0])


@pytest.mark.parametrize("head", ["last", "last of both", "steps", "sum by length", "max"])
def test_lengths_are_those_of_the_sequences(run, framework, tmp_path, head):
    framework("onnx")
    torch.manual_seed(6)
    module = Packed(head.removesuffix(" of both"), head.endswith("both")).double().eval()
    ids, lengths = some_ids(), torch.tensor([3, 8, 1, 5])
    torch.onnx.export(
        *(module, (ids, lengths), tmp_path / "m.onnx"),
        dynamo=False,
        input_names=["ids", "lengths"],
        dynamic_axes={"ids": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}},
    )
    cut = [(ids[k : k + 1, :n], torch.tensor([n])) for k, n in enumerate(lengths.tolist())]
    with torch.no_grad():
        scores = [module(*each)[0].numpy() for each in cut]
    rows = [{"tokens": each[0].tolist()} for each, _ in cut]
    steps = ("--step", "all") if head == "steps" else ()
    assert_scores(run, tmp_path / "m.onnx", rows, scores, *steps)
    result = run("explain", tmp_path / "m.onnx", tmp_path / "input.jsonl", *steps)
    told = "every sequence is run at its own length, which lengths says" in result.stderr
    assert told == (head in ("sum by length", "max"))


# As onnxruntime runs the file itself, which runs LSTMs in float32 alone.


@pytest.mark.parametrize("name", ["words and numbers", "two sequences"])
def test_several_inputs_against_onnxruntime(run, framework, tmp_path, name):
    framework("onnx")
    framework("onnxruntime")
    kind, names, inputs = SEVERAL[name]
    inputs = tuple(x.float() if x.is_floating_point() else x for x in inputs)
    export(kind().eval(), inputs, tmp_path / "m.onnx", names=list(names))
    assert_against_onnxruntime(run, tmp_path, rows_of(inputs, names), by_step=name in BY_STEP)


def assert_against_onnxruntime(run, folder, rows, *, by_step=False):
    write(folder, rows, [])
    steps = ("--step", "all") if by_step else ()
    given = ("check", folder / "m.onnx", folder / "input.jsonl", "--against", "onnxruntime")
    result = run(*given, "--target", "all", *steps)
    assert result.exit_code == 0, result.output
    assert "onnxruntime" in result.output


def test_lengths_against_onnxruntime(run, framework, tmp_path):
    framework("onnx")
    framework("onnxruntime")
    module, ids = Packed("last", dtype=torch.float32).eval(), some_ids()
    torch.onnx.export(
        *(module, (ids, torch.tensor([3, 8, 1, 5])), tmp_path / "m.onnx"),
        dynamo=False,
        input_names=["ids", "lengths"],
        dynamic_axes={"ids": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}},
    )
    rows = [{"tokens": ids[0, :n].tolist()} for n in (1, 3, 8)]
    assert_against_onnxruntime(run, tmp_path, rows)


# Graphs that PyTorch does not write, by onnxruntime.


def gru_weights(hidden=HIDDEN, directions=1, gates=3):
    rng = np.random.default_rng(7)
    shapes = {
        "W": (gates * hidden, FEATURES),
        "R": (gates * hidden, hidden),
        "B": (2 * gates * hidden,),
    }
    return {name: rng.normal(size=(directions, *shape)) for name, shape in shapes.items()}


CELLS = {
    "GRU, reset before": ("GRU", {}),
    "GRU, reset after": ("GRU", {"linear_before_reset": 1}),
    "GRU backwards": ("GRU", {"direction": "reverse", "linear_before_reset": 1}),
    "GRU, both": ("GRU", {"direction": "bidirectional"}),
    "GRU, hard": ("GRU", {"activations": ["HardSigmoid", "Softsign"]}),
    "RNN": ("RNN", {}),
    "RNN, relu": ("RNN", {"activations": ["Relu"]}),
    "RNN, both": ("RNN", {"direction": "bidirectional"}),
}


@pytest.mark.parametrize("begins", [False, True], ids=["", "begins"])
@pytest.mark.parametrize("name", CELLS)
def test_cells_as_onnxruntime_runs_them(run, framework, tmp_path, name, begins):
    op, settings = CELLS[name]
    graph = OnnxGraph(framework("onnx"))
    directions = 2 if settings.get("direction") == "bidirectional" else 1
    arrays = gru_weights(directions=directions, gates={"GRU": 3, "RNN": 1}[op])
    weights = [graph.constant(*named) for named in arrays.items()]
    states = []
    if begins:
        state = np.random.default_rng(8).normal(size=(directions, 1, HIDDEN))
        states = ["", graph.constant("begins", state)]
    x = graph.add("Transpose", graph.input(sizes=(1, "steps", FEATURES)), perm=[1, 0, 2])
    _, hidden = graph.add(op, x, *weights, *states, outputs=2, hidden_size=HIDDEN, **settings)
    turned = graph.add("Transpose", hidden, perm=[1, 0, 2])
    flat = graph.add("Flatten", turned, axis=1)
    graph.output(graph.dense(flat, directions * HIDDEN), (1, CLASSES))
    assert_as_onnxruntime(run, framework, graph, tmp_path)


def assert_as_onnxruntime(run, framework, graph, tmp_path):
    path = graph.save(tmp_path / "m.onnx")
    session = framework("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(9)
    series = [rng.normal(size=(n, FEATURES)).astype(np.float32) for n in (3, 4, 9)]
    scores = [session.run(None, {"x": each[np.newaxis]})[0][0] for each in series]
    write(tmp_path, [{"values": each.tolist()} for each in series], scores)
    result = run(
        *("check", path, tmp_path / "input.jsonl", "--target", "all", "--dtype", "float32"),
        *("--expected", tmp_path / "scores.jsonl", "--tolerance", 1e-5),
    )
    assert result.exit_code == 0, result.output


CONVOLUTIONS = {
    "same, upper": ({"auto_pad": "SAME_UPPER"}, 4, FEATURES),
    "same, lower": ({"auto_pad": "SAME_LOWER"}, 4, FEATURES),
    "same, by two": ({"auto_pad": "SAME_UPPER", "strides": [2]}, 3, FEATURES),
    "valid": ({"auto_pad": "VALID"}, 1, FEATURES),
    "dilated": ({"dilations": [2], "pads": [3, 1]}, 3, FEATURES),
    "groups": ({"group": 3, "pads": [1, 1]}, 3, 1),
}


@pytest.mark.parametrize("is_flat", [True, False], ids=["", "two axes"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_as_onnxruntime_runs_them(run, framework, tmp_path, name, is_flat):
    """Of two axes, as TensorFlow has them, one has a single entry."""
    settings, width, inputs = CONVOLUTIONS[name]
    graph = OnnxGraph(framework("onnx"))
    turned = graph.add("Transpose", graph.input(), perm=[0, 2, 1])
    kernel = np.random.default_rng(10).normal(size=(6, inputs, width))
    axis = graph.constant("axis", np.array([2]))
    if not is_flat:
        turned = graph.add("Unsqueeze", turned, axis)
        settings = {
            key: [0, value[0], 0, value[1]]
            if key == "pads"
            else [1, *value]
            if isinstance(value, list)
            else value
            for key, value in settings.items()
        }
        kernel = kernel[:, :, np.newaxis]
    weights = graph.constant("kernel", kernel)
    made = graph.add("Conv", turned, weights, graph.constant("bias", np.arange(6.0)), **settings)
    if not is_flat:
        made = graph.add("Squeeze", made, axis)
    arrays = random_weights(features=6)
    given = [graph.constant(*named) for named in arrays.items()]
    steps = graph.add("Transpose", made, perm=[2, 0, 1])
    _, hidden, _ = graph.add("LSTM", steps, *given, outputs=3, hidden_size=HIDDEN)
    graph.output(graph.dense(graph.last(hidden)))
    assert_as_onnxruntime(run, framework, graph, tmp_path)
