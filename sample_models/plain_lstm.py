"""A plain NumPy LSTM in float64, to verify exported weights without any framework."""

import numpy as np


def sigmoid(z: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-z))


def hidden_states(
    inputs: np.ndarray,
    input_weights: np.ndarray,
    recurrent_weights: np.ndarray,
    bias: np.ndarray,
    gate_order: str,
) -> np.ndarray:
    """Run one LSTM over inputs (T, e) and return its hidden states (T, d).

    Weights have a row for every gate and unit, (4d, e) and (4d, d), stacked by gate in
    `gate_order`, a string such as "ifgo".
    """
    size = recurrent_weights.shape[1]
    hidden, cell = np.zeros(size), np.zeros(size)
    states = np.empty((len(inputs), size))
    for step, features in enumerate(inputs):
        stacked = input_weights @ features + recurrent_weights @ hidden + bias
        z = dict(zip(gate_order, stacked.reshape(4, size), strict=True))
        cell = sigmoid(z["f"]) * cell + sigmoid(z["i"]) * np.tanh(z["g"])
        hidden = sigmoid(z["o"]) * np.tanh(cell)
        states[step] = hidden
    return states
