"""What all tests share: the command line, and a small model to use or to break."""

import importlib
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result
from hypothesis import settings
from installed import spec_of
from models import SmallModel

from lstm_lrp_cli.cli import main

# A busy machine is no failure, and a test that fails does so again.
settings.register_profile("lrp", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("lrp")

# Where tests are run is no part of them: they set what they depend on.
OF_THE_TERMINAL = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLORFGBG", "TERM")
OF_PROGRAMS = ("PAGER", "LESS", "PYTHONUNBUFFERED")
for name in list(os.environ):
    ours = name.startswith("LRP_") and not name.startswith("LRP_REQUIRE_")
    if ours or name in (*OF_THE_TERMINAL, *OF_PROGRAMS):
        del os.environ[name]

# In a background job, or under nohup, programs that tests start would not hear them.
for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
    if signal.getsignal(number) == signal.SIG_IGN:
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)

Run = Callable[..., Result]
ABSENT = re.compile(r"([\w., -]+?) is not installed|No module named '([^'.]+)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests want what is not installed, and how they are run."""
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    absent = Counter(found[1] or found[2] for each in skipped if (found := ABSENT.search(each)))
    if absent:
        wanted = ", ".join(f"{name.strip()} {count:,}" for name, count in absent.most_common())
        terminalreporter.write_line(
            f"{len(skipped):,} tests are skipped, {absent.total():,} of them for what is not "
            f"installed ({wanted}); pip install -e '.[frameworks,browser,docs]' has it, and "
            "pytest -rs tells of each"
        )


@pytest.fixture
def arrow() -> ModuleType:
    """pyarrow, or skip."""
    spec_of("pyarrow")
    importlib.import_module("pyarrow.parquet")
    return importlib.import_module("pyarrow")


@pytest.fixture
def run() -> Run:
    """Run `lrp` with arguments; the result has stdout, stderr and the exit code."""

    def run_lrp(*arguments: object, input: bytes | str | None = None) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)

    return run_lrp


@pytest.fixture
def small(tmp_path: Path) -> SmallModel:
    return SmallModel(tmp_path)


@pytest.fixture(scope="session")
def framework():
    """Import a framework by name, or skip."""

    def load(name):
        spec_of(name)
        return importlib.import_module(name)

    return load
