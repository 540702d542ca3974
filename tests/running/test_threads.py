"""Runs that share a machine do not get in each other's way."""

from models import KERAS
from threadpoolctl import threadpool_info


def test_matrix_products_take_one_thread_during_a_run_and_as_many_as_before_after_it(
    run, monkeypatch
):
    from lstm_lrp_cli.engine import forward

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    seen: list[set[int]] = []
    right = forward.lstm.run

    def watched(*arguments):
        seen.append(threads())
        return right(*arguments)

    monkeypatch.setattr(forward.lstm, "run", watched)
    before = threads()
    assert run("explain", KERAS.model, KERAS.sequences).exit_code == 0
    assert run("check", KERAS.model, KERAS.sequences).exit_code == 0
    assert seen
    assert all(found == {1} for found in seen)
    assert threads() == before
