"""How blocks are predicted and written, and the report of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from msgspec import Struct, structs

from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.explaining.prediction import Predictions, predict_corpus
from lstm_lrp_cli.explaining.reconstruction import asked_model
from lstm_lrp_cli.explaining.windows import Carried
from lstm_lrp_cli.inputs.read import Block, sequences_of
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.outputs import PREDICTION_OUTPUTS
from lstm_lrp_cli.outputs.predictions import PredictionLayout
from lstm_lrp_cli.outputs.writer import Report, Writer
from lstm_lrp_cli.statistics.agreement import Confusion, wilson_interval
from lstm_lrp_cli.terminal.words import class_name, percent
from .blocks import PIECE_VALUES, BlockRendering, steps_of_block
from .figures import PredictionFigures
from .report import Run, RunReport, features_object, output_scaling_object


@dataclass(frozen=True, slots=True)
class PredictionRendering(BlockRendering[Predictions, PredictionFigures]):
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
    def model(self) -> Model:
        return self.layout.model

    def with_dates(self) -> Self:
        return replace(self, layout=structs.replace(self.layout, dated=True))

    @property
    def block_steps(self) -> int:
        """How many steps a block should have; fewer where every step has scores."""
        model = self.layout.model
        read = max(each.step_values for each in model.inputs)
        return steps_of_block(max(model.classes if model.by_step else 1, read))

    def writer(self, file: Any, report: Report | None = None) -> Writer[Predictions]:
        return PREDICTION_OUTPUTS[self.form].prediction_writer(file, self.layout)

    def results(self, block: Block) -> Iterator[Predictions]:
        model = self.layout.model
        for window in predict_corpus(model, sequences_of(block, model), self.carried):
            yield from window.parts(max(PIECE_VALUES // model.classes, 1))

    def figures(self, result: Predictions) -> PredictionFigures:
        return PredictionFigures.of(result, self.layout)


class ToPredict(Struct, frozen=True):
    """What is asked of a model, without the model: it can be sent.

    Parameters
    ----------
    target : str or None
        Of "error", another model predicts.
    labelled, verbatim
        As of `PredictionLayout`.
    form
        As of `PredictionRendering`.
    """

    command: ClassVar[str] = "predict"

    target: str | None
    labelled: bool
    form: str
    verbatim: bool

    def rendering(self, model: Model) -> PredictionRendering:
        asked = asked_model(model, self.target)
        layout = PredictionLayout(asked, self.labelled, verbatim=self.verbatim)
        return PredictionRendering(layout, self.form)


class PredictReport(RunReport[PredictionFigures]):
    """The report of what was predicted."""

    def __init__(self, layout: PredictionLayout, run: Run) -> None:
        super().__init__(layout.model, run, PredictionFigures())
        self.layout = layout

    def warnings(self) -> list[str]:
        became = "without scores" if self.model.by_step else "predicted from no token at all"
        found = self.figures.input_warnings(self.model, f"kept, {became}")
        return [*self.model.warnings, *found]

    @property
    def confusion(self) -> Confusion | None:
        """None where no true class is known."""
        if not self.figures.pairs:
            return None
        (decision,) = self.layout.decisions
        return Confusion(decision.classes, self.figures.pairs)

    def as_object(self) -> dict[str, Any]:
        return {
            "model": self.run.model,
            "input": self.run.input,
            "dtype": str(self.model.dtype),
            **self.figures.input_object(self.model),
            **features_object(self.model),
            "predictions": self.figures.predictions,
            **output_scaling_object(self.model),
            "predicted": self._predicted(),
            **(_agreement(self.confusion) if self.confusion else {}),
            "assumptions": self.model.assumptions,
            "warnings": self.warnings(),
        }

    def as_text(self) -> str:
        """The report as a person reads it, with the table of which classes were taken for which."""
        confusion = self.confusion
        return super().as_text() + ("" if confusion is None else "".join(_table(confusion)))

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield from super()._lines()
        confusion = self.confusion
        if confusion is not None:
            low, high = map(percent, wilson_interval(confusion.right, confusion.total))
            right = f"{confusion.right:,} of {confusion.total:,} right"
            yield (
                "accuracy",
                f"{percent(confusion.accuracy)} ({right}), "
                f"between {low} and {high} at 95 % confidence",
            )


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


# The report as text has a table of so many classes, and of names of so many characters.
TABLE_CLASSES = 10
NAME_WIDTH = 14


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
