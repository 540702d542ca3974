"""What is compared, and how."""

from dataclasses import dataclass

from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.engine.methods import UNSIGNED
from lstm_lrp_cli.engine.methods.random_control import RandomControl


@dataclass(frozen=True, slots=True)
class Contestant:
    """A method that is compared with others.

    Parameters
    ----------
    name : str
    methods : tuple of Method
        One; of the random control, one a seed.
    """

    name: str
    methods: tuple[Method, ...]

    @property
    def signed(self) -> bool:
        """Whether its relevance tells what speaks for a class from what speaks against it."""
        return self.name not in UNSIGNED

    @property
    def is_control(self) -> bool:
        """Whether it knows nothing of the model."""
        return isinstance(self.methods[0], RandomControl)


@dataclass(frozen=True, slots=True)
class Experiment:
    """How methods are compared.

    Parameters
    ----------
    deletions : int
        How many steps of a sequence are deleted or inserted, one after another.
    least_steps : int
        Shorter sequences are left out.
    radius : float
        How far the numbers of a sequence are moved to see whether its relevance changes, relative
        to their root mean square.
    draws : int
        How often they are moved; 0 leaves that out.
    seed : int
        Of how they are moved.
    """

    deletions: int = 10
    least_steps: int = 10
    radius: float = 0.1
    draws: int = 10
    seed: int = 0
