"""How benchmarks run lrp: every call into it but for the model's dataclasses is made here."""

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from workload import ids

import lstm_lrp_cli as lrp
from lstm_lrp_cli.engine.arrays import Packing
from lstm_lrp_cli.engine.forward import Given, Runner
from lstm_lrp_cli.explaining.explainer import detail_of
from lstm_lrp_cli.inputs.sequence import Sequence as Words
from lstm_lrp_cli.loading import convert as converting
from lstm_lrp_cli.loading.written import commented
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.model import Model


def sequences_of(sentences: Iterable[tuple[str, ...]]) -> list[Words]:
    """Sentences as lrp's readers give them."""
    return [Words(number, ids(words), words) for number, words in enumerate(sentences)]


def series_of(values: Floats) -> list[Words]:
    """Series as lrp's readers give them, from an array (sequences, steps, features)."""
    names = tuple(f"feature_{number}" for number in range(values.shape[2]))
    return [Words(number, own, features=names) for number, own in enumerate(values)]


def explain(
    model: Model, sequences: Sequence[Words], *, finest: bool = False, method: str = "lrp-all"
) -> Iterator[lrp.Explanation]:
    """The relevance of every token for the predicted class, with its ledger, in one thread."""
    yield from lrp.Explainer(model, method, by=detail_of(model, finest=finest))(sequences)


def forward(model: Model, values: Floats) -> Callable[[], object]:
    """The forward pass over series, shape (sequences, steps, features), in one thread."""
    packing = Packing(np.full(len(values), values.shape[1]))
    given = Given(packing.pack(values.reshape(-1, values.shape[2])), packing)
    return partial(Runner(model).forward, [given])


def explain_all(model: Model, sequences: Sequence[Words]) -> int:
    """Explain sequences, and keep only the number of their tokens."""
    return sum(len(each.relevance) for each in explain(model, sequences))


@contextmanager
def engine(model: Model, sequences: Sequence[Words], threads: int) -> Iterator[Callable[[], int]]:
    """What explains sequences in so many threads, from ids to relevance and ledgers.

    Several threads are as many processes, which hold the model and their sequences before the
    clock starts. Each explains every so-manieth sequence.
    """
    if threads == 1:
        yield lambda: explain_all(model, sequences)
        return
    shares = [sequences[worker::threads] for worker in range(threads)]
    with multiprocessing.get_context("spawn").Pool(
        threads, initializer=_hold, initargs=(model, shares)
    ) as pool:
        yield lambda: sum(pool.map(_explain_share, range(threads), chunksize=1))


_held: list[tuple[Model, list[Sequence[Words]]]] = []


def _hold(model: Model, shares: list[Sequence[Words]]) -> None:
    _held.append((model, shares))


def _explain_share(worker: int) -> int:
    [(model, shares)] = _held
    return explain_all(model, shares[worker])


def command(model: Path, sentences: Path, output: Path, dtype: str, jobs: int) -> list[str]:
    """The command line that explains a file of sentences."""
    options = ["--dtype", dtype, "--jobs", str(jobs), "-o", str(output)]
    return [sys.executable, "-m", "lstm_lrp_cli", "explain", str(model), str(sentences), *options]


def save(model: Model, path: Path) -> None:
    """Write a model as .npz, with its mapping, and its vocabulary if it has one."""
    converted = converting.convert(model, path.stem)
    for name, words in converted.vocabularies.items():
        path.with_name(name).write_text(converting.vocabulary_text(words), encoding="utf-8")
    mapping = commented(path.name, converted.document, {})
    path.with_suffix(".yaml").write_text(mapping, encoding="utf-8")
    with path.open("wb") as file:
        converting.WRITERS["npz"](file, converting.narrowed(converted.arrays))
