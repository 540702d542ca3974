"""Help: fits a screen, has sections and examples, and tells of every option."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lstm_lrp_cli.cli import main
from lstm_lrp_cli.cli.main import COMMANDS
from lstm_lrp_cli.cli.options.help import LAST_SECTION, SECTIONS, Command

SCREEN_LINES, SCREEN_COLUMNS = 48, 80


def command(name) -> Command:
    return main.get_command(click.Context(main), name)


def help_of(*arguments):
    """What a terminal of 80 columns shows; click leaves two of them free."""
    result = CliRunner().invoke(main, [*arguments], terminal_width=SCREEN_COLUMNS - 2)
    assert result.exit_code == 0, result.output
    return result.stdout


def whole_help(name):
    return help_of(name, "--help-all" if command(name).rare else "--help")


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "--help"]])
def test_fits_a_screen(arguments):
    lines = help_of(*arguments).splitlines()
    assert len(lines) <= SCREEN_LINES


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_than_a_screen(name):
    assert max(map(len, whole_help(name).splitlines())) <= SCREEN_COLUMNS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_told_of_once(name):
    text = whole_help(name)
    for param in command(name).params:
        if isinstance(param, click.Option):
            first = next(each for each in param.opts if each.startswith("--"))
            told = rf"^  (-\w, )?{first}(?![\w-])"
            assert len(re.findall(told, text, re.MULTILINE)) == 1, param.opts


@pytest.mark.parametrize("name", [name for name in COMMANDS if command(name).rare])
def test_options_that_are_left_out_are_named(name):
    shown = help_of(name, "--help")
    assert len(shown.splitlines()) < len(whole_help(name).splitlines())
    told = " ".join(shown.split("--help-all")[1].split())
    options = {param.name: param for param in command(name).params}
    for rare in command(name).rare:
        assert options[rare].opts[-1] in told


def test_sections_name_parameters_that_there_are():
    names = {param.name for name in COMMANDS for param in command(name).params}
    assert {name for section in SECTIONS.values() for name in section} <= names


def test_an_option_of_no_section_stands_in_the_last():
    made = Command("new", params=[click.Option(["--mapping"]), click.Option(["--new"])])
    text = CliRunner().invoke(made, ["--help"]).stdout
    assert text.index("Input:") < text.index("--mapping") < text.index(f"{LAST_SECTION}:")
    assert text.index(f"{LAST_SECTION}:") < text.index("--new")


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_command_lines_that_parse(name):
    examples = command(name).examples
    assert len(examples) >= 2
    for example in examples:
        assert example in help_of(name, "--help")
        own = next(part for part in example.split("|") if f"lrp {name}" in part)
        words = shlex.split(own.replace('"$(', "").replace(')"', "").split(">")[0])
        arguments = words[words.index("lrp") + 2 :]
        assert command(name).make_context(name, arguments, parent=click.Context(main))


def test_the_first_page_has_one_line_for_each_command():
    lines = help_of("--help").split("Commands:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(line.endswith(".") for line in lines)


def test_help_names_the_variables():
    assert "LRP_EXPLAIN_OPTION" in help_of("explain", "--help")


def test_the_documentation_tells_of_the_environment():
    text = (Path(__file__).parents[2] / "docs" / "shell.md").read_text("utf-8")
    for variable in ("LRP_EXPLAIN_EPS", "LRP_PAGER", "LRP_DEBUG"):
        assert f"`{variable}`" in text
