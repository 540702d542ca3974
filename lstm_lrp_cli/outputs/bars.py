"""The terminal: what is predicted, with a bar for how likely it is to the model."""

from collections.abc import Iterable
from itertools import compress, islice
from typing import TextIO

from rich import box
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.engine.forward import originals, probabilities
from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.explaining.prediction import Predictions
from lstm_lrp_cli.explaining.shown import span_of
from lstm_lrp_cli.inputs.batching import real_steps
from lstm_lrp_cli.inputs.sequence import Part, Sequence
from lstm_lrp_cli.model import Booleans
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.terminal.console import open_console
from lstm_lrp_cli.terminal.words import meaning_of_one, percent
from .predictions import PredictionLayout
from .writer import Writer

# How many rows are shown, how many values of a regressor, and how wide a bar is.
ROWS = 50
VALUES = 6
BAR_WIDTH = 10
# How wide a terminal must be for all but the bars, of texts and of series, and for each bar.
ROOM = {False: 80, True: 60}
ROOM_OF_BAR = 20


class BarsWriter(Writer[Predictions]):
    """Prints what is predicted of the first sequences, and how likely it is to the model."""

    def __init__(self, file: TextIO, layout: PredictionLayout) -> None:
        self._console = open_console(file)
        self._layout = layout
        self._left_out = 0
        model = layout.model
        values = range(0 if layout.decisions else model.classes)
        shown = VALUES if model.output_scaling is None else VALUES // 2  # each has two columns
        self._values, self._values_left_out = values[:shown], len(values[shown:])
        series = not model.takes_tokens
        roomy = ROOM[series] + ROOM_OF_BAR * len(layout.decisions)
        self._bars = self._console.width >= roomy
        self._table = Table(box=box.SIMPLE_HEAD)
        self._add_column("sequence")
        if model.by_step:
            self._add_column("step", right=True)
        # The one column that gives way where there is little room.
        self._table.add_column("steps" if series else "token" if model.by_step else "tokens")
        if layout.labelled:
            self._add_column("label")
        for decision in layout.decisions:
            joint = " " if self._bars else "\n"
            self._add_column("predicted", f"{joint}{printable(decision.name or '')}".rstrip())
            self._add_column("probability", right=True)
            if self._bars:
                self._add_column("")
        for value in self._values:
            self._add_column(f"score {layout.score_names[value]}", right=True)
            if model.output_scaling is not None:
                self._add_column("original", right=True)
        if layout.labelled:
            self._add_column("")

    def write(self, predictions: Predictions, /) -> None:
        room = ROWS - self._table.row_count
        self._left_out += max(predictions.rows - room, 0)
        if room:
            self._add(next(predictions.parts(room)), room)

    def close(self) -> None:
        """Print the table, and what is to be said of it."""
        self._console.print(self._table)
        for decision in self._layout.decisions:
            meaning = meaning_of_one(decision)
            if meaning is not None:
                name = f"{decision.name}: " if decision.name else ""
                self._console.print(Text(printable(f"{name}{meaning}")), end="\n\n")
        more = {"more": self._left_out, "more scores of each": self._values_left_out}
        for what, count in more.items():
            if count:
                self._console.print(f"and {count:,} {what}; --format tsv writes a full table\n")

    def _add_column(self, title: str, more: str = "", *, right: bool = False) -> None:
        header = Text(printable(title) + more)
        self._table.add_column(header, justify="right" if right else "left", no_wrap=True)

    def _add(self, part: Predictions, room: int) -> None:
        """Add the first rows of a part, as many as there is room for."""
        layout, model = self._layout, self._layout.model
        likely = probabilities(model, part.scores)
        columns: list[Iterable[RenderableType]] = [map(_number, part.of_rows)]
        steps = [None] * part.rows if part.steps is None else part.steps.tolist()
        if model.by_step:
            columns.append(map(str, steps))
        columns.append(
            _shown(sequence, None if part.of_input is None else step, model, part.of_input or 0)
            for sequence, step in zip(part.of_rows, steps, strict=True)
        )
        golds = [sequence.gold for sequence in part.of_rows]
        if layout.labelled:
            columns.append(_names(layout.true_classes(part)))
        for decision, predicted in zip(layout.decisions, layout.predicted(part), strict=True):
            taken = decision.taken(part.scores)
            shares = decision.likelihood(taken, likely).tolist()
            columns += [_names(predicted), map(percent, shares)]
            if self._bars:
                columns.append(map(_bar, shares))
            if layout.labelled:
                columns.append(map(_verdict, golds, taken.tolist()))
        original = originals(model, part.scores)
        for value in self._values:
            for found in (part.scores, original):
                if found is not None:
                    columns.append([f"{number:.6g}" for number in found[:, value]])
        for cells in islice(zip(*columns, strict=True), room):
            self._table.add_row(*cells)


def _number(sequence: Sequence) -> Text:
    name = "" if sequence.name is None else f" ({printable(sequence.name)})"
    return Text(f"{sequence.number}{name}")


def _shown(sequence: Sequence, step: int | None, model: Model, of: int) -> Text:
    """What a row is of: a text, or one token of it; of a series, how many steps; but for masks.

    Parameters
    ----------
    step : int or None
        None where the row is of a whole sequence.
    of : int
        The number of the input that it is a step of.
    """
    if step is not None:
        tokens = sequence.parts[of].tokens
        if tokens is not None:
            return Text(printable(tokens[step]), no_wrap=True, overflow="ellipsis")
        dates = sequence.parts[of].dates
        if dates is not None:
            return Text(printable(dates[step]), no_wrap=True, overflow="ellipsis")
    parts = list(zip(model.inputs, sequence.parts, strict=True))
    # Of vectors there is nothing to tell, but where there is nothing else.
    told = [each for each in parts if each[0].steps] or parts
    shown = [_shown_input(part, real_steps(part, read)) for read, part in told]
    return Text(printable(" | ".join(shown)), no_wrap=True, overflow="ellipsis")


def _shown_input(part: Part, real: Booleans) -> str:
    if part.tokens is not None:
        return " ".join(compress(part.tokens, real))
    return f"{real.sum():,}" + (f", {span_of(part.dates)}" if part.dates else "")


def _names(names: Iterable[str | int | None]) -> list[Text]:
    return [Text("" if name is None else printable(str(name))) for name in names]


def _bar(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=share, width=BAR_WIDTH)


def _verdict(gold: int | None, taken: int) -> Text:
    if gold is None:
        return Text()
    return Text("right", "green") if gold == taken else Text("wrong", "bold red")
