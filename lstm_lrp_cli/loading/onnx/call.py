"""What an ONNX operator is given, and what it asks of that."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping.schema import LayerSpec
from .arrays import Array, ArrayCopies, Known, OnnxNode, Zeros, axis_of
from .file import OnnxFile
from .layers import Layers
from .signal import TIME, Signal, SignalPart

Value = Known | Zeros | ArrayCopies | Signal


class Call(Struct, frozen=True):
    """A node that is followed, with its inputs (None is one left out) and the layers so far."""

    node: OnnxNode
    values: Sequence[Value | None]
    layers: Layers
    file: OnnxFile

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
        alone = signal.parts.size == 1 and part.pooled is None
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
