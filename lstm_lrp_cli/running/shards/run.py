"""A corpus from shards to parts, and what is told of all of them together."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from itertools import islice
from typing import Any, NamedTuple, Protocol

from lstm_lrp_cli.errors import UnusableInput, reading
from lstm_lrp_cli.inputs.spans import Span, block_bytes
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.results.manifest import MANIFEST, RECEIPTS, manifest_line
from lstm_lrp_cli.running.report import RunReport
from lstm_lrp_cli.terminal.numbers import counted
from lstm_lrp_cli.terminal.screen import parts_progress
from . import LINES, PROBES, REPORT, Failure, Receipt, Shard
from .finding import Cut, cut_files, find_files
from .job import Job, Ready, settle
from .part import figures_of, named, part_name, read_receipt, receipt_name
from .store import Store

# How many receipts are looked at together.
TOGETHER = 500


class Engine(Protocol):
    """Who does the work: processes of this machine, or a cluster."""

    @property
    def workers(self) -> int:
        """How many there are at the moment."""

    def prepared(self, ready: Ready, source: str) -> AbstractContextManager[None]:
        """A context in which it can be given shards of a corpus.

        Workers that cannot do them get none.
        """

    def lines(self, spans: Iterable[tuple[str, Span]]) -> list[int]:
        """The lines of spans of files."""

    def parts(self, shards: Iterable[Shard]) -> Iterator[Receipt | Failure]:
        """What comes of each shard, in whatever order."""


class Sharing(NamedTuple):
    """How a corpus is shared out.

    Parameters
    ----------
    shard_size : int
        About so many bytes of a file are in a shard.
    part, of : int
        Which of several runs this one is, from 1: it does every so-manieth shard.
    keep_going : bool
        Whether shards that fail are passed over.
    quiet : bool
    """

    shard_size: int
    part: int = 1
    of: int = 1
    keep_going: bool = False
    quiet: bool = False


class Outcome(NamedTuple):
    """What came of a run.

    Parameters
    ----------
    done, kept, missing : int
        Parts that were made, that were there, and that are still to be made.
    failures : list of Failure
        Shards that cannot be done before something is mended.
    marked : bool
        Whether texts were marked that a spreadsheet would run as formulas.
    """

    done: int
    kept: int
    missing: int
    failures: list[Failure]
    marked: bool


def run(
    source: str,
    ready: Ready,
    report: RunReport[Any],
    sharing: Sharing,
    engine: Engine,
    model: Model,
) -> Outcome:
    """Make the parts of a corpus that are not there yet, and tell of all of them.

    Parameters
    ----------
    source : str
        A file, a folder, a pattern, or a URL.
    model : Model
        As it is published, before anything is asked of it.

    Raises
    ------
    UnusableInput
        The output has other parts, or a shard cannot be done. What was done stays.
    """
    job, store = ready.job, ready.store
    files = find_files(source, store.root)  # before anything is written
    settle(store, job, model)
    store.clean()
    for name in store.names(PROBES):  # of clusters that were lost
        store.remove(f"{PROBES}/{name}")
    cut = Cut(
        sharing.shard_size,
        block_bytes(ready.rendering.model, ready.rendering.block_steps),
        job.source.format,
        ready.rendering.carried.is_needed,
    )
    failures: list[Failure] = []
    done = 0
    try:
        with engine.prepared(ready, source):

            def count(file: Shard, spans: list[Span]) -> list[int]:
                return _lines(store, engine, file, spans)

            shards = list(cut_files(files, cut, count))
            _refuse_same(store, job, shards)
            _refuse_strange(store, job, shards)
            missing = {
                number: shard
                for number, (shard, receipt) in enumerate(_receipts(store, job, shards))
                if receipt is None
            }
            if missing:  # what tells of all of them would tell of others
                store.remove(MANIFEST)
                store.remove(REPORT)
            to_do = [
                shard
                for number, shard in missing.items()
                if number % sharing.of == sharing.part - 1
            ]
            for result in _results(engine, to_do, sharing):
                if isinstance(result, Receipt):
                    done += 1
                elif sharing.keep_going:
                    failures.append(result)
                else:
                    raise UnusableInput(result.where, result.problem, result.paste)
    finally:
        store.clean()  # of what was under way
    left, marked = _finish(store, job, shards, report)
    if left > len(missing) - done:
        raise UnusableInput(
            store.root,
            f"has not all of the {counted(done, 'part')} that were written there; does something "
            "else remove or change them?",
        )
    return Outcome(done, len(shards) - done - left, left, failures, marked)


def _results(engine: Engine, shards: list[Shard], sharing: Sharing) -> Iterator[Receipt | Failure]:
    """What comes of each shard, while it is shown how far it is."""
    with parts_progress(len(shards), wanted=not sharing.quiet) as tell:
        for result in engine.parts(shards):
            yield result
            if isinstance(result, Receipt):
                tell(result.entry.steps, engine.workers)


def _receipts(
    store: Store, job: Job, shards: list[Shard]
) -> Iterator[tuple[Shard, Receipt | None]]:
    """Each shard with its receipt, where it is done: as asked now, of the file as it is now."""
    rest = iter(shards)
    sizes = store.sizes(part_name(job, shard) for shard in shards)
    while some := list(islice(rest, TOGETHER)):
        receipts = map(read_receipt, store.read(receipt_name(job, shard) for shard in some))
        for shard, receipt, size in zip(some, receipts, islice(sizes, len(some)), strict=True):
            done = receipt is not None and (
                (receipt.key, receipt.mark, receipt.entry.bytes) == (job.key, shard.mark, size)
            )
            yield shard, receipt if done else None


def _refuse_same(store: Store, job: Job, shards: Iterable[Shard]) -> None:
    """Refuse files of which one's part would be in the place of another's, or in its way."""
    parts = {part_name(job, shard): shard for shard in reversed(list(shards))}
    for shard in shards:
        name = part_name(job, shard)
        folders = (name[:place] for place, sign in enumerate(name) if sign == "/")
        other = parts[name] if parts[name] is not shard else None
        other = other or next((parts[folder] for folder in folders if folder in parts), None)
        if other is not None:
            raise UnusableInput(
                store.root,
                f"would have one place for the parts of {other.input} and {shard.input}; rename "
                "one of the files",
            )


def _refuse_strange(store: Store, job: Job, shards: Sequence[Shard]) -> None:
    """Refuse parts of files that are no longer there: they would be taken for results of these.

    Those of files that are cut otherwise now, since they have changed, are removed.
    """
    known = {f"{part_name(job, shard)}.json" for shard in shards}
    strange = sorted(name for name in store.names(RECEIPTS) - known if name.endswith(".json"))
    inputs = {shard.input for shard in shards}
    receipts = map(read_receipt, store.read(f"{RECEIPTS}/{name}" for name in strange))
    left = []
    for name, receipt in zip(strange, receipts, strict=True):
        if receipt is None or receipt.key != job.key or receipt.entry.input not in inputs:
            left.append(name)
            continue
        store.remove(f"{RECEIPTS}/{name}")
        store.remove(name.removesuffix(".json"))  # what a file says of itself may be anything
    if left:
        raise UnusableInput(
            store.root,
            f"has {counted(len(left), 'part')} of files that are not in the input, such as "
            f"{left[0].removesuffix('.json')}; remove them and their receipts in {RECEIPTS}, "
            "or name another folder",
        )


def _lines(store: Store, engine: Engine, file: Shard, spans: list[Span]) -> list[int]:
    """The lines of each span of a file, which are counted once for all runs."""
    name = f"{LINES}/{file.name}.json"
    told = {"mark": file.mark, "spans": [[span.start, span.stop] for span in spans]}
    [data] = store.read([name])
    with suppress(ValueError, TypeError, KeyError):
        found = json.loads(data or b"")
        lines = [int(each) for each in found.pop("lines")]
        if found == told and len(lines) == len(spans):
            return lines
    lines = engine.lines([(file.path, span) for span in spans])
    with store.placed(name) as there:
        there.write(json.dumps(told | {"lines": lines}).encode())
    return lines


def _finish(
    store: Store, job: Job, shards: list[Shard], report: RunReport[Any]
) -> tuple[int, bool]:
    """Count what is there, and where it is all, say so: the manifest, and the report.

    Returns
    -------
    int
        How many parts are still to be made.
    bool
        Whether texts were marked.
    """
    missing, marked = 0, False
    several = len({shard.input for shard in shards}) > 1
    with ExitStack() as stack:
        manifest = stack.enter_context(tempfile.TemporaryFile())
        for _, receipt in _receipts(store, job, shards):
            if receipt is None:
                missing += 1
                continue
            marked = marked or receipt.marked
            if receipt.figures:
                told = named(receipt.figures, receipt.entry.input) if several else receipt.figures
                with reading(f"{store.root}/{RECEIPTS}/{receipt.entry.part}.json"):
                    report.merge(figures_of(told, type(report.figures)))
            manifest.write(manifest_line(receipt.entry))
        if not missing:
            with store.placed(REPORT) as file:
                file.write(report.as_json().encode())
            manifest.seek(0)
            with store.placed(MANIFEST) as file:  # the last: what it names is there
                shutil.copyfileobj(manifest, file)
    return missing, marked
