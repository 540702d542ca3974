"""Many models run over the same few sequences: what they have alike is computed once.

Models that differ in gate orders, sigmoids and forget biases alone have one product with the
inputs, of which each takes the gates in its own order; their cells run side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.engine.activations import ACTIVATIONS
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.forward import Given, Runner
from lstm_lrp_cli.engine.layers.merging import concatenated, merge
from lstm_lrp_cli.engine.records import Value
from lstm_lrp_cli.inputs.batching import Batch
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.model import CANDIDATE, FORGET, GATES, Floats
from lstm_lrp_cli.model.layers import MODEL_INPUT, Each, Layer
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.model.recurrent import GateActivationName, Lstm, LstmCell
from .variations import Setting

# What is kept of layers that many models have alike, and what the arrays of cells that run side by
# side may take.
KEPT_BYTES = 256 * 2**20
CELLS_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A model, and what each of its nodes is made of.

    Parameters
    ----------
    model : Model
    keys : tuple of (bytes or None)
        Of each node, what tells it from all nodes of other models; None where nothing does. Those
        of LSTMs are of all that they may return.
    """

    model: Model
    keys: tuple[bytes | None, ...]

    @classmethod
    def of(cls, model: Model, specs: Sequence[LayerSpec], built: Sequence[Layer]) -> "Built":
        """Nodes by the entries of a mapping that they and those above them came from."""
        nodes = [node.layer for node in model.nodes]
        keys: list[bytes | None] = [None] * len(nodes)
        above, place = b"", 0
        for spec, layer in zip(specs, built, strict=True):
            whole = replace(spec, name=None)
            if spec.lstm is not None:
                whole = replace(whole, lstm=replace(spec.lstm, returns="sequence"))
            own = above + msgspec.json.encode(whole)
            above += msgspec.json.encode(spec) + b"\n"
            place = next((k for k in range(place, len(nodes)) if nodes[k] is layer), place)
            if place < len(nodes) and nodes[place] is layer:
                keys[place] = own
                place += 1
        # An entry may be several nodes, which follow its first; the last of a model's parts may
        # lack their ends.
        for k in range(len(nodes)):
            before = keys[k - 1] if k else None
            if keys[k] is None and before is not None:
                keys[k] = before + b"+"
        return cls(
            model,
            tuple(
                None if isinstance(layer, Each) else key
                for key, layer in zip(keys, nodes, strict=True)
            ),
        )

    @classmethod
    def alone(cls, model: Model) -> "Built":
        """A model of which nothing is kept."""
        return cls(model, (None,) * len(model.nodes))

    @property
    def is_side_by_side(self) -> bool:
        """Whether its LSTMs begin in no states of others, and give none."""
        return self.model.stateful is None and all(
            len(node.sources) == 1 and not node.layer.gives_cell
            for node in self.model.nodes
            if isinstance(node.layer, Lstm)
        )


class Copied(NamedTuple):
    """A value of so many copies of each sequence, which stand side by side."""

    value: Value
    times: int


class _States(NamedTuple):
    """Hidden states, (rows or batch, settings, units): of every step, and after the last."""

    steps: Floats
    last: Floats


@dataclass(slots=True, eq=False)
class Kept:
    """What was computed, by what it was computed of; all is dropped where it takes too much."""

    values: dict[bytes, Value] = field(default_factory=dict)
    states: dict[bytes, Sequence[_States]] = field(default_factory=dict)
    size: int = 0

    def takes(self, size: int) -> bool:
        """Make room for so many bytes, if there can be as much."""
        if self.size + size > KEPT_BYTES:
            self.values.clear()
            self.states.clear()
            self.size = 0
        self.size += size if size <= KEPT_BYTES else 0
        return size <= KEPT_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Batches of the same sequences, that many models are run over.

    Parameters
    ----------
    batches : sequence of Batch
    kept : Kept
        Which other trials may share.
    """

    batches: Sequence[Batch]
    kept: Kept
    _copied: dict[tuple[int, int], tuple[Packing, Packing]] = field(default_factory=dict)

    def scores(
        self, built: Built, settings: Sequence[Setting | None]
    ) -> list[tuple[Floats, Packing | None]]:
        """The scores of each batch by each setting, (rows, settings, classes), and their steps.

        Raises
        ------
        WrongSteps
            A layer takes another number of steps.
        """
        size, found = self._abreast(built.model), []
        for number in range(len(self.batches)):
            parts, steps = [], None
            for start in range(0, len(settings), size):
                scores, steps = self._run(built, number, settings[start : start + size])
                parts.append(scores)
            found.append((np.concatenate(parts, axis=1), steps))
        return found

    def _abreast(self, model: Model) -> int:
        """How many settings run side by side."""
        rows = max(sum(each.packing.rows for each in batch.packed) for batch in self.batches)
        lstms = [node.layer for node in model.nodes if isinstance(node.layer, Lstm)]
        units = max((cell.hidden_size for each in lstms for cell in each.cells), default=1)
        return max(1, CELLS_BYTES // (8 * len(GATES) * max(rows, 1) * units))

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def _run(
        self, built: Built, number: int, settings: Sequence[Setting | None]
    ) -> tuple[Floats, Packing | None]:
        model, batch = built.model, self.batches[number]
        runner, times = Runner(model), len(settings)
        # What one setting makes behind an LSTM is no other's.
        mark = repr(settings[0]) if times == 1 else ""
        values: dict[int, Copied] = {}
        for k, (packed, read) in enumerate(zip(batch.packed, model.inputs, strict=True)):
            given = Given(packed.array, packed.packing, read.embedding, None, read.steps)
            values[MODEL_INPUT - k] = Copied(Value(given.embedded, given.steps), 1)
        for k, (node, key) in enumerate(zip(model.nodes, built.keys, strict=True)):
            sources = [values[source] for source in node.sources]
            own = None if key is None else f"{id(self)} {number} {mark}".encode() + key
            if isinstance(node.layer, Lstm):
                if built.is_side_by_side:
                    values[k] = self._lstm(node.layer, own, sources[0], settings)
                    continue
                own = None  # it would be that of all that it may return
            most = max(each.times for each in sources)
            value = self.kept.values.get(own) if most == 1 and own else None
            if value is None:
                value = runner.run_layer(
                    node.layer, [self._times(each, most) for each in sources]
                ).value
                if most == 1 and own and self.kept.takes(value.array.nbytes):
                    self.kept.values[own] = value
            values[k] = Copied(value, most)
        ends = [values[end] for end in model.outputs]
        scores = concatenated([self._times(end, times).array for end in ends])
        first = ends[0]
        steps = first.value.packing and self._single(first.value.packing, first.times)
        return scores.reshape(-1, times, scores.shape[1]), steps

    def _times(self, copied: Copied, times: int) -> Value:
        """A value of so many copies of each sequence."""
        value, count = copied
        if count == times:
            return value
        packing = None if value.packing is None else self._of_copies(value.packing, times)
        return Value(np.repeat(value.array, times, axis=0), packing)

    def _of_copies(self, packing: Packing, times: int) -> Packing:
        if times == 1:
            return packing
        key = (id(packing), times)
        if key not in self._copied:
            self._copied[key] = (packing, Packing(np.repeat(packing.lengths, times)))
        return self._copied[key][1]

    def _single(self, copied: Packing, count: int) -> Packing:
        """The steps of which these are so many copies."""
        if count == 1:
            return copied
        known = (single for single, copies in self._copied.values() if copies is copied)
        return next(known, None) or Packing(copied.lengths[::count])

    def _lstm(
        self, layer: Lstm, key: bytes | None, read: Copied, settings: Sequence[Setting | None]
    ) -> Copied:
        """What a layer gives by each setting, of sequences side by side."""
        [value, count], packing = read, read.value.packing
        if packing is None:
            raise ValueError("a recurrent layer reads steps")
        packing = self._single(packing, count)
        # What settings all have alike is computed once.
        own = [each or (GATES, layer.gate_activation, 0.0) for each in settings]
        key = None if key is None else key + repr((own[0], own[-1], len(own))).encode()
        states = self.kept.states.get(key) if key else None
        if states is None:
            x = value.array.reshape(-1, count, value.array.shape[1])
            states = [_cell_states(cell, layer, x, packing, own) for cell in layer.cells]
            size = sum(each.steps.nbytes + each.last.nbytes for each in states)
            if key and self.kept.takes(size):
                self.kept.states[key] = states
        is_last = layer.returns == "last"
        parts = [each.last if is_last else each.steps for each in states]
        merged = merge(layer.merge, [part.reshape(-1, part.shape[2]) for part in parts])
        steps = None if is_last else self._of_copies(packing, len(own))
        return Copied(Value(merged, steps), len(own))


def _cell_states(
    cell: LstmCell, layer: Lstm, x: Floats, packing: Packing, settings: Sequence[Setting]
) -> _States:
    """The hidden states of a cell by each setting.

    Parameters
    ----------
    x : ndarray, shape (rows, 1 or settings, features)
        What the cell reads, which may differ from setting to setting.
    """
    hidden, count = cell.hidden_size, len(settings)
    if cell.backward:
        x = x[packing.reverse]
    read = x @ cell.input.reshape(-1, cell.input_size).T + cell.bias.reshape(-1)
    read = read.reshape(*x.shape[:2], len(GATES), hidden)
    recurrent = cell.recurrent.reshape(len(GATES) * hidden, -1).T
    gates = _OwnGates.of(settings, read.dtype)
    h = np.zeros((packing.batch, count, cell.output_size), dtype=read.dtype)
    c = np.zeros((packing.batch, count, hidden), dtype=read.dtype)
    for state, initial in ((h, cell.initial_hidden), (c, cell.initial_cell)):
        if initial is not None:
            state += initial
    signal = ACTIVATIONS[layer.activation]
    steps = np.empty((packing.rows, count, cell.output_size), dtype=read.dtype)
    for rows in packing.slices():
        n = rows.stop - rows.start
        z = (h[:n].reshape(n * count, -1) @ recurrent).reshape(n, count, len(GATES), hidden)
        z += read[rows]
        i, f, g, o = gates.opened(z)
        c[:n] = f * c[:n] + i * signal(g)
        m = o * signal(c[:n])
        h[:n] = m if cell.projection is None else m @ cell.projection.T
        steps[rows] = h[:n]
    return _States(steps[packing.reverse] if cell.backward else steps, h)


class _OwnGates(NamedTuple):
    """Which of the stacked gates is which by each setting, and what they go through.

    Parameters
    ----------
    places : ndarray of int, shape (settings, 4), or None
        Where i, f, g and o stand; None where that is their order in all.
    forget : ndarray, shape (settings, 1)
    of_kind : dict
        The settings of each kind of sigmoid.
    """

    places: NDArray[np.intp] | None
    forget: Floats
    of_kind: dict[GateActivationName, NDArray[np.intp] | slice]

    @classmethod
    def of(cls, settings: Sequence[Setting], dtype: np.dtype[Any]) -> "_OwnGates":
        places = np.array([[order.index(gate) for gate in GATES] for order, _, _ in settings])
        kinds = np.array([kind for _, kind, _ in settings])
        of_kind: dict[Any, NDArray[np.intp] | slice] = {
            kind: np.flatnonzero(kinds == kind) for kind in dict.fromkeys(kinds.tolist())
        }
        if len(of_kind) == 1:
            of_kind = dict.fromkeys(of_kind, slice(None))
        forget = np.array([bias for _, _, bias in settings], dtype=dtype)[:, np.newaxis]
        as_it_is = bool((places == np.arange(len(GATES))).all())
        return cls(None if as_it_is else places, forget, of_kind)

    def opened(self, z: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """The gates i and f, the candidate's pre-activation, and the gate o."""
        if self.places is not None:
            z = np.take_along_axis(z, self.places[np.newaxis, :, :, np.newaxis], axis=2)
        z[:, :, FORGET] += self.forget
        opened = z
        for kind, own in self.of_kind.items():
            candidate = z[:, own, CANDIDATE].copy()
            opened[:, own] = ACTIVATIONS[kind](z[:, own])
            opened[:, own, CANDIDATE] = candidate
        i, f, g, o = (opened[:, :, k] for k in range(len(GATES)))
        return i, f, g, o
