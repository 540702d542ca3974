"""What is said on standard error fits the terminal: lines are folded between words."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from forking import forked_lrp
from models import KERAS
from processes import run_lrp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals differ")
LABELLED = KERAS.sequences.with_name("labelled.txt")
COMMANDS = {
    "explain": ("explain", KERAS.model, LABELLED, "--labelled", "-o", "/dev/null"),
    "predict": ("predict", KERAS.model, LABELLED, "--labelled", "-o", "/dev/null"),
    "a warning": ("explain", KERAS.model, KERAS.sequences, "--eps", "1e-300", "-o", "/dev/null"),
    "an error": ("explain", KERAS.model, "no_such_sentences.txt"),
}


def on_terminal(arguments, columns):
    """What a terminal of so many columns shows of standard error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [*forked_lrp(), *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 2**16):
            shown += piece
    except OSError:  # what Linux says at the end
        pass
    finally:
        os.close(ours)
    process.wait(timeout=180)
    return shown.decode("utf-8").replace("\r\n", "\n").lstrip("\n")


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_and_no_word_is_broken(name, columns):
    piped = run_lrp(*COMMANDS[name]).stderr.decode("utf-8")
    shown = on_terminal(COMMANDS[name], columns)
    longest = max(map(len, piped.split()))
    assert max(map(len, shown.splitlines())) <= max(columns, longest + 16)
    assert shown.split() == piped.split()


def test_a_percentage_stays_with_its_number_and_what_is_folded_stands_below_the_text():
    shown = on_terminal(COMMANDS["predict"], 40)
    assert not any(line.lstrip().startswith("%") for line in shown.splitlines())
    [place] = [k for k, line in enumerate(shown.splitlines()) if line.startswith("accuracy")]
    assert shown.splitlines()[place + 1].startswith(" " * 13)


def test_a_pipe_and_a_file_get_whole_lines(tmp_path):
    report = tmp_path / "report.txt"
    piped = run_lrp(*COMMANDS["explain"]).stderr.decode("utf-8")
    assert on_terminal((*COMMANDS["explain"], "-q", "--report", report), 40) == ""
    assert report.read_text("utf-8") == piped
    assert max(map(len, piped.splitlines())) > 80
