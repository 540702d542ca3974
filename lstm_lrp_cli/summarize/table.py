"""A summary as tables for people, and as a page."""

from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.statistics.tokens import TokenFigures
from lstm_lrp_cli.terminal.console import open_console
from lstm_lrp_cli.terminal.numbers import counted, plural
from lstm_lrp_cli.terminal.words import dropped_note, signed
from .summary import PARTS, ByPosition, Cell, OfMethod, OfTarget, PositionFigures, Residual, Summary

# How many residuals are shown, of which most are rounding.
RESIDUALS = 5
# How many positions are told one by one: more are left to JSON.
SHOWN_POSITIONS = 10
# How many tokens tell what a cell of the confusion matrix is about.
TYPICAL = 5
LONGEST_TOKEN = 24
# How many targets have a section: words that are predicted next may be tens of thousands.
SHOWN_TARGETS = 100
# Of the page.
STYLES = ("report.css", "summary.css")


def print_summary(summary: Summary, file: TextIO) -> None:
    """Print a section for each method, and in it one for each target."""
    console = open_console(file)
    if summary.dropped:
        console.print(Text(f"{dropped_note(summary.dropped)}\n"))
    for method in summary.methods:
        console.print(Text(printable(method_title(method)), "bold"))
        for target in shown_targets(method):
            _print_target(target, summary, console)
        if more_targets(method):
            console.print(Text(f"\n{more_targets(method)}"))
        if method.confusion:
            console.print(_confusion(method.confusion, summary))
        if method.worst_residuals:
            console.print(_residuals(method.worst_residuals, summary.files > 1))


def _print_target(target: OfTarget, summary: Summary, console: Console) -> None:
    name = Text(printable(str(target.target)), "bold reverse")
    console.print(Text("\ntarget ").append_text(name).append(f"  {target_title(target, summary)}"))
    by_mean = f"mean (count ≥ {summary.min_count:,})"
    pairs = (
        ((f"highest {by_mean}", target.highest_mean), (f"lowest {by_mean}", target.lowest_mean)),
        (("highest total", target.highest_total), ("lowest total", target.lowest_total)),
    )
    for pair in pairs:
        _side_by_side(
            [_tokens(title, summary.kind, figures) for title, figures in pair if figures], console
        )
    if target.tokens:
        tables = [
            _positions("by part of the sequence", "part", tenth_rows(target.positions)),
            _positions("by position from 0", "position", position_rows(target.positions)),
        ]
        _side_by_side(tables, console)


def _side_by_side(tables: Sequence[Table], console: Console) -> None:
    """Print tables beside each other where there is room, else below."""
    if tables:
        console.print(Columns(tables, padding=(0, 4)))


def _tokens(title: str, kind: str, figures: Sequence[TokenFigures]) -> Table:
    with_unknown = any(each.unknown for each in figures)
    table = _table(title)
    table.add_column(kind, max_width=LONGEST_TOKEN, overflow="ellipsis", no_wrap=True)
    names = ("count", *(("unknown",) if with_unknown else ()), "mean", "std", "total")
    _add_numbers(table, names)
    mean = signed(each.mean for each in figures)
    total = signed(each.total for each in figures)
    for each in figures:
        unknown = (f"{each.unknown:,}",) if with_unknown else ()
        std = "" if each.std is None else mean(each.std).lstrip("+")
        numbers = (f"{each.count:,}", *unknown, mean(each.mean), std, total(each.total))
        table.add_row(Text(printable(each.token)), *numbers)
    return table


def _positions(title: str, kind: str, rows: Sequence[tuple[str, PositionFigures]]) -> Table:
    table = _table(title)
    _add_numbers(table, (kind, "count", "mean", "mean absolute"))
    shown = signed(each.mean_absolute for _, each in rows)
    for name, each in rows:
        size = shown(each.mean_absolute).lstrip("+")
        table.add_row(name, f"{each.count:,}", shown(each.mean), size)
    return table


def _confusion(cells: Sequence[Cell], summary: Summary) -> Table:
    table = _table("\nconfusion, with the tokens that bear most")
    for name in ("label", "predicted", "target"):
        table.add_column(name)
    _add_numbers(table, ("count",))
    for name in ("most relevance", "least relevance"):
        table.add_column(name, ratio=1)
    for cell in cells[: summary.top]:
        predicted = Text(printable(str(cell.predicted)), "" if cell.right else "bold red")
        if not cell.right:
            predicted.append(" (wrong)")
        table.add_row(
            Text(printable(str(cell.label))),
            predicted,
            Text(printable(str(cell.target))),
            f"{cell.explanations:,}",
            _typical(cell.highest_total),
            _typical(cell.lowest_total),
        )
    return table


def _typical(figures: Sequence[TokenFigures]) -> Text:
    some = figures[:TYPICAL]
    shown = signed(each.total for each in some)
    return Text(", ".join(f"{printable(each.token)} {shown(each.total)}" for each in some))


def _residuals(residuals: Sequence[Residual], with_source: bool) -> Table:
    table = _table("\nworst residuals")
    for name in (*(("file",) if with_source else ()), "sequence", "target"):
        table.add_column(name, no_wrap=True)
    _add_numbers(table, ("residual", "of the sizes"))
    table.add_column("", ratio=1, no_wrap=True)
    table.expand = True
    for each in residuals[:RESIDUALS]:
        named = f" ({printable(str(each.id))})" if each.id not in (None, each.sequence) else ""
        step = f" step {each.step}" if each.step is not None else ""
        table.add_row(
            *((Text(printable(each.source)),) if with_source else ()),
            Text(f"{each.sequence}{named}{step}"),
            Text(printable(str(each.target))),
            f"{each.residual:.2g}",
            f"{each.relative:.2g}",
            Text(printable(each.text)),
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD)


def _add_numbers(table: Table, names: Sequence[str]) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def method_title(method: OfMethod) -> str:
    """What stands over a method's section."""
    title = f"{method.method}: " if method.method is not None else ""
    title += counted(method.explanations, "explanation")
    if method.without_score:
        title += f", {method.without_score:,} of them without a score"
    return title


def target_title(target: OfTarget, summary: Summary) -> str:
    """What a class's explanations come to."""
    noun = summary.kind.replace("feature", "step")
    unknown = f" ({target.unknown:,} unknown)" if target.unknown else ""
    kept = " kept" if summary.dropped else ""
    # Of whole steps of a series there is nothing to tell apart.
    kinds = f"{plural(summary.kind)}{kept}"
    distinct = f"{target.distinct:,} different {kinds}, " if target.distinct else ""
    return (
        f"{counted(target.explanations, 'explanation')}, {counted(target.tokens, noun)}{unknown}, "
        f"{distinct}relevance {target.relevance:+,.4g} in all"
    )


def shown_targets(method: OfMethod) -> list[OfTarget]:
    """The targets that have a section, in their order: those of the most explanations."""
    places = range(len(method.targets))
    most = sorted(places, key=lambda place: -method.targets[place].explanations)[:SHOWN_TARGETS]
    return [method.targets[place] for place in sorted(most)]


def more_targets(method: OfMethod) -> str:
    """What is said of targets that have no section; nothing where all have one."""
    more = len(method.targets) - SHOWN_TARGETS
    told = "--target CLASS shows one, and --format json has all"
    return f"and {counted(more, 'target')} of fewer explanations; {told}" if more > 0 else ""


def position_rows(positions: ByPosition) -> list[tuple[str, PositionFigures]]:
    """The first positions, by name."""
    return [(str(each.position), each) for each in positions.from_start[:SHOWN_POSITIONS]]


def tenth_rows(positions: ByPosition) -> list[tuple[str, PositionFigures]]:
    """The tenths of a sequence, by name."""
    part = 100 // PARTS
    return [
        (f"{part * each.position}–{part * (each.position + 1)} %", each)
        for each in positions.tenths
    ]


def write_page(summary: Summary, file: TextIO) -> None:
    """In the style of the report. All text of it is escaped, and nothing else is loaded or run."""
    from lstm_lrp_cli import __version__
    from lstm_lrp_cli.outputs.html import element, rendered

    style, style_hash = element("style", STYLES)
    file.write(
        rendered(
            "summary.html.j2",
            summary=summary,
            style=style,
            style_hash=style_hash,
            version=__version__,
            typical_tokens=TYPICAL,
            signed=signed,
            method_title=method_title,
            target_title=target_title,
            shown_targets=shown_targets,
            more_targets=more_targets,
            position_rows=position_rows,
            tenth_rows=tenth_rows,
            dropped_note=dropped_note,
        )
    )
