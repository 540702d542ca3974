"""Parts of files of lines: together they are the whole, line by line and block by block."""

import io
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_lrp_cli.inputs.lines import blocks_of_lines
from lstm_lrp_cli.inputs.spans import Span, count_lines, from_span

LINES = st.lists(
    st.sampled_from([b"", b"a", b"\r", b"the film", b"x" * 40, b"y" * 200, b"\xef\xbb\xbf"]),
    max_size=60,
)


def blocks(path, size, span=None):
    with path.open("rb") as opened, from_span(str(path), opened, span) as (file, part):
        return [(each.first, each.data) for each in blocks_of_lines(file, "in", size, part)]


@settings(max_examples=200)
@given(
    lines=LINES,
    ended=st.booleans(),
    bom=st.booleans(),
    size=st.integers(1, 70),
    cuts=st.sets(st.integers(1, 60)),
)
def test_parts_have_the_blocks_of_the_whole(lines, ended, bom, size, cuts):
    data = b"\xef\xbb\xbf" * bom + b"\n".join(lines) + b"\n" * ended
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.txt"
        path.write_bytes(data)
        inner = sorted(cut * size for cut in cuts if cut * size < len(data))
        found, first = [], 1
        for start, stop in pairwise([0, *inner, len(data)]):
            span = Span(start, stop, first)
            found += blocks(path, size, span)
            first += count_lines(str(path), span)
        assert found == blocks(path, size)


@given(lines=LINES, ended=st.booleans(), beyond=st.integers(0, 300))
def test_a_span_may_end_beyond_its_file(lines, ended, beyond):
    data = b"\n".join(lines) + b"\n" * ended
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.txt"
        path.write_bytes(data)
        counted = count_lines(str(path), Span(0, len(data) + beyond, 1))
    assert counted == len(data.split(b"\n")) - (data.endswith(b"\n") or not data)


@given(lines=LINES, size=st.integers(1, 70))
def test_a_block_has_the_lines_that_begin_between_two_multiples(lines, size):
    data = b"".join(each + b"\n" for each in lines)
    file = io.BufferedReader(io.BytesIO(data))
    found = [each.data for each in blocks_of_lines(file, "in", size)]
    places, at = {}, 0
    for line in lines:
        places.setdefault(at // size, []).append(line + b"\n")
        at += len(line) + 1
    told = [b"".join(each) for each in places.values()]
    # The mark of UTF-8 that a text begins with is no part of it.
    assert found == [told[0].removeprefix(b"\xef\xbb\xbf"), *told[1:]] if told else not found
