"""The sentences that benchmarks run on: the movie reviews of the sample models, all of them.

Their lengths and the frequencies of their words are those of real text: 10,605 sentences, 200,062
words by white space, 27,638 different ones in lower case. A longer corpus repeats them.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

REVIEWS = Path(__file__).parents[2] / "sample_models" / "data" / "movie_reviews.tsv"
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


def cut(tokens: int) -> list[tuple[str, ...]]:
    """Sentences of about so many words in all, the reviews over and over."""
    return list(_until(tokens))


def ids(words: tuple[str, ...]) -> Ids:
    """The ids of a sentence."""
    numbers = vocabulary()
    return np.array([numbers[word] for word in words], dtype=np.int64)


def of_length(length: int, tokens: int) -> list[tuple[str, ...]]:
    """Sequences of one length, of about so many words in all: the reviews, cut anew."""
    stream = itertools.cycle(itertools.chain.from_iterable(sentences()))
    return [tuple(itertools.islice(stream, length)) for _ in range(max(tokens // length, 1))]


def write_corpus(path: Path, tokens: int) -> int:
    """Write sentences of about so many words, one a line; give how many words there are."""
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for words in _until(tokens):
            file.write(" ".join(words) + "\n")
            written += len(words)
    return written


def _until(tokens: int) -> Iterator[tuple[str, ...]]:
    left = tokens
    for words in itertools.cycle(sentences()):
        if left <= 0:
            return
        yield words
        left -= len(words)
