"""Write models of TensorFlow Lite as TensorFlow converts them from Keras 2.

Run by hand, in an environment with tensorflow-cpu==2.15.1:

    python tests/golden/tflite/write.py

`expected.json` has what each model is given, and Keras's own outputs before it was converted, in
float32. Weights are random, and none is 0.
"""

import json
import os
import tempfile
import zlib
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

HERE = Path(__file__).resolve().parent
TOKENS, STEPS = 12, 6
RNG = np.random.RandomState(5)
IDS = RNG.randint(1, TOKENS, (3, STEPS))
SERIES = RNG.uniform(-2, 2, (3, STEPS, 2)).round(3).astype("float32")


def sequential(*chain, shape=(STEPS, 2)):
    return keras.Sequential([keras.Input(shape), *chain])


def chain():
    return sequential(
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.Bidirectional(layers.LSTM(4)),
        layers.Dense(5, activation="relu"),
        layers.Dense(3, activation="softmax"),
    )


def words():
    return sequential(
        layers.Embedding(TOKENS, 3),
        layers.LSTM(4, go_backwards=True),
        layers.Dense(3),
        layers.Activation("tanh"),
        layers.Dense(1, activation="sigmoid"),
        shape=(STEPS,),
    )


def heads():
    """Two inputs, and all that may stand behind an LSTM."""
    ids, series = keras.Input((STEPS,), name="ids"), keras.Input((STEPS, 2), name="series")
    one = layers.LSTM(3, return_sequences=True)(layers.Embedding(TOKENS, 3)(ids))
    two = layers.LSTM(3, return_sequences=True, go_backwards=True)(series)
    both = layers.Add()([one, layers.Dense(3, activation="relu")(two)])
    joined = layers.Concatenate()([layers.GlobalAveragePooling1D()(both), layers.Flatten()(two)])
    return keras.Model([ids, series], layers.Dense(2)(joined))


def gru():
    return sequential(layers.GRU(3), layers.Dense(3))


def convolution():
    return sequential(layers.Conv1D(4, 2), layers.LSTM(3), layers.Dense(3))


# Each with what it is given.
MODELS = {"chain": (chain, [SERIES]), "words": (words, [IDS]), "heads": (heads, [IDS, SERIES])}
REFUSED = {"gru": gru, "convolution": convolution}


def converted(name, build):
    keras.backend.clear_session()
    keras.backend.set_floatx("float32")
    model = build()
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    model.set_weights([rng.normal(scale=0.6, size=w.shape) for w in model.get_weights()])
    given = [tf.TensorSpec((1, *each.shape[1:]), each.dtype, each.name) for each in model.inputs]
    function = tf.function(lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0]))
    concrete = function.get_concrete_function(*given)
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder, save_format="tf", signatures=concrete)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert(), model


def main():
    lines = []
    for name, (build, given) in MODELS.items():
        content, model = converted(name, build)
        (HERE / f"{name}.tflite").write_bytes(content)
        outputs = model(given if len(given) > 1 else given[0]).numpy()
        numbers = {"inputs": [each.tolist() for each in given], "outputs": outputs.tolist()}
        lines.append(f"{json.dumps(name)}: {json.dumps(numbers)}")
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    (HERE / "refused").mkdir(exist_ok=True)
    for name, build in REFUSED.items():
        (HERE / "refused" / f"{name}.tflite").write_bytes(converted(name, build)[0])


if __name__ == "__main__":
    main()
