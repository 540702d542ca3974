"""Blocks of shell and Python from the documentation, run as a reader would."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from forking import forked_lrp

ROOT = Path(__file__).parents[2]

# A program and no function of the shell, so that xargs and its like find it too.
LRP = """\
#!/bin/sh
$LRP_FORKED "$@"
status=$?
echo $status >> "$LRP_STATUSES"
exit $status
"""


def run_script(block: str, folder: Path, statuses: Path) -> str:
    """Run a block of shell, `lrp` being that of this Python; give all that it prints.

    The statuses of its runs of `lrp` are added to a file.
    """
    with tempfile.TemporaryDirectory() as programs:
        lrp = Path(programs, "lrp")
        lrp.write_text(LRP, encoding="utf-8")
        lrp.chmod(0o755)
        scripts = Path(sys.executable).parent
        environment = {
            **os.environ,
            "PATH": os.pathsep.join((programs, str(scripts), os.environ["PATH"])),
            "PYTHONPATH": str(ROOT),
            "LRP_FORKED": " ".join(forked_lrp()),
            "LRP_STATUSES": str(statuses),
        }
        done = subprocess.run(
            ["bash", "-c", f"set -e\n{block}"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
        )
    assert done.returncode == 0, done.stdout
    return done.stdout


def run_block(block: str, folder: Path) -> list[str]:
    """Run a block of shell; give the statuses of its runs of `lrp`."""
    statuses = folder / "statuses"
    run_script(block, folder, statuses)
    return statuses.read_text("utf-8").split() if statuses.exists() else []


def run_python(block: str, folder: Path) -> str:
    """Run a block of Python in a folder; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
