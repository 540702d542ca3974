"""Work is shared out among processes, and its results come in the order of the tasks."""

import os
import signal
import time
from multiprocessing.context import ForkProcess as Process

import pytest

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.running import processes as workers
from lstm_lrp_cli.running.processes import TASKS_EACH, shared_out


def squares(task):
    """Several results a task; the earlier tasks take longer."""
    time.sleep(0.02 * max(3 - task, 0))
    yield task
    yield task**2


def failing(task):
    yield task
    if task == 5:
        raise UnusableInput("in.txt: line 5", "is not text", "a: mend")


def own_process(task):
    yield os.getpid()


def dying(task):
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    yield task


def collected(work, tasks, jobs):
    """What came, and the error that ended it."""
    found = []
    try:
        with shared_out(work, tasks, jobs) as results:
            found.extend(results)
    except UnusableInput as error:
        return found, error
    return found, None


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(jobs):
    found, _ = collected(squares, range(20), jobs)
    assert found == [result for task in range(20) for result in (task, task**2)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_where_a_task_fails_what_came_before_is_given_first(jobs):
    found, error = collected(failing, range(20), jobs)
    assert found == [0, 1, 2, 3, 4, 5]
    assert str(error) == "in.txt: line 5: is not text\na: mend"
    assert error.paste == "a: mend"


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("readable", [0, 1, 2, 9])
def test_where_the_tasks_fail_those_before_are_done_first(jobs, readable):
    def tasks():
        yield from range(readable)
        raise UnusableInput("in.txt", "ends early")

    found, error = collected(squares, tasks(), jobs)
    assert found == [result for task in range(readable) for result in (task, task**2)]
    assert str(error) == "in.txt: ends early"


@pytest.mark.parametrize(("tasks", "jobs"), [(1, 4), (9, 1)])
def test_one_task_or_one_job_starts_no_process(tasks, jobs):
    found, _ = collected(own_process, range(tasks), jobs)
    assert set(found) == {os.getpid()}


def test_several_tasks_are_done_by_other_processes():
    found, _ = collected(own_process, range(30), 2)
    assert os.getpid() not in found
    assert len(set(found)) == 2


def test_few_tasks_are_taken_in_advance():
    taken = []

    def tasks():
        for task in range(100):
            taken.append(task)
            yield task

    with shared_out(squares, tasks(), 2) as results:
        next(results)
        assert len(taken) <= 2 * TASKS_EACH


def test_a_process_that_is_killed_is_an_error_and_not_a_wait():
    found, error = collected(dying, range(40), 2)
    assert found == sorted(found)
    assert "ended early, with status -9" in str(error)


def test_processes_end_with_the_work():
    with shared_out(own_process, range(10), 2) as results:
        pids = set(results)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_interrupt_amid_their_start_waits_until_all_are_there_and_ends_them(monkeypatch):
    """Where it falls into a fork, Python drops it, or the new process tells of it."""
    started = []
    start = Process.start

    def interrupted(process):
        os.kill(os.getpid(), signal.SIGINT)
        start(process)
        started.append(process)

    monkeypatch.setattr(Process, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        collected(own_process, range(9), 3)
    assert len(started) == 3
    assert [process.exitcode for process in started] == [-signal.SIGKILL] * 3


class Unsendable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raising(task):
    raise Unsendable("one", "two")
    yield


def test_an_error_that_cannot_be_sent_says_the_same():
    with pytest.raises(RuntimeError, match="one and two"), shared_out(raising, range(9), 2) as all_:
        list(all_)


def test_where_no_process_can_be_started_the_error_names_the_option(monkeypatch):
    def fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    found, error = collected(squares, range(9), 2)
    assert found == []
    assert str(error).startswith("--jobs: no process can be started: Resource temporarily")


def test_where_some_processes_can_be_started_they_do_the_work(monkeypatch):
    fork, started = os.fork, []

    def once():
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(True)
        return fork()

    monkeypatch.setattr(os, "fork", once)
    assert collected(squares, range(9), 3) == ([r for t in range(9) for r in (t, t**2)], None)


def large(task):
    for part in range(6):
        yield task, bytes([part]) * 2**20


def test_large_results_out_of_turn_wait_and_come_in_order(monkeypatch):
    monkeypatch.setattr(workers, "MOST_HELD", 2**20)
    found, _ = collected(large, range(12), 3)
    assert [(task, data[0]) for task, data in found] == [
        (t, p) for t in range(12) for p in range(6)
    ]


def test_results_are_given_before_a_slow_input_is_waited_for():
    taken = []

    def slowly():
        for task in range(12):
            taken.append(task)
            yield task
            time.sleep(0.3)

    with shared_out(own_process, slowly(), 4) as results:
        next(results)
        assert len(taken) <= 4
