"""The result of `lrp compare` as tables or as JSON."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import msgspec
import numpy as np
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.terminal.console import open_console
from lstm_lrp_cli.terminal.numbers import counted, plural
from lstm_lrp_cli.terminal.shades import shade_of, strengths_of
from lstm_lrp_cli.terminal.text import json_document
from lstm_lrp_cli.terminal.words import dropped_note, percent, signed
from . import (
    QUANTILES,
    Apart,
    ComparedPredictions,
    Comparison,
    Correlations,
    Differences,
    Disagreement,
    OfRelevance,
    Rank,
)

LONGEST_TOKEN = 24


def comparison_json(comparison: Comparison, tolerance: float | None, told: dict[str, Any]) -> str:
    """The comparison as one JSON document; with a tolerance, whether all is within it.

    Parameters
    ----------
    told : dict
        What is to be told beside it: `assumptions`, of each model by its name, and `warnings`.
    """
    document = {**msgspec.to_builtins(comparison), **told}
    if tolerance is not None:
        document = {
            **document,
            "tolerance": tolerance,
            "worst": comparison.worst,
            "passed": comparison.within(tolerance),
        }
    return json_document(document)


def print_comparison(comparison: Comparison, tolerance: float | None, file: TextIO) -> None:
    """Print what differs, from predictions to tokens."""
    console = open_console(file)
    console.print(Text(f"A  {printable(comparison.a)}\nB  {printable(comparison.b)}"))
    console.print(f"\n{counted(comparison.sequences, 'sequence')}")
    _print_predictions(comparison.predictions, console)
    console.print(_differences("scores", comparison.scores))
    _print_relevance(comparison.relevance, comparison.kind, console)
    if comparison.dropped is not None:
        console.print(Text(dropped_note(comparison.dropped)))
    if comparison.tokens:
        console.print(_tokens(comparison))
    if comparison.most_different:
        _print_most_different(comparison, console)
    if tolerance is not None:
        console.print(_verdict(comparison, tolerance))


def _print_predictions(predictions: ComparedPredictions, console: Console) -> None:
    if not predictions.compared:
        return
    different = f"{predictions.different:,} of {predictions.compared:,}"
    console.print(f"predictions: {different} differ")
    labelled = predictions.labelled
    if labelled is not None:
        alone = labelled.only_a_right + labelled.only_b_right
        test = f" (McNemar's test: p = {labelled.p_value:.2g})" if alone else ""
        console.print(
            f"  right: both {labelled.both_right:,}, only A {labelled.only_a_right:,}, "
            f"only B {labelled.only_b_right:,}, neither {labelled.both_wrong:,}{test}"
        )
    if not predictions.different:
        return
    changes = _table("\nchanges of the predicted class", ("A", "B"), ("count",))
    for change in predictions.changes:
        changes.add_row(*map(_name, (change.a, change.b)), f"{change.count:,}")
    console.print(changes)
    with_label = labelled is not None
    names = ("sequence", *(("label",) if with_label else ()), "A", "B")
    table = _table("where predictions differ, largest difference of a score first", names)
    table.add_column("difference", justify="right")
    table.add_column("", ratio=1, no_wrap=True)
    table.expand = True
    for each in predictions.sequences:
        label = (_name(each.label),) if with_label else ()
        table.add_row(
            _number(each),
            *label,
            *(_class(name, each.label) for name in (each.a, each.b)),
            f"{each.difference:.3g}",
            Text(printable(each.text)),
        )
    console.print(table)


def _print_relevance(relevance: OfRelevance, kind: str, console: Console) -> None:
    console.print(f"relevance: {counted(relevance.compared, 'explanation')} compared")
    if relevance.other_tokens:
        console.print(
            f"  not compared: {counted(relevance.other_tokens, 'sequence')} cut into other tokens"
        )
    if relevance.masked_by_one:
        console.print(
            f"  not compared: {counted(relevance.masked_by_one, kind)} that one side masks"
        )
    if relevance.alone:
        console.print(
            f"  not compared: {counted(relevance.alone, 'explanation')} of a target that the "
            "other side does not explain; --target all, or a class, explains the same"
        )
    if not relevance.differences.compared:
        return
    console.print(f"  {_differences('of a ' + kind, relevance.differences)}")
    if relevance.signs:
        share = percent(relevance.same_sign / relevance.signs)
        console.print(f"  same sign: {share} of {counted(relevance.signs, kind)}")
    both = {"Pearson": relevance.pearson, "Spearman": relevance.spearman}
    if any(each.explanations for each in both.values()):
        console.print(_correlations(both))


def _differences(what: str, differences: Differences) -> str:
    if not differences.compared:
        return f"{what}: none to compare"
    at = ""
    if differences.sequence is not None:
        of = "" if differences.input is None else f" of {printable(differences.input)}"
        at = f" (sequence {differences.sequence}{of})"
    return f"{what}: mean difference {differences.mean:.3g}, largest {differences.largest:.3g}{at}"


def _correlations(both: dict[str, Correlations]) -> Table:
    table = _table("\ncorrelation of relevance within explanations", ("",))
    _add_numbers(table, ("explanations", "mean"))
    _add_numbers(table, list(QUANTILES))
    for kind, each in both.items():
        mean = "" if each.mean is None else f"{each.mean:.3f}"
        shown = (f"{each.quantiles[name]:.3f}" if each.quantiles else "" for name in QUANTILES)
        table.add_row(kind, f"{each.explanations:,}", mean, *shown)
    return table


def _tokens(comparison: Comparison) -> Table:
    kind = comparison.kind
    table = _table(
        f"{plural(kind)} whose relevance differs most on average "
        f"(count ≥ {comparison.min_count:,})",
        (),
    )
    table.add_column(kind, max_width=LONGEST_TOKEN, overflow="ellipsis", no_wrap=True)
    _add_numbers(table, ("count", "mean difference", "mean A", "mean B"))
    apart = signed(each.difference for each in comparison.tokens)
    mean = signed(number for each in comparison.tokens for number in (each.a, each.b))
    for each in comparison.tokens:
        difference = apart(each.difference).lstrip("+")
        numbers = (f"{each.count:,}", difference, mean(each.a), mean(each.b))
        table.add_row(_name(each.token), *numbers)
    return table


def _print_most_different(comparison: Comparison, console: Console) -> None:
    by = {
        "correlation": "lowest correlation first; colours are relative to each side's strongest",
        "difference": "largest difference first; colours are relative to the strongest of both",
    }
    console.print(Text(f"most different explanations, {by[comparison.rank]}", "italic"))
    for each in comparison.most_different:
        console.print()
        console.print(_heading(each))
        for line in side_by_side(each, comparison.rank, console):
            console.print(line, no_wrap=True, crop=True)
    console.print()


def _heading(apart: Apart) -> Text:
    heading = _number(apart)
    heading.stylize("bold")
    heading.append(f"  {printable(str(apart.target))}")
    for name, correlation in (("Pearson", apart.pearson), ("Spearman", apart.spearman)):
        if correlation is not None:
            heading.append(f"  {name} {correlation:.2f}")
    place = f"step {apart.position}"
    if apart.tokens is not None:
        place = printable(apart.tokens[apart.position])
    elif apart.dates is not None:
        place = printable(apart.dates[apart.position])
    heading.append(f"  largest difference {apart.difference:.3g} at {place}")
    if apart.a_predicted != apart.b_predicted:
        for side, predicted in (("A", apart.a_predicted), ("B", apart.b_predicted)):
            heading.append(f"  {side} predicts ").append_text(_class(predicted, apart.label))
    return heading


def _verdict(comparison: Comparison, tolerance: float) -> Text:
    worst = f"largest difference {comparison.worst:.2g}, relative to numbers of A over 1"
    allowed = f"allowed {tolerance:g}"
    if comparison.within(tolerance):
        return Text("passed", "green").append(f": {worst}; {allowed}", "default")
    why = "" if comparison.complete else "; not all could be compared"
    return Text("FAILED", "bold red").append(f": {worst}; {allowed}{why}", "default")


def _number(of: Apart | Disagreement) -> Text:
    """Which sequence, and step, of which input where there may be several."""
    input = "" if of.input is None else f"{printable(of.input)}: "
    named = "" if of.id in (None, of.sequence) else f" ({printable(str(of.id))})"
    return Text(f"{input}{of.sequence}{named}" + ("" if of.step is None else f" step {of.step}"))


def _class(name: str | None, label: str | int | None) -> Text:
    """A predicted class, and whether it is right where that is known."""
    if name is None or label is None:
        return _name(name)
    right = name == str(label)
    return Text(f"{printable(name)} ({'right' if right else 'wrong'})", "green" if right else "red")


def _name(name: str | int | None) -> Text:
    return Text("" if name is None else printable(str(name)))


def _table(title: str, names: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    # As wide as the terminal, where the table is narrower.
    heading = Text(title, no_wrap=True, overflow="ignore")
    table = Table(title=heading, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(name)
    _add_numbers(table, numbers)
    return table


def _add_numbers(table: Table, names: Sequence[str]) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


# How many tokens of a sequence are shown, and what each line begins with.
MOST_TOKENS = 200
BEGINNINGS = ("  ", "A ", "B ")
GAP = " "
# Relevance below this is shown by its digits, wherever they stand.
SMALL = 0.1

Column = tuple[Text, Text, Text]


def side_by_side(apart: Apart, rank: Rank, console: Console) -> Iterator[Text]:
    """Lines by threes: tokens, and below each its relevance by A and by B.

    Colours tell of strength relative to the side's strongest token; where differences are ranked,
    to the strongest of both. Numbers tell the same.
    """
    both = np.array([apart.a, apart.b])
    shown = both[:, :MOST_TOKENS]
    names = apart.tokens or apart.dates or list(map(str, range(shown.shape[1])))
    shade = shade_of(console)
    strengths = (
        strengths_of(both) if rank == "difference" else np.stack(list(map(strengths_of, both)))
    )
    number = _relevance_number(float(np.fmax.reduce(np.abs(both), axis=None, initial=0.0)))
    columns = [
        _column(
            printable(name),
            list(map(number, amounts.tolist())),
            [] if shade is None else [shade(0.0 if np.isnan(s) else s) for s in strong.tolist()],
        )
        for name, amounts, strong in zip(names, shown.T, strengths.T, strict=False)
    ]
    for some in _folded(columns, console.width - len(BEGINNINGS[0])):
        for beginning, *cells in zip(BEGINNINGS, *some, strict=True):
            yield Text(beginning) + Text(GAP).join(cells)
    left_out = both.shape[1] - shown.shape[1]
    if left_out:
        yield Text(f"  and {counted(left_out, 'more token' if apart.tokens else 'more step')}")


def _relevance_number(largest: float) -> Callable[[float], str]:
    """How relevance is shown: with two decimals, unless all of it is small; not where masked."""

    def text(amount: float) -> str:
        if math.isnan(amount):
            return ""
        # Adding 0 makes one zero of both.
        return f"{amount:+.1e}" if largest < SMALL else f"{round(amount, 2) + 0.0:+.2f}"

    return text


def _column(name: str, numbers: Sequence[str], styles: Sequence[str]) -> Column:
    """A token and its relevance by both, all of one width."""
    width = max(map(cell_len, (name, *numbers)))
    cells = [Text(set_cell_size(text, width)) for text in (name, *numbers)]
    for cell, style in zip(cells[1:], styles, strict=False):
        cell.stylize(style)
    return cells[0], cells[1], cells[2]


def _folded(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """As many columns at a time as a line has room for; one at least, which is cut to fit."""
    line: list[Column] = []
    used = 0
    for column in columns:
        wide = column[0].cell_len
        if line and used + len(GAP) + wide > width:
            yield line
            line, used = [], 0
        used += wide + (len(GAP) if line else 0)
        if wide > width:
            for cell in column:
                cell.truncate(max(width, 1), overflow="ellipsis")
        line.append(column)
    if line:
        yield line
