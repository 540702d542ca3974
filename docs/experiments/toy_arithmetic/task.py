"""The toy task: add or subtract the two marked numbers of a sequence. Needs NumPy alone."""

from dataclasses import dataclass

import numpy as np

# What the second marked number counts for; the first counts once.
TASKS = {"addition": 1, "subtraction": -1}
FEATURES = ("number", "marked")
SHORTEST, LONGEST = 4, 10
SMALLEST, LARGEST = 0.5, 1.0
# Numbers have few digits, so that a file of them is short and is read back exactly.
DIGITS = 3


def draw(count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Draw sequences (T, 2) of a number and a mark, 1 at two steps and 0 at all others."""
    sequences = []
    for length in generator.integers(SHORTEST, LONGEST, size=count, endpoint=True):
        sizes = generator.uniform(SMALLEST, LARGEST, size=length).round(DIGITS)
        numbers = sizes * generator.choice([-1, 1], size=length)
        marks = np.zeros(length)
        marks[generator.choice(length, size=2, replace=False)] = 1
        sequences.append(np.stack([numbers, marks], axis=1))
    return sequences


@dataclass(frozen=True)
class Marked:
    """Of N sequences, what the marked numbers are and where: all arrays are (N, 2)."""

    steps: np.ndarray
    parts: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        """The sum or difference, (N,)."""
        return self.parts.sum(axis=1)


def marked(sequences: list[np.ndarray], task: str) -> Marked:
    """Find the marked numbers, each as the part that it has in the answer of the task."""
    steps = np.array([np.flatnonzero(sequence[:, 1]) for sequence in sequences])
    numbers = np.array(
        [sequence[where, 0] for sequence, where in zip(sequences, steps, strict=True)]
    )
    return Marked(steps, numbers * [1, TASKS[task]])
