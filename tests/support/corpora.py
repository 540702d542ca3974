"""Inputs long enough to be shared out among processes, and to fill a pipe."""

import json
import random

import numpy as np
from models import KERAS, WEATHER

from lstm_lrp_cli.running.blocks import BLOCK_STEPS


def shuffled(lines, times, seed=0):
    """Lines so many times, every time in another order."""
    rng = random.Random(seed)
    return [line for _ in range(times) for line in rng.sample(lines, len(lines))]


class Corpus:
    """Inputs of several blocks, made of the sample models' own.

    They are of three blocks as `lrp` has them, or of blocks that are so many times as short.
    """

    def __init__(self, folder, shorter=1):
        self.folder = folder
        self.block_steps = BLOCK_STEPS // shorter
        sentences = KERAS.sequences.read_text("utf-8").splitlines()
        labelled = KERAS.sequences.with_name("labelled.txt").read_text("utf-8").splitlines()
        lines = shuffled([*sentences, "", "qwertyuiop is no word"], -(-52 // shorter))
        self.text = self._write("long.txt", lines)
        self.few = self._write("few.txt", shuffled(sentences, max(8 // shorter, 4)))
        self.fewest = self._write("fewest.txt", sentences)
        self.labelled = self._write("labelled.txt", shuffled(labelled, -(-50 // shorter)))
        documents = [{"id": f"no {k}", "text": line} for k, line in enumerate(lines)]
        self.json_lines = self._write("long.jsonl", map(json.dumps, documents))
        header, *rows = WEATHER.sequences.read_text("utf-8").splitlines()
        series = {}
        for row in rows:
            name, _, values = row.partition(",")
            series.setdefault(name, []).append(values)
        several = shuffled(list(series.values()), -(-60 // shorter))
        numbered = [f"{k},{row}" for k, steps in enumerate(several) for row in steps]
        self.series_csv = self._write("series.csv", [header, *numbered])
        self.series_npz = folder / "series.npz"
        arrays = [np.array([row.split(",")[1:] for row in steps], float) for steps in several]
        np.savez(self.series_npz, **{str(k): array for k, array in enumerate(arrays)})

    def _write(self, name, lines):
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path
