"""Layers that give values other steps and change none: copies, cuts, vectors made to steps."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.arrays import Copies, Packing
from lstm_lrp_cli.engine.parts import Parted, PartedValue
from lstm_lrp_cli.engine.records import NOTHING_LOST, Record, Shares, Value, check_steps, packing_of
from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.layers import Crop, Pad, Repeat, Transpose, Unflatten, Upsample
from .steps import step_totals


@dataclass(frozen=True, slots=True, eq=False)
class MovedRecord(Record):
    """Every unit of every step keeps its own relevance, wherever it is; that of copies adds up.

    Parameters
    ----------
    taken : Packing or None
        The steps of the inputs; None where there is one vector a sequence.
    """

    layer: Any
    taken: Packing | None
    outputs: Floats
    steps: Packing
    # Whether a step of the outputs is one of the inputs', and so as relevant as that.
    keeps_steps: ClassVar[bool] = False

    @classmethod
    def of(cls, layer: Any, sources: Sequence[Value]) -> "MovedRecord":
        """Run the layer.

        Raises
        ------
        WrongSteps
            A sequence has another number of steps than the layer takes.
        """
        [source] = sources
        made = cls.made(layer, source)
        outputs = cls.moved(layer, source.array, source.packing, made)
        return cls(layer, source.packing, outputs, made)

    @staticmethod
    @abstractmethod
    def made(layer: Any, source: Value) -> Packing:
        """The steps of the outputs."""

    @staticmethod
    @abstractmethod
    def moved(
        layer: Any, values: NDArray[Any], taken: Packing | None, made: Packing
    ) -> NDArray[Any]:
        """Bring inputs, each a row, to the steps of the outputs.

        Parameters
        ----------
        values : ndarray, shape (rows, units), or (rows,) of a layer that keeps steps
        """

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        return self.gradient(relevance), NOTHING_LOST

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        [source] = sources
        made = copies.of(self.steps).packing
        layer, taken = self.layer, source.packing
        parts = source.parts.each(lambda part: self.moved(layer, part, taken, made))
        if self.keeps_steps:
            marked = self.moved(layer, source.relevant_steps, taken, made)
        else:
            marked = np.zeros(made.rows, dtype=bool)
        return PartedValue(parts, made, marked)


def _taken(packing: Packing | None) -> Packing:
    assert packing is not None  # the layer asked for steps as it was run
    return packing


@dataclass(frozen=True, slots=True, eq=False)
class UpsampleRecord(MovedRecord):
    """Every step several times."""

    keeps_steps = True

    @staticmethod
    def made(layer: Upsample, source: Value) -> Packing:
        return Packing(packing_of(source).lengths * layer.times)

    @staticmethod
    def moved(
        layer: Upsample, values: NDArray[Any], taken: Packing | None, made: Packing
    ) -> NDArray[Any]:
        rows: Integers = _taken(taken).offsets[made.step // layer.times] + made.sequence
        return values[rows]

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        taken = _taken(self.taken)
        down = np.zeros((taken.rows, gradient.shape[1]), dtype=gradient.dtype)
        for copy in range(self.layer.times):
            starts = self.steps.offsets[taken.step * self.layer.times + copy]
            down += gradient[starts + taken.sequence]
        return [down]


@dataclass(frozen=True, slots=True, eq=False)
class CropRecord(MovedRecord):
    """Steps left out, which get nothing."""

    keeps_steps = True

    @staticmethod
    def made(layer: Crop, source: Value) -> Packing:
        cut = packing_of(source).lengths - (layer.before + layer.after)
        return Packing(np.maximum(cut, 0))

    @staticmethod
    def moved(
        layer: Crop, values: NDArray[Any], taken: Packing | None, made: Packing
    ) -> NDArray[Any]:
        return values[_places(_taken(taken), made, layer.before)]

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        taken = _taken(self.taken)
        down = np.zeros((taken.rows, gradient.shape[1]), dtype=gradient.dtype)
        down[_places(taken, self.steps, self.layer.before)] = gradient
        return [down]


@dataclass(frozen=True, slots=True, eq=False)
class PadRecord(MovedRecord):
    """Steps of zeros added, which absorb what they get."""

    keeps_steps = True

    @staticmethod
    def made(layer: Pad, source: Value) -> Packing:
        return Packing(packing_of(source).lengths + (layer.before + layer.after))

    @staticmethod
    def moved(
        layer: Pad, values: NDArray[Any], taken: Packing | None, made: Packing
    ) -> NDArray[Any]:
        padded = np.zeros((made.rows, *values.shape[1:]), dtype=values.dtype)
        padded[_places(made, _taken(taken), layer.before)] = values
        return padded

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        of_steps = relevance.sum(axis=1, dtype=np.float64)
        of_steps[_places(self.steps, _taken(self.taken), self.layer.before)] = 0.0
        none = Shares.none(self.steps.batch)
        lost = Shares(none.initial_state, none.biases, none.stabilizers, self.steps.total(of_steps))
        return self.gradient(relevance), lost

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        return [gradient[_places(self.steps, _taken(self.taken), self.layer.before)]]


def _places(long: Packing, short: Packing, before: int) -> Integers:
    """Where each row of sequences stands among those with so many steps before them."""
    starts: Integers = long.offsets[short.step + before]
    return starts + short.sequence


@dataclass(frozen=True, slots=True, eq=False)
class UnflattenRecord(MovedRecord):
    """A vector cut into steps."""

    @staticmethod
    def made(layer: Unflatten, source: Value) -> Packing:
        return _alike(len(source.array), layer.steps)

    @staticmethod
    def moved(
        layer: Unflatten, values: NDArray[Any], taken: Packing | None, made: Packing
    ) -> NDArray[Any]:
        units = values.shape[1] // layer.steps
        by_sequence = values.reshape(made.batch, layer.steps, units)
        return by_sequence.swapaxes(0, 1).reshape(made.rows, units)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        steps, batch, units = self.layer.steps, self.steps.batch, gradient.shape[1]
        by_step = gradient.reshape(steps, batch, units)
        return [by_step.swapaxes(0, 1).reshape(batch, steps * units)]


@dataclass(frozen=True, slots=True, eq=False)
class RepeatRecord(Record):
    """A vector at each of several steps: of a fixed number, or of those of a second source.

    Parameters
    ----------
    counted : ndarray or None
        What the second source gave, of which nothing but its steps is taken.
    """

    counted: Floats | None
    outputs: Floats
    steps: Packing

    @classmethod
    def of(cls, layer: Repeat, sources: Sequence[Value]) -> "RepeatRecord":
        """Run the layer."""
        vectors, *counted = sources
        if layer.steps is None:
            made = packing_of(counted[0])
            return cls(counted[0].array, vectors.array[made.sequence], made)
        made = _alike(len(vectors.array), layer.steps)
        return cls(None, np.tile(vectors.array, (layer.steps, 1)), made)

    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        down = step_totals(relevance, self.steps)
        return ([down] if self.counted is None else [down, None]), NOTHING_LOST

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        down = step_totals(gradient, self.steps)
        return [down] if self.counted is None else [down, np.zeros_like(self.counted)]

    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        made = copies.of(self.steps).packing
        parts = sources[0].parts.each(lambda part: part[made.sequence])
        return PartedValue(parts, made, np.zeros(made.rows, dtype=bool))


@dataclass(frozen=True, slots=True, eq=False)
class TransposeRecord(MovedRecord):
    """Steps and units that change places."""

    @staticmethod
    def made(layer: Transpose, source: Value) -> Packing:
        check_steps(packing_of(source), layer.steps, "makes units of just {} (transpose)")
        return _alike(packing_of(source).batch, source.array.shape[1])

    @staticmethod
    def moved(
        layer: Transpose, values: NDArray[Any], taken: Packing | None, made: Packing
    ) -> NDArray[Any]:
        return _transposed(values, layer.steps, made.batch)

    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        steps, batch = len(self.steps.active), self.steps.batch
        return [_transposed(gradient, steps, batch)]


def _transposed(values: NDArray[Any], steps: int, batch: int) -> NDArray[Any]:
    """Steps made units and units steps, of sequences that all have so many steps."""
    units = values.shape[1]
    return values.reshape(steps, batch, units).transpose(2, 1, 0).reshape(units * batch, steps)


def _alike(batch: int, steps: int) -> Packing:
    """Sequences that all have so many steps."""
    return Packing(np.full(batch, steps, dtype=np.intp))
