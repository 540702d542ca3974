"""Train an LSTM on movie reviews in Keras 2 and save it as Keras does.

Run from anywhere: python sample_models/sentiment_keras/train.py
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import reviews as data
from plain_lstm import hidden_states
from writing import write_lines, write_metrics, write_samples

HERE = Path(__file__).resolve().parent
SEED = 11
LABELS = ("negative", "positive")
PADDING = "<pad>"
EMBEDDING_SIZE = 48
HIDDEN_SIZE = 48
MINIMUM_COUNT = 4
HIDDEN_WORDS = 0.1
DROPOUT = 0.6
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
MAX_EPOCHS = 40
PATIENCE = 4


def build_model(words: int) -> keras.Sequential:
    """The architecture; padding (id 0) is masked, so that it has no effect."""
    return keras.Sequential(
        [
            keras.Input(shape=(None,), name="ids"),
            keras.layers.Embedding(words, EMBEDDING_SIZE, mask_zero=True, name="embedding"),
            keras.layers.Dropout(DROPOUT, name="dropout"),
            keras.layers.LSTM(HIDDEN_SIZE, name="lstm"),
            keras.layers.Dense(len(LABELS), activation="softmax", name="dense"),
        ],
        name="sentiment",
    )


class Batches(keras.utils.Sequence):
    """Padded batches; in training, in a new order and with other words hidden every epoch."""

    def __init__(
        self, reviews: Sequence[data.Review], vocabulary: dict[str, int], training: bool = False
    ) -> None:
        self.ids = [data.encode(review, vocabulary) for review in reviews]
        self.targets = np.array([LABELS.index(review.sentiment) for review in reviews])
        self.unknown = vocabulary[data.UNKNOWN]
        self.training = training
        self.generator = np.random.default_rng(SEED)
        self.order = np.arange(len(self.ids))
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.ids) // BATCH_SIZE)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * BATCH_SIZE : (index + 1) * BATCH_SIZE]
        sequences = [self.ids[one] for one in chosen]
        if self.training:
            sequences = [
                data.hide_words(ids, self.unknown, HIDDEN_WORDS, self.generator)
                for ids in sequences
            ]
        padded = keras.utils.pad_sequences(sequences, padding="post", value=0)
        return padded, self.targets[chosen]

    def on_epoch_end(self) -> None:
        """Shuffle, in training only."""
        if self.training:
            self.order = self.generator.permutation(len(self.ids))


def train(model: keras.Sequential, splits: data.Splits, vocabulary: dict[str, int]) -> int:
    """Train until the validation loss no longer falls; leaves the best weights in the model.

    Returns the number of the epoch they are from.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE, clipnorm=1.0),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    model.fit(
        Batches(splits.train, vocabulary, training=True),
        validation_data=Batches(splits.validation, vocabulary),
        epochs=MAX_EPOCHS,
        callbacks=[stop],
        shuffle=False,
        verbose=2,
    )
    return stop.best_epoch + 1


def logit_model(model: keras.Sequential) -> keras.Sequential:
    """A second model with the same weights, whose last layer has no softmax."""
    config = model.get_config()
    config["layers"][-1]["config"]["activation"] = "linear"
    copy = keras.Sequential.from_config(config)
    copy.set_weights(model.get_weights())
    return copy


def plain_scores(path: Path, sequences: Sequence[np.ndarray]) -> np.ndarray:
    """The scores (N, C) that the saved file gives in float64, computed without Keras."""
    with h5py.File(path) as file:
        weights = {
            layer: [
                file["model_weights"][layer][name][()].astype(np.float64)
                for name in file["model_weights"][layer].attrs["weight_names"]
            ]
            for layer in ("embedding", "lstm", "dense")
        }
    [embedding] = weights["embedding"]
    kernel, recurrent, bias = weights["lstm"]
    dense, dense_bias = weights["dense"]
    return np.array(
        [
            hidden_states(embedding[ids], kernel.T, recurrent.T, bias, "ifgo")[-1] @ dense
            + dense_bias
            for ids in sequences
        ]
    )


def main() -> None:
    """Train, save, verify, and write everything that belongs to the model."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    # Sums come out the same whatever the number of cores.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    splits = data.split_reviews(data.read_reviews()).keep(LABELS)
    vocabulary = data.build_vocabulary(splits.train, MINIMUM_COUNT, special=[PADDING, data.UNKNOWN])
    model = build_model(len(vocabulary))
    best_epoch = train(model, splits, vocabulary)

    model.save(HERE / "model.h5", include_optimizer=False)
    write_lines(HERE / "vocab.txt", vocabulary)
    mapping = data.mapping_text(LABELS)
    (HERE / "model.yaml").write_text(mapping, encoding="utf-8", newline="\n")
    samples = splits.test[: data.SAMPLE_SENTENCES]
    write_samples(HERE, [(review.sentiment, review.text) for review in samples])

    saved = keras.models.load_model(HERE / "model.h5", compile=False)
    logits = logit_model(saved)
    sample_ids = [data.encode(review, vocabulary) for review in samples]
    expected = np.concatenate(
        [logits(ids[np.newaxis], training=False).numpy() for ids in sample_ids]
    )
    np.save(HERE / "expected.npy", expected)
    difference = np.abs(plain_scores(HERE / "model.h5", sample_ids) - expected).max()
    assert difference < 1e-5, f"the saved weights give other scores, by {difference}"

    test = Batches(splits.test, vocabulary)
    correct = saved.predict(test, verbose=0).argmax(axis=1) == test.targets
    write_metrics(
        HERE,
        {
            "test_accuracy": float(correct.mean()),
            "majority_baseline": data.majority_baseline(splits),
            "test_accuracy_by_label": {
                label: float(correct[test.targets == k].mean()) for k, label in enumerate(LABELS)
            },
            "best_epoch": best_epoch,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "vocabulary": len(vocabulary),
            "seed": SEED,
            "framework": "tensorflow-cpu (Keras 2)",
            "version": tf.__version__,
            "largest_difference_to_numpy": float(difference),
        },
    )


if __name__ == "__main__":
    main()
