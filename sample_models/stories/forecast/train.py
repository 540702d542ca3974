"""Train a forecaster of tomorrow's highest temperature from two weeks of weather.

The columns of the table are scaled by a `MinMaxScaler`, the target as one of them.

Run from anywhere: python sample_models/stories/forecast/train.py
"""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import joblib
import keras
import numpy as np
import pandas as pd
import sklearn
import tensorflow as tf
from keras import layers
from sklearn.preprocessing import MinMaxScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from writing import write_metrics

HERE = Path(__file__).resolve().parent
DATA_FILE = HERE.parents[1] / "data" / "seattle-weather.csv"
SEED = 6
FEATURES = ["precipitation", "temp_max", "temp_min", "wind"]
TARGET = "temp_max"
WINDOW = 14
HIDDEN_SIZE = 12
BATCH_SIZE = 32
MAX_EPOCHS = 80
PATIENCE = 10
LAST_TRAINING_DAY, LAST_VALIDATION_DAY = "2013/12/31", "2014/12/31"


def windows_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows (N, WINDOW, 4) of scaled days, and the target on the day after each (N,).

    The last window's day after is not in the data; its target is NaN.
    """
    starts = range(len(values) - WINDOW + 1)
    windows = np.stack([values[start : start + WINDOW] for start in starts])
    after = np.append(values[WINDOW:, FEATURES.index(TARGET)], np.nan)
    return windows, after


def build_model() -> keras.Sequential:
    """One LSTM, one output: a scaled temperature."""
    model = keras.Sequential(
        [keras.Input(shape=(WINDOW, len(FEATURES))), layers.LSTM(HIDDEN_SIZE), layers.Dense(1)]
    )
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="mse")
    return model


def main() -> None:
    """Train, save, and write everything that belongs to the model."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    weather = pd.read_csv(DATA_FILE)
    training = weather[weather["date"] <= LAST_TRAINING_DAY]
    validation = weather[
        (weather["date"] > LAST_TRAINING_DAY) & (weather["date"] <= LAST_VALIDATION_DAY)
    ]
    test = weather[weather["date"] > LAST_VALIDATION_DAY]

    scaler = MinMaxScaler().fit(training[FEATURES])
    x, y = windows_of(scaler.transform(training[FEATURES]))
    x_validation, y_validation = windows_of(scaler.transform(validation[FEATURES]))
    model = build_model()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)
    model.fit(
        x[:-1],
        y[:-1],
        batch_size=BATCH_SIZE,
        validation_data=(x_validation[:-1], y_validation[:-1]),
        epochs=MAX_EPOCHS,
        callbacks=[stop],
        verbose=2,
    )

    model.save(HERE / "model.keras")
    joblib.dump(scaler, HERE / "scaler.joblib")
    # The year's rows as they stand in the data.
    lines = DATA_FILE.read_text("utf-8").splitlines(keepends=True)
    rows = [line for line in lines[1:] if line[:10] > LAST_VALIDATION_DAY]
    (HERE / "weather.csv").write_text("".join([lines[0], *rows]), encoding="utf-8", newline="")

    table = pd.read_csv(HERE / "weather.csv")
    read = joblib.load(HERE / "scaler.joblib")
    saved = keras.models.load_model(HERE / "model.keras")
    x_test, y_test = windows_of(read.transform(table[FEATURES]))
    expected = saved.predict(x_test, verbose=0)
    np.save(HERE / "expected.npy", expected)
    column = FEATURES.index(TARGET)
    degrees = expected * read.data_range_[column] + read.data_min_[column]
    np.save(HERE / "expected_degrees.npy", degrees)

    truth = test[TARGET].to_numpy()[WINDOW:]
    as_today = test[TARGET].to_numpy()[WINDOW - 1 : -1]
    assert np.allclose(y_test[:-1] * read.data_range_[column] + read.data_min_[column], truth)
    write_metrics(
        HERE,
        {
            "mean_absolute_error_degrees": float(np.abs(degrees[:-1, 0] - truth).mean()),
            "same_as_today_baseline_degrees": float(np.abs(as_today - truth).mean()),
            "best_epoch": stop.best_epoch + 1,
            "train": len(x) - 1,
            "validation": len(x_validation) - 1,
            "test": len(x_test) - 1,
            "seed": SEED,
            "framework": "keras, on tensorflow-cpu",
            "version": keras.__version__,
            "scikit_learn": sklearn.__version__,
        },
    )


if __name__ == "__main__":
    main()
