"""How all sample models write their text files."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write text with the same line ends on every system."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def write_samples(folder: Path, samples: Iterable[tuple[str, str]]) -> None:
    """Write pairs of label and sentence to try, without and with their labels."""
    pairs = list(samples)
    write_lines(folder / "sentences.txt", (text for _, text in pairs))
    write_lines(folder / "labelled.txt", (f"{label}\t{text}" for label, text in pairs))


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write down and print what was measured."""
    text = json.dumps(metrics, indent=2)
    write_lines(folder / "metrics.json", [text])
    print(text)
