"""The process of `lrp`, which is the same as `python -m lstm_lrp_cli`."""

import atexit
import gc
import os

# Python looks for garbage after every 700 new objects that may hold others. Imports make tens of
# thousands, all to stay; what a corpus leaves behind is freed by counting references.
OBJECTS_BETWEEN_SEARCHES = 100_000


def run() -> None:
    """Run the command line, which is imported when the process is set up for it."""
    start_fast()
    from lstm_lrp_cli.cli import main

    main(prog_name="lrp")


def start_fast() -> None:
    """Set up the process, before NumPy is imported.

    Of the time in which one sentence is explained, the searches for garbage took an eighth, and
    BLAS's threads up to a fifth where other programs kept the cores busy.
    """
    # OpenBLAS starts a thread for every core as NumPy is imported, and each spins for a while in
    # wait of work, which a run in one thread (`scaling.threads`) never gives it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES)
    # What is alive at exit ends with the process; there is no garbage to look for among it.
    atexit.register(gc.freeze)


if __name__ == "__main__":
    run()
