"""What tells every value of a step: numeric series, and text by dimension.

The whole command stands beside its engine, and that beside PyTorch's gradient x input, in float32
and one thread.
"""

import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import contenders
import numpy as np
import process
import sentences
import throughput
from command import ROOT
from settings import Settings
from timing import Contender, in_turn, rates, ratios
from weights import Size, make_model

HIDDEN = 60
STEPS = 25
DTYPE = "float32"
# Of each input the numbers of a step, how many steps there are, and whether they are tokens.
INPUTS = {
    "series of 60 features": (60, 50_000, False),
    "series of 8 features": (8, 200_000, False),
    "text by dimension, 60": (60, 50_000, True),
}


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each input."""
    for name, (width, steps, text) in INPUTS.items():
        model = make_model(Size(width, HIDDEN), DTYPE)
        count = max(int(steps * settings.share), 2 * STEPS)
        with tempfile.TemporaryDirectory() as folder:
            weights, path = Path(folder) / "model.npz", Path(folder) / "in.npy"
            if text:
                path = path.with_suffix(".txt")
                sentences.write_corpus(path, count)
                given = contenders.sequences_of(sentences.cut(count))
            else:
                model = replace(model, embedding=None, vocabulary=None)
                values = np.random.default_rng(0).normal(size=(count // STEPS, STEPS, width))
                np.save(path, values.astype(DTYPE))
                given = contenders.series_of(values.astype(DTYPE))
            contenders.save(model, weights)
            line = contenders.command(weights, path, Path(folder) / "out.tsv", DTYPE, 1)
            if text:
                line += ["--by", "dimension"]
            yield {"input": name, **_row(model, given, line, settings)}


def _row(
    model: contenders.Model, given: list[contenders.Words], line: list[str], settings: Settings
) -> dict[str, Any]:
    steps = sum(map(len, given))
    others = [
        Contender("engine", steps, lambda: list(contenders.explain(model, given, "features"))),
        Contender("command", steps, lambda: process.run(line, ROOT)),
    ]
    if importlib.util.find_spec(throughput.TORCH) is not None:
        import torch
        import torch_peer

        torch.set_num_threads(1)
        run = torch_peer.Peer(model).gradient_times_values
        inputs = [sequence.inputs for sequence in given]
        batches = settings.gradient_batches
        others.append(throughput.fastest("gradient x input", run, inputs, batches))
    measured = rates(others, in_turn(others, settings.repeats))
    return {"steps": steps, "contenders": measured, "ratios": ratios("engine", measured)}
