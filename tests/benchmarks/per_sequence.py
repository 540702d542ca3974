"""LRP of one sequence after another, one time step at a time, as research scripts do it.

The formulas as papers have them, in float64, with NumPy's vectors and matrices: no batches, nothing
kept from one sequence for the next. Every linear map goes through one function, the sum of the cell
state too, whose weights are identity matrices. `messages` is that function as it is written out in
papers and scripts: the matrix of all messages from outputs to inputs, then their sum. `factored`
gives the same numbers by vectors alone, which is the most that this way of working can do.
"""

from collections.abc import Callable

import numpy as np

from lstm_lrp_cli.model.arrays import CANDIDATE, FORGET, INPUT, OUTPUT, Floats, Integers
from lstm_lrp_cli.model.layers import Dense, Lstm, LstmCell
from lstm_lrp_cli.model.model import Model

EPS = 1e-3
BIAS_FACTOR = 0.0

# Weights of shape (outputs, inputs), bias, inputs, outputs, the outputs' relevance, and the number
# of units that feed an output in all; the inputs' relevance.
Linear = Callable[[Floats, Floats, Floats, Floats, Floats, int], Floats]


def messages(
    weights: Floats, bias: Floats, a: Floats, z: Floats, relevance: Floats, lower: int
) -> Floats:
    """R_i = sum_j (w_ij a_i + delta (b_j + eps s_j) / N) / (z_j + eps s_j) R_j."""
    stabilizer = EPS * np.where(z >= 0, 1.0, -1.0)[:, np.newaxis]
    numerators = weights * a + BIAS_FACTOR * (bias[:, np.newaxis] + stabilizer) / lower
    of_all = numerators / (z[:, np.newaxis] + stabilizer) * relevance[:, np.newaxis]
    return of_all.sum(axis=0)


def factored(
    weights: Floats, bias: Floats, a: Floats, z: Floats, relevance: Floats, lower: int
) -> Floats:
    """The same with all that does not depend on j taken out of the sum."""
    stabilizer = EPS * np.where(z >= 0, 1.0, -1.0)
    sent = relevance / (z + stabilizer)
    return a * (sent @ weights) + BIAS_FACTOR * ((bias + stabilizer) @ sent) / lower


class PerSequence:
    """An embedding, one LSTM in one direction or two, and a linear layer of the last states."""

    def __init__(self, model: Model, linear: Linear) -> None:
        lstm, dense = (node.layer for node in model.nodes)
        assert model.embedding is not None
        assert isinstance(lstm, Lstm)
        assert isinstance(dense, Dense)
        assert dense.bias is not None
        self.table = model.embedding.weights
        self.cells = lstm.cells
        self.dense = dense
        self.linear = linear

    def explain(self, ids: Integers) -> tuple[Floats, Floats]:
        """The scores of a sequence, and the relevance of its tokens for the highest of them."""
        x = self.table[ids]
        readers = [CellReader(cell, x[::-1] if cell.backward else x) for cell in self.cells]
        last = np.concatenate([reader.h[len(ids)] for reader in readers])
        scores = self.dense.weights @ last + self.dense.bias

        predicted = np.argmax(scores)
        explained = np.zeros(len(scores))
        explained[predicted] = scores[predicted]
        of_last = self.linear(
            self.dense.weights, self.dense.bias, last, scores, explained, len(last)
        )
        relevance = np.zeros(len(ids))
        for reader, of_h in zip(readers, np.split(of_last, len(readers)), strict=True):
            of_x = reader.relevance(of_h, self.linear)
            relevance += of_x[::-1] if reader.cell.backward else of_x
        return scores, relevance


class CellReader:
    """One cell, which has read a sequence of vectors; step t leads from state t to state t + 1."""

    def __init__(self, cell: LstmCell, x: Floats) -> None:
        steps, hidden = len(x), cell.hidden_size
        self.cell = cell
        self.x = x
        self.h = np.zeros((steps + 1, hidden))
        self.c = np.zeros((steps + 1, hidden))
        self.z_g = np.zeros((steps, hidden))
        self.ig = np.zeros((steps, hidden))
        self.fc = np.zeros((steps, hidden))
        weights = cell.input.reshape(4 * hidden, -1)
        recurrent = cell.recurrent.reshape(4 * hidden, -1)
        bias = cell.bias.reshape(-1)
        for t in range(steps):
            z = (weights @ x[t] + recurrent @ self.h[t] + bias).reshape(4, hidden)
            i, f, o = (1.0 / (1.0 + np.exp(-z[gate])) for gate in (INPUT, FORGET, OUTPUT))
            self.z_g[t] = z[CANDIDATE]
            self.ig[t] = i * np.tanh(z[CANDIDATE])
            self.fc[t] = f * self.c[t]
            self.c[t + 1] = self.fc[t] + self.ig[t]
            self.h[t + 1] = o * np.tanh(self.c[t + 1])

    def relevance(self, of_h: Floats, linear: Linear) -> Floats:
        """The relevance of every step's vector, as one number, given that of the last state."""
        w_g, u_g = self.cell.input[CANDIDATE], self.cell.recurrent[CANDIDATE]
        b_g = self.cell.bias[CANDIDATE]
        hidden = self.cell.hidden_size
        feeding = hidden + self.cell.input_size
        identity, nothing = np.eye(hidden), np.zeros(hidden)
        of_c = np.zeros(hidden)
        of_x = np.zeros(len(self.x))
        for t in reversed(range(len(self.x))):
            x, h, z_g = self.x[t], self.h[t], self.z_g[t]
            ig, fc, c = self.ig[t], self.fc[t], self.c[t + 1]
            of_c = of_c + of_h
            of_g = linear(identity, nothing, ig, c, of_c, 2 * hidden)
            of_c = linear(identity, nothing, fc, c, of_c, 2 * hidden)
            of_x[t] = linear(w_g, b_g, x, z_g, of_g, feeding).sum()
            of_h = linear(u_g, b_g, h, z_g, of_g, feeding)
        return of_x
