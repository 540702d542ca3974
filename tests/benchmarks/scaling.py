"""How the engine's cost for a token depends on lengths, on how much it is given, and on sizes."""

from collections.abc import Iterator, Sequence
from typing import Any

import contenders
import sentences
from settings import Settings
from timing import Contender, in_turn, spread
from weights import Size, make_model

from lstm_lrp_cli.model.model import Model

LENGTHS = (10, 20, 50, 100, 200, 500, 1000)
GIVEN = (1, 4, 16, 64, 256, 1024, 4096)
HIDDEN = (32, 64, 128, 256, 512, 1024)
# Tokens of one run, at a hidden size of 60; and for each sequence that is given at once.
TOKENS = 400_000
TOKENS_PER_GIVEN = 1_000


def measure(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each length, number of sequences given at once, and hidden size.

    Of the first model in the first precision, in one thread.
    """
    first, dtype = settings.sizes[0], settings.dtypes[0]
    model = make_model(Size(*first), dtype)
    tokens = int(TOKENS * settings.share)

    of_lengths = [
        _explaining(length, model, sentences.of_length(length, tokens)) for length in LENGTHS
    ]
    yield from _rows("length", of_lengths, settings.repeats)

    given = [
        _explaining(at_once, model, sentences.cut(min(TOKENS_PER_GIVEN * at_once, tokens)), at_once)
        for at_once in GIVEN
    ]
    yield from _rows("sequences at once", given, settings.repeats)

    of_sizes = [
        _explaining(
            hidden,
            make_model(Size(hidden, hidden), dtype),
            sentences.cut(tokens * first[1] // hidden),
        )
        for hidden in HIDDEN
    ]
    yield from _rows("hidden size", of_sizes, settings.repeats)


def _explaining(
    value: int, model: Model, texts: Sequence[tuple[str, ...]], at_once: int | None = None
) -> Contender:
    """The engine on sentences, all of them or so many at once, under the value that is varied."""
    sequences = contenders.sequences_of(texts)
    step = at_once or len(sequences)
    parts = [sequences[start : start + step] for start in range(0, len(sequences), step)]

    def run() -> None:
        for part in parts:
            contenders.explain_all(model, part)

    return Contender(str(value), sum(map(len, texts)), run)


def _rows(varied: str, measured: Sequence[Contender], repeats: int) -> Iterator[dict[str, Any]]:
    seconds = in_turn(measured, repeats)
    for contender in measured:
        yield {
            "varied": varied,
            "value": int(contender.name),
            "tokens": contender.tokens,
            "microseconds_per_token": spread(
                [1e6 * taken / contender.tokens for taken in seconds[contender.name]]
            ),
        }
