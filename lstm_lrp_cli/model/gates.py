"""The engine's own gate order. Nothing outside `loading` knows another."""

from typing import Final, Literal

Gate = Literal["i", "f", "g", "o"]

GATES: Final[tuple[Gate, ...]] = ("i", "f", "g", "o")
INPUT, FORGET, CANDIDATE, OUTPUT = range(4)
