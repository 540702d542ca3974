"""Runs that share a machine do not get in each other's way."""

import os
import subprocess
import sys
import threading
import timeit
from pathlib import Path

import pytest
from models import KERAS
from threadpoolctl import threadpool_info, threadpool_limits

from lstm_lrp_cli.explaining.windows import one_blas_thread

ROOT = Path(__file__).parents[2]


def threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_matrix_products_take_one_thread_during_a_run_and_as_many_as_before_after_it(
    run, monkeypatch
):
    from lstm_lrp_cli.engine import recurrent

    seen: list[set[int]] = []
    right = recurrent.run

    def watched(*arguments):
        seen.append(threads())
        return right(*arguments)

    monkeypatch.setattr(recurrent, "run", watched)
    before = threads()
    assert run("explain", KERAS.model, KERAS.sequences).exit_code == 0
    assert run("check", KERAS.model, KERAS.sequences).exit_code == 0
    assert seen
    assert all(found == {1} for found in seen)
    assert threads() == before


@pytest.fixture
def three():
    """BLAS has three threads, as a notebook may have asked for."""
    with threadpool_limits(limits=3, user_api="blas"):
        if threads() != {3}:
            pytest.skip("NumPy's BLAS does not take a number of threads")
        yield


@pytest.mark.usefixtures("three")
class TestOneBlasThread:
    def test_gives_back_what_was_there_once_the_outermost_is_left(self):
        with one_blas_thread():
            with one_blas_thread():
                assert threads() == {1}
            assert threads() == {1}
        assert threads() == {3}

    def test_gives_it_back_after_an_error_and_each_time_anew(self):
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            raise ZeroDivisionError
        assert threads() == {3}
        with threadpool_limits(limits=2, user_api="blas"):
            with one_blas_thread():
                assert threads() == {1}
            assert threads() == {2}

    def test_gives_it_back_whichever_threads_are_within_it(self):
        entered, left = threading.Event(), threading.Event()

        def other():
            with one_blas_thread():
                entered.set()
                left.wait(60)

        thread = threading.Thread(target=other)
        with one_blas_thread():
            thread.start()
            assert entered.wait(60)
            assert threads() == {1}
        assert threads() == {3}
        left.set()
        thread.join()
        assert threads() == {3}

    def test_costs_next_to_nothing_within_another(self):
        def enter():
            with one_blas_thread():
                pass

        with one_blas_thread():
            best = min(timeit.repeat(enter, number=1000, repeat=5)) / 1000
        assert best < 20e-6  # 1 µs on an idle machine


def test_the_library_leaves_the_environment_alone():
    code = (
        "import os; before = dict(os.environ)\n"
        "import lstm_lrp_cli.running.stream\n"
        "from lstm_lrp_cli.explaining.windows import one_blas_thread\n"
        "with one_blas_thread(): assert dict(os.environ) == before\n"
        "assert dict(os.environ) == before\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
