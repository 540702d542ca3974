"""Models of any size, with random weights as large as those of trained ones."""

from dataclasses import dataclass

import numpy as np
from sentences import vocabulary

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.layers import Dense, Embedding, Lstm, LstmCell
from lstm_lrp_cli.model.model import Head, Model, chain
from lstm_lrp_cli.model.text import Tokenization, Vocabulary

CLASSES = 5
SEED = 20240611


@dataclass(frozen=True, slots=True)
class Size:
    """How large a model is.

    Parameters
    ----------
    embedding, hidden : int
    directions : int
        1, or 2 where the LSTM reads backwards as well.
    """

    embedding: int
    hidden: int
    directions: int = 1


def make_model(size: Size, dtype: str) -> Model:
    """A classifier of text, of the same weights in either precision."""
    rng = np.random.default_rng(SEED)
    words = vocabulary()
    bound = size.hidden**-0.5

    def uniform(*shape: int) -> Floats:
        return rng.uniform(-bound, bound, shape).astype(np.float32).astype(dtype)

    table = rng.normal(0.0, 0.3, (len(words), size.embedding)).astype(np.float32).astype(dtype)
    cells = tuple(
        LstmCell(
            uniform(4, size.hidden, size.embedding),
            uniform(4, size.hidden, size.hidden),
            uniform(4, size.hidden),
            backward=bool(direction),
        )
        for direction in range(size.directions)
    )
    head = Dense(uniform(CLASSES, size.hidden * size.directions), uniform(CLASSES))
    nodes = chain(Lstm(cells), head)
    return Model(
        nodes=nodes,
        outputs=(len(nodes) - 1,),
        heads=(Head(CLASSES, "softmax"),),
        dtype=np.dtype(dtype),
        embedding=Embedding(table),
        vocabulary=Vocabulary(words, len(words)),
        tokenization=Tokenization(lowercase=True),
    )
