"""What ONNX operators are given and asked, and the layers that they become."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import LayerSpec
from lstm_lrp_cli.loading.layers.units import UnitsSpec
from lstm_lrp_cli.loading.mapping import INPUT_NAME
from .arrays import Array, ArrayCopies, Dim, GraphNode, Known, Lengths, Order, Size, Zeros, axis_of
from .file import GraphFile
from .parts import SignalPart, joined
from .signal import TIME, OtherSize, Signal
from .sizes import renamed, sources_of, with_sizes
from .views import Product, RecurrentNode, View, united

# What the layer of a part begins with that is an input of the model before any embedding.
RAW_INPUT = "\0"
# For each direction, whether it reads backwards.
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


class Layers(Struct):
    """The layers so far, by their names, each after those that feed it.

    `reserved` are the names that the graph's outputs get. A recurrent node becomes layers when it
    is known which directions and steps of it are taken; until then it stands in `recurrent`, by its
    number. `views` are those layers. `products` are what is no layer yet. `embeddings` are datasets
    by the inputs that they are of, `lengths` numbers of steps by the inputs that say them of each
    sequence. `unpadded` is how many steps there were before a layer added some, `counted` what
    is at each of so many steps, where their number is left open; `assumed` what was taken for
    granted of numbers that an example wrote into the graph. `features` are how many an input has,
    where the graph says so.
    """

    reserved: list[str]
    specs: dict[str, LayerSpec] = field(default_factory=dict)
    recurrent: dict[str, RecurrentNode] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    embeddings: dict[str, str] = field(default_factory=dict)
    lengths: dict[str, Size] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    unpadded: dict[str, Size] = field(default_factory=dict)
    counted: dict[Dim, str] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    features: dict[str, int] = field(default_factory=dict)
    _steps: dict[tuple[Dim, str], Dim] = field(default_factory=dict)
    _made: dict[tuple[SignalPart, ...], str] = field(default_factory=dict)
    _uses: Counter[str] = field(default_factory=Counter)

    def add(self, called: str, sources: list[str], size: int | None, **kind: Any) -> SignalPart:
        """A new layer, as the part that all its units are; `kind` is a key of LayerSpec."""
        name = self._unused(called)
        source: Any = sources if len(sources) > 1 else sources[0]
        self.specs[name] = LayerSpec(name=name, source=source, **kind)
        return SignalPart(name, size)

    def put(self, product: Product) -> str:
        """Keep products, and give the name by which parts of signals have them."""
        name = self._unused("product")
        self.products[name] = product
        return name

    def steps_of(self, steps: Dim, change: str) -> Dim:
        """How many steps a change makes of a number that is left open: the same for the same."""
        key = (steps, change)
        if key not in self._steps:
            self._steps[key] = Dim((f"made {len(self._steps) + 1}",))
        return self._steps[key]

    def embed(self, name: str, weights: str) -> None:
        """Make an embedding of the ids that an input is."""
        is_used = any(parts[0].layer == RAW_INPUT + name for parts in self._made)
        if is_used or self.embeddings.get(name, weights) != weights:
            raise ValueError("the ids are used twice; expected one embedding of them")
        self.embeddings[name] = weights

    def bind(self, lengths: Lengths, steps: Size) -> bool:
        """Take lengths as those of sequences of so many steps; false where they are of others.

        Raises
        ------
        OtherSize
            Their number is fixed: then sequences are filled up to it, and are not as long.
        """
        if isinstance(steps, int):
            raise OtherSize("", lengths.name)
        return self.lengths.setdefault(lengths.name, steps) == steps

    def of(self, parts: tuple[SignalPart, ...]) -> str:
        """The layer that has just those units."""
        parts = joined(parts)
        if parts not in self._made:
            self._made[parts] = self._make(parts)
        return self._made[parts]

    def leading_to(self, ends: list[str], outputs: list[str]) -> list[LayerSpec]:
        """The layers that some depend on, which are called as the outputs that they are."""
        names: dict[str, str] = {}
        for end, output in zip(ends, outputs, strict=True):
            if end in names:  # a layer has one name, so the second output is a copy
                end = self.add(output, [end], None, activation="linear").layer
            names[end] = output
        needed = set(names)
        for name, spec in reversed(self.specs.items()):
            if name in needed:
                needed.update(sources_of(spec))
        kept = {name: spec for name, spec in self.specs.items() if name in needed}
        kept = with_sizes(kept, self.features)
        specs = [renamed(spec, names) for spec in united(kept, self.views, self.recurrent)]
        return _shortened(specs, set(outputs) if len(outputs) > 1 else set())

    def _make(self, parts: tuple[SignalPart, ...]) -> str:
        groups = list(_groups(parts))
        if len(groups) > 1:
            return self._concat(groups)
        first, pooled = parts[0], parts[0].pooled
        if first.layer in self.products:
            raise ValueError(
                "it takes products of queries and keys; expected a softmax over the keys' steps, "
                "and sums of values that it weighs"
            )
        if first.start is not None:
            source, units = self.of((first.whole,)), UnitsSpec(first.start, first.stop)
            return self.add("units", [source], None, units=units).layer
        directions = tuple(part.backward for part in parts if part.backward is not None)
        if directions:
            view = self._view(parts)
            if view is not None:
                return view
        if pooled is not None:
            layer = self.specs.get(first.layer) if len(parts) == 1 else None
            if pooled in ("first", "last") and layer is not None and layer.activation is not None:
                # A function of single steps can as well be applied to the one that is picked; a
                # softmax or sigmoid is then the last layer, which the score stands before.
                picked = self.of((SignalPart(str(layer.source), first.size, pooled=pooled),))
                return self.add(first.layer, [picked], None, activation=layer.activation).layer
            source = self.of(tuple(replace(part, pooled=None) for part in parts))
            return self.add(pooled, [source], None, pool=pooled).layer
        if len(parts) > 1:
            return self._concat([(part,) for part in parts])
        name = first.layer.removeprefix(RAW_INPUT)
        if name != first.layer and name in self.embeddings:
            raise ValueError("the ids are used as numbers too; expected an embedding alone")
        return name

    def _view(self, parts: tuple[SignalPart, ...]) -> str | None:
        """The layer that is just what is taken of a recurrent layer; None where there is none."""
        first, is_final = parts[0], all(part.is_final for part in parts)
        if not is_final and any(part.pooled is not None for part in parts):
            return None
        has_cells = any(part.is_cell for part in parts)
        count = len(parts) // 2 if has_cells and len(parts) > 1 else len(parts)
        hidden = parts[:count]
        directions = tuple(bool(part.backward) for part in hidden)
        cells = tuple(replace(part, is_cell=True) for part in hidden)
        if has_cells and parts != (*hidden, *cells):
            # The cell states stand behind the hidden states of all directions that are asked for.
            part = first.side
            both = self.of((part, replace(part, is_cell=True)))
            size = first.size or 0
            start = size if first.is_cell else 0
            return self.add("units", [both], None, units=UnitsSpec(start, start + size)).layer
        if directions not in DIRECTIONS.values():
            return None
        node = self.recurrent[first.layer]
        view = View(first.layer, directions, is_final, has_cells)
        name = self.add(node.node.label, node.sources, None, **node.kind(view)).layer
        self.views[name] = view
        return name

    def _concat(self, groups: list[tuple[SignalPart, ...]]) -> str:
        sources = [self.of(group) for group in groups]
        return self.add("concat", sources, None, merge="concat").layer

    def _unused(self, called: str) -> str:
        name = called
        taken = ([INPUT_NAME], self.reserved, self.specs, self.products)
        while any(name in names for names in taken):
            self._uses[called] += 1
            name = f"{called} {self._uses[called] + 1}"
        return name


def _groups(parts: tuple[SignalPart, ...]) -> Iterator[tuple[SignalPart, ...]]:
    """Parts that follow one another and are what one layer gives."""
    start = 0
    while start < len(parts):
        first = parts[start]
        pair = parts[start : start + 2]
        if _are_final(pair) or _are_states(pair):
            end = start + 2
        else:
            end = start + 1
            while end < len(parts) and _are_alike(first, parts[end]):
                end += 1
        yield parts[start:end]
        start = end


def _are_alike(one: SignalPart, other: SignalPart) -> bool:
    """Whether two parts may be of one layer, or pooled as one."""
    if one.is_cell or one.start is not None or other.is_cell or other.start is not None:
        return False
    return (one.layer, one.pooled) == (other.layer, other.pooled)


def _are_final(parts: tuple[SignalPart, ...]) -> bool:
    """Whether two parts are the final states of a recurrent layer's two directions."""
    if [part.backward for part in parts] != [False, True] or any(part.is_cell for part in parts):
        return False
    is_one = parts[0].layer == parts[1].layer and all(part.start is None for part in parts)
    return is_one and all(part.is_final for part in parts)


def _are_states(parts: tuple[SignalPart, ...]) -> bool:
    """Whether two parts are the hidden and the cell state of one direction."""
    if len(parts) < 2 or parts[0].is_cell or parts[0].backward is None:
        return False
    return parts[1] == replace(parts[0], is_cell=True)


def _shortened(specs: list[LayerSpec], outputs: set[str]) -> list[LayerSpec]:
    """Without the sources that stand just before a layer, and the names that none asks for."""
    before = [INPUT_NAME, *(spec.name for spec in specs)]  # of several inputs none is called so
    short = [
        replace(spec, source=None) if spec.source == name else spec
        for name, spec in zip(before, specs, strict=False)
    ]
    asked = outputs.union(*(sources_of(spec) for spec in short))
    return [spec if spec.name in asked else replace(spec, name=None) for spec in short]


Value = Known | Zeros | ArrayCopies | Lengths | Order | Signal


class Call(Struct, frozen=True):
    """A node that is followed, with its inputs (None is one left out) and the layers so far."""

    node: GraphNode
    values: Sequence[Value | None]
    layers: Layers
    file: GraphFile

    def unusable(self, problem: str) -> UnusableInput:
        return self.node.unusable(problem)

    def value(self, place: int) -> Value | None:
        return self.values[place] if place < len(self.values) else None

    def signal(self, place: int = 0) -> Signal:
        value = self.value(place)
        if not isinstance(value, Signal):
            raise self.unusable(
                f"takes `{self.node.inputs[place]}`, which the input does not change; "
                "expected what a layer gives"
            )
        return value

    @property
    def signals(self) -> list[Signal]:
        """All inputs, which must be signals."""
        return [self.signal(place) for place in range(len(self.values))]

    def constant(self, place: int) -> Known:
        value = self.value(place)
        if not isinstance(value, Known):
            raise self.unusable(
                f"takes `{self.node.inputs[place]}`, which is no constant; expected one"
            )
        return value

    def array(self, place: int) -> Array | None:
        return None if self.value(place) is None else self.constant(place).array

    def setting(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        return self.node.attributes.get(name, default)

    def axis(self, signal: Signal, default: int) -> int:
        """The axis of a signal along which the node works, counted from the front."""
        return axis_of(self.setting("axis", default), len(signal.axes))

    def dataset(self, name: str) -> str:
        if name not in self.file.datasets:
            raise self.unusable(f"takes `{name}`, which is no vector or matrix of the file")
        return name

    def is_length(self, place: int, signal: Signal) -> bool:
        """Whether an input says of every sequence that it has all steps of a signal."""
        value = self.value(place)
        if isinstance(value, Lengths):
            return self.layers.bind(value, signal.sizes[TIME])
        known = value.of if isinstance(value, ArrayCopies) else value
        return isinstance(known, Known) and set(known.array.reshape(-1).tolist()) == {
            signal.sizes[TIME]
        }

    def add(self, sources: list[str], size: int | None, **kind: Any) -> SignalPart:
        """A new layer, called as the node is; `kind` is a key of LayerSpec."""
        return self.layers.add(self.node.label, sources, size, **kind)

    def layer(self, signal: Signal, size: int | None = None, **kind: Any) -> Signal:
        """What a new layer makes of a signal, of as many units if no other number is given.

        There is one layer for each entry of its stacks.
        """
        units = signal.size if size is None else size
        return self.each(signal, lambda parts: self.add([self.layers.of(parts)], units, **kind))

    def unit_by_unit(self, signal: Signal, **kind: Any) -> Signal:
        """The same of a layer that does one and the same with every unit.

        Units that several entries take of one layer are made together.
        """
        if all(part.start is None for part in signal.parts.reshape(-1)):
            return self.layer(signal, **kind)
        made: dict[SignalPart, SignalPart] = {}
        parts = []
        for part in signal.parts.reshape(-1):
            whole = part.whole
            if whole not in made:
                made[whole] = self.add([self.layers.of((whole,))], whole.size, **kind)
            start = part.start or 0
            parts.append(made[whole].units(start, start + part.size))
        shaped = np.empty(len(parts), dtype=object)
        shaped[:] = parts
        return replace(signal, parts=shaped.reshape(signal.parts.shape))

    def each(self, signal: Signal, make: Callable[[tuple[SignalPart, ...]], SignalPart]) -> Signal:
        """A signal of what is made of the units in each entry of the stacks."""
        rows = signal.parts.reshape(-1, signal.parts.shape[-1])
        made = np.array([make(tuple(row)) for row in rows], dtype=object)
        return replace(signal, parts=made.reshape(*signal.parts.shape[:-1], 1))

    def source(self, signal: Signal) -> str:
        """The layer that has just the units of a signal, which has no stack but of one entry."""
        if math.prod(signal.parts.shape[:-1]) != 1:
            raise self.unusable(
                "takes several values at once (the directions or layers of an LSTM); expected one"
            )
        return self.layers.of(tuple(signal.parts.reshape(-1)))

    def spec(self, signal: Signal) -> LayerSpec | None:
        """The layer whose units, unpooled, are all of a signal."""
        part = signal.parts.reshape(-1)[0]
        alone = signal.parts.size == 1 and part == SignalPart(part.layer, part.size)
        return self.layers.specs.get(part.layer) if alone else None

    def understood(self, signal: Signal | None) -> list[Value]:
        """The one output, where it has a meaning."""
        if signal is None:
            raise self.unusable(
                "rearranges values in a way that lrp does not follow; expected whole axes: of "
                "sequences, steps, units, directions"
            )
        return [signal]


# What an operator makes of its inputs: its outputs.
Operator = Callable[[Call], list[Value]]
