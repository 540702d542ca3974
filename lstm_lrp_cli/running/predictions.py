"""How blocks are predicted and written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lstm_lrp_cli.explaining.carried import Carried
from lstm_lrp_cli.explaining.prediction import Predictions, predict_corpus
from lstm_lrp_cli.inputs.read import Block, sequences_of
from lstm_lrp_cli.outputs.predictions import PredictionLayout
from lstm_lrp_cli.outputs.registry import PREDICTION_OUTPUTS
from lstm_lrp_cli.outputs.writer import Report, Writer
from lstm_lrp_cli.terminal.console import json_document
from lstm_lrp_cli.terminal.inputs import InputFigures
from lstm_lrp_cli.terminal.text import printable
from lstm_lrp_cli.terminal.words import (
    Taken,
    class_name,
    percent,
    predicted_lines,
    predicted_object,
)
from .blocks import PIECE_VALUES, BlockRendering, steps_of_block


@dataclass(frozen=True, slots=True)
class PredictionRendering(BlockRendering[Predictions, "PredictionFigures"]):
    """How blocks are predicted and written.

    Parameters
    ----------
    form : str
        One of PREDICTION_OUTPUTS.
    carried : Carried
        What stateful LSTMs keep from block to block.
    """

    layout: PredictionLayout
    form: str
    carried: Carried = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "carried", Carried(self.layout.model))

    @property
    def block_steps(self) -> int:
        """How many steps a block should have; fewer where every step has scores."""
        model = self.layout.model
        return steps_of_block(max(model.classes if model.by_step else 1, model.step_values))

    def writer(self, file: Any, report: Report | None = None) -> Writer[Predictions]:
        return PREDICTION_OUTPUTS[self.form].prediction_writer(file, self.layout)

    def results(self, block: Block) -> Iterator[Predictions]:
        model = self.layout.model
        for window in predict_corpus(model, sequences_of(block, model), self.carried):
            yield from window.parts(max(PIECE_VALUES // model.classes, 1))

    def figures(self, result: Predictions) -> PredictionFigures:
        return PredictionFigures.of(result, self.layout)


@dataclass(slots=True)
class PredictionFigures(InputFigures):
    """What a report counts of predictions and their sequences, as `InputFigures`.

    Parameters
    ----------
    predictions : int
        Sequences, or of a model by step their steps, that have scores.
    taken : Taken
        How often each class was predicted.
    pairs : Counter
        How often each class was predicted of each, by the numbers of the true and the predicted
        class.
    """

    predictions: int = 0
    taken: Taken = field(default_factory=Counter)
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    @classmethod
    def of(cls, predictions: Predictions, layout: PredictionLayout) -> PredictionFigures:
        """Count one block."""
        figures = cls(predictions=predictions.rows)
        figures.count_input(predictions.sequences, layout.model)
        for number, decision in enumerate(layout.decisions):
            taken = decision.taken(predictions.scores).tolist()
            figures.taken.update((number, place) for place in taken)
            if layout.labelled:
                golds = [sequence.gold for sequence in predictions.of_rows]
                pairs = zip(golds, taken, strict=True)
                figures.pairs.update((gold, place) for gold, place in pairs if gold is not None)
        return figures

    def merge(self, later: PredictionFigures) -> None:
        """Add the figures of predictions that come after these."""
        self.add_input(later)
        self.predictions += later.predictions
        self.taken += later.taken
        self.pairs += later.pairs


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


# Of the standard normal distribution: 95 % lie within so many deviations of the mean.
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class OfClass:
    """How one class was predicted.

    Parameters
    ----------
    name : str or int
    true, predicted, right : int
        Sequences of that class, those predicted to be, and those that are both.
    """

    name: str | int
    true: int
    predicted: int
    right: int

    @property
    def precision(self) -> float | None:
        """The part of those predicted that is right; None where there are none."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The part of the class that is predicted so; None where there is nothing of it."""
        return self.right / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; 0 where nothing is right."""
        together = self.true + self.predicted
        return 2 * self.right / together if together else None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which classes were predicted of which.

    Parameters
    ----------
    classes : tuple of str or int
        The names of all classes.
    pairs : Counter
        How often, by the places in `classes` of the true and the predicted class.
    """

    classes: tuple[str | int, ...]
    pairs: Counter[tuple[int, int]]

    @property
    def total(self) -> int:
        return self.pairs.total()

    @property
    def right(self) -> int:
        return sum(count for (true, predicted), count in self.pairs.items() if true == predicted)

    @property
    def accuracy(self) -> float:
        return self.right / self.total

    @property
    def occurring(self) -> list[int]:
        """The classes that occur, as true or as predicted ones, in their order."""
        return sorted({place for pair in self.pairs for place in pair})

    @property
    def by_class(self) -> list[OfClass]:
        """The figures of each class that occurs."""
        true: Counter[int] = Counter()
        predicted: Counter[int] = Counter()
        for (gold, taken), count in self.pairs.items():
            true[gold] += count
            predicted[taken] += count
        return [
            OfClass(self.classes[k], true[k], predicted[k], self.pairs[k, k])
            for k in self.occurring
        ]


def wilson_interval(right: int, total: int, deviations: float = NORMAL_95) -> tuple[float, float]:
    """Between which bounds a probability lies, of which so many of so many trials came true.

    It is Wilson's score interval, which stays within 0 and 1 and holds for few trials too (Wilson
    1927, "Probable Inference, the Law of Succession, and Statistical Inference").
    """
    share, square = right / total, deviations**2 / total
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    # Which 0 and 1 are exactly, but for rounding, where nothing or everything came true.
    return (middle - reach if right else 0.0), (middle + reach if right < total else 1.0)
