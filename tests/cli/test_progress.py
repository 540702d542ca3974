"""Progress is shown on a terminal, and nowhere else."""

import io
import sys

import pytest

from lstm_lrp_cli.terminal.screen import counting


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("total", "shown"), [(8, "3/8"), (None, "3/?")])
def test_a_bar_says_how_many_of_how_many(monkeypatch, total, shown):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with counting("sequences") as tell:
        tell(3, total)
    assert shown in sys.stderr.getvalue()
    assert "sequences" in sys.stderr.getvalue()


def test_a_pipe_gets_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with counting("sequences") as tell:
        tell(3, 8)
    assert sys.stderr.getvalue() == ""
