"""How much relevance changes as the input hardly does: the maximum sensitivity of Yeh et al. 2019,
"On the (In)fidelity and Sensitivity of Explanations", relative to the relevance itself.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lstm_lrp_cli.engine.forward import Runner, Trace
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.model import Model
from .experiment import Contestant, Experiment, ExplainedBatch


class Sensitivity:
    """How much the relevance of each contestant changes at most over all draws.

    Of the random control it is that of its first seed.

    Parameters
    ----------
    contestants : tuple of Contestant
    experiment : Experiment
    keep_gates : bool
        Whether a contestant needs the gates of the forward pass.
    """

    def __init__(
        self, contestants: tuple[Contestant, ...], experiment: Experiment, keep_gates: bool
    ) -> None:
        self._contestants = contestants
        self._experiment = experiment
        self._keep_gates = keep_gates
        self._changes = np.zeros(len(contestants))
        self._sequences = np.zeros(len(contestants), dtype=np.intp)

    def add(self, seen: ExplainedBatch, done: Callable[[], None]) -> None:
        """Take in a batch; tell of each method and draw that is done."""
        sequence, first = seen.sequence, seen.first
        worst = np.zeros((len(first), len(seen.batch.sequences)))
        for draw in range(self._experiment.draws):
            trace = moved(seen, self._experiment, draw, self._keep_gates)
            for place, contestant in enumerate(self._contestants):
                changed = seen.tell(contestant.methods[0], trace)
                change = norms(changed - first[place], sequence)
                np.maximum(worst[place], change, out=worst[place])
                done()
        for place, relevance in enumerate(first):
            own = norms(relevance, sequence)
            there = own > 0
            self._changes[place] += (worst[place][there] / own[there]).sum()
            self._sequences[place] += np.count_nonzero(there)

    def means(self) -> list[float | None]:
        """The mean over sequences with relevance, of each contestant; None where it is unknown."""
        if not self._experiment.draws:
            return [None] * len(self._contestants)
        return [
            change / count if count else None
            for change, count in zip(self._changes.tolist(), self._sequences.tolist(), strict=True)
        ]


def moved(seen: ExplainedBatch, experiment: Experiment, draw: int, keep_gates: bool) -> Trace:
    """The forward pass over a batch whose (embedded) numbers are moved by a little, each alone.

    Each by a number that is drawn evenly from -1 to 1, times the radius, times the root mean square
    of its sequence's numbers. A sequence is moved alike in whatever company.
    """
    trace, rows, sequence = seen.trace, seen.batch.own_rows, seen.sequence
    embedded = np.array(trace.embedded)
    values = embedded[rows]
    counts = np.bincount(sequence)
    sizes = np.sqrt(np.bincount(sequence, np.square(values).mean(axis=1)) / counts)
    noise = np.concatenate(
        [
            np.random.default_rng((experiment.seed, draw, each.number)).uniform(
                -1.0, 1.0, (count, values.shape[1])
            )
            for each, count in zip(seen.batch.sequences, counts.tolist(), strict=True)
        ]
    )
    embedded[rows] += (experiment.radius * sizes[sequence])[:, np.newaxis] * noise
    runner = Runner(reading_numbers(trace.model), keep_gates=keep_gates)
    return runner.forward(embedded, trace.packing, trace.padding, trace.begun)


def reading_numbers(model: Model) -> Model:
    """The model without its embedding, which reads what that gives."""
    embedding, padding = model.embedding, model.padding
    if embedding is not None and padding is not None:
        # A method that pads anew, as omission does, fills a step with it, feature by feature.
        filling: Any = embedding.weights[int(padding.value)]
        padding = replace(padding, value=filling)
    return replace(model, embedding=None, padding=padding)


def norms(values: Floats, sequence: Integers) -> Floats:
    """The Euclidean norm of the values of each sequence, all of which have some."""
    found: Floats = np.sqrt(np.bincount(sequence, np.square(values)))
    return found
