"""Write a model as Keras 2 saves it on Theano, which turns the kernels of convolutions round.

Run by hand with Keras 2.2.4, Theano 1.0.5, h5py 2.10.0 and NumPy 1.19.5, in Python 3.6:

    KERAS_BACKEND=theano THEANO_FLAGS=device=cpu,floatX=float64 python write.py

`model.h5` is the whole model, `beside/` its weights and its JSON, and `expected.json` has token ids
and Keras's own outputs, all in float64.
"""

import json
import os

import keras.backend as K
import numpy as np
import theano
from keras.layers import LSTM, Conv1D, Dense, Embedding, SeparableConv1D
from keras.models import Sequential

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS, STEPS = 12, 8


def main():
    K.set_floatx("float64")
    theano.config.floatX = "float64"
    model = Sequential(
        [
            Embedding(TOKENS, 3, input_length=STEPS),
            Conv1D(4, 3, padding="same", activation="relu"),
            Conv1D(4, 2, padding="same", strides=2),
            SeparableConv1D(3, 2),
            LSTM(3),
            Dense(2),
        ]
    )
    rng = np.random.RandomState(1)
    model.set_weights([rng.normal(scale=0.6, size=w.shape) for w in model.get_weights()])
    model.compile("sgd", "mse")
    model.save(os.path.join(HERE, "model.h5"))
    os.makedirs(os.path.join(HERE, "beside"), exist_ok=True)
    model.save_weights(os.path.join(HERE, "beside", "model.h5"))
    with open(os.path.join(HERE, "beside", "model.json"), "w") as file:
        file.write(model.to_json())
    ids = rng.randint(1, TOKENS, (3, STEPS))
    found = {"ids": ids.tolist(), "outputs": model.predict(ids).tolist()}
    with open(os.path.join(HERE, "expected.json"), "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
