"""Give damaged files of every kind to `lrp`: `python -m tests.fuzz --minutes 10`.

Exit status 1 where one crashes it, hangs it, takes too much memory, or ends in anything but results
or an error of one line.
"""

import sys
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent)]

import click  # noqa: E402

from fuzz.campaign import KINDS, THERE, Figures, hostile, numbered, run  # noqa: E402


@click.command(context_settings={"show_default": True})
@click.option("--minutes", default=10.0, help="When to stop.")
@click.option("--files", default=10**9, help="At most so many of each kind.")
@click.option("--seed", default=0, help="Other numbers make other files.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Only these.")
@click.option("--hostile", "pattern", help="Instead, files made on purpose: * or a pattern.")
@click.option("--jobs", default=2, help="Processes beside this one.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for what is found.")
def campaign(
    minutes: float,
    files: int,
    seed: int,
    kinds: tuple[str, ...],
    pattern: str | None,
    jobs: int,
    keep: Path | None,
) -> None:
    """Damaged files of every kind, in processes with limits of time and memory."""
    chosen = list(kinds or THERE)
    begun = time.monotonic()
    every = numbered(chosen, seed, begun + 60 * minutes, files)
    if pattern is not None:
        every = iter(hostile(pattern))
        chosen = list(dict.fromkeys(each.kind for each in hostile(pattern)))
    figures = run(every, chosen, jobs, keep)
    for line in table(figures):
        click.echo(line)
    total = sum(sum(each.outcomes.values()) for each in figures.values())
    if missing := [] if kinds or pattern else [kind for kind in KINDS if kind not in THERE]:
        click.echo(f"not tried, for what they need is not installed: {', '.join(missing)}")
    click.echo(f"{total:,} files in {time.monotonic() - begun:.0f} s, seed {seed}")
    sys.exit(any(each.findings for each in figures.values()))


def table(figures: dict[str, Figures]) -> list[str]:
    """Figures by kind, as a table of Markdown, and the findings below it."""
    lines = ["| kind | files | refused | of them by the net | read | slowest | memory | findings |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for kind, each in figures.items():
        counts = each.outcomes
        refused = counts["refused"] + counts["net"]
        lines.append(
            f"| {kind} | {counts.total():,} | {refused:,} | {counts['net']:,} | {counts['read']:,} "
            f"| {each.slowest:.1f} s | {each.memory / 1e6:.0f} MB | {counts['finding']:,} |"
        )
    for kind, each in figures.items():
        for said, count in each.findings.most_common():
            lines.append(f"finding: {kind}: {count} times {said}")
        for said, count in each.nets.most_common(20):
            lines.append(f"net: {kind}: {count} times {said}")
    return lines


if __name__ == "__main__":
    campaign()
