"""The toy task: add or subtract the two numbers of a sequence that count. Needs NumPy alone."""

from dataclasses import dataclass

import numpy as np

# A number stands in the second feature where it counts, else in the first; the other one is 0.
FEATURES = ("ignored", "counted")
SHORTEST, LONGEST = 4, 10
SMALLEST, LARGEST = 0.5, 1.0
# Numbers have few digits, so that a file of them is short and is read back exactly.
DIGITS = 3


@dataclass(frozen=True)
class Task:
    """What a model has to compute.

    Parameters
    ----------
    name : str
    second : int
        What the second counted number is multiplied by; the first one counts once.
    signs : tuple of int
        The signs that numbers may have.
    """

    name: str
    second: int
    signs: tuple[int, ...]


# No start of a single unit that was tried learned to subtract numbers of either sign.
TASKS = (Task("addition", 1, (-1, 1)), Task("subtraction", -1, (1,)))


def draw(task: Task, count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Draw sequences, each (T, 2), in which two of the T numbers count."""
    sequences = []
    for length in generator.integers(SHORTEST, LONGEST, size=count, endpoint=True):
        sizes = generator.uniform(SMALLEST, LARGEST, size=length).round(DIGITS)
        counted = np.zeros(length, dtype=int)
        counted[generator.choice(length, size=2, replace=False)] = 1
        sequence = np.zeros((length, len(FEATURES)))
        sequence[np.arange(length), counted] = sizes * generator.choice(task.signs, size=length)
        sequences.append(sequence)
    return sequences


def counted_steps(sequence: np.ndarray) -> np.ndarray:
    """The two steps (2,) of a sequence (T, 2) whose numbers count."""
    return np.flatnonzero(sequence[:, 1])


def parts(task: Task, sequence: np.ndarray) -> np.ndarray:
    """What each of the two numbers (2,) adds to the right answer."""
    return sequence[counted_steps(sequence), 1] * [1, task.second]
