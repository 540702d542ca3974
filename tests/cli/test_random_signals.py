"""Signals at random moments; `tests/support/signals.py` sends as many as one likes."""

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("Linux tells of processes", allow_module_level=True)

from signals import Room, cases, tried

SIGNALS = 6


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return Room(tmp_path_factory.mktemp("room"))


@pytest.mark.parametrize("case", cases(SIGNALS, seed=18, into=["out.tsv", "pipe"]), ids=str)
def test_leaves_nothing_behind_and_ends_as_it_should(room, case):
    _, wrong = tried(case, room)
    assert wrong == []
