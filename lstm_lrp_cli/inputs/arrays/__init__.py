"""Arrays of the user: which of a file's are the sequences, and which their true classes."""

from msgspec import Struct


class AsArrays(Struct, frozen=True):
    """What is said of the arrays of a file.

    Parameters
    ----------
    array : str or None
        The one that has the sequences; None is the one that the model can take.
    labelled : bool
        Whether true classes are asked for.
    label : str or None
        The array that has them; None is `y`, or what is called like the sequences' array.
    """

    array: str | None = None
    labelled: bool = False
    label: str | None = None
