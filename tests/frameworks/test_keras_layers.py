"""Keras 3's layers of every kind, built and saved live: lrp computes what `model.predict` does."""

import json

import numpy as np
import pytest

import lstm_lrp_cli as lrp
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.load import load_model

STEPS, FEATURES, WORDS, BATCH = 8, 4, 12, 3

# Keras calls its own .h5 files legacy, and NumPy's newest release deprecates what it calls.
pytestmark = pytest.mark.filterwarnings("default")


def randomized(model):
    """The model with weights of which none is 0 or 1, and variances above 0."""
    rng = np.random.default_rng(2)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if not str(variable.dtype).startswith("float"):
            continue
        values = rng.uniform(0.2, 0.8, shape)
        if "variance" not in variable.path:
            values *= rng.choice([-1, 1], shape)
        variable.assign(values.astype("float32"))
    return model


def given(model, seed=3):
    """A batch for each of the inputs; ids where an embedding or a mask of zeros is fed."""
    rng = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        shape = tuple(STEPS if size is None else size for size in tensor.shape[1:])
        if "int" in str(tensor.dtype):
            arrays.append(rng.integers(1, WORDS, (BATCH, *shape)))
        else:
            arrays.append(rng.standard_normal((BATCH, *shape)).astype(np.float32))
    return arrays


def outputs_of(model, arrays):
    """What Keras computes: of each sequence a row, or one of each step."""
    found = model.predict(arrays if len(arrays) > 1 else arrays[0], verbose=0)
    found = found if isinstance(found, list) else [found]
    return np.concatenate([np.asarray(each) for each in found], axis=-1)


def scores_of(path, arrays):
    """What lrp computes of the file, given the same."""
    model = lrp.load(path)
    rows = [
        each.reshape(len(each), -1, each.shape[-1]) if each.ndim > 3 else each for each in arrays
    ]
    if len(arrays) == 1:
        inputs = list(rows[0])
    else:
        names = [each.name for each in model.inputs]
        inputs = {name: list(each) for name, each in zip(names, rows, strict=True)}
    return [each.probabilities for each in lrp.predict(model, inputs)]


# What keeps weights alone has its architecture beside it.
EVERY_FORM = ("model.keras", "model.h5", "model.weights.h5")


def save(model, path):
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
        (path.parent / "model.json").write_text(model.to_json())
    else:
        model.save(path)


def assert_equal(model, folder, arrays=None, files=("model.keras", "model.h5")):
    """Save the model in every format, and compare."""
    arrays = given(model) if arrays is None else arrays
    expected = outputs_of(model, arrays)
    assert np.isfinite(expected).all()
    assert np.ptp(expected) > 1e-3  # outputs that do not depend on anything would prove nothing
    for file in files:
        save(model, folder / file)
        found = scores_of(folder / file, arrays)
        for own, keras_own in zip(found, expected, strict=True):
            keras_own = keras_own.reshape(-1, keras_own.shape[-1])
            own = np.atleast_2d(own)
            assert own.shape == keras_own.shape, file
            np.testing.assert_allclose(own, keras_own, rtol=1e-5, atol=1e-5, err_msg=file)


def refused(model, folder, *parts, files=("model.keras", "model.h5")):
    """Every format is refused by the layer's name, and in one line."""
    for file in files:
        model.save(folder / file)
        with pytest.raises(UnusableInput) as caught:
            lrp.load(folder / file)
        told = str(caught.value)
        assert all(part in told for part in parts), told
        assert "is not understood" not in told


def chain(keras, *layers, shape=(STEPS, FEATURES)):
    return randomized(keras.Sequential([keras.Input(shape), *layers]))


def words(keras, *layers, length=STEPS, mask=False):
    embedding = keras.layers.Embedding(WORDS, FEATURES, mask_zero=mask)
    shape = keras.Input((length,), dtype="int32")
    return randomized(keras.Sequential([shape, embedding, *layers]))


# Chains: what stands before the LSTM that every model ends in, of sequences of numbers.

BEFORE = {
    "conv_valid": lambda k: [k.Conv1D(5, 3)],
    "conv_same": lambda k: [k.Conv1D(5, 4, padding="same", activation="relu")],
    "conv_same_even_stride": lambda k: [k.Conv1D(5, 3, padding="same", strides=2)],
    "conv_same_stride_3": lambda k: [k.Conv1D(5, 2, padding="same", strides=3)],
    "conv_wide_stride": lambda k: [k.Conv1D(5, 1, padding="same", strides=3)],
    "conv_causal": lambda k: [k.Conv1D(5, 3, padding="causal", use_bias=False)],
    "conv_causal_dilated": lambda k: [k.Conv1D(5, 3, padding="causal", dilation_rate=2)],
    "conv_causal_stride": lambda k: [k.Conv1D(5, 3, padding="causal", strides=2)],
    "conv_same_dilated": lambda k: [k.Conv1D(5, 3, padding="same", dilation_rate=3)],
    "conv_valid_stride": lambda k: [k.Conv1D(5, 3, strides=2, activation="tanh")],
    "conv_groups": lambda k: [k.Conv1D(6, 3, groups=2)],
    "depthwise": lambda k: [k.DepthwiseConv1D(3, padding="same", activation="relu")],
    "depthwise_multiplier": lambda k: [k.DepthwiseConv1D(3, depth_multiplier=3)],
    "depthwise_stride": lambda k: [k.DepthwiseConv1D(3, strides=2, use_bias=False)],
    "separable": lambda k: [k.SeparableConv1D(5, 3)],
    "separable_same": lambda k: [
        k.SeparableConv1D(5, 3, padding="same", depth_multiplier=2, activation="relu")
    ],
    "separable_stride": lambda k: [k.SeparableConv1D(5, 3, strides=2, use_bias=False)],
    "separable_dilated": lambda k: [k.SeparableConv1D(5, 3, dilation_rate=2)],
    "max_pool": lambda k: [k.MaxPooling1D()],
    "max_pool_same": lambda k: [k.MaxPooling1D(3, padding="same")],
    "max_pool_overlapping": lambda k: [k.MaxPooling1D(3, strides=1, padding="same")],
    "mean_pool": lambda k: [k.AveragePooling1D(3)],
    # On one side more than on the other, Keras on torch repeats the last step; TensorFlow's does
    # not, which published models were trained on.
    "mean_pool_same": lambda k: [k.AveragePooling1D(4, padding="same")],
    "mean_pool_same_overlapping": lambda k: [k.AveragePooling1D(3, strides=1, padding="same")],
    "upsample": lambda k: [k.UpSampling1D(3)],
    "zero_pad": lambda k: [k.ZeroPadding1D((2, 1))],
    "zero_pad_both": lambda k: [k.ZeroPadding1D(2)],
    "crop": lambda k: [k.Cropping1D((1, 2))],
    "layer_norm": lambda k: [k.LayerNormalization()],
    "layer_norm_bare": lambda k: [
        k.Dense(3), k.LayerNormalization(center=False, scale=False, epsilon=0.1)
    ],
    "layer_norm_center": lambda k: [k.LayerNormalization(scale=False)],
    "layer_norm_scale": lambda k: [k.LayerNormalization(center=False)],
    "group_norm": lambda k: [k.GroupNormalization(2)],
    "group_norm_instance": lambda k: [k.GroupNormalization(-1, center=False)],
    "batch_norm": lambda k: [k.BatchNormalization()],
    "leaky_relu": lambda k: [k.LeakyReLU(0.2)],
    "leaky_relu_default": lambda k: [k.LeakyReLU()],
    "prelu": lambda k: [k.PReLU(shared_axes=[1])],
    "elu": lambda k: [k.ELU()],
    "relu6": lambda k: [k.ReLU(6)],
    "relu_slope": lambda k: [k.ReLU(negative_slope=0.3)],
    "softmax_steps": lambda k: [k.Softmax(axis=1)],
    "gru": lambda k: [k.GRU(3, return_sequences=True)],
    "gru_before": lambda k: [k.GRU(3, return_sequences=True, reset_after=False)],
    "gru_unbiased": lambda k: [k.GRU(3, return_sequences=True, use_bias=False)],
    "gru_backwards": lambda k: [k.GRU(3, return_sequences=True, go_backwards=True)],
    "gru_hard": lambda k: [k.GRU(3, return_sequences=True, recurrent_activation="hard_sigmoid")],
    "gru_relu": lambda k: [k.GRU(3, return_sequences=True, activation="relu")],
    "gru_both": lambda k: [k.Bidirectional(k.GRU(3, return_sequences=True))],
    "gru_both_before": lambda k: [
        k.Bidirectional(k.GRU(3, return_sequences=True, reset_after=False), merge_mode="sum")
    ],
    "rnn": lambda k: [k.SimpleRNN(3, return_sequences=True)],
    "rnn_relu": lambda k: [k.SimpleRNN(3, return_sequences=True, activation="relu")],
    "rnn_unbiased": lambda k: [k.SimpleRNN(3, return_sequences=True, use_bias=False)],
    "rnn_backwards": lambda k: [k.SimpleRNN(3, return_sequences=True, go_backwards=True)],
    "rnn_both": lambda k: [
        k.Bidirectional(k.SimpleRNN(3, return_sequences=True), merge_mode="mul")
    ],
    "permute": lambda k: [k.Dense(3), k.Permute((2, 1))],
    "permute_silent": lambda k: [k.Permute((1, 2))],
    "flatten_repeat": lambda k: [k.Flatten(), k.RepeatVector(3)],
    "reshape_wider": lambda k: [k.Reshape((STEPS // 2, 2 * FEATURES))],
    "reshape_narrower": lambda k: [k.Reshape((-1, FEATURES // 2))],
    "reshape_flat": lambda k: [k.Reshape((STEPS * FEATURES,)), k.Reshape((4, -1))],
    "distributed_dense": lambda k: [k.TimeDistributed(k.Dense(3, activation="relu"))],
    "distributed_norm": lambda k: [k.TimeDistributed(k.LayerNormalization())],
    "distributed_batch_norm": lambda k: [k.TimeDistributed(k.BatchNormalization())],
    "distributed_dropout": lambda k: [k.TimeDistributed(k.Dropout(0.5))],
    "distributed_flatten": lambda k: [k.TimeDistributed(k.Flatten())],
    "distributed_leaky": lambda k: [k.TimeDistributed(k.LeakyReLU(0.1))],
    "distributed_activation": lambda k: [k.TimeDistributed(k.Activation("softmax"))],
    "silent": lambda k: [k.SpatialDropout1D(0.1), k.GaussianNoise(0.1), k.Identity()],
    "stacked": lambda k: [
        k.Conv1D(6, 3, padding="same", activation="relu"),
        k.MaxPooling1D(2),
        k.BatchNormalization(),
        k.GRU(4, return_sequences=True),
        k.LayerNormalization(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BEFORE)
def test_a_layer_before_an_lstm(keras, tmp_path, name):
    layers = keras.layers
    model = chain(keras, *BEFORE[name](layers), layers.LSTM(3), layers.Dense(2))
    assert_equal(model, tmp_path)


# Behind it, of one vector or of all steps.

BEHIND = {
    "conv": lambda k: [k.Conv1D(4, 3, activation="relu"), k.GlobalMaxPooling1D()],
    "mean": lambda k: [k.GlobalAveragePooling1D()],
    "flatten": lambda k: [k.MaxPooling1D(2), k.Flatten()],
    "gru": lambda k: [k.GRU(3)],
    "gru_backwards": lambda k: [k.GRU(3, go_backwards=True)],
    "gru_both": lambda k: [k.Bidirectional(k.GRU(3), merge_mode="ave")],
    "rnn": lambda k: [k.SimpleRNN(3)],
    "rnn_both": lambda k: [k.Bidirectional(k.SimpleRNN(3))],
    "decoder": lambda k: [
        *(k.LSTM(3), k.RepeatVector(4), k.GRU(3, return_sequences=True)),
        k.TimeDistributed(k.Dense(3)),
    ],
    "vector_norm": lambda k: [k.LSTM(4), k.LayerNormalization(), k.PReLU(), k.Dense(3)],
    "vector_batch_norm": lambda k: [k.LSTM(4), k.BatchNormalization(), k.LeakyReLU()],
    "vector_reshape": lambda k: [k.LSTM(6), k.Reshape((3, 2)), k.Conv1D(2, 2), k.Flatten()],
    "vector_flatten": lambda k: [k.LSTM(4), k.Flatten()],
    "by_step_conv": lambda k: [k.Conv1D(3, 3, padding="causal")],
    "by_step_gru_both": lambda k: [k.Bidirectional(k.GRU(3, return_sequences=True))],
    "two_units_last": lambda k: [k.Conv1D(1, 1), k.Flatten()],
}


@pytest.mark.parametrize("end", ["linear", "softmax"])
@pytest.mark.parametrize("name", BEHIND)
def test_a_layer_behind_an_lstm(keras, tmp_path, name, end):
    layers = keras.layers
    before = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    model = chain(keras, before, *BEHIND[name](layers), layers.Dense(2, activation=end))
    assert_equal(model, tmp_path)


@pytest.mark.parametrize("name", ["conv_same", "max_pool", "gru_both", "rnn", "layer_norm"])
def test_sequences_of_any_length(keras, tmp_path, name):
    layers = keras.layers
    body = [*BEFORE[name](layers), layers.LSTM(3), layers.Dense(2)]
    model = chain(keras, *body, shape=(None, FEATURES))
    arrays = [np.random.default_rng(4).standard_normal((BATCH, 11, FEATURES)).astype("f4")]
    assert_equal(model, tmp_path, arrays)
    assert_equal(words(keras, *BEFORE[name](layers), layers.LSTM(3), layers.Dense(2)), tmp_path)


# Sequences of sequences.

PARTS, PART = 3, 6
DISTRIBUTED = {
    "conv": lambda k: [
        k.TimeDistributed(k.Conv1D(5, 3, activation="relu")),
        k.TimeDistributed(k.MaxPooling1D(2)),
        k.TimeDistributed(k.Flatten()),
    ],
    "conv_pool": lambda k: [
        k.TimeDistributed(k.Conv1D(5, 3, padding="same")),
        k.TimeDistributed(k.GlobalMaxPooling1D()),
    ],
    "mean_pool": lambda k: [k.TimeDistributed(k.GlobalAveragePooling1D())],
    "separable": lambda k: [
        k.TimeDistributed(k.SeparableConv1D(5, 3)),
        k.TimeDistributed(k.Dropout(0.1)),
        k.TimeDistributed(k.AveragePooling1D(2, padding="same")),
        k.TimeDistributed(k.Flatten()),
    ],
    "lstm": lambda k: [k.TimeDistributed(k.LSTM(4))],
    "lstm_steps": lambda k: [
        k.TimeDistributed(k.LSTM(4, return_sequences=True)),
        k.TimeDistributed(k.Flatten()),
    ],
    "gru_both": lambda k: [k.TimeDistributed(k.Bidirectional(k.GRU(4)))],
    "lstm_backwards": lambda k: [
        k.TimeDistributed(k.LSTM(4, return_sequences=True, go_backwards=True)),
        k.TimeDistributed(k.LSTM(3)),
    ],
    "dense": lambda k: [k.TimeDistributed(k.Dense(3)), k.TimeDistributed(k.Flatten())],
    "dense_alone": lambda k: [k.Dense(3), k.TimeDistributed(k.Flatten())],
    "norm": lambda k: [
        k.TimeDistributed(k.BatchNormalization()),
        k.TimeDistributed(k.LayerNormalization()),
        k.TimeDistributed(k.LSTM(3)),
    ],
    "group_norm": lambda k: [
        k.TimeDistributed(k.GroupNormalization(2)),
        k.TimeDistributed(k.LSTM(3)),
    ],
    "softmax": lambda k: [k.TimeDistributed(k.Softmax()), k.TimeDistributed(k.Flatten())],
    "reshape": lambda k: [k.Reshape((PARTS, PART * FEATURES))],
    "reshape_one": lambda k: [k.Reshape((PARTS * PART, FEATURES))],
    "resized": lambda k: [
        k.TimeDistributed(k.UpSampling1D(2)),
        k.TimeDistributed(k.ZeroPadding1D(1)),
        k.TimeDistributed(k.Cropping1D(2)),
        k.TimeDistributed(k.Flatten()),
    ],
    "permute": lambda k: [
        k.Dense(5),
        k.TimeDistributed(k.Permute((2, 1))),
        k.TimeDistributed(k.LSTM(3)),
    ],
    "nested_reshape": lambda k: [
        k.TimeDistributed(k.Reshape((PART // 2, 2 * FEATURES))),
        k.TimeDistributed(k.LSTM(3)),
    ],
}


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_a_layer_for_every_sequence_of_a_sequence(keras, tmp_path, name):
    layers = keras.layers
    body = [*DISTRIBUTED[name](layers), layers.LSTM(3), layers.Dense(2)]
    assert_equal(chain(keras, *body, shape=(PARTS, PART, FEATURES)), tmp_path)


# Models for every sequence of a sequence: frames and sentences.


def in_model(keras, shape, build, dtype="float32"):
    x = keras.Input(shape, dtype=dtype)
    return keras.Model(x, build(keras.layers, x))


def of_windows(k, x):
    y = k.MaxPooling1D(2)(k.Conv1D(5, 3, activation="relu", padding="same")(x))
    return k.Dropout(0.1)(k.Flatten()(k.BatchNormalization()(y)))


def of_words(k, x):
    h = k.Bidirectional(k.LSTM(3, return_sequences=True))(k.Dropout(0.1)(x))
    weights = k.Softmax(axis=1)(k.Dense(1)(k.Dense(4, activation="tanh")(h)))
    return k.GlobalAveragePooling1D()(k.Multiply()([weights, h]))


def of_heads(k, x):
    y = k.LayerNormalization()(k.Add()([x, k.MultiHeadAttention(2, 3)(x, x)]))
    return k.GlobalMaxPooling1D()(y)


def of_steps(k, x):
    return k.Concatenate()(
        [k.GRU(3, return_sequences=True)(x), k.Conv1D(2, 3, padding="causal")(x)]
    )


def of_attention(k, x):
    h = k.GRU(4, return_sequences=True)(x)
    weights = k.Permute((2, 1))(k.Dense(PART, activation="softmax")(k.Permute((2, 1))(h)))
    return k.Flatten()(k.Multiply()([h, weights]))


def of_nothing_last(k, x):
    """The layer that stands last in the file is not the one whose output it is."""
    h = k.GRU(3)(x)
    return k.Dense(2)(k.Subtract()([h, k.Dense(3)(h)]))


REPEATED = {
    "windows": of_windows,
    "words": of_words,
    "heads": of_heads,
    "attention": of_attention,
    "branches": of_nothing_last,
}


@pytest.mark.parametrize("embeds", [False, True], ids=["numbers", "ids"])
@pytest.mark.parametrize("name", REPEATED)
def test_a_model_for_every_sequence_of_a_sequence(keras, tmp_path, name, embeds):
    layers = keras.layers
    dtype = "int32" if embeds else "float32"
    x = keras.Input((PARTS, PART) if embeds else (PARTS, PART, FEATURES), dtype=dtype)
    shape = (PART,) if embeds else (PART, FEATURES)

    def build(k, x):
        return REPEATED[name](k, k.Embedding(WORDS, FEATURES)(x) if embeds else x)

    inner = in_model(keras, shape, build, dtype)
    y = layers.LSTM(3)(layers.TimeDistributed(inner, name="sentences")(x))
    model = randomized(keras.Model(x, layers.Dense(2)(y)))
    rng = np.random.default_rng(3)
    shape = (BATCH, PARTS, PART)
    if embeds:
        ids = rng.integers(1, WORDS, shape)
        expected = model.predict(ids, verbose=0)
        assert np.ptp(expected) > 1e-3
        for file in EVERY_FORM:
            save(model, tmp_path / file)
            found = scores_of(tmp_path / file, [ids.reshape(BATCH, -1)])
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        return
    values = rng.standard_normal((*shape, FEATURES)).astype("f4")
    assert_equal(model, tmp_path, [values], files=EVERY_FORM)


def test_a_chain_for_every_sequence_and_for_every_step(keras, tmp_path):
    """Sequential models: of a window of steps, and of single vectors."""
    layers = keras.layers
    reader = keras.Sequential([layers.Conv1D(5, 3), layers.LSTM(4), layers.Dense(3)])
    head = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    body = [layers.TimeDistributed(reader), layers.GRU(4, return_sequences=True)]
    shape = (PARTS, PART, FEATURES)
    model = chain(keras, *body, layers.TimeDistributed(head), shape=shape)
    assert_equal(model, tmp_path, files=EVERY_FORM)


def test_steps_of_a_model_for_every_sequence(keras, tmp_path):
    layers = keras.layers
    inner = in_model(keras, (PART, FEATURES), of_steps)
    body = [layers.TimeDistributed(inner), layers.TimeDistributed(layers.LSTM(3)), layers.LSTM(2)]
    assert_equal(chain(keras, *body, shape=(PARTS, PART, FEATURES)), tmp_path)


def test_one_model_for_the_sequences_of_two_inputs(keras, tmp_path):
    layers = keras.layers
    inner = in_model(keras, (PART, FEATURES), of_windows)
    reader = layers.TimeDistributed(inner)
    inputs = [keras.Input((PARTS, PART, FEATURES), name=f"in_{k}") for k in (1, 2)]
    parts = [layers.GRU(3)(reader(each)) for each in inputs]
    assert_equal(randomized(keras.Model(inputs, layers.Dense(2)(layers.Add()(parts)))), tmp_path)


def test_numbers_that_are_scaled_alike_for_every_sequence(keras, tmp_path):
    """One number for all units: nothing else tells how many there are."""
    layers = keras.layers
    part = keras.Sequential([keras.Input((5, 2)), layers.Rescaling(0.5, 1), layers.LSTM(3)])
    given = keras.Input((3, 5, 2))
    scores = layers.LSTM(4)(layers.TimeDistributed(part)(given))
    assert_equal(randomized(keras.Model(given, scores)), tmp_path)
    assert_equal(
        chain(keras, layers.TimeDistributed(layers.Rescaling(0.1)), layers.LSTM(2)), tmp_path
    )


def test_models_in_models_for_every_sequence(keras, tmp_path):
    """Documents of paragraphs of sentences."""
    layers = keras.layers
    words = in_model(keras, (PART, FEATURES), of_words)
    sentences = keras.Sequential(
        [keras.Input((2, PART, FEATURES)), layers.TimeDistributed(words), layers.GRU(3)]
    )
    body = [layers.TimeDistributed(sentences), layers.LSTM(3), layers.Dense(2)]
    model = chain(keras, *body, shape=(PARTS, 2, PART, FEATURES))
    assert_equal(model, tmp_path, files=EVERY_FORM)


@pytest.mark.parametrize("repeated", ["layer", "model"])
def test_states_that_go_on_from_part_to_part_are_refused(keras, tmp_path, repeated):
    layers = keras.layers
    reader = layers.LSTM(3, stateful=True)
    if repeated == "model":
        reader = keras.Sequential([keras.Input(batch_shape=(BATCH, PART, FEATURES)), reader])
    x = keras.Input(batch_shape=(BATCH, PARTS, PART, FEATURES))
    y = layers.GRU(3, stateful=True)(layers.TimeDistributed(reader)(x))
    refused(keras.Model(x, layers.Dense(2)(y)), tmp_path, "carries states from part to part")


def test_an_embedding_for_every_sequence(keras, tmp_path):
    layers = keras.layers
    x = keras.Input((PARTS, PART), dtype="int32")
    y = layers.TimeDistributed(layers.Embedding(WORDS, FEATURES))(x)
    y = layers.LSTM(3)(layers.TimeDistributed(layers.GRU(3))(y))
    model = randomized(keras.Model(x, layers.Dense(2)(y)))
    ids = np.random.default_rng(3).integers(1, WORDS, (BATCH, PARTS, PART))
    expected = model.predict(ids, verbose=0)
    for file in EVERY_FORM:
        save(model, tmp_path / file)
        found = scores_of(tmp_path / file, [ids.reshape(BATCH, -1)])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        read = load_model(tmp_path / file, None, np.dtype("float64")).model.only_input
        assert read.padding.length == PARTS * PART  # of ids, not of what they are embedded as


def test_relevance_of_words_in_sentences_is_accounted_for(keras, tmp_path):
    layers = keras.layers
    x = keras.Input((PARTS, PART, FEATURES))
    inner = in_model(keras, (PART, FEATURES), of_words)
    y = layers.LSTM(3)(layers.TimeDistributed(inner)(x))
    randomized(keras.Model(x, layers.Dense(2)(y))).save(tmp_path / "model.keras")
    model = lrp.load(tmp_path / "model.keras", dtype="float64")
    values = np.random.default_rng(3).standard_normal((BATCH, PARTS * PART, FEATURES))
    for factor in (0.0, 0.5, 1.0):
        for each in lrp.explain(model, list(values), bias_factor=factor):
            assert each.ledger.relative_residual < 1e-10
            assert np.abs(each.relevance).min() > 0.0


@pytest.mark.parametrize(
    "repeated", ["lstm", "mean", "model", "inside"], ids=lambda name: f"masked {name}"
)
def test_masks_of_the_words_of_sentences_are_refused(keras, tmp_path, repeated):
    """Keras skips them in each sentence, and lrp counts the steps of every one."""
    layers = keras.layers
    x = keras.Input((PARTS, PART), dtype="int32")
    words = layers.Embedding(WORDS, FEATURES, mask_zero=True)
    inner = {
        "lstm": lambda: layers.LSTM(3),
        "mean": lambda: layers.GlobalAveragePooling1D(),
        "model": lambda: in_model(keras, (PART, FEATURES), of_words),
        "inside": lambda: in_model(keras, (PART,), lambda k, x: k.LSTM(3)(words(x)), "int32"),
    }[repeated]()
    y = layers.TimeDistributed(inner)(x if repeated == "inside" else words(x))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(y)))
    refused(model, tmp_path, "(TimeDistributed)", "train without the mask")


def test_a_mask_goes_through_a_model_for_every_step(keras, tmp_path):
    layers = keras.layers
    head = keras.Sequential([keras.Input((FEATURES,)), layers.Dense(3, activation="tanh")])
    x = keras.Input(SEQUENCE)
    y = layers.GRU(3)(layers.TimeDistributed(head)(layers.Masking()(x)))
    model = randomized(keras.Model(x, layers.Dense(2)(y)))
    [ids] = masked_words()
    values = np.random.default_rng(6).standard_normal((*ids.shape, FEATURES)).astype("f4")
    assert agrees_or_is_refused(model, tmp_path, [values * (ids != 0)[..., None]])


def test_a_sequence_that_is_cut_into_sequences(keras, tmp_path):
    """As published for CNN-LSTMs: (steps, features) reshaped to parts."""
    layers = keras.layers
    model = chain(
        keras,
        layers.Reshape((2, STEPS // 2, FEATURES)),
        layers.TimeDistributed(layers.Conv1D(3, 2, activation="relu")),
        layers.TimeDistributed(layers.MaxPooling1D(2)),
        layers.TimeDistributed(layers.Flatten()),
        layers.LSTM(3),
        layers.Dense(2),
    )
    assert_equal(model, tmp_path)


# Graphs: a function from layers and inputs to outputs, and the shapes of the inputs.

SEQUENCE, VECTOR = (STEPS, FEATURES), (FEATURES,)


def permuted_attention(k, x):
    weights = k.Permute((2, 1))(x)
    weights = k.Dense(STEPS, activation="softmax")(weights)
    weights = k.Permute((2, 1))(weights)
    return k.LSTM(3)(k.Multiply()([x, weights]))


def attention_behind(k, x):
    h = k.LSTM(5, return_sequences=True)(x)
    weights = k.Permute((2, 1))(h)
    weights = k.Dense(STEPS, activation="softmax")(weights)
    weights = k.Permute((2, 1))(weights)
    return k.Flatten()(k.Multiply()([h, weights]))


def scored_attention(k, x):
    h = k.Bidirectional(k.LSTM(3, return_sequences=True))(x)
    e = k.Flatten()(k.Dense(1, activation="tanh")(h))
    weights = k.Permute([2, 1])(k.RepeatVector(6)(k.Activation("softmax")(e)))
    return k.GlobalAveragePooling1D()(k.Multiply()([h, weights]))


def scored_by_softmax(k, x):
    h = k.GRU(4, return_sequences=True)(x)
    weights = k.Softmax(axis=1)(k.Dense(1)(h))
    return k.GlobalMaxPooling1D()(k.Multiply()([weights, h]))


def scored_by_dot(k, x):
    h = k.GRU(4, return_sequences=True)(x)
    weights = k.Softmax()(k.Flatten()(k.Dense(1)(h)))
    return k.Dot(axes=1)([weights, h])


def scored_by_dot_of_steps(k, x):
    """As published for translation: of the steps' softmax, and values, along the steps."""
    h = k.GRU(4, return_sequences=True)(x)
    return k.Flatten()(k.Dot(axes=1)([k.Softmax(axis=1)(k.Dense(1)(h)), h]))


def dot_attention(k, x):
    values = k.LSTM(4, return_sequences=True)(x)
    queries = k.LSTM(4, return_sequences=True)(values)
    scores = k.Dot(axes=[2, 2])([queries, values])
    context = k.Dot(axes=[2, 1])([k.Activation("softmax")(scores), values])
    return k.GlobalAveragePooling1D()(k.Concatenate()([context, queries]))


def dot_attention_of_another_length(k, x):
    values = k.LSTM(4, return_sequences=True)(x)
    queries = k.LSTM(4, return_sequences=True)(k.MaxPooling1D(2)(values))
    scores = k.Dot(axes=-1)([queries, values])
    context = k.Dot(axes=(2, 1))([k.Softmax()(scores), values])
    return k.Flatten()(context)


def dot_of_a_vector(k, x):
    h = k.LSTM(4, return_sequences=True)(x)
    scores = k.Dot(axes=[2, 1])([h, k.LSTM(4)(x)])
    return k.Dot(axes=[1, 1])([k.Activation("softmax")(scores), h])


def dot_with_values_first(k, x):
    h = k.LSTM(4, return_sequences=True)(x)
    scores = k.Dot(axes=[1, 2])([k.LSTM(4)(x), h])
    return k.Dot(axes=[1, 1])([h, k.Activation("softmax")(scores)])


def turned_dot(k, x):
    """Keys first: the softmax of keys by queries runs over the second, the queries."""
    one = k.LSTM(4, return_sequences=True)(x)
    other = k.GRU(4, return_sequences=True)(x)
    weights = k.Softmax()(k.Dot(axes=(2, 2))([one, other]))
    return k.Flatten()(k.Dot(axes=(1, 2))([one, weights]))


def returned(kind, **settings):
    def build(k, x):
        layer = getattr(k, kind)
        whole, *states = layer(3, return_state=True, return_sequences=True, **settings)(x)
        decoded = layer(3, return_sequences=True)(k.Dense(2)(whole), initial_state=states)
        return k.Concatenate()([k.GlobalMaxPooling1D()(decoded), *states])

    return build


def both_returned(kind, **settings):
    def build(k, x):
        layer = getattr(k, kind)
        both = k.Bidirectional(layer(3, return_state=True, return_sequences=True), **settings)
        whole, *states = both(x)
        decoded = k.Bidirectional(layer(3))(k.Conv1D(3, 2)(whole), initial_state=states)
        return k.Concatenate()([decoded, *states])

    return build


def joined_states(k, x):
    """A decoder of twice the size begins in both directions' states side by side."""
    whole, fh, fc, bh, bc = k.Bidirectional(k.LSTM(3, return_sequences=True, return_state=True))(x)
    states = [k.Concatenate()([fh, bh]), k.Concatenate()([fc, bc])]
    return k.LSTM(6)(whole, initial_state=states)


def crossed_states(k, x):
    """The cell state where the hidden one belongs, and the other way round."""
    _, h, c = k.LSTM(3, return_state=True)(x)
    return k.LSTM(3)(x, initial_state=[c, h])


def dense_states(k, x):
    h = k.Dense(3, activation="tanh")(k.GlobalAveragePooling1D()(x))
    return k.LSTM(3)(x, initial_state=[h, k.Dense(3)(h)])


def unused_states(kind, wrapped=False, **settings):
    def build(k, x):
        layer = getattr(k, kind)(3, return_state=True, **settings)
        whole, *_ = (k.Bidirectional(layer) if wrapped else layer)(x)
        return k.Flatten()(whole)

    return build


def only_the_state(kind, which, **settings):
    return lambda k, x: getattr(k, kind)(3, return_state=True, **settings)(x)[which]


def both_apart(k, x):
    forward, backward = k.Bidirectional(k.LSTM(3, return_sequences=True), merge_mode=None)(x)
    return k.Concatenate()([k.GRU(2)(forward), k.GlobalMaxPooling1D()(backward)])


def both_apart_last(k, x):
    forward, backward = k.Bidirectional(k.GRU(3), merge_mode=None)(x)
    return k.Subtract()([forward, backward])


def both_of_their_own(k, x):
    return k.Bidirectional(k.LSTM(3), backward_layer=k.LSTM(3, go_backwards=True, name="turned"))(x)


def luong(k, x):
    """Encoder and decoder, general attention, as often published."""
    whole, h, c = k.LSTM(4, return_sequences=True, return_state=True)(x)
    decoded = k.LSTM(4, return_sequences=True)(k.RepeatVector(3)(h), initial_state=[h, c])
    weights = k.Activation("softmax")(k.Dot(axes=[2, 2])([decoded, whole]))
    context = k.Dot(axes=[2, 1])([weights, whole])
    return k.TimeDistributed(k.Dense(3))(k.Concatenate()([context, decoded]))


def residual(k, x):
    y = k.Conv1D(FEATURES, 3, padding="same", activation="relu")(x)
    y = k.LayerNormalization()(k.Add()([x, y]))
    return k.LSTM(3)(k.Maximum()([x, y]))


def transformer(k, x):
    y = k.MultiHeadAttention(2, 3, dropout=0.1)(x, x)
    x = k.LayerNormalization(epsilon=1e-6)(k.Add()([x, y]))
    y = k.Dense(FEATURES)(k.Dense(7, activation="gelu")(x))
    return k.LSTM(3)(k.LayerNormalization()(x + y))


def tcn(k, x):
    for rate in (1, 2):
        y = k.Conv1D(FEATURES, 2, padding="causal", dilation_rate=rate, activation="relu")(x)
        x = k.Activation("relu")(k.Add()([x, k.SpatialDropout1D(0.1)(y)]))
    return k.LSTM(3)(x)


def shared_layer(k, x):
    reader = k.LSTM(FEATURES, return_sequences=True)
    return k.GlobalMaxPooling1D()(reader(k.Conv1D(FEATURES, 1)(reader(x))))


GRAPHS = {
    "permuted_attention": permuted_attention,
    "attention_behind": attention_behind,
    "scored_attention": scored_attention,
    "scored_by_softmax": scored_by_softmax,
    "scored_by_dot": scored_by_dot,
    "scored_by_dot_of_steps": scored_by_dot_of_steps,
    "dot_attention": dot_attention,
    "dot_attention_of_another_length": dot_attention_of_another_length,
    "dot_of_a_vector": dot_of_a_vector,
    "dot_with_values_first": dot_with_values_first,
    "turned_dot": turned_dot,
    "lstm_states": returned("LSTM"),
    "gru_states": returned("GRU"),
    "rnn_states": returned("SimpleRNN"),
    "lstm_states_backwards": returned("LSTM", go_backwards=True),
    "gru_states_backwards": returned("GRU", go_backwards=True),
    "both_lstm_states": both_returned("LSTM"),
    "both_gru_states": both_returned("GRU"),
    "both_rnn_states": both_returned("SimpleRNN"),
    "joined_states": joined_states,
    "crossed_states": crossed_states,
    "dense_states": dense_states,
    "unused_lstm_states": unused_states("LSTM"),
    "unused_gru_states": unused_states("GRU", return_sequences=True),
    "unused_states_backwards": unused_states("GRU", return_sequences=True, go_backwards=True),
    "unused_states_of_both": unused_states("LSTM", wrapped=True),
    "unused_states_of_both_gru": unused_states("GRU", wrapped=True, return_sequences=True),
    "only_hidden": only_the_state("LSTM", 1, return_sequences=True),
    "only_cell": only_the_state("LSTM", 2),
    "only_cell_backwards": only_the_state("LSTM", 2, go_backwards=True, return_sequences=True),
    "only_gru_state": only_the_state("GRU", 1, return_sequences=True),
    "both_apart": both_apart,
    "both_apart_last": both_apart_last,
    "both_of_their_own": both_of_their_own,
    "luong": luong,
    "residual": residual,
    "transformer": transformer,
    "tcn": tcn,
    "shared_layer": shared_layer,
    "attention": lambda k, x: k.LSTM(3)(k.Attention()([x, k.Conv1D(FEATURES, 2)(x)])),
    "attention_scaled": lambda k, x: k.LSTM(3)(
        k.Attention(use_scale=True)([x, k.Dense(FEATURES)(x), k.Dense(FEATURES)(x)])
    ),
    "attention_causal": lambda k, x: k.LSTM(3)(k.Attention()([x, x], use_causal_mask=True)),
    "additive": lambda k, x: k.LSTM(3)(k.AdditiveAttention()([x, k.Dense(FEATURES)(x)])),
    "additive_unscaled": lambda k, x: k.LSTM(3)(k.AdditiveAttention(use_scale=False)([x, x])),
    "heads": lambda k, x: k.LSTM(3)(k.MultiHeadAttention(2, 3)(x, x)),
    "heads_causal": lambda k, x: k.LSTM(3)(k.MultiHeadAttention(3, 2)(x, x, use_causal_mask=True)),
    "heads_crossed": lambda k, x: k.LSTM(3)(
        k.MultiHeadAttention(2, 3, value_dim=5, use_bias=False)(x, k.Conv1D(6, 3)(x))
    ),
    "heads_named": lambda k, x: k.LSTM(3)(
        k.MultiHeadAttention(2, 3)(query=x, key=k.Dense(5)(x), value=k.Dense(6)(x))
    ),
    "heads_output_shape": lambda k, x: k.LSTM(3)(k.MultiHeadAttention(2, 3, output_shape=7)(x, x)),
    "subtract": lambda k, x: k.LSTM(3)(k.Subtract()([k.Dense(3)(x), k.Dense(3)(x)])),
    "average": lambda k, x: k.GRU(3)(k.Average()([x, k.Dense(FEATURES)(x), x])),
    "maximum": lambda k, x: k.Maximum()([k.LSTM(3)(x), k.GRU(3)(x)]),
    "multiply": lambda k, x: k.Multiply()([k.LSTM(3)(x), k.GRU(3)(x)]),
    "broadcast": lambda k, x: k.LSTM(3)(k.Multiply()([x, k.Dense(1, activation="sigmoid")(x)])),
    "concatenated": lambda k, x: k.LSTM(3)(k.Concatenate()([x, k.Conv1D(2, 3, padding="same")(x)])),
    "dot_of_vectors": lambda k, x: k.Dot(axes=1)([k.LSTM(3)(x), k.GRU(3)(x)]),
    "cosine": lambda k, x: k.Dot(axes=1, normalize=True)([k.LSTM(3)(x), k.GRU(3)(x)]),
}  # fmt: skip


def graph(keras, build, *shapes):
    inputs = [
        keras.Input(shape, name=f"in_{number}", dtype="int32" if len(shape) == 1 and shape[0] in
                    (STEPS, None) else "float32")
        for number, shape in enumerate(shapes)
    ]  # fmt: skip
    made = build(keras.layers, *inputs)
    outputs = keras.layers.Dense(2)(made)
    return randomized(keras.Model(inputs, outputs))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph(keras, tmp_path, name):
    assert_equal(graph(keras, GRAPHS[name], SEQUENCE), tmp_path)


# What has weights of its own, in files of weights alone too.

WEIGHED = [
    *("gru", "gru_before", "gru_unbiased", "gru_both", "gru_both_before", "rnn", "rnn_both"),
    *("prelu", "group_norm", "layer_norm_scale", "separable", "separable_stride", "depthwise"),
]
WEIGHED_GRAPHS = [
    *("attention_scaled", "additive", "heads", "heads_crossed", "heads_named", "transformer"),
    *("both_of_their_own", "both_gru_states", "luong", "shared_layer"),
]


@pytest.mark.parametrize("name", WEIGHED)
def test_weights_beside_an_architecture(keras, tmp_path, name):
    layers = keras.layers
    model = chain(keras, *BEFORE[name](layers), layers.LSTM(3), layers.Dense(2))
    assert_equal(model, tmp_path, files=EVERY_FORM)


ALONE = {
    "gru": BEFORE["gru"],
    "gru_before": BEFORE["gru_before"],
    "gru_both": BEFORE["gru_both"],
    "rnn": BEFORE["rnn"],
    "rnn_both": lambda k: [k.Bidirectional(k.SimpleRNN(3, return_sequences=True))],
}


@pytest.mark.parametrize("name", ALONE)
def test_weights_of_a_chain_alone(keras, tmp_path, name):
    """Shapes tell the cells, and what they do not tell is Keras's default."""
    layers = keras.layers
    model = chain(keras, *ALONE[name](layers), layers.LSTM(4), layers.Dense(2))
    model.save_weights(tmp_path / "model.weights.h5")
    [values] = given(model)
    expected = outputs_of(model, [values])
    with pytest.warns(UserWarning, match="gives its last hidden state"):
        read = lrp.load(tmp_path / "model.weights.h5")
    found = [each.scores for each in lrp.predict(read, list(values))]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WEIGHED_GRAPHS)
def test_weights_of_a_graph_beside_its_architecture(keras, tmp_path, name):
    assert_equal(graph(keras, GRAPHS[name], SEQUENCE), tmp_path, files=("model.weights.h5",))


def test_two_attentions_of_the_same_sizes_keep_their_own_weights(keras, tmp_path):
    def build(k, x):
        return k.LSTM(3)(k.MultiHeadAttention(2, 3)(x, k.MultiHeadAttention(2, 3)(x, x)))

    assert_equal(graph(keras, build, SEQUENCE), tmp_path, files=EVERY_FORM)


# Several inputs.


def siamese(k, one, other):
    reader = k.Bidirectional(k.LSTM(3))
    return k.Subtract()([reader(one), reader(other)])


def siamese_words(k, one, other):
    words, reader = k.Embedding(WORDS, 3), k.GRU(3)
    return k.Concatenate()([reader(words(one)), reader(words(other))])


def encoder_decoder(k, one, other):
    _, *states = k.LSTM(3, return_state=True)(one)
    return k.LSTM(3, return_sequences=True)(other, initial_state=states)


def cross(k, one, other):
    return k.LSTM(3)(k.MultiHeadAttention(2, 3)(one, k.Conv1D(5, 2)(other)))


SEVERAL = {
    "siamese": (siamese, SEQUENCE, SEQUENCE),
    "siamese_words": (siamese_words, (None,), (None,)),
    "encoder_decoder": (encoder_decoder, SEQUENCE, (5, 2)),
    "encoder_decoder_any_length": (encoder_decoder, (None, 3), (None, 2)),
    "vector": (lambda k, x, v: k.Concatenate()([k.GRU(3)(x), v]), SEQUENCE, VECTOR),
    "vector_first": (lambda k, v, x: k.Concatenate()([k.LSTM(3)(x), k.Dense(2)(v)]), VECTOR,
                     SEQUENCE),
    "vector_begins": (lambda k, x, v: k.GRU(4)(x, initial_state=v), SEQUENCE, VECTOR),
    "vector_repeated": (
        lambda k, x, v: k.LSTM(3)(k.Concatenate()([x, k.RepeatVector(STEPS)(k.Dense(3)(v))])),
        SEQUENCE,
        VECTOR,
    ),
    "attention": (
        lambda k, one, other: k.LSTM(3)(k.Attention()([one, other])), SEQUENCE, (5, FEATURES)
    ),
    "additive": (
        lambda k, one, other: k.LSTM(3)(k.AdditiveAttention()([one, other])), SEQUENCE,
        (5, FEATURES)
    ),
    "cross": (cross, SEQUENCE, (6, 3)),
    "three": (
        lambda k, a, b, v: k.Concatenate()(
            [k.LSTM(3)(a), k.GlobalMaxPooling1D()(k.Dense(3)(b)), v]
        ),
        SEQUENCE, (5, 2), VECTOR,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_several_inputs(keras, tmp_path, name):
    build, *shapes = SEVERAL[name]
    assert_equal(graph(keras, build, *shapes), tmp_path)


@pytest.mark.parametrize("inner", ["chain", "graph"])
def test_a_shared_model_inside_the_model(keras, tmp_path, inner):
    layers = keras.layers
    x = keras.Input(SEQUENCE)
    body = [layers.Conv1D(4, 3, activation="relu"), layers.LSTM(3), layers.Dense(4)]
    if inner == "chain":
        reader = keras.Sequential([keras.Input(SEQUENCE), *body])
    else:
        y = x
        for layer in body:
            y = layer(y)
        reader = keras.Model(x, layers.Add()([y, layers.Dense(4)(y)]))

    def build(k, one, other):
        return k.Subtract()([reader(one), reader(other)])

    assert_equal(graph(keras, build, SEQUENCE, SEQUENCE), tmp_path)


def test_a_model_of_several_inputs_inside_the_model(keras, tmp_path):
    layers = keras.layers
    one, other = keras.Input(SEQUENCE), keras.Input(SEQUENCE)
    inner = keras.Model([one, other], layers.Maximum()([layers.LSTM(3)(one), layers.GRU(3)(other)]))
    assert_equal(graph(keras, lambda k, a, b: inner([b, a]), SEQUENCE, SEQUENCE), tmp_path)


def test_several_outputs(keras, tmp_path):
    layers = keras.layers
    x = keras.Input(SEQUENCE)
    whole, h = layers.GRU(3, return_state=True, return_sequences=True)(x)
    outputs = [layers.Dense(2)(layers.Flatten()(whole)), layers.Dense(3)(h)]
    assert_equal(randomized(keras.Model(x, outputs)), tmp_path)


# Masks. Each of these is computed as Keras does, or refused by the name of a layer.


def masked_words():
    rng = np.random.default_rng(5)
    ids = rng.integers(1, WORDS, (BATCH, STEPS))
    ids[0, :3] = ids[1, -2:] = ids[2, 4] = 0
    return [ids]


def agrees_or_is_refused(model, folder, arrays):
    """Whether it agrees; that it is refused for another reason than its mask is an error."""
    try:
        assert_equal(model, folder, arrays)
    except UnusableInput as error:
        told = str(error)
    else:
        return True
    assert "mask" in told
    assert "layer `" in told
    return False


MASKED = {
    # Layers that Keras masks, or that pass the mask on to one.
    "gru": (lambda k, x: k.GRU(3)(x), True),
    "gru_before": (lambda k, x: k.GRU(3, reset_after=False)(x), True),
    "gru_both": (lambda k, x: k.Bidirectional(k.GRU(3))(x), True),
    "gru_backwards": (lambda k, x: k.GRU(3, go_backwards=True)(x), True),
    "rnn": (lambda k, x: k.SimpleRNN(3)(x), True),
    "rnn_steps": (lambda k, x: k.SimpleRNN(3)(k.SimpleRNN(3, return_sequences=True)(x)), True),
    "norm": (lambda k, x: k.LSTM(3)(k.LayerNormalization()(x)), True),
    "prelu": (lambda k, x: k.LSTM(3)(k.PReLU(shared_axes=[1])(x)), True),
    "leaky": (lambda k, x: k.LSTM(3)(k.LeakyReLU()(x)), True),
    "distributed": (lambda k, x: k.LSTM(3)(k.TimeDistributed(k.Dense(3))(x)), True),
    "mean": (lambda k, x: k.GlobalAveragePooling1D()(k.LSTM(3, return_sequences=True)(x)), True),
    # Layers that drop it, before any that would use it.
    "conv": (lambda k, x: k.LSTM(3)(k.Conv1D(4, 3)(x)), True),
    "conv_same": (lambda k, x: k.LSTM(3)(k.Conv1D(4, 3, padding="same")(x)), True),
    "pool": (lambda k, x: k.LSTM(3)(k.MaxPooling1D(2)(x)), True),
    "conv_mean": (lambda k, x: k.GlobalAveragePooling1D()(
        k.LSTM(3, return_sequences=True)(k.Conv1D(4, 3)(x))), True),
    "flatten_only": (lambda k, x: k.LSTM(3)(k.Reshape((STEPS // 2, -1))(x)), True),
    # What lrp cannot compute, or only sometimes can.
    "group_norm": (lambda k, x: k.LSTM(3)(k.GroupNormalization(2)(x)), None),
    "conv_behind": (lambda k, x: k.GlobalMaxPooling1D()(
        k.Conv1D(4, 3)(k.LSTM(3, return_sequences=True)(x))), False),
    "flatten": (lambda k, x: k.Flatten()(k.LSTM(3, return_sequences=True)(x)), False),
    "permute": (lambda k, x: k.LSTM(3)(k.Permute((2, 1))(k.LSTM(3, return_sequences=True)(x))),
                False),
    "pool_behind": (lambda k, x: k.GRU(3)(k.MaxPooling1D(2)(k.GRU(3, return_sequences=True)(x))),
                    False),
    "max": (lambda k, x: k.GlobalMaxPooling1D()(k.LSTM(3, return_sequences=True)(x)), False),
    "both_ways": (lambda k, x: k.Concatenate()([k.LSTM(3)(x), k.GlobalMaxPooling1D()(
        k.Conv1D(4, 3)(x))]), False),
    "scored": (scored_attention, False),
    "dot": (dot_attention, False),
    "attention": (lambda k, x: k.LSTM(3)(k.Attention()([x, x])), None),
    "attention_behind": (lambda k, x: k.GlobalAveragePooling1D()(
        k.Attention()([k.GRU(3, return_sequences=True)(x)] * 2)), None),
    "additive": (lambda k, x: k.LSTM(3)(k.AdditiveAttention()([x, x])), None),
    "heads": (lambda k, x: k.LSTM(3)(k.MultiHeadAttention(2, 3)(x, x)), None),
    "attention_max": (lambda k, x: k.GlobalMaxPooling1D()(
        k.Attention()([k.GRU(3, return_sequences=True)(x)] * 2)), None),
    "states": (returned("GRU"), None),
    "lstm_states": (returned("LSTM"), None),
    "decoder": (lambda k, x: k.GRU(2)(k.RepeatVector(3)(k.GRU(3)(x))), True),
    "backwards": (lambda k, x: k.GRU(2)(k.GRU(3, return_sequences=True, go_backwards=True)(x)),
                  False),
    "distributed_norm": (lambda k, x: k.GRU(2)(k.TimeDistributed(k.LayerNormalization())(x)), True),
    "residual": (lambda k, x: k.GRU(2)(k.Add()([x, k.GRU(FEATURES, return_sequences=True)(x)])),
                 True),
    "residual_conv": (lambda k, x: k.GRU(2)(k.Add()([x, k.Conv1D(FEATURES, 1)(x)])), None),
    "subtract": (lambda k, x: k.GRU(2)(k.Subtract()([x, k.Dense(FEATURES)(x)])), None),
    "maximum": (lambda k, x: k.GRU(2)(k.Maximum()([x, k.Dense(FEATURES)(x)])), None),
    "multiply": (lambda k, x: k.GRU(2)(k.Multiply()([x, k.Dense(FEATURES)(x)])), None),
}  # fmt: skip


@pytest.mark.parametrize("chained", [False, True], ids=["masking", "embedding"])
@pytest.mark.parametrize("name", MASKED)
def test_a_mask(keras, tmp_path, name, chained):
    layers = keras.layers
    build, agrees = MASKED[name]
    [ids] = masked_words()
    if chained:
        arrays, x = [ids], keras.Input((STEPS,), dtype="int32")
        y = layers.Embedding(WORDS, FEATURES, mask_zero=True)(x)
    else:
        rng = np.random.default_rng(6)
        values = rng.standard_normal((*ids.shape, FEATURES)).astype("f4") * (ids != 0)[..., None]
        arrays, x = [values], keras.Input(SEQUENCE)
        y = layers.Masking()(x)
    model = randomized(keras.Model(x, layers.Dense(2)(build(layers, y))))
    found = agrees_or_is_refused(model, tmp_path, arrays)
    assert agrees is None or found is agrees


# What cannot be right is refused by the layer's name.

REFUSED = {
    "prelu_by_step": (lambda k, x: k.LSTM(3)(k.PReLU()(x)), "shared_axes=[1]"),
    "concatenated_steps": (lambda k, x: k.LSTM(3)(k.Concatenate(axis=1)([x, x])), "axis 1"),
    "squeezed": (
        lambda k, x: k.LSTM(3)(
            k.Multiply()([x, k.Reshape((1, FEATURES))(k.GlobalAveragePooling1D()(x))])
        ),
        "steps",
    ),
    "added_to_one": (lambda k, x: k.LSTM(3)(k.Add()([x, k.Dense(1)(x)])), "expected as many"),
    "softmax_over_queries": (
        lambda k, x: k.LSTM(3)(k.Dot(axes=(2, 1))([k.Softmax(axis=1)(k.Dot(axes=2)([x, x])), x])),
        "expected a softmax over the keys",
    ),
    "no_softmax": (
        lambda k, x: k.LSTM(3)(k.Dot(axes=(2, 1))([k.Dot(axes=2)([x, x]), x])),
        "expected",
    ),
    "fit_to_dense": (
        lambda k, x: k.LSTM(3)(k.Dense(3)(k.Softmax()(k.Dot(axes=2)([x, x])))),
        "products of queries and keys",
    ),
    "rms": (lambda k, x: k.LSTM(3)(k.RMSNormalization()(x)), "is not a layer"),
    "transposed": (lambda k, x: k.LSTM(3)(k.Conv1DTranspose(3, 2)(x)), "nor has a mapping"),
    "merged_states": (
        lambda k, x: k.Concatenate()(
            k.Bidirectional(k.LSTM(3, return_state=True), merge_mode="sum")(x)[:2]
        ),
        "expected concat",
    ),
    "batch_norm_of_steps": (lambda k, x: k.LSTM(3)(k.BatchNormalization(axis=1)(x)), "axis 1"),
    "norm_of_steps": (lambda k, x: k.LSTM(3)(k.LayerNormalization(axis=1)(x)), "axis 1"),
    "softmax_activation": (lambda k, x: k.GRU(3, activation="softmax")(x), "softmax"),
    "tanh_gates": (lambda k, x: k.GRU(3, recurrent_activation="tanh")(x), "recurrent activation"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(keras, tmp_path, name):
    build, part = REFUSED[name]
    refused(graph(keras, build, SEQUENCE), tmp_path, "layer `", part, files=("model.keras",))


# Layers of every kind in a random order.

COUNT = 24


@pytest.mark.parametrize("seed", range(COUNT))
def test_layers_in_any_order(keras, tmp_path, seed):
    rng = np.random.default_rng(seed)
    layers = keras.layers
    # What needs more steps than may be left, or reads another shape, has tests of its own.
    names = [
        name for name in BEFORE
        if not name.startswith(("conv_valid", "conv_groups", "depthwise", "separable", "crop"))
        and not name.startswith(("permute", "reshape", "softmax", "group_norm", "max", "mean"))
    ]  # fmt: skip
    x = y = keras.Input(SEQUENCE)
    y = layers.Dense(FEATURES)(y)
    for name in rng.choice(names, 4, replace=False):
        before = y
        for layer in BEFORE[name](layers):
            y = layer(y)
        if y.shape == before.shape and rng.random() < 0.5:
            y = layers.Add()([y, before])
        elif y.shape[1] == before.shape[1] and rng.random() < 0.3:
            y = layers.Concatenate()([before, y])
        if rng.random() < 0.2:
            y = layers.Attention()([y, layers.Dense(y.shape[-1])(before)])
    y = layers.LSTM(3)(y)
    assert_equal(randomized(keras.Model(x, layers.Dense(2)(y))), tmp_path)


# `lrp check --against keras` runs what lrp reads.


@pytest.mark.parametrize(
    "name", ["conv_same", "gru_both", "rnn", "layer_norm", "max_pool", "prelu", "reshape_wider"]
)
def test_check_runs_keras_on_the_file(keras, run, tmp_path, name):
    layers = keras.layers
    chain(keras, *BEFORE[name](layers), layers.LSTM(3), layers.Dense(2)).save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", np.random.default_rng(7).standard_normal((3, *SEQUENCE)))
    result = run("check", tmp_path / "m.keras", tmp_path / "x.npy", "--against", "keras")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["heads", "luong", "dot_attention", "both_lstm_states"])
def test_check_runs_keras_on_a_graph(keras, run, tmp_path, name):
    graph(keras, GRAPHS[name], SEQUENCE).save(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", np.random.default_rng(7).standard_normal((3, *SEQUENCE)))
    result = run("check", tmp_path / "m.keras", tmp_path / "x.npy", "--against", "keras")
    assert result.exit_code == 0, result.output


def test_check_runs_keras_on_sequences_of_sequences(keras, run, tmp_path):
    layers = keras.layers
    body = [*DISTRIBUTED["conv"](layers), layers.LSTM(3), layers.Dense(2)]
    chain(keras, *body, shape=(PARTS, PART, FEATURES)).save(tmp_path / "m.keras")
    values = np.random.default_rng(7).standard_normal((3, PARTS * PART, FEATURES))
    np.save(tmp_path / "x.npy", values)
    result = run("check", tmp_path / "m.keras", tmp_path / "x.npy", "--against", "keras")
    assert result.exit_code == 0, result.output


def test_check_says_what_is_done_about_several_inputs(keras, run, tmp_path):
    build, *shapes = SEVERAL["vector"]
    graph(keras, build, *shapes).save(tmp_path / "m.keras")
    line = {"in_0": np.ones(SEQUENCE).tolist(), "in_1": np.ones(VECTOR).tolist()}
    (tmp_path / "x.jsonl").write_text(json.dumps(line) + "\n")
    result = run("check", tmp_path / "m.keras", tmp_path / "x.jsonl", "--against", "keras")
    assert result.exit_code == 3, result.output
    assert "--expected scores.npy" in result.stderr


# Masks of several inputs: those of an encoder and a decoder over words, padded behind.


def begun(kind, **settings):
    """A decoder that begins in the states in which the encoder ends."""

    def build(k, one, other):
        layer = getattr(k, kind)
        _, *states = layer(5, return_state=True)(one)
        return layer(5, return_sequences=True, **settings)(other, initial_state=states)

    return build


def attending(attention, kind="LSTM"):
    """The same with attention over the encoder's steps, as published for translation."""

    def build(k, one, other):
        layer = getattr(k, kind)
        whole, *states = layer(5, return_sequences=True, return_state=True)(one)
        decoded = layer(5, return_sequences=True)(other, initial_state=states)
        return k.Concatenate()([decoded, attention(k)([decoded, whole])])

    return build


def by_both_directions(k, one, other):
    reader = k.Bidirectional(k.LSTM(3, return_sequences=True, return_state=True))
    whole, fh, fc, bh, bc = reader(one)
    states = [k.Concatenate()([fh, bh]), k.Concatenate()([fc, bc])]
    decoded = k.LSTM(6, return_sequences=True)(other, initial_state=states)
    return k.Concatenate()([decoded, k.AdditiveAttention()([decoded, whole])])


def attended_apart(k, one, other):
    """Attention of what begins in no states, so that all of it is masked."""
    whole = k.GRU(4, return_sequences=True)(one)
    decoded = k.GRU(4, return_sequences=True)(other)
    return k.GlobalAveragePooling1D()(k.Attention()([decoded, whole]))


def attended_by_heads(k, one, other):
    whole = k.Bidirectional(k.LSTM(3, return_sequences=True))(one)
    return k.MultiHeadAttention(2, 3)(k.LSTM(4, return_sequences=True)(other), whole)


TRANSLATING = {
    "states": begun("LSTM"),
    "gru_states": begun("GRU"),
    "rnn_states": begun("SimpleRNN"),
    "attention": attending(lambda k: k.Attention(use_scale=True)),
    "additive": attending(lambda k: k.AdditiveAttention(), "GRU"),
    "both_directions": by_both_directions,
    "apart": attended_apart,
    "heads": attended_by_heads,
    "backwards": begun("LSTM", go_backwards=True),
}


def padded(lengths, steps, seed):
    """Ids of sequences of those lengths, with padding behind."""
    ids = np.random.default_rng(seed).integers(1, WORDS, (len(lengths), steps))
    return ids * (np.arange(steps) < np.array(lengths)[:, np.newaxis])


@pytest.mark.parametrize("masks", [(True, True), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("name", TRANSLATING)
def test_masks_of_an_encoder_and_a_decoder(keras, tmp_path, name, masks):
    """What is padding to lrp has no scores; all else has Keras's."""
    layers = keras.layers
    inputs = [keras.Input((None,), dtype="int32", name=f"words_{k}") for k in (1, 2)]
    embedded = [
        layers.Embedding(WORDS, FEATURES, mask_zero=masked)(each)
        for each, masked in zip(inputs, masks, strict=True)
    ]
    built = TRANSLATING[name](layers, *embedded)
    model = randomized(keras.Model(inputs, layers.Dense(3, activation="softmax")(built)))
    arrays = [padded([8, 5, 3], 8, 1), padded([4, 6, 2], 6, 2)]
    expected = outputs_of(model, arrays)
    for file in ("model.keras", "model.h5"):
        model.save(tmp_path / file)
        found = scores_of(tmp_path / file, arrays)
        for own, whole, ids in zip(found, expected, arrays[1], strict=True):
            skipped = whole.ndim == 2 and len(own) < len(whole)
            assert not skipped or masks[1]
            kept = whole[ids != 0] if skipped else whole
            assert own.shape == kept.shape
            np.testing.assert_allclose(own, kept, rtol=1e-5, atol=1e-5)


def test_a_decoder_that_is_given_no_mask_is_told_of(keras, tmp_path):
    """Its padding is skipped by what follows, and read by itself."""
    layers = keras.layers
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in ("source", "target")]
    embedded = [layers.Embedding(WORDS, 5, mask_zero=True)(each) for each in inputs]
    built = attending(lambda k: k.Attention())(layers, *embedded)
    keras.Model(inputs, layers.Dense(2)(built)).save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="`target` is padded behind and nowhere else: Keras 3"):
        lrp.load(tmp_path / "model.keras")


OWN_MASKS = {
    "that of the other input": lambda ops, one, other: ops.not_equal(other, 0),
    "another number": lambda ops, one, other: ops.not_equal(one, 1),
    "both": lambda ops, one, other: ops.logical_and(ops.not_equal(one, 0), ops.not_equal(other, 0)),
    "none at all": lambda ops, one, other: ops.ones_like(one, dtype="bool"),
    "turned": lambda ops, one, other: ops.equal(one, 0),
    "of whole sequences": lambda ops, one, other: ops.expand_dims(
        ops.any(ops.not_equal(one, 0), axis=-1), -1
    ),
    "over the steps": lambda ops, one, other: ops.any(
        ops.expand_dims(ops.not_equal(one, 0), -1), axis=1
    ),
}


@pytest.mark.parametrize("name", OWN_MASKS)
def test_a_mask_that_is_another_is_refused(keras, tmp_path, name):
    layers = keras.layers
    one, other = (keras.Input((STEPS,), dtype="int32", name=f"words_{k}") for k in (1, 2))
    masked = layers.Embedding(WORDS, FEATURES, mask_zero=True)
    embedded = masked(one), layers.Embedding(WORDS, 2, mask_zero=True)(other)
    mask = OWN_MASKS[name](keras.ops, one, other)
    read = layers.GRU(3)(embedded[0], mask=mask), layers.LSTM(3)(embedded[1])
    model = keras.Model([one, other], layers.Dense(2)(layers.Concatenate()(read)))
    refused(model, tmp_path, "layer `gru` (GRU)", "mask", files=("model.keras", "model.h5"))


def test_the_mask_that_a_layer_has_may_be_given_by_hand(keras, tmp_path):
    layers = keras.layers
    [ids] = masked_words()
    words = keras.Input((STEPS,), dtype="int32")
    embedded = layers.Embedding(WORDS, FEATURES, mask_zero=True)(words)
    read = layers.GRU(3)(embedded, mask=keras.ops.not_equal(words, 0))
    assert_equal(randomized(keras.Model(words, layers.Dense(2)(read))), tmp_path, [ids])


def test_steps_that_are_masked_each_by_their_own_are_not_put_together(keras, tmp_path):
    layers = keras.layers
    words = [keras.Input((STEPS,), dtype="int32", name=f"words_{k}") for k in (1, 2)]
    embedded = [layers.Embedding(WORDS, FEATURES, mask_zero=True)(each) for each in words]
    model = keras.Model(words, layers.Dense(2)(layers.GRU(3)(layers.Add()(embedded))))
    refused(model, tmp_path, "layer `add` (Add)", "masked by more than one")
    looking_back = layers.Attention()(embedded, use_causal_mask=True)
    model = keras.Model(words, layers.Dense(2)(layers.GRU(3)(looking_back)))
    refused(model, tmp_path, "(Attention)", "masked by more than one")


def test_masked_inputs_of_one_layer(keras, tmp_path):
    layers = keras.layers
    [ids] = masked_words()
    words = [keras.Input((STEPS,), dtype="int32", name=f"words_{k}") for k in (1, 2)]
    embedding, reader = layers.Embedding(WORDS, FEATURES, mask_zero=True), layers.GRU(3)
    parts = [reader(embedding(each)) for each in words]
    model = randomized(keras.Model(words, layers.Dense(2)(layers.Subtract()(parts))))
    assert_equal(model, tmp_path, [ids, ids[::-1].copy()])
