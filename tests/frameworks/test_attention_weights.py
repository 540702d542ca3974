"""Attention weights beside relevance are those that Keras and PyTorch give of the same layer."""

import numpy as np
import pytest

import lstm_lrp_cli as lrp
from lstm_lrp_cli.model.layers import Attention, Dense, Node, Pool
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.text import Padding

STEPS, FEATURES, UNITS = 6, 3, 4
CLOSE = {"rtol": 1e-5, "atol": 1e-6}

# Keras calls its own .h5 files legacy, and NumPy's newest release deprecates what it calls.
pytestmark = pytest.mark.filterwarnings("default")


def loaded(keras, folder, inputs, output):
    """A model with a head, by lrp."""
    head = keras.layers.Dense(3, activation="softmax")(output)
    path = folder / "model.keras"
    keras.Model(inputs, head).save(path)
    return lrp.load(path, dtype="float32")


def computed(keras, inputs, tensor, array):
    """What Keras computes of a tensor inside a model."""
    return np.asarray(keras.Model(inputs, tensor).predict(array, verbose=0))


def scores_of(keras, inputs, layer, given, array, **asked):
    """The attention scores of a layer of Keras, of what tensors inside a model are."""
    arrays = [keras.ops.convert_to_tensor(computed(keras, inputs, each, array)) for each in given]
    given = arrays if isinstance(layer, keras.layers.MultiHeadAttention) else [arrays]
    _, scores = layer(*given, return_attention_scores=True, **asked)
    return keras.ops.convert_to_numpy(scores)


def series(count=3, steps=STEPS, features=FEATURES):
    return np.random.default_rng(7).standard_normal((count, steps, features)).astype(np.float32)


def assert_sums(weights):
    """Those of each query, with what padding has, sum to 1."""
    sums = np.nansum(weights.weights, axis=2) + weights.padding
    told = ~np.isnan(weights.padding)
    np.testing.assert_allclose(sums[told], 1.0, **CLOSE)


@pytest.mark.parametrize("kind", ["dot", "scaled", "additive"])
def test_attention_of_keras(keras, tmp_path, kind):
    k = keras.layers
    of_kind = {
        "dot": lambda: k.Attention(),
        "scaled": lambda: k.Attention(use_scale=True),
        "additive": lambda: k.AdditiveAttention(),
    }
    inputs = keras.Input((STEPS, FEATURES))
    queries = k.LSTM(UNITS, return_sequences=True)(inputs)
    values = k.LSTM(UNITS, return_sequences=True)(inputs)
    layer = of_kind[kind]()
    output = k.GlobalAveragePooling1D()(layer([queries, values]))
    model = loaded(keras, tmp_path, inputs, output)
    array = series()
    expected = scores_of(keras, inputs, layer, [queries, values], array)
    for one, wanted in zip(lrp.explain(model, array, attention=True), expected, strict=True):
        [found] = one.attention
        assert (found.layer, found.queries, found.keys) == ("attend_1", "input", "input")
        np.testing.assert_allclose(found.weights, wanted[np.newaxis], **CLOSE)
        assert_sums(found)


@pytest.mark.parametrize("causal", [False, True])
def test_several_heads_of_keras(keras, tmp_path, causal):
    k = keras.layers
    inputs = keras.Input((STEPS, FEATURES))
    steps = k.LSTM(UNITS, return_sequences=True)(inputs)
    first, second = k.MultiHeadAttention(2, 3), k.MultiHeadAttention(3, 2)
    attended = first(steps, steps, use_causal_mask=causal)
    output = k.GlobalAveragePooling1D()(second(steps, attended))
    model = loaded(keras, tmp_path, inputs, output)
    array = series()
    expected = [
        scores_of(keras, inputs, first, [steps, steps], array, use_causal_mask=causal),
        scores_of(keras, inputs, second, [steps, attended], array),
    ]
    for number, one in enumerate(lrp.explain(model, array, "occlusion", attention=True)):
        assert [each.layer for each in one.attention] == ["attend_1", "attend_2"]
        for found, wanted in zip(one.attention, expected, strict=True):
            np.testing.assert_allclose(found.weights, wanted[number], **CLOSE)
            assert_sums(found)
    assert (one.attention[0].weights[0, 0, 1:] == 0).all() == causal


def weighed(k, steps, form):
    """Weights over the steps of a sequence, as models make them, and what is weighed by them."""
    if form == "softmax":
        weights = k.Softmax(axis=1)(k.Dense(1)(steps))
        return weights, k.Dot(axes=1)([weights, steps])
    if form == "repeated":
        scores = k.Flatten()(k.Dense(1, activation="tanh")(steps))
        weights = k.Activation("softmax")(scores)
        spread = k.Permute((2, 1))(k.RepeatVector(UNITS)(weights))
        return weights, k.GlobalAveragePooling1D()(k.Multiply()([steps, spread]))
    weights = k.Permute((2, 1))(k.Dense(STEPS, activation="softmax")(k.Permute((2, 1))(steps)))
    return weights, k.Multiply()([steps, weights])


@pytest.mark.parametrize("form", ["softmax", "repeated", "transposed"])
def test_weights_of_keras_made_by_hand(keras, tmp_path, form):
    k = keras.layers
    inputs = keras.Input((STEPS, FEATURES))
    weights, output = weighed(k, k.LSTM(UNITS, return_sequences=True)(inputs), form)
    model = loaded(keras, tmp_path, inputs, k.Flatten()(output))
    array = series()
    expected = computed(keras, inputs, weights, array).reshape(3, STEPS, -1)
    for one, wanted in zip(lrp.explain(model, array, attention=True), expected, strict=True):
        [found] = one.attention
        assert (found.layer, found.queries, found.keys) == ("softmax_1", None, "input")
        np.testing.assert_allclose(found.weights, wanted.T[:, np.newaxis], **CLOSE)
        assert_sums(found)


def test_padding_and_words_cut_off(keras, tmp_path):
    """The model runs on padding, which takes of the weights; what is cut off has none."""
    k = keras.layers
    inputs = keras.Input((STEPS,), dtype="int32")
    steps = k.LSTM(UNITS, return_sequences=True)(k.Embedding(9, FEATURES)(inputs))
    layer = k.MultiHeadAttention(2, 3)
    loaded(keras, tmp_path, inputs, k.GlobalAveragePooling1D()(layer(steps, steps)))
    mapping = tmp_path / "model.yaml"
    mapping.write_text(f"padding: {{length: {STEPS}, side: pre, truncate: pre, value: 0}}\n")
    model = lrp.load(tmp_path / "model.keras", dtype="float32")
    ids = [[3, 4, 5, 6, 7, 8, 1, 2], [5, 6, 7]]
    padded = np.array([ids[0][2:], [0, 0, 0, *ids[1]]])
    long, short = scores_of(keras, inputs, layer, [steps, steps], padded)
    [of_long], [of_short] = [
        each.attention for each in lrp.explain(model, map(np.array, ids), attention=True)
    ]
    np.testing.assert_allclose(of_long.weights[:, 2:, 2:], long, **CLOSE)
    assert np.isnan(of_long.weights[:, :2]).all()
    assert np.isnan(of_long.weights[:, :, :2]).all()
    assert of_long.weights.shape == (2, 8, 8)
    np.testing.assert_array_equal(of_long.padding, [[np.nan, np.nan, *[0.0] * 6]] * 2)
    np.testing.assert_allclose(of_short.weights, short[:, 3:, 3:], **CLOSE)
    np.testing.assert_allclose(of_short.padding, short[:, 3:, :3].sum(axis=2), **CLOSE)
    assert (of_short.padding > 0.05).all()


def attending(rng, padding=None):
    """Attention of two heads over the steps of an input, and what makes q, k and v of them."""
    maps = [Dense(rng.normal(size=(FEATURES * 2,) * 2), rng.normal(size=6)) for _ in range(3)]
    nodes = (
        *(Node(each, (-1,)) for each in maps),
        Node(Attention(heads=2, scale=3**-0.5), (0, 2, 1)),
        Node(Pool("sum"), (3,)),
    )
    return Model(nodes, (4,), (Head(6),), np.dtype("float64"), (Input(6, padding=padding),)), maps


def test_several_heads_of_pytorch(framework):
    torch = framework("torch")
    rng = np.random.default_rng(2)
    model, maps = attending(rng)
    theirs = torch.nn.MultiheadAttention(6, 2, dtype=torch.float64, batch_first=True)
    with torch.no_grad():
        for into, name in ((theirs.in_proj_weight, "weights"), (theirs.in_proj_bias, "bias")):
            into[:] = torch.from_numpy(np.concatenate([getattr(each, name) for each in maps]))
    arrays = [rng.normal(size=(steps, 6)) for steps in (2, 5, 1, 5)]
    for one, array in zip(lrp.explain(model, arrays, attention=True), arrays, strict=True):
        given = torch.from_numpy(array)[None]
        _, expected = theirs(given, given, given, average_attn_weights=False)
        [found] = one.attention
        np.testing.assert_allclose(found.weights, expected[0].detach().numpy(), rtol=1e-10)
        np.testing.assert_array_equal(found.padding, 0.0)


def test_masked_steps_of_pytorch_have_none(framework):
    """The mask of keys of PyTorch's layer is the steps that are left out."""
    torch = framework("torch")
    rng = np.random.default_rng(2)
    model, maps = attending(rng, padding=Padding(value=-9.0, masked=True))
    theirs = torch.nn.MultiheadAttention(6, 2, dtype=torch.float64, batch_first=True)
    with torch.no_grad():
        for into, name in ((theirs.in_proj_weight, "weights"), (theirs.in_proj_bias, "bias")):
            into[:] = torch.from_numpy(np.concatenate([getattr(each, name) for each in maps]))
    array = rng.normal(size=(5, 6))
    array[[1, 4]] = -9.0
    given = torch.from_numpy(array)[None]
    masked = torch.from_numpy((array == -9.0).all(axis=1))[None]
    _, expected = theirs(given, given, given, key_padding_mask=masked, average_attn_weights=False)
    [one] = lrp.explain(model, [array], attention=True)
    [found] = one.attention
    wanted = expected[0].detach().numpy()
    wanted[:, [1, 4]] = wanted[:, :, [1, 4]] = np.nan
    np.testing.assert_allclose(found.weights, wanted, rtol=1e-10)
    np.testing.assert_array_equal(np.isnan(one.relevance_of_steps), [0, 1, 0, 0, 1])
