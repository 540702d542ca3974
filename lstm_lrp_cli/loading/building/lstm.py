"""From the mapping of an LSTM to its weights in the engine's form, every shape checked.

This is the one place that knows gate orders and layouts other than the engine's.
"""

import math
from dataclasses import replace

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import shape_text
from lstm_lrp_cli.loading.mapping import (
    CellSpec,
    GateNames,
    InitialSpec,
    LstmLayout,
    LstmSpec,
    Weight,
)
from lstm_lrp_cli.model import FORGET, GATES, Floats
from lstm_lrp_cli.model.recurrent import Lstm, LstmCell
from .datasets import Datasets, dataset_names


def build_lstm(
    spec: LstmSpec, datasets: Datasets, key: str, inputs: int | None, *, stateful: bool = False
) -> Lstm:
    """Build an LSTM that the layer before feeds with `inputs` features, where known.

    Parameters
    ----------
    stateful : bool
        Whether the model's LSTMs are, but for those that say otherwise.
    """
    if spec.stateful and not stateful:
        raise datasets.mapping_error(
            f"{key}.stateful: found true, and the mapping does not say of how many sequences; "
            "expected `stateful: N` beside `layers`, N the batch size"
        )
    stateful = stateful and spec.stateful is not False
    if not math.isfinite(spec.forget_bias):
        raise datasets.mapping_error(
            f"{key}.forget_bias: found {spec.forget_bias}; expected a number"
        )
    if spec.activation == "softmax":
        raise datasets.mapping_error(
            f"{key}.activation: found softmax; expected a function of single units"
        )
    cells = [
        replace(_cell(spec, cell, datasets, f"{key}.{side}", inputs), backward=side == "backward")
        for side, cell in (("forward", spec.forward), ("backward", spec.backward))
        if cell is not None
    ]
    if not cells:
        raise datasets.mapping_error(
            f"{key}: give `forward`, `backward` or both, with their weights"
        )
    sizes = [(cell.input_size, cell.hidden_size, cell.output_size) for cell in cells]
    if len(set(sizes)) > 1:
        raise datasets.mapping_error(
            f"{key}: the directions differ in size: inputs and hidden units are "
            + " and ".join(f"{cell.input_size} and {cell.hidden_size}" for cell in cells)
        )
    return Lstm(
        tuple(cells), spec.merge, spec.returns, spec.recurrent_activation, spec.activation, stateful
    )


def _cell(
    spec: LstmSpec, cell: CellSpec, datasets: Datasets, key: str, inputs: int | None
) -> LstmCell:
    """One direction's weights; `key` is the direction's, and the LSTM's is what it stands in."""
    lstm_key = key.rsplit(".", 1)[0]
    _check_weights(cell, datasets, key)
    order = _gate_order(spec, cell, datasets, lstm_key)
    layout = spec.layout or _lstm_layout(cell, datasets)
    if layout is None:
        raise datasets.mapping_error(
            f"{lstm_key}: `layout` is missing, and nothing tells it where recurrent weights are "
            "given by gate, as a list or combined with those of the input; set it to "
            "gates_by_features (PyTorch) or features_by_gates (Keras)"
        )
    gates = _Gates(datasets, layout, order)
    projection = gates.projection(cell.projection, f"{key}.projection")
    source: Weight
    if cell.combined is not None:
        source, source_key = cell.combined, f"{key}.combined"
        weights, recurrent = gates.combined(cell.combined, source_key, projection)
    else:
        assert cell.input is not None
        assert cell.recurrent is not None
        source, source_key = cell.input, f"{key}.input"
        recurrent = gates.recurrent(cell.recurrent, f"{key}.recurrent", projection)
        weights = gates.matrices(source, source_key)
    hidden = recurrent.shape[1]
    if weights.shape[1] != hidden:
        raise gates.misshaped(
            source,
            source_key,
            f": {weights.shape[1]} units a gate under layout {layout}; "
            f"expected {hidden}, as in `recurrent`; is it transposed?",
        )
    if inputs is not None and weights.shape[2] != inputs:
        raise gates.misshaped(
            source,
            source_key,
            f": {weights.shape[2]} features under layout {layout}; "
            f"expected {inputs}, which the layer before gives",
        )
    bias = np.zeros((len(GATES), hidden), dtype=datasets.dtype)
    for part in _biases(cell):
        bias += gates.bias(part, f"{key}.bias", hidden)
    bias[FORGET] += spec.forget_bias
    initial = cell.initial or InitialSpec()
    return LstmCell(
        weights,
        recurrent,
        bias,
        projection=projection,
        initial_hidden=gates.state(initial.hidden, f"{key}.initial.hidden", recurrent.shape[2]),
        initial_cell=gates.state(initial.cell, f"{key}.initial.cell", hidden),
    )


def _check_weights(cell: CellSpec, datasets: Datasets, key: str) -> None:
    """A cell has input and recurrent weights, apart or in one, and not both."""
    apart = [role for role in ("input", "recurrent") if getattr(cell, role) is not None]
    if cell.combined is not None and apart:
        problem = f"found `combined` and `{apart[0]}`; expected one or the other"
    elif cell.combined is None and len(apart) < 2:
        missing = "recurrent" if "input" in apart else "input"
        problem = f"`{missing}` is missing; expected `input` and `recurrent`, or `combined`"
    else:
        return
    raise datasets.mapping_error(f"{key}: {problem}")


def _biases(cell: CellSpec) -> list[str | GateNames]:
    """The biases that add up."""
    if cell.bias is None:
        return []
    return cell.bias if isinstance(cell.bias, list) else [cell.bias]


def _gate_order(spec: LstmSpec, cell: CellSpec, datasets: Datasets, key: str) -> list[int]:
    """Where each of i, f, g, o stands in the file's stacking."""
    if spec.gate_order is None:
        weights = [cell.combined] if cell.combined is not None else [cell.input, cell.recurrent]
        if all(isinstance(part, dict) for part in (*weights, *_biases(cell))):
            return list(range(len(GATES)))
        raise datasets.mapping_error(
            f"{key}: `gate_order` is missing; say how the gates are stacked, "
            "such as [i, f, g, o] (PyTorch, Keras) or [i, g, f, o] (TensorFlow 1)"
        )
    if sorted(spec.gate_order) != sorted(GATES):
        found = ", ".join(spec.gate_order)
        hint = "; the cell candidate, Keras's c, is `g`" if "c" in spec.gate_order else ""
        raise datasets.mapping_error(
            f"{key}.gate_order: found [{found}]; expected each of i, f, g, o once{hint}"
        )
    return [spec.gate_order.index(gate) for gate in GATES]


def _lstm_layout(cell: CellSpec, datasets: Datasets) -> LstmLayout | None:
    """The layout that shapes tell: recurrent weights are (4d, d) or (d, 4d), a bias is (4d,)."""
    if isinstance(cell.combined, str) and isinstance(cell.bias, str):
        kernel = datasets.file.datasets.get(cell.combined)
        bias = datasets.file.datasets.get(cell.bias)
        if kernel is None or bias is None or len(kernel.shape) != 2 or len(bias.shape) != 1:
            return "features_by_gates"  # reading them says what is wrong
        rows, columns = (size == bias.shape[0] for size in kernel.shape)
        if rows == columns:
            return None
        return "gates_by_features" if rows else "features_by_gates"
    if not isinstance(cell.recurrent, str):
        return None
    stored = datasets.file.datasets.get(cell.recurrent)
    if stored is None or len(stored.shape) != 2:
        return "gates_by_features"  # reading it says what is wrong
    return "gates_by_features" if stored.shape[0] >= stored.shape[1] else "features_by_gates"


class _Gates(Struct, frozen=True):
    """Reads weights of all gates as a file keeps them.

    Parameters
    ----------
    datasets : Datasets
    layout : {"gates_by_features", "features_by_gates", "cudnn"}
    order : list of int
        Where each of i, f, g, o stands.
    """

    datasets: Datasets
    layout: LstmLayout
    order: list[int]

    def matrices(self, reference: Weight, key: str) -> Floats:
        """A weight of all gates in the engine's form, shape (4, hidden, features)."""
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
        joined = np.concatenate(oriented, axis=1)
        if joined.shape[0] % len(GATES):
            raise self.misshaped(
                reference,
                key,
                f": {joined.shape[0]} gate units under layout {self.layout}; "
                "expected a multiple of 4; is it transposed?",
            )
        gates = joined.reshape(len(GATES), -1, joined.shape[1])
        if self.layout == "cudnn":
            gates = np.stack([_from_cudnn(gate) for gate in gates])
        return np.ascontiguousarray(gates[self.order])

    def recurrent(self, reference: Weight, key: str, projection: Floats | None) -> Floats:
        """The recurrent weights, shape (4, hidden, outputs)."""
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
            wanted = (4 * hidden, hidden) if by_gates else (hidden, 4 * hidden)
            other = "features_by_gates" if by_gates else "gates_by_features"
            raise self.misshaped(
                reference,
                key,
                f"; expected {shape_text(wanted)} or the like, "
                f"4 gates of as many units as features, under layout {self.layout}; "
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
        """One bias in the engine's form, shape (4, hidden); cuDNN's two are added."""
        names = self._names(reference, key)
        biases = 2 if self.layout == "cudnn" else 1
        expected = biases * hidden * (1 if isinstance(reference, dict) else len(GATES))
        parts = [self.datasets.read(name, key, 1) for name in names]
        for name, part in zip(names, parts, strict=True):
            self._check_length(name, key, part, expected)
        summed = [part.reshape(biases, -1).sum(axis=0) for part in parts]
        if isinstance(reference, dict):
            return np.stack(summed)
        return np.asarray(summed[0].reshape(len(GATES), hidden)[self.order])

    def projection(self, name: str | None, key: str) -> Floats | None:
        """What makes the outputs of the hidden units, shape (outputs, hidden)."""
        if name is None:
            return None
        matrix = self.datasets.read(name, key, 2)
        by_gates = self.layout == "gates_by_features"
        return matrix if by_gates else np.ascontiguousarray(matrix.T)

    def state(self, name: str | None, key: str, size: int) -> Floats | None:
        """The state before the first step, shape (size,)."""
        if name is None:
            return None
        state = self.datasets.read(name, key, 1)
        self._check_length(name, key, state, size)
        return state

    def misshaped(self, reference: Weight, key: str, problem: str) -> UnusableInput:
        """The error about the shape of a weight, which it tells before the problem."""
        names, datasets = dataset_names(reference), self.datasets
        shapes = dict.fromkeys(shape_text(datasets.file.datasets[name].shape) for name in names)
        return datasets.array_error(names, f"({key}) has shape {' and '.join(shapes)}{problem}")

    def _check_length(self, name: str, key: str, vector: Floats, expected: int) -> None:
        if len(vector) != expected:
            problem = f"({key}) has {len(vector)} values; expected {expected}"
            raise self.datasets.array_error([name], problem)

    def _names(self, reference: Weight, key: str) -> list[str]:
        """The datasets of a weight; those of single gates in the order i, f, g, o."""
        if not reference:
            raise self.datasets.mapping_error(f"{key}: names no dataset; expected one or more")
        if not isinstance(reference, dict):
            return dataset_names(reference)
        if sorted(reference) != sorted(GATES):
            raise self.datasets.mapping_error(
                f"{key}: found gates {', '.join(reference)}; expected each of i, f, g, o once"
            )
        return [reference[gate] for gate in GATES]


def _from_cudnn(gate: Floats) -> Floats:
    """One gate's matrix, (hidden, features), of what Keras kept for cuDNN in its place.

    Keras sliced (features, hidden) out of its kernel and handed cuDNN the numbers as they lay in
    memory; cuDNN took them for (hidden, features).
    """
    return np.ascontiguousarray(gate.T).reshape(gate.shape)
