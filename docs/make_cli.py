"""Write docs/cli.md: the whole help of every command, as a terminal of 80 columns shows it.

Run it from anywhere, with the package installed:

    python docs/make_cli.py
"""

from pathlib import Path

from click.testing import CliRunner

from lstm_lrp_cli.cli import main as lrp
from lstm_lrp_cli.cli.main import COMMANDS

PAGE = Path(__file__).parent / "cli.md"
TERMINAL_WIDTH = 78  # click leaves two of a terminal's 80 columns free

INTRODUCTION = """\
# Command line

What `--help` says, or `--help-all` where options are left to it. This page is generated: change
the texts in `lstm_lrp_cli/cli/`, then run `python docs/make_cli.py`. What the options mean in full
is in [input.md](input.md), [output.md](output.md) and [mapping.md](mapping.md); how the environment
sets their defaults, in [shell.md](shell.md).
"""


def help_of(*arguments: str) -> str:
    """What a command answers to --help-all, or to --help where that is all."""
    for flag in ("--help-all", "--help"):
        result = CliRunner().invoke(
            lrp, [*arguments, flag], prog_name="lrp", terminal_width=TERMINAL_WIDTH
        )
        if not result.exit_code:
            return result.stdout
    raise RuntimeError(f"lrp {' '.join(arguments)} --help failed: {result.output}")


def page() -> str:
    """The whole page as Markdown."""
    sections = [INTRODUCTION]
    for arguments in ((), *((command,) for command in COMMANDS)):
        title = " ".join(("lrp", *arguments))
        sections.append(f"## {title}\n\n```text\n{help_of(*arguments)}```\n")
    return "\n".join(sections)


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
