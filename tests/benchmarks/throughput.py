"""Tokens per second of lrp's engine and of what it is compared with, side by side."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import contenders
import per_sequence
import sentences
from settings import Settings, Setup
from timing import Contender, in_turn, rates, ratios, seconds_of
from weights import make_model

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model

if TYPE_CHECKING:
    from torch_peer import Batch

# Tokens of one run: some one to three seconds of a forward pass in one thread, where float32 of
# one direction is 1. The plain version of one sequence at a time gets a part of them.
TOKENS = {60: 1_600_000, 256: 240_000, 512: 80_000}
SLOW_SHARE = 1 / 100
# How often PyTorch is tried in each kind of batches, to choose among them.
TRIALS = 2
# Whose absence leaves its columns out.
TORCH = "torch"


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each setup: a model, a precision, a number of threads."""
    for setup in settings.setups():
        yield _row(setup, settings)


def _row(setup: Setup, settings: Settings) -> dict[str, Any]:
    model = make_model(setup.size, setup.dtype)
    texts = sentences.cut(settings.tokens(TOKENS, setup))
    sequences = contenders.sequences_of(texts)
    tokens = sum(map(len, texts))
    with ExitStack() as stack:
        stack.enter_context(contenders.one_blas_thread())  # for the plain version too
        run = stack.enter_context(contenders.engine(model, sequences, setup.threads))
        others = [Contender("engine", tokens, run)]
        if importlib.util.find_spec(TORCH) is not None:
            others += _torch(model, setup, [s.inputs for s in sequences], settings)
        plain = make_model(setup.size, "float64")
        others += _plain(plain, sequences[: max(int(len(sequences) * SLOW_SHARE), 2)])
        seconds = in_turn(others, settings.repeats)
    measured = rates(others, seconds)
    return {
        **setup.as_row(),
        "sentences": len(texts),
        "tokens": tokens,
        "contenders": measured,
        "ratios": ratios("engine", measured),
    }


def _torch(
    model: Model, setup: Setup, ids: list[sentences.Ids], settings: Settings
) -> list[Contender]:
    """PyTorch's forward pass and gradient, each in the batches in which it is fastest."""
    import torch
    import torch_peer

    torch.set_num_threads(setup.threads)
    peer = torch_peer.Peer(model)
    gradient = peer.gradient_times_input
    return [
        fastest("forward", peer.forward, ids, settings.forward_batches),
        fastest("gradient x input", gradient, ids, settings.gradient_batches),
    ]


def fastest(
    name: str,
    run: Callable[..., Iterator[object]],
    inputs: Sequence[sentences.Ids | Floats],
    sizes: tuple[int, ...],
) -> Contender:
    """What PyTorch does of some sequences, in the batches in which it is fastest."""
    import torch_peer

    tried = [
        _in_batches(name, run, torch_peer.batches(kind, inputs, size), f"{kind}, up to {size}")
        for kind in torch_peer.BATCHINGS
        for size in sizes
    ]
    times = zip(*([seconds_of(each.run) for each in tried] for _ in range(TRIALS)), strict=True)
    _, best = min(zip(map(min, times), tried, strict=True), key=lambda timed: timed[0])
    return replace(best, tokens=sum(map(len, inputs)))


def _in_batches(
    name: str, run: Callable[..., Iterator[object]], batches: Sequence[Batch], description: str
) -> Contender:
    return Contender(name, 0, lambda: sum(1 for _ in run(batches)), description)


def _plain(model: Model, sequences: list[contenders.Words]) -> list[Contender]:
    """One sequence at a time in float64, in the form that scripts have and by vectors alone.

    One thread does it, however many the engine has.
    """
    tokens = sum(map(len, sequences))

    def contender(name: str, linear: per_sequence.Linear) -> Contender:
        plain = per_sequence.PerSequence(model, linear)
        return Contender(name, tokens, lambda: [plain.explain(s.inputs) for s in sequences])

    return [
        contender("per sequence", per_sequence.messages),
        contender("per sequence, vectors", per_sequence.factored),
    ]
