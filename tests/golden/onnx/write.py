"""Write the models that tf2onnx makes of Keras 2 models, and what Keras 2 computes with them.

Run by hand, in an environment with tensorflow-cpu==2.15.1, tf2onnx==1.17.0 and onnx==1.16.2:

    python tests/golden/onnx/write.py

Every model gets random weights, and random biases none of which is 0, from a seed of its own. For
each model `expected.json` holds

    sequences    lists of token ids, or of the values of each step
    scores       what Keras's `predict` gives for them in float32, all outputs side by side

Models that must be refused are saved under refused/, without numbers.
"""

import json
import os
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
}
REFUSED: dict[str, Callable[[], keras.Model]] = {
    "masked": lambda: text(layers.LSTM(4), layers.Dense(3), mask_zero=True)
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


def main() -> None:
    lines = []
    for name, build in MODELS.items():
        model = fresh(build, name)
        save(model, HERE / f"{name}.onnx")
        sequences = IDS if model.inputs[0].dtype == "int32" else SERIES
        steps = model.inputs[0].shape[1]
        scores = []
        for sequence in sequences:
            given = np.array(sequence)
            if steps:
                given = keras.utils.pad_sequences([sequence], steps, dtype=given.dtype)[0]
            outputs = model.predict(given[np.newaxis], verbose=0)
            outputs = outputs if isinstance(outputs, list) else [outputs]
            scores.append(np.concatenate([output[0] for output in outputs], -1).tolist())
        found = {"sequences": sequences, "scores": scores}
        lines.append(f"{json.dumps(name)}: {json.dumps(found)}")
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    (HERE / "refused").mkdir(exist_ok=True)
    for name, build in REFUSED.items():
        save(fresh(build, name), HERE / "refused" / f"{name}.onnx")


if __name__ == "__main__":
    main()
