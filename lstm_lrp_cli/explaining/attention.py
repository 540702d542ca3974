"""Attention weights as they stand beside relevance: at the steps of the user's sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.records import TooLarge
from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.inputs.batching import Batch, Packed
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.model import Model
from .refusals import too_large

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.attention import Steps, Weighing
    from lstm_lrp_cli.engine.forward import Trace

# What the only input is called where it has no name, as in a mapping's `from`.
ONLY_INPUT = "input"


class AttentionWeights(Struct, frozen=True, eq=False, gc=False):
    """The attention weights of one layer in one sequence.

    Parameters
    ----------
    layer : str
        The layer's kind and number among its like, in the model's order, such as "attend_1", or
        "softmax_1" for a softmax over steps. One for each part of a sequence (TimeDistributed) is
        "each_1.softmax_1".
    queries, keys : str or None
        The input whose steps they are, by its name; "input" is an only one without a name. None
        where they are the layer's own steps, such as a decoder's, or one vector a sequence.
    weights : ndarray, shape (heads, queries, keys)
        How much of each key's value a query takes. Keys and queries that are an input's stand as
        its tokens or steps do, and those that the model passes over have NaN. A softmax over steps
        has one query, and a head for each of its units.
    padding : ndarray, shape (heads, queries)
        What all keys that are padding have together: with the weights it sums to 1.
    part : int or None
        Which part of the sequence it is of, from 0, where a layer has weights in each.
    steps : tuple of (int, int), or None
        From which of the input's steps up to which other that part is; the weights have those.

    Notes
    -----
    Weights are of the forward pass: no method and no target changes them. They tell what a layer
    mixes, and not why a score is what it is (Jain and Wallace 2019, Attention is not Explanation).
    """

    layer: str
    queries: str | None
    keys: str | None
    weights: Floats
    padding: Floats
    part: int | None = None
    steps: tuple[int, int] | None = None


def refuse_without_attention(model: Model) -> None:
    """Refuse to tell of attention weights where no layer has any.

    Raises
    ------
    WrongUsage
    """
    from lstm_lrp_cli.engine.attention import attention_layers

    if not attention_layers(model.nodes):
        raise WrongUsage(
            "the model has no attention weights: no layer attends, and none is a softmax over "
            "steps.",
            "attention",
        )


def pair_values(model: Model, steps: int) -> int:
    """About how many weights the layers of a model have of a sequence of so many steps."""
    from lstm_lrp_cli.engine import attention

    return attention.pair_values(model.nodes, steps)


def attention_of(batch: Batch, trace: Trace) -> list[tuple[AttentionWeights, ...]]:
    """The attention weights of each sequence of a batch, layer by layer."""
    from lstm_lrp_cli.engine.attention import weighings

    places = [_places(packed) for packed in batch.packed]
    found = weighings(trace)
    try:
        return [
            tuple(
                weights
                for weighing in found
                for weights in _of_sequence(weighing, sequence, places, batch, trace.model)
            )
            for sequence in range(trace.batch)
        ]
    except TooLarge as large:
        raise too_large(large, batch) from large


def _places(packed: Packed) -> Integers:
    """Where each packed row of an input stands in its sequence as it was given; -1 of padding."""
    places = np.full(packed.packing.rows, -1, dtype=np.intp)
    first = np.cumsum(packed.given) - packed.given
    places[packed.own_rows] = packed.positions - first[packed.own_sequence]
    return places


def _of_sequence(
    weighing: Weighing, sequence: int, places: list[Integers], batch: Batch, model: Model
) -> Iterator[AttentionWeights]:
    """What a layer weighs in a sequence, or in each part of it."""
    parts = weighing.parts
    if parts is None:
        lengths = [int(packed.given[sequence]) for packed in batch.packed]
        yield _aligned(weighing, sequence, places, lengths, model)
        return
    for number, inner in enumerate(parts.of(sequence)):
        yield _aligned(weighing, inner, places, number, model)


def _aligned(
    weighing: Weighing, sequence: int, places: list[Integers], extent: list[int] | int, model: Model
) -> AttentionWeights:
    """The weights at the steps of the input.

    Parameters
    ----------
    sequence : int
        Among those that the layer is given.
    extent : list of int, or int
        How many steps each input was given, or the number of a part, which has its own.
    """
    weights = weighing.weights(sequence)
    part = steps = None
    if isinstance(extent, int):
        part, steps = extent, _extent([weighing.queries, weighing.keys], sequence, places)

    def axis(of: Steps) -> tuple[str | None, Integers, int, int]:
        rows = of.rows(sequence)
        if rows is None or of.origin is None:
            return None, np.arange(0), 0, 0
        number = of.origin.number
        name = model.inputs[number].name or (
            model.input_names[number] if model.several_inputs else ONLY_INPUT
        )
        start, stop = (0, extent[number]) if isinstance(extent, list) else steps or (0, 0)
        return name, places[number][rows], start, stop

    keys, own_keys, start, stop = axis(weighing.keys)
    padding = np.zeros(weights.shape[:2], dtype=weights.dtype)
    if keys is not None:
        padding = weights[:, :, own_keys < 0].sum(axis=2)
        weights = _spread(weights, own_keys, start, stop, 2)
    queries, own_queries, start, stop = axis(weighing.queries)
    if queries is not None:
        weights = _spread(weights, own_queries, start, stop, 1)
        padding = _spread(padding, own_queries, start, stop, 1)
    return AttentionWeights(weighing.layer, queries, keys, weights, padding, part, steps)


def _extent(several: list[Steps], sequence: int, places: list[Integers]) -> tuple[int, int] | None:
    """From which of an input's steps up to which other a part is; None where they are no input's.

    A part that is all padding has none of them.
    """
    for each in several:
        rows = each.rows(sequence)
        if rows is not None and each.origin is not None:
            own = places[each.origin.number][rows]
            own = own[own >= 0]
            return (int(own.min()), int(own.max()) + 1) if len(own) else (0, 0)
    return None


def _spread(values: Floats, places: Integers, start: int, stop: int, axis: int) -> Floats:
    """Values of an input's rows at its steps, from one up to another; NaN where there is none."""
    real = places >= 0
    shape = [*values.shape]
    shape[axis] = stop - start
    spread: Floats = np.full(shape, np.nan, dtype=values.dtype)
    np.moveaxis(spread, axis, 0)[places[real] - start] = np.moveaxis(values, axis, 0)[real]
    return spread
