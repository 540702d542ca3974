"""What the engine does, beside what it could do instead: the same work, done both ways in turn.

Most are single operations on arrays as large as those of a step, in float32: n sequences, hidden
size d. The last two are the engine as a whole. A ratio over 1 says how many times as long the
alternative takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import contenders
import numpy as np
import sentences
from settings import Settings
from timing import Contender, in_turn, spread
from weights import Size, make_model

from lstm_lrp_cli.model.arrays import Floats

DTYPE = np.dtype("float32")
SEQUENCES = 256
# So often is an operation repeated in one run.
TIMES = 200
# Tokens that the whole engine is given, in one direction, by the first and by the last size.
TOKENS = 400_000, 40_000
VOCABULARY = 10_000

Run = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Choice:
    """Two ways to the same result, each as one run."""

    name: str
    chosen: Run
    alternative: str
    other: Run


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each choice and hidden size."""
    for embedding, hidden in settings.sizes:
        choices = list(_of_operations(embedding, hidden))
        with contenders.one_blas_thread():
            for choice in choices:
                yield _row(choice, hidden, settings.repeats)
    with contenders.one_blas_thread(), _of_processes(settings) as processes:
        yield _row(processes, settings.sizes[0][1], settings.repeats)
        yield _row(_of_memory(settings), settings.sizes[-1][1], settings.repeats)


def _row(choice: Choice, hidden: int, repeats: int) -> dict[str, Any]:
    timed = [Contender("chosen", 1, choice.chosen), Contender("other", 1, choice.other)]
    seconds = in_turn(timed, repeats)
    ratios = [b / a for a, b in zip(seconds["chosen"], seconds["other"], strict=True)]
    return {
        "choice": choice.name,
        "alternative": choice.alternative,
        "hidden": hidden,
        "seconds": seconds,
        "ratio": spread(ratios),
    }


def _of_operations(embedding: int, hidden: int) -> Iterator[Choice]:
    n, d = SEQUENCES, hidden

    def filled(*shape: int) -> Floats:
        return contenders.filled(shape, DTYPE)

    a, b, c = (filled(n, d) for _ in range(3))
    shifted = [_shifted(array) for array in (a, b, c)]
    yield _operations(
        "arrays aligned to 64 bytes",
        lambda: np.multiply(a, b, out=c),
        "to 16 bytes, as NumPy gives them",
        lambda: np.multiply(shifted[0], shifted[1], out=shifted[2]),
    )
    gates, weights = filled(4, n, d), filled(4, d, d)
    by_row, joined = filled(n, 4 * d), filled(d, 4 * d)
    middle = by_row[:, d : 2 * d]
    yield _operations(
        "a gate as an array of its own, multiplied",
        lambda: np.multiply(gates[1], b, out=c),
        "as columns of one array of all gates",
        lambda: np.multiply(middle, b, out=c),
    )
    yield _operations(
        "a product for each gate",
        lambda: np.matmul(a, weights, out=gates),
        "one product for all gates",
        lambda: np.matmul(a, joined, out=by_row),
    )
    upright, turned = filled(4 * d, d), filled(d, n)
    of_turned = filled(4 * d, n)
    yield _operations(
        "a product for each gate, sequences as rows",
        lambda: np.matmul(a, weights, out=gates),
        "one product, sequences as columns",
        lambda: np.matmul(upright, turned, out=of_turned),
    )
    z, bits, sign = a - b, c.view(np.uint32), np.uint32(1 << 31)
    eps = np.float32(1e-3)

    def with_sign_bit() -> None:
        np.bitwise_and(z.view(np.uint32), sign, out=bits)
        np.bitwise_or(bits, eps.view(np.uint32), out=bits)

    yield _operations(
        "eps with a sign bit", with_sign_bit, "np.copysign", lambda: np.copysign(eps, z, out=c)
    )
    yield _operations(
        "eps with a sign bit", with_sign_bit, "np.where", lambda: np.where(z >= 0, eps, -eps)
    )
    ones, sums = np.ones(d, DTYPE), np.empty(n, DTYPE)

    def by_product() -> None:
        np.multiply(a, b, out=c)
        np.matmul(c, ones, out=sums)

    yield _operations(
        "dot products of rows by a product with ones",
        by_product,
        "np.einsum",
        lambda: np.einsum("nd,nd->n", a, b, out=sums),
    )

    def by_exp() -> None:
        np.exp(z, out=c)
        np.add(c, np.float32(1.0), out=c)
        np.divide(a, c, out=c)

    def by_tanh() -> None:
        np.tanh(z, out=c)
        np.multiply(c, np.float32(0.5), out=c)
        np.add(c, np.float32(0.5), out=c)
        np.multiply(a, c, out=c)

    yield _operations(
        "a gate's sigmoid and its product by exp and a division", by_exp, "by tanh", by_tanh
    )
    places = np.random.default_rng(0).zipf(1.3, n).clip(1, VOCABULARY) - 1
    table, embedded, w = filled(VOCABULARY, d), filled(n, embedding), filled(embedding, d)
    yield _operations(
        "W x looked up in a table",
        lambda: table.take(places, axis=0, out=c, mode="clip"),
        "a product with W",
        lambda: np.matmul(embedded, w, out=c),
    )


def _operations(name: str, chosen: Run, alternative: str, other: Run) -> Choice:
    """A choice between operations that take microseconds."""

    def often(run: Run) -> Run:
        def repeated() -> None:
            for _ in range(TIMES):
                run()

        return repeated

    return Choice(name, often(chosen), alternative, often(other))


def _shifted(array: Floats) -> Floats:
    """The same numbers, 16 bytes behind a multiple of 64."""
    shift = 16 // array.itemsize
    longer = contenders.filled((array.size + shift,), array.dtype)
    moved = longer[shift:].reshape(array.shape)
    moved[...] = array
    return moved


@contextmanager
def _of_processes(settings: Settings) -> Iterator[Choice]:
    """On the first size, the fastest, where Python has most to do beside NumPy."""
    model = make_model(Size(*settings.sizes[0]), DTYPE.name)
    sequences = contenders.sequences_of(sentences.cut(int(TOKENS[0] * settings.share)))
    halves = [sequences[::2], sequences[1::2]]

    def in_two_threads() -> None:
        threads = [
            threading.Thread(target=contenders.explain_all, args=(model, half)) for half in halves
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with contenders.engine(model, sequences, 2) as in_two_processes:
        yield Choice("two processes", in_two_processes, "two threads", in_two_threads)


def _of_memory(settings: Settings) -> Choice:
    """On the last size, whose arrays are the largest."""
    model = make_model(Size(*settings.sizes[-1]), DTYPE.name)
    sequences = contenders.sequences_of(sentences.cut(int(TOKENS[1] * settings.share) + 1))

    def run() -> None:
        contenders.explain_all(model, sequences)

    def anew() -> None:
        with mock.patch("lstm_lrp_cli.engine.arrays.KEPT_FROM", float("inf")):
            run()

    return Choice("memory of batches used again", run, "asked for anew", anew)
