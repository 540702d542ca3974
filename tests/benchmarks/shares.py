"""Where the time of a run goes, each part beside what this machine can do at most.

Each part of the engine is measured by itself: the same operations on arrays of the same shapes, for
every step of every batch of the corpus. What the engine takes beyond their sum is the `rest`:
Python, operations on less than whole arrays, and memory that is fetched anew. Where n sequences
run at a step, with hidden size d and embedding e, and a window has u different tokens, each
direction needs

    product, forward     8 n d d  flops  (n, d) times (3, d, d) and times (d, d), every step
    product, backward    2 n d d  flops  (n, d) times (d, d), every step
    product, table       8 u e d  flops  (u, e) times (4, e, d), every window, with its biases
    exp                  3 n d    numbers, the gates
    tanh                 2 n d    numbers, the candidate and the cell state
    look-up              10 n d   numbers read and written: rows of tables, the candidate's twice
    element by element   3 ADDING n d and 3 DIVIDING n d numbers read and written
    sums of rows         SUMMING n d numbers read

The limits are the rates of one large product, of exp and tanh on an array that the cache holds, and
of a multiplication of such an array by itself into another. The same of arrays that no cache holds
is measured as well, since arrays larger than the cache cannot be faster. Reading and writing are
lrp's own, beside as many bytes read or written at once.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import contenders
import numpy as np
import sentences
from settings import Settings, Setup
from throughput import TOKENS
from timing import Contender, in_turn, seconds_of, spread
from weights import make_model

from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.layers import Lstm
from lstm_lrp_cli.model.model import Model

# What the engine's two loops in engine/cell.py do with arrays of (n, d): operations as fast as an
# addition, divisions, and sums of rows, which are products with a vector. Counted there, for
# relevance of whole steps and a bias factor of 0; a product with a gate is a division.
ADDING, DIVIDING, SUMMING = 24, 5, 6
# Of the corpus of `throughput`.
SHARE = 1 / 4
# Numbers: three such arrays are in the cache of one core, or in that of none.
CACHED, UNCACHED = 2**14, 2**24
LARGE_PRODUCT = 2048
FILE_BYTES = 2**25
MOMENT = 0.1

# What is done at a step: how many sequences run, and the places of their tokens in the table.
Step = Callable[[int, Integers], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the work.

    Parameters
    ----------
    name : str
    run : callable
    work : float
        What one run does: flops, numbers or bytes.
    limit : str
        Which of the machine's limits it runs into.
    """

    name: str
    run: Callable[[], object]
    work: float
    limit: str


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each size, in the first precision and one thread."""
    first = replace(
        settings, directions=settings.directions[:1], dtypes=settings.dtypes[:1], threads=(1,)
    )
    for setup in first.setups():
        with contenders.one_blas_thread(), tempfile.TemporaryDirectory() as folder:
            yield _row(setup, settings, Path(folder))


def _row(setup: Setup, settings: Settings, folder: Path) -> dict[str, Any]:
    model = make_model(setup.size, setup.dtype)
    texts = sentences.cut(int(settings.tokens(TOKENS, setup) * SHARE))
    tokens = sum(map(len, texts))
    sequences = contenders.sequences_of(texts)
    of_engine = Shapes(model, list(contenders.windows(model, sequences))).parts()
    parts = [*of_engine, *_reading_and_writing(model, tokens, folder)]
    timed = [
        Contender("engine", tokens, lambda: contenders.explain_all(model, sequences)),
        *(Contender(part.name, tokens, part.run) for part in parts),
    ]
    microseconds = {
        name: spread([1e6 * taken / tokens for taken in seconds])
        for name, seconds in in_turn(timed, settings.repeats).items()
    }
    medians = {name: measured["median"] for name, measured in microseconds.items()}
    most = limits(setup.dtype, folder)
    return {
        **setup.as_row(),
        "tokens": tokens,
        "microseconds_per_token": microseconds,
        "rest": medians["engine"] - sum(medians[part.name] for part in of_engine),
        "limits": most,
        "parts": [
            {
                "part": part.name,
                "limit": part.limit,
                "of_engine": medians[part.name] / medians["engine"],
                "of_limit": 1e6 * part.work / tokens / medians[part.name] / most[part.limit],
            }
            for part in parts
        ],
    }


class Shapes:
    """The operations of the engine's steps, on arrays as large as its own.

    Parameters
    ----------
    model : Model
        An LSTM over an embedding.
    windows : list of contenders.Window
    """

    def __init__(self, model: Model, windows: list[contenders.Window]) -> None:
        lstm = model.nodes[0].layer
        assert isinstance(lstm, Lstm)
        assert model.embedding is not None
        cell = lstm.cells[0]
        self.directions = len(lstm.cells)
        self.hidden, self.inputs = cell.hidden_size, cell.input_size
        self.windows = windows
        self.batches = [batch for window in windows for batch in window.batches]
        self.itemsize = model.dtype.itemsize

        def filled(*shape: int) -> Floats:
            return contenders.filled(shape, model.dtype)

        n = max(int(batch.active[0]) for batch in self.batches)
        tokens = max(len(window.tokens) for window in windows)
        self.h, self.a, self.b, self.c = (filled(n, self.hidden) for _ in range(4))
        self.gates, self.activations = (filled(3, n, self.hidden) for _ in range(2))
        self.ones, self.sums = filled(self.hidden), filled(n)
        self.embeddings = model.embedding.weights
        self.input_gates = filled(3, self.inputs, self.hidden)
        self.input_candidate = filled(self.inputs, self.hidden)
        self.recurrent_gates = filled(3, self.hidden, self.hidden)
        self.recurrent_candidate = filled(self.hidden, self.hidden)
        self.gate_tables = filled(3, tokens, self.hidden)
        self.candidate_tables = filled(2, tokens, self.hidden)
        self.bias = filled(self.hidden)

    def parts(self) -> list[Part]:
        """The parts, with the work of all steps of all batches."""
        d, e, size = self.hidden, self.inputs, self.itemsize
        steps = self.directions * sum(len(batch.places) for batch in self.batches)
        different = self.directions * sum(len(window.tokens) for window in self.windows)
        elements = 3 * (ADDING + DIVIDING) * steps * d * size
        return [
            self._part("product, forward", self._forward, 8 * steps * d * d, "flops"),
            self._part("product, backward", self._backward, 2 * steps * d * d, "flops"),
            Part("product, table", self._table, 8 * different * e * d, "flops"),
            self._part("exp", self._exp, 3 * steps * d, "exp"),
            self._part("tanh", self._tanh, 2 * steps * d, "tanh"),
            self._part("look-up", self._look_up, 10 * steps * d * size, "cache"),
            self._part("element by element", self._elements, elements, "cache"),
            self._part("sums of rows", self._sums, SUMMING * steps * d * size, "cache"),
        ]

    def _part(self, name: str, step: Step, work: float, limit: str) -> Part:
        """A part that is done for every step of every batch, in each direction."""

        def run() -> None:
            for batch in self.batches * self.directions:
                start = 0
                for n in batch.active.tolist():
                    step(n, batch.places[start : start + n])
                    start += n

        return Part(name, run, work, limit)

    def _forward(self, n: int, places: Integers) -> None:
        np.matmul(self.h[:n], self.recurrent_gates, out=self.gates[:, :n])
        np.matmul(self.h[:n], self.recurrent_candidate, out=self.c[:n])

    def _backward(self, n: int, places: Integers) -> None:
        np.matmul(self.h[:n], self.recurrent_candidate, out=self.c[:n])

    def _table(self) -> None:
        for window in self.windows * self.directions:
            embedded, u = self.embeddings[window.tokens], len(window.tokens)
            gates, (candidate, products) = self.gate_tables[:, :u], self.candidate_tables[:, :u]
            np.matmul(embedded, self.input_gates, out=gates)
            np.add(gates, self.bias, out=gates)
            np.matmul(embedded, self.input_candidate, out=products)
            np.add(products, self.bias, out=candidate)

    def _exp(self, n: int, places: Integers) -> None:
        np.exp(self.gates[:, :n], out=self.activations[:, :n])

    def _tanh(self, n: int, places: Integers) -> None:
        for _ in range(2):
            np.tanh(self.a[:n], out=self.c[:n])

    def _look_up(self, n: int, places: Integers) -> None:
        for table, found in zip(self.gate_tables, self.activations, strict=True):
            table.take(places, axis=0, out=found[:n], mode="clip")
        for table in self.candidate_tables:
            table.take(places, axis=0, out=self.c[:n], mode="clip")

    def _elements(self, n: int, places: Integers) -> None:
        a, b, c = self.a[:n], self.b[:n], self.c[:n]
        for _ in range(ADDING):
            np.add(a, b, out=c)
        for _ in range(DIVIDING):
            np.divide(a, b, out=c)

    def _sums(self, n: int, places: Integers) -> None:
        for _ in range(SUMMING):
            np.matmul(self.a[:n], self.ones, out=self.sums[:n])


def _reading_and_writing(model: Model, tokens: int, folder: Path) -> list[Part]:
    """Reading the corpus from a file, and writing its explanations to one."""
    corpus, output = folder / "corpus.txt", folder / "out.tsv"
    sentences.write_corpus(corpus, tokens)
    explanations = list(contenders.explain(model, contenders.read(corpus, model)))

    def write() -> None:
        with output.open("w", encoding="utf-8", newline="") as file:
            contenders.write(explanations, model, file)

    write()
    return [
        Part("reading", lambda: contenders.read(corpus, model), corpus.stat().st_size, "read"),
        Part("writing", write, output.stat().st_size, "write"),
    ]


def limits(dtype: str, folder: Path) -> dict[str, float]:
    """What the machine does at most in a second, by what is counted."""

    def filled(*shape: int) -> Floats:
        return contenders.filled(shape, np.dtype(dtype))

    square, product = (filled(LARGE_PRODUCT, LARGE_PRODUCT) for _ in range(2))
    cached, of_cached = filled(CACHED), filled(CACHED)
    uncached, of_uncached = filled(UNCACHED), filled(UNCACHED)
    file, data = folder / "limit", bytes(FILE_BYTES)
    return {
        "flops": _rate(2 * LARGE_PRODUCT**3, lambda: np.matmul(square, square, out=product)),
        "exp": _rate(CACHED, lambda: np.exp(cached, out=of_cached)),
        "tanh": _rate(CACHED, lambda: np.tanh(cached, out=of_cached)),
        "cache": _rate(3 * cached.nbytes, lambda: np.multiply(cached, cached, out=of_cached)),
        "memory": _rate(
            3 * uncached.nbytes, lambda: np.multiply(uncached, uncached, out=of_uncached)
        ),
        "write": _rate(FILE_BYTES, lambda: file.write_bytes(data)),
        "read": _rate(FILE_BYTES, file.read_bytes),
    }


def _rate(work: float, run: Callable[[], object]) -> float:
    """How much of the work is done in a second, the best of some runs of a moment each."""
    times = max(int(MOMENT / seconds_of(run)), 1)

    def repeated() -> None:
        for _ in range(times):
            run()

    return work * times / min(seconds_of(repeated) for _ in range(3))
