"""The pager: on terminals alone, as the picture is made, and quiet when it is quit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from models import KERAS
from processes import LRP, wait_until
from rich.cells import cell_len

if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

import pty
import termios

ROOT = Path(__file__).parents[2]
ROWS, COLUMNS = 24, 60
CODES = re.compile(r"\x1b\[[\d;]*m")
# What would decide in place of the tests.
UNSET = ("COLUMNS", "LINES", "PAGER", "LRP_PAGER", "LESS", "NO_COLOR", "FORCE_COLOR")


class Terminal:
    """A terminal on which `lrp explain` runs, and what it shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._main, self._end = pty.openpty()
        termios.tcsetwinsize(self._end, (ROWS, COLUMNS))
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, *arguments: object, **variables: str) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
        colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        return subprocess.Popen(
            [*LRP, "explain", str(KERAS.model), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=self._end,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env={**inherited, "PYTHONPATH": str(ROOT), **colours, **variables},
        )

    def run(self, *arguments: object, **variables: str) -> tuple[int, str]:
        """Run to the end; status and what was written to standard error."""
        process = self.start(*arguments, **variables)
        _, errors = process.communicate(timeout=180)
        return process.returncode, errors.decode()

    def close(self) -> str:
        """All that it has shown."""
        os.close(self._end)
        self._reader.join(timeout=180)
        os.close(self._main)
        return self._seen.decode()

    def _read(self) -> None:
        with suppress(OSError):  # the other end is closed
            while data := os.read(self._main, 65536):
                self._seen += data

    def paged(self) -> str:
        """What the pagers of these tests write down."""
        path = self.folder / "paged"
        return path.read_text("utf-8") if path.exists() else ""


@pytest.fixture
def terminal(tmp_path):
    return Terminal(tmp_path)


@pytest.mark.parametrize("variable", ["LRP_PAGER", "PAGER"])
def test_shows_what_a_terminal_would_show(terminal, variable):
    status, errors = terminal.run(KERAS.sequences, **{variable: "cat > paged"})
    assert status == 0
    assert "conserved" in errors
    text = terminal.paged()
    assert terminal.close() == ""
    assert "\x1b[38;2;255;255;255;48;2;212;0;24m for the target " in text
    lines = CODES.sub("", text).splitlines()
    assert 50 < max(map(cell_len, lines)) <= COLUMNS


def test_its_own_variable_wins(terminal):
    terminal.run(KERAS.sequences, LRP_PAGER="cat > paged", PAGER="false")
    assert "for the target" in terminal.paged()
    terminal.close()


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--no-pager"], {"LRP_PAGER": "cat > paged"}),
        ([], {"LRP_PAGER": "cat > paged", "LRP_EXPLAIN_NO_PAGER": "1"}),
        ([], {"LRP_PAGER": "cat", "PAGER": "cat > paged"}),
        ([], {"LRP_PAGER": "", "PAGER": "cat > paged"}),
        ([], {"LRP_PAGER": "no-such-pager > paged"}),
        ([], {"LRP_PAGER": "'not closed"}),
        ([], {"LRP_PAGER": "cat > paged", "TERM": "dumb"}),
        (["--format", "tsv"], {"LRP_PAGER": "cat > paged"}),
    ],
)
def test_is_not_used_where_it_is_not_wanted_or_not_there(terminal, arguments, variables):
    status, errors = terminal.run(KERAS.sequences, *arguments, **variables)
    assert (status, "lrp: " in errors) == (0, False)
    assert terminal.paged() == ""
    assert "1" in terminal.close()


def test_is_not_used_for_what_goes_to_a_file(terminal):
    arguments = (KERAS.sequences, "--format", "terminal", "-o", "out")
    assert terminal.run(*arguments, LRP_PAGER="cat > paged")[0] == 0
    assert terminal.paged() == terminal.close() == ""


def test_to_quit_it_early_ends_the_run_quietly(terminal):
    long = terminal.folder / "long.txt"
    long.write_bytes(KERAS.sequences.read_bytes() * 20)
    assert terminal.run(long, LRP_PAGER="head -1 > paged") == (0, "")
    assert "for the target" in terminal.paged()
    terminal.close()


def test_shows_the_first_before_the_last_is_read(terminal):
    process = terminal.start("-", LRP_PAGER="head -1; touch seen; cat > paged")
    assert process.stdin is not None
    process.stdin.write(KERAS.sequences.read_bytes() * 40)
    process.stdin.flush()
    wait_until((terminal.folder / "seen").exists)
    assert process.poll() is None
    process.communicate(timeout=180)
    assert process.returncode == 0
    assert "most for and against each target" in terminal.paged()
    assert "for the target" in terminal.close()


def test_an_interrupt_waits_for_its_end(terminal):
    process = terminal.start("-", LRP_PAGER="touch seen; cat > paged; touch ended")
    assert process.stdin is not None
    wait_until((terminal.folder / "seen").exists)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=180)  # standard input stays open, so that the interrupt alone ends it
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, b"")
    assert (terminal.folder / "ended").exists()
    terminal.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("is_done", [False, True], ids=["amid the work", "while it is read"])
def test_told_to_end_it_does_not_wait_for_who_reads(terminal, number, is_done):
    process = terminal.start("-", LRP_PAGER="touch seen; exec sleep 100")
    assert process.stdin is not None
    wait_until((terminal.folder / "seen").exists)
    if is_done:
        process.stdin.write(b"a good film\n")
        process.stdin.close()
        time.sleep(1)  # in which that is shown
    process.send_signal(number)
    process.stdin = None if is_done else process.stdin
    _, errors = process.communicate(timeout=180)
    assert (process.returncode, errors) == (128 + number, b"")
    terminal.close()


@pytest.mark.parametrize(("less", "expected"), [(None, "FRX"), ("iM", "-R iM")])
def test_less_is_asked_for_colours(terminal, less, expected):
    variables = {} if less is None else {"LESS": less}
    terminal.run(KERAS.sequences, LRP_PAGER='cat > /dev/null; echo "$LESS" > paged', **variables)
    assert terminal.paged() == f"{expected}\n"
    terminal.close()


@pytest.mark.skipif(shutil.which("less") is None, reason="there is no less")
@pytest.mark.parametrize("variables", [{}, {"LESS": "F X"}])
def test_less_prints_what_fits_the_screen(terminal, variables):
    short = terminal.folder / "short.txt"
    short.write_text("a great film\n")
    status, errors = terminal.run(short, **variables)
    assert status == 0
    assert "conserved" in errors
    shown = terminal.close()
    assert "\x1b[38;2;255;255;255;48;2;212;0;24m great " in shown
    assert "ESC" not in shown
