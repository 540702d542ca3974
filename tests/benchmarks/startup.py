"""How long commands take to start, beside what they must import at least.

    python tests/benchmarks/startup.py [REPEATS]

Whole processes are timed: `lrp` as it is installed beside this Python, and this Python. An editable
install takes longer to start than a user's.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "sample_models"
LRP = Path(sys.executable).with_name("lrp")

REPEATS = 15
CLICK = "import click"
LIBRARIES = "import numpy, h5py, click"
# Each sample model: its file, its sequences, and how many lines of those are the first sequence.
ONE_SEQUENCE = (
    ("sentiment_pytorch/model.npz", "sentences.txt", 1),
    ("sentiment_keras/model.h5", "sentences.txt", 1),
    ("weather_series/model.h5", "series.csv", 29),
)


@dataclass(frozen=True, slots=True)
class Start:
    """A command, and the imports that it is held against."""

    name: str
    arguments: tuple[str, ...]
    yardstick: str


def measure(repeats: int) -> list[dict[str, Any]]:
    """One row for each command: its seconds, its yardstick's, and their ratio, each a median.

    A command and its yardstick run in turn; the ratio is the median of those of each turn.
    """
    with tempfile.TemporaryDirectory() as folder:
        return [_row(start, repeats) for start in _starts(Path(folder))]


def _starts(folder: Path) -> list[Start]:
    starts = [
        Start("lrp --version", ("--version",), CLICK),
        Start("lrp --help", ("--help",), CLICK),
    ]
    for name, sequences, lines in ONE_SEQUENCE:
        model = SAMPLES / name
        one = folder / f"{model.parent.name}{Path(sequences).suffix}"
        text = model.with_name(sequences).read_text("utf-8")
        one.write_text("".join(text.splitlines(keepends=True)[:lines]), "utf-8")
        arguments = ("explain", str(model), str(one))
        starts.append(Start(f"lrp explain {name}", arguments, LIBRARIES))
    return starts


def _row(start: Start, repeats: int) -> dict[str, Any]:
    command = [str(LRP), *start.arguments]
    yardstick = [sys.executable, "-c", start.yardstick]
    for warm_up in (command, yardstick):
        _seconds(warm_up)
    turns = [(_seconds(command), _seconds(yardstick)) for _ in range(repeats)]
    return {
        "command": start.name,
        "yardstick": start.yardstick,
        "seconds": statistics.median(own for own, _ in turns),
        "yardstick_seconds": statistics.median(least for _, least in turns),
        "ratio": statistics.median(own / least for own, least in turns),
    }


def _seconds(command: Sequence[str]) -> float:
    """Wall time of a process, from before it is made until it is gone."""
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    print(f"{'command':44}{'ms':>8}{'yardstick':>30}{'ms':>8}{'ratio':>8}")
    for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS):
        own, least = row["seconds"] * 1e3, row["yardstick_seconds"] * 1e3
        print(f"{row['command']:44}{own:8.0f}{row['yardstick']:>30}{least:8.0f}{row['ratio']:8.2f}")


if __name__ == "__main__":
    main()
