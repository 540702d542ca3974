"""The result of `lrp check` as a table or as JSON."""

from typing import TextIO

from rich.table import Table

from lstm_lrp_cli.checking.verify import Verification
from lstm_lrp_cli.reporting.console import open_console, print_table
from lstm_lrp_cli.reporting.document import json_document
from lstm_lrp_cli.reporting.numbers import counted


def print_verification(verification: Verification, file: TextIO) -> None:
    """Print each check with its worst case."""
    table = Table(title=counted(verification.sequences, "sequence"), title_justify="left")
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
    print_table(table, open_console(file))


def verification_json(verification: Verification) -> str:
    """The checks as one JSON document."""
    document = {
        "passed": verification.passed,
        "sequences": verification.sequences,
        "against": verification.framework,
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
