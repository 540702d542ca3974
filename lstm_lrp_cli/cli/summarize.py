"""`lrp summarize`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.inputs.stream import STANDARD_INPUT, display_name, format_ending
from lstm_lrp_cli.running.files import STANDARD_OUTPUT, open_output
from lstm_lrp_cli.terminal.screen import progress
from .options.arguments import refuse_part, refuse_same_file
from .options.help import Command
from .options.shards import cluster_option, on_cluster

if TYPE_CHECKING:
    from lstm_lrp_cli.results.read import ResultFile
    from lstm_lrp_cli.summarize.summarizer import Summarizer

FORMS = ("table", "json", "html")
ENDINGS = {".json": "json", ".html": "html", ".htm": "html"}


@click.command(
    cls=Command,
    examples=(
        "lrp explain model.h5 corpus.txt --format jsonl -q | lrp summarize -",
        "lrp summarize part1.jsonl.gz part2.jsonl.gz --target positive --top 50",
        "lrp summarize OUT/ -o summary.html",
    ),
)
@click.argument("results", nargs=-1, required=True)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many tokens, cells and residuals are told.",
)
@click.option(
    "--min-count",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Tokens seen less often are not ranked by mean.",
)
@click.option("--target", metavar="CLASS", help="Only explanations of this class, or difference.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="[default: by the ending of -o (.json, .html), else table]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE (.gz, .xz, .bz2: compressed).",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that read several files.  [default: one for each core, at most 8]",
)
@cluster_option
def summarize(
    results: tuple[str, ...],
    top: int,
    min_count: int,
    target: str | None,
    form: str | None,
    output: Path | None,
    jobs: int | None,
    cluster: str | None,
) -> None:
    """Question a corpus: which tokens drive which class, and where it goes wrong.

    RESULTS are JSON lines or Parquet of lrp explain, compressed or not, or folders of such parts;
    - is standard input. For each target: the tokens with the most and the least relevance, by mean
    and in all, and relevance by position. Where explain was given labels: the confusion cells with
    their tokens. And the explanations with the worst residuals. Results of several methods have a
    section for each.
    """
    from lstm_lrp_cli.results.read import result_files
    from lstm_lrp_cli.summarize.summarizer import Summarizer, write_summary

    refuse_same_file({"-o": output}, {source: Path(source) for source in results})
    refuse_part(output, results)
    summarizer = Summarizer(top, min_count, target)
    files = chain.from_iterable(map(result_files, results))
    if cluster is None:
        _count(summarizer, files, jobs, results)
    else:
        _count_there(summarizer, files, cluster, jobs, results)
    if not summarizer.explanations:
        if target is None:
            raise UnusableInput(display_name(results[0]), "has no explanations")
        others = ", ".join(sorted(summarizer.other_targets)) or "nothing at all"
        raise click.BadParameter(
            f"there are no explanations of {target!r}, but of {others}.", param_hint="--target"
        )
    with open_output(output) as file:
        write_summary(summarizer.summary(), form or _format_of(output), file)


def _count(
    summarizer: Summarizer, files: Iterator[ResultFile], jobs: int | None, results: Sequence[str]
) -> None:
    """Count what is in files; where there are several, by several processes, each for itself."""
    # Standard input is read by this process, and comes from a command that may tell its own
    # progress on the same terminal.
    is_alone = STANDARD_INPUT not in results
    first = list(islice(files, 2))
    if len(first) == 1:
        with progress(is_alone, "explanations") as tell:
            for block in first[0].blocks():
                summarizer.add(block, display_name(first[0].source))
                tell(summarizer.explanations)
        return
    from lstm_lrp_cli.running.processes import shared_out
    from lstm_lrp_cli.running.stream import usual_jobs

    processes = (jobs or usual_jobs()) if is_alone else 1
    with (
        shared_out(summarizer.of_file, chain(first, files), processes) as counted,
        progress(is_alone, "explanations") as tell,
    ):
        for each in counted:
            summarizer.merge(each)
            tell(summarizer.explanations)


def _count_there(
    summarizer: Summarizer,
    files: Iterator[ResultFile],
    cluster: str,
    jobs: int | None,
    results: Sequence[str],
) -> None:
    """Have the workers of a cluster count what is in files, each for itself."""
    import msgspec

    from lstm_lrp_cli.running.shards.crew import absolute
    from lstm_lrp_cli.running.stream import usual_jobs

    if STANDARD_INPUT in results:
        raise click.UsageError("--cluster: standard input is read by one process; name files.")
    there = (msgspec.structs.replace(each, path=absolute(each.path)) for each in files)
    with (
        on_cluster(cluster, jobs or usual_jobs(), quiet=True) as engine,
        engine.prepared(None, *results),
        progress(True, "explanations") as tell,
    ):
        for each in engine.in_order(summarizer.empty().of_file, there):
            summarizer.merge(each)
            tell(summarizer.explanations)


def _format_of(output: Path | None) -> str:
    if output is None or output == STANDARD_OUTPUT:
        return "table"
    return ENDINGS.get(format_ending(output), "table")
