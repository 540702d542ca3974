"""Markdown: a page for people, with a section a sequence and target."""

import math
import re
from collections.abc import Iterator
from collections.abc import Sequence as Several
from itertools import zip_longest
from typing import TextIO

import numpy as np

from lstm_lrp_cli.engine.records import Ledger
from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.explaining.explanation import ExplainedInput, Explanation
from lstm_lrp_cli.explaining.shown import doubts, span_of, units_text
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.terminal.numbers import decimal
from lstm_lrp_cli.terminal.words import (
    NOT_READ,
    all_named_amounts,
    by_feature,
    for_and_against,
    method_text,
    shown_shares,
    what_is_missing,
)
from .writer import Layout, Writer

# From this part of the sequence's strongest relevance on, tokens and steps are marked.
MARKED = 0.2
# How many of the strongest tokens, or features, for and against the target a table names.
STRONGEST = 3
# How steps are marked.
SIGNS = (".", "+", "-")  # by 0, 1, -1
# What Markdown might take for more than text: anywhere, where a line begins, and in an address.
SPECIAL = re.compile(
    r"[\\`*_\[\]<>#|~&$!@]|^[-+=]|(?<=\d)[.)](?=\s|$)|(?<=www)\.|:(?=//)", re.IGNORECASE
)


class MarkdownWriter(Writer[Several[Explanation]]):
    """Writes what the heat map shows, with marks and numbers in place of colours."""

    def __init__(self, file: TextIO, layout: Layout) -> None:
        self._file = file
        self._layout = layout
        self._model = layout.model
        self._series = not layout.model.takes_tokens

    def open(self) -> None:
        """Write what was run, and what the marks mean."""
        about = self._layout.about
        listed = {name: str(about[name]) for name in ("model", "input") if name in about}
        methods = "; ".join(map(method_text, self._layout.methods))
        units = units_text(self._layout.asked, self._layout.methods)
        items = {**listed, "method": methods, **({} if units is None else {"units": units})}
        kinds = {each.embedding is None for each in self._model.inputs}
        of_kinds = {False: "**Bold** tokens speak for the target, *slanted* ones against it"}
        of_kinds[True] = "`+` is a step that speaks for the target, `-` one against it"
        marks = "; ".join(text for series, text in of_kinds.items() if series in kinds)
        least = f"marked from {MARKED:.0%} of the sequence's strongest relevance on"
        if self._model.skips:
            missing = f"`{NOT_READ}` is a step" if self._series else "~~Struck~~ tokens are those"
            least += f". {missing} that the model passes over: {what_is_missing(self._model)}"
        lines = [
            "# Relevance",
            "",
            *(f"- {name}: {escaped(text)}" for name, text in items.items()),
            "",
            f"{marks}; {least}.",
        ]
        self._write(lines)

    def write(self, explanations: Several[Explanation], /) -> None:
        for explanation in explanations:
            self._write(["", *self._section(explanation)])

    def _write(self, lines: list[str]) -> None:
        self._file.write("\n".join(lines) + "\n")

    def _section(self, explanation: Explanation) -> Iterator[str]:
        yield f"## {self._heading(explanation)}"
        yield ""
        if not explanation.scored:
            yield "no score"
            return
        yield ", ".join(self._outcome(explanation))
        yield ""
        yield from self._pictures(explanation)
        if explanation.ledger is not None:
            yield ""
            yield self._accounts(explanation, explanation.ledger)

    def _heading(self, explanation: Explanation) -> str:
        sequence = explanation.sequence
        heading = f"Sequence {sequence.number}"
        if sequence.name is not None:
            heading += f" ({escaped(sequence.name)})"
        if explanation.step is not None:
            heading += f", step {explanation.step}"
        return f"{heading}, {explanation.method}" if self._layout.several_methods else heading

    def _outcome(self, explanation: Explanation) -> Iterator[str]:
        if explanation.predicted is not None:
            yield f"predicted **{escaped(str(explanation.predicted))}**"
        yield f"target **{escaped(str(explanation.target))}**"
        yield f"score **{explanation.score:+.3f}**"
        if explanation.original_score is not None:
            yield f"original **{explanation.original_score:.6g}**"
        if explanation.right is not None:
            label = escaped(str(explanation.label))
            yield f"label {label} ({'right' if explanation.right else 'wrong'})"

    def _pictures(self, explanation: Explanation) -> Iterator[str]:
        """The tokens, or a line for each feature, with marks; and a table of the strongest."""
        for part in explanation.parts:
            if part.name is not None:
                yield f"{escaped(part.name)}:"
                yield ""
            if part.tokens is None:
                yield from _strips(part)
            elif part.tokens:
                amounts = part.relevance_of_steps
                marks = _marked(amounts).tolist()
                tokens = map(_token, map(visible, part.tokens), amounts.tolist(), marks)
                yield "> " + " ".join(tokens)
            if part.name is not None:
                yield ""
        names, amounts = all_named_amounts(explanation)
        if self._series or names:
            alone = not self._model.several_inputs
            shown = visible if alone and not self._series else escaped
            if alone:
                yield ""
            yield from _table(list(map(shown, names)), amounts)

    def _accounts(self, explanation: Explanation, ledger: Ledger) -> str:
        shown = ", ".join(shown_shares(explanation, ledger, series=self._series))
        doubted = "".join(f"; **{doubt}**" for doubt in doubts(explanation, series=self._series))
        return f"score {ledger.score:+.3f} = {shown or '0'}{doubted}"


def escaped(text: str) -> str:
    """Text as Markdown shows it, whatever it holds."""
    return SPECIAL.sub(r"\\\g<0>", printable(text))


def visible(token: str) -> str:
    """A token as Markdown shows it, with spaces that are seen."""
    if token.isalnum():  # as most are
        return token
    return escaped(token.replace(" ", "␣")) or '""'


def _token(shown: str, amount: float, mark: int) -> str:
    if math.isnan(amount):
        return f"~~{shown}~~"
    if not mark:
        return shown
    around = "**" if mark > 0 else "*"
    return f"{around}{shown}{around}<sup>{decimal(amount, 2, '+')}</sup>"


def _strips(part: ExplainedInput) -> Iterator[str]:
    """A line for each feature of a series, or one of whole steps: its sum and a mark a step."""
    features, relevance = by_feature(part)
    names = list(map(printable, features))
    width = max(map(len, names), default=0)
    sums = np.nansum(relevance, axis=0).tolist()
    marks = np.where(np.isnan(relevance), NOT_READ, np.array(SIGNS)[_marked(relevance)])
    for name, total, steps in zip(names, sums, marks.T.tolist(), strict=True):
        # Indented, and not fenced: no name can end it.
        yield f"    {name:<{width}} {decimal(total, 3, '+'):>8} {''.join(steps)}"
    if part.dates:
        yield f"    {'':<{width}} {'':>8} {printable(span_of(part.dates))}"


def _table(names: list[str], amounts: Floats) -> Iterator[str]:
    """The strongest names for the target, and against it."""
    yield "| most for it | | most against it | |"
    yield "|---|--:|---|--:|"
    for pair in zip_longest(*for_and_against(amounts, STRONGEST)):
        cells = [
            "" if k is None else f"{names[k]} | {decimal(float(amounts[k]), 3, '+')}" for k in pair
        ]
        yield f"| {' | '.join(cell or '|' for cell in cells)} |"


def _marked(amounts: Floats) -> Integers:
    """1 for what is marked for the target, -1 against it, 0 for the rest."""
    sizes = np.abs(amounts)
    strong = sizes >= MARKED * np.fmax.reduce(sizes, axis=None, initial=0.0)
    return np.where(strong, np.sign(amounts), 0).astype(np.int64)
