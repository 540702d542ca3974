"""How benchmarks run lrp: every call into it but for the model's dataclasses is made here."""

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from sentences import ids

from lstm_lrp_cli.engine.arrays import aligned_empty
from lstm_lrp_cli.engine.forward import Runner
from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.engine.records import Reach
from lstm_lrp_cli.explaining import corpus
from lstm_lrp_cli.explaining.carried import Carried
from lstm_lrp_cli.explaining.explanation import Explanation
from lstm_lrp_cli.explaining.question import Question, choices
from lstm_lrp_cli.loading import convert as converting
from lstm_lrp_cli.loading.mapping.write import commented
from lstm_lrp_cli.model.arrays import Floats, Integers
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.outputs.registry import OUTPUTS
from lstm_lrp_cli.outputs.writer import Layout
from lstm_lrp_cli.running.processes import one_blas_thread
from lstm_lrp_cli.sequences.batching import Batch, batches, make_batch
from lstm_lrp_cli.sequences.read import Source, read_sequences
from lstm_lrp_cli.sequences.sequence import Sequence as Words

LRP_ALL = METHODS["lrp-all"](Settings())
QUESTION = Question("predicted")


def sequences_of(sentences: Iterable[tuple[str, ...]]) -> list[Words]:
    """Sentences as lrp's readers give them."""
    return [Words(number, ids(words), words) for number, words in enumerate(sentences)]


def series_of(values: Floats) -> list[Words]:
    """Series as lrp's readers give them, from an array (sequences, steps, features)."""
    names = tuple(f"feature_{number}" for number in range(values.shape[2]))
    return [Words(number, own, features=names) for number, own in enumerate(values)]


def explain(
    model: Model, sequences: Sequence[Words], reach: Reach = "steps"
) -> Iterator[Explanation]:
    """The relevance of every token for the predicted class, with its ledger, in one thread."""
    with one_blas_thread():
        for block in corpus.explain_corpus(model, sequences, [LRP_ALL], QUESTION, reach):
            yield from block


def batch_of(model: Model, sentences: Iterable[tuple[str, ...]]) -> Batch:
    """Sentences as one batch of the engine."""
    return make_batch(sequences_of(sentences), model)


def explain_batch(method: str, model: Model, batch: Batch) -> Floats:
    """What a method finds of every token for the predicted class, shape (rows,): from ids on."""
    chosen = METHODS[method](Settings())
    trace = corpus.run_batch(Runner(model, keep_gates=chosen.keeps_gates), batch, Carried(model))
    [choice] = choices(QUESTION, trace, batch)
    return chosen.explain(trace, choice.chosen, "steps").values


def filled(shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> Floats:
    """An array that lies in memory as the engine's own do, of numbers between 0 and 1."""
    array = aligned_empty(shape, dtype)
    array[...] = np.random.default_rng(0).uniform(0.1, 0.9, shape)
    return array


def relevance_of_tokens(explanation: Explanation) -> Floats:
    return explanation.relevance_of_steps


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


def explain_all(model: Model, sequences: Sequence[Words]) -> int:
    """Explain sequences, and keep only the number of their tokens."""
    return sum(len(each.relevance) for each in explain(model, sequences))


def command(model: Path, sentences: Path, output: Path, dtype: str, jobs: int) -> list[str]:
    """The command line that explains a file of sentences."""
    options = ["--dtype", dtype, "--jobs", str(jobs), "-o", str(output)]
    return [sys.executable, "-m", "lstm_lrp_cli", "explain", str(model), str(sentences), *options]


def save(model: Model, path: Path) -> None:
    """Write a model as .npz, with its mapping, and its vocabulary if it has one."""
    converted = converting.convert(model)
    document = converted.document
    if converted.vocabulary is not None:
        words = path.with_name(f"{path.stem}-vocab.json")
        words.write_text(converting.vocabulary_text(converted.vocabulary), encoding="utf-8")
        document = {"vocabulary": words.name} | document
    path.with_suffix(".yaml").write_text(commented(path.name, document, {}), encoding="utf-8")
    with path.open("wb") as file:
        converting.WRITERS["npz"](file, converting.narrowed(converted.arrays))


def read(path: Path, model: Model) -> list[Words]:
    """Read a file of sentences, as the command does."""
    return list(read_sequences(Source(str(path), None, False, False), model))


def write(explanations: Sequence[Explanation], model: Model, file: TextIO) -> None:
    """Write explanations as TSV, as the command does."""
    writer = OUTPUTS["tsv"](file, Layout(model, "token"))
    writer.open()
    writer.write(explanations)
    writer.close()


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A batch of the engine: how many sequences run at each step, and the tokens of all rows.

    Parameters
    ----------
    active : ndarray of int, shape (steps,)
    places : ndarray of int, shape (rows,)
        Which of the window's tokens each row is.
    """

    active: Integers
    places: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What the engine is given at once: its different tokens, and its batches."""

    tokens: Integers
    batches: list[Running]


def windows(model: Model, sequences: Sequence[Words]) -> Iterator[Window]:
    """The windows in which the engine explains sequences."""
    for window in corpus.windows(model, sequences, QUESTION):
        tokens = np.unique(np.concatenate([sequence.inputs for sequence in window]))
        yield Window(
            tokens,
            [
                Running(batch.packing.active, np.searchsorted(tokens, batch.inputs))
                for batch in batches(
                    window, model, corpus.BATCH_SEQUENCES, corpus.batch_rows(model)
                )
            ],
        )
