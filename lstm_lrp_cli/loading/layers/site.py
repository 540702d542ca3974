"""Where a layer of a mapping is added to a model that grows: what feeds it, and what it gives."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import check_size
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Layer, Node
from .datasets import Datasets

# Every sequence of a model with such a layer is as long, so it is bounded before memory is taken.
MOST_STEPS = 1_000_000
# What a layer gives of one sequence, or of one step, is bounded too.
MOST_NUMBERS = 2**30
# So many nodes no model has: graphs within graphs that are built once more double with each.
MOST_NODES = 20_000


class Units(Struct, frozen=True):
    """How many units a value has, as far as it is known.

    Parameters
    ----------
    number : int
    of_inputs : dict of int to int
        By the place of an input of the model, how many times its features stand beside those. What
        is a part of such features has a number from 0 on.
    """

    number: int = 0
    of_inputs: dict[int, int] = {}

    def plus(self, other: "Units", times: int = 1) -> "Units":
        """With those of another beside them, so many times."""
        of_inputs = dict(self.of_inputs)
        for place, count in other.of_inputs.items():
            of_inputs[place] = of_inputs.get(place, 0) + times * count
        kept = {place: count for place, count in of_inputs.items() if count}
        return Units(self.number + times * other.number, kept)


class Shape(Struct, frozen=True):
    """What a node gives.

    Parameters
    ----------
    units : Units
    by_step : bool
        Whether it has them at every step, or once a sequence.
    steps : int or None
        How many steps, where that is known of all sequences.
    grown : int
        How many steps there may be for each that a sequence has, where it is not.
    """

    units: Units
    by_step: bool = True
    steps: int | None = None
    grown: int = 1

    def of_size(self, size: int) -> "Shape":
        """At the same steps, with so many units."""
        return self.of_units(Units(size))

    def of_units(self, units: Units) -> "Shape":
        """At the same steps, with those units."""
        return replace(self, units=units)

    def at_steps(self, steps: int | None, grown: int = 1) -> "Shape":
        """Of the same units, at so many steps; or at a number that is not known."""
        return replace(self, by_step=True, steps=steps, grown=grown)

    def as_vector(self, times: int = 1) -> "Shape":
        """Once a sequence, of the same units, so many times over."""
        return Shape(Units().plus(self.units, times), by_step=False)


# What must be as many as what, and the error where it is not.
Told = tuple[Units, Units, Callable[[str], UnusableInput]]


class Features(Struct):
    """The features of the inputs of a model, as its layers tell them.

    Parameters
    ----------
    known : dict of int to int
        By the place of an input, how many features it has.
    told : list of Told
    checks : list of callable
        What is checked when all sizes are known.
    nodes : int
        How many the model has, in all its graphs.
    spread : int
        How many bytes numbers take that are spread out to all units.
    """

    known: dict[int, int] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    checks: list[Callable[[], None]] = field(default_factory=list)
    nodes: int = 0
    spread: int = 0

    def of(self, units: Units) -> int | None:
        """How many units those are, where it is known by now."""
        if units.of_inputs.keys() - self.known.keys():
            return None
        return units.number + sum(
            times * self.known[place] for place, times in units.of_inputs.items()
        )

    def tell(self, one: Units, other: Units, wrong: Callable[[str], UnusableInput]) -> None:
        """Take it that there are as many of one as of the other."""
        if None not in (self.of(one), self.of(other)):
            self._compare(one, other, wrong)
            return
        if one == other:
            return
        self.told.append((one, other, wrong))
        if self._learn(self.told[-1:]):
            while self._learn(self.told):
                pass

    def parted(self, units: Units, parts: int, wrong: Callable[[str], UnusableInput]) -> Units:
        """One of so many equal parts of units that are not known."""
        # In `told` once from here on, so that the next has another number.
        part = Units(0, {len(self.told): 1})
        self.tell(units, Units().plus(part, parts), wrong)
        return part

    def check(self) -> None:
        """Refuse what was told and is not so, now that all is told."""
        for one, other, wrong in self.told:
            self._compare(one, other, wrong)
        for check in self.checks:
            check()

    def _compare(self, one: Units, other: Units, wrong: Callable[[str], UnusableInput]) -> None:
        given, taken = self.of(one), self.of(other)
        if given != taken:
            raise wrong(f"is given {given} units; expected {taken}, by what is said elsewhere")

    def _learn(self, told: Sequence[Told]) -> bool:
        """Whether something of what was told makes one more input known."""
        for one, other, wrong in told:
            left = one.plus(other, -1)
            open_ = left.of_inputs.keys() - self.known.keys()
            if len(open_) == 1:
                [place] = open_
                times = left.of_inputs[place]
                rest = sum(
                    count * self.known[known]
                    for known, count in left.of_inputs.items()
                    if known != place
                )
                size, remainder = divmod(-(left.number + rest), times)
                if remainder or size < 1:
                    raise wrong(
                        "takes a number of units that it is not given, whatever the input's "
                        "features; is a layer before it missing?"
                    )
                self.known[place] = size
                return True
        return False


class Graph(Struct):
    """A graph that grows node by node.

    Parameters
    ----------
    datasets : Datasets
    stateful : bool
        Whether recurrent layers carry their states on, but for those that say otherwise.
    shapes : dict of int to Shape
        What each node gives, and each input.
    features : Features
        Of the model's inputs; a graph within another has the other's.
    """

    datasets: Datasets
    stateful: bool
    shapes: dict[int, Shape]
    features: Features = field(default_factory=Features)
    nodes: list[Node] = field(default_factory=list)

    def size(self, place: int) -> int | None:
        """How many units a node or input gives, where it is known by now."""
        return self.features.of(self.shapes[place].units)


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
    def shape(self) -> Shape:
        """What feeds it; of several sources, the first."""
        return self.graph.shapes[self.sources[0]]

    @property
    def shapes(self) -> list[Shape]:
        """What its sources give."""
        return [self.graph.shapes[source] for source in self.sources]

    @property
    def inputs(self) -> int | None:
        """How many units the first source has, where known."""
        return self.graph.size(self.sources[0])

    @property
    def sizes(self) -> list[int | None]:
        """How many units each source has, where known."""
        return [self.graph.size(source) for source in self.sources]

    def put(self, layer: Layer, shape: Shape, sources: Sequence[int] | None = None) -> int:
        """Add a node that the entry's sources feed, or others, and return its place."""
        numbers = (self.graph.features.of(shape.units) or 1) * (shape.steps or 1)
        if shape.steps is not None and not 1 <= shape.steps <= MOST_STEPS:
            raise self.wrong(f"makes {shape.steps:,} steps; expected 1 to {MOST_STEPS:,}")
        if shape.grown > MOST_STEPS:
            raise self.wrong(f"makes {shape.grown:,} steps of one; expected 1 to {MOST_STEPS:,}")
        if numbers > MOST_NUMBERS:
            raise self.wrong(f"makes {numbers:,} numbers; expected at most {MOST_NUMBERS:,}")
        self.graph.features.nodes += 1
        if self.graph.features.nodes > MOST_NODES:
            raise self.wrong(f"makes the model one of more than {MOST_NODES:,} layers")
        nodes, place = self.graph.nodes, len(self.graph.nodes)
        nodes.append(Node(layer, self.sources if sources is None else tuple(sources)))
        self.graph.shapes[place] = shape
        return place

    def of_source(self, source: int) -> "Site":
        """The same entry as if another node fed it."""
        return Site(self.graph, self.key, (source,))

    def tell(self, size: int, source: int = 0) -> None:
        """Take how many units a source must have, where nothing said it before."""
        self.graph.features.tell(self.shapes[source].units, Units(size), self.wrong)

    def tell_alike(self, source: int, other: int) -> None:
        """Take that two sources have as many units."""
        shapes = self.shapes
        self.graph.features.tell(shapes[source].units, shapes[other].units, self.wrong)

    def need_one(self) -> None:
        """Refuse several sources."""
        if len(self.sources) != 1:
            raise self.wrong(f"`from` names {len(self.sources)} layers; expected one")

    def need_steps(self, source: int = 0) -> None:
        """Refuse a source that gives one vector a sequence."""
        if not self.shapes[source].by_step:
            raise self.wrong("the layer before gives no sequence; set its `returns: sequence`")

    def need_vector(self, source: int = 0) -> None:
        """Refuse a source that gives a vector at every step."""
        if self.shapes[source].by_step:
            raise self.wrong("the layer before gives a sequence; expected one vector of it")

    def bounded(self, name: str, found: int, least: int = 1) -> int:
        """A number of steps that a setting gives, which must be in reason."""
        if not least <= found <= MOST_STEPS:
            raise self.wrong(f"{name}: found {found}; expected {least} to {MOST_STEPS:,}")
        return found

    def when_known(self, source: int, check: Callable[[int], None]) -> None:
        """Check how many units a source has, now or when all sizes are known."""
        place, graph = self.sources[source], self.graph

        def later() -> None:
            size = graph.size(place)
            assert size is not None
            check(size)

        if graph.size(place) is None:
            graph.features.checks.append(later)
        else:
            later()

    def vector(
        self, name: str, role: str, size: int | None, source: str = "", *, flat: bool = False
    ) -> Floats:
        """Read a vector of a number for each unit, or of one for all, spread out to those.

        Where `flat`, it may be a matrix of one row.
        """
        vector = self.datasets.read(name, f"{self.key}.{role}", 1, flat=flat)
        if size is None:
            return vector
        if len(vector) not in (1, size):
            raise self.datasets.array_error(
                [name],
                f"({self.key}.{role}) has {len(vector)} values; expected {size}, "
                f"{source or 'which the layer before gives'}",
            )
        self.claim(size)
        spread: Floats = np.ascontiguousarray(np.broadcast_to(vector, size))
        return spread

    def claim(self, size: int) -> None:
        """Refuse to spread numbers over so many units as no file of its size honestly has."""
        file, features = self.datasets.file, self.graph.features
        features.spread += size * self.datasets.dtype.itemsize
        check_size(self.datasets.mapping_name, (features.spread,), 1, file.size, f" ({self.key})")

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
