"""Layers of ONNX files that no framework writes: hostile numbers, and what the layers become.

tests/frameworks/test_onnx_layers.py compares with PyTorch and onnxruntime; here nothing runs but
`onnx`, which writes the files.
"""

import json

import numpy as np
import pytest
from onnx_models import FEATURES, HIDDEN, OnnxGraph, random_weights

from lstm_lrp_cli.loading.load import load_model, read_contents


@pytest.fixture
def graph(framework):
    return OnnxGraph(framework("onnx"), opset=18)


def finished(graph, by_step, features):
    """An LSTM that reads (batch, steps, features), and a dense layer behind its last state."""
    given = [graph.constant(*named) for named in random_weights(features=features).items()]
    turned = graph.add("Transpose", by_step, perm=[1, 0, 2])
    _, hidden, _ = graph.add("LSTM", turned, *given, outputs=3, hidden_size=HIDDEN)
    graph.output(graph.dense(graph.last(hidden)))
    return graph


def refusal(run, graph, tmp_path):
    result = run("inspect", graph.save(tmp_path / "m.onnx"))
    assert result.exit_code == 3, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert "internal error" not in result.stderr
    return result.stderr


def integers(graph, *numbers):
    return graph.constant(f"c{len(graph.constants)}", np.array(numbers, dtype=np.int64))


def kinds(path):
    return [spec.kind for spec in read_contents(path, None).described.mapping.layers]


# Windows.


def convolution(graph, kernel=(FEATURES, FEATURES, 3), **settings):
    """A series through a convolution, as a series again."""
    turned = graph.add("Transpose", graph.input(), perm=[0, 2, 1])
    weights = graph.constant("kernel", np.ones(kernel))
    made = graph.add("Conv", turned, weights, **settings)
    return graph.add("Transpose", made, perm=[0, 2, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pads": [-1, 0]}, "pads of -1 and 0; expected 1 or more of the first three"),
        ({"strides": [0]}, "strides of 0"),
        ({"dilations": [0]}, "dilations of 0"),
        ({"dilations": [-3]}, "dilations of -3"),
        ({"strides": [-(2**62)]}, f"strides of {-(2**62)}"),
        ({"pads": [0, 2**62]}, "padding: found 4611686018427387904; expected 0 to 1,000,000"),
        ({"dilations": [2**62]}, "dilation: found 4611686018427387904"),
        ({"kernel_shape": [2**40]}, "has weights of another size than its kernel_shape"),
        ({"kernel_shape": [3, 3]}, "has a kernel of 2 axes; what feeds it has 1"),
        ({"pads": [1]}, "has a kernel of 1 axes"),
        ({"group": 2}, "takes 6 features; what feeds it gives 3"),
        ({"group": 0}, "takes 0 features; what feeds it gives 3"),
        ({"auto_pad": "AROUND"}, "has auto_pad AROUND, which is none that lrp knows"),
        ({"kernel": (FEATURES, FEATURES, 3, 3)}, "has a kernel of 2 axes; what feeds it has 1"),
        ({"kernel": (FEATURES, FEATURES)}, "has a kernel of 0 axes; what feeds it has 1"),
        ({"kernel": (FEATURES, 5, 3)}, "takes 5 features; what feeds it gives 3"),
    ],
)
def test_convolutions_that_make_no_sense(run, graph, tmp_path, settings, message):
    error = refusal(run, finished(graph, convolution(graph, **settings), FEATURES), tmp_path)
    assert message in error


@pytest.mark.parametrize(
    ("op", "settings", "message"),
    [
        ("MaxPool", {"kernel_shape": [2**40]}, "has a window of 1099511627776 steps, and is given"),
        ("MaxPool", {"kernel_shape": [0]}, "has a kernel of 0"),
        ("MaxPool", {"kernel_shape": [2, 2]}, "has a kernel of 2 axes"),
        ("MaxPool", {}, "has a kernel of 0 axes"),
        ("MaxPool", {"kernel_shape": [2], "strides": [4], "ceil_mode": 1}, "(ceil_mode)"),
        ("MaxPool", {"kernel_shape": [2], "storage_order": 1}, "storage_order"),
        ("AveragePool", {"kernel_shape": [9]}, "has a window of 9 steps, and is given 8"),
        ("AveragePool", {"kernel_shape": [2], "pads": [0, -7]}, "no negative pads"),
    ],
)
def test_pools_that_make_no_sense(run, graph, tmp_path, op, settings, message):
    x = graph.input(sizes=("batch", 8, FEATURES))
    pooled = graph.add(op, graph.add("Transpose", x, perm=[0, 2, 1]), **settings)
    by_step = graph.add("Transpose", pooled, perm=[0, 2, 1])
    assert message in refusal(run, finished(graph, by_step, FEATURES), tmp_path)


def test_an_open_number_of_steps_is_not_rounded_up_beside_padding(run, graph, tmp_path):
    turned = graph.add("Transpose", graph.input(), perm=[0, 2, 1])
    settings = {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "count_include_pad": 1}
    pooled = graph.add("AveragePool", turned, **settings, ceil_mode=1)
    by_step = graph.add("Transpose", pooled, perm=[0, 2, 1])
    assert "(ceil_mode), or may" in refusal(run, finished(graph, by_step, FEATURES), tmp_path)


@pytest.mark.parametrize(
    ("pads", "mode", "message"),
    [
        ((0, 2**62, 0, 0, 0, 0), "constant", "before: found 4611686018427387904"),
        ((0, -9, 0, 0, 0, 0), "constant", "leaves no step of 8"),
        ((0, 1, 0, 0, 1, 0), "reflect", "adds other steps than those of zeros"),
        ((0, 1, 0), "constant", "(Pad): cannot be followed"),
    ],
)
def test_paddings_that_make_no_sense(run, graph, tmp_path, pads, mode, message):
    x = graph.input(sizes=("batch", 8, FEATURES))
    padded = graph.add("Pad", x, integers(graph, *pads), mode=mode)
    assert message in refusal(run, finished(graph, padded, FEATURES), tmp_path)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ((1.0, 2.0**50, 1.0), "times: found 1125899906842624; expected 1 to 1,000,000"),
        ((1.0, 1.5, 1.0), "makes the axis of time 1.5 times as long"),
        ((1.0, -1.0, 1.0), "makes the axis of time -1.0 times as long"),
        ((1.0, float("nan"), 1.0), "makes the axis of time nan times as long"),
    ],
)
def test_sizes_that_make_no_sense(run, graph, tmp_path, scales, message):
    given = graph.constant("scales", np.array(scales))
    settings = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    made = graph.add("Resize", graph.input(), "", given, nearest_mode="floor", **settings)
    assert message in refusal(run, finished(graph, made, FEATURES), tmp_path)


def test_padding_of_units(run, graph, tmp_path):
    steps, _, _ = graph.lstm(graph.input())
    graph.output(graph.add("Pad", steps, integers(graph, 0, 0, 0, 0, 0, 0, 0, 1)))
    assert "adds to the axis of feature; expected that of steps" in refusal(run, graph, tmp_path)


def test_a_vector_is_not_repeated_without_end(run, graph, tmp_path):
    _, hidden, _ = graph.lstm(graph.input())
    vector = graph.add("Transpose", hidden, perm=[1, 0, 2])
    repeated = graph.add("Expand", vector, integers(graph, 1, 2**40, 1))
    assert "steps: found 1099511627776" in refusal(run, finished_with(graph, repeated), tmp_path)


def finished_with(graph, by_step):
    """A second LSTM, of the first one's hidden states, with weights of its own names."""
    arrays = random_weights(seed=12, features=HIDDEN)
    given = [graph.constant(f"second {name}", array) for name, array in arrays.items()]
    turned = graph.add("Transpose", by_step, perm=[1, 0, 2])
    _, hidden, _ = graph.add("LSTM", turned, *given, outputs=3, hidden_size=HIDDEN)
    graph.output(graph.dense(graph.last(hidden)))
    return graph


def test_padding_before_a_convolution_is_its_own(graph, tmp_path):
    """As causal convolutions are written: no step of zeros has relevance."""
    padded = graph.add("Pad", graph.input(), integers(graph, 0, 2, 0, 0, 0, 0))
    turned = graph.add("Transpose", padded, perm=[0, 2, 1])
    weights = graph.constant("kernel", np.ones((FEATURES, FEATURES, 3)))
    made = graph.add("Transpose", graph.add("Conv", turned, weights), perm=[0, 2, 1])
    path = finished(graph, made, FEATURES).save(tmp_path / "m.onnx")
    mapping = read_contents(path, None).described.mapping
    assert [spec.kind for spec in mapping.layers] == ["convolution", "lstm", "dense"]
    assert mapping.layers[0].convolution.padding == [2, 0]


def test_branches_of_as_many_steps_are_joined(graph, tmp_path):
    """Windows of one width leave as many steps, whatever their number is."""
    turned = graph.add("Transpose", graph.input(), perm=[0, 2, 1])
    kernels = (graph.constant(f"k{k}", np.full((4, FEATURES, 3), k + 1.0)) for k in range(2))
    branches = [graph.add("Conv", turned, kernel, strides=[2]) for kernel in kernels]
    made = graph.add("Transpose", graph.add("Add", *branches), perm=[0, 2, 1])
    path = finished(graph, made, 4).save(tmp_path / "m.onnx")
    assert kinds(path) == ["convolution", "convolution", "merge", "lstm", "dense"]


def test_branches_of_other_steps_are_not_joined(run, graph, tmp_path):
    turned = graph.add("Transpose", graph.input(), perm=[0, 2, 1])
    kernels = (graph.constant(f"k{k}", np.ones((4, FEATURES, k + 2))) for k in range(2))
    branches = [graph.add("Conv", turned, kernel) for kernel in kernels]
    made = graph.add("Transpose", graph.add("Add", *branches), perm=[0, 2, 1])
    error = refusal(run, finished(graph, made, 4), tmp_path)
    assert "joins the steps of several sequences" in error


# Recurrent layers.


def gru(graph, changes=None, op="GRU", gates=3, **settings):
    rng = np.random.default_rng(3)
    arrays = {
        "W": rng.normal(size=(1, gates * HIDDEN, FEATURES)),
        "R": rng.normal(size=(1, gates * HIDDEN, HIDDEN)),
        "B": rng.normal(size=(1, 2 * gates * HIDDEN)),
    }
    given = [graph.constant(*named) for named in (arrays | (changes or {})).items()]
    x = graph.add("Transpose", graph.input(), perm=[1, 0, 2])
    _, hidden = graph.add(op, x, *given, outputs=2, hidden_size=HIDDEN, **settings)
    graph.output(graph.dense(graph.last(hidden)))
    return graph


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"W": np.ones((1, 7, FEATURES))}, {}, "7 gate units under layout gates_by_features"),
        ({"W": np.ones((6, FEATURES))}, {}, "finds no `W[0]`: its weights are of another shape"),
        ({"R": np.ones((1, 6, 5))}, {}, "(Gemm): takes 2 features; what feeds it gives 5"),
        ({"B": np.ones((1, 11))}, {}, "(layers[0].gru.forward.recurrent_bias) has 5 values"),
        ({"B": np.ones((12,))}, {}, "finds no `B[0]/W`"),
        ({}, {"direction": "bidirectional"}, "finds no `W[1]`"),
        ({}, {"direction": "sideways"}, "cannot be followed: 'sideways'"),
        ({}, {"activations": ["Tanh", "Tanh"]}, "has gates of activation tanh"),
        ({}, {"activations": ["Sigmoid"]}, "has other activations in one direction"),
        ({}, {"clip": 1.0}, "clips its cells"),
    ],
)
def test_grus_that_make_no_sense(run, graph, tmp_path, changes, settings, message):
    result = run(
        "check", gru(graph, changes, **settings).save(tmp_path / "m.onnx"), *series(tmp_path)
    )
    assert result.exit_code == 3, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert message in result.stderr


def series(folder):
    (folder / "series.jsonl").write_text(json.dumps({"values": [[0.5, 1.0, -1.0]] * 4}) + "\n")
    return (folder / "series.jsonl",)


@pytest.mark.parametrize(("op", "gates"), [("GRU", 3), ("RNN", 1)])
def test_a_written_mapping_of_other_cells_is_the_same_model(run, graph, tmp_path, op, gates):
    path = gru(graph, op=op, gates=gates).save(tmp_path / "m.onnx")
    assert run("inspect", path, "--write-mapping", tmp_path / "own.yaml").exit_code == 0
    given = run("explain", path, *series(tmp_path), "--format", "jsonl", "-q")
    own = ("--mapping", tmp_path / "own.yaml", "--format", "jsonl", "-q")
    assert given.exit_code == 0, given.output
    assert run("explain", path, *series(tmp_path), *own).stdout == given.stdout


def test_nodes_in_a_circle(run, graph, tmp_path):
    x = graph.input()
    graph.add("Add", x, "add1_0")
    graph.add("Add", "add0_0", x)
    assert "takes `add1_0`, which no node before it makes" in refusal(
        run, finished(graph, "add1_0", FEATURES), tmp_path
    )


# Heads of attention.


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 0, 2**40, 1), "rearranges values"),
        ((0, 0, -(2**40), -1), "(Reshape): "),
        ((0, 0, 0, 0), "(Reshape): "),
        ((2, 2, 2, 2, 2), "(Reshape): rearranges values"),
    ],
)
def test_units_that_are_cut_into_nonsense(run, graph, tmp_path, shape, message):
    x = graph.input()
    cut = graph.add("Reshape", x, integers(graph, *shape))
    assert message in refusal(run, finished(graph, cut, FEATURES), tmp_path)


def test_units_are_not_cut_into_more_than_a_model_has(run, graph, tmp_path):
    """A constant of many units is bounded by its file; their parts are bounded too."""
    weights = graph.constant("wide", np.ones((FEATURES, 2**14)))
    wide = graph.add("MatMul", graph.input(), weights)
    again = graph.add("Reshape", wide, integers(graph, 0, 0, 2**13, 2))
    assert "(Reshape): cannot be followed: a tensor of 8,192 values" in refusal(
        run, finished(graph, again, 2), tmp_path
    )


# Several inputs.


def two_series(graph, sizes=("batch", "steps", FEATURES)):
    """Two series by two LSTMs of the same weights, added up."""
    ends = []
    for name in ("one", "other"):
        graph.constants = []
        _, hidden, _ = graph.lstm(graph.input(name, sizes))
        ends.append(graph.last(hidden))
    graph.output(graph.dense(graph.add("Add", *ends)))
    return graph


def test_inputs_are_called_as_the_graph_calls_them(graph, tmp_path):
    model = load_model(two_series(graph).save(tmp_path / "m.onnx"), None, np.float64).model
    assert model.input_names == ("one", "other")
    assert [each.steps for each in model.inputs] == [True, True]


def test_inputs_that_are_always_as_long_are_filled_up(graph, tmp_path):
    graph = two_series(graph, ("batch", 8, FEATURES))
    model = load_model(graph.save(tmp_path / "m.onnx"), None, np.float64).model
    assert [each.padding.length for each in model.inputs] == [8, 8]


def test_more_inputs_than_a_model_has(run, graph, tmp_path):
    joined = [graph.input(f"x{k}") for k in range(40)]
    total = graph.add("Sum", *joined)
    assert "its graph takes 40 inputs; expected 1 to 32" in refusal(
        run, finished(graph, total, FEATURES), tmp_path
    )


def test_inputs_of_many_meanings_end(run, graph, tmp_path):
    """Meanings are tried together, so their number is bounded."""
    joined = [graph.input(f"x{k}", ("a", "b")) for k in range(20)]
    wide = graph.add("Unsqueeze", graph.add("Sum", *joined), integers(graph, 2))
    graph.output(graph.add("Erf", graph.lstm(wide)[1]))
    assert "m.onnx: node `" in refusal(run, graph, tmp_path)


def with_lengths(graph, behind, lengths=("batch",)):
    x, given = graph.input(), graph.input("lengths", lengths, np.int32)
    arrays = [graph.constant(*named) for named in random_weights().items()]
    turned = graph.add("Transpose", x, perm=[1, 0, 2])
    steps, hidden, _ = graph.add("LSTM", turned, *arrays, given, outputs=3, hidden_size=HIDDEN)
    graph.output(behind(graph, steps, hidden, given))
    return graph


def test_lengths_that_only_tell_are_no_input(graph, tmp_path):
    graph = with_lengths(graph, lambda graph, steps, hidden, _: graph.dense(graph.last(hidden)))
    loaded = load_model(graph.save(tmp_path / "m.onnx"), None, np.float64)
    assert not loaded.model.several_inputs
    assert not any("own length" in text for text in loaded.assumptions)


def test_a_mean_of_steps_up_to_lengths_is_told(graph, tmp_path):
    def mean(graph, steps, hidden, _):
        pooled = graph.add("ReduceMean", steps, integers(graph, 0), keepdims=0)
        return graph.dense(graph.add("Squeeze", pooled, integers(graph, 0)))

    loaded = load_model(with_lengths(graph, mean).save(tmp_path / "m.onnx"), None, np.float64)
    assert any("run at its own length, which lengths says" in text for text in loaded.assumptions)


def test_lengths_beside_fixed_steps_leave_them_open(graph, tmp_path):
    """Sequences that have lengths are not filled up, though the graph takes them filled up."""
    graph.input = lambda *given, _input=graph.input: _input(*(given or ("x", ("n", 8, FEATURES))))
    graph = with_lengths(graph, lambda graph, steps, hidden, _: graph.dense(graph.last(hidden)))
    model = load_model(graph.save(tmp_path / "m.onnx"), None, np.float64).model
    assert model.only_input.padding is None


def test_lengths_that_are_numbers_too(run, graph, tmp_path):
    def scaled(graph, steps, hidden, lengths):
        number = graph.add("Unsqueeze", graph.add("Cast", lengths, to=1), integers(graph, 1))
        return graph.dense(graph.add("Mul", graph.last(hidden), number))

    error = refusal(run, with_lengths(graph, scaled), tmp_path)
    assert "(Mul): takes `unsqueeze" in error


def test_lengths_of_two_sequences_are_not_those_of_one(run, graph, tmp_path):
    lengths = graph.input("lengths", ("batch",), np.int32)
    ends = []
    for name in ("one", "other"):
        graph.constants = []
        x = graph.input(name, ("batch", f"steps of {name}", FEATURES))
        arrays = [graph.constant(*named) for named in random_weights().items()]
        turned = graph.add("Transpose", x, perm=[1, 0, 2])
        _, hidden, _ = graph.add("LSTM", turned, *arrays, lengths, outputs=3, hidden_size=HIDDEN)
        ends.append(graph.last(hidden))
    graph.output(graph.dense(graph.add("Add", *ends)))
    assert "or of other sequences" in refusal(run, graph, tmp_path)
