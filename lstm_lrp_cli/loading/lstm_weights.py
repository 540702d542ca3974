"""From the mapping of an LSTM to its weights in the engine's form, every shape checked.

This is the one place that knows gate orders and layouts other than the engine's.
"""

import math
from dataclasses import replace

import numpy as np

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.datasets import Datasets, dataset_names
from lstm_lrp_cli.loading.mapping import CellSpec, GateNames, LstmSpec, Weight
from lstm_lrp_cli.loading.weight_file import shape_text
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.gates import FORGET, GATES
from lstm_lrp_cli.model.layers import Lstm, LstmCell


def build_lstm(spec: LstmSpec, datasets: Datasets, key: str, inputs: int | None) -> Lstm:
    """Build an LSTM that the layer before feeds with `inputs` features, where known."""
    if not math.isfinite(spec.forget_bias):
        raise UnusableInput(
            datasets.mapping_name, f"{key}.forget_bias: found {spec.forget_bias}; expected a number"
        )
    cells = []
    if spec.forward is not None:
        cells.append(_cell(spec, spec.forward, datasets, f"{key}.forward", inputs))
    if spec.backward is not None:
        cell = _cell(spec, spec.backward, datasets, f"{key}.backward", inputs)
        cells.append(replace(cell, backward=True))
    if not cells:
        raise UnusableInput(
            datasets.mapping_name, f"{key}: give `forward`, `backward` or both, with their weights"
        )
    if len({cell.input.shape for cell in cells}) > 1:
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}: the directions differ in size: inputs and hidden units are "
            + " and ".join(f"{cell.input_size} and {cell.hidden_size}" for cell in cells),
        )
    return Lstm(tuple(cells), spec.merge, spec.returns, spec.recurrent_activation)


def _cell(
    spec: LstmSpec, cell: CellSpec, datasets: Datasets, key: str, inputs: int | None
) -> LstmCell:
    lstm_key = key.rsplit(".", 1)[0]
    order = _gate_order(spec, cell, datasets, lstm_key)
    layout = spec.layout or _lstm_layout(cell, datasets)
    if layout is None:
        raise UnusableInput(
            datasets.mapping_name,
            f"{lstm_key}: `layout` is missing, and nothing tells it where recurrent weights are "
            "given by gate or as a list; set it to gates_by_features (PyTorch) or "
            "features_by_gates (Keras)",
        )
    recurrent = _gate_matrices(cell.recurrent, datasets, f"{key}.recurrent", layout, order)
    hidden = recurrent.shape[1]
    if recurrent.shape[2] != hidden:
        found = _found(cell.recurrent, datasets)
        names = datasets.where(" + ".join(dataset_names(cell.recurrent)))
        wanted = (4 * hidden, hidden) if layout == "gates_by_features" else (hidden, 4 * hidden)
        other = "features_by_gates" if layout == "gates_by_features" else "gates_by_features"
        raise UnusableInput(
            names,
            f"({key}.recurrent) has shape {found}; expected {shape_text(wanted)} or the like, "
            f"4 gates of as many units as features, under layout {layout}; "
            f"if the file keeps it transposed, set `layout: {other}`",
        )
    weights = _gate_matrices(cell.input, datasets, f"{key}.input", layout, order)
    names = datasets.where(" + ".join(dataset_names(cell.input)))
    if weights.shape[1] != hidden:
        raise UnusableInput(
            names,
            f"({key}.input) has shape {_found(cell.input, datasets)}: {weights.shape[1]} units a "
            f"gate under layout {layout}; expected {hidden}, as in `recurrent`; is it transposed?",
        )
    if inputs is not None and weights.shape[2] != inputs:
        raise UnusableInput(
            names,
            f"({key}.input) has shape {_found(cell.input, datasets)}: {weights.shape[2]} features "
            f"under layout {layout}; expected {inputs}, which the layer before gives",
        )
    bias = np.zeros((len(GATES), hidden), dtype=datasets.dtype)
    for part in _biases(cell):
        bias += _gate_bias(part, datasets, f"{key}.bias", order, hidden)
    bias[FORGET] += spec.forget_bias
    return LstmCell(weights, recurrent, bias)


def _biases(cell: CellSpec) -> list[str | GateNames]:
    """The biases that add up."""
    if cell.bias is None:
        return []
    return cell.bias if isinstance(cell.bias, list) else [cell.bias]


def _gate_order(spec: LstmSpec, cell: CellSpec, datasets: Datasets, key: str) -> list[int]:
    """Where each of i, f, g, o stands in the file's stacking."""
    if spec.gate_order is None:
        if all(isinstance(p, dict) for p in (cell.input, cell.recurrent, *_biases(cell))):
            return list(range(len(GATES)))
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}: `gate_order` is missing; say how the gates are stacked, "
            "such as [i, f, g, o] (PyTorch, Keras) or [i, g, f, o] (TensorFlow 1)",
        )
    if sorted(spec.gate_order) != sorted(GATES):
        found = ", ".join(spec.gate_order)
        hint = "; the cell candidate, Keras's c, is `g`" if "c" in spec.gate_order else ""
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}.gate_order: found [{found}]; expected each of i, f, g, o once{hint}",
        )
    return [spec.gate_order.index(gate) for gate in GATES]


def _lstm_layout(cell: CellSpec, datasets: Datasets) -> str | None:
    """The layout that the recurrent weights' shape tells: they are (4d, d) or (d, 4d)."""
    if not isinstance(cell.recurrent, str):
        return None
    stored = datasets.file.datasets.get(cell.recurrent)
    if stored is None or len(stored.shape) != 2:
        return "gates_by_features"  # reading it says what is wrong
    return "gates_by_features" if stored.shape[0] >= stored.shape[1] else "features_by_gates"


def _gate_matrices(
    reference: Weight, datasets: Datasets, key: str, layout: str, order: list[int]
) -> Floats:
    """A weight of all gates in the engine's form, shape (4, hidden, features)."""
    names = _names(reference, datasets, key)
    parts = [datasets.read(name, key, 2) for name in names]
    oriented = parts if layout == "gates_by_features" else [part.T for part in parts]
    where = datasets.where(" + ".join(names))
    if isinstance(reference, dict):
        if len({part.shape for part in oriented}) > 1:
            raise UnusableInput(where, f"({key}) the gates' matrices differ in shape")
        return np.stack(oriented)
    if len({part.shape[0] for part in oriented}) > 1:
        raise UnusableInput(where, f"({key}) the matrices differ in their numbers of gate units")
    joined = np.concatenate(oriented, axis=1)
    if joined.shape[0] % len(GATES):
        raise UnusableInput(
            where,
            f"({key}) has shape {_found(reference, datasets)}: {joined.shape[0]} gate units under "
            f"layout {layout}; expected a multiple of 4; is it transposed?",
        )
    return np.ascontiguousarray(joined.reshape(len(GATES), -1, joined.shape[1])[order])


def _gate_bias(
    reference: str | GateNames, datasets: Datasets, key: str, order: list[int], hidden: int
) -> Floats:
    """One bias of all gates in the engine's form, shape (4, hidden)."""
    names = _names(reference, datasets, key)
    parts = [datasets.read(name, key, 1) for name in names]
    expected = hidden if isinstance(reference, dict) else len(GATES) * hidden
    for name, part in zip(names, parts, strict=True):
        if len(part) != expected:
            raise UnusableInput(
                datasets.where(name), f"({key}) has {len(part)} values; expected {expected}"
            )
    if isinstance(reference, dict):
        return np.stack(parts)
    return parts[0].reshape(len(GATES), hidden)[order]


def _names(reference: Weight, datasets: Datasets, key: str) -> list[str]:
    """The datasets of a weight; those of single gates in the order i, f, g, o."""
    if not reference:
        raise UnusableInput(datasets.mapping_name, f"{key}: names no dataset; expected one or more")
    if not isinstance(reference, dict):
        return dataset_names(reference)
    if sorted(reference) != sorted(GATES):
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}: found gates {', '.join(reference)}; expected each of i, f, g, o once",
        )
    return [reference[gate] for gate in GATES]


def _found(reference: Weight, datasets: Datasets) -> str:
    shapes = [shape_text(datasets.file.datasets[name].shape) for name in dataset_names(reference)]
    return " and ".join(dict.fromkeys(shapes))
