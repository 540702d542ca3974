"""The ledger, where every score went; what layers lose; and what a forward pass records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.model import Floats, Integers
from .arrays import Copies, Packing
from .rules import LrpRule, Messages

if TYPE_CHECKING:
    from .parts import Parted, PartedValue

# What rounding may leave unaccounted for, relative to Ledger.scale.
TOLERANCES: dict[np.dtype[Any], float] = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-3}


# What stands beside the shares where a ledger is written.
NO_SHARES = ("score", "residual", "stabilizers_size", "scores_size", "inputs")


class Ledger(Struct, frozen=True, gc=False):
    """One score, and the shares that it went into. Each share is computed for itself.

    Parameters
    ----------
    score : float
        The explained score.
    shares : dict
        What went where, by the names that the method has for it.
    stabilizers_size : float or None
        What stabilizers absorbed by size: the sum over all units of absolute values. It is no
        share. None where the method has no stabilizers.
    scores_size : float or None
        Of the difference of two scores, these by size: the sum of both absolute values, of which
        rounding errors are left however near they are to each other. None of a single score.
    """

    score: float
    shares: dict[str, float]
    stabilizers_size: float | None = None
    scores_size: float | None = None

    def __getitem__(self, name: str) -> float:
        return self.shares[name]

    @property
    def residual(self) -> float:
        """What no share accounts for."""
        return self.score - sum(self.shares.values())

    @property
    def scale(self) -> float:
        """What the residual is measured against: the score or, if larger, the shares' sizes.

        Of a difference, also the sizes of both scores.
        """
        shares = sum(map(abs, self.shares.values()))
        return max(abs(self.score), shares, self.scores_size or 0.0)

    @property
    def relative_residual(self) -> float:
        return abs(self.residual) / self.scale if self.residual else 0.0

    def __add__(self, other: Ledger) -> Ledger:
        """The ledger of two scores together, which has the shares of both."""
        names = {**self.shares, **other.shares}
        return Ledger(
            self.score + other.score,
            {name: self.shares.get(name, 0.0) + other.shares.get(name, 0.0) for name in names},
            _together(self.stabilizers_size, other.stabilizers_size),
            _together(self.scores_size, other.scores_size),
        )


def _together(one: float | None, other: float | None) -> float | None:
    """The sum of those that there are."""
    if one is None or other is None:
        return one if other is None else other
    return one + other


class Ledgers(Struct, frozen=True, eq=False):
    """The ledgers of a batch.

    Parameters
    ----------
    score : ndarray, shape (batch,)
        In float64.
    shares : dict of ndarray, each of shape (batch,)
        In float64.
    stabilizers_size : ndarray, shape (batch,), or None
        In float64; None where the method has no stabilizers.
    scores_size : ndarray, shape (batch,), or None
        In float64; None where no difference is explained.
    """

    score: Floats
    shares: dict[str, Floats]
    stabilizers_size: Floats | None = None
    scores_size: Floats | None = None

    def __iter__(self) -> Iterator[Ledger]:
        """The ledger of each sequence."""
        amounts = zip(*(share.tolist() for share in self.shares.values()), strict=True)
        shares = map(dict, map(zip, repeat(tuple(self.shares)), amounts))
        sizes = (
            repeat(None) if each is None else each.tolist()
            for each in (self.stabilizers_size, self.scores_size)
        )
        return map(Ledger, self.score.tolist(), shares, *sizes)


def relative_residuals(amounts: Floats, scores_size: Floats | float = 0.0) -> Floats:
    """The relative residual of many ledgers, as `Ledger` has it.

    Parameters
    ----------
    amounts : ndarray, shape (ledgers, 1 + shares)
        The score of each, and its shares.
    scores_size : ndarray, shape (ledgers,), or 0
        Of differences, the sizes of both scores together.
    """
    score, shares = amounts[:, 0], amounts[:, 1:]
    residuals = np.abs(score - shares.sum(axis=1))
    scales = np.maximum(np.abs(score), np.abs(shares).sum(axis=1))
    scales = np.maximum(scales, scores_size)
    relative = np.zeros(len(amounts))
    np.divide(residuals, scales, out=relative, where=residuals != 0)
    return relative


# How finely relevance is told: of every feature, or of steps, each summed over its features.
Reach = Literal["features", "steps"]


class Value(Struct, frozen=True, eq=False):
    """What a node gave, or a numeric input of the model.

    Parameters
    ----------
    array : ndarray, shape (rows, units) by step, else (batch, units)
    packing : Packing or None
        Of the steps; None where there is one vector a sequence. Values whose steps are the same
        have the same object.
    """

    array: Floats
    packing: Packing | None = None


class WrongSteps(ValueError):
    """A sequence that has another number of steps at a layer than that takes.

    Parameters
    ----------
    sequence : int
        Its place in the batch.
    found, expected : int
    does : str
        What the layer does with so many steps, as a clause, with {} for the number.
    """

    def __init__(self, sequence: int, found: int, expected: int, does: str) -> None:
        super().__init__(f"sequence {sequence}: {found} steps; the model {does.format(expected)}")
        self.sequence, self.found, self.expected, self.does = sequence, found, expected, does


class TooLarge(MemoryError):
    """What is to be kept of a sequence has no room.

    Parameters
    ----------
    does : str
        What needs it.
    needed, there : int
        Bytes.
    """

    def __init__(self, does: str, needed: int, there: int) -> None:
        super().__init__(f"{does} takes about {needed:,} bytes, and there are {there:,}")
        self.does, self.needed, self.there = does, needed, there


def check_steps(packing: Packing, expected: int | Integers, does: str) -> None:
    """Refuse steps of which some sequence has another number than expected, of all or of each."""
    wrong = np.flatnonzero(packing.lengths != expected)
    if len(wrong):
        at = int(wrong[0])
        needed = int(np.broadcast_to(expected, packing.lengths.shape)[at])
        raise WrongSteps(at, int(packing.lengths[at]), needed, does)


def packing_of(source: Value) -> Packing:
    """The steps of a value that has them."""
    if source.packing is None:
        raise ValueError("one vector a sequence has no steps")
    return source.packing


class Record(ABC):
    """The forward pass of one layer over one batch, from which scores can be explained.

    A new kind of layer is a record of its own and an entry of KINDS in `layers`.

    Attributes
    ----------
    outputs : ndarray, shape (rows, units) by step, else (batch, units)
    steps : Packing or None
        Those of the outputs; None where there is one vector a sequence.
    in_stretches : bool
        Whether it is of one long sequence, and takes and gives amounts stretch by stretch.
    """

    __slots__ = ()
    outputs: Floats
    steps: Packing | None
    in_stretches = False

    @property
    def value(self) -> Value:
        """What those that it feeds are given."""
        return Value(self.outputs, self.steps)

    @abstractmethod
    def relevance(self, relevance: Floats, rule: LrpRule) -> tuple[Sequence[Floats | None], Shares]:
        """Pass relevance from the layer's outputs to its sources.

        Parameters
        ----------
        relevance : ndarray, of the shape of the outputs
        rule : LrpRule

        Returns
        -------
        sequence of ndarray or None
            For each source, of its shape; None where it gets nothing, as a gate.
        Shares
            What did not reach the sources.
        """

    def pass_down(
        self, relevance: Floats, rule: LrpRule, reach: Reach
    ) -> tuple[Sequence[Floats | None], Shares]:
        """Pass relevance down to an input of the model, the first source, as far as it is told.

        It may be that of whole steps, of shape (rows,), where that takes less time.
        """
        return self.relevance(relevance, rule)

    @abstractmethod
    def gradient(self, gradient: Floats) -> Sequence[Floats]:
        """Pass a score's gradient with respect to the layer's outputs to its sources.

        Parameters
        ----------
        gradient : ndarray, of the shape of the outputs

        Returns
        -------
        sequence of ndarray
            For each source, of its shape.
        """

    def pull_back(self, gradient: Floats, reach: Reach) -> Sequence[Floats]:
        """The same of the gradient: of whole steps its product with the input, shape (rows,)."""
        return self.gradient(gradient)

    @abstractmethod
    def parted(self, sources: Sequence[Parted], copies: Copies) -> PartedValue:
        """Run the layer on parts, over copies of the sequences.

        Parameters
        ----------
        sources : sequence of PartedValue or PartedInput
            What the layer is fed with.
        copies : Copies
            Of the sequences of this forward pass.
        """


class Shares(Struct, frozen=True, eq=False):
    """What each sequence's relevance lost on its way, in float64. They add up.

    Parameters
    ----------
    initial_state : ndarray, shape (batch,)
        Passed to the initial hidden and cell states, or to the pool of a sequence without steps.
    biases : ndarray, shape (batch,)
        Absorbed by biases.
    stabilizers : ndarray, shape (2, batch)
        Absorbed by stabilizers, and the same by size: the sum of the units' absolute values.
    padding : ndarray, shape (batch,), or float
        Passed to steps that a layer adds.
    """

    initial_state: Floats
    biases: Floats
    stabilizers: Floats
    padding: Floats | float = 0.0

    @classmethod
    def none(cls, batch: int) -> Shares:
        return cls(np.zeros(batch), np.zeros(batch), np.zeros((2, batch)))

    @classmethod
    def absorbed(cls, messages: Messages, packing: Packing | None) -> Shares:
        """What a linear map absorbed: at every step where a packing is given, else once."""
        return cls.lost(messages.biases, messages.stabilizers, packing)

    @classmethod
    def lost(cls, biases: Floats, stabilizers: Floats, packing: Packing | None) -> Shares:
        """What biases and stabilizers absorbed: at every step, as `absorbed` has it, or once."""
        if packing is not None:
            biases, stabilizers = packing.total(biases), packing.totals(stabilizers)
        return cls(np.zeros(len(biases)), biases, stabilizers)

    @classmethod
    def unstarted(cls, relevance: Floats, packing: Packing) -> Shares:
        """The relevance of sequences without steps, given that of all, shape (batch, units)."""
        lost = relevance.sum(axis=1, dtype=np.float64)
        lost[: packing.started] = 0.0
        return cls(lost, np.zeros(packing.batch), np.zeros((2, packing.batch)))

    def extended(self, batch: int) -> Shares:
        """The same shares with zeros for the further sequences of a batch."""
        missing = (0, batch - len(self.biases))
        return Shares(
            np.pad(self.initial_state, missing),
            np.pad(self.biases, missing),
            np.pad(self.stabilizers, ((0, 0), missing)),
            np.pad(self.padding, missing) if isinstance(self.padding, np.ndarray) else 0.0,
        )

    def __add__(self, other: Shares) -> Shares:
        return Shares(
            self.initial_state + other.initial_state,
            self.biases + other.biases,
            self.stabilizers + other.stabilizers,
            self.padding + other.padding,
        )


# Of a layer that passes on all that it gets, whatever the batch.
NOTHING_LOST = Shares.none(1)
