"""A corpus as it flows: windows, batches, the states carried between them, and threads."""

import threading
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Several
from contextlib import AbstractContextManager
from functools import cache, partial
from itertools import groupby
from typing import Any

import numpy as np
from msgspec import Struct, field
from threadpoolctl import ThreadpoolController

from lstm_lrp_cli.engine.backward import Chosen, Relevance, of_steps
from lstm_lrp_cli.engine.forward import Given, Runner, Trace, row_bytes
from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Reach, TooLarge, WrongSteps
from lstm_lrp_cli.engine.recurrent.inputs import TokenTable
from lstm_lrp_cli.engine.recurrent.states import NOTHING_CARRIED, States
from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.batching import Batch, batches
from lstm_lrp_cli.inputs.sequence import Part, Sequence, each_input
from lstm_lrp_cli.inputs.tokens import SKIPPED
from lstm_lrp_cli.model.layers import MODEL_INPUT
from lstm_lrp_cli.model.model import Input, Model
from .question import Question
from .refusals import check_finite, refuse_filled, too_large, wrong_steps
from .settings import unlike_settings


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


class _OneThread(AbstractContextManager[None]):
    """Holds BLAS to one thread from when a thread of this process enters it until that leaves it.

    Other threads that enter it meanwhile find it so. They do not take it over when the first one
    leaves: OpenBLAS may not let one thread give back what another one has taken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._owner is None:
                self._limits = _blas().limit(limits=1, user_api="blas")
                self._owner = threading.get_ident()
            self._depth += self._owner == threading.get_ident()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= self._owner == threading.get_ident()
            if self._owner is not None and not self._depth:
                self._limits.restore_original_limits()
                self._owner = None


_ONE_THREAD = _OneThread()


def one_blas_thread() -> AbstractContextManager[None]:
    """Hold NumPy's matrix products to one thread, as a context manager.

    The products of single steps are too small to be shared out. Threads that wait for each other
    gain little on an idle machine, and where several runs share it they take ten times as long.
    BLAS has the threads that it had before when the outermost one is left.
    """
    return _ONE_THREAD


@cache
def _blas() -> ThreadpoolController:
    """NumPy's BLAS; to look for it among all libraries that are loaded takes a millisecond."""
    import numpy  # noqa: F401  # it must be loaded to be found

    return ThreadpoolController().select(user_api="blas")


# A batch has so many sequences: enough for large products, few enough for the processor's cache.
# Where they are long or the model is large it has fewer, so that its arrays take about this much.
BATCH_SEQUENCES = 256
BATCH_BYTES = 64 * 2**20
# A window has so many steps, or fewer where its token table takes TABLE_BYTES already, or its
# results, which wait for each other to be written in order, take RESULT_BYTES.
WINDOW_STEPS = 2**18
TABLE_BYTES = 256 * 2**20
RESULT_BYTES = 256 * 2**20


def finite_relevance(
    batch: Batch, trace: Trace, chosen: Chosen, method: Method, reach: Reach
) -> Relevance:
    """What a method gives of a batch, which must be finite."""
    try:
        result = method.explain(trace, chosen, reach)
    except WrongSteps as wrong:
        raise unlike_settings(wrong, batch, method) from wrong
    except TooLarge as large:
        raise too_large(large, batch) from large
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is an error below
        first, *others = (
            packing.total(of_steps(values))
            for packing, values in zip(trace.packings, result.values, strict=True)
        )
        of_sequences = sum(others, start=first)
    what = f"relevance by {method.name} overflows"
    check_finite(of_sequences[:, np.newaxis], what, batch, trace.model)
    return result


def run_window(
    model: Model, window: Several[Sequence], carried: Carried, keep_gates: bool = False
) -> Iterator[tuple[Batch, Trace]]:
    """The forward passes of a window, batch by batch.

    Whoever goes through them should let go of each trace before the next is made: two of them take
    twice the memory, and more of the processor's cache.

    Parameters
    ----------
    carried : Carried
        What the windows before left, to which this one adds.
    """
    runner = Runner(model, window_tables(model, window), keep_gates)
    rows = batch_rows(model, keep_gates)
    for sequences in carried.abreast(window):
        for batch in batches(sequences, model, BATCH_SEQUENCES, rows):
            yield batch, run_batch(runner, batch, carried)


def carry_through(model: Model, sequences: Several[Sequence], carried: Carried) -> None:
    """Run sequences for nothing but the states that they leave to later ones."""
    if model.stateful is not None:
        for _ in run_window(model, sequences, carried):
            pass


def run_batch(runner: Runner, batch: Batch, carried: Carried) -> Trace:
    """The forward pass of a batch, whose scores must be finite."""
    model = runner.model
    if model.own_steps_alone:
        refuse_filled(batch)
    given = [
        Given(each.array, each.packing, read.embedding, each.padding, read.steps)
        for each, read in zip(batch.packed, model.inputs, strict=True)
    ]
    try:
        trace = runner.forward(given, carried.begun(batch))
    except WrongSteps as wrong:
        raise wrong_steps(wrong, batch, fills=not model.own_steps_alone) from wrong
    except TooLarge as large:
        raise too_large(large, batch) from large
    carried.keep(batch, trace)
    scores = trace.scores
    if model.by_step:  # one sum a sequence, which is as finite as its terms
        assert trace.steps is not None
        with np.errstate(over="ignore", invalid="ignore"):
            scores = trace.steps.total(np.abs(scores).sum(axis=1))[:, np.newaxis]
    check_finite(scores, "scores overflow", batch, model)
    return trace


def window_tables(model: Model, window: Several[Sequence]) -> list[TokenTable | None]:
    """For each input a table of all its tokens in a window, padding too; None where it has none."""
    if not window:
        return [None] * len(model.inputs)
    return [
        _table(model, number, read, parts)
        for number, (read, parts) in enumerate(each_input(window, model))
    ]


def _table(model: Model, number: int, read: Input, parts: Several[Part]) -> TokenTable | None:
    if read.embedding is None:
        return None
    ids = np.concatenate([part.inputs for part in parts])
    if read.padding is not None:
        ids = np.append(ids, int(read.padding.value))
    return TokenTable.of(model, MODEL_INPUT - number, read.embedding, ids[ids != SKIPPED])


def windows(
    model: Model,
    sequences: Iterable[Sequence],
    question: Question,
    methods: int = 1,
    weights: Callable[[int], int] | None = None,
) -> Iterator[list[Sequence]]:
    """Collect sequences to be explained together.

    Parameters
    ----------
    weights : callable or None
        From how many steps a sequence has to how many attention weights are told of it.
    """
    every_step = question.every_step(model)
    size = model.dtype.itemsize
    of_value = question.targets(model) * methods * size
    least = min(each.size for each in model.inputs)

    def held(own: int, values: int) -> int:
        return values * of_value * (own if every_step else 1)

    def held_with(of: Callable[[int], int], own: int, values: int) -> int:
        return held(own, values) + of(values // least) * size  # padding too

    return cut_windows(model, sequences, held if weights is None else partial(held_with, weights))


def cut_windows(
    model: Model, sequences: Iterable[Sequence], held: Callable[[int, int], int]
) -> Iterator[list[Sequence]]:
    """Collect sequences up to a number of steps, and of results that wait to be written in order.

    Where reading fails, yield what there is first.

    Parameters
    ----------
    held : callable
        From the steps of a sequence, and the values of those that it has with padding, to the
        bytes of its results.
    """
    extents = [_Extent.of(model, number) for number in range(len(model.inputs))]
    first, *others = extents
    window: list[Sequence] = []
    steps = results = 0
    full = False
    try:
        for sequence in sequences:
            window.append(sequence)
            own = len(sequence.inputs)
            length = max(own, first.least)
            values = length * first.size
            if first.most_tokens is not None:
                full = first.is_full(sequence)
            if others:
                for extent, part in zip(others, sequence.others, strict=True):
                    own += len(part.inputs)
                    longest = max(len(part.inputs), extent.least)
                    length += longest
                    values += longest * extent.size
                    full |= extent.is_full(part)
            steps += length
            results += held(own, values)
            if full or steps >= WINDOW_STEPS or results >= RESULT_BYTES:
                yield window
                window, steps, results, full = [], 0, 0, False
                for extent in extents:
                    extent.tokens.clear()
    except UnusableInput:
        if window:
            yield window
        raise
    if window:
        yield window


class _Extent(Struct, frozen=True):
    """How much of an input a window holds.

    Parameters
    ----------
    least : int
        The steps that a sequence has at least.
    size : int
        The values of a step.
    most_tokens : int or None
        How many different tokens a window has at most; None of any number.
    tokens : set of int
        Those that it has.
    """

    least: int
    size: int
    most_tokens: int | None
    tokens: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, model: Model, number: int) -> "_Extent":
        read = model.inputs[number]
        least = max(read.padding.length if read.padding else 0, 1)
        return cls(least, read.size, table_tokens(model, number))

    def is_full(self, part: Part) -> bool:
        """Whether there is room for no more tokens, with those of a sequence."""
        if self.most_tokens is None:
            return False
        self.tokens.update(part.inputs.tolist())
        return len(self.tokens) >= self.most_tokens


def table_tokens(model: Model, number: int) -> int | None:
    """How many different tokens an input's table has room for; None where it has room for all."""
    embedding = model.inputs[number].embedding
    if embedding is None:
        return None
    of_token = TokenTable.bytes_of_token(model, MODEL_INPUT - number)
    if of_token * len(embedding.weights) <= TABLE_BYTES:
        return None
    return TABLE_BYTES // of_token


def batch_rows(model: Model, keep_gates: bool = False) -> int:
    """How many steps make a batch, from the arrays that the engine keeps for each."""
    return max(BATCH_BYTES // row_bytes(model, keep_gates), 256)
