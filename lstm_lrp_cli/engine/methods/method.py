"""What every method that explains has in common."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.engine.backward import Chosen, Relevance
from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.records import Ledger, Reach


class Promise(Struct, frozen=True):
    """What a method's ledgers must come to: that its shares are the score.

    Parameters
    ----------
    word : str
        What relevance then is, such as "conserved".
    shares : tuple of str
        The names of the ledgers' shares.
    tolerances : dict
        By precision, what may be left, relative to the ledger's scale.
    mends : dict
        By precision, what may help where more is left.
    """

    word: str
    shares: tuple[str, ...]
    tolerances: dict[np.dtype[Any], float]
    mends: dict[np.dtype[Any], str]

    @property
    def nothing(self) -> Ledger:
        """The ledger of no score."""
        size = 0.0 if "stabilizers" in self.shares else None
        return Ledger(0.0, dict.fromkeys(self.shares, 0.0), size)


class Method(ABC):
    """A way to tell how much each input has to do with a score.

    Attributes
    ----------
    name : str
        As the command line has it.
    promise : Promise or None
        What the sum of its relevance must come to; None where nothing is promised.
    signed : bool
        Whether its relevance tells what speaks for a score from what speaks against it.
    in_unit_of_score : bool
        Whether one of its relevance is as much as one of the score.
    keeps_gates : bool
        Whether it needs what the forward pass computes of gates.
    """

    __slots__ = ()
    name: str
    promise: Promise | None = None
    signed = True
    in_unit_of_score = True
    keeps_gates = False

    @property
    def runs_often(self) -> bool:
        """Whether it runs the model many times for each sequence."""
        return False

    @property
    def whole_steps(self) -> bool:
        """Whether it can tell only of whole steps, and not of their features."""
        return False

    @property
    def settings(self) -> dict[str, Any]:
        """What it was set to, by name, as the report tells it."""
        return {}

    @abstractmethod
    def explain(self, trace: Trace, chosen: Chosen, reach: Reach) -> Relevance:
        """Explain one score of each sequence of a batch.

        Parameters
        ----------
        trace : Trace
            The forward pass.
        chosen : Chosen
        reach : {"features", "steps"}
            Whether relevance is told of every dimension, or of steps, which may cost less.
        """
