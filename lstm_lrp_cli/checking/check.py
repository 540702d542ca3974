"""One check, and how it went."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Check:
    """A quantity that must stay below its tolerance for every sequence.

    Parameters
    ----------
    name : str
    meaning : str
        What is compared with what.
    tolerance : float
    worst : float
        The largest deviation so far; NaN once any was NaN.
    sequence : int or None
        Where the worst deviation occurred.
    compared : int
        How many deviations were looked at.
    """

    name: str
    meaning: str
    tolerance: float
    worst: float = 0.0
    sequence: int | None = None
    compared: int = 0

    def seen(self, deviation: float, sequence: int) -> Check:
        """The check with one more deviation."""
        worse = self.sequence is None or not deviation <= self.worst
        if worse and self.worst == self.worst:  # NaN stays the worst
            return replace(self, worst=deviation, sequence=sequence, compared=self.compared + 1)
        return replace(self, compared=self.compared + 1)

    def merged(self, later: Check) -> Check:
        """The check with what the same check saw of later sequences."""
        if later.sequence is None:
            return self
        seen = self.seen(later.worst, later.sequence)
        return replace(seen, compared=self.compared + later.compared)

    @property
    def passed(self) -> bool:
        """Whether anything was compared, and all of it within the tolerance."""
        return self.compared > 0 and self.worst <= self.tolerance
