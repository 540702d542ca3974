"""Saves models of Keras whose first layers belong to an input, with what Keras makes of inputs.

A program of its own: `python keras_inputs.py series|text FOLDER`. Keras makes ids of text on
TensorFlow alone, and a process has but one backend.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

SETTINGS = {"mean": [1.0, 2.0, 3.0], "variance": [4.0, 0.25, 9.0]}
TEXTS = [
    "The cat, sat on the mat!",
    "A\tdog;  and no\u00a0cat\u2003here - \u00c9T\u00c9 \u00c4",
    "the the unknown mat it's",
    "one two three four five six seven eight nine the cat",
    "mat",
]


class Saver:
    """Saves models with their outputs, each in its formats."""

    def __init__(self, keras, folder, loss):
        self.keras, self.folder, self.loss = keras, folder, loss
        self.rng = np.random.default_rng(3)

    def save(self, name, model, *arrays, endings=(".keras", ".h5")):
        for variable in model.trainable_weights:
            variable.assign(self.rng.uniform(-0.8, 0.8, variable.shape))
        given = [self.keras.ops.convert_to_tensor(each) for each in arrays]
        # One sequence at a time: Keras fills texts up to the longest of a batch.
        rows = [[each[row : row + 1] for each in given] for row in range(len(arrays[0]))]
        outputs = [model.predict(row if len(row) > 1 else row[0], verbose=0) for row in rows]
        np.save(self.folder / f"{name}.npy", np.concatenate(outputs))
        model.compile(loss=self.loss)
        for ending in endings:
            model.save(self.folder / f"{name}{ending}")


def save_series(keras, folder):
    """Models whose numbers are scaled; x.npz and others are what they are given."""
    layers, saver = keras.layers, Saver(keras, folder, "mse")
    x = saver.rng.normal([3.0, -2.0, 0.5], [2.0, 0.1, 30.0], (5, 6, 3)).astype("float32")
    vector = saver.rng.normal(10, 4, (5, 2)).astype("float32")
    still, almost, masked = x.copy(), x.copy(), x.copy()
    still[..., 1] = 7.0
    almost[..., 1] = 7.0 + 1e-6 * np.arange(6)
    masked[1, 4:] = masked[3, 2:] = 0
    for name, array in {"x": x, "still": almost, "masked": masked}.items():
        np.savez(folder / f"{name}.npz", x=array)
    np.savez(folder / "both.npz", series=x, fixed=vector)

    def adapted(data=x, **settings):
        layer = layers.Normalization(**settings)
        layer.adapt(data)
        return layer

    def chain(*first, behind=()):
        last = (layers.LSTM(4), layers.Dense(3), *behind)
        return keras.Sequential([keras.Input((6, 3)), *first, *last])

    fixed = layers.Normalization(**SETTINGS)
    models = {
        "adapted": chain(adapted()),
        "settings": chain(fixed),
        "one_for_all": chain(adapted(axis=None)),
        "rescaled": chain(layers.Rescaling(1 / 255, offset=-0.5)),
        "rescaled_each": chain(layers.Rescaling([0.5, 2.0, -1.0], offset=[0.0, 1.0, -1.0])),
        "twice": chain(layers.Dropout(0.5), adapted(), layers.Rescaling(0.1, 0.2)),
        "backwards": chain(layers.Normalization(invert=True, **SETTINGS)),
        # Behind a layer it is one of the model, and at the end it undoes what training did.
        "amid": chain(layers.Conv1D(3, 2), fixed),
        "forecast": chain(adapted(), behind=[layers.Normalization(invert=True, **SETTINGS)]),
    }
    for name, model in models.items():
        saver.save(name, model, x)
    saver.save("still", chain(adapted(still)), almost)
    saver.save("masked", chain(layers.Masking(), adapted()), masked)
    # What something else takes too is not scaled as a whole.
    given = keras.Input((6, 3))
    beside = layers.Concatenate()([given, adapted()(given)])
    saver.save("beside", keras.Model(given, layers.Dense(2)(layers.LSTM(4)(beside))), x)
    given, other = keras.Input((6, 3), name="series"), keras.Input((2,), name="fixed")
    joined = layers.Concatenate()([layers.LSTM(4)(adapted()(given)), adapted(vector)(other)])
    saver.save("both", keras.Model([given, other], layers.Dense(2)(joined)), x, vector)


def save_text(keras, folder):
    """Models that make ids of text; ids.json has those of each."""
    layers, saver, ids = keras.layers, Saver(keras, folder, None), {}
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n", "utf-8")
    whole = np.array(TEXTS, dtype=object)[:, None]

    def save(name, layer, given=whole, mask=True, rows=0, endings=(".keras",)):
        rows = rows or len(layer.get_vocabulary())
        ids[name] = [np.asarray(layer(each)).ravel().tolist() for each in given]
        text = keras.Input(given.shape[1:], dtype="string")
        embedded = layers.Embedding(rows, 3, mask_zero=mask)(layer(text))
        scores = layers.Dense(2, "softmax")(layers.LSTM(4)(embedded))
        saver.save(name, keras.Model(text, scores), given, endings=endings)

    def adapted(**settings):
        layer = layers.TextVectorization(**settings)
        layer.adapt(TEXTS[:3])
        return layer

    save("masked", adapted(output_sequence_length=7))
    save("filled", adapted(output_sequence_length=7), mask=False)
    save("open", adapted())
    save("open_unmasked", adapted(), mask=False)
    save("more_rows", adapted(max_tokens=6, output_sequence_length=9), rows=30)
    for standardize in ("lower", "strip_punctuation", None):
        layer = adapted(standardize=standardize, output_sequence_length=7)
        save(f"standardize_{standardize}", layer)
    save("characters", adapted(split="character", output_sequence_length=20))
    words, both = ["the", "cat", "mat", "\u00c9t\u00c9"], (".keras", ".h5")
    in_settings = layers.TextVectorization(vocabulary=words, output_sequence_length=7)
    save("in_settings", in_settings, endings=both)
    cut = np.array([[*each.split(), "", "", "", ""][:4] for each in TEXTS[:3]], dtype=object)
    np.save(folder / "cut.npy", cut.astype(str))
    for name, mask in {"tokens": "", "unmasked_tokens": None}.items():
        layer = layers.StringLookup(vocabulary=["the", "cat,", "mat!", "The"], mask_token=mask)
        save(name, layer, cut, mask=mask is not None, endings=both)
    (folder / "ids.json").write_text(json.dumps(ids), "utf-8")


if __name__ == "__main__":
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras

    keras.utils.set_random_seed(4)
    {"series": save_series, "text": save_text}[sys.argv[1]](keras, Path(sys.argv[2]))
