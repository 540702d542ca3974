"""What every output can do."""

from collections.abc import Sequence
from typing import Literal, Protocol

from lstm_lrp_cli.sequences.explanation import Explanation

# How finely relevance is told: tokens or their embedding's dimensions, steps or their features.
Detail = Literal["token", "dimension", "step", "feature"]


class Writer(Protocol):
    """Writes explanations block by block, in the order given."""

    def write(self, explanations: Sequence[Explanation]) -> None: ...

    def close(self) -> None:
        """Write what is left. The file itself is not closed."""
        ...
