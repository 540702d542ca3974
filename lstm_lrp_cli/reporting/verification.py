"""The result of `lrp check` as a table or as JSON."""

from typing import TextIO

from rich.table import Table

from lstm_lrp_cli.checking.verify import Verification
from lstm_lrp_cli.reporting.console import open_console, print_table
from lstm_lrp_cli.reporting.document import json_document
from lstm_lrp_cli.reporting.numbers import counted, steps_compared


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
            check.name,
            check.meaning,
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
