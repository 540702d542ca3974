"""The results of `lrp check` and `lrp match` as tables or as JSON."""

import math
from typing import TextIO

import msgspec
from rich.table import Table
from rich.text import Text

from lstm_lrp_cli.errors import printable
from lstm_lrp_cli.loading.mapping import Mapping
from lstm_lrp_cli.terminal.console import open_console, print_table
from lstm_lrp_cli.terminal.numbers import counted, steps_compared
from lstm_lrp_cli.terminal.text import json_document
from .judging import Match, MatchedMapping
from .verify import Verification

# Sequences with fewer steps may not tell what gates do.
FEW_STEPS = 10
# How many mappings are shown that give the scores, and that do not.
SHOWN_FOUND, SHOWN_OTHERS = 8, 2


def print_verification(verification: Verification, file: TextIO) -> None:
    """Print each check with its worst case."""
    compared = steps_compared(verification.steps, verification.masked)
    title = f"{counted(verification.sequences, 'sequence')}{compared}"
    table = Table(title=title, title_justify="left")
    for column in ("check", "what must hold", "worst", "allowed", "sequence", "result"):
        right = column in ("worst", "allowed", "sequence")
        table.add_column(column, justify="right" if right else "left")
    for check in verification.checks:
        table.add_row(
            Text(printable(check.name)),
            Text(printable(check.meaning)),
            f"{check.worst:.2g}",
            f"{check.tolerance:g}",
            "" if check.sequence is None else str(check.sequence),
            "[green]passed[/]" if check.passed else "[bold red]FAILED[/]",
        )
    console = open_console(file)
    print_table(table, console)
    not_proven = unproven(verification)
    if not_proven is not None:
        console.print(not_proven, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def unproven(verification: Verification) -> str | None:
    """What no check that passed proves; None where scores of the whole model were compared."""
    if verification.compared_with is not None:
        return None
    if verification.framework is not None:
        return (
            "Scores as a whole were not compared: the mapping's word on how layers are connected "
            "stands on both sides. Use --expected."
        )
    return (
        "Scores were not compared with anything, so the file may be read wrong: use --expected or "
        "--against."
    )


def verification_json(verification: Verification, told: dict[str, list[str]]) -> str:
    """The checks as one JSON document.

    Parameters
    ----------
    told : dict
        What is to be told beside them: `assumptions` and `warnings`.
    """
    document = {
        "passed": verification.passed,
        "sequences": verification.sequences,
        "steps": verification.steps,
        "masked_steps": verification.masked,
        "against": verification.framework,
        "sizes": None if verification.sizes is None else verification.sizes.as_object(),
        "compared_with": verification.compared_with,
        "unproven": unproven(verification),
        **told,
        "checks": [
            {
                "name": check.name,
                "meaning": check.meaning,
                "passed": check.passed,
                "worst": check.worst,
                "tolerance": check.tolerance,
                "sequence": check.sequence,
                "compared": check.compared,
            }
            for check in verification.checks
        ],
    }
    return json_document(document)


def verdict(match: Match) -> str:
    """What the search came to, in a sentence or two."""
    found, others = match.found, match.others
    if not found:
        nearest = f"; the nearest is {others[0].worst:.2g} off ({others[0].choice})"
        limit = "" if match.is_whole else " that were tried in the time there is"
        return (
            f"none of {match.tried:,} mappings{limit} reproduces the scores"
            f"{nearest if others[0].worst < math.inf else ', nor runs the sequences'}. What may be "
            "missing: another activation or pooling, a layer, a projection, padding to another "
            "length, or another vocabulary; or the scores are of other sequences, or of other "
            "weights"
        )
    runner_up = f"; the nearest other one is {others[0].worst:.2g} off" if others else ""
    rest = "" if match.is_whole else ". Not all that differs from it in several ways was tried"
    if len(found) == 1:
        return f"one of {match.tried:,} mappings reproduces the scores{runner_up}{rest}"
    return (
        f"{len(found)} of {match.tried:,} mappings reproduce the scores, and these "
        f"{counted(match.sequences, 'sequence')} cannot tell them apart{runner_up}. What may: "
        f"{'; '.join(tie_breakers(match))}. Or they are one and the same model{rest}"
    )


def tie_breakers(match: Match) -> list[str]:
    """What input would tell the mappings apart that reproduce the scores."""
    first, *others = [each.choice for each in match.found]
    words = set().union(*(set(first.variation.what) ^ set(o.variation.what) for o in others))
    longest, sizes = max(match.lengths), len(set(match.lengths))
    found = []
    if any(other.variation.padding != first.variation.padding for other in others):
        same = f", which all have {longest} steps" if sizes == 1 else ""
        found.append(f"for the padding, sequences of other lengths{same}, shorter and longer")
    if any(other.setting != first.setting for other in others):
        short = f" than {longest} steps" if longest < FEW_STEPS else ""
        found.append(f"for the gates, longer sequences{short}")
    active = {
        word for word in words if "behind" in word or "inside" in word or "in the rnn" in word
    }
    if active:
        found.append(
            "for the activations, more sequences, of larger values (relu and linear are one where "
            "no unit is negative)"
        )
    if words - active:
        found.append("for the other layers, more and longer sequences of different lengths")
    return found or ["more sequences"]


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
            Text(printable(each.compared)),
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
            "tried_all": match.is_whole,
            "told_apart_by": tie_breakers(match) if len(match.found) > 1 else [],
            "sequences": match.sequences,
            "steps": match.steps,
            "masked_steps": match.masked,
            **told,
            "matches": [entry(each) for each in match.found],
            "nearest_others": [entry(each) for each in match.others[:SHOWN_OTHERS]],
        }
    )
