"""The comparison that docs/comparing.md shows is what its command prints."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "comparing.md"


def test_the_example_is_what_the_command_prints(run, monkeypatch):
    monkeypatch.chdir(ROOT)
    command, shown = re.search(
        r"<!-- compared -->\n```sh\n(.*?)```\n\n```text\n(.*?)```",
        PAGE.read_text("utf-8"),
        re.DOTALL,
    ).groups()
    program, *arguments = shlex.split(command.replace("\\\n", " "))
    assert program == "lrp"
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.stdout.strip().splitlines()] == shown.splitlines()
