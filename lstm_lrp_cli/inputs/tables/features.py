"""Which columns of a table, or values of a step, are the features that a model takes."""

import warnings
from collections.abc import Sequence

from lstm_lrp_cli.errors import LeftOut, UnusableInput
from lstm_lrp_cli.model.model import Input

# How many names a message lists.
LISTED = 8


def places_of_features(names: Sequence[str], read: Input, where: str) -> list[int] | None:
    """Where an input's features stand among named values, in the order in which it takes them.

    Names that are no feature's are left out.

    Parameters
    ----------
    names : sequence of str
        What the values are called.

    Returns
    -------
    list of int or None
        None where all are taken as they stand: nothing says what the features are called.

    Raises
    ------
    UnusableInput
        A feature is missing, or a name stands there twice.
    """
    wanted = read.features
    if wanted is None or tuple(names) == wanted:
        return None
    places = {name: place for place, name in enumerate(names)}
    missing = [name for name in wanted if name not in places]
    if missing:
        of = f"features of `{read.name}`" if read.name else "features"
        raise UnusableInput(
            where,
            f"has no {_listed(missing)} (it has {_listed(names)}); expected the model's {of}: "
            f"{_listed(wanted)}, or `features` in the mapping with the names that stand here",
        )
    if len(places) < len(names):
        twice = [name for place, name in enumerate(names) if places[name] != place]
        raise UnusableInput(where, f"has {_listed(twice)} twice; expected each name once")
    return [places[name] for name in wanted]


def tell_left_out(names: Sequence[str], read: Input, where: str, more: str = "") -> None:
    """Warn, once of each table, of columns that are no features of the model; and say more."""
    taken = set(names if read.features is None else read.features)
    others = [name for name in names if name not in taken]
    if others:
        kept = f"the model's features are {_listed(read.features or ())}"
        message = f"{where}: {_listed(others)} left out; {kept}{more}"
        warnings.warn(message, LeftOut, stacklevel=2)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(f"`{name}`" for name in names[:LISTED]) + more
