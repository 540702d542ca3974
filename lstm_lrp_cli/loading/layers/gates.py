"""Weights of all gates of a recurrent layer in the engine's form, every shape checked.

This is the one place that knows gate orders and layouts other than the engine's.
"""

from typing import Literal

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.model import Floats
from .datasets import Datasets, GateNames, Weight, dataset_names

GateLayout = Literal["gates_by_features", "features_by_gates", "cudnn"]


class Gates(Struct, frozen=True):
    """Reads weights of all gates as a file keeps them.

    Parameters
    ----------
    datasets : Datasets
    layout : {"gates_by_features", "features_by_gates", "cudnn"}
    names : tuple of str
        The gates in the engine's order.
    order : list of int
        Where each of them stands.
    """

    datasets: Datasets
    layout: GateLayout
    names: tuple[str, ...]
    order: list[int]

    def matrices(self, reference: Weight, key: str) -> Floats:
        """A weight of all gates in the engine's form, shape (gates, hidden, features)."""
        names = self._names(reference, key)
        parts = [self.datasets.read(name, key, 2) for name in names]
        oriented = parts if self.layout == "gates_by_features" else [part.T for part in parts]
        if isinstance(reference, dict):
            if len({part.shape for part in oriented}) > 1:
                raise self.datasets.array_error(
                    names, f"({key}) the gates' matrices differ in shape"
                )
            if self.layout == "cudnn":
                oriented = [_from_cudnn(part) for part in oriented]
            return np.stack(oriented)
        if len({part.shape[0] for part in oriented}) > 1:
            raise self.datasets.array_error(
                names, f"({key}) the matrices differ in their numbers of gate units"
            )
        joined = oriented[0] if len(oriented) == 1 else np.concatenate(oriented, axis=1)
        if joined.shape[0] % len(self.names):
            raise self.misshaped(
                reference,
                key,
                f": {joined.shape[0]} gate units under layout {self.layout}; "
                f"expected a multiple of {len(self.names)}; is it transposed?",
            )
        gates = joined.reshape(len(self.names), -1, joined.shape[1])
        if self.layout == "cudnn":
            gates = np.stack([_from_cudnn(gate) for gate in gates])
        # What stands as it should is not copied: many models may be built of the same weights.
        in_order = self.order == list(range(len(self.order)))
        return np.ascontiguousarray(gates if in_order else gates[self.order])

    def recurrent(self, reference: Weight, key: str, projection: Floats | None) -> Floats:
        """The recurrent weights, shape (gates, hidden, outputs)."""
        recurrent = self.matrices(reference, key)
        hidden = recurrent.shape[1]
        if projection is not None:
            if projection.shape != (recurrent.shape[2], hidden):
                raise self.misshaped(
                    reference,
                    key,
                    f": {hidden} hidden units that take {recurrent.shape[2]} outputs; "
                    f"`projection` makes {projection.shape[0]} of {projection.shape[1]}",
                )
        elif recurrent.shape[2] != hidden:
            by_gates = self.layout == "gates_by_features"
            count = len(self.names)
            wanted = (count * hidden, hidden) if by_gates else (hidden, count * hidden)
            other = "features_by_gates" if by_gates else "gates_by_features"
            raise self.misshaped(
                reference,
                key,
                f"; expected {shape_text(wanted)} or the like, "
                f"{count} gates of as many units as features, under layout {self.layout}; "
                f"if the file keeps it transposed, set `layout: {other}`",
            )
        return recurrent

    def combined(
        self, reference: str | GateNames, key: str, projection: Floats | None
    ) -> tuple[Floats, Floats]:
        """One kernel of inputs and hidden states, [x; h], cut into those two."""
        both = self.matrices(reference, key)
        outputs = both.shape[1] if projection is None else len(projection)
        inputs = both.shape[2] - outputs
        if inputs < 1:
            raise self.misshaped(
                reference,
                key,
                f": {both.shape[2]} features, inputs and {outputs} hidden states, under layout "
                f"{self.layout}; is it transposed?",
            )
        return both[:, :, :inputs], both[:, :, inputs:]

    def bias(self, reference: str | GateNames, key: str, hidden: int) -> Floats:
        """One bias in the engine's form, shape (gates, hidden); cuDNN's two are added."""
        names = self._names(reference, key)
        biases = 2 if self.layout == "cudnn" else 1
        expected = biases * hidden * (1 if isinstance(reference, dict) else len(self.names))
        parts = [self.datasets.read(name, key, 1) for name in names]
        for name, part in zip(names, parts, strict=True):
            check_length(self.datasets, name, key, part, expected)
        summed = [part.reshape(biases, -1).sum(axis=0) for part in parts]
        if isinstance(reference, dict):
            return np.stack(summed)
        return np.asarray(summed[0].reshape(len(self.names), hidden)[self.order])

    def biases(self, name: str, key: str, hidden: int) -> Floats:
        """Two biases in one, of the inputs and of the hidden state, shape (2, gates, hidden).

        Keras keeps them as two rows, and for cuDNN one after the other.
        """
        flat = self.layout == "cudnn"
        both = self.datasets.read(name, key, 1 if flat else 2)
        units = len(self.names) * hidden
        expected = (2 * units,) if flat else (2, units)
        if both.shape != expected:
            found = f"({key}) has shape {shape_text(both.shape)}"
            problem = f"{found}; expected {shape_text(expected)}"
            raise self.datasets.array_error([name], problem)
        return np.asarray(both.reshape(2, len(self.names), hidden)[:, self.order])

    def projection(self, name: str | None, key: str) -> Floats | None:
        """What makes the outputs of the hidden units, shape (outputs, hidden)."""
        if name is None:
            return None
        matrix = self.datasets.read(name, key, 2)
        by_gates = self.layout == "gates_by_features"
        return matrix if by_gates else np.ascontiguousarray(matrix.T)

    def misshaped(self, reference: Weight, key: str, problem: str) -> UnusableInput:
        """The error about the shape of a weight, which it tells before the problem."""
        names, datasets = dataset_names(reference), self.datasets
        shapes = dict.fromkeys(shape_text(datasets.file.datasets[name].shape) for name in names)
        return datasets.array_error(names, f"({key}) has shape {' and '.join(shapes)}{problem}")

    def _names(self, reference: Weight, key: str) -> list[str]:
        """The datasets of a weight; those of single gates in the engine's order."""
        if not reference:
            raise self.datasets.mapping_error(f"{key}: names no dataset; expected one or more")
        if not isinstance(reference, dict):
            return dataset_names(reference)
        if sorted(reference) != sorted(self.names):
            expected = ", ".join(self.names)
            raise self.datasets.mapping_error(
                f"{key}: found gates {', '.join(reference)}; expected each of {expected} once"
            )
        return [reference[gate] for gate in self.names]


def check_length(datasets: Datasets, name: str, key: str, vector: Floats, expected: int) -> None:
    """Refuse a vector of another length."""
    if len(vector) != expected:
        problem = f"({key}) has {len(vector)} values; expected {expected}"
        raise datasets.array_error([name], problem)


def _from_cudnn(gate: Floats) -> Floats:
    """One gate's matrix, (hidden, features), of what Keras kept for cuDNN in its place.

    Keras sliced (features, hidden) out of its kernel and handed cuDNN the numbers as they lay in
    memory; cuDNN took them for (hidden, features).
    """
    return np.ascontiguousarray(gate.T).reshape(gate.shape)
