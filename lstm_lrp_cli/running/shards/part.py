"""From a shard to its part and receipt: what is done where the work is done."""

from __future__ import annotations

import io
import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.windows import one_blas_thread
from lstm_lrp_cli.inputs.read import Block, are_dated, read_blocks
from lstm_lrp_cli.inputs.stream import COMPRESSIONS
from lstm_lrp_cli.outputs import OUTPUTS
from lstm_lrp_cli.results.manifest import RECEIPTS, Entry
from lstm_lrp_cli.running.blocks import BlockRendering, Rendering
from lstm_lrp_cli.running.figures import RunFigures
from . import Failure, Receipt, Shard
from .job import Job, Ready, refuse_other

Counted = TypeVar("Counted", bound=RunFigures)
# What a format's files end in, where that is not its name.
ENDINGS = {"parquet-nested": "parquet"}
# What is counted by several numbers, which are no keys in JSON.
COUNTERS = ("taken", "pairs")


def part_name(job: Job, shard: Shard) -> str:
    """What a shard's part is called, below the output."""
    form = job.settings["form"]
    return f"{shard.name}.{ENDINGS.get(form, form)}{job.compress}"


def receipt_name(job: Job, shard: Shard) -> str:
    return f"{RECEIPTS}/{part_name(job, shard)}.json"


def make_part(ready: Ready, shard: Shard) -> Receipt | Failure:
    """Write a shard's part, then its receipt.

    What a user has to mend is a result. All else is raised: it may go well at another time, or
    elsewhere.
    """
    began = time.monotonic()
    job, store = ready.job, ready.store
    try:
        refuse_other(store, job)
        with one_blas_thread():
            receipt = _written(ready, shard)
    except UnusableInput as error:
        return Failure(error.where, error.problem, error.paste)
    receipt = msgspec.structs.replace(receipt, seconds=round(time.monotonic() - began, 3))
    with store.placed(receipt_name(job, shard)) as file:
        file.write(to_json(receipt))
    return receipt


def _written(ready: Ready, shard: Shard) -> Receipt:
    """The receipt of a part that is written."""
    job, name = ready.job, part_name(ready.job, shard)
    rendering, blocks = _dated(_of_shard(ready.rendering, shard), job, shard)
    figures: RunFigures | None = None
    with ready.store.placed(name) as placed:
        counted = _Counted(placed)
        with _opened(counted, job, rendering) as file, rendering.sink(file) as sink:
            writer = rendering.writer(sink)
            writer.open()
            for block in blocks:
                for found in rendering.write(block, writer):
                    if figures is None:
                        figures = found
                    else:
                        figures.merge(found)
            writer.close()
    span = shard.span
    entry = Entry(
        part=name,
        input=shard.input,
        start=0 if span is None else span.start,
        stop=None if span is None else span.stop,
        first=1 if span is None else span.first,
        sequences=0 if figures is None else figures.sequences,
        steps=0 if figures is None else figures.together.steps,
        bytes=counted.size,
    )
    told = {} if figures is None else figures_told(figures)
    worker = f"{platform.node()}:{os.getpid()}"
    return Receipt(job.key, shard.mark, entry, told, writer.marked, worker=worker)


def _of_shard(rendering: BlockRendering[Any, Any], shard: Shard) -> BlockRendering[Any, Any]:
    """How a shard is written: what is kept of the run names its input, and no state is carried."""
    if isinstance(rendering, Rendering):
        return replace(rendering, about={**rendering.about, "input": shard.input})
    return replace(rendering)  # type: ignore[type-var]


def _dated(
    rendering: BlockRendering[Any, Any], job: Job, shard: Shard
) -> tuple[BlockRendering[Any, Any], Iterator[Block]]:
    """How it is written, by whether steps at the file's beginning have dates; and its blocks."""
    model, steps = rendering.model, rendering.block_steps
    source = msgspec.structs.replace(job.source, path=shard.path)
    dated, blocks = are_dated(read_blocks(source, model, steps), model)
    if shard.span is not None:
        blocks = read_blocks(msgspec.structs.replace(source, span=shard.span), model, steps)
    return rendering.with_dates() if dated else rendering, blocks


@contextmanager
def _opened(file: io.RawIOBase, job: Job, rendering: BlockRendering[Any, Any]) -> Iterator[Any]:
    """A file for what a rendering writes: of text or bytes, compressed or not."""
    with ExitStack() as stack:
        found: Any = stack.enter_context(io.BufferedWriter(file))
        if job.compress:
            [compression] = [each for each in COMPRESSIONS if each.ending == job.compress]
            found = stack.enter_context(compression.open(found, "wb"))
        if not OUTPUTS[rendering.form].binary:
            found = stack.enter_context(io.TextIOWrapper(found, "utf-8", newline=""))
        yield found


class _Counted(io.RawIOBase):
    """What is written to a file, and how many bytes that is."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self.size += len(view)
        return len(view)


def figures_told(figures: RunFigures) -> dict[str, Any]:
    """Figures as JSON has them."""
    told: dict[str, Any] = msgspec.to_builtins(figures)
    for name in COUNTERS:
        if name in told:
            told[name] = [[*key, count] for key, count in getattr(figures, name).items()]
    return told


def figures_of(told: Mapping[str, Any], kind: type[Counted]) -> Counted:
    """Figures that JSON has.

    Raises
    ------
    msgspec.ValidationError, TypeError, ValueError
        They are none.
    """
    found = dict(told)
    for name in COUNTERS:
        if name in found:
            found[name] = Counter({tuple(key): int(count) for *key, count in found[name]})
    return msgspec.convert(found, kind)


def named(told: Any, name: str) -> Any:
    """Figures whose sequences are numbers in a file, which is named as well."""
    if isinstance(told, list):
        return [named(each, name) for each in told]
    if not isinstance(told, dict):
        return told
    found = {key: named(value, name) for key, value in told.items()}
    if isinstance(found.get("sequence"), int):
        found["sequence"] = f"{found['sequence']} of {name}"
    if "first_empty" in found:
        found["first_empty"] = [f"{number} of {name}" for number in found["first_empty"]]
    return found


def to_json(receipt: Receipt) -> bytes:
    """A receipt as JSON, which has NaN and Infinity where a figure is none."""
    import json

    return json.dumps(msgspec.to_builtins(receipt)).encode()


def read_receipt(data: bytes | None) -> Receipt | None:
    """A receipt; None where there is none, or what is there is none."""
    import json

    if data is None:
        return None
    try:
        return msgspec.convert(json.loads(data), Receipt)
    except (ValueError, msgspec.ValidationError, RecursionError):
        return None
