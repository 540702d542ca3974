"""Every recipe of docs/recipes is carried out, in the order of its page.

A page says what it needs in `<!-- needs: torch, numpy -->`. A block behind `<!-- run -->` is run,
Python or shell; one behind `<!-- write: FILE -->` is written to that file. `<!-- golden: FILE -->`
stands for an export that cannot be made here: it puts that file's arrays in place as model.npz, its
token ids as ids.txt and the framework's scores as scores.npy.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shell import run_block

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "recipes").glob("*.md"))
STEP = re.compile(
    r"^<!-- (needs|golden): ([^\n]+) -->$"
    r"|^<!-- (run|write)(?:: ([^\n]+))? -->\n```(\w*)\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def put_golden(path, folder):
    shutil.copy(path, folder / "model.npz")
    with np.load(path) as arrays:
        ids = [arrays[name] for name in arrays.files if name.startswith("ids/")]
        np.save(folder / "scores.npy", arrays["scores"])
    lines = "".join(" ".join(map(str, each)) + "\n" for each in ids)
    (folder / "ids.txt").write_text(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_recipe(framework, tmp_path, page):
    checks = 0
    for kind, value, action, name, language, block in STEP.findall(page.read_text("utf-8")):
        if kind == "needs":
            for package in value.split(", "):
                framework(package)
        elif kind == "golden":
            put_golden(ROOT / value, tmp_path)
        elif action == "write":
            (tmp_path / name).write_text(block, encoding="utf-8")
        elif language == "python":
            script = tmp_path / "script.py"
            script.write_text(block, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, done.stderr
        else:
            # A pipe fails with any of its parts, or `lrp` in front of a filter proves nothing.
            assert set(run_block(f"set -uo pipefail\n{block}", tmp_path)) == {"0"}
            checks += "lrp check" in block
    assert checks, "the recipe proves nothing"


def test_there_are_recipes():
    assert {page.stem for page in PAGES} >= {"keras", "pytorch", "onnx", "tensorflow1", "jax"}
