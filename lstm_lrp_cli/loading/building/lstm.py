"""From the mapping of an LSTM to its weights in the engine's form, every shape checked.

This is the one place that knows gate orders and layouts other than the engine's.
"""

import math
from dataclasses import replace

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files.array_file import shape_text
from lstm_lrp_cli.loading.mapping.schema import (
    CellSpec,
    GateNames,
    InitialSpec,
    LstmLayout,
    LstmSpec,
    Weight,
)
from lstm_lrp_cli.model.arrays import FORGET, GATES, Floats
from lstm_lrp_cli.model.layers import Lstm, LstmCell
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
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}.stateful: found true, and the mapping does not say of how many sequences; "
            "expected `stateful: N` beside `layers`, N the batch size",
        )
    stateful = stateful and spec.stateful is not False
    if not math.isfinite(spec.forget_bias):
        raise UnusableInput(
            datasets.mapping_name, f"{key}.forget_bias: found {spec.forget_bias}; expected a number"
        )
    if spec.activation == "softmax":
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}.activation: found softmax; expected a function of single units",
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
    sizes = [(cell.input_size, cell.hidden_size, cell.output_size) for cell in cells]
    if len(set(sizes)) > 1:
        raise UnusableInput(
            datasets.mapping_name,
            f"{key}: the directions differ in size: inputs and hidden units are "
            + " and ".join(f"{cell.input_size} and {cell.hidden_size}" for cell in cells),
        )
    return Lstm(
        tuple(cells), spec.merge, spec.returns, spec.recurrent_activation, spec.activation, stateful
    )


class _Stacking(Struct, frozen=True):
    """How a file keeps the gates of a cell.

    Parameters
    ----------
    layout : {"gates_by_features", "features_by_gates", "cudnn"}
    order : list of int
        Where each of i, f, g, o stands.
    """

    layout: LstmLayout
    order: list[int]


def _cell(
    spec: LstmSpec, cell: CellSpec, datasets: Datasets, key: str, inputs: int | None
) -> LstmCell:
    lstm_key = key.rsplit(".", 1)[0]
    _check_weights(cell, datasets, key)
    order = _gate_order(spec, cell, datasets, lstm_key)
    layout = spec.layout or _lstm_layout(cell, datasets)
    if layout is None:
        raise UnusableInput(
            datasets.mapping_name,
            f"{lstm_key}: `layout` is missing, and nothing tells it where recurrent weights are "
            "given by gate, as a list or combined with those of the input; set it to "
            "gates_by_features (PyTorch) or features_by_gates (Keras)",
        )
    stacking = _Stacking(layout, order)
    projection = _projection(cell, datasets, key, layout)
    if cell.combined is not None:
        weights, recurrent = _combined(
            cell.combined, datasets, f"{key}.combined", stacking, projection
        )
        names = datasets.where(" + ".join(dataset_names(cell.combined)))
        found = f"({key}.combined) has shape {_found(cell.combined, datasets)}"
    else:
        assert cell.input is not None
        assert cell.recurrent is not None
        recurrent = _recurrent(cell.recurrent, datasets, key, stacking, projection)
        weights = _gate_matrices(cell.input, datasets, f"{key}.input", stacking)
        names = datasets.where(" + ".join(dataset_names(cell.input)))
        found = f"({key}.input) has shape {_found(cell.input, datasets)}"
    hidden = recurrent.shape[1]
    if weights.shape[1] != hidden:
        raise UnusableInput(
            names,
            f"{found}: {weights.shape[1]} units a gate under layout {layout}; "
            f"expected {hidden}, as in `recurrent`; is it transposed?",
        )
    if inputs is not None and weights.shape[2] != inputs:
        raise UnusableInput(
            names,
            f"{found}: {weights.shape[2]} features under layout {layout}; "
            f"expected {inputs}, which the layer before gives",
        )
    bias = np.zeros((len(GATES), hidden), dtype=datasets.dtype)
    for part in _biases(cell):
        bias += _gate_bias(part, datasets, f"{key}.bias", stacking, hidden)
    bias[FORGET] += spec.forget_bias
    initial = cell.initial or InitialSpec()
    return LstmCell(
        weights,
        recurrent,
        bias,
        projection=projection,
        initial_hidden=_state(
            initial.hidden, datasets, f"{key}.initial.hidden", recurrent.shape[2]
        ),
        initial_cell=_state(initial.cell, datasets, f"{key}.initial.cell", hidden),
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
    raise UnusableInput(datasets.mapping_name, f"{key}: {problem}")


def _recurrent(
    reference: Weight, datasets: Datasets, key: str, stacking: _Stacking, projection: Floats | None
) -> Floats:
    """The recurrent weights, shape (4, hidden, outputs)."""
    layout = stacking.layout
    recurrent = _gate_matrices(reference, datasets, f"{key}.recurrent", stacking)
    hidden = recurrent.shape[1]
    where = datasets.where(" + ".join(dataset_names(reference)))
    found = f"({key}.recurrent) has shape {_found(reference, datasets)}"
    if projection is not None:
        if projection.shape != (recurrent.shape[2], hidden):
            raise UnusableInput(
                where,
                f"{found}: {hidden} hidden units that take {recurrent.shape[2]} outputs; "
                f"`projection` makes {projection.shape[0]} of {projection.shape[1]}",
            )
    elif recurrent.shape[2] != hidden:
        wanted = (4 * hidden, hidden) if layout == "gates_by_features" else (hidden, 4 * hidden)
        other = "features_by_gates" if layout == "gates_by_features" else "gates_by_features"
        raise UnusableInput(
            where,
            f"{found}; expected {shape_text(wanted)} or the like, "
            f"4 gates of as many units as features, under layout {layout}; "
            f"if the file keeps it transposed, set `layout: {other}`",
        )
    return recurrent


def _combined(
    reference: str | GateNames,
    datasets: Datasets,
    key: str,
    stacking: _Stacking,
    projection: Floats | None,
) -> tuple[Floats, Floats]:
    """One kernel of inputs and hidden states, [x; h], cut into those two."""
    both = _gate_matrices(reference, datasets, key, stacking)
    outputs = both.shape[1] if projection is None else len(projection)
    inputs = both.shape[2] - outputs
    if inputs < 1:
        raise UnusableInput(
            datasets.where(" + ".join(dataset_names(reference))),
            f"({key}) has shape {_found(reference, datasets)}: {both.shape[2]} features, "
            f"inputs and {outputs} hidden states, under layout {stacking.layout}; "
            "is it transposed?",
        )
    return both[:, :, :inputs], both[:, :, inputs:]


def _projection(cell: CellSpec, datasets: Datasets, key: str, layout: LstmLayout) -> Floats | None:
    """What makes the outputs of the hidden units, shape (outputs, hidden)."""
    if cell.projection is None:
        return None
    matrix = datasets.read(cell.projection, f"{key}.projection", 2)
    return matrix if layout == "gates_by_features" else np.ascontiguousarray(matrix.T)


def _state(name: str | None, datasets: Datasets, key: str, size: int) -> Floats | None:
    if name is None:
        return None
    state = datasets.read(name, key, 1)
    if len(state) != size:
        raise UnusableInput(
            datasets.where(name), f"({key}) has {len(state)} values; expected {size}"
        )
    return state


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


def _gate_matrices(reference: Weight, datasets: Datasets, key: str, stacking: _Stacking) -> Floats:
    """A weight of all gates in the engine's form, shape (4, hidden, features)."""
    layout = stacking.layout
    names = _names(reference, datasets, key)
    parts = [datasets.read(name, key, 2) for name in names]
    where = datasets.where(" + ".join(names))
    oriented = parts if layout == "gates_by_features" else [part.T for part in parts]
    if isinstance(reference, dict):
        if len({part.shape for part in oriented}) > 1:
            raise UnusableInput(where, f"({key}) the gates' matrices differ in shape")
        if layout == "cudnn":
            oriented = [_from_cudnn(part) for part in oriented]
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
    gates = joined.reshape(len(GATES), -1, joined.shape[1])
    if layout == "cudnn":
        gates = np.stack([_from_cudnn(gate) for gate in gates])
    return np.ascontiguousarray(gates[stacking.order])


def _from_cudnn(gate: Floats) -> Floats:
    """One gate's matrix, (hidden, features), of what Keras kept for cuDNN in its place.

    Keras sliced (features, hidden) out of its kernel and handed cuDNN the numbers as they lay in
    memory; cuDNN took them for (hidden, features).
    """
    return np.ascontiguousarray(gate.T).reshape(gate.shape)


def _gate_bias(
    reference: str | GateNames, datasets: Datasets, key: str, stacking: _Stacking, hidden: int
) -> Floats:
    """One bias of all gates in the engine's form, shape (4, hidden); cuDNN's two are added."""
    names = _names(reference, datasets, key)
    parts = [datasets.read(name, key, 1) for name in names]
    expected = hidden if isinstance(reference, dict) else len(GATES) * hidden
    biases = 2 if stacking.layout == "cudnn" else 1
    for name, part in zip(names, parts, strict=True):
        if len(part) != biases * expected:
            raise UnusableInput(
                datasets.where(name),
                f"({key}) has {len(part)} values; expected {biases * expected}",
            )
    summed = [part.reshape(biases, -1).sum(axis=0) for part in parts]
    if isinstance(reference, dict):
        return np.stack(summed)
    return np.asarray(summed[0].reshape(len(GATES), hidden)[stacking.order])


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
