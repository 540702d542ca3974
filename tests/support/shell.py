"""Blocks of shell from the documentation, run as a reader would."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_block(block: str, folder: Path) -> list[str]:
    """Run a block of shell, `lrp` being that of this Python; give the statuses of its runs."""
    statuses = folder / "statuses"
    prelude = (
        'lrp() { "$LRP_PYTHON" -m lstm_lrp_cli "$@"; '
        'local status=$?; echo $status >> "$LRP_STATUSES"; return $status; }\n'
    )
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LRP_PYTHON": sys.executable,
        "LRP_STATUSES": str(statuses),
    }
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{prelude}{block}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return statuses.read_text("utf-8").split() if statuses.exists() else []
