"""What is measured: sentences, models with random weights, settings.

Sentences are the movie reviews of the sample models, all 10,605 of them: 200,062 words by white
space, 27,638 different ones in lower case. A longer corpus repeats them.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Convolution, Dense, Embedding, Pool, Window
from lstm_lrp_cli.model.model import Head, Input, Model, chain
from lstm_lrp_cli.model.recurrent import Gru, GruCell, Lstm, LstmCell
from lstm_lrp_cli.model.text import Tokenization, Vocabulary

REVIEWS = Path(__file__).parents[2] / "sample_models" / "data" / "movie_reviews.tsv"
CLASSES = 5
SEED = 20240611
Ids = NDArray[np.int64]


@cache
def sentences() -> tuple[tuple[str, ...], ...]:
    """The words of every review, in the order of the file."""
    lines = REVIEWS.read_text("utf-8").splitlines()
    return tuple(tuple(line.split("\t")[2].lower().split()) for line in lines)


@cache
def vocabulary() -> dict[str, int]:
    """The id of every word, the most frequent first."""
    counts = Counter(itertools.chain.from_iterable(sentences()))
    return {word: number for number, (word, _) in enumerate(counts.most_common())}


def ids(words: tuple[str, ...]) -> Ids:
    return np.array([vocabulary()[word] for word in words], dtype=np.int64)


def cut(tokens: int) -> Iterator[tuple[str, ...]]:
    """Sentences of about so many words in all, the reviews over and over."""
    for words in itertools.cycle(sentences()):
        if tokens <= 0:
            return
        yield words
        tokens -= len(words)


def write_corpus(path: Path, tokens: int) -> int:
    """Write sentences of about so many words, one a line; give how many words there are."""
    texts = list(cut(tokens))
    path.write_text("".join(" ".join(words) + "\n" for words in texts), "utf-8", newline="\n")
    return sum(map(len, texts))


@dataclass(frozen=True, slots=True)
class Setup:
    """A model's sizes, directions (1, or 2 both ways) and precision; how many threads it gets."""

    embedding: int
    hidden: int
    directions: int = 1
    dtype: str = "float32"
    threads: int = 1

    def model(self) -> Model:
        """A classifier of text, of the same weights in either precision, as large as trained."""
        rng = np.random.default_rng(SEED)
        words, bound = vocabulary(), self.hidden**-0.5

        def weights(drawn: Floats) -> Floats:
            return drawn.astype(np.float32).astype(self.dtype)

        def uniform(*shape: int) -> Floats:
            return weights(rng.uniform(-bound, bound, shape))

        table = weights(rng.normal(0.0, 0.3, (len(words), self.embedding)))
        cells = tuple(
            LstmCell(
                uniform(4, self.hidden, self.embedding),
                uniform(4, self.hidden, self.hidden),
                uniform(4, self.hidden),
                backward=bool(direction),
            )
            for direction in range(self.directions)
        )
        head = Dense(uniform(CLASSES, self.hidden * self.directions), uniform(CLASSES))
        nodes = chain(Lstm(cells), head)
        return Model(
            nodes=nodes,
            outputs=(len(nodes) - 1,),
            heads=(Head(CLASSES, "softmax"),),
            dtype=np.dtype(self.dtype),
            inputs=(
                Input(
                    self.embedding,
                    Embedding(table),
                    vocabulary=Vocabulary(words, len(words)),
                    tokenization=Tokenization(lowercase=True),
                ),
            ),
        )


def with_gru(model: Model) -> Model:
    """The model with a GRU of the same size in place of its LSTM, of some of its weights."""
    lstm, dense = (node.layer for node in model.nodes)
    assert isinstance(lstm, Lstm)
    cells = (
        GruCell(each.input[:3], each.recurrent[:3], each.bias[:3], each.bias[3])
        for each in lstm.cells
    )
    return replace(model, nodes=chain(Gru(tuple(cells)), dense))


@dataclass(frozen=True, slots=True)
class Convolving:
    """A convolution of steps, `same` padding, with a mean of them and a dense layer behind it."""

    inputs: int
    outputs: int
    width: int
    groups: int = 1

    def model(self) -> Model:
        rng = np.random.default_rng(0)

        def drawn(*shape: int) -> Floats:
            return rng.normal(size=shape).astype(np.float32)

        convolution = Convolution(
            drawn(self.outputs, self.inputs // self.groups, self.width),
            drawn(self.outputs),
            Window(self.width, padding="same"),
            self.groups,
        )
        nodes = chain(convolution, Pool("mean"), Dense(drawn(CLASSES, self.outputs), None))
        heads = (Head(CLASSES, "softmax"),)
        return Model(nodes, (len(nodes) - 1,), heads, np.dtype("float32"), (Input(self.inputs),))


CONVOLUTIONS = {
    "1 to 32, width 3": Convolving(1, 32, 3),
    "9 to 64, width 3": Convolving(9, 64, 3),
    "64 to 64, width 3": Convolving(64, 64, 3),
    "128 to 64, width 5": Convolving(128, 64, 5),
    "300 to 128, width 3": Convolving(300, 128, 3),
    "64 by itself, width 3": Convolving(64, 64, 3, 64),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, and how long: `share` is the part of each corpus that is used."""

    repeats: int = 5
    share: float = 1.0
    sizes: tuple[tuple[int, int], ...] = ((60, 60), (128, 256), (300, 512))
    directions: tuple[int, ...] = (1, 2)
    dtypes: tuple[str, ...] = ("float32", "float64")
    threads: tuple[int, ...] = (1, 2)
    forward_batches: tuple[int, ...] = (64, 128, 256, 512, 1024)
    gradient_batches: tuple[int, ...] = (64, 256)
    command_tokens: tuple[int, ...] = (1_000_000, 4_000_000)
    command_repeats: int = 3
    startup_repeats: int = 15

    def setups(self) -> Iterator[Setup]:
        of_all = self.sizes, self.directions, self.dtypes, self.threads
        for size, *others in itertools.product(*of_all):
            yield Setup(*size, *others)

    def tokens(self, full: Mapping[int, int], setup: Setup) -> int:
        """The tokens of one run, by hidden size, fewer where the model is slower."""
        work = setup.directions * (2 if setup.dtype == "float64" else 1)
        known = min(full, key=lambda hidden: abs(hidden - setup.hidden))
        return max(int(full[known] * self.share) // work, 100)


QUICK = dataclasses.replace(
    Settings(),
    repeats=1,
    share=1 / 100,
    sizes=((60, 60),),
    forward_batches=(1024,),
    gradient_batches=(256,),
    command_tokens=(20_000, 80_000),
    command_repeats=1,
    startup_repeats=1,
)
