"""The experiments' pages say what their commands measure, and their models are what they claim."""

import importlib
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
TOY = ROOT / "docs" / "experiments" / "toy_arithmetic"
TASKS = ("addition", "subtraction")
MODELS = [
    pytest.param(path, id=f"{path.parents[1].name}-{path.parent.name}")
    for task in TASKS
    for path in sorted((ROOT / "sample_models" / f"toy_{task}").glob("*/model.npz"))
]


@pytest.fixture
def toy(monkeypatch):
    """The script of the toy experiment as a module."""
    # Other folders have a module of this name too.
    monkeypatch.delitem(sys.modules, "run", raising=False)
    monkeypatch.syspath_prepend(TOY)
    module = importlib.import_module("run")
    yield module
    del sys.modules["run"]


def task_of(toy, name):
    (task,) = (task for task in toy.TASKS if task.name == name)
    return task


class TestToyArithmetic:
    def test_the_page_has_the_tables_of_what_was_measured(self, toy):
        shown = toy.PAGE.read_text("utf-8")
        assert shown == toy.page(toy.read_results()), (
            "run python docs/experiments/toy_arithmetic/run.py"
        )

    @pytest.mark.parametrize("name", TASKS)
    def test_the_command_gives_what_was_measured(self, toy, name):
        """In the first of the ten models; the others would take half a minute."""
        task, measured = task_of(toy, name), toy.read_results()[name]
        found = dict(toy.measure_model(task, toy.models(task)[0]))
        assert found.keys() == measured.keys()
        for method, measures in found.items():
            assert astuple(measures) == pytest.approx(
                astuple(measured[method][0]), rel=1e-4, abs=1e-6
            ), method

    @pytest.mark.parametrize("name", TASKS)
    def test_lrp_all_finds_the_numbers_and_the_other_rules_do_not(self, toy, name):
        measured = toy.read_results()[name]
        assert len(measured["lrp-all"]) == 10
        for one in measured["lrp-all, eps 1e-6"]:
            assert min(one.first, one.second) > 0.95
            assert one.share > 0.95
        for rule in ("lrp-half", "lrp-prop", "lrp-abs"):
            for eps in ("", ", eps 1e-6"):
                assert np.mean([one.first for one in measured[rule + eps]]) < 0.8
                assert np.mean([one.share for one in measured[rule + eps]]) < 0.8

    @pytest.mark.parametrize("model", MODELS)
    def test_models_agree_with_their_frameworks_scores(self, run, model):
        series, expected = model.parents[1] / "series.csv", model.with_name("expected.npy")
        result = run("check", model, series, "--expected", expected, "--tolerance", 1e-12)
        assert result.exit_code == 0, result.output

    @pytest.mark.parametrize("model", MODELS)
    def test_models_give_the_right_answers(self, toy, model):
        task = task_of(toy, model.parents[1].name.removeprefix("toy_"))
        rows = np.loadtxt(model.parents[1] / "series.csv", delimiter=",", skiprows=1)
        sequences = np.split(rows[:, 2:], np.flatnonzero(np.diff(rows[:, 0])) + 1)
        answers = np.array([toy.parts(task, sequence).sum() for sequence in sequences])
        scores = np.load(model.with_name("expected.npy"))[:, 0]
        assert len(scores) == 500
        assert ((scores - answers) ** 2).mean() < 1e-4

    def test_there_are_models(self):
        assert len(MODELS) == 20
