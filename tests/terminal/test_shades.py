"""The colours: readable, told apart, and those that the terminal has."""

import io
from itertools import pairwise

import numpy as np
import pytest
from rich.color import Color, ColorType
from rich.console import Console
from rich.style import Style

from lstm_lrp_cli.terminal.shades import FAINT, shade_of

SYSTEMS = ("truecolor", "256", "standard")
STRENGTHS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)

# What people see who lack one kind of cones, from linear red, green and blue (G. M. Machado, M. M.
# Oliveira and L. A. F. Fernandes 2009, "A Physiologically-based Model for Simulation of Color
# Vision Deficiency", severity 1.0).
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


BACKGROUNDS = ("dark", "light", "unknown")
# What terminals are: black and white, and those of usual themes.
DARK = [Color.parse(name) for name in ("#000000", "#1e1e1e", "#002b36")]
LIGHT = [Color.parse(name) for name in ("#ffffff", "#fdf6e3")]


@pytest.fixture(params=BACKGROUNDS)
def on(request):
    return request.param


def shade(system, on=None, **options):
    console = Console(file=io.StringIO(), force_terminal=True, color_system=system, **options)
    return shade_of(console, on)


def linear(color: Color) -> np.ndarray:
    """Red, green and blue in amounts of light (sRGB, IEC 61966-2-1)."""
    values = np.array(color.get_truecolor()) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(color: Color) -> float:
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def contrast(one: Color, other: Color) -> float:
    """As WCAG 2 defines it, from 1 to 21."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def style(system, strength, on) -> Style:
    return Style.parse(shade(system, on)(strength))


def fills(system, sign, on) -> list[Color]:
    """From faint to strong."""
    return [style(system, sign * strength, on).bgcolor for strength in STRENGTHS]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("system", ["truecolor", "256"])
def test_text_can_be_read_on_every_shade(system, sign, on):
    """With the contrast that WCAG 2 asks of text, at least 4.5."""
    for strength in (FAINT + 0.001, *STRENGTHS):
        chosen = style(system, sign * strength, on)
        assert contrast(chosen.color, chosen.bgcolor) >= 4.5


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("system", ["truecolor", "256"])
@pytest.mark.parametrize(("on", "terminals"), [("dark", DARK), ("light", LIGHT)])
def test_what_is_weak_is_near_the_terminals_own_background(system, sign, on, terminals):
    """And what is strong stands out of it, by what WCAG 2 asks of a graphic, 3."""
    own, *_ = terminals
    faint, *_, full = fills(system, sign, on)
    assert contrast(faint, own) < 1.6
    assert contrast(full, own) >= 3


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("system", ["truecolor", "256"])
@pytest.mark.parametrize("on", ["dark", "light"])
def test_stronger_is_further_from_the_background(system, sign, on):
    lights = list(map(luminance, fills(system, sign, on)[:-1]))
    ordered = lights if on == "dark" else lights[::-1]
    assert all(one <= other for one, other in pairwise(ordered))
    assert ordered[0] < ordered[-1]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("system", ["truecolor", "256"])
@pytest.mark.parametrize("terminal", [*DARK, *LIGHT], ids=lambda color: color.name)
def test_where_the_background_is_unknown_nothing_glares_and_the_strongest_stands_out(
    system, sign, terminal
):
    """The weakest contrast no more than the strongest, about, and are greyer."""
    faint, *_, full = fills(system, sign, "unknown")
    assert contrast(full, terminal) >= 2.4
    assert contrast(faint, terminal) <= 1.4 * contrast(full, terminal)
    colourfulness = [np.ptp(each.get_truecolor()) for each in fills(system, sign, "unknown")]
    assert all(weak <= strong for weak, strong in pairwise(colourfulness))
    assert colourfulness[0] < colourfulness[-1] / 2


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("system", ["truecolor", "256"])
def test_for_and_against_are_told_apart_with_any_colour_blindness(system, blindness, on):
    """What is against the target is more bluish than what is for it, at every strength."""
    for strength in STRENGTHS[1:]:
        tints = []
        for sign in (1, -1):
            light = BLINDNESS[blindness] @ linear(style(system, sign * strength, on).bgcolor)
            red, green, blue = np.clip(light, 0, 1) + 0.01
            tints.append(blue / (red if blindness == "tritanopia" else max(red, green)))
        assert tints[1] > 1.2 * tints[0]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("15;0", "dark"),
        ("0;15", "light"),
        ("0;7", "light"),
        ("12;8", "dark"),
        ("15;default;0", "dark"),
        ("0;default", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_terminal_says_what_its_background_is(monkeypatch, said, expected):
    if said is not None:
        monkeypatch.setenv("COLORFGBG", said)
    for system in SYSTEMS:
        assert shade(system)(0.7) == shade(system, expected)(0.7)


def test_256_colours_are_of_the_cube_that_terminals_leave_alone(on):
    for strength in (*STRENGTHS, *(-s for s in STRENGTHS)):
        chosen = style("256", strength, on)
        for color in (chosen.color, chosen.bgcolor):
            assert color.type is ColorType.EIGHT_BIT
            assert 16 <= color.number < 232


def test_16_colours_tell_sign_and_two_sizes():
    assert shade("standard")(0.9) == "bold bright_white on red"
    assert shade("standard")(-0.9) == "bold bright_white on blue"
    assert shade("standard")(0.3) == "bright_red"
    assert shade("standard")(-0.3) == "bright_blue"
    assert shade("standard", "light")(-0.3) == "blue"


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_faint_has_no_colour(system):
    assert shade(system)(FAINT / 2) == shade(system)(-FAINT / 2) == shade(system)(0.0) == ""


def test_where_there_is_no_colour_there_is_no_shade():
    assert shade(None) is None
    assert shade("truecolor", no_color=True) is None
