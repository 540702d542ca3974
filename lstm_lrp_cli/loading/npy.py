"""A single NumPy array in a .npy file, never unpickled."""

import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.errors import UnusableInput

# What NumPy raises at an array that is cut short or whose header is damaged.
DAMAGED = (ValueError, EOFError, OSError, SyntaxError, tokenize.TokenError)


def open_npy(path: Path, where: str) -> NDArray[Any]:
    """Map a .npy file into memory; nothing is read until it is used.

    Parameters
    ----------
    where : str
        What errors call the file.

    Raises
    ------
    UnusableInput
        It is no whole .npy file, or holds pickled objects.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UnusableInput(where, "there is no such file") from error
    except DAMAGED as error:
        raise UnusableInput(
            where,
            f"is not a whole .npy file of numbers ({error}); pickled objects are never executed",
        ) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise UnusableInput(where, "is a whole NPZ archive; call it .npz")
    return array
