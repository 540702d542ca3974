"""The colours: readable, told apart, and those that the terminal has."""

import io
from itertools import pairwise

import numpy as np
import pytest
from rich.color import Color, ColorType
from rich.console import Console
from rich.style import Style

from lstm_lrp_cli.reporting.shades import FAINT, shade_of

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


def shade(system, **options):
    console = Console(file=io.StringIO(), force_terminal=True, color_system=system, **options)
    return shade_of(console)


def linear(color: Color) -> np.ndarray:
    """Red, green and blue in amounts of light (sRGB, IEC 61966-2-1)."""
    values = np.array(color.get_truecolor()) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(color: Color) -> float:
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def style(system, strength) -> Style:
    return Style.parse(shade(system)(strength))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("system", ["truecolor", "256"])
def test_text_can_be_read_on_every_shade(system, strength, sign):
    """With the contrast that WCAG 2 asks of text, at least 4.5."""
    chosen = style(system, sign * strength)
    dark, light = sorted(map(luminance, (chosen.color, chosen.bgcolor)))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("system", ["truecolor", "256"])
def test_for_and_against_are_told_apart_with_any_colour_blindness(system, blindness):
    """What is against the target stays bluish, and what is for it does not become so."""
    for strength in STRENGTHS[1:]:
        for sign in (1, -1):
            red, green, blue = BLINDNESS[blindness] @ linear(style(system, sign * strength).bgcolor)
            assert (blue > max(red, green)) == (sign < 0) or blindness == "tritanopia"
            if blindness == "tritanopia":
                assert (blue > red) == (sign < 0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("system", ["truecolor", "256"])
def test_stronger_is_darker(system, sign):
    lights = [luminance(style(system, sign * s).bgcolor) for s in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert all(weak > strong for weak, strong in pairwise(lights))


def test_256_colours_are_of_the_cube_that_terminals_leave_alone():
    for strength in (*STRENGTHS, *(-s for s in STRENGTHS)):
        chosen = style("256", strength)
        for color in (chosen.color, chosen.bgcolor):
            assert color.type is ColorType.EIGHT_BIT
            assert 16 <= color.number < 232


def test_16_colours_tell_sign_and_two_sizes():
    assert shade("standard")(0.9) == "bold bright_white on red"
    assert shade("standard")(-0.9) == "bold bright_white on blue"
    assert shade("standard")(0.3) == "bright_red"
    assert shade("standard")(-0.3) == "bright_blue"


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_faint_has_no_colour(system):
    assert shade(system)(FAINT / 2) == shade(system)(-FAINT / 2) == shade(system)(0.0) == ""


def test_where_there_is_no_colour_there_is_no_shade():
    assert shade(None) is None
    assert shade("truecolor", no_color=True) is None
