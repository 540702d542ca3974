"""Defaults from the environment: LRP_COMMAND_OPTION."""

import click
import pytest
from models import KERAS, WEATHER, json_lines

from lstm_lrp_cli.cli import main
from lstm_lrp_cli.cli.main import COMMANDS


@pytest.fixture
def ran(run, tmp_path, monkeypatch):
    """Explain two sentences with these variables set."""
    some = tmp_path / "some.txt"
    some.write_text("a great film\nboring\n")

    def explain(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return run("explain", KERAS.model, some, *arguments)

    return explain


def test_a_variable_is_the_default_of_an_option(ran):
    given = ran("--format", "jsonl", "--eps", "0.1")
    result = ran(LRP_EXPLAIN_FORMAT="jsonl", LRP_EXPLAIN_EPS="0.1")
    assert json_lines(result.stdout) == json_lines(given.stdout)
    assert "eps 0.1" in result.stderr


def test_the_command_line_wins(ran):
    result = ran("--format", "csv", LRP_EXPLAIN_FORMAT="jsonl")
    assert result.stdout.startswith("sequence,position")


@pytest.mark.parametrize(("value", "quiet"), [("1", True), ("true", True), ("0", False)])
def test_a_flag_is_set_by_1_and_left_by_0(ran, value, quiet):
    assert (ran(LRP_EXPLAIN_QUIET=value).stderr == "") == quiet


def test_an_empty_variable_is_none(ran):
    assert ran(LRP_EXPLAIN_EPS="").exit_code == 0


def test_other_commands_take_no_notice(ran, run):
    result = ran("--format", "jsonl", LRP_PREDICT_FORMAT="csv", LRP_EXPLAIN_TARGET="gold")
    assert result.exit_code == 2
    assert run("check", KERAS.model, "--format", "json").exit_code == 0


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"LRP_EXPLAIN_EPS": "much"}, "'much' is not a valid float"),
        ({"LRP_EXPLAIN_STEPS": "20"}, "--steps needs --method integrated-gradients"),
        ({"LRP_EXPLAIN_TARGET": "gold"}, "--target gold needs labelled input"),
    ],
)
def test_wrong_usage_names_the_variable_that_it_came_from(ran, variables, problem):
    result = ran(**variables)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert f"(From the environment: {', '.join(variables)}.)" in result.stderr


def test_wrong_usage_of_the_command_line_names_no_variable(ran):
    assert "From the environment" not in ran("--eps", "much").stderr


def test_every_option_has_a_variable_of_its_own():
    """None of which is one that means something for all commands."""
    variables = [
        param.envvar
        for name in COMMANDS
        for param in main.get_command(click.Context(main), name).params
        if isinstance(param, click.Option) and param.name != "help_all"
    ]
    assert all(variables)
    assert len(set(variables)) == len(variables)
    assert not set(variables) & {"LRP_DEBUG", "LRP_PAGER"}


def test_help_comes_even_where_a_variable_is_wrong(run, monkeypatch):
    monkeypatch.setenv("LRP_EXPLAIN_EPS", "much")
    monkeypatch.setenv("LRP_EXPLAIN_HELP", "0")
    assert "Usage: " in run("explain", WEATHER.model, "--help").stdout
