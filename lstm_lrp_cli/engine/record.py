"""What every layer leaves of its forward pass."""

from collections.abc import Sequence
from typing import Protocol

from lstm_lrp_cli.engine.rules import LrpRule
from lstm_lrp_cli.engine.shares import Shares
from lstm_lrp_cli.model.arrays import Floats


class Record(Protocol):
    """The forward pass of one layer over one batch, from which scores can be explained.

    A layer's values are of shape (rows, units) while the model still works step by step, and
    (batch, units) once a sequence has become one vector.
    """

    @property
    def outputs(self) -> Floats: ...

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
        ...

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
        ...
