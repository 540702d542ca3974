"""Inputs are told apart by how they begin, however slowly they come."""

import gzip
import io
import json
import os
import sys

import pytest

from lstm_lrp_cli.inputs.stream import on_disk, open_input


class Dripping(io.RawIOBase):
    """A pipe that hands out one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        return self._data.readinto(memoryview(buffer)[:1])


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_whole_of_a_slow_stream_is_read(monkeypatch, compress):
    text = b"the film\nis not bad\n" * 50
    stdin = io.TextIOWrapper(io.BufferedReader(Dripping(compress(text)), buffer_size=1))
    monkeypatch.setattr(sys, "stdin", stdin)
    with open_input("-") as opened:
        assert opened.beginning.startswith(b"the film\n")
        assert opened.file.read() == text


def test_json_lines_are_recognised_however_long_and_slow(run, small, monkeypatch):
    tokens = ["the", "film"] * 2000
    data = json.dumps({"tokens": tokens}).encode() + b"\n"
    result = run("explain", small.save(), "-", "--format", "jsonl", input=data)
    assert json.loads(result.stdout)["tokens"] == tokens


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no file without an end")
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_of_what_is_no_array_no_more_than_the_beginning_is_copied(ending):
    with open_input("/dev/zero") as opened, on_disk(opened, ending) as path:
        assert path.stat().st_size < 10**7
