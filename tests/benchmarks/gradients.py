"""Tokens per second of lrp's gradient methods, beside torch's autograd on the same batch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import contenders
import sentences
import throughput
from settings import Settings, Setup
from timing import Contender, in_turn, rates, ratios
from weights import make_model

from lstm_lrp_cli.model.model import Model

SEQUENCES = 256
# The mean of the reviews' lengths, about: the batch of one length is what suits PyTorch best.
LENGTH = 20
BATCHES = ("real lengths", "one length")
METHODS = ("gradient", "gradient-x-input")
# Tokens of one run, in which a batch is explained time after time.
TOKENS = {60: 80_000, 256: 20_000, 512: 5_000}


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each size and precision, kind of batch, and method; nothing without PyTorch."""
    if importlib.util.find_spec(throughput.TORCH) is None:
        return
    alone = replace(settings, directions=settings.directions[:1], threads=(1,))
    for setup in alone.setups():
        for kind in BATCHES:
            yield from _rows(setup, kind, settings)


def _rows(setup: Setup, kind: str, settings: Settings) -> Iterator[dict[str, Any]]:
    model = make_model(setup.size, setup.dtype)
    if kind == "one length":
        texts = sentences.of_length(LENGTH, LENGTH * SEQUENCES)
    else:  # from all of the file, in which the reviews stand in groups
        reviews = sentences.sentences()
        texts = list(reviews[:: len(reviews) // SEQUENCES][:SEQUENCES])
    times = max(settings.tokens(TOKENS, setup) // sum(map(len, texts)), 1)
    with contenders.one_blas_thread():
        runs = [each for method in METHODS for each in _contenders(model, texts, method, times)]
        measured = rates(runs, in_turn(runs, settings.repeats))
    for method in METHODS:
        peers = [name for name in measured if name.startswith(f"PyTorch's {method},")]
        fastest = max(peers, key=lambda name: measured[name]["tokens_per_second"]["median"])
        yield {
            **setup.as_row(),
            "batch": kind,
            "method": method,
            "tokens": runs[0].tokens,
            "contenders": {name: measured[name] for name in (method, *peers)},
            "fastest": fastest,
            "ratio": ratios(method, measured)[fastest],
        }


def _contenders(
    model: Model, texts: list[tuple[str, ...]], method: str, times: int
) -> Iterator[Contender]:
    """lrp with a method, and PyTorch with the same: all at once packed, or length by length."""
    import torch
    import torch_peer

    torch.set_num_threads(1)
    tokens = times * sum(map(len, texts))
    batch = contenders.batch_of(model, texts)
    explain = partial(contenders.explain_batch, method, model, batch)
    yield Contender(method, tokens, partial(_again, times, explain))
    peer = torch_peer.Peer(model)
    run = {"gradient": peer.squared_gradient, "gradient-x-input": peer.gradient_times_input}[method]
    for kind in torch_peer.BATCHINGS:
        made = torch_peer.batches(kind, [sentences.ids(words) for words in texts], len(texts))
        differentiate = partial(_all_of, run, made)
        name = f"PyTorch's {method}, {kind}"
        yield Contender(name, tokens, partial(_again, times, differentiate), kind)


def _all_of(run: Callable[..., Iterator[object]], made: list[Any]) -> int:
    return sum(1 for _ in run(made))


def _again(times: int, run: Callable[[], object]) -> None:
    for _ in range(times):
        run()
