"""The terminal: sequences coloured by relevance, red for the target and blue against it."""

from collections.abc import Sequence as Several
from typing import TextIO

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.engine.ledger import Ledger
from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.reporting.console import open_console
from lstm_lrp_cli.reporting.numbers import decimal
from lstm_lrp_cli.reporting.printable import printable, share_name
from lstm_lrp_cli.reporting.writer import Layout
from lstm_lrp_cli.sequences.explanation import Explanation
from lstm_lrp_cli.sequences.sequence import Sequence

# How many sequences the table at the end holds, and how many tokens a cell of it.
TABLE_ROWS = 50
TABLE_TOKENS = 3
# Below this part of the sequence's strongest relevance a token is left uncoloured.
FAINT = 0.04


class HeatMapWriter:
    """Prints every sequence with its prediction, its tokens coloured by relevance.

    Colour strength is relative to the strongest token of the sequence. Without colours, numbers
    stand behind the tokens instead.
    """

    def __init__(self, file: TextIO, layout: Layout, console: Console | None = None) -> None:
        self._console = console or open_console(file)
        self._model = layout.model
        self._several_methods = layout.several_methods
        self._coloured = self._console.color_system is not None and not self._console.no_color
        self._table = Table(box=box.SIMPLE_HEAD)
        for column in ("sequence", "target", "score", "most for it", "most against it"):
            self._table.add_column(column, justify="right" if column == "score" else "left")
        self._left_out = 0

    def open(self) -> None:
        """Print the legend."""
        if self._coloured:
            legend = Text.assemble(
                (" for the target ", _style(1.0)), " ", (" against it ", _style(-1.0))
            )
        else:
            legend = Text("(+0.10) for the target, (-0.10) against it")
        self._console.print(legend, end="\n\n")

    def write(self, explanations: Several[Explanation]) -> None:
        for explanation in explanations:
            self._write(explanation)

    def _write(self, explanation: Explanation) -> None:
        self._console.print(self._heading(explanation))
        if explanation.sequence.tokens is not None:
            self._console.print(self._tokens(explanation, explanation.sequence.tokens))
        else:
            for line in self._series(explanation):
                self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        if explanation.ledger is not None:
            self._console.print(self._accounts(explanation.ledger, explanation.sequence))
        self._console.print()
        self._add_to_table(explanation)

    def close(self) -> None:
        """Print the table of the strongest tokens or features."""
        self._console.print(self._table)
        if self._left_out:
            self._console.print(f"and {self._left_out:,} more; --format tsv writes a full table\n")

    def _add_to_table(self, explanation: Explanation) -> None:
        if not explanation.scored:
            return
        if self._table.row_count >= TABLE_ROWS:
            self._left_out += 1
            return
        sequence = explanation.sequence
        if sequence.tokens is not None:
            names, amounts = sequence.tokens, explanation.relevance_of_steps
        elif explanation.relevance.ndim == 1:
            amounts = explanation.relevance
            names = tuple(f"step {step}" for step in range(len(amounts)))
        else:
            names, amounts = sequence.features or (), explanation.relevance.sum(axis=0)
        order = np.argsort(-amounts, kind="stable").tolist()
        strongest = [k for k in order if amounts[k] > 0][:TABLE_TOKENS]
        weakest = [k for k in order[::-1] if amounts[k] < 0][:TABLE_TOKENS]
        self._table.add_row(
            self._number(explanation),
            Text(self._name(explanation.target)),
            f"{explanation.score:+.3f}",
            *(
                Text(", ".join(f"{printable(names[k])} {_signed(amounts[k], 2)}" for k in chosen))
                for chosen in (strongest, weakest)
            ),
        )

    def _heading(self, explanation: Explanation) -> Text:
        sequence = explanation.sequence
        heading = Text(self._number(explanation), style="bold")
        if sequence.id not in (None, sequence.number):
            heading.append(f" ({printable(str(sequence.id))})")
        if not explanation.scored:
            return heading.append("  no score")
        if self._model.predicts:
            heading.append(f"  predicted {self._name(explanation.predicted)}")
        heading.append(f"  {self._name(explanation.target)} ")
        heading.append(f"{explanation.score:+.3f}")
        if explanation.right is not None:
            heading.append("  right" if explanation.right else "  wrong")
        return heading

    def _number(self, explanation: Explanation) -> str:
        number = str(explanation.sequence.number)
        if explanation.step is not None:
            number += f" step {explanation.step}"
        return f"{number} {explanation.method}" if self._several_methods else number

    def _name(self, target: int) -> str:
        return printable(str(self._model.target_name(target)))

    def _tokens(self, explanation: Explanation, tokens: tuple[str, ...]) -> Text:
        amounts = explanation.relevance_of_steps
        cells = []
        for token, amount, strength in zip(tokens, amounts, _strengths(amounts), strict=True):
            shown = printable(token)
            if self._coloured:
                cell = Text(f" {shown} " if abs(strength) > FAINT else shown, _style(strength))
            else:
                cell = Text(f"{shown}({_signed(amount, 2)})")
            cells.append(cell)
        return _folded(cells, self._console.width)

    def _series(self, explanation: Explanation) -> list[Text]:
        """One line a feature, or one of whole steps: one cell a step, and the line's sum."""
        features = [printable(name) for name in explanation.sequence.features or ()]
        relevance = explanation.relevance
        if relevance.ndim == 1:
            features, relevance = ["all features"], relevance[:, np.newaxis]
        width = max((len(feature) for feature in features), default=0)
        strengths = _strengths(relevance)
        lines = []
        for index, feature in enumerate(features):
            total = relevance[:, index].sum()
            line = Text(f"{feature:<{width}} {_signed(total, 3):>8} ")
            for strength in strengths[:, index]:
                if self._coloured:
                    line.append("  ", _style(strength))
                else:
                    line.append("+" if strength > 0.2 else "-" if strength < -0.2 else ".")
            lines.append(line)
        return lines

    @staticmethod
    def _accounts(ledger: Ledger, sequence: Sequence) -> Text:
        shown = [
            f"{share_name(name, series=sequence.tokens is None)} {_signed(amount, 3)}"
            for name, amount in ledger.shares.items()
            if abs(amount) >= 5e-4
        ]
        return Text(f"{ledger.score:+.3f} = {'  '.join(shown) or '0'}", style="dim")


def _signed(amount: float, places: int) -> str:
    return decimal(amount, places, "+")


def _folded(cells: list[Text], width: int) -> Text:
    """Cells side by side, none of them cut unless it is wider than a line."""
    text, used = Text(), 0
    for cell in cells:
        if used and used + 1 + cell.cell_len > width:
            text.append("\n")
            used = 0
        elif used:
            text.append(" ")
            used += 1
        text.append_text(cell)
        used += cell.cell_len
    return text


def _strengths(amounts: Floats) -> Floats:
    """Relevance relative to the strongest, from -1 to 1."""
    strongest = np.abs(amounts).max(initial=0.0)
    scaled: Floats = amounts / strongest if strongest else np.zeros_like(amounts)
    return scaled


def _style(strength: float) -> str:
    """Black on red for, on blue against; pale where it is weak."""
    if abs(strength) <= FAINT:
        return ""
    away = round(200 * (1 - abs(float(strength)))) + 35
    colour = (255, away, away) if strength > 0 else (away, round(away / 2) + 110, 255)
    return "black on rgb({},{},{})".format(*colour)
