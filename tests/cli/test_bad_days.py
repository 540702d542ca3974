"""Closed and full streams, no place for files, little memory: one error each, or success."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from models import KERAS, WEATHER
from processes import LRP, copies_of, members, wait_until

if sys.platform != "linux":
    pytest.skip("as Linux has them", allow_module_level=True)

EXPLAIN = ("explain", KERAS.model, "in.txt", "-q", "--jobs", "2")


@pytest.fixture
def shell(tmp_path):
    """Run `lrp` as a shell does, with what the shell does to it before and behind."""
    (tmp_path / "in.txt").write_text("a good film\n" * 3000)

    def run(*arguments, before="", behind="", **environment):
        command = " ".join(f"'{argument}'" for argument in (*LRP, *arguments))
        return subprocess.run(
            ["bash", "-c", f"{before} {command} {behind}"],
            capture_output=True,
            check=False,
            timeout=180,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("behind", ["2>/dev/full", "<&- >&- 2>&-"])
def test_without_a_standard_error_the_work_is_done(shell, tmp_path, behind):
    done = shell(*EXPLAIN, "-o", "out.tsv", behind=behind)
    assert done.returncode == 0
    written = (tmp_path / "out.tsv").read_text()
    assert written.startswith("sequence\t")
    assert written.count("\n") == 9001
    assert names(tmp_path) == ["in.txt", "out.tsv"]


@pytest.mark.parametrize(
    ("arguments", "behind", "status"),
    [(("explain", "none.h5", "in.txt"), "2>&-", 3), (("explain",), "2>/dev/full", 2)],
)
def test_nor_is_the_status_another(shell, arguments, behind, status):
    assert shell(*arguments, behind=behind).returncode == status


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("check", "--help"), ("completion", "fish")]
)
def test_what_standard_output_does_not_take_is_one_error(shell, arguments):
    done = shell(*arguments, behind=">/dev/full")
    assert (done.returncode, done.stderr) == (3, b"lrp: output: No space left on device\n")


def test_no_home_and_no_folder_for_temporary_files(shell, tmp_path):
    before = "unset HOME USER LOGNAME;"
    done = shell(*EXPLAIN, "-o", "out.npz", before=before, TMPDIR="/nonexistent")
    assert (done.returncode, done.stderr) == (0, b"")
    assert names(tmp_path) == ["in.txt", "out.npz"]


@pytest.mark.parametrize("piped", ["series.npy", "in.txt"])
def test_a_full_folder_of_temporary_files_is_one_error(shell, tmp_path, piped):
    """As no file may be longer than 48 KiB, which is less than what is put there."""
    np.save(tmp_path / "series.npy", np.zeros((3000, 24, 4)))
    before = f"ulimit -f 48; cat {piped} |"
    if piped == "in.txt":
        command = (*EXPLAIN, "-o", "out.npz")
    else:
        command = ("explain", WEATHER.model, "-", "-q", "-o", "out.tsv")
    done = shell(*command, before=before)
    assert done.returncode == 3
    assert done.stderr == (
        b"lrp: the folder of temporary files: cannot be written to: File too large; set TMPDIR to "
        b"one that has room\n"
    )
    assert names(tmp_path) == ["in.txt", "series.npy"]


def test_a_full_disk_names_the_file(shell, tmp_path):
    done = shell(*EXPLAIN, "-o", "out.html", before="ulimit -f 48;")
    assert (done.returncode, done.stderr) == (3, b"lrp: out.html: File too large\n")
    assert names(tmp_path) == ["in.txt"]


@pytest.mark.parametrize("limit", ["-n 20", "-n 10", "-v 300000", "-v 60000"])
def test_few_descriptors_and_little_memory(shell, tmp_path, limit):
    """20 descriptors and 300 MB are enough, also for several processes."""
    (tmp_path / "in.txt").write_text("a good film\n" * 24_000)
    done = shell(*EXPLAIN, "-o", "out.tsv", before=f"ulimit {limit};")
    if limit in ("-n 20", "-v 300000"):
        assert (done.returncode, done.stderr) == (0, b"")
        assert names(tmp_path) == ["in.txt", "out.tsv"]
    else:
        assert done.returncode == 3
        assert done.stderr.count(b"\n") == 1
        assert b"internal error" not in done.stderr
        assert names(tmp_path) == ["in.txt"]


def test_two_runs_into_one_file_leave_one_whole(shell, tmp_path):
    again = " ".join(map(str, (*LRP, *EXPLAIN)))
    done = shell(*EXPLAIN, "-o", "out.tsv", behind=f"& {again} -o out.tsv; wait")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "out.tsv").read_text().count("\n") == 9001
    assert names(tmp_path) == ["in.txt", "out.tsv"]


def test_the_processes_of_a_killed_run_end_at_once(tmp_path):
    """Amid their work, which takes much longer."""
    (tmp_path / "in.txt").write_text(f"{'a good film ' * 100}\n" * 100)
    command = (*EXPLAIN[:2], tmp_path / "in.txt", "--method", "occlusion", "--jobs", "2")
    process = subprocess.Popen(
        [*LRP, *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: len(copies_of(process.pid)) == 2)
    process.kill()
    process.wait()
    wait_until(lambda: not members(process.pid), 2)


def test_a_process_that_no_signal_ends_by_itself_ends(tmp_path):
    """The first of a container: Linux drops its signals, but for those that it handles."""
    unshare = ["unshare", "--fork", "--pid", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces can be made here")
    process = subprocess.Popen(
        [*unshare, *LRP, "explain", KERAS.model, "-", "-o", tmp_path / "out.tsv"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: bool(names(tmp_path)))
    [first] = [pid for pid in members(os.getpgid(process.pid)) if pid_in_its_own(pid) == 1]
    os.kill(first, signal.SIGTERM)
    assert process.wait(timeout=180) == 128 + signal.SIGTERM
    assert names(tmp_path) == []
    process.stdin.close()
    process.stderr.close()


def pid_in_its_own(pid):
    """A process's number in the innermost of its namespaces."""
    with open(f"/proc/{pid}/status") as file:
        [line] = [line for line in file if line.startswith("NSpid:")]
    return int(line.split()[-1]) if len(line.split()) > 2 else 0
