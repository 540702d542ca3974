"""Sequences for a check without input."""

from collections.abc import Iterator

import numpy as np

from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.sequence import Sequence

SEQUENCES = 64
LONGEST = 40


def random_sequences(model: Model, seed: int = 0) -> Iterator[Sequence]:
    """Random token ids or standard normal numbers, of lengths from 1 to 40.

    Where sequences are filled up to a length, none is longer: the model may take no other.
    """
    rng = np.random.default_rng(seed)
    filled = model.padding.length if model.padding else 0
    longest = min(LONGEST, filled or LONGEST)
    for number, length in enumerate(rng.integers(1, longest + 1, SEQUENCES).tolist()):
        if model.embedding is not None:
            ids = rng.integers(0, len(model.embedding.weights), length)
            yield Sequence(number, ids, tuple(map(str, ids.tolist())))
        else:
            values = rng.standard_normal((length, model.input_size)).astype(model.dtype)
            features = tuple(f"feature_{k}" for k in range(model.input_size))
            yield Sequence(number, values, features=features)
