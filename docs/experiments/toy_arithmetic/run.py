"""Measure every method on the toy task's models, and write the table of README.md.

Needs NumPy and `lrp` alone. Run from anywhere: python docs/experiments/toy_arithmetic/run.py
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from task import TASKS, Task, counted_steps, parts

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parents[2] / "sample_models"
RESULTS = HERE / "results.json"
PAGE = HERE / "README.md"
BEGIN, END = "<!-- table {} -->\n\n", "\n<!-- end of table -->\n"

METHODS = (
    "lrp-all",
    "lrp-half",
    "lrp-prop",
    "lrp-abs",
    "gradient",
    "gradient-x-input",
    "integrated-gradients",
    "occlusion",
    "omission",
    "contextual-decomposition",
    "random",
)
# Cell states are small here, most below 0.2: of these, the default stabilizer takes some percent
# at every step.
SMALL_EPS = "1e-6"
LRP_METHODS = METHODS[:4]


@dataclass(frozen=True)
class Explained:
    """One method's relevance of one sequence.

    Parameters
    ----------
    values : ndarray, shape (steps, features)
    relevance : ndarray, shape (steps,)
    score : float
    """

    values: np.ndarray
    relevance: np.ndarray
    score: float


@dataclass(frozen=True)
class Measures:
    """What one method does in one model.

    Parameters
    ----------
    first, second : float
        Correlation, over sequences, of a counted number's relevance with its part in the answer.
    share : float
        The mean part of the absolute relevance that the two counted numbers have.
    missing : float
        The median over sequences of |score - sum of relevance| / |score|.
    """

    first: float
    second: float
    share: float
    missing: float


def explain(model: Path, series: Path, *options: str) -> dict[str, list[Explained]]:
    """Run `lrp explain` on a model; every method's relevance of every sequence."""
    command = [sys.executable, "-m", "lstm_lrp_cli", "explain", str(model), str(series)]
    settings = ["--by", "step", "--format", "jsonl", "--quiet", "--jobs", "1", *options]
    run = subprocess.run([*command, *settings], stdout=subprocess.PIPE, check=True)
    explained: dict[str, list[Explained]] = {}
    for line in run.stdout.splitlines():
        found = json.loads(line)
        (score,) = found["scores"]
        one = Explained(np.array(found["values"]), np.array(found["relevance"]), score)
        explained.setdefault(found["method"], []).append(one)
    return explained


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; 0 where one of them is constant, for then it tells nothing of the other."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def measure(task: Task, sequences: Sequence[Explained]) -> Measures:
    """Hold one method's relevance against what is known of the task."""
    truth = np.array([parts(task, one.values) for one in sequences])
    found = np.array([one.relevance[counted_steps(one.values)] for one in sequences])
    sizes = np.array([np.abs(one.relevance).sum() for one in sequences])
    sums = np.array([one.relevance.sum() for one in sequences])
    scores = np.array([one.score for one in sequences])
    return Measures(
        first=correlation(truth[:, 0], found[:, 0]),
        second=correlation(truth[:, 1], found[:, 1]),
        share=float((np.abs(found).sum(axis=1) / sizes).mean()),
        missing=float(np.median(np.abs(scores - sums) / np.abs(scores))),
    )


def measure_model(task: Task, model: Path) -> Iterator[tuple[str, Measures]]:
    """Measure every method in one model, LRP also with a small stabilizer."""
    series = model.parents[1] / "series.csv"
    for method, found in explain(model, series, "--method", ",".join(METHODS)).items():
        yield method, measure(task, found)
    options = ("--method", ",".join(LRP_METHODS), "--eps", SMALL_EPS)
    for method, found in explain(model, series, *options).items():
        yield f"{method}, eps {SMALL_EPS}", measure(task, found)


def models(task: Task) -> list[Path]:
    """The weight files of all models of a task."""
    return sorted((SAMPLES / f"toy_{task.name}").glob("*/model.npz"))


def percent(numbers: Sequence[float]) -> str:
    """A mean and a deviation over models, in percent."""
    mean, deviation = 100 * np.mean(numbers), 100 * np.std(numbers)
    return f"{mean:z,.1f} ± {deviation:,.1f}"


def table(results: dict[str, list[Measures]]) -> str:
    """The rows of one task: methods, each with its measures over all models."""
    lines = [
        "| method | correlation, first number | second number | share of both | missing |",
        "|---|---|---|---|---|",
    ]
    for method, found in results.items():
        columns = zip(*map(astuple, found), strict=True)
        lines.append(f"| {method} | {' | '.join(map(percent, columns))} |")
    return "".join(f"{line}\n" for line in lines)


def page(results: dict[str, dict[str, list[Measures]]]) -> str:
    """README.md with the tables of these results."""
    text = PAGE.read_text("utf-8")
    for task, found in results.items():
        begin = BEGIN.format(task)
        before, rest = text.split(begin)
        _, after = rest.split(END, 1)
        text = before + begin + table(found) + END + after
    return text


def read_results() -> dict[str, dict[str, list[Measures]]]:
    """What was measured last."""
    return {
        task: {method: [Measures(**one) for one in found] for method, found in methods.items()}
        for task, methods in json.loads(RESULTS.read_text("utf-8")).items()
    }


def main() -> None:
    """Measure, print the tables, and write results.json and README.md."""
    results: dict[str, dict[str, list[Measures]]] = {}
    for task in TASKS:
        found = results.setdefault(task.name, {})
        for model in models(task):
            for method, measures in measure_model(task, model):
                found.setdefault(method, []).append(measures)
        print(f"{task.name}\n\n{table(found)}")
    plain = {
        task: {method: [vars(one) for one in found] for method, found in methods.items()}
        for task, methods in results.items()
    }
    RESULTS.write_text(f"{json.dumps(plain, indent=1)}\n", encoding="utf-8", newline="\n")
    PAGE.write_text(page(results), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
