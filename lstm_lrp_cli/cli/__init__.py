"""The command line: one file a command, which reads options, calls below, and prints."""

from lstm_lrp_cli.cli.main import main

__all__ = ["main"]
