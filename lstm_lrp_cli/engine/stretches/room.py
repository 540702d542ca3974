"""How much memory there is for what must be kept of a long sequence, asked before it is taken."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

from lstm_lrp_cli.engine.records import TooLarge

# Arrays that take less are not asked about.
ASKED_FROM = 2**26
# Of a group of processes that may take no more together: what it may, and a table of what it has
# taken, of which files that could be read again are no part.
GROUPS = (
    ("memory.max", "memory.stat", "anon"),
    ("memory/memory.limit_in_bytes", "memory/memory.stat", "total_rss"),
)
ROOT = Path("/sys/fs/cgroup")


def check_room(does: str, *sizes: int) -> None:
    """Refuse to take more memory than there is.

    Parameters
    ----------
    does : str
        What needs it.
    sizes : int
        Those of an array, whose product are its bytes.

    Raises
    ------
    TooLarge
        There is less.
    """
    needed = math.prod(sizes)
    if needed > ASKED_FROM and needed > (there := available()):
        raise TooLarge(does, needed, there)


def available() -> int:
    """About how many bytes this process can still take; very many where the system does not say."""
    found = [sys.maxsize]
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for most, table, taken in GROUPS:
        with suppress(OSError, ValueError, KeyError):  # "max" is no limit
            lines = (ROOT / table).read_text(encoding="ascii").splitlines()
            own = int(dict(line.split(" ", 1) for line in lines)[taken])
            found.append(int((ROOT / most).read_text(encoding="ascii")) - own)
    with suppress(ImportError, OSError, ValueError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            found.append(limit - pages * os.sysconf("SC_PAGE_SIZE"))
    return max(min(found), 0)
