"""States carried from sequence to sequence, as stateful models have it."""

from collections.abc import Iterator
from collections.abc import Sequence as Several
from itertools import groupby

import numpy as np

from lstm_lrp_cli.engine.forward import Trace
from lstm_lrp_cli.engine.states import NOTHING_CARRIED, States
from lstm_lrp_cli.inputs.batching import Batch
from lstm_lrp_cli.inputs.sequence import Sequence
from lstm_lrp_cli.model.model import Model


class Carried:
    """The states in which a model's last sequences ended, for those that begin in them.

    Each run over a corpus has one of its own, from the first sequence on, and gives it all
    sequences in their order. A stateless model's is of no effect.

    Parameters
    ----------
    model : Model
    abreast : int or None
        How many sequences may run side by side for another reason than the model's own.
    """

    def __init__(self, model: Model, abreast: int | None = None) -> None:
        limits = [limit for limit in (model.stateful, abreast) if limit is not None]
        self._most = min(limits, default=None)
        self._slots = model.stateful
        self._initial = States.initial(model)
        self._ended: dict[int, States] = {}

    @property
    def is_needed(self) -> bool:
        """Whether a sequence may begin where another one ended."""
        return self._slots is not None

    def abreast(self, sequences: Several[Sequence]) -> Iterator[Several[Sequence]]:
        """Groups of sequences of which none begins where another one ends, in order."""
        if self._most is None:
            yield sequences
            return
        most = self._most
        for _, group in groupby(sequences, lambda sequence: sequence.number // most):
            yield list(group)

    def begun(self, batch: Batch) -> States:
        """The states with which the sequences of a batch begin."""
        if self._slots is None:
            return NOTHING_CARRIED
        slots = [sequence.number % self._slots for sequence in batch.sequences]
        return States.joined([self._ended.get(slot, self._initial) for slot in slots])

    def keep(self, batch: Batch, trace: Trace) -> None:
        """Keep the states in which the sequences of a batch ended."""
        if self._slots is None:
            return
        ended = trace.ended
        for place, sequence in enumerate(batch.sequences):
            self._ended[sequence.number % self._slots] = ended.of(np.array([place]))
