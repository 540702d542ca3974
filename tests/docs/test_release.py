"""What is said of a release in several places is the same in all."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from lstm_lrp_cli import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def pythons_of_nox():
    """PYTHONS of noxfile.py, which is not imported: nox need not be installed."""
    for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "PYTHONS":
            return list(ast.literal_eval(node.value))
    raise AssertionError("noxfile.py has no PYTHONS")


def test_the_changelog_has_the_version_and_its_date():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version, date = re.search(r"^## \[(\d.*)\] - (\S+)$", text, re.MULTILINE).groups()
    assert version == __version__
    assert (CITATION["version"], CITATION["date-released"]) == (version, date)


def test_the_license_is_one():
    assert CITATION["license"] == PROJECT["project"]["license"]


def test_the_workflow_runs_the_pythons_of_nox():
    text = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    tests = yaml.safe_load(text)["jobs"]["tests"]
    assert tests["strategy"]["matrix"]["python"] == pythons_of_nox()


def test_the_classifiers_claim_no_other_pythons():
    start = "Programming Language :: Python :: "
    classifiers = PROJECT["project"]["classifiers"]
    claimed = [each.removeprefix(start) for each in classifiers if each.startswith(start)]
    assert claimed
    assert set(claimed) <= set(pythons_of_nox())
    assert PROJECT["project"]["requires-python"] == f">={min(claimed)}"


@pytest.mark.parametrize("name", PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
def test_what_the_sdist_takes_is_there(name):
    assert (ROOT / name).exists()


def test_publishing_waits_for_all_other_jobs():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    assert set(jobs["publish"]["needs"]) == jobs.keys() - {"publish"}
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
