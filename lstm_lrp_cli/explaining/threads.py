"""Threads of NumPy's matrix products."""

from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def one_blas_thread() -> AbstractContextManager[object]:
    """Matrix products by one thread: the engine's are small, and threads get in their way."""
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits
