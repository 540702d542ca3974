"""The whole command: its throughput beside its own engine's, and its peak memory."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import contenders
import process
import sentences
from settings import Settings, Setup
from throughput import TOKENS
from timing import seconds_of, spread
from weights import make_model

ROOT = Path(__file__).parents[2]


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each setup in the first precision; the first model is given corpora of all sizes.

    The engine is timed between runs of the command, on ready sequences.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for setup in replace(settings, dtypes=settings.dtypes[:1]).setups():
            first = first or setup.size
            for tokens in settings.command_tokens[: None if setup.size == first else 1]:
                yield _row(setup, tokens, settings, Path(folder))


def _row(setup: Setup, tokens: int, settings: Settings, folder: Path) -> dict[str, Any]:
    model = make_model(setup.size, setup.dtype)
    weights, corpus, one = folder / "model.npz", folder / "corpus.txt", folder / "one.txt"
    contenders.save(model, weights)
    written = sentences.write_corpus(corpus, tokens)
    sentences.write_corpus(one, 1)

    def run(path: Path) -> process.Finished:
        output = folder / "out.tsv"
        line = contenders.command(weights, path, output, setup.dtype, setup.threads)
        return process.run(line, ROOT)

    texts = sentences.cut(settings.tokens(TOKENS, setup))
    of_engine = sum(map(len, texts))
    least = run(one)
    runs, engine_seconds = [], []
    with contenders.engine(model, contenders.sequences_of(texts), setup.threads) as engine:
        engine()  # processes that it starts are ready then
        for _ in range(settings.command_repeats):
            engine_seconds.append(seconds_of(engine))
            runs.append(run(corpus))
    own = [written / finished.seconds for finished in runs]
    engines = [of_engine / seconds for seconds in engine_seconds]
    return {
        **setup.as_row(),
        "tokens": written,
        "runs": [asdict(finished) for finished in runs],
        "one_sentence": asdict(least),
        "tokens_per_second": spread(own),
        "engine_tokens_per_second": spread(engines),
        "of_engine": spread([a / b for a, b in zip(own, engines, strict=True)]),
        "memory": _memory(runs, least),
    }


def _memory(runs: list[process.Finished], least: process.Finished) -> dict[str, float]:
    """MB at the peak, and how much of it is beyond what one sentence needs."""
    peak = max(finished.memory for finished in runs)
    return {"peak": peak, "one_sentence": least.memory, "beyond": peak - least.memory}
