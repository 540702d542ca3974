"""The report on predictions: what was predicted and, of labelled input, how much of it is right."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lstm_lrp_cli.reporting.decided import class_name, predicted_lines, predicted_object
from lstm_lrp_cli.reporting.document import json_document
from lstm_lrp_cli.reporting.predictions.confusion import Confusion, wilson_interval
from lstm_lrp_cli.reporting.predictions.figures import PredictionFigures
from lstm_lrp_cli.reporting.predictions.layout import PredictionLayout
from lstm_lrp_cli.reporting.printable import printable

# The report as text has a table of so many classes, and of names of so many characters.
TABLE_CLASSES = 10
NAME_WIDTH = 14


@dataclass(frozen=True, slots=True)
class PredictionRun:
    """What was asked for, as the report says it, and what loading the model had to tell."""

    model: str
    input: str
    dtype: str
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class PredictionSummary:
    """The report of a run, from the figures of all that was predicted."""

    def __init__(self, layout: PredictionLayout, run: PredictionRun) -> None:
        self.layout = layout
        self.run = run
        self.figures = PredictionFigures()

    def merge(self, figures: PredictionFigures, /) -> None:
        """Take in the figures of a block that was counted elsewhere, such as in a process."""
        self.figures.merge(figures)

    def warnings(self) -> list[str]:
        """What the user should know beyond the figures."""
        became = "without scores" if self.layout.model.by_step else "predicted from no token at all"
        found = self.figures.input_warnings(self.layout.model, f"kept, {became}")
        return [*self.run.warnings, *found]

    @property
    def confusion(self) -> Confusion | None:
        """None where no true class is known."""
        if not self.figures.pairs:
            return None
        (decision,) = self.layout.decisions
        return Confusion(decision.classes, self.figures.pairs)

    def as_object(self) -> dict[str, Any]:
        """The report as JSON has it."""
        figures = self.figures
        return {
            "model": self.run.model,
            "input": self.run.input,
            "dtype": self.run.dtype,
            "sequences": figures.sequences,
            "tokens": figures.steps,
            "masked_tokens": figures.masked,
            "unknown_tokens": figures.unknown,
            "empty_sequences": figures.empty,
            "padded_sequences": figures.padded,
            "cut_sequences": figures.cut,
            "predictions": figures.predictions,
            "predicted": predicted_object(self.layout.decisions, figures.taken),
            **(_agreement(self.confusion) if self.confusion else {}),
            "assumptions": self.run.assumptions,
            "warnings": self.warnings(),
        }

    def as_json(self) -> str:
        return json_document(self.as_object())

    def as_text(self) -> str:
        """The report as a person reads it."""
        figures, model = self.figures, self.layout.model
        lines = [
            ("model", f"{self.run.model} ({self.run.dtype})"),
            ("input", figures.input_text(self.run.input, model)),
        ]
        for counts in predicted_lines(self.layout.decisions, figures.taken):
            lines.append(("predicted", counts))
        padded = figures.padded_text(model)
        if padded is not None:
            lines.append(("padded", padded))
        cut = figures.cut_text(model)
        if cut is not None:
            lines.append(("cut", cut))
        confusion = self.confusion
        if confusion is not None:
            low, high = wilson_interval(confusion.right, confusion.total)
            right = f"{confusion.right:,} of {confusion.total:,} right"
            lines.append(
                (
                    "accuracy",
                    f"{percent(confusion.accuracy)} ({right}), "
                    f"between {percent(low)} and {percent(high)} at 95 % confidence",
                )
            )
        text = "".join(f"{name:<16}{printable(text)}\n" for name, text in lines)
        return text if confusion is None else text + "".join(_table(confusion))


def percent(share: float | None) -> str:
    """A part of a whole as people read it; a dash where it is of nothing."""
    return "-" if share is None else f"{100 * share:.1f} %"


def _agreement(confusion: Confusion) -> dict[str, Any]:
    """How predictions and true classes agree, as JSON has it."""
    table: dict[str, dict[str, int]] = {}
    names = [str(name) for name in confusion.classes]
    for (true, predicted), count in sorted(confusion.pairs.items()):
        table.setdefault(names[true], {})[names[predicted]] = count
    return {
        "labelled": confusion.total,
        "right": confusion.right,
        "accuracy": confusion.accuracy,
        "accuracy_interval": wilson_interval(confusion.right, confusion.total),
        "confusion": table,
        "by_class": [
            {
                "class": each.name,
                "true": each.true,
                "predicted": each.predicted,
                "right": each.right,
                "precision": each.precision,
                "recall": each.recall,
                "f1": each.f1,
            }
            for each in confusion.by_class
        ],
    }


def _table(confusion: Confusion) -> Iterator[str]:
    """The confusion table as lines: true classes in rows, predicted ones in columns."""
    of_classes = confusion.by_class
    if len(of_classes) > TABLE_CLASSES:
        yield (
            f"{'confusion':<16}of {len(of_classes):,} classes: "
            "too many to show; --report FILE.json has them\n"
        )
        return
    yield f"{'confusion':<16}a row for each true class, a column for each predicted one\n"
    names = [_shortened(printable(class_name(each.name))) for each in of_classes]
    cells = [["", *names, "recall"]]
    for true, name, each in zip(confusion.occurring, names, of_classes, strict=True):
        counts = [f"{confusion.pairs[true, taken]:,}" for taken in confusion.occurring]
        cells.append([name, *counts, percent(each.recall)])
    cells.append(["precision", *(percent(each.precision) for each in of_classes), ""])
    cells.append(["F1", *(percent(each.f1) for each in of_classes), ""])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][1:]
    for name, *numbers in cells:
        aligned = "  ".join(map(str.rjust, numbers, widths))
        yield f"  {name:<{NAME_WIDTH}}{aligned}".rstrip() + "\n"


def _shortened(name: str) -> str:
    """A name that leaves a space behind it in its column."""
    return name if len(name) < NAME_WIDTH else f"{name[: NAME_WIDTH - 4]}..."
