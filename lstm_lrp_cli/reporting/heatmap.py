"""The terminal: sequences coloured by relevance, red for the target and blue against it."""

from typing import TextIO

import numpy as np
from rich.console import Console
from rich.text import Text

from lstm_lrp_cli.model.arrays import Floats
from lstm_lrp_cli.model.model import Model
from lstm_lrp_cli.sequences.explanation import Explanation

# Below this part of the sequence's strongest relevance a token is left uncoloured.
FAINT = 0.04


class HeatMapWriter:
    """Prints every sequence with its prediction, its tokens coloured by relevance.

    Colour strength is relative to the strongest token of the sequence. Without colours, numbers
    stand behind the tokens instead.
    """

    def __init__(self, file: TextIO, model: Model, console: Console | None = None) -> None:
        self._console = console or Console(file=file, highlight=False, soft_wrap=False)
        self._model = model
        self._coloured = self._console.color_system is not None and not self._console.no_color
        self._explained = False

    def write(self, explanation: Explanation) -> None:
        self._legend()
        self._console.print(self._heading(explanation))
        if explanation.sequence.tokens is not None:
            self._console.print(self._tokens(explanation, explanation.sequence.tokens))
        else:
            for line in self._series(explanation):
                self._console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        self._console.print(self._accounts(explanation))
        self._console.print()

    def close(self) -> None:
        """Nothing is left to write."""

    def _legend(self) -> None:
        if not self._explained:
            self._explained = True
            if self._coloured:
                legend = Text.assemble(
                    (" for the target ", _style(1.0)), " ", (" against it ", _style(-1.0))
                )
            else:
                legend = Text("(+0.10) for the target, (-0.10) against it")
            self._console.print(legend, end="\n\n")

    def _heading(self, explanation: Explanation) -> Text:
        name, sequence = self._model.target_name, explanation.sequence
        heading = Text(f"{sequence.number}", style="bold")
        if sequence.id is not None:
            heading.append(f" ({sequence.id})")
        if self._model.classes > 1:
            heading.append(f"  predicted {name(explanation.predicted)}")
        heading.append(f"  {name(explanation.target)} ")
        heading.append(f"{explanation.ledger.score:+.3f}")
        if explanation.right is not None:
            heading.append("  right" if explanation.right else "  wrong")
        return heading

    def _tokens(self, explanation: Explanation, tokens: tuple[str, ...]) -> Text:
        amounts = explanation.relevance_of_steps
        line = Text()
        for token, amount, strength in zip(tokens, amounts, _strengths(amounts), strict=True):
            shown = token if token.isprintable() else repr(token)
            if self._coloured:
                line.append(f" {shown} " if abs(strength) > FAINT else shown, _style(strength))
            else:
                line.append(f"{shown}({amount:+.2f})")
            line.append(" ")
        return line

    def _series(self, explanation: Explanation) -> list[Text]:
        """One line a feature, one cell a step, and the feature's sum."""
        features = explanation.sequence.features or ()
        width = max((len(feature) for feature in features), default=0)
        strengths = _strengths(explanation.relevance)
        lines = []
        for index, feature in enumerate(features):
            total = explanation.relevance[:, index].sum()
            line = Text(f"{feature:<{width}} {total:+8.3f} ")
            for strength in strengths[:, index]:
                if self._coloured:
                    line.append("  ", _style(strength))
                else:
                    line.append("+" if strength > 0.2 else "-" if strength < -0.2 else ".")
            lines.append(line)
        return lines

    def _accounts(self, explanation: Explanation) -> Text:
        ledger = explanation.ledger
        parts = {
            "tokens" if explanation.sequence.tokens is not None else "steps": ledger.tokens,
            "initial state": ledger.initial_state,
            "biases": ledger.biases,
            "stabilizers": ledger.stabilizers,
            "padding": ledger.padding,
        }
        shown = [f"{name} {amount:+.3f}" for name, amount in parts.items() if abs(amount) >= 5e-4]
        return Text(f"{ledger.score:+.3f} = {'  '.join(shown) or '0'}", style="dim")


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
