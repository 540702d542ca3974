"""Where a layer of a mapping is added to a model that grows: what feeds it, and what it gives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Layer, Node
from .datasets import Datasets

# Every sequence of a model with such a layer is as long, so it is bounded before memory is taken.
MOST_STEPS = 1_000_000


class Value(Struct, frozen=True):
    """What a node gives.

    Parameters
    ----------
    size : int or None
        How many units, where known.
    by_step : bool
        Whether it has them at every step, or once a sequence.
    steps : int or None
        How many steps, where that is known of all sequences.
    origin : int or None
        Where the size is not known, the input of the model that it hangs on.
    times : int
        How many units it has for each of that input's.
    """

    size: int | None
    by_step: bool = True
    steps: int | None = None
    origin: int | None = None
    times: int = 1

    def of_size(self, size: int | None) -> "Value":
        """At the same steps, with so many units."""
        return Value(size, self.by_step, self.steps)

    def at_steps(self, steps: int | None) -> "Value":
        """Of the same units, at so many steps, or at a number that is not known."""
        return replace(self, by_step=True, steps=steps)

    def as_vector(self, times: int = 1) -> "Value":
        """Once a sequence, of the same units, so many times over."""
        size = None if self.size is None else self.size * times
        return replace(self, size=size, by_step=False, steps=None, times=self.times * times)


class Graph(Struct):
    """A graph that grows node by node.

    Parameters
    ----------
    datasets : Datasets
    stateful : bool
        Whether recurrent layers carry their states on, but for those that say otherwise.
    values : dict of int to Value
        What each node gives, and each input.
    sizes : dict of int to int
        Features of a step of each input of which they are known.
    """

    datasets: Datasets
    stateful: bool
    values: dict[int, Value]
    sizes: dict[int, int] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def append(self, layer: Layer, sources: tuple[int, ...], value: Value) -> int:
        """Add a node, and return its place."""
        self.nodes.append(Node(layer, sources))
        self.values[len(self.nodes) - 1] = value
        return len(self.nodes) - 1

    def size(self, value: Value) -> int | None:
        """How many units a value has, where it is known by now."""
        if value.size is None and value.origin in self.sizes:
            return self.sizes[value.origin] * value.times
        return value.size

    def tell(self, value: Value, size: int) -> None:
        """Take what a layer says of the size of a value that feeds it."""
        if value.size is None and value.origin is not None and not size % value.times:
            self.sizes.setdefault(value.origin, size // value.times)


class Site(Struct):
    """Where one entry of `layers` is added.

    Parameters
    ----------
    key : str
        The entry's, for errors.
    sources : tuple of int
        What feeds it.
    """

    graph: Graph
    key: str
    sources: tuple[int, ...]

    @property
    def datasets(self) -> Datasets:
        return self.graph.datasets

    @property
    def value(self) -> Value:
        """What feeds it; of several sources, the first."""
        return self.graph.values[self.sources[0]]

    @property
    def values(self) -> list[Value]:
        """What its sources give."""
        return [self.graph.values[source] for source in self.sources]

    @property
    def inputs(self) -> int | None:
        """How many units the first source has, where known."""
        return self.graph.size(self.value)

    @property
    def sizes(self) -> list[int | None]:
        """How many units each source has, where known."""
        return [self.graph.size(value) for value in self.values]

    def put(self, layer: Layer, value: Value, sources: Sequence[int] | None = None) -> int:
        """Add a node that the entry's sources feed, or others, and return its place."""
        return self.graph.append(layer, self.sources if sources is None else tuple(sources), value)

    def of_source(self, source: int) -> "Site":
        """The same entry as if another node fed it."""
        return Site(self.graph, self.key, (source,))

    def tell(self, size: int) -> None:
        """Take how many units the first source must have, where nothing said it before."""
        self.graph.tell(self.value, size)

    def need_one(self) -> None:
        """Refuse several sources."""
        if len(self.sources) != 1:
            raise self.wrong(f"`from` names {len(self.sources)} layers; expected one")

    def need_steps(self, source: int = 0) -> None:
        """Refuse a source that gives one vector a sequence."""
        if not self.values[source].by_step:
            raise self.wrong("the layer before gives no sequence; set its `returns: sequence`")

    def need_vector(self, source: int = 0) -> None:
        """Refuse a source that gives a vector at every step."""
        if self.values[source].by_step:
            raise self.wrong("the layer before gives a sequence; expected one vector of it")

    def bounded(self, name: str, found: int, least: int = 1) -> int:
        """A number of steps that a setting gives, which must be in reason."""
        if not least <= found <= MOST_STEPS:
            raise self.wrong(f"{name}: found {found}; expected {least} to {MOST_STEPS:,}")
        return found

    def vector(self, name: str, role: str, size: int | None, source: str = "") -> Floats:
        """Read a vector of a number for each unit, or of one for all, spread out to those."""
        vector = self.datasets.read(name, f"{self.key}.{role}", 1)
        if size is None:
            return vector
        if len(vector) not in (1, size):
            raise self.datasets.array_error(
                [name],
                f"({self.key}.{role}) has {len(vector)} values; expected {size}, "
                f"{source or 'which the layer before gives'}",
            )
        spread: Floats = np.broadcast_to(vector, size)
        return spread

    def wrong(self, problem: str) -> UnusableInput:
        """The error about what the mapping says of this entry."""
        return self.datasets.mapping_error(f"{self.key}: {problem}")


class Keep(Struct):
    """Takes the arrays of a layer that is written out, and names them.

    Parameters
    ----------
    prefix : str
        What their names begin with.
    arrays : dict of str to ndarray
        Where they are put.
    """

    prefix: str
    arrays: dict[str, Any]

    def __call__(self, role: str, array: Floats | None) -> Any:
        """Keep an array, and give its name; None where there is none."""
        if array is None:
            return None
        name = f"{self.prefix}.{role}"
        self.arrays[name] = array
        return name

    def under(self, part: str) -> "Keep":
        """The same for a part of the layer."""
        return Keep(f"{self.prefix}.{part}", self.arrays)
