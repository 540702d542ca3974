"""What `lrp explain` shows on terminals of 60 and 120 columns, with colours and without.

The screens are recorded in screens/; LRP_RECORD=1 in the environment of this test writes them anew.
"""

import os
from pathlib import Path

import pytest
from models import KERAS, WEATHER

SCREENS = Path(__file__).parent / "screens"
TEXT = KERAS.sequences.with_name("labelled.txt")
# What of the inputs is shown: right and wrong, long and short; a series' header stays.
SHOWN = {
    "text": (KERAS.model, TEXT, ["--labelled"], slice(0, 3)),
    "top": (KERAS.model, TEXT, ["--labelled", "--top", "4"], slice(0, 3)),
    "series": (WEATHER.model, WEATHER.sequences, [], slice(0, 1 + 2 * 28)),
}
COLOURS = {
    "colour": {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"},
    "256": {"FORCE_COLOR": "1", "TERM": "xterm-256color"},
    "16": {"FORCE_COLOR": "1", "TERM": "xterm"},
    "plain": {"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": "1"},
    "dumb": {"FORCE_COLOR": "1", "TERM": "dumb"},
    "pipe": {"TERM": "xterm-256color"},
}


@pytest.fixture
def screen(run, tmp_path, monkeypatch):
    """What a terminal of this width and these colours gets."""

    def show(shown, width, colours):
        model, sequences, options, lines = SHOWN[shown]
        some = tmp_path / f"some{sequences.suffix}"
        text = sequences.read_text("utf-8").splitlines(keepends=True)
        some.write_text("".join(text[lines]), "utf-8")
        for name in ("FORCE_COLOR", "COLORTERM", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"COLUMNS": str(width), **COLOURS[colours]}.items():
            monkeypatch.setenv(name, value)
        result = run("explain", model, some, *options, "--format", "terminal", "-q")
        assert result.exit_code == 0, result.output
        return result.stdout

    return show


@pytest.mark.parametrize("colours", ["colour", "plain"])
@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("shown", SHOWN)
def test_the_screen_is_as_recorded(screen, shown, width, colours):
    path = SCREENS / f"{shown}-{width}-{colours}.txt"
    text = screen(shown, width, colours)
    if os.environ.get("LRP_RECORD"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("colours", ["256", "16"])
def test_few_colours_change_nothing_but_colours(screen, colours):
    codes = {"256": "\x1b[38;5;231;48;5;160m", "16": "\x1b[1;97;41m"}
    assert codes[colours] in screen("text", 60, colours)
    assert "48;2;" not in screen("text", 60, colours)


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("colours", ["dumb", "pipe"])
def test_a_dumb_terminal_and_a_pipe_get_no_codes(screen, width, colours):
    text = screen("text", width, colours)
    assert "\x1b" not in text
    assert "(+0." in text
    assert 40 < max(map(len, text.splitlines())) <= width
