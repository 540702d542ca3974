"""Corpora in shards: INPUT and -o may be folders or URLs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lstm_lrp_cli.inputs.spans import as_path, is_url
from lstm_lrp_cli.inputs.stream import COMPRESSIONS, STANDARD_INPUT
from lstm_lrp_cli.outputs import OUTPUTS
from .arguments import Command, group

if TYPE_CHECKING:
    from lstm_lrp_cli.model.model import Model
    from lstm_lrp_cli.running.blocks import ToExplain
    from lstm_lrp_cli.running.predictions import ToPredict
    from lstm_lrp_cli.running.report import RunReport
    from lstm_lrp_cli.running.shards.cluster import Cluster
    from lstm_lrp_cli.running.shards.run import Engine, Outcome
    from lstm_lrp_cli.running.stream import Destination
    from .inputs import InputOptions

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
USUAL_SIZE = 128 * UNITS["M"]
# What --help but names.
RARE = ("shard_size", "part", "keep_going", "compress", "cluster")
# The exit status where a cluster was lost.
LOST = 4
# Of shards that fail so many are listed.
LISTED = 20


class ShardOptions(NamedTuple):
    """How a corpus is shared out."""

    shard_size: int | None
    part: tuple[int, int] | None
    keep_going: bool
    compress: str | None
    cluster: str | None

    def refuse(self) -> None:
        """Refuse what is asked of parts, where there are none."""
        for option, value in (
            ("--shard-size", self.shard_size),
            ("--part", self.part),
            ("--keep-going", self.keep_going),
            ("--compress", self.compress),
            ("--cluster", self.cluster),
        ):
            if value:
                raise click.UsageError(
                    f"{option} is for parts of a corpus; expected a folder or a URL behind -o, "
                    "such as -o out/."
                )


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)B?", value.upper())
    if found is None or not int(found[1]):
        raise click.BadParameter(f"{value!r} is no size; expected one such as 64M.", ctx, param)
    return int(found[1]) * UNITS[found[2]]


def _part(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", value)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(
            f"{value!r} is no part; expected K/N with K from 1 to N, such as 3/16.", ctx, param
        )
    return int(found[1]), int(found[2])


cluster_option = click.option(
    "--cluster",
    metavar="WHERE",
    help="Have Dask's workers do it: local, tcp://, tls://, a scheduler's file, or slurm.",
)
shard_options: Callable[[Command], Command] = group(
    "shards",
    ShardOptions,
    click.option(
        "--shard-size",
        callback=_size,
        metavar="SIZE",
        help="Cut files at about SIZE.  [default: 128M]",
    ),
    click.option("--part", callback=_part, metavar="K/N", help="Do each Nth shard, from the Kth."),
    click.option("--keep-going", is_flag=True, help="Pass over shards that fail, and list them."),
    click.option(
        "--compress",
        type=click.Choice([each.ending[1:] for each in COMPRESSIONS]),
        help="Compress each part.",
    ),
    cluster_option,
)


def corpus(given: InputOptions) -> str:
    """The one file, folder, pattern or URL that is shared out."""
    if given.text and not given.inputs:
        raise click.UsageError(
            "-o is a folder, and --text gives one sentence; name a file with -o."
        )
    if len(given.inputs) != 1 or given.inputs[0] == STANDARD_INPUT:
        raise click.UsageError(
            "-o is a folder, so INPUT is one file, folder, pattern in quotes, or URL."
        )
    if given.label is not None and given.label.endswith(".npy"):
        raise click.UsageError(
            "--label: a file of labels is of one file; expected a column's name."
        )
    return as_path(given.inputs[0])


def refuse_within(source: str, output: str) -> None:
    """Refuse to write parts where they would be read as input, or where nobody finds them."""
    if output.startswith("memory://"):
        raise click.UsageError(f"-o {output} is gone when this run ends; name a folder or a store.")
    if os.path.isfile(output.rstrip("/")):
        raise click.UsageError(f"-o {output} is a file; name a folder, or leave the slash out.")
    if is_url(source) or is_url(output):
        inside = f"{output.rstrip('/')}/".startswith(f"{source.rstrip('/')}/")
    else:
        folder, below = os.path.realpath(source), os.path.realpath(output)
        inside = os.path.isdir(folder) and os.path.commonpath([folder, below]) == folder
    if inside:
        raise click.UsageError(f"-o {output} is in INPUT: parts would be read as input.")


def write_parts(
    dtype: str,
    given: InputOptions,
    model: Model,
    asking: ToExplain | ToPredict,
    report: RunReport[Any],
    to: Destination,
    shards: ShardOptions,
) -> None:
    """Make the parts of a corpus that are not there yet, and tell of all of them."""
    from lstm_lrp_cli.running.shards.job import Job, Ready, asked_of
    from lstm_lrp_cli.running.shards.run import Sharing, run
    from lstm_lrp_cli.running.shards.store import open_store
    from lstm_lrp_cli.running.stream import MARKED, tell, usual_jobs
    from lstm_lrp_cli.terminal.text import say

    assert to.folder is not None
    source, output = corpus(given), as_path(to.folder)
    refuse_within(source, output)
    if shards.compress and OUTPUTS[asking.form].binary:
        raise click.UsageError(
            f"--compress: a {asking.form} file that is compressed as a whole is read by no program."
        )
    size = shards.shard_size or USUAL_SIZE
    compress = f".{shards.compress}" if shards.compress else ""
    settings = asked_of(model, asking, given.source, (dtype, size, compress))
    job = Job(asking.rendering, given.source, dtype, settings, compress)
    ready = Ready(job, job.make(model), open_store(output))
    part, of = shards.part or (1, 1)
    sharing = Sharing(size, part, of, shards.keep_going, to.quiet)
    jobs = to.jobs or usual_jobs()
    with _engine(shards.cluster, jobs, quiet=to.quiet) as engine:
        outcome = run(source, ready, report, sharing, engine, model)
    if not to.quiet:
        say(_told(outcome, to.folder))
    tell(report, to, [MARKED] * outcome.marked)
    for failure in outcome.failures[:LISTED]:
        say(f"{failure.where}: {failure.problem}")
    if outcome.failures:
        failed = len(outcome.failures)
        told = f", of which {LISTED} are told" if failed > LISTED else ""
        say(f"{failed:,} of the shards failed{told}; mended, the same command does them alone")
        click.get_current_context().exit(3)


@contextmanager
def _engine(cluster: str | None, jobs: int, *, quiet: bool) -> Iterator[Engine]:
    """Processes of this machine, or a cluster."""
    if cluster is None:
        from lstm_lrp_cli.running.shards.here import Here

        yield Here(jobs)
    else:
        with on_cluster(cluster, jobs, quiet=quiet) as engine:
            yield engine


@contextmanager
def on_cluster(cluster: str, jobs: int, *, quiet: bool) -> Iterator[Cluster]:
    """A cluster; where it is lost, the same can be run again."""
    from lstm_lrp_cli.running.shards.cluster import connected
    from lstm_lrp_cli.running.shards.crew import ClusterLost
    from lstm_lrp_cli.terminal.text import say

    try:
        with connected(cluster, jobs, quiet=quiet) as engine:
            yield engine
    except ClusterLost:
        say(f"--cluster: {cluster} was lost; what is done is kept: run the same command again")
        click.get_current_context().exit(LOST)


def _told(outcome: Outcome, folder: str) -> str:
    """How many parts there are, and how many are still to be made."""
    from lstm_lrp_cli.terminal.numbers import counted

    made = f"{counted(outcome.done, 'part')} written to {folder}"
    before = f", {outcome.kept:,} were there" if outcome.kept else ""
    left = outcome.missing
    missing = f", {left:,} {'is' if left == 1 else 'are'} still to be made" if left else ""
    return f"{made}{before}{missing}"
