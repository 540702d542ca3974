"""Layers by the families that a test may be about, and the graphs that they make sense in."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from plain_windows import places
from random_graphs import POOLS, Drawing, Grow, Value, needed, pruned
from random_layers import (
    convolutions,
    leaky_relus,
    lstms,
    normalizations,
    recurrents,
    window_pools,
    without_states,
)

from lstm_lrp_cli.model.layers import (
    MODEL_INPUT,
    Activation,
    Attention,
    Convolution,
    Crop,
    Each,
    Flatten,
    Layer,
    Merge,
    Pad,
    Pool,
    Repeat,
    Select,
    Transpose,
    Unflatten,
    UnitNorm,
    UnitSum,
    Upsample,
    WindowPool,
)
from lstm_lrp_cli.model.recurrent import Lstm

MOST_STEPS = 14
MOST_UNITS = 12


def recurrent(drawing: Drawing, returns: str = "sequence") -> None:
    """A recurrent layer of any kind, of which half begin in states that a node gives."""
    source = drawing.pick(drawing.by_step)
    value = drawing.values[source]
    layer = drawing.draw(recurrents(drawing.rng, value.units, returns))
    sources: tuple[int, ...] = (source,)
    if drawing.draw(st.booleans()):
        if not drawing.by_sequence:
            drawing.sequence_layer()
        states = drawing.with_units(drawing.pick(drawing.by_sequence), layer.state_size)
        layer, sources = without_states(layer), (source, states)
    lengths = value.lengths if returns == "sequence" else None
    drawing.add(layer, sources, Value(layer.output_size, lengths))


def recurrent_last(drawing: Drawing) -> None:
    recurrent(drawing, "last")


def decoder(drawing: Drawing) -> None:
    """Another LSTM of the same size that begins in the states that one ends in."""
    source = drawing.pick(drawing.by_step)
    encoder = drawing.draw(lstms(drawing.rng, drawing.values[source].units, "last"))
    encoder = Lstm(encoder.cells, activation=encoder.activation, gives_cell=True)
    ended = drawing.add(encoder, (source,), Value(encoder.output_size))
    cells = encoder.cells
    if len(cells) == 2:  # all hidden states come first, and each cell's are wanted together
        h, c = cells[0].output_size, cells[0].hidden_size
        cuts = [(0, h), (2 * h, 2 * h + c), (h, 2 * h), (2 * h + c, 2 * h + 2 * c)]
        parts = [drawing.add(Select(*cut), (ended,), Value(cut[1] - cut[0])) for cut in cuts]
        ended = drawing.add(Merge("concat"), tuple(parts), Value(encoder.output_size))
    read = drawing.with_units(drawing.pick(drawing.by_step), cells[0].input_size)
    returns: Any = drawing.draw(st.sampled_from(["sequence", "last"]))
    layer = without_states(Lstm(cells, "sum", returns, activation=encoder.activation))
    lengths = drawing.values[read].lengths if returns == "sequence" else None
    drawing.add(layer, (read, ended), Value(layer.output_size, lengths))


def window(drawing: Drawing) -> None:
    """A layer that changes how many steps there are."""
    source = drawing.pick(drawing.by_step)
    value = drawing.values[source]
    assert value.lengths is not None
    layer = drawing.draw(
        convolutions(drawing.rng, value.units)
        | window_pools()
        | st.builds(Upsample, st.integers(1, 3))
        | st.builds(Pad, st.integers(0, 2), st.integers(0, 2))
        | st.builds(Crop, st.integers(0, 2), st.integers(0, 2))
    )
    lengths = tuple(steps_after(layer, steps) for steps in value.lengths)
    if max(lengths) > MOST_STEPS:
        return
    units = len(layer.weights) if isinstance(layer, Convolution) else value.units
    drawing.add(layer, (source,), Value(units, lengths))


def steps_after(layer: Convolution | WindowPool | Upsample | Pad | Crop, steps: int) -> int:
    """How many steps a layer makes of so many."""
    match layer:
        case Upsample(times):
            return times * steps
        case Pad(before, after):
            return before + steps + after
        case Crop(before, after):
            return max(steps - before - after, 0)
    return len(places(layer.window, steps))


def of_steps(drawing: Drawing) -> None:
    units(drawing, drawing.pick(drawing.by_step))


def of_sequences(drawing: Drawing) -> None:
    units(drawing, drawing.pick(drawing.by_sequence))


def units(drawing: Drawing, source: int) -> None:
    """A layer that works on steps and on sequences alike."""
    value = drawing.values[source]
    size = value.units
    kinds = ["normalize", "normalize", "norm", "sum", "select", "leaky", "gelu"]
    kinds += ["difference", "max"]
    match drawing.draw(st.sampled_from(kinds)):
        case "normalize":
            drawing.add(drawing.draw(normalizations(drawing.rng, size)), (source,), value)
        case "norm":
            drawing.add(UnitNorm(), (source,), value)
        case "sum":
            drawing.add(UnitSum(), (source,), value._replace(units=1))
        case "select":
            start = drawing.draw(st.integers(0, size - 1))
            stop = drawing.draw(st.integers(start + 1, size))
            drawing.add(Select(start, stop), (source,), value._replace(units=stop - start))
        case "leaky":
            drawing.add(drawing.draw(leaky_relus(drawing.rng, size)), (source,), value)
        case "gelu":
            kind = drawing.draw(st.sampled_from(["gelu", "gelu_tanh"]))
            drawing.add(Activation(kind), (source,), value)
        case "difference":  # of what is never the same but for rounding
            other = drawing.dense(drawing.pick(drawing.alike(source)), size)
            pair = drawing.draw(st.permutations([source, other]))
            drawing.add(Merge("difference"), tuple(pair), value)
        case "max":
            others = [
                drawing.with_units(drawing.pick(drawing.alike(source)), size)
                for _ in range(drawing.draw(st.integers(1, 2)))
            ]
            drawing.add(Merge("max"), (source, *others), value)


def attention(drawing: Drawing) -> None:
    """Queries at every step, or one of a sequence, of the same sequence or another."""
    draw = drawing.draw
    heads, size = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    asks = drawing.by_sequence if drawing.by_sequence and draw(st.booleans()) else drawing.by_step
    source = drawing.pick(drawing.by_step)
    if draw(st.booleans()):  # of itself, and of nothing else
        asks = {source: drawing.values[source]}
    if heads == 1:  # perhaps as they are
        size = drawing.values[source].units
    queries = drawing.with_units(drawing.pick(asks), heads * size)
    keys = drawing.with_units(source, heads * size)
    has_whole = drawing.values[source].units % heads == 0
    values = source if has_whole else drawing.dense(source, heads * draw(st.integers(1, 2)))
    if draw(st.booleans()):
        keys = drawing.with_units(drawing.pick(drawing.alike(source)), heads * size)
    lengths = drawing.values[queries].lengths
    kind = draw(st.sampled_from(["dot", "additive"]))
    layer = Attention(
        kind=kind,
        heads=heads,
        scale=draw(st.sampled_from([1.0, 0.5, 1.0 / np.sqrt(size)])) if kind == "dot" else 1.0,
        factors=drawing.rng.normal(size=heads * size)
        if kind == "additive" and draw(st.booleans())
        else None,
        causal=lengths is not None and draw(st.booleans()),
    )
    sources = (queries, values, keys)
    drawing.add(layer, sources, Value(drawing.values[values].units, lengths))


def attention_once(drawing: Drawing) -> None:
    """Attention whose query is one vector a sequence."""
    if not drawing.by_sequence:
        drawing.sequence_layer()
    source = drawing.pick(drawing.by_step)
    size = drawing.values[source].units
    query = drawing.with_units(drawing.pick(drawing.by_sequence), size)
    layer = Attention(scale=0.5)
    drawing.add(layer, (query, source, source), Value(size))


def transpose(drawing: Drawing) -> None:
    fixed = {place: value for place, value in drawing.by_step.items() if value.fixed}
    if not fixed:
        to_steps(drawing)
        return
    source = drawing.pick(fixed)
    steps, size = fixed[source].fixed, fixed[source].units
    if steps is None or steps > MOST_UNITS or size > MOST_STEPS:
        return
    lengths = tuple(size for _ in fixed[source].lengths or ())
    drawing.add(Transpose(steps), (source,), Value(steps, lengths))


def to_steps(drawing: Drawing) -> None:
    """Steps made of one vector: copies of it, or pieces."""
    draw = drawing.draw
    if not drawing.by_sequence:
        drawing.sequence_layer()
    source = drawing.pick(drawing.by_sequence)
    size = drawing.values[source].units
    count = len(next(iter(drawing.by_step.values())).lengths or ())
    if draw(st.booleans()):
        counted = drawing.pick(drawing.by_step)
        lengths = drawing.values[counted].lengths
        drawing.add(Repeat(None), (source, counted), Value(size, lengths))
    elif draw(st.booleans()):
        steps = draw(st.integers(1, 4))
        drawing.add(Repeat(steps), (source,), Value(size, (steps,) * count))
    else:
        steps = draw(st.sampled_from([k for k in range(1, size + 1) if size % k == 0]))
        drawing.add(Unflatten(steps), (source,), Value(size // steps, (steps,) * count))


def each(drawing: Drawing) -> None:
    """A small graph of its own for every so many steps."""
    draw = drawing.draw
    source = drawing.pick(drawing.by_step)
    size, lengths = drawing.values[source]
    assert lengths is not None
    steps = draw(
        st.sampled_from([k for k in range(5, 0, -1) if all(length % k == 0 for length in lengths)])
    )
    inner = Drawing(
        draw,
        drawing.rng,
        {MODEL_INPUT: Value(size, (steps,))},
        drawing.families - {"each", "inputs"},
    )
    grow(inner, most=2)
    if draw(st.integers(0, 2)):
        to_vector(inner)
        if draw(st.booleans()):
            inner.any_layer(inner.by_sequence, "unit")
    output = max(inner.values)
    made = inner.values[output]
    rows = 1 if made.lengths is None else made.lengths[0]
    after = tuple(length // steps * rows for length in lengths)
    if output < 0 or rows == 0 or max(after) > MOST_STEPS:
        return
    nodes, (output,), inputs = pruned(inner.nodes, (output,))
    if not inputs:
        return
    drawing.add(Each(nodes, output, steps), (source,), Value(made.units, after))


def again(drawing: Drawing) -> None:
    """A layer once more, of something else: both nodes have the same one."""
    found: list[tuple[Layer, int, Value]] = []
    for place, node in enumerate(drawing.nodes):
        source, made = drawing.values[node.sources[0]], drawing.values[place]
        for other, value in drawing.values.items():
            if len(node.sources) > 1 or other == node.sources[0] or value.units != source.units:
                continue
            if value.lengths == source.lengths:
                found.append((node.layer, other, made))
            elif None not in (value.lengths, source.lengths) and not isinstance(
                node.layer, COUNTS_STEPS
            ):
                lengths = None if made.lengths is None else value.lengths
                found.append((node.layer, other, Value(made.units, lengths)))
    if found:
        layer, other, made = drawing.draw(st.sampled_from(found))
        drawing.add(layer, (other,), made)


# Layers behind which there are not simply as many steps as before.
COUNTS_STEPS = Convolution | WindowPool | Upsample | Pad | Crop | Transpose | Flatten | Each

STEP_LAYERS: dict[str, list[Grow]] = {
    "recurrent": [recurrent, recurrent, decoder],
    "windows": [window],
    "units": [of_steps],
    "attention": [attention],
    "shapes": [transpose, to_steps],
    "each": [each],
    "inputs": [again],
}
SEQUENCE_LAYERS: dict[str, list[Grow]] = {
    "recurrent": [recurrent_last],
    "attention": [attention_once],
}
FAMILIES = tuple(STEP_LAYERS)


def grow(drawing: Drawing, most: int) -> None:
    """Some layers that give something at every step, the first of the families' own."""
    own = [layer for family in sorted(drawing.families) for layer in STEP_LAYERS[family]]
    for number in range(drawing.draw(st.integers(1, most))):
        if own and (number == 0 or drawing.draw(st.booleans())):
            drawing.draw(st.sampled_from(own))(drawing)
        else:
            drawing.step_layer(most_lstms=2 - drawing.lstms_so_far())


def to_vector(drawing: Drawing) -> None:
    """A layer that makes one vector of all steps."""
    own = [layer for name in sorted(drawing.families) for layer in SEQUENCE_LAYERS.get(name, [])]
    if own and drawing.draw(st.booleans()):
        drawing.draw(st.sampled_from(own))(drawing)
    else:
        drawing.sequence_layer()


def of_vectors(drawing: Drawing) -> None:
    """A layer of what is one vector a sequence."""
    if "units" in drawing.families and drawing.draw(st.booleans()):
        of_sequences(drawing)
    else:
        kind = drawing.draw(st.sampled_from(["unit", "unit", "merge"]))
        drawing.any_layer(drawing.by_sequence, kind)


def bring_in(drawing: Drawing, inputs: list[int]) -> None:
    """Join to the latest vector one of each of the inputs that it does not depend on."""
    last = max(drawing.by_sequence)
    for place in sorted(set(inputs) - needed(drawing.nodes, (last,)), reverse=True):
        vector, value = place, drawing.values[place]
        if value.lengths is not None:
            vector = drawing.add(Pool(drawing.draw(POOLS)), (place,), Value(value.units))
        size = drawing.values[last].units + value.units
        last = drawing.add(Merge("concat"), (last, vector), Value(size))
    if drawing.draw(st.booleans()):
        drawing.dense(last, drawing.draw(st.integers(1, 3)))
