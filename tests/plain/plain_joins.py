"""Several values made one, each of them one vector or one vector a step."""

import numpy as np

from lstm_lrp_cli.model import Floats


def join(kind: str, parts: list[Floats]) -> Floats:
    if kind == "concat":
        return np.concatenate(parts, axis=-1)
    joined = parts[0]
    for part in parts[1:]:
        if kind in ("sum", "mean"):
            joined = joined + part
        elif kind == "difference":
            joined = joined - part
        elif kind == "max":
            joined = np.where(part.real > joined.real, part, joined)
        else:
            joined = joined * part
    return joined / len(parts) if kind == "mean" else joined


def largest(parts: list[Floats]) -> Floats:
    """Unit by unit, which of the parts is the largest; among equals, the first."""
    found = np.zeros(parts[0].shape, dtype=int)
    for at in np.ndindex(*parts[0].shape):
        amounts = [float(part[at].real) for part in parts]
        found[at] = amounts.index(max(amounts))
    return found
