"""A file appears whole or not at all, with nothing beside it that was not there before."""

import fcntl
import gzip
import os
import resource
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest
from models import KERAS

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.running import partial
from lstm_lrp_cli.running.files import open_binary, open_output, open_together


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, *texts):
    write_all(path, texts or ["new\n"])


def halves(error):
    """Parts of a text, and then an error."""
    yield "half" * 10_000
    raise error


def write_all(path, texts):
    with open_output(path) as file:
        for text in texts:
            file.write(text)


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_is_for_whom_the_umask_says(tmp_path, mask, mode):
    with umask(mask):
        write(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o604, 0o666, 0o444, 0o755])
def test_a_file_keeps_its_mode_and_is_read_by_no_one_else_meanwhile(tmp_path, mode):
    path = tmp_path / "out"
    path.write_text("old\n")
    path.chmod(mode)
    with umask(0o027), open_output(path) as file:
        file.write("new\n")
        [other] = [each for each in tmp_path.iterdir() if each != path]
        assert stat.S_IMODE(other.stat().st_mode) == mode
        assert path.read_text() == "old\n"
    assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, "new\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(tmp_path):
    path = tmp_path / "out"
    path.write_text("old\n")
    os.chown(path, 12345, 54321)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "x" * 230 + ".tsv", "\udcff\udcfe"])
def test_a_name_may_be_as_long_as_any_and_of_any_bytes(tmp_path, name):
    write(tmp_path / name)
    assert names(tmp_path) == [name]


def test_a_longer_name_is_an_error_before_the_work(tmp_path):
    with (
        pytest.raises((UnusableInput, OSError), match="too long"),
        open_output(tmp_path / ("x" * 256)),
    ):
        pytest.fail("it was opened")
    assert names(tmp_path) == []


def test_its_other_name_cannot_be_guessed_and_says_what_it_is(tmp_path):
    found = set()
    for _ in range(3):
        with open_output(tmp_path / "out.tsv"):
            [name] = {*names(tmp_path)} - {"out.tsv"}
            assert name.startswith(".out.tsv.lrp-")
            assert name.endswith(".partial")
            found.add(name)
    assert len(found) == 3


@pytest.mark.parametrize("what", ["link", "file"])
def test_what_others_put_in_its_place_is_not_written_to(tmp_path, monkeypatch, what):
    """By chance it has the first name that is tried, though nobody can know that."""
    chances = [b"\0" * 8, b"\1" * 8]
    monkeypatch.setattr(partial.os, "urandom", lambda count: chances.pop(0))
    placed = tmp_path / f".out.lrp-{'00' * 8}.partial"
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    with victim.open() as held:
        if what == "link":
            placed.symlink_to("victim")
        else:
            placed.hardlink_to(victim)
            fcntl.flock(held, fcntl.LOCK_EX)
        write(tmp_path / "out")
    assert victim.read_text() == "precious\n"
    assert (tmp_path / "out").read_text() == "new\n"
    assert names(tmp_path) == sorted([placed.name, "out", "victim"])


class TestWhatAKilledRunLeft:
    @pytest.fixture
    def left(self, tmp_path):
        """By a process that was killed amid its work."""
        program = (
            "import os, sys; from pathlib import Path\n"
            "from lstm_lrp_cli.running.files import open_output\n"
            "with open_output(Path(sys.argv[1])) as file:\n"
            "    file.write('half'); file.flush(); os.kill(os.getpid(), 9)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, tmp_path / "out"], check=False)
        assert done.returncode == -9
        [name] = names(tmp_path)
        return tmp_path / name

    def test_is_taken_away_by_the_next_into_the_same_file(self, tmp_path, left):
        write(tmp_path / "other")
        assert names(tmp_path) == sorted([left.name, "other"])
        write(tmp_path / "out")
        assert names(tmp_path) == ["other", "out"]

    def test_is_no_other_run_that_still_writes(self, tmp_path):
        with open_output(tmp_path / "out") as first:
            first.write("first\n")
            write(tmp_path / "out", "second\n")
            assert (tmp_path / "out").read_text() == "second\n"
        assert (tmp_path / "out").read_text() == "first\n"
        assert names(tmp_path) == ["out"]

    @pytest.mark.parametrize("name", [".out.lrp-1.partial", ".out.lrp-{0}.part", "out.lrp-{0}"])
    def test_is_no_file_of_another_name(self, tmp_path, name):
        kept = tmp_path / name.format("ab" * 8)
        kept.write_text("kept\n")
        write(tmp_path / "out")
        assert kept.read_text() == "kept\n"

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_is_no_pipe_or_folder_and_waits_for_none(self, tmp_path, make):
        placed = tmp_path / f".out.lrp-{'ab' * 8}.partial"
        make(placed)
        write(tmp_path / "out")
        assert names(tmp_path) == sorted([placed.name, "out"])


def test_where_another_takes_it_away_at_that_moment_a_new_one_is_made(tmp_path, monkeypatch):
    lock, taken = fcntl.flock, []

    def taking(descriptor, how):
        if not taken:
            [path] = tmp_path.iterdir()
            taken.append(path)
            path.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(partial.fcntl, "flock", taking)
    write(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "new\n"


def test_without_locks_nothing_is_taken_away(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    left = tmp_path / f".out.lrp-{'ab' * 8}.partial"
    left.write_text("of a run elsewhere, perhaps\n")
    monkeypatch.setattr(partial.fcntl, "flock", unsupported)
    write(tmp_path / "out")
    assert names(tmp_path) == sorted([left.name, "out"])


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".bz2"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, UnusableInput])
def test_an_error_leaves_what_was_there(tmp_path, ending, error):
    path = tmp_path / f"out{ending}"
    path.write_text("old\n")
    raised = error("in", "bad") if error is UnusableInput else error()
    with pytest.raises(error):
        write_all(path, halves(raised))
    assert names(tmp_path) == [path.name]
    assert path.read_text() == "old\n"


def test_compressed_it_has_no_other_name_in_it(tmp_path):
    write(tmp_path / "out.gz", "text\n")
    data = (tmp_path / "out.gz").read_bytes()
    assert gzip.decompress(data) == b"text\n"
    assert b"partial" not in data


def test_several_files_appear_together_or_not_at_all(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]

    def write_each(texts):
        with open_together(paths) as files:
            for file in files:
                file.write(next(texts).encode())
            assert not any(path.exists() for path in paths)

    with pytest.raises(ValueError, match="late"):
        write_each(halves(ValueError("late")))
    assert names(tmp_path) == []
    write_each(iter(["whole"] * 3))
    assert [path.read_bytes() for path in paths] == [b"whole"] * 3
    assert names(tmp_path) == ["a", "b", "c"]


def write_much(path, limits):
    with open_binary(path) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
        file.write(os.urandom(2**18))


@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_on_a_full_disk_the_error_names_the_file(tmp_path, name):
    """No file may be longer than a limit, which is as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / name
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_much(path, limits)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("where", ["none/out", "file/out"])
def test_where_no_file_can_be_made_the_error_names_what_was_asked_for(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises((UnusableInput, OSError), match=where), open_output(tmp_path / where):
        pytest.fail("it was opened")
    assert names(tmp_path) == ["file"]


def test_links_that_go_in_circles_lead_to_no_file(tmp_path, run):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for option in ("-o", "--write-mapping"):
        result = run("inspect", KERAS.model, option, tmp_path / "a")
        assert result.exit_code == 3
        assert "a: cannot be written: Too many levels of symbolic links" in result.stderr
