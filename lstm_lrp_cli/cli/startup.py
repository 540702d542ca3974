"""What makes `lrp` start fast, beyond importing only what a command uses."""

import atexit
import gc
import os
from functools import cache

# Python searches for garbage after every 700 new objects that may hold others. Imports make tens
# of thousands, all to stay; what a corpus leaves behind is freed by counting references.
OBJECTS_BETWEEN_SEARCHES = 100_000


@cache
def start_fast() -> None:
    """Set up the process; to be called before NumPy is imported.

    Each of the three saves about a tenth of the time in which one sentence is explained, and the
    first much more on a busy machine.
    """
    # OpenBLAS starts a thread for every core as NumPy is imported, and each spins for a while in
    # wait of work, which a run in one thread (`scaling.threads`) never gives it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)
    # What is alive at exit ends with the process; there is no garbage to look for among it.
    atexit.register(gc.freeze)
