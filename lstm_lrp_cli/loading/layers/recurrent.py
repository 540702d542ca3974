"""Recurrent layers as a mapping has them: LSTM, GRU, and those without gates."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from lstm_lrp_cli.model import GATES
from lstm_lrp_cli.model.recurrent import (
    ActivationName,
    DirectionMergeName,
    GateActivationName,
    Gru,
    GruCell,
    Lstm,
    LstmCell,
    Recurrent,
    RecurrentCell,
    Returns,
    RnnCell,
    SimpleRnn,
)
from .cells import (
    GRU_GATES,
    CellSpec,
    InitialSpec,
    RnnLayout,
    Stacked,
    gru_cell,
    lstm_cell,
    rnn_cell,
)
from .datasets import Spec
from .gates import GateLayout
from .site import Keep, Site


class LstmSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    gate_order: list[str] | None = None
    layout: GateLayout | None = None
    forward: CellSpec | None = None
    backward: CellSpec | None = None
    merge: DirectionMergeName = "concat"
    returns: Returns = "last"
    activation: ActivationName = "tanh"
    recurrent_activation: GateActivationName = "sigmoid"
    forget_bias: float = 0.0
    stateful: bool | None = None
    cell_state: bool = False

    def add(self, site: Site) -> None:
        if not math.isfinite(self.forget_bias):
            raise site.datasets.mapping_error(
                f"{site.key}.forget_bias: found {self.forget_bias}; expected a number"
            )
        stacked = Stacked(self.gate_order, self.layout)
        cells = [
            lstm_cell(cell, site, side, stacked, self.forget_bias)
            for side, cell in _directions(self, site)
        ]
        layer = Lstm(
            tuple(cells),
            self.merge,
            self.returns,
            self.recurrent_activation,
            self.activation,
            _carries(self.stateful, site),
            self.cell_state,
        )
        _add(layer, site)

    @classmethod
    def of(cls, layer: Lstm, keep: Keep) -> "LstmSpec":
        def cell_of(cell: LstmCell, keep: Keep) -> CellSpec:
            initial = InitialSpec(
                keep("initial_hidden", cell.initial_hidden), keep("initial_cell", cell.initial_cell)
            )
            gates = len(GATES) * cell.hidden_size
            return CellSpec(
                input=keep("input", cell.input.reshape(gates, -1)),
                recurrent=keep("recurrent", cell.recurrent.reshape(gates, -1)),
                bias=keep("bias", cell.bias.reshape(-1)),
                projection=keep("projection", cell.projection),
                initial=None if initial == InitialSpec() else initial,
            )

        return cls(
            gate_order=list(GATES),
            layout="gates_by_features",
            **_settings(layer, cell_of, keep),
            recurrent_activation=layer.gate_activation,
            cell_state=layer.gives_cell,
        )


class GruSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Gates r, z and n: the reset gate, the update gate, the candidate.

    `reset` is where the reset gate stands: after the product with the hidden state, or before.
    """

    gate_order: list[str] | None = None
    layout: GateLayout | None = None
    forward: CellSpec | None = None
    backward: CellSpec | None = None
    merge: DirectionMergeName = "concat"
    returns: Returns = "last"
    activation: ActivationName = "tanh"
    recurrent_activation: GateActivationName = "sigmoid"
    reset: Literal["after", "before"] = "after"
    stateful: bool | None = None

    def add(self, site: Site) -> None:
        stacked, after = Stacked(self.gate_order, self.layout), self.reset == "after"
        cells = [
            gru_cell(cell, site, side, stacked, reset_after=after)
            for side, cell in _directions(self, site)
        ]
        layer = Gru(
            tuple(cells),
            self.merge,
            self.returns,
            self.recurrent_activation,
            self.activation,
            _carries(self.stateful, site),
        )
        _add(layer, site)

    @classmethod
    def of(cls, layer: Gru, keep: Keep) -> "GruSpec":
        def cell_of(cell: GruCell, keep: Keep) -> CellSpec:
            gates = len(GRU_GATES) * cell.hidden_size
            of_product = None
            if cell.recurrent_bias is not None:
                of_product = np.concatenate(
                    [np.zeros_like(cell.bias[:2].ravel()), cell.recurrent_bias]
                )
            return CellSpec(
                input=keep("input", cell.input.reshape(gates, -1)),
                recurrent=keep("recurrent", cell.recurrent.reshape(gates, -1)),
                bias=keep("bias", cell.bias.reshape(-1)),
                recurrent_bias=keep("recurrent_bias", of_product),
                initial=_initial(keep, cell),
            )

        return cls(
            gate_order=list(GRU_GATES),
            layout="gates_by_features",
            **_settings(layer, cell_of, keep),
            recurrent_activation=layer.gate_activation,
            reset="after" if layer.cells[0].reset_after else "before",
        )


class RnnSpec(Spec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A recurrent layer without gates."""

    layout: RnnLayout | None = None
    forward: CellSpec | None = None
    backward: CellSpec | None = None
    merge: DirectionMergeName = "concat"
    returns: Returns = "last"
    activation: ActivationName = "tanh"
    stateful: bool | None = None

    def add(self, site: Site) -> None:
        cells = [rnn_cell(cell, site, side, self.layout) for side, cell in _directions(self, site)]
        carries = _carries(self.stateful, site)
        _add(SimpleRnn(tuple(cells), self.merge, self.returns, self.activation, carries), site)

    @classmethod
    def of(cls, layer: SimpleRnn, keep: Keep) -> "RnnSpec":
        def cell_of(cell: RnnCell, keep: Keep) -> CellSpec:
            return CellSpec(
                input=keep("input", cell.input),
                recurrent=keep("recurrent", cell.recurrent),
                bias=keep("bias", cell.bias),
                initial=_initial(keep, cell),
            )

        return cls(layout="units_by_features", **_settings(layer, cell_of, keep))


RecurrentSpec = LstmSpec | GruSpec | RnnSpec


def _settings(layer: Recurrent, cell_of: Any, keep: Keep) -> dict[str, Any]:
    """What all recurrent layers have in common, as a mapping has it."""
    sides = {
        side: cell_of(cell, keep.under(side))
        for cell in layer.cells
        for side in ["backward" if cell.backward else "forward"]
    }
    return {
        "merge": layer.merge,
        "returns": layer.returns,
        "activation": layer.activation,
        "stateful": True if layer.stateful else None,
        **sides,
    }


def _initial(keep: Keep, cell: GruCell | RnnCell) -> InitialSpec | None:
    hidden = keep("initial_hidden", cell.initial_hidden)
    return None if hidden is None else InitialSpec(hidden)


def _directions(spec: RecurrentSpec, site: Site) -> list[tuple[str, CellSpec]]:
    """The directions of a layer that may be added, with their weights."""
    if len(site.sources) not in (1, 2):
        raise site.wrong(f"`from` names {len(site.sources)} layers; expected one, and its states")
    site.need_steps()
    if spec.activation == "softmax":
        raise site.datasets.mapping_error(
            f"{site.key}.activation: found softmax; expected a function of single units"
        )
    sides = (("forward", spec.forward), ("backward", spec.backward))
    given = [(side, cell) for side, cell in sides if cell is not None]
    if not given:
        raise site.wrong("give `forward`, `backward` or both, with their weights")
    return given


def _carries(stateful: bool | None, site: Site) -> bool:
    """Whether a layer carries its states on, given what it says of itself."""
    if stateful and not site.graph.stateful:
        raise site.datasets.mapping_error(
            f"{site.key}.stateful: found true, and the mapping does not say of how many sequences; "
            "expected `stateful: N` beside `layers`, N the batch size"
        )
    if len(site.sources) > 1:
        if stateful:
            raise site.wrong("stateful: a layer begins in the states of `from` in every sequence")
        return False
    return site.graph.stateful and stateful is not False


def _add(layer: Recurrent, site: Site) -> None:
    """Add a layer whose cells fit together and to what feeds it."""
    _check_sizes(layer.cells, site)
    site.tell(layer.cells[0].input_size)
    if len(site.sources) > 1:
        site.need_vector(1)
        if site.sizes[1] not in (None, layer.state_size):
            raise site.wrong(
                f"begins in states of {site.sizes[1]} units; expected {layer.state_size}: the "
                f"hidden state{' and the cell state' * isinstance(layer, Lstm)} of each direction"
            )
        site.tell(layer.state_size, 1)
    shape = site.shape.of_size(layer.output_size)
    site.put(layer, shape if layer.returns == "sequence" else shape.as_vector())


def _check_sizes(cells: Sequence[RecurrentCell], site: Site) -> None:
    sizes = [(cell.input_size, cell.hidden_size, cell.output_size) for cell in cells]
    if len(set(sizes)) > 1:
        raise site.wrong(
            "the directions differ in size: inputs and hidden units are "
            + " and ".join(f"{cell.input_size} and {cell.hidden_size}" for cell in cells)
        )
