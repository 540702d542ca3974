"""What Keras 3 computes live, `lrp check` reproduces from every kind of file that it saves."""

import numpy as np
import pytest
from models import json_lines

VOCABULARY = 15
FEATURES = 3
LENGTHS = (1, 2, 6, 11)

# Keras calls its own .h5 files legacy, and NumPy's newest release deprecates what it calls.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def keras(framework):
    keras = framework("keras")
    keras.utils.set_random_seed(1)
    return keras


def with_random_weights(model):
    rng = np.random.default_rng(2)
    # Nothing below zero, for variances are among them.
    model.set_weights([rng.uniform(0.1, 0.9, w.shape) * rng.choice([1, -1]) ** (w.ndim > 1)
                       * np.where(w.ndim > 1, rng.choice([1, -1], w.shape), 1)
                       for w in model.get_weights()])  # fmt: skip
    return model


class Agreement:
    """Runs a Keras model on sequences, and `lrp check` on the file that was saved."""

    def __init__(self, run, folder, model, lengths=LENGTHS, padded=0, gaps=()):
        self.run, self.folder, self.model = run, folder, model
        rng = np.random.default_rng(3)
        takes_tokens = len(model.inputs[0].shape) == 2
        sequences = [
            rng.integers(1, VOCABULARY, length)
            if takes_tokens
            else rng.standard_normal((length, FEATURES)).astype(np.float32)
            for length in lengths
        ]
        for sequence, steps in zip(sequences, gaps, strict=bool(gaps)):
            sequence[list(steps)] = 0
        outputs = []
        for sequence in sequences:
            missing = max(padded - len(sequence), 0)
            widths = [(missing, 0)] + [(0, 0)] * (sequence.ndim - 1)
            found = model.predict(np.pad(sequence, widths)[np.newaxis], verbose=0)
            found = found if isinstance(found, list) else [found]
            outputs.append(np.concatenate([each[0] for each in found], axis=-1).tolist())
        lines = "".join(f'{{"scores": {each}}}\n' for each in outputs)
        (folder / "outputs.jsonl").write_text(lines)
        key = "tokens" if takes_tokens else "values"
        lines = "".join(f'{{"{key}": {each.tolist()}}}\n' for each in sequences)
        (folder / "input.jsonl").write_text(lines)

    def check(self, file, *options):
        return self.run(
            *("check", self.folder / file, self.folder / "input.jsonl", "--target", "all"),
            *("--expected", self.folder / "outputs.jsonl", *options),
        )

    def assert_saved(self, *options, files=("model.keras", "model.h5")):
        for file in files:
            self.model.save(self.folder / file)
            result = self.check(file, *options)
            assert result.exit_code == 0, f"{file}: {result.output}"


# Every format x directions and depth x biases x sigmoid of the gates.


def reader(layers, kind, **settings):
    def lstm(units, **more):
        return layers.LSTM(units, **settings, **more)

    return {
        "forward": [lstm(4)],
        "bidirectional": [layers.Bidirectional(lstm(4))],
        "stacked": [layers.Bidirectional(lstm(4, return_sequences=True)), lstm(3)],
    }[kind]


@pytest.mark.parametrize("sigmoid", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("bias", [True, False], ids=["biased", "unbiased"])
@pytest.mark.parametrize("kind", ["forward", "bidirectional", "stacked"])
@pytest.mark.parametrize("file", ["model.keras", "model.h5", "model.weights.h5"])
def test_every_format_agrees(run, keras, tmp_path, file, kind, bias, sigmoid):
    layers = keras.layers
    settings = {"use_bias": bias, "recurrent_activation": sigmoid}
    model = with_random_weights(
        keras.Sequential(
            [
                keras.Input((None,)),
                layers.Embedding(VOCABULARY, 5),
                *reader(layers, kind, **settings),
                layers.Dense(3, use_bias=bias),
            ]
        )
    )
    agreement = Agreement(run, tmp_path, model)
    options = []
    if file == "model.weights.h5":
        model.save_weights(tmp_path / file)
        if sigmoid == "hard_sigmoid":  # which weights alone do not say
            model.save(tmp_path / "model.keras")
            written = tmp_path / "written.yaml"
            run("inspect", tmp_path / "model.keras", "--write-mapping", written)
            options = ["--mapping", written]
            assert agreement.check(file).exit_code == 1
    else:
        model.save(tmp_path / file)
    result = agreement.check(file, *options)
    assert result.exit_code == 0, result.output


# Layers, one behind the other, on tokens


def chains(layers):
    """Layers behind the embedding, by name."""
    lstm, bidirectional = layers.LSTM, layers.Bidirectional
    return {
        "softmax": [lstm(4), layers.Dense(3, "softmax")],
        "merged by sum": [bidirectional(lstm(4), merge_mode="sum"), layers.Dense(3)],
        "merged by mean": [bidirectional(lstm(4), merge_mode="ave"), layers.Dense(3)],
        "merged by product": [bidirectional(lstm(4), merge_mode="mul"), layers.Dense(3)],
        "silent layers": [
            layers.SpatialDropout1D(0.5),
            bidirectional(lstm(4, return_sequences=True)),
            layers.Dropout(0.5),
            lstm(3),
            layers.GaussianNoise(0.1),
            layers.Dense(1, "sigmoid"),
        ],
        "mean": [
            lstm(4, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(5, "relu"),
            layers.Dense(2),
            layers.Activation("softmax"),
        ],
        "maximum": [lstm(4, return_sequences=True), layers.GlobalMaxPooling1D(), layers.Dense(2)],
        "backward": [lstm(4, go_backwards=True), layers.Dense(3)],
        "backward, all steps": [
            lstm(4, go_backwards=True, return_sequences=True),
            lstm(3),
            layers.Dense(3),
        ],
        "dense by step": [
            layers.TimeDistributed(layers.Dense(4, "tanh")),
            lstm(4),
            layers.Flatten(),
            layers.Dense(3),
        ],
        "normalized": [
            lstm(4, return_sequences=True),
            layers.BatchNormalization(),
            lstm(4),
            layers.BatchNormalization(scale=False),
            layers.Dense(3),
            layers.BatchNormalization(center=False, epsilon=0.01),
        ],
        "activations": [
            lstm(4),
            layers.Dense(4),
            layers.ReLU(),
            layers.Dense(4, "silu"),
            layers.Dense(4, "softplus"),
            layers.Dense(4),
            layers.ELU(),
            layers.Dense(4, "selu"),
            layers.Dense(4, "relu6"),
            layers.Dense(4, "hard_sigmoid"),
            layers.Dense(2),
            layers.Softmax(),
        ],
        "masked": [lstm(4, return_sequences=True), lstm(4), layers.Dense(3)],
    }


CHAINS = [
    *("softmax", "merged by sum", "merged by mean", "merged by product", "silent layers", "mean"),
    *("maximum", "backward", "backward, all steps", "dense by step", "normalized", "activations"),
    "masked",
]


@pytest.mark.parametrize("name", CHAINS)
def test_chains_agree(run, keras, tmp_path, name):
    model = keras.Sequential(
        [
            keras.Input((None,)),
            keras.layers.Embedding(VOCABULARY, 5, mask_zero=name == "masked"),
            *chains(keras.layers)[name],
        ]
    )
    Agreement(run, tmp_path, with_random_weights(model)).assert_saved()


@pytest.mark.parametrize("activation", ["relu", "linear", "sigmoid", "softsign", "elu"])
def test_forecasters_cells_agree(run, keras, tmp_path, activation):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layers.LSTM(4, activation=activation, return_sequences=True),
            layers.Bidirectional(layers.LSTM(3, activation=activation)),
            layers.Dense(2),
        ]
    )
    Agreement(run, tmp_path, with_random_weights(model), lengths=(1, 2, 4)).assert_saved()


def test_all_steps_side_by_side(run, keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Embedding(VOCABULARY, 5),
            layers.LSTM(4, return_sequences=True),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    Agreement(run, tmp_path, with_random_weights(model), (1, 3, 6), padded=6).assert_saved()


# Functional models


def graphs(keras):
    """The outputs of a functional model, by name, from its embedded input."""
    layers, ops = keras.layers, keras.ops

    def attention(steps):
        weights = layers.Softmax(axis=1)(layers.Dense(1, use_bias=False)(steps))
        return ops.sum(layers.Multiply()([steps, weights]), axis=1)

    def lstm(steps, units=4):
        return layers.LSTM(units, return_sequences=True)(steps)

    def joined(steps):
        one = lstm(steps)
        two = layers.Bidirectional(layers.LSTM(4, return_sequences=True), merge_mode="sum")(one)
        added = layers.Average()([layers.Add()([one, two]), one])
        every = layers.Concatenate()([steps, added])
        pools = [layers.GlobalMaxPooling1D()(every), layers.GlobalAveragePooling1D()(every)]
        return layers.Dense(3)(layers.Concatenate()([*pools, ops.mean(two, axis=1)]))

    def outputs(steps):
        state = layers.LSTM(4)(steps)
        return [
            layers.Dense(3, "softmax", name="topic")(state),
            layers.Dense(1, "sigmoid", name="mood")(state),
        ]

    def output_that_feeds_another(steps):
        first = layers.Dense(3)(layers.LSTM(4)(steps))
        return [layers.Dense(2)(first), first]

    return {
        "joined": joined,
        "attention": lambda steps: layers.Dense(3)(attention(lstm(steps))),
        "several outputs": outputs,
        "an output that feeds another": output_that_feeds_another,
        "products": lambda steps: layers.Dense(2)(
            layers.Multiply()([layers.LSTM(4)(steps), layers.LSTM(4, go_backwards=True)(steps)])
        ),
        "scores of every step": lambda steps: layers.TimeDistributed(layers.Dense(3, "softmax"))(
            layers.Bidirectional(layers.LSTM(4, return_sequences=True))(steps)
        ),
        "sums as operators": lambda steps: layers.Dense(2)(
            layers.LSTM(4)(steps) + layers.LSTM(4)(steps)
        ),
    }


GRAPHS = [
    *("joined", "attention", "several outputs", "an output that feeds another", "products"),
    *("scores of every step", "sums as operators"),
]


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_agree(run, keras, tmp_path, name):
    tokens = keras.Input((None,), name="input")
    steps = keras.layers.Embedding(VOCABULARY, 5)(tokens)
    model = with_random_weights(keras.Model(tokens, graphs(keras)[name](steps)))
    Agreement(run, tmp_path, model).assert_saved()


# Masks: whatever steps are masked, Keras and lrp skip the same ones.

GAPS = [(0, 1, 2), (5, 6), (2, 3, 5), (0, 3, 6), ()]


def masked(keras):
    """What builds each masked model. Of graphs, Keras 3 writes down how the mask is made."""
    layers = keras.layers

    def lstm(units=4, **settings):
        return layers.LSTM(units, return_sequences=True, **settings)

    def both(**settings):
        return layers.Bidirectional(lstm(), **settings)

    def chain(*more):
        embedding = layers.Embedding(VOCABULARY, 5, mask_zero=True)
        return keras.Sequential([keras.Input((None,)), embedding, *more])

    def graph(build):
        tokens = keras.Input((None,))
        steps = layers.Embedding(VOCABULARY, 5, mask_zero=True)(tokens)
        return keras.Model(tokens, build(steps))

    def series(masking):
        steps = keras.Input((None, FEATURES))
        return keras.Model(steps, layers.Dense(2)(both()(masking(steps))))

    def joined(steps):
        one, two = lstm()(steps), both(merge_mode="sum")(steps)
        every = layers.Concatenate()([layers.Add()([one, two]), layers.Multiply()([one, two])])
        middle = layers.GlobalAveragePooling1D()(every)
        return layers.Dense(3)(layers.Concatenate()([middle, layers.LSTM(3)(every)]))

    def inner_graph():
        steps = keras.Input((None, 4))
        return keras.Model(steps, layers.LSTM(3)(lstm()(steps)))

    def parted(steps):
        forward, backward = both(merge_mode=None)(steps)
        return layers.Dense(2)(layers.LSTM(3)(layers.Concatenate()([forward, backward])))

    head = [keras.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(3)]
    return {
        "dense by step, pooled": lambda: chain(
            layers.Dropout(0.1),
            lstm(),
            layers.TimeDistributed(layers.Dense(4, "tanh")),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling1D(),
            layers.Dense(2),
        ),
        "backward": lambda: chain(both(), layers.LSTM(4, go_backwards=True), layers.Dense(2)),
        "joined": lambda: graph(joined),
        "directions apart": lambda: graph(parted),
        "scores of every step": lambda: chain(both(), layers.Dense(3, "softmax")),
        "scores of every step of a graph": lambda: graph(
            lambda s: layers.TimeDistributed(layers.Dense(3))(lstm()(s))
        ),
        "masked series": lambda: series(layers.Masking()),
        "a model in the model, behind the steps": lambda: graph(
            lambda s: keras.Sequential(head)(layers.LSTM(4)(s))
        ),
        "a chain in the model": lambda: chain(
            lstm(), keras.Sequential([keras.Input((None, 4)), layers.LSTM(3)]), layers.Dense(2)
        ),
        "a graph in the model": lambda: chain(lstm(), inner_graph(), layers.Dense(2)),
        "a mask made in the model": lambda: keras.Sequential(
            [keras.Input((None,)), chain(lstm()), both(), layers.LSTM(3), layers.Dense(2)]
        ),
    }


MASKED = [
    *("dense by step, pooled", "backward", "joined", "directions apart", "scores of every step"),
    *("scores of every step of a graph", "masked series", "a model in the model, behind the steps"),
    *("a chain in the model", "a graph in the model", "a mask made in the model"),
]


@pytest.mark.parametrize("name", MASKED)
def test_masked_steps_agree(run, keras, tmp_path, name):
    model = with_random_weights(masked(keras)[name]())
    agreement = Agreement(run, tmp_path, model, lengths=[7] * len(GAPS), gaps=GAPS)
    agreement.assert_saved()


@pytest.mark.parametrize(
    "name", ["scores of every step", "scores of every step of a graph", "masked series"]
)
def test_the_last_step_is_the_last_that_keras_does_not_mask(run, keras, tmp_path, name):
    model = with_random_weights(masked(keras)[name]())
    Agreement(run, tmp_path, model, lengths=[7] * len(GAPS), gaps=GAPS)
    model.save(tmp_path / "model.keras")
    arguments = (tmp_path / "model.keras", tmp_path / "input.jsonl", "--step", "last")
    found = json_lines(
        run("explain", *arguments, "--target", "0", "--format", "jsonl", "-q").stdout
    )
    outputs = json_lines((tmp_path / "outputs.jsonl").read_text())
    assert len(found) == len(GAPS)
    for line, theirs, gaps in zip(found, outputs, GAPS, strict=True):
        real = [step for step in range(7) if step not in gaps]
        assert line["step"] == real[-1]
        scores = np.array(line["scores"])
        if name == "scores of every step":  # which Keras gives as probabilities
            scores = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(scores, theirs["scores"][real[-1]], atol=1e-5)
        relevance = np.array(line["relevance"], dtype=float)
        missing = np.isnan(relevance.reshape(7, -1)).all(axis=1)
        assert np.flatnonzero(missing).tolist() == list(gaps)
        assert np.nansum(relevance) == pytest.approx(line["ledger"]["tokens"])


# Models in models, and outputs that are not the first


def composed(keras):
    layers = keras.layers

    def lstm(units=4):
        return layers.LSTM(units, return_sequences=True)

    def reader():
        return keras.Sequential(
            [keras.Input((None, 5)), lstm(), layers.BatchNormalization(), layers.LSTM(3)]
        )

    def graph():
        steps = keras.Input((None, 5))
        state = layers.Concatenate()([layers.LSTM(3)(steps), layers.LSTM(2)(steps)])
        return keras.Model(steps, layers.Dense(4, "tanh")(state))

    def joined(steps):
        return layers.Dense(2)(layers.Concatenate()([reader()(steps), graph()(steps)]))

    def deeper(steps):
        inner = keras.Sequential([keras.Input((None, 5)), reader(), layers.Dense(5)])
        return layers.Dense(2)(inner(steps))

    def second(steps):
        return layers.Dense(2)(
            layers.LSTM(3)(layers.Bidirectional(lstm(), merge_mode=None)(steps)[1])
        )

    def parted(steps):
        forward, backward = layers.Bidirectional(layers.LSTM(4), merge_mode=None)(steps)
        return layers.Dense(2)(layers.Average()([backward, layers.Dense(4)(forward)]))

    def attention(steps):
        states = lstm()(steps)
        weights = layers.Dropout(0.1)(layers.Softmax(axis=1)(layers.Dense(1)(states)))
        return layers.Dense(2)(keras.ops.sum(layers.Multiply()([states, weights]), axis=1))

    def graph_at_the_end(steps):
        head = graph()  # of two calls, the first is an output
        return [head(lstm(5)(steps)), layers.Dense(2)(head(steps))]

    return {
        "a reader and a graph": joined,
        "a model in a model in the model": deeper,
        "the backward direction alone": second,
        "directions apart": parted,
        "attention through a silent layer": attention,
        "a graph at the end": graph_at_the_end,
    }


COMPOSED = [
    *("a reader and a graph", "a model in a model in the model", "the backward direction alone"),
    *("directions apart", "attention through a silent layer", "a graph at the end"),
]


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_models_agree(run, keras, tmp_path, name):
    tokens = keras.Input((None,))
    steps = keras.layers.Embedding(VOCABULARY, 5)(tokens)
    model = with_random_weights(keras.Model(tokens, composed(keras)[name](steps)))
    Agreement(run, tmp_path, model).assert_saved()


# Weights alone


def test_weights_alone_are_not_taken_for_a_chain_that_they_are_not(run, keras, tmp_path):
    """An activation between the layers has no weights, and shows in the file all the same."""
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((None, FEATURES)), layers.LSTM(4), layers.LeakyReLU(), layers.Dense(2)]
    )
    model.save_weights(tmp_path / "model.weights.h5")
    result = run("check", tmp_path / "model.weights.h5")
    assert result.exit_code == 3
    assert "nothing says what `leaky_re_lu` is" in result.stderr
    (tmp_path / "model.weights.yaml").write_text(result.stderr[result.stderr.index("format:") :])
    assert run("check", tmp_path / "model.weights.h5").exit_code == 0


@pytest.mark.parametrize("pooling", ["GlobalMaxPooling1D", "GlobalAveragePooling1D"])
def test_pooled_weights_alone_agree(run, keras, tmp_path, pooling):
    layers = keras.layers
    model = with_random_weights(
        keras.Sequential(
            [
                keras.Input((None,)),
                layers.Embedding(VOCABULARY, 4),
                layers.LSTM(4, return_sequences=True),
                layers.Dropout(0.1),
                layers.LSTM(4, return_sequences=True),
                getattr(layers, pooling)(),
                layers.Dense(2),
            ]
        )
    )
    model.save_weights(tmp_path / "model.weights.h5")
    result = Agreement(run, tmp_path, model).check("model.weights.h5")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("kind", ["embedding", "masking"])
def test_masks_of_functional_models(run, keras, tmp_path, kind):
    """Keras 3 writes the operations that make the mask into the graph."""
    layers = keras.layers
    if kind == "embedding":
        inputs = keras.Input((None,))
        steps = layers.Embedding(VOCABULARY, FEATURES, mask_zero=True)(inputs)
        padded = np.array([[1, 2, 3, 0, 0], [4, 0, 5, 6, 7]])
    else:
        inputs = keras.Input((None, FEATURES))
        steps = layers.Masking(mask_value=-1.0)(inputs)
        padded = np.random.default_rng(5).normal(size=(2, 5, FEATURES)).astype(np.float32)
        padded[0, 3:] = padded[1, 1] = -1.0
    both = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(steps)
    middle = layers.GlobalAveragePooling1D()(both)
    outputs = layers.Dense(3)(layers.Concatenate()([middle, layers.LSTM(3)(both)]))
    model = with_random_weights(keras.Model(inputs, outputs))
    agreement = Agreement(run, tmp_path, model)
    np.save(tmp_path / "scores.npy", model.predict(padded, verbose=0))
    key = "tokens" if kind == "embedding" else "values"
    lines = "".join(f'{{"{key}": {each.tolist()}}}\n' for each in padded)
    (tmp_path / "padded.jsonl").write_text(lines)
    for file in ("model.keras", "model.h5"):
        model.save(tmp_path / file)
        result = run(
            *("check", tmp_path / file, tmp_path / "padded.jsonl"),
            *("--expected", tmp_path / "scores.npy"),
        )
        assert result.exit_code == 0, result.output
        assert agreement.check(file).exit_code == 0


def test_a_mask_that_no_layer_makes(run, keras, tmp_path):
    inputs = keras.Input((None,))
    steps = keras.layers.Embedding(VOCABULARY, 5)(inputs)
    state = keras.layers.LSTM(4)(steps, mask=keras.ops.not_equal(inputs, 0))
    keras.Model(inputs, keras.layers.Dense(2)(state)).save(tmp_path / "model.keras")
    result = run("check", tmp_path / "model.keras")
    assert result.exit_code == 3
    assert "is called with a mask of its own" in result.stderr


# Regressors


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "MeanSquaredError"])
def test_every_output_of_a_regressor_is_explained(run, keras, tmp_path, loss):
    model = keras.Sequential(
        [keras.Input((None, FEATURES)), keras.layers.LSTM(4), keras.layers.Dense(2)]
    )
    given = getattr(keras.losses, loss)() if loss[0].isupper() else loss
    model.compile(loss=given)
    Agreement(run, tmp_path, model)
    for file in ("model.keras", "model.h5"):
        model.save(tmp_path / file)
        result = run(
            *("explain", tmp_path / file, tmp_path / "input.jsonl", "--format", "jsonl", "-q")
        )
        targets = [line.split('"target":')[1][0] for line in result.stdout.splitlines()]
        assert targets == ["0", "1"] * len(LENGTHS)
        compiled = run("check", tmp_path / file, tmp_path / "input.jsonl", "--against", "keras")
        assert compiled.exit_code == 0, compiled.output


def own_loss(true, found):
    return (true - found) ** 2


@pytest.mark.parametrize(
    ("loss", "task"),
    [
        ("sparse_categorical_crossentropy", "classification"),
        (None, "unknown"),
        (own_loss, "unknown"),
    ],
)
@pytest.mark.parametrize("file", ["model.keras", "model.h5"])
def test_what_no_loss_calls_values_is_no_regressor(run, keras, tmp_path, loss, task, file):
    model = keras.Sequential(
        [keras.Input((None, FEATURES)), keras.layers.LSTM(4), keras.layers.Dense(2)]
    )
    if loss:
        model.compile(loss=loss)
    model.save(tmp_path / file)
    shown = run("inspect", tmp_path / file, "--format", "json").stdout
    assert '"outputs": 2' in shown
    assert shown.count('"activation"') == 1  # of one head
    assert f'"task": "{task}"' in shown


# What Keras computes otherwise than the engine would is refused by the name of the layer.


def own_dense(keras):
    @keras.saving.register_keras_serializable(package="tests")
    class Dense(keras.layers.Dense):
        def call(self, inputs):
            return 3.0 * super().call(inputs)

    return Dense


def refused(keras):
    layers, ops = keras.layers, keras.ops
    embedded = (keras.Input((6,)), layers.Embedding(VOCABULARY, 5, mask_zero=True, name="words"))

    def masked(*more):
        return keras.Sequential([*embedded, layers.LSTM(4, return_sequences=True), *more])

    def functional(build):
        steps = keras.Input((6, FEATURES))
        return keras.Model(steps, build(layers.LSTM(4, return_sequences=True, name="lstm")(steps)))

    def masked_by(mask):
        tokens = keras.Input((6,))
        steps = layers.Embedding(VOCABULARY, 5, mask_zero=True)(tokens)
        return keras.Model(tokens, layers.Dense(2)(layers.LSTM(4)(steps, mask=mask(tokens))))

    def two_readers(join):
        steps = keras.Input((6, FEATURES))
        masked = layers.LSTM(4)(layers.Masking()(steps))
        return keras.Model(
            steps, layers.Dense(2)(join(masked, layers.LSTM(4, name="unmasked")(steps)))
        )

    def two_embeddings():
        tokens = keras.Input((6,))
        both = [layers.Embedding(VOCABULARY, 4, name=name)(tokens) for name in ("first", "second")]
        return keras.Model(tokens, layers.Dense(2)(layers.LSTM(3)(layers.Concatenate()(both))))

    def quantized():
        model = keras.Sequential([keras.Input((6, FEATURES)), layers.LSTM(4)])
        model.add(layers.Dense(2, name="out"))
        model.layers[-1].quantize("int8")
        return model

    return {
        "maximum behind a mask": (
            lambda: masked(layers.GlobalMaxPooling1D(name="most"), layers.Dense(2)),
            "`most` (GlobalMaxPooling1D)",
        ),
        "masked steps side by side": (
            lambda: masked(layers.Flatten(name="flat"), layers.Dense(2)),
            "`flat` (Flatten)",
        ),
        "masked steps turned round": (
            lambda: keras.Sequential(
                [
                    *embedded,
                    layers.LSTM(4, go_backwards=True, return_sequences=True, name="back"),
                    layers.LSTM(3),
                ]
            ),
            "`back` (LSTM)",
        ),
        "a class of one's own by the name of Keras's": (
            lambda: functional(lambda s: own_dense(keras)(2, name="mine")(layers.LSTM(2)(s))),
            "`mine` (tests>Dense)",
        ),
        "another mask than the embedding's": (
            lambda: masked_by(lambda tokens: ops.not_equal(tokens, 3)),
            "is called with a mask of its own",
        ),
        "the mask turned round": (
            lambda: masked_by(lambda tokens: ops.logical_not(ops.not_equal(tokens, 0))),
            "is called with a mask of its own",
        ),
        "a branch without the mask": (
            lambda: two_readers(lambda masked, steps: layers.Concatenate()([masked, steps])),
            "`unmasked` (LSTM): takes steps that are masked elsewhere",
        ),
        "two embeddings": (two_embeddings, "`second` (Embedding)"),
        "a quantized layer": (quantized, "`out` (Dense): is quantized"),
        "a slice": (lambda: functional(lambda steps: layers.Dense(2)(steps[:, -1])), "GetItem"),
        "a number": (
            lambda: functional(lambda steps: ops.sum(steps * 2.0, axis=1)),
            "is called with",
        ),
        "a convolution": (
            lambda: functional(
                lambda s: layers.GlobalMaxPooling1D()(layers.Conv1DTranspose(2, 2, name="c")(s))
            ),
            "`c` (Conv1DTranspose)",
        ),
        "a sum over units": (
            lambda: functional(lambda steps: layers.LSTM(3)(ops.sum(steps, -1, keepdims=True))),
            "does not run over the steps",
        ),
        "steps joined one behind the other": (
            lambda: functional(
                lambda s: layers.LSTM(2)(layers.Concatenate(axis=1, name="j")([s, s]))
            ),
            "`j` (Concatenate)",
        ),
    }


REFUSED = [
    *("maximum behind a mask", "masked steps side by side", "masked steps turned round"),
    *("a slice", "a number", "a convolution"),
    *("a class of one's own by the name of Keras's", "two embeddings"),
    *("another mask than the embedding's", "the mask turned round", "a branch without the mask"),
    "a quantized layer",
    *("a sum over units", "steps joined one behind the other"),
]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(run, keras, tmp_path, name):
    build, problem = refused(keras)[name]
    build().save(tmp_path / "model.keras")
    result = run("check", tmp_path / "model.keras")
    assert result.exit_code == 3
    assert problem in result.stderr
    assert result.stderr.count("\n") <= 2  # a line, and that there is no input
