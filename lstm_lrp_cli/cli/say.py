"""What lrp says of itself, beside its results."""

from collections.abc import Iterable

import click

from lstm_lrp_cli.reporting.printable import legible


def say(message: str) -> None:
    """Say something in a line on standard error, with whatever names it has made safe to show."""
    click.echo(f"lrp: {legible(message)}", err=True)


def warn(messages: Iterable[str]) -> None:
    """Say warnings, a line each."""
    for message in messages:
        say(f"warning: {message}")
