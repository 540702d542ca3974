"""How many threads a run takes."""

from threadpoolctl import threadpool_limits


def one_blas_thread() -> threadpool_limits:
    """Hold NumPy's matrix products to one thread, as a context manager.

    The products of single steps are too small to be shared out. Threads that wait for each other
    gain little on an idle machine, and where several runs share it they take ten times as long.
    """
    return threadpool_limits(limits=1, user_api="blas")
