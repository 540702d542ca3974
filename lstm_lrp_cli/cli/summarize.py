"""`lrp summarize`."""

from pathlib import Path

import click

from lstm_lrp_cli.inputs.stream import STANDARD_INPUT, display_name, format_ending
from lstm_lrp_cli.running.files import STANDARD_OUTPUT, open_output
from lstm_lrp_cli.terminal.screen import progress
from .options.arguments import refuse_same_file
from .options.help import Command

FORMS = ("table", "json", "html")
ENDINGS = {".json": "json", ".html": "html", ".htm": "html"}


@click.command(
    cls=Command,
    examples=(
        "lrp explain model.h5 corpus.txt --format jsonl -q | lrp summarize -",
        "lrp summarize part1.jsonl.gz part2.jsonl.gz --target positive --top 50",
        "lrp summarize results.jsonl -o summary.html",
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
def summarize(
    results: tuple[str, ...],
    top: int,
    min_count: int,
    target: str | None,
    form: str | None,
    output: Path | None,
) -> None:
    """Question a corpus: which tokens drive which class, and where it goes wrong.

    RESULTS are JSON lines or Parquet of lrp explain, compressed or not; - is standard input. For
    each target: the tokens with the most and the least relevance, by mean and in all, and relevance
    by position. Where explain was given labels: the confusion cells with their tokens. And the
    explanations with the worst residuals. Results of several methods have a section for each.
    """
    from lstm_lrp_cli.results.read import read_results
    from lstm_lrp_cli.summarize.summarizer import Summarizer, write_summary

    refuse_same_file({"-o": output}, {source: Path(source) for source in results})
    summarizer = Summarizer(top, min_count, target)
    # Standard input comes from a command that may tell its own progress on the same terminal.
    with progress(STANDARD_INPUT not in results, "explanations") as tell:
        for source in results:
            for block in read_results(source):
                summarizer.add(block, display_name(source))
                tell(summarizer.explanations)
    if not summarizer.explanations:
        others = ", ".join(sorted(summarizer.other_targets)) or "nothing at all"
        raise click.BadParameter(
            f"there are no explanations of {target!r}, but of {others}.", param_hint="--target"
        )
    with open_output(output) as file:
        write_summary(summarizer.summary(), form or _format_of(output), file)


def _format_of(output: Path | None) -> str:
    if output is None or output == STANDARD_OUTPUT:
        return "table"
    return ENDINGS.get(format_ending(output), "table")
