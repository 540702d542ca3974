"""What lrp says of itself, beside its results."""

import click

from lstm_lrp_cli.reporting.printable import legible


def say(message: str) -> None:
    """Say something in a line on standard error, with whatever names it has made safe to show."""
    click.echo(f"lrp: {legible(message)}", err=True)
