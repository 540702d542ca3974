"""The movie reviews, as both sentiment models read them: sentences, tokens, splits, vocabulary."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA_FILE = Path(__file__).resolve().parent / "data" / "movie_reviews.tsv"
SPLIT_SEED = 20240611
SAMPLE_SENTENCES = 100

UNKNOWN = "<unk>"
# One character at a time is deleted, so that it makes no difference whether the text is split
# before or after. Hyphens and dashes are already spaces in the data.
REMOVE = r"[^\w\s]"


@dataclass(frozen=True)
class Review:
    """One sentence and how people judged it."""

    text: str
    tokens: tuple[str, ...]
    sentiment: str


@dataclass(frozen=True)
class Splits:
    """Three sets of reviews without a sentence in common."""

    train: list[Review]
    validation: list[Review]
    test: list[Review]

    def keep(self, labels: Sequence[str]) -> "Splits":
        """The same splits, only with reviews whose sentiment is one of the labels."""
        return Splits(
            *(
                [review for review in part if review.sentiment in labels]
                for part in (self.train, self.validation, self.test)
            )
        )


def tokenise(text: str) -> tuple[str, ...]:
    """Split a sentence exactly as the `tokens` entry of the mapping says."""
    return tuple(re.sub(REMOVE, "", text.lower()).split())


def sentiment_of(rating: float) -> str:
    """Turn the mean of the human ratings, -4 to 4, into a label."""
    if rating < -1:
        return "negative"
    return "positive" if rating > 1 else "neutral"


def read_reviews(path: Path = DATA_FILE) -> list[Review]:
    """Read every sentence once, in the order of the file."""
    reviews: dict[str, Review] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            _, rating, text = line.strip().split("\t")
            # A sentence that occurs twice could otherwise be in training and test.
            reviews.setdefault(text, Review(text, tokenise(text), sentiment_of(float(rating))))
    return [review for review in reviews.values() if review.tokens]


def split_reviews(reviews: Sequence[Review], seed: int = SPLIT_SEED) -> Splits:
    """Shuffle with a fixed seed, then give 80 % to training, 10 % to validation, 10 % to test."""
    order = np.random.default_rng(seed).permutation(len(reviews))
    shuffled = [reviews[index] for index in order]
    held_out = len(reviews) // 10
    return Splits(
        train=shuffled[2 * held_out :],
        validation=shuffled[held_out : 2 * held_out],
        test=shuffled[:held_out],
    )


def build_vocabulary(
    reviews: Iterable[Review], minimum: int, special: Sequence[str]
) -> dict[str, int]:
    """Number the special tokens, then all that occur `minimum` times, the most frequent first."""
    counts = Counter(token for review in reviews for token in review.tokens)
    frequent = sorted(
        (token for token, count in counts.items() if count >= minimum),
        key=lambda token: (-counts[token], token),
    )
    return {token: index for index, token in enumerate([*special, *frequent])}


def encode(review: Review, vocabulary: dict[str, int]) -> np.ndarray:
    """The ids of a review's tokens."""
    unknown = vocabulary[UNKNOWN]
    return np.array([vocabulary.get(token, unknown) for token in review.tokens], dtype=np.int64)


def hide_words(
    ids: np.ndarray, unknown: int, share: float, generator: np.random.Generator
) -> np.ndarray:
    """Replace a random share of the words by the unknown token, so that it is trained too."""
    return np.where(generator.random(ids.shape) < share, unknown, ids)


def majority_baseline(splits: Splits) -> float:
    """The test accuracy of always answering with the label most frequent in training."""
    [(label, _)] = Counter(review.sentiment for review in splits.train).most_common(1)
    return sum(review.sentiment == label for review in splits.test) / len(splits.test)


def mapping_text(labels: Sequence[str]) -> str:
    """What a mapping file says about text: vocabulary, tokens and labels."""
    return (
        "format: 1\n"
        "vocabulary: vocab.txt\n"
        "tokens:\n"
        "  split: whitespace\n"
        "  lowercase: true\n"
        f"  remove: '{REMOVE}'\n"
        f'  unknown: "{UNKNOWN}"\n'
        f"labels: [{', '.join(labels)}]\n"
    )
