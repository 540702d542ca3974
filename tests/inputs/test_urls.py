"""Inputs at URLs: they are read as files are, and what a store says is one clear error."""

import gzip
import io

import pytest
from installed import spec_of
from models import SmallModel
from processes import run_lrp

spec_of("fsspec")

import fsspec  # noqa: E402

from lstm_lrp_cli.errors import UnusableInput  # noqa: E402
from lstm_lrp_cli.inputs.spans import Span, StoreFailed, count_lines, file_system, from_line  # noqa: E402
from lstm_lrp_cli.inputs.stream import open_input  # noqa: E402

LINES = [b"the film is " + b"not " * (number % 7) + b"bad\n" for number in range(5000)]
DATA = b"".join(LINES)


@pytest.fixture
def memory():
    """A store in this process, with one file."""
    store = fsspec.filesystem("memory")
    store.pipe_file("/urls/in.txt", DATA)
    store.pipe_file("/urls/in.txt.gz", gzip.compress(DATA))
    yield store
    store.rm("/urls", recursive=True)


@pytest.mark.parametrize("name", ["in.txt", "in.txt.gz"])
def test_are_read_as_files_are(memory, name):
    with open_input(f"memory://urls/{name}") as opened:
        assert opened.file.read() == DATA
        assert opened.plain_path is None


def test_are_read_from_a_line_on_without_what_is_before_it(memory, monkeypatch):
    places = []
    seek = type(memory.open("/urls/in.txt")).seek
    monkeypatch.setattr(
        type(memory.open("/urls/in.txt")),
        "seek",
        lambda file, at: places.append(at) or seek(file, at),
    )
    begins = len(b"".join(LINES[:3000]))
    with from_line("memory://urls/in.txt", begins - 3) as (file, at):
        assert (at, file.readline()) == (begins, LINES[3000])
    assert [at for at in places if at] == [begins - 4]
    assert count_lines("memory://urls/in.txt", Span(begins, len(DATA), 3001)) == 2000


def test_are_explained_as_files_are(tmp_path):
    SmallModel(tmp_path).save()
    (tmp_path / "in.txt").write_text("the film\nis not bad\n")
    by_url = run_lrp("explain", "model.npz", f"file://{tmp_path}/in.txt", cwd=tmp_path)
    by_name = run_lrp("explain", "model.npz", "in.txt", cwd=tmp_path)
    assert by_url.returncode == by_name.returncode == 0
    assert by_url.stdout == by_name.stdout != b""


class Broken(io.RawIOBase):
    """A file of a store that breaks after its first bytes, by an error of its own."""

    def seek(self, at, whence=0):
        self.at = at
        return at

    def readinto(self, buffer):
        if self.at:
            raise RuntimeError("the line went dead")
        buffer[: len(LINES[0])] = LINES[0]
        self.at = len(LINES[0])
        return self.at


class TestAStoreThatStops:
    """It says nothing of the file: another time all may go well."""

    URL = "memory://urls/in.txt"
    TOLD = "stopped amid it: RuntimeError: the line went dead"

    @pytest.fixture(autouse=True)
    def broken(self, memory, monkeypatch):
        monkeypatch.setattr(type(memory), "open", lambda *_: Broken())

    def test_amid_an_input(self):
        with pytest.raises(StoreFailed) as raised, open_input(self.URL) as opened:
            opened.file.read()
        assert (raised.value.filename, raised.value.strerror) == (self.URL, self.TOLD)

    def test_while_lines_are_counted(self):
        with pytest.raises(StoreFailed) as raised:
            count_lines(self.URL, Span(0, len(DATA), 1))
        assert (raised.value.filename, raised.value.strerror) == (self.URL, self.TOLD)

    def test_is_told_by_the_command_line(self, run, tmp_path):
        SmallModel(tmp_path).save()
        result = run("explain", tmp_path / "model.npz", self.URL, "--input-format", "txt")
        assert result.exit_code == 3
        assert f"{self.URL}: {self.TOLD}" in result.stderr


class TestAStoreThatCannotBeReached:
    def test_is_not_said_to_lack_the_file(self, memory, monkeypatch):
        def opened(*_):
            raise FileNotFoundError("in.txt") from ConnectionError("nobody answers")

        monkeypatch.setattr(type(memory), "open", opened)
        with pytest.raises(StoreFailed, match="cannot be opened: ConnectionError: nobody answ"):
            open_input("memory://urls/in.txt").__enter__()

    @pytest.mark.parametrize("error", [OSError("no\nlibrary\n" * 99), TypeError("no token")])
    def test_is_one_short_line(self, monkeypatch, error):
        def refused(*_, **__):
            raise error

        monkeypatch.setattr(fsspec, "url_to_fs", refused)
        with pytest.raises(UnusableInput, match=r"^x://a: cannot be opened: \w+: no ") as raised:
            file_system("x://a")
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 250

    def test_which_nobody_knows(self):
        with pytest.raises(UnusableInput, match="is no URL that fsspec knows"):
            file_system("nope://x")


def test_a_file_that_is_not_there():
    with pytest.raises(UnusableInput, match="there is no such input file"):
        open_input("memory://urls/none.txt").__enter__()
