"""Tables on narrow terminals: numbers are whole, names are folded."""

import re

import pytest
from models import KERAS

COMMANDS = {
    "check": ("check", KERAS.model),
    "evaluate": ("evaluate", KERAS.model, "--methods", "lrp-all,gradient-x-input"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_number_is_cut_and_no_line_too_long(run, monkeypatch, tmp_path, name, width):
    some = tmp_path / "some.txt"
    lines = KERAS.sequences.read_text("utf-8").splitlines(keepends=True)
    some.write_text("".join(lines[:4]), "utf-8")
    monkeypatch.setenv("COLUMNS", str(width))
    command, model, *options = COMMANDS[name]
    result = run(command, model, some, *options)
    assert result.exit_code == 0, result.output
    assert not re.search(r"[0-9.]\N{HORIZONTAL ELLIPSIS}", result.stdout)
    # A sentence below a table is folded on a terminal alone: in a file it is one line.
    rows = [line for line in result.stdout.splitlines() if not line.startswith("Scores were not")]
    assert max(map(len, rows)) <= width
    assert "result" in result.stdout or "1.00" in result.stdout


def test_a_method_is_folded_between_its_parts(run, monkeypatch, tmp_path):
    some = tmp_path / "some.txt"
    some.write_text("\n".join(KERAS.sequences.read_text("utf-8").splitlines()[:3]), "utf-8")
    monkeypatch.setenv("COLUMNS", "80")
    methods = "lrp-all:eps=1e-6,integrated-gradients:steps=20,contextual-decomposition"
    arguments = ("evaluate", KERAS.model, some, "--methods", methods, "--draws", "1")
    rows = [re.split("[│┃]", line) for line in run(*arguments).stdout.splitlines()]
    names = [row[1].strip() for row in rows if len(row) > 2]
    whole = {"method", "", *["lrp-all:", "eps=1e-6", "integrated-", "gradients:", "steps=20"]}
    whole |= {"contextual-", "decomposition", "gradients:steps=20", "lrp-all:eps=1e-6"}
    assert {re.sub(r"^\d ", "", name) for name in names} <= {*whole, *methods.split(",")}
    assert {"lrp-all:", "contextual-"} & set(names)


def test_a_dataset_is_folded_between_its_parts(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rows = [line.split("│") for line in run("inspect", KERAS.model).stdout.splitlines()]
    cells = {row[3].strip() for row in rows if len(row) == 6}
    assert {"model_weights/lstm/lstm/", "lstm_cell/", "recurrent_kernel:0", "(48, 2)"} <= cells
