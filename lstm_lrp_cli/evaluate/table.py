"""The result of `lrp evaluate` as tables or as JSON."""

from __future__ import annotations

import importlib.util
import math
import re
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from rich.console import Console
from rich.table import Table

from lstm_lrp_cli.errors import UnusableInput, printable
from lstm_lrp_cli.explaining.difference import Difference
from lstm_lrp_cli.explaining.question import Target
from lstm_lrp_cli.explaining.shown import times_text
from lstm_lrp_cli.terminal.console import FoldedParts, open_console, print_table
from lstm_lrp_cli.terminal.numbers import counted
from lstm_lrp_cli.terminal.text import json_document
from .evaluate import Evaluation, Measures
from .perturbation import Curve, Curves, Perturbation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# The points of curves that a table has room for, beside the last one; JSON has all.
SHOWN = (0, 1, 2, 3, 5, 10, 20, 50)
# What is told of ledgers beside the scores.
SIZES = ("shares", "stabilizers")
# Columns of a terminal: between two numbers, of a point, and of a method's name at least.
GAP = 3
POINT = 4 + GAP
LEAST_NAME = 13 + GAP
# What a method's name may be folded behind, such as `lrp-all:` of `lrp-all:eps=1e-6`.
JOINTS = re.compile(r"(?<=[ :,+])|(?<=[a-z]-)(?=[a-z])")


def title(perturbation: Perturbation) -> str:
    """What is done, as in "deletion from wrongly classified sequences, least relevant first"."""
    group = {"all": "all ", "right": "rightly classified ", "wrong": "wrongly classified "}
    order = "most" if perturbation.most_first else "least"
    of = "from" if perturbation.what == "deletion" else "into"
    return f"{perturbation.what} {of} {group[perturbation.group]}sequences, {order} relevant first"


def better(perturbation: Perturbation) -> str:
    """Whether a good method's area is low or high."""
    falls = perturbation.what == "deletion" and perturbation.most_first
    return "lower" if falls else "higher"


def predicted_name(perturbation: Perturbation) -> str:
    """What the share of sequences is called whose explained class is predicted."""
    return "predicted" if perturbation.group == "all" else "accuracy"


def print_evaluation(evaluation: Evaluation, file: TextIO) -> None:
    """Print a table of each kind of result."""
    console = open_console(file)
    unit = evaluation.unit
    masked = f" and {evaluation.masked:,} more masked" if evaluation.masked else ""
    console.print(
        f"{counted(evaluation.sequences, 'sequence')} of at least "
        f"{counted(evaluation.experiment.least_steps, unit)} ({counted(evaluation.steps, unit)} "
        f"in all{masked}; {evaluation.left_out:,} shorter left out)"
    )
    for curves in evaluation.curves:
        console.print()
        _print_curves(curves, evaluation, console)
    console.print()
    _print_agreement(evaluation, console)
    console.print()
    _print_measures(evaluation, console)


def _print_curves(curves: Curves, evaluation: Evaluation, console: Console) -> None:
    name = title(curves.perturbation)
    if not curves.sequences:
        console.print(f"{name}: there are none")
        return
    last = evaluation.experiment.deletions
    areas = [curves.score, curves.predicted] if curves.predicted else [curves.score]
    what = predicted_name(curves.perturbation) if curves.predicted else "score"
    kinds = [what, "score"] if curves.predicted else ["score"]
    taken = sum(
        max(len(f"{kind},"), *map(len, map(_area, each.values()))) + GAP
        for kind, each in zip(kinds, areas, strict=True)
    )
    room = max((console.width - 1 - LEAST_NAME - taken) // POINT - 1, 1)
    shown = [*[count for count in SHOWN if count < last][:room], last]
    done = "deleted" if curves.perturbation.what == "deletion" else "put back"
    console.print(
        f"{name}: {curves.sequences:,}\n"
        f"areas ({better(curves.perturbation)} is better), and {what} after so many "
        f"{evaluation.unit}s {done}"
    )
    table = Table()
    table.add_column("method")
    for column in (*(f"{kind}, area" for kind in kinds), *map(str, shown)):
        table.add_column(column, justify="right")
    for method, score in curves.score.items():
        both = [curves.predicted[method], score] if curves.predicted else [score]
        points = both[0].mean[shown].tolist()
        table.add_row(_name(method), *map(_area, both), *(f"{point:.2f}" for point in points))
    print_table(table, console)


def _area(curve: Curve) -> str:
    spread = curve.area_spread
    return f"{curve.area:.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def _print_agreement(evaluation: Evaluation, console: Console) -> None:
    console.print("agreement: mean rank correlation of two methods")
    table = Table()
    table.add_column("method")
    numbers = range(1, len(evaluation.contestants) + 1)
    for number in numbers:
        table.add_column(str(number), justify="right")
    rows = zip(numbers, evaluation.contestants, evaluation.agreement.tolist(), strict=True)
    for number, contestant, row in rows:
        # Adding 0 makes one zero of both.
        cells = ("" if math.isnan(each) else f"{round(each, 2) + 0.0:.2f}" for each in row)
        table.add_row(_name(f"{number} {contestant.name}"), *cells)
    print_table(table, console)


def _print_measures(evaluation: Evaluation, console: Console) -> None:
    unit = evaluation.unit
    console.print(
        f"most effective: share of sequences whose most relevant {unit} is the one that the score "
        "changes most without\n"
        "sensitivity: largest change of relevance, relative to it, as inputs are moved by up to "
        f"{evaluation.experiment.radius:g} of their size\n"
        "shares, stabilizers: the ledgers' shares, and stabilizers, by size, times the score\n"
        f"time: seconds of this machine for 1,000 {unit}s, besides the forward pass's "
        f"{evaluation.forward_seconds:.2g}"
    )
    table = Table()
    table.add_column("method")
    for column in ("most effective", "sensitivity", *SIZES, "time"):
        table.add_column(column, justify="right")
    for name, measures in evaluation.measures.items():
        change = measures.sensitivity
        sizes = {} if measures.sizes is None else measures.sizes.by_name
        table.add_row(
            _name(name),
            f"{measures.hits:.2f}",
            "" if change is None else f"{change:.3g}",
            *(times_text(sizes[each].relative) if each in sizes else "" for each in SIZES),
            f"{measures.seconds:.2g}",
        )
    print_table(table, console)


def _name(method: str) -> FoldedParts:
    """A method's name, which may have a token in it, and is no markup."""
    return FoldedParts(JOINTS.split(printable(method)))


def evaluation_json(evaluation: Evaluation, run: dict[str, Any]) -> str:
    """The comparison as one JSON document, with every point of every curve.

    Parameters
    ----------
    run : dict
        What it was made of, `model`, `input` and `dtype`, and what is to be told beside it,
        `assumptions` and `warnings`.
    """
    experiment = evaluation.experiment
    names = [contestant.name for contestant in evaluation.contestants]
    return json_document(
        {
            **run,
            "sequences": evaluation.sequences,
            f"{evaluation.unit}s": evaluation.steps,
            f"masked_{evaluation.unit}s": evaluation.masked,
            "left_out": evaluation.left_out,
            "explained": _explained(evaluation.explained),
            "deletions": experiment.deletions,
            "min_length": experiment.least_steps,
            "radius": experiment.radius,
            "draws": experiment.draws,
            "seed": experiment.seed,
            "forward_seconds": evaluation.forward_seconds,
            "methods": {
                contestant.name: {
                    "settings": [method.settings for method in contestant.methods],
                    "signed": contestant.signed,
                    "most_effective": evaluation.measures[contestant.name].hits,
                    "sensitivity": evaluation.measures[contestant.name].sensitivity,
                    "seconds": evaluation.measures[contestant.name].seconds,
                    "sizes": _sizes_object(evaluation.measures[contestant.name]),
                }
                for contestant in evaluation.contestants
            },
            "curves": [_curves_object(curves) for curves in evaluation.curves],
            "agreement": {
                name: dict(zip(names, row, strict=True))
                for name, row in zip(names, evaluation.agreement.tolist(), strict=True)
            },
        }
    )


def _explained(target: Target) -> str | int:
    return str(target) if isinstance(target, Difference) else target


def _sizes_object(measures: Measures) -> dict[str, Any] | None:
    return None if measures.sizes is None else measures.sizes.as_object()


def _curves_object(curves: Curves) -> dict[str, Any]:
    perturbation = curves.perturbation
    kinds = {"score": curves.score, "predicted": curves.predicted}
    return {
        "what": perturbation.what,
        "sequences_from": perturbation.group,
        "first": "most relevant" if perturbation.most_first else "least relevant",
        "better": better(perturbation),
        "sequences": curves.sequences,
        **{
            kind: {name: _curve_object(curve) for name, curve in by_method.items()}
            for kind, by_method in kinds.items()
        },
    }


def _curve_object(curve: Curve) -> dict[str, Any]:
    spread = curve.spread
    return {
        "mean": curve.mean.tolist(),
        "spread": None if spread is None else spread.tolist(),
        "area": curve.area,
        "area_spread": curve.area_spread,
    }


# Okabe and Ito's colours, which people see apart who do not see all colours; marks tell further
# methods apart, and all of them in print without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
CONTROL = {"color": "#777777", "linestyle": "--", "marker": "."}
PANEL = (5.2, 3.4)  # inches


def require_matplotlib() -> None:
    """Refuse to draw without the library, before there is something to draw."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UnusableInput(
            "--plot", "needs the package matplotlib; pip install 'lstm-lrp-cli[plot]'"
        )


def draw_curves(evaluation: Evaluation, file: BinaryIO, form: str) -> None:
    """Draw all curves, those of one perturbation above each other.

    Parameters
    ----------
    file : binary file
    form : {"png", "svg", "pdf"}
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn = [curves for curves in evaluation.curves if curves.sequences]
    kinds = ["predicted", "score"] if any(curves.predicted for curves in drawn) else ["score"]
    # The same picture has the same bytes.
    with mpl.rc_context({"svg.hashsalt": "lrp"}):
        figure = Figure(
            figsize=(PANEL[0] * len(drawn), PANEL[1] * len(kinds)), layout="constrained"
        )
        panels = figure.subplots(len(kinds), len(drawn), squeeze=False)
        for column, curves in enumerate(drawn):
            for row, kind in enumerate(kinds):
                _draw(panels[row][column], curves, kind, evaluation)
            panels[0][column].set_title(
                f"{title(curves.perturbation).replace(', ', chr(10))} "
                f"({better(curves.perturbation)} is better)",
                fontsize="medium",
            )
        lines, names = panels[0][0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside lower center", ncols=min(len(names), 6))
        metadata = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
        figure.savefig(file, format=form, dpi=150, metadata=metadata)


def _draw(panel: Axes, curves: Curves, kind: str, evaluation: Evaluation) -> None:
    found = curves.predicted if kind == "predicted" else curves.score
    controls = {each.name for each in evaluation.contestants if each.is_control}
    others = iter(range(len(found)))
    for name, curve in found.items():
        mean, spread = curve.mean, curve.spread
        style: dict[str, Any] = CONTROL if name in controls else _style(next(others))
        panel.plot(range(len(mean)), mean, label=name, markersize=4, linewidth=1.3, **style)
        if spread is not None:
            panel.fill_between(
                range(len(mean)), mean - spread, mean + spread, color=style["color"], alpha=0.25
            )
    done = "deleted" if curves.perturbation.what == "deletion" else "put back"
    panel.set_xlabel(f"{evaluation.unit}s {done}")
    panel.set_ylabel(predicted_name(curves.perturbation) if kind == "predicted" else "mean score")
    panel.grid(alpha=0.3)


def _style(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKS[number % len(MARKS)]}
