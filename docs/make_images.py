"""Draw the pictures in docs/images: what `lrp explain` shows on a terminal.

Run it from anywhere, with the package installed:

    python docs/make_images.py
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.terminal_theme import TerminalTheme

import lstm_lrp_cli as lrp
from lstm_lrp_cli.inputs.read import Source, read_sequences
from lstm_lrp_cli.loading.load import load_model
from lstm_lrp_cli.outputs.heatmap import HeatMapWriter
from lstm_lrp_cli.outputs.writer import Layout

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
SAMPLES = ROOT / "sample_models"
WIDTH = 102
FONTS = "DejaVu Sans Mono, Menlo, Consolas, monospace"

# Dark text on white, so that the heat map's own colours are what stands out.
THEME = TerminalTheme(
    background=(255, 255, 255),
    foreground=(36, 41, 47),
    normal=[(36, 41, 47)] * 8,
    bright=[(87, 96, 106)] * 8,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: which sequences of a sample's input it shows.

    Parameters
    ----------
    name : str
        The file's name, without its ending.
    title : str
        The command that shows the same, as the window's title.
    model, input : str
        Paths in sample_models.
    numbers : sequence of int
        The sequences shown, counted from 0.
    labelled : bool
    """

    name: str
    title: str
    model: str
    input: str
    numbers: Sequence[int]
    labelled: bool = False


PICTURES = (
    Picture(
        "explain",
        "lrp explain model.h5 labelled.txt --labelled",
        "sentiment_keras/model.h5",
        "sentiment_keras/labelled.txt",
        (17, 29, 34, 76),
        labelled=True,
    ),
    Picture(
        "series",
        "lrp explain model.h5 series.csv",
        "weather_series/model.h5",
        "weather_series/series.csv",
        (18, 32),
    ),
)


def draw(picture: Picture) -> str:
    """The picture as SVG."""
    model = load_model(SAMPLES / picture.model, None, np.dtype(np.float64)).model
    source = Source(str(SAMPLES / picture.input), labelled=picture.labelled)
    sequences = [
        sequence for sequence in read_sequences(source, model) if sequence.number in picture.numbers
    ]
    explainer = lrp.Explainer(model)
    console = Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        legacy_windows=False,
        highlight=False,
    )
    writer = HeatMapWriter(io.StringIO(), Layout(explainer), console, "light")
    writer.open()
    writer.write(list(explainer(sequences)))
    writer.close()
    svg = console.export_svg(title=picture.title, theme=THEME, unique_id=f"lrp-{picture.name}")
    # Fonts of the reader's machine: a page that shows the picture must not fetch any.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for picture in PICTURES:
        path = IMAGES / f"{picture.name}.svg"
        path.write_text(draw(picture), encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
