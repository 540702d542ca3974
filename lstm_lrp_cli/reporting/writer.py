"""What every output can do."""

from typing import Literal, Protocol

from lstm_lrp_cli.sequences.explanation import Explanation

# How finely relevance is told: tokens or their embedding's dimensions, steps or their features.
Detail = Literal["token", "dimension", "step", "feature"]


class Writer(Protocol):
    """Writes explanations one by one, in the order given."""

    def write(self, explanation: Explanation) -> None: ...

    def close(self) -> None:
        """Write what is left. The file itself is not closed."""
        ...
