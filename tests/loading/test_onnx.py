"""ONNX files: what is read from them, what is refused, and in which words.

tests/frameworks/test_onnx.py compares with onnxruntime; here no framework runs but `onnx`, which
writes the files. Those in tests/golden/onnx come from Keras 2 by way of tf2onnx.
"""

import json
import random
import sys

import numpy as np
import pytest
import yaml
from damage import damaged
from models import GOLDEN
from onnx_models import FEATURES, HIDDEN, OnnxGraph, random_weights

from lstm_lrp_cli.loading.load import load_model, read_contents
from lstm_lrp_cli.loading.operators.kinds.recurrent import ACTIVATIONS, activation

KERAS = GOLDEN.parent / "onnx"
EXPECTED = json.loads((KERAS / "expected.json").read_text("utf-8"))
DAMAGES = 150


@pytest.fixture
def graph(framework):
    return OnnxGraph(framework("onnx"))


def series_file(folder, sequences):
    lines = "".join(json.dumps({"values": sequence}) + "\n" for sequence in sequences)
    (folder / "series.jsonl").write_text(lines)
    return folder / "series.jsonl"


def some_series(folder):
    rng = np.random.default_rng(1)
    return series_file(folder, [rng.normal(size=(n, FEATURES)).tolist() for n in (1, 2, 5)])


def finished(graph, hidden):
    """With a dense layer behind the last hidden state of the first direction."""
    graph.output(graph.dense(graph.last(hidden)))
    return graph


def explained(run, path, source, *options):
    result = run("explain", path, source, "--format", "jsonl", "-q", *options)
    assert result.exit_code == 0, result.output
    return result.stdout


def lines_of(sequences):
    """JSON lines of ids, of a series, or of several inputs."""
    if isinstance(sequences[0], dict):
        return "".join(json.dumps(sequence) + "\n" for sequence in sequences)
    key = "values" if isinstance(sequences[0][0], list) else "tokens"
    return "".join(json.dumps({key: sequence}) + "\n" for sequence in sequences)


# Files of tf2onnx.


@pytest.mark.parametrize("name", EXPECTED)
def test_keras_models_score_as_keras_says(run, framework, tmp_path, name):
    framework("onnx")
    sequences, scores = EXPECTED[name]["sequences"], EXPECTED[name]["scores"]
    (tmp_path / "input.jsonl").write_text(lines_of(sequences))
    lines = "".join(json.dumps({"scores": each}) + "\n" for each in scores)
    (tmp_path / "scores.jsonl").write_text(lines)
    steps = ("--step", "all") if name == "scores_by_step" else ()
    result = run(
        *("check", KERAS / f"{name}.onnx", tmp_path / "input.jsonl", "--target", "all", *steps),
        *("--expected", tmp_path / "scores.jsonl", "--tolerance", 1e-5, "--dtype", "float32"),
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "name",
    [
        *("attention", "joins", "max_pool_normalized", "backwards", "windows_behind", "gru"),
        *("activations", "self_attention", "states_handed_over", "two_inputs"),
    ],
)
def test_the_written_mapping_is_the_same_model(run, framework, tmp_path, name):
    framework("onnx")
    model = KERAS / f"{name}.onnx"
    assert run("inspect", model, "--write-mapping", tmp_path / "m.yaml").exit_code == 0
    (tmp_path / "input.jsonl").write_text(lines_of(EXPECTED[name]["sequences"]))
    source = tmp_path / "input.jsonl"
    given = explained(run, model, source, "--mapping", tmp_path / "m.yaml")
    assert given == explained(run, model, source)


def test_an_attention_model_is_read_as_what_it_means(framework):
    framework("onnx")
    contents = read_contents(KERAS / "attention.onnx", None)
    kinds = [spec.kind for spec in contents.described.mapping.layers]
    assert kinds == [
        *("embedding", "lstm", "dense", "activation", "softmax", "merge", "pool", "dense")
    ]
    assert contents.described.origins["layers"] == "the graph in attention.onnx"


@pytest.mark.parametrize("name", ["masked", "simple_rnn"])
def test_layers_that_tf2onnx_takes_apart_are_refused(run, framework, name):
    framework("onnx")
    result = run("inspect", KERAS / "refused" / f"{name}.onnx")
    assert result.exit_code == 3
    assert "no LSTM, GRU or RNN node: what exported it (tf2onnx) took the layer apart" in (
        result.stderr
    )


# Fixed numbers of steps.


@pytest.mark.parametrize(
    ("sizes", "length"),
    [
        (("batch", 8, FEATURES), 8),  # made for sequences that were filled up
        (("batch", "steps", FEATURES), None),
        ((2, 8, FEATURES), None),  # the sizes of the example that it was exported with
    ],
)
def test_padding_is_inferred_where_steps_alone_are_fixed(graph, tmp_path, sizes, length):
    _, hidden, _ = graph.lstm(graph.input(sizes=sizes))
    path = finished(graph, hidden).save(tmp_path / "m.onnx")
    padding = load_model(path, None, np.float64).model.only_input.padding
    assert (padding.length if padding else None) == length
    if padding:
        assert (padding.side, padding.value, padding.masked) == ("pre", 0, False)


# How files are told.


def test_the_content_tells_not_the_name(run, graph, tmp_path):
    _, hidden, _ = graph.lstm(graph.input())
    path = finished(graph, hidden).save(tmp_path / "weights.bin")
    assert run("inspect", path).exit_code == 0


def test_fields_in_another_order(run, graph, tmp_path):
    """A protobuf may have its fields in any order; then its name tells it."""
    _, hidden, _ = graph.lstm(graph.input())
    model = finished(graph, hidden).model()
    version = model.ir_version
    model.ClearField("ir_version")
    rest = model.SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(rest + bytes([8, version]))
    assert run("inspect", path).exit_code == 0


def test_a_long_safetensors_header_is_not_taken_for_it(run, tmp_path):
    header = b'{"W": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    length = 0x120A08  # the bytes 08 0a 12, which a file of ONNX may begin with
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header.ljust(length) + bytes(4))
    result = run("inspect", path)
    assert result.exit_code == 0
    assert "(safetensors)" in result.output


def test_without_the_package_the_command_to_install_it_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = run("inspect", KERAS / "forward.onnx")
    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert "pip install 'lstm-lrp-cli[onnx]'" in result.stderr


# Numbers.


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("dtype", ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16"])
def test_numbers_of_every_precision(framework, graph, tmp_path, dtype, raw):
    onnx = framework("onnx")
    _, hidden, _ = graph.lstm(graph.input())
    graph = finished(graph, hidden)
    numbers = [1.5, -0.25, 3.0, 0.0, 2.0**-8, -96.0]
    kind = getattr(onnx.TensorProto, dtype)
    tensor = onnx.helper.make_tensor("unused", kind, (2, 3), numbers)
    if raw:
        array = onnx.numpy_helper.to_array(tensor)
        tensor = onnx.TensorProto(name="unused", data_type=kind, dims=(2, 3))
        tensor.raw_data = array.tobytes()
    graph.constants.append(tensor)
    from lstm_lrp_cli.loading.operators.onnx import OnnxFile

    with OnnxFile(graph.save(tmp_path / "m.onnx")) as file:
        np.testing.assert_array_equal(file.read("unused"), np.reshape(numbers, (2, 3)))


def test_what_constants_make_is_a_dataset(run, graph, tmp_path):
    """As of an exporter that leaves weights as the framework has them."""
    x = graph.input()
    parts = {name: array[0] for name, array in random_weights().items()}
    weights = []
    for name, array in parts.items():
        kept = graph.constant(f"{name}.half", array.T.astype(np.float32))
        turned = graph.add("Transpose", kept) if array.ndim == 2 else kept
        axes = graph.constant(f"{name}.axes", np.array([0]))
        weights.append(graph.add("Unsqueeze", graph.add("Cast", turned, to=1), axes))
    time_first = graph.add("Transpose", x, perm=[1, 0, 2])
    _, hidden, _ = graph.add("LSTM", time_first, *weights, outputs=3, hidden_size=HIDDEN)
    path = finished(graph, hidden).save(tmp_path / "m.onnx")
    other = OnnxGraph(graph.onnx)
    _, hidden, _ = other.lstm(other.input())
    plain = finished(other, hidden).save(tmp_path / "plain.onnx")
    source = some_series(tmp_path)
    assert explained(run, path, source) == explained(run, plain, source)
    datasets = read_contents(path, None).datasets
    assert not any(name.endswith(".half") for name in datasets)


def test_both_layouts_are_the_same_model(run, graph, tmp_path):
    """onnxruntime has no layout 1."""
    states = {"h": np.array([[[0.5, -1.0]], [[0.25, 2.0]]]), "c": np.array([[[1.0, 1.0]]] * 2)}
    found = []
    for layout in (0, 1):
        built = OnnxGraph(graph.onnx)
        x = built.input()
        given = [
            built.constant(name, state.swapaxes(0, 1) if layout else state)
            for name, state in states.items()
        ]
        settings = {"directions": 2, "direction": "bidirectional", "layout": layout}
        steps, _, _ = built.lstm(x, given, **settings)
        if not layout:
            steps = built.add("Transpose", steps, perm=[2, 0, 1, 3])
        flat = built.add("Reshape", steps, built.constant("flat", np.array([0, 0, -1])))
        pooled = built.add("ReduceMax", flat, axes=[1], keepdims=0)
        built.output(built.dense(pooled, 2 * HIDDEN))
        path = built.save(tmp_path / f"{layout}.onnx")
        found.append(explained(run, path, some_series(tmp_path)))
    assert found[0] == found[1]


# What is not understood.


def refusal(run, graph, tmp_path):
    result = run("inspect", graph.save(tmp_path / "m.onnx"))
    assert result.exit_code == 3, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip": 3.0}, "clips its cells (clip), which lrp does not compute"),
        ({"input_forget": 1}, "couples input and forget gate (input_forget)"),
        ({"activations": ["Relu", "Tanh", "Tanh"]}, "has gates of activation relu"),
        (
            {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.3]},
            "has gates of activation hardsigmoid {'alpha': 0.3",
        ),
        (
            {"activations": ["Sigmoid", "Tanh", "Relu"]},
            "has cells of activations tanh and relu; expected one for both",
        ),
        (
            {"activations": ["Sigmoid", "Affine", "Affine"]},
            "has cells of activation affine, which lrp does not know",
        ),
        (
            {
                "directions": 2,
                "direction": "bidirectional",
                "activations": ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Relu"],
            },
            "has other activations in one direction; expected the same in both",
        ),
    ],
)
def test_lstms_that_lrp_does_not_compute(run, graph, tmp_path, settings, message):
    _, hidden, _ = graph.lstm(graph.input(), **settings)
    error = refusal(run, finished(graph, hidden), tmp_path)
    assert "node `LSTM_1` (LSTM): " in error
    assert message in error


def test_peepholes_are_refused_unless_they_are_zero(run, graph, tmp_path):
    for value in (1, 0):
        built = OnnxGraph(graph.onnx)
        x = built.input()
        weights = built.constant("P", np.full((1, 3 * HIDDEN), value))
        _, hidden, _ = built.lstm(x, ["", "", weights])
        if value:
            error = refusal(run, finished(built, hidden), tmp_path)
            assert "node `LSTM_1` (LSTM): has peepholes (P)" in error
        else:
            path = finished(built, hidden).save(tmp_path / "m.onnx")
            assert run("inspect", path).exit_code == 0


def test_lengths_are_refused(run, graph, tmp_path):
    x = graph.input()
    weights = [graph.constant(*named) for named in random_weights().items()]
    lengths = graph.constant("lengths", np.array([3, 2], dtype=np.int32))
    turned = graph.add("Transpose", x, perm=[1, 0, 2])
    _, hidden, _ = graph.add("LSTM", turned, *weights, lengths, outputs=3, hidden_size=HIDDEN)
    error = refusal(run, finished(graph, hidden), tmp_path)
    assert "is given lengths of sequences (sequence_lens) that are no input of the graph" in error


def test_states_from_outside_are_refused(run, graph, tmp_path):
    x, state = graph.input(), graph.input("state", (1, "batch", HIDDEN))
    _, hidden, _ = graph.lstm(x, [state, state])
    error = refusal(run, finished(graph, hidden), tmp_path)
    assert "begins in states that the input `state` gives; expected zeros, or what a layer" in error


def test_states_of_single_sequences_are_refused(run, graph, tmp_path):
    x = graph.input(sizes=(2, "steps", FEATURES))
    states = graph.constant("h0", np.arange(4.0).reshape(1, 2, HIDDEN))
    _, hidden, _ = graph.lstm(x, [states, states])
    error = refusal(run, finished(graph, hidden), tmp_path)
    assert "begins in a state, `h0`, that is not one for all sequences" in error


def unknown_operator(graph, steps, hidden, cell):
    return graph.dense(graph.last(graph.add("Erf", hidden)))


def products_of_steps(graph, steps, hidden, cell):
    by_sequence = graph.add("Transpose", steps, perm=[2, 1, 0, 3])
    states = graph.add("Squeeze", by_sequence, graph.constant("one", np.array([1])))
    query = graph.add("Transpose", hidden, perm=[1, 2, 0])
    return graph.add("MatMul", states, query)


def masked_products(graph, steps, hidden, cell):
    """A mask that is none of later steps."""
    products = products_of_steps(graph, steps, hidden, cell)
    mask = graph.constant("mask", np.arange(3.0).reshape(1, 1, 3))
    return graph.add("Softmax", graph.add("Add", products, mask), axis=1)


def softmax_over_queries(graph, steps, hidden, cell):
    products = products_of_steps(graph, steps, hidden, cell)
    return graph.add("Softmax", products, axis=0)


def some_steps(graph, steps, hidden, cell):
    ends = [graph.constant(f"c{k}", np.array([k])) for k in (1, 3, 0)]
    return graph.add("Slice", steps, *ends)


def units_mixed_with_steps(graph, steps, hidden, cell):
    return graph.add("Reshape", steps, graph.constant("shape", np.array([-1, 1])))


def another_axis(graph, steps, hidden, cell):
    return graph.add("ReduceMax", steps, axes=[3])


def a_size_of_the_input(graph, steps, hidden, cell):
    """Divided by how many sequences there are."""
    scores = graph.dense(graph.last(hidden))
    sizes = graph.add("Shape", scores)
    size = graph.add("Gather", sizes, graph.constant("at", np.array(0)))
    return graph.add("Div", scores, graph.add("Cast", size, to=1))


def another_order(graph, steps, hidden, cell):
    scores = graph.dense(graph.last(hidden))
    _, places = graph.add("TopK", scores, graph.constant("two", np.array([2])), outputs=2)
    return places


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (unknown_operator, "node `Erf_2` (Erf): is not an operator that lrp can follow"),
        (products_of_steps, "output `matmul5_0`: is no score of sequences or steps"),
        (masked_products, "(Add): adds numbers to products of queries and keys; expected a mask"),
        (softmax_over_queries, "(Softmax): runs over other axes than that of the keys' steps"),
        (some_steps, "(Slice): rearranges values in a way that lrp does not follow"),
        (units_mixed_with_steps, "(Reshape): rearranges values in a way that lrp does not follow"),
        (another_axis, "(ReduceMax): runs over the axis of feature; expected that of steps"),
        (a_size_of_the_input, "(Div): divides by a size that the input tells; expected the number"),
        (another_order, "(TopK): picks values by their size; expected lengths"),
    ],
)
def test_what_is_not_followed_is_refused_by_its_node(run, graph, tmp_path, head, message):
    graph.output(head(graph, *graph.lstm(graph.input())))
    assert message in refusal(run, graph, tmp_path)


def test_a_mapping_wins_over_a_graph_that_is_refused(run, graph, tmp_path):
    """The names of what an LSTM takes of its weights hold whatever else the graph does."""
    graph.output(unknown_operator(graph, *graph.lstm(graph.input())))
    path = graph.save(tmp_path / "m.onnx")
    cell = {"input": "W[0]", "recurrent": "R[0]", "bias": ["B[0]/W", "B[0]/R"]}
    lstm = {"gate_order": ["i", "o", "f", "g"], "layout": "gates_by_features", "forward": cell}
    dense = {"weights": "head", "layout": "features_by_classes", "bias": "head.bias"}
    document = {"format": 1, "layers": [{"lstm": lstm}, {"dense": dense}]}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(document))
    assert run("check", path, some_series(tmp_path)).exit_code == 0


# Hostile files.


def test_a_file_cut_short(run, graph, tmp_path):
    _, hidden, _ = graph.lstm(graph.input())
    path = finished(graph, hidden).save(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    result = run("inspect", path)
    assert result.exit_code == 3
    assert "is not a whole ONNX file" in result.stderr


def test_a_name_that_is_no_text_is_a_name(run, graph, tmp_path):
    x = graph.input()
    scaled = graph.add("Mul", x, graph.add("Sigmoid", x))
    _, hidden, _ = graph.lstm(scaled)
    path = finished(graph, hidden).save(tmp_path / "m.onnx")
    for changed in (b"sigmoid0_0", b"Sigmoid"):  # a tensor's; then an operator's
        path.write_bytes(path.read_bytes().replace(changed, b"\xff" + changed[1:]))
        result = run("inspect", path)
        assert result.exit_code == (0 if changed.islower() else 3), result.output
        assert "internal error" not in result.stderr


def test_weights_in_other_files_are_not_looked_for(run, framework, graph, tmp_path):
    onnx = framework("onnx")
    _, hidden, _ = graph.lstm(graph.input())
    model = finished(graph, hidden).model()
    (tmp_path / "secret").write_bytes(bytes(1000))
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../secret")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    result = run("inspect", tmp_path / "m.onnx")
    assert result.exit_code == 3
    assert "tensor `W`: is kept in another file, which is not followed" in result.stderr
    assert "external_data=False in torch.onnx.export" in result.stderr


@pytest.mark.parametrize("dims", [[2**60], [2**31, 2**31, 2**31], [-1, 6], [7]])
def test_a_shape_that_its_numbers_do_not_fill(run, framework, graph, tmp_path, dims):
    onnx = framework("onnx")
    _, hidden, _ = graph.lstm(graph.input())
    graph = finished(graph, hidden)
    tensor = onnx.numpy_helper.from_array(np.zeros(6, dtype=np.float32), "unused")
    del tensor.dims[:]
    tensor.dims.extend(dims)
    graph.constants.append(tensor)
    error = refusal(run, graph, tmp_path)
    assert "tensor `unused`: claims the shape (" in error
    assert "and holds 6 numbers" in error


def test_a_graph_in_a_circle(run, graph, tmp_path):
    _, hidden, _ = graph.lstm(graph.input())
    finished(graph, hidden)
    graph.nodes[1].input.append(graph.nodes[-1].output[0])
    error = refusal(run, graph, tmp_path)
    assert "node `LSTM_1` (LSTM): takes `gemm3_0`, which no node before it makes" in error


def test_a_name_that_is_made_twice(run, graph, tmp_path):
    _, hidden, _ = graph.lstm(graph.input())
    finished(graph, hidden)
    graph.nodes[-1].output[0] = graph.nodes[0].output[0]
    assert "it makes `transpose0_0` twice" in refusal(run, graph, tmp_path)


def test_signals_that_double_without_end(run, graph, tmp_path):
    steps, _, _ = graph.lstm(graph.input())
    for _ in range(40):
        steps = graph.add("Concat", steps, steps, axis=3)
    graph.output(steps)
    assert "(Concat): cannot be followed: a tensor of 8,192 values" in refusal(run, graph, tmp_path)


def test_constants_that_double_without_end(run, graph, tmp_path):
    _, hidden, _ = graph.lstm(graph.input())
    finished(graph, hidden)
    name = graph.constant("seed", np.ones(1000))
    for _ in range(40):
        name = graph.add("Concat", name, name, axis=0)
    error = refusal(run, graph, tmp_path)
    assert "(Concat): makes constants of" in error
    assert "no such file is honest" in error


def test_sizes_that_multiply_without_end(run, graph, tmp_path):
    x = graph.input()
    _, hidden, _ = graph.lstm(x)
    sizes = graph.add("Shape", x)
    for _ in range(60):
        sizes = graph.add("Mul", sizes, sizes)
    graph.output(graph.add("Reshape", hidden, sizes))
    assert "(Mul): cannot be followed: a size is a product of too many" in refusal(
        run, graph, tmp_path
    )


@pytest.mark.parametrize("name", ["bidirectional", "attention", "scores_by_step"])
def test_damage_is_never_a_bug(run, framework, tmp_path, name):
    framework("onnx")
    rng = random.Random(name)
    whole = (KERAS / f"{name}.onnx").read_bytes()
    path = tmp_path / "m.onnx"
    for _ in range(DAMAGES):
        path.write_bytes(damaged(whole, rng))
        result = run("check", path)
        assert result.exit_code in (0, 1, 3), result.output
        assert "internal error" not in result.output
        if result.exit_code == 3:
            assert result.stderr.splitlines()[-1].startswith("lrp: ")


@pytest.mark.parametrize("operator", ACTIVATIONS)
def test_every_activation_is_known_by_its_defaults(operator):
    assert activation(operator, ACTIVATIONS[operator]) is not None
