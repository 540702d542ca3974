"""What a model is: layers, how they are connected, and the arrays that are passed around."""

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Booleans = NDArray[np.bool_]


Gate = Literal["i", "f", "g", "o"]

GATES: Final[tuple[Gate, ...]] = ("i", "f", "g", "o")
INPUT, FORGET, CANDIDATE, OUTPUT = range(4)
