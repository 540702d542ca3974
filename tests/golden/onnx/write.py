"""Write the models that tf2onnx makes of Keras 2 models, and what Keras 2 computes with them.

Run by hand, in an environment with tensorflow-cpu==2.15.1, tf2onnx==1.17.0 and onnx==1.16.2:

    python tests/golden/onnx/write.py [NAME ...]

It writes all models, or those that are named. Every model gets random weights, and random biases
none of which is 0, from a seed of its own. For each model `expected.json` holds

    sequences    lists of token ids, or of the values of each step; of several inputs one of each
    scores       what Keras's `predict` gives for them in float32, all outputs side by side

Models that must be refused are saved under refused/, without numbers.
"""

import json
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import onnx
import tf2onnx
from keras import layers

HERE = Path(__file__).resolve().parent
VOCABULARY, STEPS = 12, 8

IDS = [[3, 1, 4, 1, 5, 9, 2, 6], [11], [0, 8, 0], [2, 7, 1, 8, 2, 8, 1], [10, 0]]
SERIES = [
    [[0.3, -1.2], [1.7, 0.4], [-0.6, 0.9], [2.1, -0.5], [0.0, 0.0]],
    [[-0.8, 0.25]],
    [[1.1, 1.4], [-1.9, 0.7], [0.45, -2.2]],
]


def text(*behind: layers.Layer, steps: int | None = None, **embedding: bool) -> keras.Model:
    """Layers behind an embedding."""
    entry = keras.Input((steps,), dtype="int32")
    return keras.Sequential([entry, layers.Embedding(VOCABULARY, 3, **embedding), *behind])


def series(*behind: layers.Layer, steps: int | None = None) -> keras.Model:
    return keras.Sequential([keras.Input((steps, 2)), *behind])


def both(merge_mode: str = "concat", **settings: bool) -> layers.Layer:
    return layers.Bidirectional(layers.LSTM(3, **settings), merge_mode=merge_mode)


def by_step(units: int = 4, **settings: object) -> layers.Layer:
    return layers.LSTM(units, return_sequences=True, **settings)


def attention() -> keras.Model:
    """Weights of the steps, copied for each unit: the way of many notebooks."""
    entry = keras.Input((STEPS,), dtype="int32")
    states = by_step()(layers.Embedding(VOCABULARY, 3)(entry))
    weights = layers.Flatten()(layers.Dense(1, "tanh")(states))
    weights = layers.Permute([2, 1])(layers.RepeatVector(4)(layers.Softmax()(weights)))
    summed = layers.Lambda(lambda x: keras.backend.sum(x, axis=1))(
        layers.Multiply()([states, weights])
    )
    return keras.Model(entry, layers.Dense(3)(summed))


def joins() -> keras.Model:
    """Two poolings side by side, and two outputs."""
    entry = keras.Input((None,), dtype="int32")
    states = both(return_sequences=True)(layers.Embedding(VOCABULARY, 3)(entry))
    pooled = [layers.GlobalAveragePooling1D()(states), layers.GlobalMaxPooling1D()(states)]
    joined = layers.Concatenate()(pooled)
    skipped = layers.Add()([layers.Dense(12, "relu")(joined), joined])
    return keras.Model(entry, [layers.Dense(3, name="topic")(skipped), layers.Dense(1)(joined)])


def self_attention() -> keras.Model:
    entry = keras.Input((None, 2))
    states = by_step()(entry)
    attended = layers.Attention(use_scale=True)([states, states])
    return keras.Model(entry, layers.Dense(3)(layers.GlobalAveragePooling1D()(attended)))


def states_handed_over() -> keras.Model:
    entry = keras.Input((None, 2))
    _, hidden, cell = layers.LSTM(4, return_state=True)(entry)
    return keras.Model(entry, layers.Dense(3)(layers.LSTM(4)(entry, initial_state=[hidden, cell])))


def two_inputs() -> keras.Model:
    text = keras.Input((None,), dtype="int32", name="text")
    person = keras.Input((3,), name="person")
    read = layers.LSTM(4)(layers.Embedding(VOCABULARY, 3)(text))
    joined = layers.Concatenate()([read, layers.Dense(2, "relu")(person)])
    return keras.Model([text, person], layers.Dense(3)(joined))


def activations() -> list[layers.Layer]:
    return [
        *(layers.Dense(5), layers.LeakyReLU(0.2), layers.Dense(4), layers.PReLU()),
        *(layers.Dense(4, "gelu"), layers.Dense(3, "swish"), layers.Dense(3)),
    ]


MODELS: dict[str, Callable[[], keras.Model]] = {
    "forward": lambda: text(layers.LSTM(4), layers.Dense(3, "softmax")),
    "no_biases": lambda: text(layers.LSTM(4, use_bias=False), layers.Dense(3, use_bias=False)),
    "bidirectional": lambda: text(both(), layers.Dense(3)),
    "bidirectional_sum": lambda: text(both("sum"), layers.Dense(3)),
    "bidirectional_mean": lambda: text(both("ave"), layers.Dense(3)),
    "bidirectional_product": lambda: text(both("mul"), layers.Dense(3)),
    "stacked": lambda: text(
        both(return_sequences=True), layers.LSTM(3), layers.Dense(1, "sigmoid")
    ),
    "backwards": lambda: text(layers.LSTM(4, go_backwards=True), layers.Dense(3)),
    "mean_pool": lambda: text(by_step(), layers.GlobalAveragePooling1D(), layers.Dense(3)),
    "max_pool_normalized": lambda: text(
        by_step(), layers.GlobalMaxPooling1D(), layers.BatchNormalization(), layers.Dense(3)
    ),
    "fixed_length": lambda: text(layers.LSTM(4), layers.Dense(3), steps=STEPS),
    "hard_sigmoid": lambda: series(
        layers.LSTM(4, recurrent_activation="hard_sigmoid"), layers.Dense(3)
    ),
    "relu_cells": lambda: series(layers.LSTM(4, activation="relu"), layers.Dense(3)),
    "dense_by_step": lambda: series(
        by_step(), layers.Dense(5, "relu"), layers.GlobalAveragePooling1D(), layers.Dense(3)
    ),
    "time_distributed": lambda: series(
        by_step(), layers.TimeDistributed(layers.Dense(5, "tanh")), layers.LSTM(3), layers.Dense(3)
    ),
    "scores_by_step": lambda: series(both("sum", return_sequences=True), layers.Dense(3)),
    "flattened": lambda: series(by_step(), layers.Flatten(), layers.Dense(3), steps=STEPS),
    "attention": attention,
    "joins": joins,
    "convolution": lambda: series(
        layers.Conv1D(5, 3, padding="same", activation="relu"),
        *(layers.MaxPooling1D(2, padding="same"), layers.LSTM(4), layers.Dense(3)),
    ),
    "causal_convolution": lambda: series(
        *(layers.Conv1D(5, 3, padding="causal", dilation_rate=2), layers.LSTM(4), layers.Dense(3))
    ),
    "normalized_convolution": lambda: series(
        layers.SeparableConv1D(5, 3, strides=2, padding="same"),
        *(layers.BatchNormalization(), layers.LSTM(4), layers.Dense(3)),
    ),
    "windows_behind": lambda: series(
        *(by_step(), layers.Conv1D(5, 3, padding="same", activation="relu")),
        layers.AveragePooling1D(2, padding="same"),
        *(layers.GlobalMaxPooling1D(), layers.Dense(3)),
    ),
    "gru": lambda: series(
        layers.Bidirectional(layers.GRU(4, return_sequences=True)), layers.GRU(3), layers.Dense(3)
    ),
    "layer_norm": lambda: series(
        by_step(), layers.LayerNormalization(), layers.GlobalAveragePooling1D(), layers.Dense(3)
    ),
    "repeated": lambda: series(
        *(layers.LSTM(4), layers.RepeatVector(STEPS), by_step(3)),
        *(layers.TimeDistributed(layers.Dense(2)), layers.GlobalAveragePooling1D()),
    ),
    "activations": lambda: series(layers.LSTM(4), *activations()),
    "self_attention": self_attention,
    "states_handed_over": states_handed_over,
    "two_inputs": two_inputs,
}
REFUSED: dict[str, Callable[[], keras.Model]] = {
    "masked": lambda: text(layers.LSTM(4), layers.Dense(3), mask_zero=True),
    "simple_rnn": lambda: series(layers.SimpleRNN(2), layers.Dense(3)),
}


def fresh(build: Callable[[], keras.Model], name: str) -> keras.Model:
    keras.backend.clear_session()
    model = build()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    drawn = [rng.standard_normal(w.shape) * 0.7 for w in model.get_weights()]
    # Variances are among the vectors.
    model.set_weights([np.abs(w) + 0.1 if w.ndim == 1 else w for w in drawn])
    return model


def save(model: keras.Model, path: Path) -> None:
    exported, _ = tf2onnx.convert.from_keras(model, opset=15)
    onnx.save(exported, path)


def of_one(model: keras.Model, sequence: object) -> list[np.ndarray]:
    """What a model is given of one sequence, filled up where its steps are fixed."""
    rows = sequence.values() if isinstance(sequence, dict) else [sequence]
    given = []
    for entry, row in zip(model.inputs, rows, strict=True):
        array, steps = np.array(row), entry.shape[1]
        if steps and not isinstance(sequence, dict):
            array = keras.utils.pad_sequences([row], steps, dtype=array.dtype)[0]
        given.append(array[np.newaxis])
    return given


def sequences_of(model: keras.Model) -> list[object]:
    if len(model.inputs) > 1:
        persons = ([0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-2.0, 0.1, 0.4])
        return [
            {"text": ids, "person": person} for ids, person in zip(IDS[:3], persons, strict=True)
        ]
    return list(IDS if model.inputs[0].dtype == "int32" else SERIES)


def main() -> None:
    names = sys.argv[1:]
    path = HERE / "expected.json"
    expected = json.loads(path.read_text("utf-8")) if names else {}
    for name, build in MODELS.items():
        if names and name not in names:
            continue
        model = fresh(build, name)
        save(model, HERE / f"{name}.onnx")
        sequences, scores = sequences_of(model), []
        for sequence in sequences:
            outputs = model.predict(of_one(model, sequence), verbose=0)
            outputs = outputs if isinstance(outputs, list) else [outputs]
            scores.append(np.concatenate([output[0] for output in outputs], -1).tolist())
        expected[name] = {"sequences": sequences, "scores": scores}
    lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in expected.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    (HERE / "refused").mkdir(exist_ok=True)
    for name, build in REFUSED.items():
        if not names or name in names:
            save(fresh(build, name), HERE / "refused" / f"{name}.onnx")


if __name__ == "__main__":
    main()
