"""Layers that are not recurrent are those of PyTorch and Keras, live, and LRP that of autograd."""

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from msgspec.structs import replace

from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.backward import Chosen
from lstm_lrp_cli.engine.forward import Given, Runner
from lstm_lrp_cli.engine.methods.gradient import gradient
from lstm_lrp_cli.engine.methods.lrp import Lrp
from lstm_lrp_cli.engine.rules import GateRuleName, LrpRule
from lstm_lrp_cli.model.layers import (
    Activation,
    Attention,
    Convolution,
    Crop,
    Dense,
    Each,
    LeakyRelu,
    Merge,
    Node,
    Normalize,
    Pad,
    Pool,
    Repeat,
    Transpose,
    Upsample,
    Window,
    WindowPool,
)
from lstm_lrp_cli.model.model import Head, Input, Model, chain
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell, RnnCell, SimpleRnn

# Of Keras about NumPy 2, and of torch about uneven padding.
pytestmark = pytest.mark.filterwarnings("ignore")
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
LENGTHS = (13, 9, 9, 6)


def model_of(nodes, units, outputs, *, by_step=True, inputs=None):
    """A model of nodes, the last of which gives the scores."""
    read = inputs or (Input(units),)
    place = len(nodes) - 1
    return Model(tuple(nodes), (place,), (Head(outputs),), np.dtype(float), read, by_step)


def run(model, *inputs):
    """The forward pass of a batch; every input has the sequences from the longest on."""
    given = []
    for sequences, read in zip(inputs, model.inputs, strict=True):
        lengths = [len(each) if read.steps else 1 for each in sequences]
        packing = Packing(np.array(lengths, dtype=np.intp))
        flat = np.concatenate([np.atleast_2d(each) for each in sequences])
        given.append(Given(packing.pack(flat), packing, is_sequence=read.steps))
    return Runner(model, keep_gates=True).forward(given)


def cut(rows, packing):
    return np.split(rows[packing.by_sequence], np.cumsum(packing.lengths)[:-1])


def numbers(rng, units, lengths=LENGTHS):
    return [rng.normal(size=(length, units)) for length in lengths]


def compare_with_torch(torch, layer, function, sequences, outputs):
    """The outputs of a layer by step, and the gradients of a sum of them with random weights.

    `function` takes (1, units, steps) and gives as much.
    """
    rng = np.random.default_rng(7)
    weights = rng.normal(size=outputs)
    units = sequences[0].shape[1]
    dense, pool = Dense(weights[np.newaxis], None), Pool("sum")
    model = model_of(chain(layer, dense, pool), units, 1, by_step=False)
    trace = run(model, sequences)
    found = cut(trace.records[0].outputs, trace.records[0].steps)
    [partial] = gradient(trace, Chosen(np.zeros(len(sequences), dtype=np.intp)))
    for values, made, partials in zip(
        sequences, found, cut(partial, trace.packings[0]), strict=True
    ):
        given = torch.from_numpy(values).requires_grad_()
        expected = function(given.T[None])[0].T
        np.testing.assert_allclose(made, expected.detach().numpy(), **CLOSE)
        if expected.numel():
            (expected @ torch.from_numpy(weights)).sum().backward()
            np.testing.assert_allclose(partials, given.grad.numpy(), **CLOSE)


def test_convolutions_are_those_of_torch(framework):
    torch = framework("torch")
    rng = np.random.default_rng(0)
    paddings = (0, 1, 3, "same")
    for padding, stride, dilation, groups, width in itertools.product(
        paddings, (1, 2, 3), (1, 2), (1, 2, 4), (1, 2, 3)
    ):
        if padding == "same" and stride > 1:
            continue  # which torch refuses
        theirs = torch.nn.Conv1d(
            4, 8, width, stride, padding, dilation, groups, bias=groups < 4, dtype=torch.float64
        )
        # torch has the step too many behind, as is half of the missing rounded down before.
        window = Window(width, stride, dilation, "same" if padding == "same" else (padding,) * 2)
        bias = None if theirs.bias is None else theirs.bias.detach().numpy()
        layer = Convolution(theirs.weight.detach().numpy(), bias, window, groups)
        compare_with_torch(torch, layer, theirs, numbers(rng, 4), 8)


def test_window_pools_are_those_of_torch(framework):
    torch = framework("torch")
    rng = np.random.default_rng(1)
    for width, stride, padded in itertools.product((1, 2, 3), (1, 2, 3), (False, True)):
        pads = width // 2 if padded else 0
        window = Window(width, stride, 1, (pads, pads))
        for counts in (True, False):
            theirs = torch.nn.AvgPool1d(width, stride, pads, count_include_pad=counts)
            layer = WindowPool("mean", window, counts)
            compare_with_torch(torch, layer, theirs, numbers(rng, 3), 3)
        for dilation in (1, 2):
            theirs = torch.nn.MaxPool1d(width, stride, pads, dilation)
            layer = WindowPool("max", replace(window, dilation=dilation))
            compare_with_torch(torch, layer, theirs, numbers(rng, 3), 3)


def by_step(function):
    """A function of (steps, units) as one of (1, units, steps)."""
    return lambda given: function(given[0].T).T[None]


def test_units_are_those_of_torch(framework):
    torch = framework("torch")
    nn, rng = torch.nn, np.random.default_rng(2)
    factors, offsets = rng.normal(size=(2, 6))
    norm = nn.LayerNorm(6, eps=0.01, dtype=torch.float64)
    prelu = nn.PReLU(6, dtype=torch.float64)
    with torch.no_grad():
        norm.weight[:], norm.bias[:] = map(torch.from_numpy, (factors, offsets))
        prelu.weight[:] = torch.from_numpy(rng.normal(size=6))
    cases = [
        (Normalize(factors, offsets, 0.01), by_step(norm)),
        (Activation("gelu"), nn.GELU()),
        (Activation("gelu_tanh"), nn.GELU("tanh")),
        (LeakyRelu(np.array([0.2])), nn.LeakyReLU(0.2)),
        (LeakyRelu(prelu.weight.detach().numpy()), prelu),
        (Upsample(3), nn.Upsample(scale_factor=3)),
        (Pad(2, 1), nn.ConstantPad1d((2, 1), 0.0)),
        (Crop(2, 1), nn.ConstantPad1d((-2, -1), 0.0)),
    ]
    for groups in (1, 2, 3, 6):
        grouped = nn.GroupNorm(groups, 6, eps=0.01, dtype=torch.float64)
        with torch.no_grad():
            grouped.weight[:], grouped.bias[:] = map(torch.from_numpy, (factors, offsets))
        cases.append((Normalize(factors, offsets, 0.01, groups), grouped))
    for layer, theirs in cases:
        compare_with_torch(torch, layer, theirs, [4 * each for each in numbers(rng, 6)], 6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gelu_is_that_of_torch_far_out_too(framework, dtype):
    torch = framework("torch")
    x = np.concatenate([np.linspace(-12, 12, 4001), [-1e4, -40.0, 40.0, 1e4]]).astype(dtype)
    from lstm_lrp_cli.engine.activations import ACTIVATIONS, SLOPES

    for kind, approximate in (("gelu", "none"), ("gelu_tanh", "tanh")):
        given = torch.from_numpy(x).requires_grad_()
        expected = torch.nn.functional.gelu(given, approximate=approximate)
        expected.sum().backward()
        found, close = ACTIVATIONS[kind](x), 8 * np.finfo(dtype).eps
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=close, atol=close)
        inside = x[:-4]
        slopes = SLOPES[kind](inside, ACTIVATIONS[kind](inside))
        close = {"rtol": 4 * close, "atol": 4 * close}
        np.testing.assert_allclose(slopes, given.grad.numpy()[:-4], **close)


def attention_nodes(kind, heads, units, rng, *, causal=False, queries=-1, values=-1):
    """Attention behind three linear maps, which make queries, values and keys."""
    maps = [Dense(rng.normal(size=(units, units)) / 2, rng.normal(size=units)) for _ in range(3)]
    factors = rng.normal(size=units) if kind == "additive" else None
    layer = Attention(kind, heads, 1 / math.sqrt(units / heads), factors, causal)
    sources = (queries, values, values)
    nodes = [Node(each, (source,)) for each, source in zip(maps, sources, strict=True)]
    return [*nodes, Node(layer, (0, 1, 2))]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_multi_head_attention_is_that_of_torch(framework, several, causal):
    """Of a sequence on itself, and of queries on another sequence of another length."""
    if several and causal:
        return
    torch = framework("torch")
    rng = np.random.default_rng(3)
    nodes = attention_nodes("dot", 3, 6, rng, causal=causal, values=-2 if several else -1)
    out = Dense(rng.normal(size=(6, 6)), rng.normal(size=6))
    weighing = rng.normal(size=(1, 6))
    nodes = [*nodes, Node(out, (3,)), Node(Dense(weighing, None), (4,)), Node(Pool("sum"), (5,))]
    inputs = (Input(6), Input(6)) if several else (Input(6),)
    model = model_of(nodes, 6, 1, by_step=False, inputs=inputs)
    given = [numbers(rng, 6), numbers(rng, 6, (8, 7, 3, 3))][: len(inputs)]
    trace = run(model, *given)
    partials = gradient(trace, Chosen(np.zeros(4, dtype=np.intp)))

    theirs = torch.nn.MultiheadAttention(6, 3, dtype=torch.float64, batch_first=True)
    to_queries, to_values, to_keys = (node.layer for node in nodes[:3])
    maps = (to_queries, to_keys, to_values)
    with torch.no_grad():
        for into, name in ((theirs.in_proj_weight, "weights"), (theirs.in_proj_bias, "bias")):
            into[:] = torch.from_numpy(np.concatenate([getattr(each, name) for each in maps]))
        theirs.out_proj.weight[:] = torch.from_numpy(out.weights)
        theirs.out_proj.bias[:] = torch.from_numpy(out.bias)
    found = cut(trace.records[4].outputs, trace.records[4].steps)
    for k in range(4):
        read = [torch.from_numpy(each[k]).requires_grad_() for each in given]
        query, value = read[0], read[-1]
        mask = None
        if causal:
            mask = torch.triu(torch.ones(len(query), len(query), dtype=torch.bool), 1)
        expected, weights = theirs(
            query[None], value[None], value[None], attn_mask=mask, average_attn_weights=False
        )
        np.testing.assert_allclose(found[k], expected[0].detach().numpy(), **CLOSE)
        np.testing.assert_allclose(
            trace.records[3].attention(k), weights[0].detach().numpy(), **CLOSE
        )
        (expected[0] @ torch.from_numpy(weighing[0])).sum().backward()
        for each, partial, packing in zip(read, partials, trace.packings, strict=True):
            np.testing.assert_allclose(cut(partial, packing)[k], each.grad.numpy(), **CLOSE)


@pytest.fixture
def keras(framework):
    """Keras, in double precision."""
    imported = framework("keras")
    # Layers go by the policy, which is made of `floatx` once, by the first layer of a process.
    numbers, policy = imported.config.floatx(), imported.config.dtype_policy()
    imported.config.set_floatx("float64")
    imported.config.set_dtype_policy("float64")
    yield imported
    imported.config.set_floatx(numbers)
    imported.config.set_dtype_policy(policy)


def of_keras(keras, layer, *arrays):
    """What a layer of Keras makes of arrays, one sequence each."""
    found = layer(*[keras.ops.convert_to_tensor(each[None]) for each in arrays])
    return keras.ops.convert_to_numpy(found)[0]


def test_windows_are_those_of_keras(keras):
    layers, rng = keras.layers, np.random.default_rng(4)
    sequences = numbers(rng, 4)
    cases = []
    for padding, stride, dilation, width in itertools.product(
        ("valid", "same", "causal"), (1, 2, 3), (1, 2), (1, 2, 3, 5)
    ):
        if stride > 1 and dilation > 1:
            continue  # which Keras refuses
        for groups in (1, 2):
            theirs = layers.Conv1D(
                6,
                width,
                stride,
                padding,
                dilation_rate=dilation,
                groups=groups,
                bias_initializer="normal",
            )
            theirs.build((None, None, 4))
            kernel, bias = theirs.get_weights()
            reach = dilation * (width - 1)
            pads = {"valid": (0, 0), "same": "same", "causal": (reach, 0)}[padding]
            window = Window(width, stride, dilation, pads)
            cases.append((Convolution(kernel.transpose(2, 1, 0), bias, window, groups), theirs))
        if padding == "causal" or dilation > 1:
            continue
        window = Window(width, stride, 1, "same" if padding == "same" else (0, 0))
        for kind, pool in (("max", layers.MaxPooling1D), ("mean", layers.AveragePooling1D)):
            cases.append((WindowPool(kind, window), pool(width, stride, padding)))
    cases += [
        (Upsample(3), layers.UpSampling1D(3)),
        (Pad(2, 1), layers.ZeroPadding1D((2, 1))),
        (Crop(2, 1), layers.Cropping1D((2, 1))),
    ]
    for layer, theirs in cases:
        outputs = len(layer.weights) if isinstance(layer, Convolution) else 4
        trace = run(model_of(chain(layer), 4, outputs), sequences)
        for values, found in zip(sequences, cut(trace.scores, trace.steps), strict=True):
            # Keras refuses to make nothing; and where it runs on PyTorch and padding is uneven, its
            # means are of copies of the last step too, and elsewhere of the steps that there are.
            if len(found) and not (_is_mean(layer) and _is_uneven(layer.window, len(values))):
                np.testing.assert_allclose(found, of_keras(keras, theirs, values), **CLOSE)


def _is_mean(layer):
    return isinstance(layer, WindowPool) and layer.kind == "mean"


def _is_uneven(window, steps):
    windows = -(-steps // window.stride)
    missing = (windows - 1) * window.stride + window.width - steps
    return window.padding == "same" and missing > 0 and missing % 2 == 1


def test_units_and_vectors_are_those_of_keras(keras):
    layers, rng = keras.layers, np.random.default_rng(5)
    factors, offsets = rng.normal(size=(2, 6))
    norm = layers.LayerNormalization(epsilon=0.01)
    grouped = layers.GroupNormalization(3, epsilon=0.01)
    for each in (norm, grouped):
        each.build((None, None, 6))
        each.set_weights([factors, offsets])
    cases = [
        (Normalize(factors, offsets, 0.01), norm),
        (Normalize(factors, offsets, 0.01, 3), grouped),
        (Activation("gelu"), layers.Activation("gelu")),
        (LeakyRelu(np.array([0.3])), layers.LeakyReLU(0.3)),
    ]
    for layer, theirs in cases:
        sequences = numbers(rng, 6)
        trace = run(model_of(chain(layer), 6, 6), sequences)
        for values, found in zip(sequences, cut(trace.scores, trace.steps), strict=True):
            # Of whatever precision it is given, Keras normalizes in single.
            close = {"rtol": 1e-5, "atol": 1e-5} if isinstance(layer, Normalize) else CLOSE
            np.testing.assert_allclose(found, of_keras(keras, theirs, values), **close)
    steps = numbers(rng, 6, (5, 5))
    trace = run(model_of(chain(Transpose(5)), 6, 5), steps)
    for values, found in zip(steps, cut(trace.scores, trace.steps), strict=True):
        np.testing.assert_array_equal(found, of_keras(keras, layers.Permute((2, 1)), values))
    vectors = [rng.normal(size=6) for _ in range(2)]
    trace = run(model_of(chain(Repeat(3)), 6, 6, inputs=(Input(6, steps=False),)), vectors)
    for values, found in zip(vectors, cut(trace.scores, trace.steps), strict=True):
        theirs = of_keras(keras, layers.RepeatVector(3), values)
        np.testing.assert_array_equal(found, theirs)


@pytest.mark.parametrize("name", ["dot", "scaled", "concat", "additive", "causal"])
def test_attention_is_that_of_keras(keras, name):
    rng = np.random.default_rng(6)
    units = 4
    theirs = {
        "dot": lambda: keras.layers.Attention(),
        "scaled": lambda: keras.layers.Attention(use_scale=True),
        "concat": lambda: keras.layers.Attention(score_mode="concat"),
        "additive": lambda: keras.layers.AdditiveAttention(),
        "causal": lambda: keras.layers.Attention(),
    }[name]()
    theirs.build([(None, None, units)] * 3)
    weights = [rng.normal(size=each.shape) for each in theirs.get_weights()]
    theirs.set_weights(weights)
    layer = {
        "dot": Attention(),
        "scaled": Attention(scale=float(weights[0])) if name == "scaled" else None,
        "concat": Attention("additive", factors=np.full(units, *weights) if weights else None),
        "additive": Attention("additive", factors=weights[0] if name == "additive" else None),
        "causal": Attention(causal=True),
    }[name]
    nodes = (Node(layer, (-1, -2, -2)),)
    model = model_of(nodes, units, units, inputs=(Input(units), Input(units)))
    queries, values = numbers(rng, units), numbers(rng, units, (8, 7, 3, 3))
    trace = run(model, queries, values)
    for k, found in enumerate(cut(trace.scores, trace.steps)):
        read = (queries[k][None], values[k][None])
        given = [keras.ops.convert_to_tensor(each) for each in read]
        expected = theirs(given, use_causal_mask=name == "causal")
        # Of whatever precision it is given, Keras attends in single.
        expected = keras.ops.convert_to_numpy(expected)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_each_is_time_distributed(keras):
    rng = np.random.default_rng(8)
    convolution = keras.layers.Conv1D(3, 2, activation="relu")
    inner = keras.Sequential([keras.Input((4, 2)), convolution, keras.layers.GlobalMaxPooling1D()])
    theirs = keras.layers.TimeDistributed(inner)
    kernel, bias = convolution.get_weights()
    nodes = chain(
        Convolution(kernel.transpose(2, 1, 0), bias, Window(2)), Activation("relu"), Pool("max")
    )
    sequences = numbers(rng, 2, (12, 8, 8, 0))
    trace = run(model_of(chain(Each(nodes, 2, 4)), 2, 3), sequences)
    for values, found in zip(sequences[:3], cut(trace.scores, trace.steps), strict=False):
        expected = of_keras(keras, theirs, values.reshape(-1, 4, 2))
        np.testing.assert_allclose(found, expected, **CLOSE)


def gru_cell(rng):
    shapes = ((3, 4, 4), (3, 4, 4), (3, 4), (4,))
    return GruCell(*(rng.normal(size=shape) for shape in shapes))


def linearisable(rng):
    """One model of each kind, by name."""

    def dense(outputs, inputs):
        return Dense(rng.normal(size=(outputs, inputs)), rng.normal(size=outputs))

    def convolution(outputs, inputs, window, groups=1):
        shape = (outputs, inputs // groups, window.width)
        return Convolution(rng.normal(size=shape), rng.normal(size=outputs), window, groups)

    def behind(nodes, *more):
        return (*nodes, *(Node(each, (len(nodes) + k - 1,)) for k, each in enumerate(more)))

    factors, offsets = rng.normal(size=(2, 4))
    end = (Pool("sum"), dense(3, 4))
    two = (Node(dense(4, 4), (-1,)), Node(convolution(4, 4, Window(3, 1, 1, (1, 1))), (-1,)))
    dot = attention_nodes("dot", 2, 4, rng)
    additive = attention_nodes("additive", 2, 4, rng, causal=True)
    inner = chain(convolution(4, 4, Window(2, 1, 1, (1, 0))), Activation("gelu"), Pool("sum"))
    inner_attention = behind(attention_nodes("dot", 1, 4, rng), Pool("sum"))
    gru, lstm = gru_cell(rng), LstmCell(*(rng.normal(size=(4, 4, *k)) for k in ((4,), (4,), ())))
    simple = RnnCell(*(rng.normal(size=(4, *k)) / 2 for k in ((4,), (4,), ())))
    backward = replace(lstm, backward=True)
    decoder = [Node(Lstm((lstm,), gives_cell=True), (-1,)), Node(Lstm((lstm,)), (-1, 0))]
    same = Gru((gru,))
    siamese = [Node(same, (-1,)), Node(dense(4, 4), (-1,)), Node(same, (1,))]
    return {
        "convolutions": chain(
            convolution(6, 4, Window(3, 2, 2, (4, 0)), 2),
            Activation("gelu"),
            convolution(4, 6, Window(2, 1, 1, (1, 2))),
            LeakyRelu(np.array([0.1])),
            *end,
        ),
        "pools": chain(
            WindowPool("max", Window(3, 2)),
            dense(4, 4),
            WindowPool("mean", Window(2)),
            Upsample(2),
            *end,
        ),
        "layer normalization": chain(dense(4, 4), Normalize(factors, offsets, 0.1), *end),
        "group normalization": chain(dense(4, 4), Normalize(factors, offsets, 0.1, 2), *end),
        "difference": behind((*two, Node(Merge("difference"), (0, 1))), *end),
        "max": behind((*two, Node(Merge("max"), (0, 1))), *end),
        "dot attention": behind(dot, *end),
        "additive attention": behind(additive, *end),
        "lstm": chain(Lstm((lstm, backward), "product", "sequence"), *end),
        "gru": chain(Gru((gru,), returns="sequence"), *end),
        "gru with the gate before": chain(
            Gru((replace(gru, reset_after=False, recurrent_bias=None),)), dense(3, 4)
        ),
        "simple": chain(SimpleRnn((simple,)), dense(3, 4)),
        "decoder": behind(decoder, dense(3, 4)),
        "siamese": behind((*siamese, Node(Merge("difference"), (0, 2))), dense(3, 4)),
        "each lstm": chain(Each(chain(Lstm((lstm,))), 0, 3), *end),
        "each": chain(Each(inner, 2, 3), *end),
        "each with attention": chain(Each(inner_attention, 4, 3), *end),
    }


@pytest.mark.parametrize("gates", get_args(GateRuleName))
@pytest.mark.parametrize("name", list(linearisable(np.random.default_rng(0))))
def test_lrp_is_the_gradient_of_a_linearised_copy_times_the_input(framework, name, gates):
    torch = framework("torch")
    from torch_model import scores_of
    from torch_passing import AsLrp

    rng = np.random.default_rng(9)
    nodes = linearisable(rng)[name]
    model = model_of(nodes, 4, 3, by_step=False)
    sequences = numbers(rng, 4, (9, 6, 6))
    trace = run(model, sequences)
    found = Lrp(LrpRule(0.0, 0.0, gates)).explain(trace, Chosen(np.array([0, 2, 1])), "features")
    for values, relevance, target in zip(
        sequences, cut(found.values[0], trace.packings[0]), (0, 2, 1), strict=True
    ):
        given = torch.from_numpy(values)[None].requires_grad_()
        scores_of(model, AsLrp(gates))(given)[0, target].backward()
        expected = given.grad[0].numpy() * values
        close = {"rtol": 1e-8, "atol": 1e-10 * np.abs(expected).max()}
        np.testing.assert_allclose(relevance, expected, **close)
