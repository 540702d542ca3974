"""The weights of one direction of a recurrent layer, as a mapping names them, and as cells."""

from typing import Literal

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model import FORGET, GATES, Floats
from lstm_lrp_cli.model.recurrent import GruCell, LstmCell, RnnCell
from .datasets import Bias, Datasets, GateNames, Spec, Weight
from .gates import GateLayout, Gates, check_length
from .site import Site

GRU_GATES = ("r", "z", "n")
RnnLayout = Literal["units_by_features", "features_by_units"]


class Stacked(Struct, frozen=True):
    """How a mapping says that the weights of gates lie, where it says it."""

    order: list[str] | None
    layout: GateLayout | None


class InitialSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The states before the first step; zero where not given."""

    named = ("hidden", "cell")
    hidden: str | None = None
    cell: str | None = None


class CellSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One direction: `input` and `recurrent`, or both in one as `combined`.

    `recurrent_bias` is of a GRU alone: what is added to the product with the hidden state.
    """

    named = ("input", "recurrent", "combined", "bias", "recurrent_bias", "projection")
    input: Weight | None = None
    recurrent: Weight | None = None
    combined: str | GateNames | None = None
    bias: Bias = None
    recurrent_bias: str | GateNames | None = None
    projection: str | None = None
    initial: InitialSpec | None = None


def lstm_cell(
    cell: CellSpec, site: Site, side: str, stacked: Stacked, forget_bias: float
) -> LstmCell:
    """The weights of one direction of an LSTM."""
    key, datasets = f"{site.key}.{side}", site.datasets
    if cell.recurrent_bias is not None:
        raise datasets.mapping_error(f"{key}.recurrent_bias: is a GRU's; add it to `bias`, a list")
    gates = _gates(stacked, cell, site, side, GATES)
    projection = gates.projection(cell.projection, f"{key}.projection")
    weights, recurrent = _weights(gates, cell, key, projection, site.inputs)
    hidden = recurrent.shape[1]
    bias = np.zeros((len(GATES), hidden), dtype=datasets.dtype)
    for part in _biases(cell):
        bias += gates.bias(part, f"{key}.bias", hidden)
    bias[FORGET] += forget_bias
    initial = cell.initial or InitialSpec()
    return LstmCell(
        weights,
        recurrent,
        bias,
        side == "backward",
        projection,
        _state(datasets, initial.hidden, f"{key}.initial.hidden", recurrent.shape[2]),
        _state(datasets, initial.cell, f"{key}.initial.cell", hidden),
    )


def gru_cell(
    cell: CellSpec, site: Site, side: str, stacked: Stacked, *, reset_after: bool
) -> GruCell:
    """The weights of one direction of a GRU."""
    key, datasets = f"{site.key}.{side}", site.datasets
    if cell.projection is not None:
        raise datasets.mapping_error(f"{key}.projection: is an LSTM's; a GRU has none")
    gates = _gates(stacked, cell, site, side, GRU_GATES)
    weights, recurrent = _weights(gates, cell, key, None, site.inputs)
    hidden = recurrent.shape[1]
    if reset_after and len(_biases(cell)) > 1:
        # PyTorch's two would be one sum, and the reset gate multiplies the second alone.
        raise datasets.mapping_error(
            f"{key}.bias: found {len(_biases(cell))} that add up; where the reset gate comes "
            "after, expected one, and that of the hidden state as `recurrent_bias`"
        )
    bias, of_product = _gru_biases(cell, gates, key, hidden)
    bias[:2] += of_product[:2]
    if not reset_after:
        bias[2] += of_product[2]
    return GruCell(
        weights,
        recurrent,
        bias,
        of_product[2].copy() if reset_after and of_product[2].any() else None,
        reset_after,
        side == "backward",
        _hidden(cell, datasets, key, hidden),
    )


def _gru_biases(cell: CellSpec, gates: Gates, key: str, hidden: int) -> tuple[Floats, Floats]:
    """The biases of the products with the input and with the hidden state, (gates, hidden)."""
    datasets = gates.datasets
    bias, of_product = np.zeros((2, len(GRU_GATES), hidden), dtype=datasets.dtype)
    for part in _biases(cell):
        if isinstance(part, str) and (gates.layout == "cudnn" or _dimensions(datasets, part) == 2):
            both = gates.biases(part, f"{key}.bias", hidden)
            bias += both[0]
            of_product += both[1]
        else:
            bias += gates.bias(part, f"{key}.bias", hidden)
    if cell.recurrent_bias is not None:
        of_product += gates.bias(cell.recurrent_bias, f"{key}.recurrent_bias", hidden)
    return bias, of_product


def rnn_cell(cell: CellSpec, site: Site, side: str, layout: RnnLayout | None) -> RnnCell:
    """The weights of one direction of a layer without gates."""
    key, datasets = f"{site.key}.{side}", site.datasets
    others = [role for role in ("combined", "projection", "recurrent_bias") if getattr(cell, role)]
    if others:
        raise datasets.mapping_error(f"{key}.{others[0]}: an rnn has none; add up its biases")
    if layout is None:
        raise site.wrong(
            "`layout` is missing; set it to units_by_features (PyTorch) or features_by_units "
            "(Keras)"
        )
    _check_weights(cell, datasets, key)
    order: GateLayout = (
        "gates_by_features" if layout == "units_by_features" else "features_by_gates"
    )
    one = Gates(datasets, order, ("h",), [0])  # a layer of one gate
    weights, recurrent = _weights(one, cell, key, None, site.inputs)
    hidden = recurrent.shape[1]
    bias = np.zeros((1, hidden), dtype=datasets.dtype)
    for part in _biases(cell):
        bias += one.bias(part, f"{key}.bias", hidden)
    state = _hidden(cell, datasets, key, hidden)
    return RnnCell(weights[0], recurrent[0], bias[0], side == "backward", state)


def _gates(
    stacked: Stacked, cell: CellSpec, site: Site, side: str, names: tuple[str, ...]
) -> Gates:
    """How a direction's weights lie in the file."""
    _check_weights(cell, site.datasets, f"{site.key}.{side}")
    order = _gate_order(stacked.order, cell, site, names)
    layout = stacked.layout or _layout(cell, site.datasets)
    if layout is None:
        raise site.wrong(
            "`layout` is missing, and nothing tells it where recurrent weights are given by gate, "
            "as a list or combined with those of the input; set it to gates_by_features (PyTorch) "
            "or features_by_gates (Keras)"
        )
    return Gates(site.datasets, layout, names, order)


def _weights(
    gates: Gates, cell: CellSpec, key: str, projection: Floats | None, inputs: int | None
) -> tuple[Floats, Floats]:
    """The weights of inputs and of hidden states, each of shape (gates, hidden, ..)."""
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
    hidden, layout = recurrent.shape[1], gates.layout
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
    return weights, recurrent


def _state(datasets: Datasets, name: str | None, key: str, size: int) -> Floats | None:
    """The state before the first step, shape (size,)."""
    if name is None:
        return None
    state = datasets.read(name, key, 1)
    check_length(datasets, name, key, state, size)
    return state


def _hidden(cell: CellSpec, datasets: Datasets, key: str, size: int) -> Floats | None:
    """The hidden state before the first step, of a layer that has no cell state."""
    initial = cell.initial or InitialSpec()
    if initial.cell is not None:
        raise datasets.mapping_error(f"{key}.initial.cell: is an LSTM's; expected `hidden` alone")
    return _state(datasets, initial.hidden, f"{key}.initial.hidden", size)


def _dimensions(datasets: Datasets, name: str) -> int | None:
    stored = datasets.file.datasets.get(name)
    return None if stored is None else len(stored.shape)


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


def _gate_order(
    given: list[str] | None, cell: CellSpec, site: Site, names: tuple[str, ...]
) -> list[int]:
    """Where each gate stands in the file's stacking."""
    if given is None:
        weights = [cell.combined] if cell.combined is not None else [cell.input, cell.recurrent]
        if all(isinstance(part, dict) for part in (*weights, *_biases(cell))):
            return list(range(len(names)))
        examples = (
            "[i, f, g, o] (PyTorch, Keras) or [i, g, f, o] (TensorFlow 1)"
            if names == GATES
            else "[r, z, n] (PyTorch) or [z, r, n] (Keras)"
        )
        raise site.wrong(
            f"`gate_order` is missing; say how the gates are stacked, such as {examples}"
        )
    if sorted(given) != sorted(names):
        found, expected = ", ".join(given), ", ".join(names)
        hint = "; the cell candidate, Keras's c, is `g`" if "c" in given else ""
        raise site.datasets.mapping_error(
            f"{site.key}.gate_order: found [{found}]; expected each of {expected} once{hint}"
        )
    return [given.index(gate) for gate in names]


def _layout(cell: CellSpec, datasets: Datasets) -> GateLayout | None:
    """The layout that shapes tell: recurrent weights are (4d, d) or (d, 4d), a bias (4d,)."""
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
