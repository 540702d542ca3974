"""One long sequence, run stretch by stretch: a forward pass that keeps few of its states.

What a layer records of each step is made again, stretch by stretch, when scores are explained: the
forward pass keeps the states with which the stretches begin, and what recurrent layers give to
others, in a file where that is large. Memory is that of a stretch, and each recurrent layer is run
once more for each explanation (checkpoints: Chen et al. 2016, "Training deep nets with sublinear
memory cost").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lstm_lrp_cli.engine.layers import KINDS
from lstm_lrp_cli.engine.records import Record, Value
from lstm_lrp_cli.engine.recurrent import Begun
from lstm_lrp_cli.engine.recurrent.inputs import CellInput, TokenValue, cell_inputs, numeric_inputs
from lstm_lrp_cli.model.layers import (
    Activation,
    Dense,
    Layer,
    LeakyRelu,
    Merge,
    Normalize,
    Pool,
    Scale,
    Select,
    UnitNorm,
    UnitSum,
)
from lstm_lrp_cli.model.recurrent import Recurrent
from .room import check_room
from .rows import Grid, Rows, stretch_of, whole_array

# Layers that make each of their steps of the same step of what feeds them.
OF_EACH_STEP = (Activation, Dense, LeakyRelu, Merge, Normalize, Scale, Select, UnitNorm, UnitSum)


def run_recurrent(
    place: int, layer: Recurrent, source: Value | TokenValue, begun: Begun, keep_gates: bool
) -> Record:
    """Run the recurrent layer at a place of the model on one long sequence."""
    from .recurrent import StretchedRecurrent

    if source.packing is None:
        raise ValueError("a recurrent layer reads steps")
    grid = Grid.of(source.packing)

    def read(stretch: int | None) -> Sequence[CellInput]:
        if stretch is None:
            given = source if isinstance(source, TokenValue) else _whole(source)
            return cell_inputs(place, layer, given, grid.packing)
        packing = grid.packing_of(stretch)
        if isinstance(source, TokenValue):
            return source.table.inputs(place, layer, source.ids[grid.at(stretch)], packing)
        return numeric_inputs(layer, stretch_of(source.array, grid, stretch), packing)

    return StretchedRecurrent(layer, grid, read, begun, keep_gates)


def run_layer(
    layer: Layer,
    sources: Sequence[Value | TokenValue],
    run: Callable[[Layer, Sequence[Value]], Record],
) -> Record:
    """Run a layer that is not recurrent on the values of one long sequence.

    Parameters
    ----------
    sources : sequence of Value or TokenValue
        Whose arrays may be `Rows`.
    run : callable
        Runs it on arrays as they are.
    """
    values = [_embedded(source) for source in sources]
    steps = values[0].packing
    alike = steps is not None and all(each.packing is steps for each in values)
    grouped = isinstance(layer, Normalize) and layer.groups is not None
    if alike and isinstance(layer, OF_EACH_STEP) and not grouped:
        from .steps import StretchedSteps

        return StretchedSteps(lambda some: run(layer, some), values)
    if isinstance(layer, Pool):
        from .pools import pool

        return pool(layer, values[0])
    _check_room(layer, values)
    return run(layer, [_whole(each) for each in values])


def _check_room(layer: Layer, sources: Sequence[Value]) -> None:
    """Refuse a layer that takes all steps at once where there is no room for them."""
    kind = KINDS.get(type(layer))
    read = max(len(each.array) if each.packing is None else each.packing.rows for each in sources)
    rows = read if kind is None else max(kind.steps(layer, read), read)
    values = sum(each.array.shape[1] for each in sources)
    values += 0 if kind is None else kind.values(layer)
    # What it is given and gives, and as much on the way back.
    name = type(layer).__name__.lower()
    check_room(f"a layer ({name})", 3 * rows, values, sources[0].array.dtype.itemsize)


def _embedded(source: Value | TokenValue) -> Value:
    """The same without tokens, whose embeddings are looked up as they are needed."""
    if isinstance(source, Value):
        return source
    grid, ids, weights = Grid.of(source.packing), source.ids, source.table.embedding.weights
    rows = Rows(grid, weights.shape[1], weights.dtype, lambda k: weights[ids[grid.at(k)]])
    return Value(rows, source.packing)  # type: ignore[arg-type]


def _whole(source: Value) -> Value:
    return Value(whole_array(source.array), source.packing)
