"""The threads of NumPy's matrix products."""

import threading
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


class _OneThread(AbstractContextManager[None]):
    """Holds BLAS to one thread from when a thread of this process enters it until that leaves it.

    Other threads that enter it meanwhile find it so. They do not take it over when the first one
    leaves: OpenBLAS may not let one thread give back what another one has taken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._owner is None:
                self._limits = _blas().limit(limits=1, user_api="blas")
                self._owner = threading.get_ident()
            self._depth += self._owner == threading.get_ident()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= self._owner == threading.get_ident()
            if self._owner is not None and not self._depth:
                self._limits.restore_original_limits()
                self._owner = None


_ONE_THREAD = _OneThread()


def one_blas_thread() -> AbstractContextManager[None]:
    """Hold NumPy's matrix products to one thread, as a context manager.

    The products of single steps are too small to be shared out. Threads that wait for each other
    gain little on an idle machine, and where several runs share it they take ten times as long.
    BLAS has the threads that it had before when the outermost one is left.
    """
    return _ONE_THREAD


@cache
def _blas() -> ThreadpoolController:
    """NumPy's BLAS; to look for it among all libraries that are loaded takes a millisecond."""
    import numpy  # noqa: F401  # it must be loaded to be found

    return ThreadpoolController().select(user_api="blas")
