"""Arrays of a file are taken in the order of their names, as people count."""

import pytest

from lstm_lrp_cli.inputs.stream import natural_order


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["s10", "s9", "s1"], ["s1", "s9", "s10"]),
        (["b", "a"], ["a", "b"]),
        (["b/2", "b/10", "a/3"], ["a/3", "b/2", "b/10"]),
        (["10", "9", "x"], ["9", "10", "x"]),
    ],
)
def test_natural_order(names, ordered):
    assert natural_order(names) == ordered
