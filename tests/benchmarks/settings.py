"""How much is measured."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from weights import Size

SIZES = ((60, 60), (128, 256), (300, 512))


@dataclass(frozen=True, slots=True)
class Setup:
    """One model in one precision, and how many threads it gets."""

    size: Size
    dtype: str
    threads: int

    def as_row(self) -> dict[str, Any]:
        return {**asdict(self.size), "dtype": self.dtype, "threads": self.threads}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, and how long.

    Parameters
    ----------
    repeats : int
        Rounds in which contenders run in turn.
    share : float
        The part of each corpus that is used.
    sizes : tuple of (int, int)
        Embedding and hidden sizes.
    directions, dtypes, threads : tuple
    forward_batches, gradient_batches : tuple of int
        The sizes of batches in which PyTorch is tried.
    command_tokens : tuple of int
        Corpora that the whole command is given; the first model gets all, others the first alone.
    command_repeats, startup_repeats : int
    """

    repeats: int = 5
    share: float = 1.0
    sizes: tuple[tuple[int, int], ...] = SIZES
    directions: tuple[int, ...] = (1, 2)
    dtypes: tuple[str, ...] = ("float32", "float64")
    threads: tuple[int, ...] = (1, 2)
    forward_batches: tuple[int, ...] = (64, 128, 256, 512, 1024)
    gradient_batches: tuple[int, ...] = (64, 256)
    command_tokens: tuple[int, ...] = (1_000_000, 4_000_000)
    command_repeats: int = 3
    startup_repeats: int = 15

    def setups(self) -> Iterator[Setup]:
        """Every model in every precision and number of threads."""
        for embedding, hidden in self.sizes:
            for directions in self.directions:
                for dtype in self.dtypes:
                    for threads in self.threads:
                        yield Setup(Size(embedding, hidden, directions), dtype, threads)

    def tokens(self, full: Mapping[int, int], setup: Setup) -> int:
        """The tokens of one run, fewer where the model is slower."""
        size = setup.size
        work = size.directions * (2 if setup.dtype == "float64" else 1)
        known = min(full, key=lambda hidden: abs(hidden - size.hidden))
        return max(int(full[known] * self.share) // work, 100)


FULL = Settings()
QUICK = replace(
    FULL,
    repeats=3,
    share=1 / 4,
    forward_batches=(64, 256, 1024),
    command_tokens=(250_000, 1_000_000),
    command_repeats=1,
    startup_repeats=5,
)
