"""Train a Keras 3 model that is given text: its first layer is a `TextVectorization`.

Run from anywhere: python sample_models/stories/text_vectorization/train.py
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import reviews as data
from writing import write_metrics, write_samples

HERE = Path(__file__).resolve().parent
SEED = 7
LABELS = ("negative", "neutral", "positive")
MAX_TOKENS = 700
LENGTH = 24
EMBEDDING_SIZE = 6
HIDDEN_SIZE = 8
DROPOUT = 0.4
BATCH_SIZE = 32
MAX_EPOCHS = 30
PATIENCE = 3
SAMPLE_SENTENCES = 40


def texts(reviews: list[data.Review]) -> tf.Tensor:
    """The sentences as they are, (N,)."""
    return tf.constant([review.text for review in reviews])


def targets(reviews: list[data.Review]) -> np.ndarray:
    """Class numbers, (N,)."""
    return np.array([LABELS.index(review.sentiment) for review in reviews])


def build_model(sentences: tf.Tensor) -> keras.Sequential:
    """Text in, three probabilities out."""
    vectorize = layers.TextVectorization(max_tokens=MAX_TOKENS, output_sequence_length=LENGTH)
    vectorize.adapt(sentences)
    model = keras.Sequential(
        [
            keras.Input(shape=(1,), dtype="string"),
            vectorize,
            layers.Embedding(MAX_TOKENS, EMBEDDING_SIZE, mask_zero=True),
            layers.Dropout(DROPOUT),
            layers.Bidirectional(layers.LSTM(HIDDEN_SIZE)),
            layers.Dropout(DROPOUT),
            layers.Dense(len(LABELS), activation="softmax"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Train, save, and write everything that belongs to the model."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    splits = data.split_reviews(data.read_reviews())
    model = build_model(texts(splits.train))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    model.fit(
        texts(splits.train),
        targets(splits.train),
        batch_size=BATCH_SIZE,
        validation_data=(texts(splits.validation), targets(splits.validation)),
        epochs=MAX_EPOCHS,
        callbacks=[stop],
        verbose=2,
    )
    model.save(HERE / "model.keras")
    samples = splits.test[:SAMPLE_SENTENCES]
    write_samples(HERE, [(review.sentiment, review.text) for review in samples])

    saved = keras.models.load_model(HERE / "model.keras")
    np.save(HERE / "expected.npy", saved.predict(texts(samples), verbose=0))
    correct = saved.predict(texts(splits.test), verbose=0).argmax(axis=1) == targets(splits.test)
    write_metrics(
        HERE,
        {
            "test_accuracy": float(correct.mean()),
            "majority_baseline": data.majority_baseline(splits),
            "best_epoch": stop.best_epoch + 1,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "max_tokens": MAX_TOKENS,
            "seed": SEED,
            "framework": "keras, on tensorflow-cpu",
            "version": keras.__version__,
        },
    )


if __name__ == "__main__":
    main()
