"""The command line: one file a command, which reads options, calls below, and prints."""

from .main import main

__all__ = ["main"]
