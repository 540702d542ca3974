"""How a file is damaged, by somebody who knows its format or does not."""

import random
from collections.abc import Callable

from .bytes import damaged

# What is longer, and not for being so from the start, honestly takes its time: a line of a megabyte
# is one sequence of half a million steps.
LARGEST = 2**19
Mutator = Callable[[bytes, random.Random], bytes]


class Unsuited(Exception):
    """The file has nothing that this mutator could change."""


def mutated(data: bytes, mutators: dict[Mutator, int], rng: random.Random) -> bytes:
    """A file after one to three changes.

    Parameters
    ----------
    mutators
        Those that know the format, with their weights; damage of bytes comes to a third beside.
    """
    found = data
    chosen = [*mutators, damaged]
    weights = [*mutators.values(), max(1, sum(mutators.values()) // 2)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutator = rng.choices(chosen, weights)[0]
        try:
            changed = mutator(found, rng)
        except Exception:  # what was damaged before cannot be parsed any more
            changed = damaged(found, rng)
        found = changed if len(changed) <= max(LARGEST, 2 * len(data)) else found
    return found
