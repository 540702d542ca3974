"""The processes of this machine as the engine: each does one shard after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from lstm_lrp_cli.inputs.spans import Span, count_lines
from lstm_lrp_cli.running.processes import shared_out
from . import Failure, Receipt, Shard
from .job import Ready
from .part import make_part

# Receipts come in the shards' order, and are small: while one shard takes long, many others go on.
AHEAD = 1000


class Here:
    """Processes of this machine.

    Parameters
    ----------
    workers : int
        How many there are.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._ready: Ready | None = None

    @contextmanager
    def prepared(self, ready: Ready, source: str) -> Iterator[None]:
        self._ready = ready
        yield

    def lines(self, spans: Iterable[tuple[str, Span]]) -> list[int]:
        with shared_out(_lines, spans, self.workers, AHEAD) as found:
            return list(found)

    def parts(self, shards: Iterable[Shard]) -> Iterator[Receipt | Failure]:
        with shared_out(self._part, shards, self.workers, AHEAD) as found:
            yield from found

    def _part(self, shard: Shard) -> Iterator[Receipt | Failure]:
        assert self._ready is not None
        yield make_part(self._ready, shard)


def _lines(of: tuple[str, Span]) -> Iterator[int]:
    yield count_lines(*of)
