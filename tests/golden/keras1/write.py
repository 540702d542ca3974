"""Write the models that Keras 1 itself saves, and what Keras 1 computes with them.

Run by hand with Keras 1.2.2, once on each of its backends, in Python 3.6:

    KERAS_BACKEND=theano THEANO_FLAGS=device=cpu python tests/golden/keras1/write.py
    KERAS_BACKEND=tensorflow python tests/golden/keras1/write.py

with Theano 1.0.5 and NumPy 1.19.5, and with TensorFlow 1.2.1 and NumPy 1.16.6 (h5py 2.10.0 both).

Each backend has a folder, for they do not compute alike: Theano turns the kernels of convolutions
round, and pads an even window in front. `expected.json` has for each model the sequences of each
input, and Keras's own outputs from the weights in the file, which are in float32: in float64 on
Theano, and in float32 on TensorFlow, where Keras 1 convolves nothing else. Weights get random
values, none of them 0, and variances above 0.
"""

import json
import os
import zlib
from functools import partial

import h5py
import keras.backend as K
import numpy as np
from keras.engine.topology import merge
from keras.layers import (
    GRU,
    LSTM,
    Activation,
    AtrousConvolution1D,
    AveragePooling1D,
    BatchNormalization,
    Bidirectional,
    Convolution1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalMaxPooling1D,
    Input,
    Lambda,
    LeakyReLU,
    Masking,
    MaxoutDense,
    MaxPooling1D,
    Merge,
    PReLU,
    RepeatVector,
    SimpleRNN,
    TimeDistributed,
    TimeDistributedDense,
    UpSampling1D,
    ZeroPadding1D,
)
from keras.models import Model, Sequential

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), K.backend())
TOKENS, STEPS = 12, 8
RNG = np.random.RandomState(5)
IDS = RNG.randint(1, TOKENS, (3, STEPS))
PADDED = np.array([[0, 0, 0, 3, 1, 4, 1, 5], [0, 9, 2, 6, 5, 3, 5, 8], [7, 1, 8, 2, 8, 1, 8, 2]])
SERIES = RNG.uniform(-2, 2, (3, STEPS, 2)).round(3)
MASKED_SERIES = SERIES.copy()
MASKED_SERIES[:2, :3] = -1.0


def embedding(**settings):
    return Embedding(TOKENS, 3, input_length=STEPS, **settings)


def sequential():
    return Sequential([embedding(), LSTM(4), Dropout(0.5), Dense(3, activation="softmax")])


def on_gpu():
    """One kernel for all gates: what `consume_less="gpu"` makes."""
    return Sequential(
        [
            embedding(mask_zero=True),
            LSTM(4, return_sequences=True, consume_less="gpu"),
            Bidirectional(GRU(3, return_sequences=True, consume_less="gpu")),
            Bidirectional(LSTM(2, consume_less="gpu"), merge_mode="ave"),
            Dense(3, bias=False, activation="tanh"),
            Dense(1, activation="sigmoid"),
        ]
    )


def bidirectional():
    return Sequential(
        [
            embedding(mask_zero=True),
            Bidirectional(LSTM(3, return_sequences=True)),
            Bidirectional(GRU(4, return_sequences=True), merge_mode="sum"),
            LSTM(4, go_backwards=True, inner_activation="sigmoid", activation="softsign"),
            Dense(3),
            Activation("softmax"),
        ]
    )


def tagger():
    return Sequential(
        [
            Masking(mask_value=-1.0, input_shape=(STEPS, 2)),
            SimpleRNN(4, return_sequences=True),
            TimeDistributedDense(5, activation="relu"),
            TimeDistributed(Dense(3, activation="softmax")),
        ]
    )


def convolution():
    return Sequential(
        [
            embedding(),
            Convolution1D(4, 3, border_mode="same", activation="relu"),
            MaxPooling1D(2),
            LSTM(4, return_sequences=True),
            BatchNormalization(),
            Convolution1D(3, 2),
            LeakyReLU(0.25),
            GlobalMaxPooling1D(),
            Dense(2),
        ]
    )


def even_windows():
    """Even windows that keep the length, of which each backend pads another side."""
    return Sequential(
        [
            embedding(),
            Convolution1D(4, 2, border_mode="same"),
            Convolution1D(4, 4, border_mode="same", subsample_length=2),
            GRU(3, return_sequences=True),
            AveragePooling1D(2, stride=1),
            Flatten(),
            Dense(2),
        ]
    )


def windows():
    """What Theano alone can, and what moves steps about."""
    return Sequential(
        [
            embedding(),
            Convolution1D(4, 3, border_mode="full"),
            LSTM(3, return_sequences=True),
            UpSampling1D(2),
            ZeroPadding1D((1, 2)),
            GlobalMaxPooling1D(),
            PReLU(),
            Dense(2),
        ]
    )


def dilated():
    """What Theano needs a BLAS for, which a Python of its own seldom has."""
    return Sequential(
        [embedding(), AtrousConvolution1D(3, 2, atrous_rate=2, bias=False), LSTM(3), Dense(2)]
    )


def branches():
    """Two Sequential models that a Merge joins, as Keras 1 had it before its functional models."""
    words = Sequential([embedding(), LSTM(3)])
    series = Sequential([GRU(4, input_dim=2, input_length=STEPS), Dense(3)])
    joined = Merge([words, series], mode="concat")
    return Sequential([joined, Dense(4, activation="tanh"), Dense(2)])


def graph():
    """A functional model with models inside."""
    words = Input((STEPS,), name="words", dtype="int32")
    series = Input((STEPS, 2), name="series", dtype=K.floatx())
    encoder = Sequential([LSTM(3, return_sequences=True, input_shape=(STEPS, 3)), LSTM(4)])
    vectors = embedding(name="vectors")(words)
    one, two = encoder(vectors), SimpleRNN(4)(series)
    both = merge([one, two], mode="sum")
    times = merge([one, two], mode="mul", name="times")
    joined = merge([both, times, merge([one, two], mode="ave")], mode="concat")
    topic = Dense(3, activation="softmax", name="topic")(joined)
    mood = Dense(1, name="mood")(LSTM(3)(RepeatVector(4)(merge([one, two], mode="max"))))
    return Model([words, series], [topic, mood])


def inside():
    """A Sequential model inside a Sequential one."""
    reader = Sequential([embedding(), Bidirectional(LSTM(3))])
    return Sequential([reader, BatchNormalization(), Dense(2)])


# Each with what it is given.
MODELS = {
    "sequential": (sequential, [IDS]),
    "on_gpu": (on_gpu, [PADDED]),
    "bidirectional": (bidirectional, [PADDED]),
    "tagger": (tagger, [MASKED_SERIES]),
    "convolution": (convolution, [IDS]),
    "even_windows": (even_windows, [IDS]),
    "windows": (windows, [IDS]),
    "dilated": (dilated, [IDS]),
    "branches": (branches, [IDS, SERIES]),
    "graph": (graph, [IDS, SERIES]),
    "inside": (inside, [IDS]),
}
ON_TENSORFLOW = ("on_gpu", "bidirectional", "convolution", "even_windows", "dilated")
NOT_ON_THEANO = ("dilated",)
# Saved as weights alone, with or without their model's JSON beside them.
BESIDE = ("bidirectional", "graph")
ALONE = ("sequential", "bidirectional")
REFUSED = {
    "maxout": lambda: Sequential([embedding(), LSTM(3), MaxoutDense(2, name="most")]),
    "lambda": lambda: Sequential([embedding(), LSTM(3), Lambda(lambda x: 2 * x, name="twice")]),
    "of_the_batch": lambda: Sequential(
        [embedding(), LSTM(3), BatchNormalization(mode=2, name="of_the_batch"), Dense(2)]
    ),
    "cosine": lambda: Sequential(
        [
            Merge(
                [Sequential([embedding(), LSTM(3)]), Sequential([embedding(), LSTM(3)])],
                mode="cos",
                name="likeness",
            ),
            Flatten(),
            Dense(2),
        ]
    ),
}


def random_weights(model, name):
    """Weights in float32 from a seed that the model's name gives."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    weights = []
    for weight in model.get_weights():
        found = rng.normal(scale=0.6, size=weight.shape).astype("float32")
        weights.append(np.abs(found) if found.ndim == 1 else found)
    return weights


def path_of(*parts):
    path = os.path.join(HERE, *parts)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    if os.path.exists(path):
        os.remove(path)
    return path


def fresh(build, precision, weights=None, name=""):
    """A model in some precision, compiled, for Keras 1 saves no others."""
    K.set_floatx(precision)
    if K.backend() == "theano":  # which pads with zeros of the precision of its own
        import theano

        theano.config.floatX = precision
    model = build()
    model.set_weights(random_weights(model, name) if weights is None else weights)
    model.compile("sgd", "mse")
    return model


def main():
    # The newer layout of HDF5 is half as large; `sequential` has Keras's own.
    whole, compact = h5py.File, partial(h5py.File, libver="latest")
    # Keras 1 casts what its convolutions are given to float32 on TensorFlow.
    precision = "float64" if K.backend() == "theano" else "float32"
    lines = []
    for name, (build, given) in MODELS.items():
        on_theano = K.backend() == "theano"
        if name in NOT_ON_THEANO if on_theano else name not in ON_TENSORFLOW:
            continue
        h5py.File = whole if name == "sequential" else compact
        model = fresh(build, "float32", name=name)
        model.save(path_of(name + ".h5"))
        if on_theano and name in BESIDE:
            model.save_weights(path_of("beside", name, "model.h5"))
            with open(path_of("beside", name, "model.json"), "w") as file:
                file.write(model.to_json())
        if on_theano and name in ALONE:
            model.save_weights(path_of("alone", name + ".h5"))
        outputs = fresh(build, precision, model.get_weights()).predict(given)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        assert all(each.dtype == precision for each in outputs)
        found = {
            "inputs": [each.tolist() for each in given],
            "outputs": [each.tolist() for each in outputs],
        }
        lines.append(json.dumps(name) + ": " + json.dumps(found))
    with open(path_of("expected.json"), "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")
    h5py.File = compact
    if K.backend() == "theano":
        for name, build in REFUSED.items():
            fresh(build, "float32", name=name).save(path_of("refused", name + ".h5"))


if __name__ == "__main__":
    main()
