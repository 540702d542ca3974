"""Train an LSTM on short reviews, and leave the files that people have of it.

`IMDB Dataset.csv` in the form in which the large data set of that name is published, Keras's
`Tokenizer` pickled, and the model as Keras 2 saves it, with its optimizer.

Run from anywhere: python sample_models/stories/imdb/train.py
"""

import csv
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras.preprocessing.sequence import pad_sequences
from tensorflow.keras.preprocessing.text import Tokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import reviews as data
from writing import write_metrics

HERE = Path(__file__).resolve().parent
SEED = 5
LABELS = ("negative", "positive")
# What is fitted on few texts has a small file.
TOKENIZER_REVIEWS = 60
NUM_WORDS = 700
MAXLEN = 80
EMBEDDING_SIZE = 6
HIDDEN_SIZE = 12
DROPOUT = 0.4
BATCH_SIZE = 32
MAX_EPOCHS = 30
PATIENCE = 4
SENTENCES = (2, 6)
SAMPLE_REVIEWS = 40
# Joins of sentences: mostly a space, and what the published file has of web pages.
JOINS = (" ", " ", " ", " ", "<br /><br />", "\n")


@dataclass(frozen=True)
class LongReview:
    """Some sentences of one sentiment, joined."""

    text: str
    sentiment: str


def join(sentences: Sequence[str], generator: np.random.Generator) -> str:
    """One text of several sentences; now and then one of them in quotes."""
    sentences = list(sentences)
    if generator.random() < 0.2:
        quoted = generator.integers(len(sentences))
        sentences[quoted] = f'"{sentences[quoted]}"'
    text = sentences[0]
    for sentence in sentences[1:]:
        text += JOINS[generator.integers(len(JOINS))] + sentence
    return text


def long_reviews(
    sentences: Sequence[data.Review], generator: np.random.Generator
) -> list[LongReview]:
    """All sentences, each once, joined to reviews of one sentiment, in random order."""
    joined = []
    for label in LABELS:
        texts = [review.text for review in sentences if review.sentiment == label]
        while texts:
            count = generator.integers(*SENTENCES, endpoint=True)
            joined.append(LongReview(join(texts[:count], generator), label))
            texts = texts[count:]
    return [joined[index] for index in generator.permutation(len(joined))]


def padded(tokenizer: Tokenizer, reviews: Sequence[LongReview]) -> np.ndarray:
    """Ids (N, MAXLEN), filled up and cut in front, as Keras does by default."""
    sequences = tokenizer.texts_to_sequences([review.text for review in reviews])
    return pad_sequences(sequences, maxlen=MAXLEN)


def targets(reviews: Sequence[LongReview]) -> np.ndarray:
    """1 where a review is positive."""
    return np.array([LABELS.index(review.sentiment) for review in reviews])


def build_model() -> keras.Sequential:
    """The model of most tutorials; padding is not masked."""
    model = keras.Sequential(
        [
            keras.layers.Embedding(NUM_WORDS, EMBEDDING_SIZE, input_length=MAXLEN),
            keras.layers.LSTM(HIDDEN_SIZE, dropout=DROPOUT),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    return model


def write_table(path: Path, reviews: Sequence[LongReview]) -> None:
    """A table as it is published: quotes where a field needs them, quotes in it doubled."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["review", "sentiment"])
        writer.writerows([review.text, review.sentiment] for review in reviews)


def main() -> None:
    """Train, save, and write everything that belongs to the model."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    generator = np.random.default_rng(SEED)

    splits = data.split_reviews(data.read_reviews()).keep(LABELS)
    train = long_reviews(splits.train, generator)
    validation = long_reviews(splits.validation, generator)
    test = long_reviews(splits.test, generator)

    tokenizer = Tokenizer(num_words=NUM_WORDS, oov_token="<OOV>")
    tokenizer.fit_on_texts([review.text for review in train[:TOKENIZER_REVIEWS]])
    model = build_model()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    model.fit(
        padded(tokenizer, train),
        targets(train),
        batch_size=BATCH_SIZE,
        validation_data=(padded(tokenizer, validation), targets(validation)),
        epochs=MAX_EPOCHS,
        callbacks=[stop],
        verbose=2,
    )

    model.save(HERE / "model.h5")
    with (HERE / "tokenizer.pickle").open("wb") as handle:
        pickle.dump(tokenizer, handle, protocol=pickle.HIGHEST_PROTOCOL)
    samples = test[:SAMPLE_REVIEWS]
    write_table(HERE / "IMDB Dataset.csv", samples)

    saved = keras.models.load_model(HERE / "model.h5")
    np.save(HERE / "expected.npy", saved.predict(padded(tokenizer, samples), verbose=0))
    correct = (saved.predict(padded(tokenizer, test), verbose=0)[:, 0] > 0.5) == targets(test)
    lengths = [len(ids) for ids in tokenizer.texts_to_sequences([one.text for one in samples])]
    write_metrics(
        HERE,
        {
            "test_accuracy": float(correct.mean()),
            "always_positive": float(targets(test).mean()),
            "best_epoch": stop.best_epoch + 1,
            "train": len(train),
            "validation": len(validation),
            "test": len(test),
            "words_fitted": len(tokenizer.word_index),
            "num_words": NUM_WORDS,
            "samples_longer_than_maxlen": sum(length > MAXLEN for length in lengths),
            "seed": SEED,
            "framework": "tensorflow-cpu (Keras 2)",
            "version": tf.__version__,
        },
    )


if __name__ == "__main__":
    main()
