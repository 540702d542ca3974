"""What is told of methods beside curves: agreement, the most effective step, and sensitivity."""

from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.engine.forward import Given, Runner, Trace
from lstm_lrp_cli.engine.methods.occlusion import Occlusion
from lstm_lrp_cli.model import Booleans, Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.statistics.agreement import LEAST_STEPS, correlations
from . import Contestant, Experiment, ExplainedBatch
from .perturbation import ranks_from_most


class Agreement:
    """The mean rank correlation of each pair of methods, over the sequences seen so far.

    Ranks are those of signed relevance. Where one of two methods has no signs, of what the other
    gives the sizes are ranked.

    Parameters
    ----------
    signed : ndarray of bool, shape (methods,)
        Whether a method's relevance has signs.
    """

    def __init__(self, signed: Booleans) -> None:
        self._both_signed = signed[:, np.newaxis] & signed
        self._sums = np.zeros(self._both_signed.shape)
        self._counts = np.zeros(self._both_signed.shape, dtype=np.intp)

    def add(self, relevance: Floats, sequence: Integers) -> None:
        """Take in the relevance of some sequences.

        Parameters
        ----------
        relevance : ndarray, shape (methods, steps)
        sequence : ndarray of int, shape (steps,)
            The sequence of each, in ascending order.
        """
        long = np.bincount(sequence) >= LEAST_STEPS
        found = np.where(
            self._both_signed[:, :, np.newaxis],
            correlations(relevance, sequence),
            correlations(np.abs(relevance), sequence),
        )
        there = ~np.isnan(found) & long
        self._sums += np.where(there, found, 0.0).sum(axis=2)
        self._counts += there.sum(axis=2)

    def mean(self) -> Floats:
        """Shape (methods, methods); NaN where no sequence had one."""
        nothing = np.full_like(self._sums, np.nan)
        np.divide(self._sums, self._counts, out=nothing, where=self._counts > 0)
        return nothing


class Effects:
    """How often a method's most relevant step is the one that the score changes most without."""

    def __init__(self, contestants: tuple[Contestant, ...]) -> None:
        self._contestants = contestants
        self._hits = np.zeros(len(contestants))
        self._sequences = 0

    def add(self, seen: ExplainedBatch) -> None:
        """Take in a batch. Where relevance has no signs, neither has the change of the score."""
        sequence = seen.sequence
        effects = seen.told(seen.explain(Occlusion()))
        for place, contestant in enumerate(self._contestants):
            signed = contestant.signed
            largest = ranks_from_most(effects if signed else np.abs(effects), sequence) == 0
            hits = [
                np.count_nonzero(largest & (ranks_from_most(relevance, sequence) == 0))
                for relevance in seen.relevance[place]
            ]
            self._hits[place] += np.mean(hits)
        self._sequences += len(seen.batch.sequences)

    def shares(self) -> list[float]:
        """The share of sequences, of each contestant; of several seeds their mean."""
        shares: list[float] = (self._hits / max(self._sequences, 1)).tolist()
        return shares


class Sensitivity:
    """How much the relevance of each contestant changes at most over all draws.

    The maximum sensitivity of Yeh et al. 2019, "On the (In)fidelity and Sensitivity of
    Explanations", relative to the relevance itself. Of the random control it is that of its first
    seed.

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
                changed = seen.told(seen.explain(contestant.methods[0], trace))
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
    trace = seen.trace
    given = [_moved_input(seen, experiment, draw, number) for number in range(len(trace.given))]
    runner = Runner(reading_numbers(trace.model), keep_gates=keep_gates)
    return runner.forward(given, trace.begun)


def _moved_input(seen: ExplainedBatch, experiment: Experiment, draw: int, number: int) -> Given:
    """What one input is given, moved relative to the size of its own numbers."""
    given, packed = seen.trace.given[number], seen.batch.packed[number]
    rows, sequence, embedded = packed.own_rows, packed.own_sequence, np.array(given.embedded)
    values = embedded[rows]
    counts = np.bincount(sequence, minlength=packed.packing.batch)
    squares = np.bincount(sequence, np.square(values).mean(axis=1), packed.packing.batch)
    sizes = np.sqrt(squares / np.maximum(counts, 1))
    further = (number,) if number else ()
    noise = np.concatenate(
        [
            np.random.default_rng((experiment.seed, draw, each.number, *further)).uniform(
                -1.0, 1.0, (count, values.shape[1])
            )
            for each, count in zip(seen.batch.sequences, counts.tolist(), strict=True)
        ]
    )
    embedded[rows] += (experiment.radius * sizes[sequence])[:, np.newaxis] * noise
    return replace(given, array=embedded, embedding=None, ids=given.tokens)


def reading_numbers(model: Model) -> Model:
    """The model without its embeddings, which reads what these give."""
    inputs = []
    for read in model.inputs:
        embedding, padding = read.embedding, read.padding
        if embedding is not None and padding is not None:
            # A method that pads anew, as omission does, fills a step with it, feature by feature.
            filling: Any = embedding.weights[int(padding.value)]
            padding = replace(padding, value=filling)
        inputs.append(replace(read, embedding=None, padding=padding))
    return replace(model, inputs=tuple(inputs))


def norms(values: Floats, sequence: Integers) -> Floats:
    """The Euclidean norm of the values of each sequence, all of which have some."""
    found: Floats = np.sqrt(np.bincount(sequence, np.square(values)))
    return found
