"""The terminal: sequences coloured by relevance, red for the target and blue against it."""

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from typing import NamedTuple, TextIO

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.engine.records import Ledger
from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.explaining.explanation import ExplainedInput, Explanation
from lstm_lrp_cli.explaining.shown import doubts, original_text, units_text
from lstm_lrp_cli.terminal.console import folded, open_console
from lstm_lrp_cli.terminal.numbers import counted, decimal
from lstm_lrp_cli.terminal.shades import (
    FAINT,
    Background,
    full_colour,
    series_lines,
    shade_of,
    strengths_of,
)
from lstm_lrp_cli.terminal.text import before_number
from lstm_lrp_cli.terminal.words import (
    NOT_READ,
    all_named_amounts,
    for_and_against,
    shown_shares,
    strongest,
    what_is_missing,
    why_missing,
)
from .writer import Layout, Writer

# How many sequences the table at the end holds, and how many tokens a cell of it.
TABLE_ROWS = 50
TABLE_TOKENS = 3
# Narrower terminals have a folded line for each sequence instead.
TABLE_WIDTH = 70


class _Row(NamedTuple):
    """What stands of a sequence at the end."""

    number: str
    target: str
    score: str
    original: list[str]
    most_for: list[str]
    most_against: list[str]


class HeatMapWriter(Writer[Several[Explanation]]):
    """Prints every sequence with its prediction, its tokens coloured by relevance.

    Colour strength is relative to the strongest token of the sequence, whose relevance is told as
    that of full colour. Without colours, numbers stand behind the tokens instead. No line is wider
    than the console.
    """

    def __init__(
        self,
        file: TextIO,
        layout: Layout,
        console: Console | None = None,
        on: Background | None = None,
    ) -> None:
        self._console = console or open_console(file)
        self._asked = layout.asked
        self._model = layout.model
        self._methods = layout.methods
        self._several_methods = layout.several_methods
        self._top = layout.top
        self._width = self._console.width
        self._shade = shade_of(self._console, on)
        self._rows: list[_Row] = []
        self._left_out = 0
        self._told_of_missing = False

    def open(self) -> None:
        """Print the legend."""
        if self._shade:
            ends = ((" for the target ", self._shade(1.0)), (" against it ", self._shade(-1.0)))
            self._print(Text(*end) for end in ends)
        else:
            self._print([Text("(+0.10) for the target,"), Text("(-0.10) against it")])
        units = units_text(self._asked, self._methods)
        if units is not None:
            self._print(map(Text, printable(units).split(" ")))
        self._console.print()

    def write(self, explanations: Several[Explanation], /) -> None:
        for explanation in explanations:
            self._write(explanation)

    def _write(self, explanation: Explanation) -> None:
        parts = explanation.parts
        if not self._told_of_missing and any(np.isnan(part.relevance).any() for part in parts):
            self._tell_of_missing()
        self._print(self._heading(explanation), joint="  ")
        for part in parts:
            if self._top is not None:
                break
            if part.name is not None:
                self._print([Text(f"{printable(part.name)}:", "italic")])
            if part.tokens is not None:
                self._print(self._tokens(part, part.tokens))
                continue
            for line in series_lines(part, self._width, self._shade):
                self._console.print(line, soft_wrap=True)
        if self._top is not None:
            self._list(parts, self._top)
        if explanation.ledger is not None:
            self._print(self._accounts(explanation, explanation.ledger), joint="  ")
        self._console.print()
        self._add_to_table(explanation)

    def _tell_of_missing(self) -> None:
        """Print a legend of steps that the model passes over, before the first sequence with any.

        Most input has none, whatever the model would do.
        """
        self._told_of_missing = True
        what, why = what_is_missing(self._model), "the model passes over it"
        if not self._model.takes_tokens:
            mark, means = NOT_READ, f"{what}, {why}"
        elif self._shade is None:
            mark, means = f"({what})", why
        else:
            mark, means = "dim", f"{what}, {why}"
        self._print([Text.assemble((mark, "dim"), f": {means}")])
        self._console.print()

    def close(self) -> None:
        """Print the table of the strongest tokens or features."""
        if self._width < TABLE_WIDTH:
            self._print_rows()
        else:
            self._print_table()
        if self._left_out:
            self._console.print(f"and {self._left_out:,} more; --format tsv writes a full table\n")

    def _print_table(self) -> None:
        table = Table(box=box.SIMPLE_HEAD)
        original = ["original"] * (self._model.output_scaling is not None)
        for column in ("sequence", "target", "score", *original, "most for it", "most against it"):
            right = column in ("score", "original")
            table.add_column(column, justify="right" if right else "left")
        for row in self._rows:
            ends = (Text(", ".join(end)) for end in (row.most_for, row.most_against))
            table.add_row(Text(row.number), Text(row.target), row.score, *row.original, *ends)
        self._console.print(table)

    def _print_rows(self) -> None:
        self._print([Text("most for and against each target", "bold")])
        for row in self._rows:
            most = map(Text, (*row.original, *row.most_for, *row.most_against))
            self._print(
                [Text(row.number, "bold"), Text(f"{row.target} {row.score}"), *most], joint="  "
            )
        self._console.print()

    def _print(self, pieces: Iterable[Text], joint: str = " ") -> None:
        """Print pieces side by side, on as many lines as they take."""
        self._console.print(folded(pieces, self._width, joint=joint), soft_wrap=True)

    def _add_to_table(self, explanation: Explanation) -> None:
        if not explanation.scored:
            return
        if len(self._rows) >= TABLE_ROWS:
            self._left_out += 1
            return
        names, amounts = all_named_amounts(explanation)
        original = explanation.original_score
        most = [
            [f"{_named(names[k])} {decimal(amounts[k], 2, '+')}" for k in end]
            for end in for_and_against(amounts, TABLE_TOKENS)
        ]
        self._rows.append(
            _Row(
                self._number(explanation),
                _named(str(explanation.target)),
                f"{explanation.score:+.3f}",
                [] if original is None else [f"{original:.6g}"],
                *most,
            )
        )

    def _heading(self, explanation: Explanation) -> Iterator[Text]:
        sequence = explanation.sequence
        number = self._number(explanation)
        if sequence.name is not None:
            number += f" ({printable(sequence.name)})"
        yield Text(number, "bold")
        if not explanation.scored:
            yield Text("no score", "bold")
            return
        name = _named(str(explanation.target))
        if explanation.predicted is not None:
            yield Text(f"predicted {_named(str(explanation.predicted))}", "bold")
        elif name.isdigit():
            name = f"output {name}"  # else it is a bare number beside another
        yield Text(f"{name} {explanation.score:+.3f}", "bold")
        if explanation.original_score is not None:
            yield Text(original_text(explanation.original_score), "bold")
        if explanation.right is not None:
            wrong = f"wrong, true {printable(str(explanation.label))}"
            yield Text("right" if explanation.right else wrong, "bold")
        if self._shade and self._top is None:
            for part in explanation.parts:
                if part.tokens:
                    strongest_of = full_colour(np.nanmax(np.abs(part.relevance_of_steps)))
                    yield Text(part.named(strongest_of), "dim")

    def _number(self, explanation: Explanation) -> str:
        number = str(explanation.sequence.number)
        if explanation.step is not None:
            number += f" step {explanation.step}"
        return f"{number} {explanation.method}" if self._several_methods else number

    def _name(self, target: int) -> str:
        return _named(str(self._model.target_name(target)))

    def _tokens(self, part: ExplainedInput, tokens: tuple[str, ...]) -> Iterator[Text]:
        amounts = part.relevance_of_steps
        reasons = why_missing(part.part, part.read)
        each = zip(tokens, amounts, strengths_of(amounts), reasons, strict=True)
        for token, amount, strength, why in each:
            if np.isnan(amount):
                yield Text(printable(token) if self._shade else f"{printable(token)}({why})", "dim")
            elif self._shade is None:
                yield Text(f"{_named(token)}({decimal(amount, 2, '+')})")
            elif abs(strength) > FAINT:
                yield Text(f" {printable(token)} ", self._shade(strength))
            else:
                yield Text(printable(token))

    def _list(self, parts: Several[ExplainedInput], top: int) -> None:
        """A line for each of the strongest tokens, or features of a step, and one for the rest."""
        of_parts = [
            part.relevance_of_steps if part.tokens is not None else part.relevance.ravel()
            for part in parts
        ]
        amounts = of_parts[0] if len(parts) == 1 else np.concatenate(of_parts)
        starts = np.cumsum([0, *map(len, of_parts)])
        places = strongest(amounts, top)
        numbers = [decimal(amounts[place], 3, "+") for place in places]
        longest = max(map(len, numbers), default=0)
        before = max(len(str(len(part.part.inputs))) for part in parts)
        strengths = strengths_of(amounts)
        for place, number in zip(places.tolist(), numbers, strict=True):
            which = int(np.searchsorted(starts, place, side="right")) - 1
            position, shown = _shown(parts[which], place - int(starts[which]))
            shown = printable(parts[which].named(shown)) if len(parts) > 1 else shown
            style = self._shade(strengths[place]) if self._shade else ""
            cell = Text(f" {shown} " if style else shown, style)
            self._print([Text(f"{position:>{before}}  {number:>{longest}}"), cell])
        rest = int(np.count_nonzero(~np.isnan(amounts))) - len(places)
        if rest:
            others = np.nansum(amounts) - amounts[places].sum()
            self._print([Text(f"and {counted(rest, 'other')} {decimal(others, 3, '+')}", "dim")])

    @staticmethod
    def _accounts(explanation: Explanation, ledger: Ledger) -> Iterator[Text]:
        series = not explanation.model.takes_tokens
        shown = shown_shares(explanation, ledger, series=series)
        yield Text(f"{ledger.score:+.3f} = {shown[0] if shown else '0'}", "dim")
        for share in shown[1:]:
            yield Text(share, "dim")
        for doubt in doubts(explanation, series=series):
            yield Text(f"! {doubt}", "bold")


def _shown(part: ExplainedInput, place: int) -> tuple[int, str]:
    """The position of one relevance of an input, and what it is of."""
    if part.tokens is not None:
        return place, printable(part.tokens[place]) + _when(part, place)
    if part.relevance.ndim == 1:
        return place, f"all features{_when(part, place)}"
    position, feature = divmod(place, part.relevance.shape[1])
    value = float(part.part.inputs[position, feature])
    shown = f"{printable((part.features or ())[feature])} = {value:g}"
    return position, shown + _when(part, position)


def _when(part: ExplainedInput, position: int) -> str:
    """When a step was, behind what stands there."""
    return f" at {printable(part.dates[position])}" if part.dates else ""


def _named(name: str) -> str:
    """A token or label in front of its number."""
    return before_number(printable(name))
