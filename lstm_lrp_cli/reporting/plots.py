"""The curves of `lrp evaluate` as a picture, by matplotlib, which only that needs."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, BinaryIO

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.evaluating.evaluation import Curves, Evaluation
from lstm_lrp_cli.reporting.evaluation import better, predicted_name, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
