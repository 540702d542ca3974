"""What onnxruntime computes live of a model, `lrp check` reproduces from the same .onnx file.

onnxruntime runs LSTMs in float32 alone; in float64 the numbers are PyTorch's own.
"""

import json

import numpy as np
import pytest
from onnx_models import CLASSES, FEATURES, HIDDEN, OnnxGraph

VOCABULARY, EMBEDDING = 20, 5
LENGTHS = (1, 2, 7, 12)

# PyTorch calls its own first exporter legacy, and warns of what it traces.
pytestmark = pytest.mark.filterwarnings("ignore")


def some_ids(lengths=LENGTHS):
    rng = np.random.default_rng(3)
    return [rng.integers(0, VOCABULARY, length) for length in lengths]


def some_series(lengths=LENGTHS):
    rng = np.random.default_rng(3)
    return [rng.normal(size=(length, FEATURES)).astype(np.float32) for length in lengths]


def onnxruntime_scores(framework, path, sequences, batch_axis=0):
    """All outputs for each sequence, side by side."""
    runtime = framework("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [session.run(None, {name: np.expand_dims(s, batch_axis)}) for s in sequences]
    return [np.concatenate([each[0] for each in found], axis=-1) for found in outputs]


def assert_agrees(run, path, sequences, scores, *options):
    folder = path.parent
    key = "tokens" if sequences[0].ndim == 1 else "values"
    lines = "".join(json.dumps({key: s.tolist()}) + "\n" for s in sequences)
    (folder / "input.jsonl").write_text(lines)
    lines = "".join(json.dumps({"scores": s.tolist()}) + "\n" for s in scores)
    (folder / "scores.jsonl").write_text(lines)
    result = run(
        *("check", path, folder / "input.jsonl", "--target", "all"),
        *("--expected", folder / "scores.jsonl", *options),
    )
    assert result.exit_code == 0, result.output


FLOAT32 = ("--dtype", "float32", "--tolerance", 1e-5)
FLOAT64 = ("--dtype", "float64", "--tolerance", 1e-10)


# PyTorch's exporters.


def network(torch, head, depth=1, bidirectional=False, bias=True):
    """An embedding, an LSTM, and a head: a function of the network, the steps and the states."""
    nn = torch.nn
    width = HIDDEN * (1 + bidirectional)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
            self.lstm = nn.LSTM(
                EMBEDDING, HIDDEN, depth, bias=bias, bidirectional=bidirectional, batch_first=True
            )
            self.linear = nn.Linear(width, CLASSES, bias=bias)
            self.one = nn.Linear(HIDDEN, CLASSES)
            self.twice = nn.Linear(2 * width, CLASSES)
            self.same = nn.Linear(width, width)
            self.weigh = nn.Linear(width, 1)
            self.norm = nn.BatchNorm1d(width)
            self.largest = nn.AdaptiveMaxPool1d(1)
            self.second = nn.LSTM(width, HIDDEN, batch_first=True)
            self.vector = nn.Parameter(torch.randn(width))
            self.cat = torch.cat

        def forward(self, ids):
            steps, (states, _) = self.lstm(self.embedding(ids))
            return head(self, steps, states)

    torch.manual_seed(depth)
    net = Network().eval()
    with torch.no_grad():
        net.norm.running_mean.uniform_(-1, 1)
        net.norm.running_var.uniform_(0.5, 2)
    return net


def export(torch, net, path, **settings):
    torch.onnx.export(
        net,
        (torch.zeros(2, 5, dtype=torch.long),),
        path,
        dynamo=False,
        input_names=["ids"],
        dynamic_axes={"ids": {0: "batch", 1: "steps"}},
        **settings,
    )


def last(net, steps, states):
    directions = 2 if net.lstm.bidirectional else 1
    return net.linear(states[-directions:].transpose(0, 1).flatten(1))


POOLS = {
    "last": last,
    "last step": lambda net, steps, states: net.linear(steps[:, -1]),
    "mean": lambda net, steps, states: net.linear(steps.mean(1)),
    "max": lambda net, steps, states: net.linear(steps.max(1)[0]),
    "sum": lambda net, steps, states: net.linear(steps.sum(1)),
}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("bias", [True, False], ids=["biased", "unbiased"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("depth", [1, 2])
def test_exported_by_pytorch(run, framework, tmp_path, depth, bidirectional, bias, pool):
    framework("onnx")
    torch = framework("torch")
    path = tmp_path / "model.onnx"
    export(torch, network(torch, POOLS[pool], depth, bidirectional, bias), path)
    scores = onnxruntime_scores(framework, path, some_ids())
    assert_agrees(run, path, some_ids(), scores, *FLOAT32)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
def test_exported_by_pytorch_in_double_precision(run, framework, tmp_path, bidirectional):
    framework("onnx")
    torch = framework("torch")
    net = network(torch, last, depth=2, bidirectional=bidirectional).double()
    export(torch, net, tmp_path / "model.onnx")
    with torch.no_grad():
        scores = [net(torch.tensor(ids[np.newaxis]))[0].numpy() for ids in some_ids()]
    assert_agrees(run, tmp_path / "model.onnx", some_ids(), scores, *FLOAT64)


def attention(net, steps, states):
    weights = net.weigh(net.same(steps).tanh()).squeeze(-1).softmax(1)
    return net.linear((weights.unsqueeze(-1) * steps).sum(1))


def attention_by_matrices(net, steps, states):
    weights = net.weigh(steps).softmax(1)
    return net.linear((weights.transpose(1, 2) @ steps).squeeze(1))


def attention_by_a_vector(net, steps, states):
    weights = (steps.tanh() @ net.vector).softmax(1).unsqueeze(-1)
    return net.linear((steps.transpose(1, 2) @ weights).squeeze(-1).relu())


def states_by_layer_and_direction(net, steps, states):
    return net.linear(states.view(2, 2, -1, HIDDEN)[-1].permute(1, 0, 2).reshape(-1, 2 * HIDDEN))


def last_steps_of_each_direction(net, steps, states):
    return net.linear(net.cat([steps[:, -1, :HIDDEN], steps[:, 0, HIDDEN:]], 1))


def probability_of_the_last_step(net, steps, states):
    rows = net.weigh(steps.contiguous().view(-1, 2 * HIDDEN)).sigmoid()
    return rows.view(steps.shape[0], -1)[:, -1:]


def sum_of_directions(net, steps, states):
    return net.one(steps.view(steps.shape[0], steps.shape[1], 2, HIDDEN).sum(2).mean(1))


def mean_of_directions(net, steps, states):
    forward, backward = steps.chunk(2, dim=2)
    return net.one(((forward + backward) / 2).amax(1))


def pools_side_by_side(net, steps, states):
    return net.twice(net.cat([steps.mean(1), steps.max(1)[0]], 1))


def second_reader(net, steps, states):
    _, (hidden, _) = net.second(steps.flip(1))
    return net.one(hidden[0])


def skip_connection(net, steps, states):
    mean = steps.mean(1)
    return net.linear(mean + net.same(mean).relu())


def normalized_steps(net, steps, states):
    return net.linear(net.norm(steps.transpose(1, 2)).amax(2))


HEADS = {
    "attention": attention,
    "attention by matrices": attention_by_matrices,
    "attention by a vector": attention_by_a_vector,
    "states by layer and direction": states_by_layer_and_direction,
    "last steps of each direction": last_steps_of_each_direction,
    "probability of the last step": probability_of_the_last_step,
    "sum of directions": sum_of_directions,
    "mean of directions": mean_of_directions,
    "pools side by side": pools_side_by_side,
    "second reader": second_reader,
    "skip connection": skip_connection,
    "normalized steps": normalized_steps,
    "normalized": lambda net, steps, states: net.linear(net.norm(steps[:, 0])),
    "adaptive pool": lambda net, steps, states: net.linear(
        net.largest(steps.transpose(1, 2)).squeeze(-1)
    ),
    "gated": lambda net, steps, states: net.linear((net.same(steps).sigmoid() * steps).sum(1)),
    "product": lambda net, steps, states: net.linear((net.same(steps).tanh() * steps).mean(1)),
    "two outputs": lambda net, steps, states: (net.linear(steps.sum(1)), net.one(states[-1])),
    "scores at every step": lambda net, steps, states: net.linear(steps),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_exported_by_pytorch(run, framework, tmp_path, name):
    framework("onnx")
    torch = framework("torch")
    path = tmp_path / "model.onnx"
    export(torch, network(torch, HEADS[name], depth=2, bidirectional=True), path)
    scores = onnxruntime_scores(framework, path, some_ids())
    steps = ("--step", "all") if name == "scores at every step" else ()
    assert_agrees(run, path, some_ids(), scores, *FLOAT32, *steps)


@pytest.mark.parametrize(
    "activation",
    [*("relu", "relu6", "tanh", "sigmoid", "softplus", "elu", "selu", "silu"), *("hardsigmoid",)],
)
def test_activations_exported_by_pytorch(run, framework, tmp_path, activation):
    framework("onnx")
    torch = framework("torch")
    function = getattr(torch.nn.functional, activation)
    net = network(torch, lambda net, steps, states: net.linear(function(4 * net.same(states[-1]))))
    export(torch, net, tmp_path / "model.onnx")
    scores = onnxruntime_scores(framework, tmp_path / "model.onnx", some_ids())
    assert_agrees(run, tmp_path / "model.onnx", some_ids(), scores, *FLOAT32)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_probabilities_at_the_end(run, framework, tmp_path, name):
    framework("onnx")
    torch = framework("torch")
    net = network(torch, lambda net, *values: getattr(last(net, *values), name)(1))
    export(torch, net, tmp_path / "model.onnx")
    scores = onnxruntime_scores(framework, tmp_path / "model.onnx", some_ids())
    assert_agrees(run, tmp_path / "model.onnx", some_ids(), scores, *FLOAT32)


@pytest.mark.parametrize(
    "settings",
    [{"do_constant_folding": False}, {"keep_initializers_as_inputs": True}]
    + [{"opset_version": version} for version in (9, 11, 12, 13, 17)],
    ids=str,
)
def test_ways_of_exporting(run, framework, tmp_path, settings):
    framework("onnx")
    torch = framework("torch")
    path = tmp_path / "model.onnx"
    export(torch, network(torch, attention, depth=2, bidirectional=True), path, **settings)
    scores = onnxruntime_scores(framework, path, some_ids())
    assert_agrees(run, path, some_ids(), scores, *FLOAT32)


def test_steps_first(run, framework, tmp_path):
    """An LSTM of PyTorch's default, whose first axis is that of steps."""
    framework("onnx")
    torch = framework("torch")
    net = network(torch, lambda net, steps, states: net.linear(steps.mean(0)))
    net.lstm.batch_first = False
    export(torch, net, tmp_path / "model.onnx")
    scores = onnxruntime_scores(framework, tmp_path / "model.onnx", some_ids(), batch_axis=1)
    assert_agrees(run, tmp_path / "model.onnx", some_ids(), scores, *FLOAT32)


def test_a_learned_initial_state(run, framework, tmp_path):
    framework("onnx")
    torch = framework("torch")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(FEATURES, HIDDEN, bidirectional=True, batch_first=True)
            self.linear = torch.nn.Linear(2 * HIDDEN, CLASSES)
            self.hidden = torch.nn.Parameter(torch.randn(2, 1, HIDDEN))
            self.cell = torch.nn.Parameter(torch.randn(2, 1, HIDDEN))

        def forward(self, series):
            states = [state.repeat(1, series.shape[0], 1) for state in (self.hidden, self.cell)]
            steps, _ = self.lstm(series, tuple(states))
            return self.linear(steps[:, -1])

    torch.manual_seed(1)
    path = tmp_path / "model.onnx"
    torch.onnx.export(
        *(Network().eval(), (torch.zeros(2, 5, FEATURES),), path),
        dynamo=False,
        input_names=["series"],
        dynamic_axes={"series": {0: "batch", 1: "steps"}},
    )
    scores = onnxruntime_scores(framework, path, some_series())
    assert_agrees(run, path, some_series(), scores, *FLOAT32)


@pytest.mark.parametrize("name", ["attention", "pools side by side", "sum of directions"])
def test_exported_by_pytorch_through_dynamo(run, framework, tmp_path, name):
    """It fixes the number of steps to that of the example."""
    framework("onnx")
    framework("onnxscript")
    torch = framework("torch")
    path = tmp_path / "model.onnx"
    torch.onnx.export(
        network(torch, HEADS[name], depth=2, bidirectional=True),
        (torch.zeros(2, 7, dtype=torch.long),),
        path,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )
    scores = onnxruntime_scores(framework, path, some_ids((7, 7)))
    assert_agrees(run, path, some_ids((7, 7)), scores, *FLOAT32)


def test_an_lstm_taken_apart_is_refused(run, framework, tmp_path):
    """Keras 3 on PyTorch exports the operators of each step."""
    framework("onnx")
    framework("torch")
    keras = framework("keras")
    layers = [keras.layers.Embedding(VOCABULARY, 3), keras.layers.LSTM(2), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), *layers])
    model(np.ones((1, 4), dtype=np.int32))
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    result = run("inspect", tmp_path / "model.onnx")
    assert result.exit_code == 3
    assert "has no LSTM, GRU or RNN node" in result.stderr
    assert "from Keras save .keras or .h5" in result.stderr


# Graphs that no exporter at hand writes.

HARD = {"activations": ["HardSigmoid", "Tanh", "Tanh"]}
LSTMS = {
    "reverse": {"direction": "reverse"},
    "hard sigmoid of Keras 2": HARD,
    "hard sigmoid of Keras 3": HARD | {"activation_alpha": [1 / 6], "activation_beta": [0.5]},
    "relu cells": {"activations": ["Sigmoid", "Relu", "Relu"]},
    "elu cells": {"activations": ["Sigmoid", "Elu", "Elu"], "activation_alpha": [1.0, 1.0]},
    "softsign cells": {"activations": ["Sigmoid", "Softsign", "Softsign"]},
    "softplus cells": {"activations": ["Sigmoid", "Softplus", "Softplus"]},
}


@pytest.mark.parametrize("name", LSTMS)
def test_kinds_of_lstm(run, framework, tmp_path, name):
    graph = OnnxGraph(framework("onnx"))
    _, hidden, _ = graph.lstm(graph.input(), **LSTMS[name])
    graph.output(graph.dense(graph.last(hidden)))
    path = graph.save(tmp_path / "model.onnx")
    scores = onnxruntime_scores(framework, path, some_series())
    assert_agrees(run, path, some_series(), scores, *FLOAT32)


def test_initial_states(run, framework, tmp_path):
    graph = OnnxGraph(framework("onnx"))
    states = [
        graph.constant(name, np.random.default_rng(seed).normal(size=(2, 1, HIDDEN)))
        for seed, name in enumerate(("hidden", "cell"))
    ]
    x = graph.input(sizes=(1, "steps", FEATURES))
    _, hidden, _ = graph.lstm(x, states, directions=2, direction="bidirectional")
    joined = graph.add("Transpose", hidden, perm=[1, 0, 2])
    flat = graph.add("Flatten", joined, axis=1)
    graph.output(graph.dense(flat, 2 * HIDDEN), (1, CLASSES))
    path = graph.save(tmp_path / "model.onnx")
    scores = onnxruntime_scores(framework, path, some_series())
    assert_agrees(run, path, some_series(), scores, *FLOAT32)


def test_ids_that_come_as_floats(run, framework, tmp_path):
    graph = OnnxGraph(framework("onnx"))
    ids = graph.add("Cast", graph.input("x", ("batch", "steps")), to=7)
    table = np.random.default_rng(1).normal(size=(VOCABULARY, FEATURES))
    _, hidden, _ = graph.lstm(graph.add("Gather", graph.constant("table", table), ids))
    graph.output(graph.dense(graph.last(hidden)))
    path = graph.save(tmp_path / "model.onnx")
    as_floats = [ids.astype(np.float32) for ids in some_ids()]
    scores = onnxruntime_scores(framework, path, as_floats)
    assert_agrees(run, path, some_ids(), scores, *FLOAT32)


def test_a_dense_layer_on_rows(run, framework, tmp_path):
    """All steps of all sequences as the rows of a matrix, scaled and shifted, and back."""
    graph = OnnxGraph(framework("onnx"))
    x = graph.input()
    steps, _, _ = graph.lstm(x)
    states = graph.add("Squeeze", steps, graph.constant("one", np.array([1])))
    rows = graph.add("Reshape", states, graph.constant("rows", np.array([-1, HIDDEN])))
    scaled = graph.add("Mul", rows, graph.constant("scale", np.array([[0.5, -2.0]])))
    shifted = graph.add("Add", graph.constant("shift", np.array(0.25)), scaled)
    scores = graph.add("Softsign", graph.dense(shifted))
    sizes = graph.add(
        "Concat",
        *(
            graph.add("Gather", graph.add("Shape", states), graph.constant(f"at{k}", np.array([k])))
            for k in (0, 1)
        ),
        graph.constant("classes", np.array([CLASSES])),
        axis=0,
    )
    by_step = graph.add("Reshape", scores, sizes)
    graph.output(graph.add("ReduceSum", by_step, graph.constant("zero", np.array([0])), keepdims=0))
    path = graph.save(tmp_path / "model.onnx")
    scores = onnxruntime_scores(framework, path, some_series())
    assert_agrees(run, path, some_series(), scores, *FLOAT32)


# Shapes. Every size is its own, so that an axis can be told by it.

STEPS, SEQUENCES, UNITS, DIRECTIONS = 7, 3, 5, 2


class Rearranged:
    """A tensor that is turned, cut and folded at random; what its axes are is known by size."""

    def __init__(self, graph, tensor, sizes, rng):
        self.graph, self.tensor, self.sizes, self.rng = graph, tensor, list(sizes), rng

    def do(self, op, sizes, *given, **settings):
        names = [self.graph.constant(f"c{len(self.graph.constants)}", each) for each in given]
        self.tensor = self.graph.add(op, self.tensor, *names, **settings)
        self.sizes = list(sizes)

    def turn(self):
        order = self.rng.permutation(len(self.sizes)).tolist()
        self.do("Transpose", [self.sizes[axis] for axis in order], perm=order)

    def unfold(self):
        place = int(self.rng.integers(len(self.sizes) + 1))
        sizes = [*self.sizes[:place], 1, *self.sizes[place:]]
        self.do("Unsqueeze", sizes, np.array([place]))

    def fold(self):
        """Directions and units in one axis, where they stand side by side."""
        for place in range(len(self.sizes) - 1):
            pair = self.sizes[place : place + 2]
            if pair in ([DIRECTIONS, UNITS], [1, UNITS], [DIRECTIONS, 1]):
                joined = int(np.prod(pair))
                shape = [0] * place + [joined, *self.behind(place + 2)]
                sizes = [*self.sizes[:place], joined, *self.sizes[place + 2 :]]
                return self.do("Reshape", sizes, np.array(shape))
        return None

    def divide(self):
        """The units of both directions in two axes."""
        if DIRECTIONS * UNITS in self.sizes:
            place = self.sizes.index(DIRECTIONS * UNITS)
            shape = [0] * place + [DIRECTIONS, UNITS, *self.behind(place + 1)]
            sizes = [*self.sizes[:place], DIRECTIONS, UNITS, *self.sizes[place + 1 :]]
            self.do("Reshape", sizes, np.array(shape))

    def cut(self):
        """One direction."""
        for size in (DIRECTIONS, DIRECTIONS * UNITS):
            if size in self.sizes:
                place = self.sizes.index(size)
                half = size // 2
                start = half * int(self.rng.integers(2))
                sizes = [*self.sizes[:place], half, *self.sizes[place + 1 :]]
                ends = (np.array([k]) for k in (start, start + half, place))
                return self.do("Slice", sizes, *ends)
        return None

    def behind(self, place):
        """The sizes from there on, with that of sequences left open."""
        return [-1 if size == SEQUENCES else size for size in self.sizes[place:]]

    def finish(self):
        steps = self.sizes.index(STEPS)
        kind = str(self.rng.choice(["ReduceMax", "ReduceMean"]))
        self.do(kind, self.sizes[:steps] + self.sizes[steps + 1 :], axes=[steps], keepdims=0)
        # Units last, for side by side stand all units of one direction and then of the other.
        rest = [axis for axis, size in enumerate(self.sizes) if size != SEQUENCES]
        rest.sort(key=lambda axis: self.sizes[axis] >= UNITS)
        order = [self.sizes.index(SEQUENCES), *rest]
        self.do("Transpose", [self.sizes[axis] for axis in order], perm=order)
        self.do("Flatten", [SEQUENCES, int(np.prod(self.sizes[1:]))], axis=1)
        self.graph.output(self.graph.dense(self.tensor, self.sizes[1]))


@pytest.mark.parametrize("seed", range(60))
def test_random_rearrangements(run, framework, tmp_path, seed):
    rng = np.random.default_rng(seed)
    graph = OnnxGraph(framework("onnx"))
    steps, _, _ = graph.lstm(
        graph.input(sizes=("batch", STEPS, FEATURES)),
        hidden=UNITS,
        directions=DIRECTIONS,
        direction="bidirectional",
    )
    tensor = Rearranged(graph, steps, (STEPS, DIRECTIONS, SEQUENCES, UNITS), rng)
    moves = [tensor.turn, tensor.unfold, tensor.fold, tensor.divide, tensor.cut]
    for _ in range(8):
        rng.choice(moves)()
    tensor.finish()
    path = graph.save(tmp_path / "model.onnx")
    sequences = some_series((STEPS,) * SEQUENCES)
    session = framework("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"x": np.stack(sequences)})
    assert_agrees(run, path, sequences, scores, *FLOAT32)
