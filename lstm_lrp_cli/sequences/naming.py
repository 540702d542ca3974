"""The order of names."""

import re
from collections.abc import Iterable


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people do: series2 before series10."""

    def key(name: str) -> list[tuple[int, int, str]]:
        parts = re.findall(r"\d+|\D+", name)
        return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts]

    return sorted(names, key=key)
