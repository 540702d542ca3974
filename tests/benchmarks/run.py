"""Measure lrp, beside PyTorch and beside plain code; print tables and write all figures as JSON.

    \b
    pip install -e '.[bench]'
    python tests/benchmarks/run.py -o docs/benchmarks.json

docs/benchmarks.md says what is measured, and how to read it.
"""

import datetime
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import choices
import click
import command
import gradients
import machine
import scaling
import series
import shares
import startup
import targets
import throughput
from rich.console import Console
from rich.table import Table as Grid
from settings import FULL, QUICK, Settings
from tables import Table, model_of, tables


def start_up(settings: Settings) -> Iterator[dict[str, Any]]:
    """One row for each command."""
    yield from startup.measure(settings.startup_repeats)


PARTS: dict[str, Callable[[Settings], Iterator[dict[str, Any]]]] = {
    "throughput": throughput.measure,
    "gradients": gradients.measure,
    "command": command.measure,
    "series": series.measure,
    "scaling": scaling.measure,
    "shares": shares.measure,
    "choices": choices.measure,
    "start-up": start_up,
}


# Of tables, where standard output is no terminal.
WIDTH = 160


class Size(click.ParamType):
    """Two numbers, as 60,60."""

    name = "embedding,hidden"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        try:
            embedding, hidden = map(int, value.split(","))
        except ValueError:
            self.fail(f"expected two numbers such as 60,60; found {value}", param, ctx)
        return embedding, hidden


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Fewer sentences and repeats.")
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="This part.")
@click.option("--size", "sizes", multiple=True, type=Size(), help="This model.")
@click.option("--directions", multiple=True, type=click.IntRange(1, 2), help="One, or both ways.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(["float32", "float64"]))
@click.option("--threads", multiple=True, type=click.IntRange(1))
@click.option("--repeats", type=click.IntRange(1), help="Rounds in which contenders run in turn.")
@click.option("--date", help="When this is measured.  [default: now]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("benchmarks.json"),
    show_default=True,
    help="Where the figures go. Parts that are there and not measured now stay as they are.",
)
def main(
    quick: bool,
    only: tuple[str, ...],
    repeats: int | None,
    date: str | None,
    output: Path,
    **chosen: tuple[Any, ...],
) -> None:
    settings = replace(
        QUICK if quick else FULL, **{name: values for name, values in chosen.items() if values}
    )
    if repeats is not None:
        settings = replace(settings, repeats=repeats, command_repeats=repeats)
    today = date or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    measure(settings, only or tuple(PARTS), today, output)
    show(json.loads(output.read_text("utf-8")))


def measure(settings: Settings, parts: tuple[str, ...], date: str, output: Path) -> None:
    """Measure parts, and write what there is after every row."""
    results = _begun(output)

    def write() -> None:
        results["targets"] = targets.judge(results["parts"])
        results["bounds"] = targets.bounds(results["parts"])
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    for name in parts:
        rows: list[dict[str, Any]] = []
        results["parts"][name] = {"date": date, "settings": asdict(settings), "rows": rows}
        write()
        for row in PARTS[name](settings):
            rows.append(row)
            write()
            click.echo(f"{name}: {model_of(row) if 'threads' in row else len(rows)}", err=True)


def _begun(output: Path) -> dict[str, Any]:
    """The results that a file holds, if they are of this machine."""
    here = machine.describe()
    if not output.exists():
        return {"machine": here, "parts": {}, "targets": [], "bounds": []}
    results: dict[str, Any] = json.loads(output.read_text("utf-8"))
    if not results["parts"]:
        return {**results, "machine": here}
    if results["machine"] != here:
        raise click.ClickException(
            f"{output} was measured on another machine or with other versions; give another -o"
        )
    return results


def show(results: dict[str, Any]) -> None:
    """Print all tables that have rows."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for of_part in tables(results).values():
        for table in of_part:
            if table.rows:
                console.print(table.title, _grid(table), "", sep="\n", highlight=False)


def _grid(table: Table) -> Grid:
    grid = Grid()
    for place, column in enumerate(table.columns):
        grid.add_column(column, justify="right" if place else "left")
    for row in table.rows:
        grid.add_row(*row)
    return grid


if __name__ == "__main__":
    main()
