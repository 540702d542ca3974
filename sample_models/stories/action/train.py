"""Train the action recognition model of a well-known tutorial, in small.

Its movements are made here, by rule and with noise: no person was filmed. A window has 30 frames
of 8 points (x, y), each from 0 to 1, y downward, as a camera's picture has them:

- hello: the open right hand is raised beside the head and waves from side to side;
- thanks: the flat right hand goes from the mouth forward and down;
- iloveyou: the right hand stands still beside the head, its middle finger folded.

Run from anywhere: python sample_models/stories/action/train.py
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras.layers import LSTM, Dense
from tensorflow.keras.models import Sequential
from tensorflow.keras.utils import to_categorical

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from writing import write_lines, write_metrics

HERE = Path(__file__).resolve().parent
SEED = 2
ACTIONS = np.array(["hello", "thanks", "iloveyou"])
FRAMES = 30
WINDOWS = 80  # of each action
TEST_WINDOWS = 12
EPOCHS = 300
PATIENCE = 60
BATCH_SIZE = 16
POINTS = ("nose", "left_wrist", "elbow", "wrist", "thumb", "index", "middle", "pinky")
KEYPOINTS = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
NOISE = 0.006
# Where fingertips are, seen from the wrist of a hand whose fingers point up.
FINGERS = {
    "thumb": (-0.07, -0.06),
    "index": (-0.03, -0.15),
    "middle": (0.0, -0.16),
    "pinky": (0.06, -0.12),
}


def smooth(begin: float, end: float, moment: np.ndarray) -> np.ndarray:
    """From 0 to 1 while the moment, 0 to 1, goes from begin to end, without a jerk."""
    share = np.clip((moment - begin) / (end - begin), 0, 1)
    return share * share * (3 - 2 * share)


def movement(action: str, generator: np.random.Generator) -> np.ndarray:
    """One window (FRAMES, 16) of an action, by another person at another pace."""
    moment = np.linspace(0, 1, FRAMES)
    begin = generator.uniform(0.0, 0.15)
    raised = smooth(begin, begin + generator.uniform(0.2, 0.35), moment)
    size = generator.uniform(0.85, 1.15)
    nose = np.array([0.5, 0.35]) + generator.normal(0, 0.03, 2)
    beside = nose + size * np.array([0.22, 0.02]) + generator.normal(0, 0.015, 2)
    mouth = nose + size * np.array([0.02, 0.11]) + generator.normal(0, 0.01, 2)
    hanging = nose + size * np.array([0.22, 0.5])

    turned = np.zeros(FRAMES)  # the hand's angle; 0 points up
    folded = np.zeros(FRAMES)
    goal = mouth if action == "thanks" else beside
    wrist = hanging + raised[:, None] * (goal - hanging)
    if action == "hello":
        pace = generator.uniform(2.0, 3.5)
        turned = raised * generator.uniform(0.5, 0.8) * np.sin(2 * np.pi * pace * moment)
        wrist = wrist + size * np.stack([0.1 * np.sin(turned), 0 * moment], axis=1)
    elif action == "thanks":
        forward = smooth(0.5, generator.uniform(0.8, 0.95), moment)
        wrist = wrist + forward[:, None] * size * np.array([0.05, 0.16])
        turned = 0.9 * forward
    else:
        folded = raised

    elbow = wrist + size * (np.array([0.06, 0.17]) + generator.normal(0, 0.01, 2))
    left_wrist = nose + size * np.array([-0.22, 0.5]) + np.zeros((FRAMES, 2))
    tips = []
    for finger, (x, y) in FINGERS.items():
        length = 1 - 0.75 * folded if finger == "middle" else 1.0
        along = x * np.cos(turned) - y * np.sin(turned)
        across = x * np.sin(turned) + y * np.cos(turned)
        tips.append(wrist + size * np.stack([along * length, across * length], axis=1))
    points = np.stack([nose + np.zeros((FRAMES, 2)), left_wrist, elbow, wrist, *tips], axis=1)
    points = points + generator.normal(0, NOISE, points.shape)
    return points.reshape(FRAMES, len(KEYPOINTS))


def build_model() -> Sequential:
    """The tutorial's layers, of fewer units."""
    model = Sequential()
    model.add(
        LSTM(8, return_sequences=True, activation="relu", input_shape=(FRAMES, len(KEYPOINTS)))
    )
    model.add(LSTM(12, return_sequences=True, activation="relu"))
    model.add(LSTM(8, return_sequences=False, activation="relu"))
    model.add(Dense(12, activation="relu"))
    model.add(Dense(8, activation="relu"))
    model.add(Dense(ACTIONS.shape[0], activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3, clipnorm=0.5),
        loss="categorical_crossentropy",
        metrics=["categorical_accuracy"],
    )
    return model


def main() -> None:
    """Make movements, train, save, and write everything that belongs to the model."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    generator = np.random.default_rng(SEED)

    numbers = generator.permutation(np.repeat(np.arange(len(ACTIONS)), WINDOWS))
    windows = np.array([movement(ACTIONS[number], generator) for number in numbers])
    classes = to_categorical(numbers).astype(int)
    x_train, x_test = windows[TEST_WINDOWS:], windows[:TEST_WINDOWS]
    y_train, y_test = classes[TEST_WINDOWS:], classes[:TEST_WINDOWS]

    model = build_model()
    stop = keras.callbacks.EarlyStopping("loss", patience=PATIENCE, restore_best_weights=True)
    model.fit(x_train, y_train, epochs=EPOCHS, batch_size=BATCH_SIZE, callbacks=[stop], verbose=2)
    model.save(HERE / "action.h5")
    np.save(HERE / "X_test.npy", x_test)
    np.save(HERE / "y_test.npy", y_test)
    np.save(HERE / "actions.npy", ACTIONS)
    write_lines(HERE / "keypoints.txt", KEYPOINTS)

    saved = keras.models.load_model(HERE / "action.h5")
    expected = saved.predict(x_test, verbose=0)
    np.save(HERE / "expected.npy", expected)
    fresh = generator.permutation(np.repeat(np.arange(len(ACTIONS)), 100))
    unseen = np.array([movement(ACTIONS[number], generator) for number in fresh])
    predicted = saved.predict(unseen, verbose=0).argmax(axis=1)
    write_metrics(
        HERE,
        {
            "test_accuracy": float((expected.argmax(axis=1) == y_test.argmax(axis=1)).mean()),
            "accuracy_of_300_more": float((predicted == fresh).mean()),
            "best_epoch": stop.best_epoch + 1,
            "train": len(x_train),
            "test": len(x_test),
            "seed": SEED,
            "framework": "tensorflow-cpu (Keras 2)",
            "version": tf.__version__,
        },
    )


if __name__ == "__main__":
    main()
