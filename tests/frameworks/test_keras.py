"""What Keras 3 computes live, `lrp check` reproduces from the .h5 file that it saves."""

import numpy as np
import pytest

VOCABULARY = 15


def architectures(layers):
    """Heads behind the embedding, by name."""
    lstm, bidirectional = layers.LSTM, layers.Bidirectional
    return {
        "forward": [lstm(4), layers.Dense(3, "softmax")],
        "without biases": [lstm(4, use_bias=False), layers.Dense(3, use_bias=False)],
        "bidirectional": [bidirectional(lstm(4)), layers.Dense(3)],
        "bidirectional, sum": [bidirectional(lstm(4), merge_mode="sum"), layers.Dense(3)],
        "bidirectional, mean": [bidirectional(lstm(4), merge_mode="ave"), layers.Dense(3)],
        "bidirectional, product": [bidirectional(lstm(4), merge_mode="mul"), layers.Dense(3)],
        "stacked": [
            bidirectional(lstm(4, return_sequences=True)),
            layers.Dropout(0.5),
            lstm(3),
            layers.Dense(1, "sigmoid"),
        ],
        "pooled": [
            lstm(4, return_sequences=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(5, "relu"),
            layers.Dense(2),
            layers.Activation("softmax"),
        ],
        "backward": [lstm(4, go_backwards=True), layers.Dense(3)],
    }


NAMES = [
    *("forward", "without biases", "bidirectional", "bidirectional, sum"),
    *("bidirectional, mean", "bidirectional, product", "stacked", "pooled", "backward"),
]


@pytest.mark.parametrize("name", NAMES)
# Keras calls its own .h5 files legacy, and NumPy's newest release deprecates what it calls.
@pytest.mark.filterwarnings("default")
def test_predictions_agree(run, framework, tmp_path, name):
    keras = framework("keras")
    keras.utils.set_random_seed(1)
    layers = architectures(keras.layers)[name]
    model = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(VOCABULARY, 5), *layers])
    rng = np.random.default_rng(2)
    model.set_weights([rng.standard_normal(w.shape) * 0.7 for w in model.get_weights()])
    model.save(tmp_path / "model.h5")
    sequences = [rng.integers(0, VOCABULARY, length) for length in (1, 2, 6, 11)]
    np.save(
        tmp_path / "outputs.npy",
        [model.predict(ids[np.newaxis], verbose=0)[0] for ids in sequences],
    )
    lines = "".join(" ".join(map(str, ids)) + "\n" for ids in sequences)
    (tmp_path / "ids.txt").write_text(lines)
    result = run(
        *("check", tmp_path / "model.h5", tmp_path / "ids.txt", "--ids", "--target", "all"),
        *("--expected", tmp_path / "outputs.npy"),
    )
    assert result.exit_code == 0, result.output
