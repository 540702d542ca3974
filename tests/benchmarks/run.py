"""Measure lrp, beside PyTorch; print tables and write the figures as JSON.

    \b
    pip install -e '.[bench]'
    python tests/benchmarks/run.py -o docs/benchmarks.json

docs/benchmarks.md says what is measured.
"""

import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import parts
import timing
from page import shown
from workload import QUICK, Settings

PARTS: dict[str, Callable[[Settings], Iterator[dict[str, Any]]]] = {
    "throughput": parts.throughput,
    "series": parts.series,
    "other-layers": parts.other_layers,
    "command": parts.command,
    "start-up": parts.start_up,
}


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Few sentences, one size, once: to see that it runs.")
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="This part.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("benchmarks.json"),
    show_default=True,
    help="Where the figures go. Parts that are there and not measured now stay as they are.",
)
def main(quick: bool, only: tuple[str, ...], output: Path) -> None:
    settings = QUICK if quick else Settings()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    measure(settings, only or tuple(PARTS), now, output)
    for name, table in shown(json.loads(output.read_text("utf-8"))).items():
        click.echo(f"{name}\n\n{table}")


def measure(settings: Settings, names: tuple[str, ...], date: str, output: Path) -> None:
    """Measure parts, and write what there is after every row."""
    here = timing.machine()
    results: dict[str, Any] = {"machine": here, "parts": {}}
    if output.exists():
        results = json.loads(output.read_text("utf-8"))
    if results["machine"] != here:
        raise click.ClickException(
            f"{output} was measured on another machine or with other versions; give another -o"
        )
    for name in names:
        rows: list[dict[str, Any]] = []
        results["parts"][name] = {"date": date, "settings": asdict(settings), "rows": rows}
        for row in PARTS[name](settings):
            rows.append(row)
            output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            click.echo(f"{name}: {len(rows)}", err=True)


if __name__ == "__main__":
    main()
