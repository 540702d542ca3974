"""The result of `lrp match` as a table or as JSON."""

from typing import TextIO

import msgspec
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.checking.match import Match, MatchedMapping
from lstm_lrp_cli.loading.mapping import Mapping
from lstm_lrp_cli.reporting.console import open_console, print_table
from lstm_lrp_cli.reporting.document import json_document
from lstm_lrp_cli.reporting.numbers import counted, steps_compared
from lstm_lrp_cli.reporting.printable import printable

SHOWN_FOUND, SHOWN_OTHERS = 8, 2


def verdict(match: Match) -> str:
    """What the search came to, in a sentence or two."""
    found, others = match.found, match.others
    if not found:
        return (
            f"none of {match.tried:,} mappings reproduces the scores; the nearest is "
            f"{others[0].worst:.2g} off ({others[0].choice}). What may be missing: another "
            "activation or pooling, a layer, a projection, padding to another length, or another "
            "vocabulary; or the scores are of other sequences, or of other weights"
        )
    runner_up = f"; the nearest other one is {others[0].worst:.2g} off" if others else ""
    if len(found) == 1:
        return f"one of {match.tried:,} mappings reproduces the scores{runner_up}"
    return (
        f"{len(found)} of {match.tried:,} mappings reproduce the scores, and these "
        f"{counted(match.sequences, 'sequence')} cannot tell them apart{runner_up}. Longer "
        "sequences of different lengths may, or the mappings are one and the same model"
    )


def print_match(match: Match, text: str | None, file: TextIO) -> None:
    """Print the nearest mappings, and the first one as YAML where it was found."""
    compared = steps_compared(match.steps, match.masked)
    table = Table(title=f"{match.tried:,} mappings{compared}", title_justify="left")
    table.add_column("mapping", overflow="fold")
    table.add_column("worst", justify="right")
    for name in ("of", "result"):
        table.add_column(name)
    for each in [*match.found[:SHOWN_FOUND], *match.others[:SHOWN_OTHERS]]:
        right = each.worst <= match.tolerance
        table.add_row(
            Text(printable(str(each.choice))),
            f"{each.worst:.2g}",
            each.compared,
            "[green]matches[/]" if right else "no",
        )
    print_table(table, open_console(file))
    if text is not None:
        file.write(f"\n{text}")


def match_json(match: Match, base: Mapping, told: dict[str, list[str]]) -> str:
    """The search as one JSON document.

    Parameters
    ----------
    told : dict
        What is to be told beside it, of the first mapping that was found: `assumptions` and
        `warnings`.
    """

    def entry(each: MatchedMapping) -> dict[str, object]:
        return {
            "what": str(each.choice),
            "worst": each.worst,
            "compared": each.compared,
            "mapping": msgspec.to_builtins(each.choice.mapping(base)),
        }

    return json_document(
        {
            "found": bool(match.found),
            "verdict": verdict(match),
            "tolerance": match.tolerance,
            "tried": match.tried,
            "sequences": match.sequences,
            "steps": match.steps,
            "masked_steps": match.masked,
            **told,
            "matches": [entry(each) for each in match.found],
            "nearest_others": [entry(each) for each in match.others[:SHOWN_OTHERS]],
        }
    )
