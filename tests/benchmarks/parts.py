"""What is measured, part by part: the engine beside PyTorch where it is installed, and commands."""

import dataclasses
import importlib.util
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import contenders
import numpy as np
import process
import workload
from msgspec.structs import replace
from timing import Contender, beside, in_turn, ratios, seconds_of, spread
from workload import Settings, Setup

from lstm_lrp_cli.model.model import Input

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_models"
LRP = Path(sys.executable).with_name("lrp")
# Whose absence leaves its columns out.
TORCH = "torch"
# How often PyTorch is tried in each kind of batches, to choose among them.
TRIALS = 2
# Tokens of one run, by hidden size: some one to three seconds of a forward pass in one thread.
TOKENS = {60: 1_600_000, 256: 240_000, 512: 80_000}

STEPS = 25
# By the numbers of a step, how many steps there are.
SERIES = {60: 50_000, 8: 200_000}

# How many sequences are convolved, of how many steps.
CONVOLVED, CONVOLVED_STEPS = 256, 100

LIBRARIES = "import numpy, h5py, click"
# Each sample model: its file, its sequences, and how many lines of those are the first sequence.
ONE_SEQUENCE = (
    ("sentiment_pytorch/model.npz", "sentences.txt", 1),
    ("sentiment_keras/model.h5", "sentences.txt", 1),
    ("weather_series/model.h5", "series.csv", 29),
)


def throughput(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each setup, one way: LRP beside PyTorch's forward pass and gradient x input."""
    for setup in dataclasses.replace(settings, directions=(1,)).setups():
        model = setup.model()
        sequences = contenders.sequences_of(workload.cut(settings.tokens(TOKENS, setup)))
        with contenders.engine(model, sequences, setup.threads) as run:
            timed = [Contender("engine", sum(map(len, sequences)), run)]
            if peer := _peer(model, setup.threads):
                runs = {
                    "forward": (peer.forward, settings.forward_batches),
                    "gradient x input": (peer.gradient_times_input, settings.gradient_batches),
                }
                timed += [_fastest(name, sequences, *how) for name, how in runs.items()]
            yield {**asdict(setup), **beside(timed, settings.repeats)}


def series(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each number of features, every value told, beside the whole command too."""
    for width, steps in SERIES.items():
        setup = Setup(width, 60)
        model = replace(setup.model(), inputs=(Input(width),))
        shape = (max(int(steps * settings.share) // STEPS, 2), STEPS, width)
        values = np.random.default_rng(0).normal(size=shape).astype(setup.dtype)
        given, tokens = contenders.series_of(values), shape[0] * STEPS
        with tempfile.TemporaryDirectory() as folder:
            weights, path = Path(folder) / "model.npz", Path(folder) / "in.npy"
            np.save(path, values)
            contenders.save(model, weights)
            line = contenders.command(weights, path, Path(folder) / "out.tsv", setup.dtype, 1)
            explain = partial(_all, contenders.explain, model, given, finest=True)
            timed = [
                Contender("engine", tokens, explain),
                Contender("command", tokens, partial(process.run, line, ROOT)),
            ]
            if peer := _peer(model, 1):
                how = peer.gradient_times_values, settings.gradient_batches
                timed.append(_fastest("gradient x input", given, *how))
            yield {"features": width, **beside(timed, settings.repeats)}


def other_layers(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each size of a GRU, beside an LSTM's tokens; and for each kind of convolution.

    A convolution's forward pass, with a mean and a dense layer behind it, is in one thread, and
    beside PyTorch's in two.
    """
    for embedding, hidden in settings.sizes:
        setup = Setup(embedding, hidden)
        sequences = contenders.sequences_of(workload.cut(settings.tokens(TOKENS, setup)))
        tokens = sum(map(len, sequences))
        models = {"engine": workload.with_gru(setup.model()), "lstm": setup.model()}
        timed = [
            Contender(name, tokens, partial(contenders.explain_all, model, sequences))
            for name, model in models.items()
        ]
        yield {"layer": f"GRU, {embedding}, {hidden}", **beside(timed, settings.repeats)}
    if importlib.util.find_spec(TORCH) is None:
        return
    import torch
    import torch_peer

    torch.set_num_threads(2)
    for name, convolution in workload.CONVOLUTIONS.items():
        rng = np.random.default_rng(0)
        count = max(int(CONVOLVED * settings.share), 2)
        values = rng.normal(size=(count, CONVOLVED_STEPS, convolution.inputs)).astype(np.float32)
        model, tokens = convolution.model(), values.shape[0] * values.shape[1]
        timed = [
            Contender("engine", tokens, contenders.forward(model, values)),
            Contender("forward", tokens, torch_peer.convolving(model, values)),
        ]
        yield {"layer": f"Conv1D, {name}", **beside(timed, settings.repeats)}


def _peer(model: contenders.Model, threads: int) -> Any:
    """The model in PyTorch with so many threads, if it is there."""
    if importlib.util.find_spec(TORCH) is None:
        return None
    import torch
    import torch_peer

    torch.set_num_threads(threads)
    return torch_peer.Peer(model)


def _fastest(
    name: str,
    sequences: Sequence[contenders.Words],
    run: Callable[..., Iterator[object]],
    sizes: Sequence[int],
) -> Contender:
    """What PyTorch does of some sequences, in the batches in which it is fastest."""
    import torch_peer

    inputs = [each.inputs for each in sequences]
    tokens = sum(map(len, sequences))
    tried = [
        Contender(name, tokens, partial(_all, run, made), f"{kind}, up to {size}")
        for kind in torch_peer.BATCHINGS
        for size in sizes
        for made in [torch_peer.batches(kind, inputs, size)]
    ]
    return min(tried, key=lambda each: min(seconds_of(each.run) for _ in range(TRIALS)))


def _all(run: Callable[..., Iterator[object]], *given: object, **more: object) -> int:
    return sum(1 for _ in run(*given, **more))


def command(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each corpus of the first model in the first precision, by `--jobs`."""
    first = dataclasses.replace(settings, sizes=settings.sizes[:1], dtypes=settings.dtypes[:1])
    for setup in first.setups():
        for tokens in settings.command_tokens[: None if setup.directions == 1 else 1]:
            with tempfile.TemporaryDirectory() as folder:
                yield _command(setup, tokens, settings, Path(folder))


def _command(setup: Setup, tokens: int, settings: Settings, folder: Path) -> dict[str, Any]:
    """The engine is timed between runs of the command, on ready sequences."""
    model = setup.model()
    weights, corpus, one = folder / "model.npz", folder / "corpus.txt", folder / "one.txt"
    contenders.save(model, weights)
    written = workload.write_corpus(corpus, tokens)
    workload.write_corpus(one, 1)

    def run(path: Path) -> tuple[float, float]:
        output = folder / "out.tsv"
        line = contenders.command(weights, path, output, setup.dtype, setup.threads)
        return process.run(line, ROOT)

    sequences = contenders.sequences_of(workload.cut(settings.tokens(TOKENS, setup)))
    (_, least), runs, engines = run(one), [], []
    with contenders.engine(model, sequences, setup.threads) as engine:
        engine()  # processes that it starts are ready then
        for _ in range(settings.command_repeats):
            engines.append(sum(map(len, sequences)) / seconds_of(engine))
            runs.append(run(corpus))
    own, peak = [written / seconds for seconds, _ in runs], max(memory for _, memory in runs)
    return {
        **asdict(setup),
        "tokens": written,
        "tokens_per_second": spread(own),
        "of_engine": spread(ratios(own, engines)),
        "memory": {"peak": peak, "beyond": peak - least},
    }


def start_up(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each command, beside a Python that only imports what it cannot do without.

    `lrp` is run as it is installed. An editable install takes longer to start than a user's.
    """
    starts = [("lrp --version", ["--version"], "import click")]
    with tempfile.TemporaryDirectory() as folder:
        for name, sequences, count in ONE_SEQUENCE:
            model, one = SAMPLES / name, Path(folder) / f"{len(starts)}{Path(sequences).suffix}"
            lines = model.with_name(sequences).read_text("utf-8").splitlines(keepends=True)
            one.write_text("".join(lines[:count]), "utf-8")
            starts.append((f"lrp explain {name}", ["explain", str(model), str(one)], LIBRARIES))
        for name, arguments, imports in starts:
            processes = {"own": [str(LRP), *arguments], "least": [sys.executable, "-c", imports]}
            run = partial(subprocess.run, capture_output=True, check=True)
            timed = [Contender(key, 1, partial(run, line)) for key, line in processes.items()]
            own, least = in_turn(timed, settings.startup_repeats).values()
            yield {
                "command": name,
                "seconds": statistics.median(own),
                "ratio": statistics.median(ratios(own, least)),
            }
