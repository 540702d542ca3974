"""Graphs that grow layer by layer, and know of every value how many units and steps it has."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, get_args

import numpy as np
from hypothesis import strategies as st
from random_layers import ACTIVATIONS, lstms, weights

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import (
    Activation,
    Dense,
    Flatten,
    Layer,
    Merge,
    Node,
    Pool,
    PoolName,
    Reverse,
    Scale,
    StepSoftmax,
)
from lstm_lrp_cli.model.recurrent import Lstm

POOLS = st.sampled_from(get_args(PoolName))


class Value(NamedTuple):
    """How many units something has, and how many steps it has of each sequence of a batch.

    Lengths are None of one vector a sequence. Where a model is for any number of steps, some
    more sequences follow those of the batch, so that what has as many steps has so by no accident.
    """

    units: int
    lengths: tuple[int, ...] | None = None

    @property
    def fixed(self) -> int | None:
        """The number of steps, where it is the same for every sequence."""
        lengths = set(self.lengths or ())
        return max(lengths) if len(lengths) == 1 and max(lengths) > 0 else None


@dataclass
class Drawing:
    """A graph that grows, and what its inputs and nodes give, by their place."""

    draw: st.DrawFn
    rng: np.random.Generator
    values: dict[int, Value]
    families: frozenset[str] = frozenset()
    nodes: list[Node] = field(default_factory=list)

    @property
    def by_step(self) -> dict[int, Value]:
        return {place: value for place, value in self.values.items() if value.lengths is not None}

    @property
    def by_sequence(self) -> dict[int, Value]:
        return {place: value for place, value in self.values.items() if value.lengths is None}

    def add(self, layer: Layer, sources: tuple[int, ...], value: Value) -> int:
        self.nodes.append(Node(layer, sources))
        place = len(self.nodes) - 1
        self.values[place] = value
        return place

    def pick(self, values: dict[int, Value]) -> int:
        """The latest value most often, for models are deep rather than broad."""
        return self.draw(st.sampled_from([max(values), *values]))

    def alike(self, place: int) -> dict[int, Value]:
        """All values that have as many steps, or none either."""
        lengths = self.values[place].lengths
        return {other: value for other, value in self.values.items() if value.lengths == lengths}

    def dense(self, source: int, units: int) -> int:
        """A linear map to so many units."""
        value = self.values[source]
        layer = Dense(weights(self.rng, units, value.units), self.bias(units))
        return self.add(layer, (source,), value._replace(units=units))

    def with_units(self, source: int, units: int) -> int:
        """The value itself where it has so many units, else a linear map of it."""
        has = self.values[source].units == units and self.draw(st.booleans())
        return source if has else self.dense(source, units)

    def bias(self, size: int) -> Floats | None:
        return self.rng.normal(scale=0.5, size=size) if self.draw(st.booleans()) else None

    def step_layer(self, *, most_lstms: int) -> None:
        """A layer of the first kinds that gives something at every step."""
        source = self.pick(self.by_step)
        value = self.values[source]
        kinds = ["unit", "merge", "reverse", "attention"]
        kind = self.draw(st.sampled_from(kinds + ["lstm"] * 3 if most_lstms else kinds))
        match kind:
            case "lstm":
                lstm = self.draw(lstms(self.rng, value.units, "sequence"))
                self.add(lstm, (source,), value._replace(units=lstm.output_size))
            case "reverse":
                self.add(Reverse(), (source,), value)
            case "attention":
                units = self.draw(st.sampled_from([1, value.units]))
                dense = Dense(weights(self.rng, units, value.units), None)
                scores = self.add(dense, (source,), value._replace(units=units))
                gate = self.add(StepSoftmax(), (scores,), value._replace(units=units))
                self.add(Merge("gate"), (gate, source), value)
            case _:
                self.any_layer(self.by_step, kind)

    def any_layer(self, values: dict[int, Value], kind: str) -> None:
        """A layer that works on steps and on sequences alike."""
        source = self.pick(values)
        if kind == "merge":
            self.merge(source)
            return
        value = self.values[source]
        match self.draw(st.sampled_from(["dense", "dense", "activation", "scale"])):
            case "dense":
                self.dense(source, self.draw(st.integers(1, 4)))
            case "activation":
                self.add(Activation(self.draw(st.sampled_from(ACTIVATIONS))), (source,), value)
            case "scale":
                factors, offsets = (
                    self.rng.normal(scale=size, size=value.units) for size in (1.0, 0.5)
                )
                self.add(Scale(factors, offsets), (source,), value)

    def merge(self, source: int) -> None:
        others = list(self.alike(source))
        count = self.draw(st.integers(2, 3))
        sources = (source, *(self.draw(st.sampled_from(others)) for _ in range(count - 1)))
        sizes = [self.values[place].units for place in sources]
        joins = ["concat", "sum", "mean", "product"] if len(set(sizes)) == 1 else ["concat"]
        join = self.draw(st.sampled_from(joins))
        units = sum(sizes) if join == "concat" else sizes[0]
        self.add(Merge(join), sources, self.values[source]._replace(units=units))

    def sequence_layer(self) -> None:
        """A layer that makes one vector of all steps."""
        source = self.pick(self.by_step)
        value = self.values[source]
        kinds = ["lstm", "pool", "pool"] + ["flatten"] * bool(value.fixed)
        match self.draw(st.sampled_from(kinds)):
            case "lstm":
                lstm = self.draw(lstms(self.rng, value.units, "last"))
                self.add(lstm, (source,), Value(lstm.output_size))
            case "pool":
                pool = Pool(self.draw(POOLS))
                self.add(pool, (source,), Value(value.units))
            case "flatten":
                assert value.fixed is not None
                self.add(Flatten(value.fixed), (source,), Value(value.fixed * value.units))

    def lstms_so_far(self) -> int:
        return sum(isinstance(node.layer, Lstm) for node in self.nodes)


# Something that draws a layer, or a few, where the graph has what it needs.
Grow = Callable[[Drawing], None]


def needed(nodes: list[Node], outputs: tuple[int, ...]) -> set[int]:
    """The places that outputs depend on, inputs among them."""
    found = set(outputs)
    for place in reversed(range(len(nodes))):
        if place in found:
            found.update(nodes[place].sources)
    return found


def pruned(
    nodes: list[Node], outputs: tuple[int, ...]
) -> tuple[tuple[Node, ...], tuple[int, ...], list[int]]:
    """Nodes and outputs without what no output depends on, and the inputs that are left.

    Inputs that are left move up, as the nodes do.
    """
    kept = needed(nodes, outputs)
    inputs = sorted((place for place in kept if place < 0), reverse=True)
    places = {place: -1 - number for number, place in enumerate(inputs)}
    in_use = sorted(place for place in kept if place >= 0)
    places |= {place: number for number, place in enumerate(in_use)}
    moved = tuple(
        Node(nodes[place].layer, tuple(places[source] for source in nodes[place].sources))
        for place in in_use
    )
    return moved, tuple(places[output] for output in outputs), inputs
