"""Write SavedModels and checkpoints as Keras 2 itself saves them, and what it computes with them.

Run by hand, in an environment with tensorflow-cpu==2.15.1, and in one with tensorflow-cpu==2.4.4
(Python 3.8), the last version that keeps Keras's own description in `saved_model.pb`. The first
needs tf2onnx==1.17.0 too:

    python tests/golden/savedmodel/write.py

Each version has a folder. Its `expected.json` holds for each model what it is given and Keras's own
outputs in float64 from the weights that were saved, which are in float32; none of them is 0, and
variances are above 0.

Models are saved without the traces of their functions, as `save_traces=False` does it: they are no
part of what is read, and take half a megabyte a model. `traced` has them, and its variables go by
other names in the file. Of a `saved_model.pb` beside `keras_metadata.pb` no more than the beginning
is kept, for nothing else is looked at. `exported.onnx` is what tf2onnx made of the SavedModel of
`model.export`; its numbers are in float32.
"""

import json
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

VERSION = ".".join(tf.__version__.split(".")[:2])
HERE = Path(__file__).resolve().parent / f"tensorflow{VERSION}"
TOKENS, STEPS = 12, 6
RNG = np.random.RandomState(5)
IDS = RNG.randint(1, TOKENS, (3, STEPS))
PADDED = np.array([[0, 0, 0, 3, 1, 4], [1, 5, 9, 2, 6, 5], [0, 7, 1, 8, 2, 8]])
SERIES = RNG.uniform(-2, 2, (3, STEPS, 2)).round(3)
# So much of a graph tells what it is.
BEGINNING = 4096


def sequential(*chain, shape=(STEPS,)):
    return keras.Sequential([keras.Input(shape), *chain])


def embedding(**settings):
    return layers.Embedding(TOKENS, 3, **settings)


def chain():
    return sequential(
        embedding(mask_zero=True),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.LSTM(4, return_sequences=True, go_backwards=False),
        layers.Bidirectional(layers.GRU(3), merge_mode="sum"),
        layers.Dense(3, activation="softmax"),
    )


def graph():
    """Two inputs and outputs, a model inside, a layer that is used twice, parts of a sequence."""
    words = keras.Input((STEPS,), name="words")
    series = keras.Input((STEPS, 2), name="series")
    vectors = embedding(name="vectors")(words)
    convolved = layers.Conv1D(4, 3, padding="same", activation="relu", name="windows")(series)
    normed = layers.BatchNormalization(name="normed")(convolved)
    reader = keras.Sequential(
        [keras.Input((STEPS, 3)), layers.LSTM(4, return_sequences=True), layers.LSTM(3)],
        name="reader",
    )
    shared = layers.Dense(3, activation="tanh", name="shared")
    one = shared(reader(vectors))
    two = shared(layers.SimpleRNN(3, name="plain")(normed))
    three = layers.TimeDistributed(layers.Dense(2, name="each"), name="parts")(normed)
    joined = layers.Concatenate(name="joined")([one, two, layers.GlobalMaxPooling1D()(three)])
    topic = layers.Dense(3, activation="softmax", name="topic")(joined)
    return keras.Model([words, series], [topic, layers.Dense(1, name="mood")(joined)])


def small():
    return sequential(embedding(), layers.LSTM(4), layers.Dense(2))


def refused():
    return sequential(embedding(), layers.LSTM(3), layers.Lambda(lambda x: 2 * x, name="twice"))


MODELS = {"chain": (chain, [PADDED]), "graph": (graph, [IDS, SERIES]), "small": (small, [IDS])}
COMPILED = {"graph": {"topic": "categorical_crossentropy", "mood": "mse"}, "small": "mse"}


def fresh(name, build, precision, weights=None):
    keras.backend.clear_session()
    keras.backend.set_floatx(precision)
    model = build()
    if weights is None:
        rng = np.random.RandomState(zlib.crc32(name.encode()))
        weights = [rng.normal(scale=0.6, size=w.shape).astype("float32") for w in model.weights]
        weights = [np.abs(each) if each.ndim == 1 else each for each in weights]
    model.set_weights(weights)
    return model


def save(model, folder, **settings):
    shutil.rmtree(folder, ignore_errors=True)
    model.save(str(folder), save_format="tf", **settings)
    shutil.rmtree(folder / "assets", ignore_errors=True)
    if (folder / "keras_metadata.pb").exists():
        path = folder / "saved_model.pb"
        path.write_bytes(path.read_bytes()[:BEGINNING])


def exported():
    """A SavedModel for serving, in which Keras says nothing, made an ONNX file by tf2onnx."""
    model = fresh(
        "exported",
        lambda: sequential(
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.LSTM(4),
            layers.Dense(3, activation="softmax"),
            shape=(None, 2),
        ),
        "float32",
    )
    folder = HERE / "exported"
    model.export(str(folder))
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(folder)]
    subprocess.run([*command, "--output", str(HERE / "exported.onnx")], check=True)
    shutil.rmtree(folder)
    given = SERIES.astype("float32")
    return {"inputs": [SERIES], "outputs": [model.predict(given)]}


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    lines = []
    for name, (build, given) in MODELS.items():
        model = fresh(name, build, "float32")
        if name in COMPILED:
            model.compile("sgd", COMPILED[name])
        save(model, HERE / name, save_traces=False)
        if name == "small":
            model.save_weights(str(HERE / "checkpoint" / "weights"))
            if VERSION != "2.4":  # whose graph is needed, with all traces
                save(model, HERE / "traced")
        weights = model.get_weights()
        outputs = fresh(name, build, "float64", weights).predict(given)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        assert all(each.dtype == "float64" for each in outputs)
        found = {"inputs": given, "outputs": outputs}
        numbers = {key: [each.tolist() for each in value] for key, value in found.items()}
        lines.append(f"{json.dumps(name)}: {json.dumps(numbers)}")
    if VERSION != "2.4":
        numbers = {key: [each.tolist() for each in value] for key, value in exported().items()}
        lines.append(f'"exported": {json.dumps(numbers)}')
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    save(fresh("refused", refused, "float32"), HERE / "refused", save_traces=False)


if __name__ == "__main__":
    main()
