"""stub"""

from msgspec import Struct


class Span(Struct, frozen=True):
    start: int
    stop: int
    first: int


def block_bytes(model, steps):
    return steps * 8


def count_lines(path, span):
    raise NotImplementedError


def row_groups(path):
    raise NotImplementedError
