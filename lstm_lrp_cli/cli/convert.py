"""`lrp convert`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.running.files import open_together
from lstm_lrp_cli.terminal.text import say, warn
from .options.arguments import refuse_same_file
from .options.help import Command
from .options.model import (
    DTYPES,
    assume_option,
    mapping_option,
    model_argument,
    set_option,
    sources_of,
)

if TYPE_CHECKING:
    from lstm_lrp_cli.loading.mapping import Described

FORMATS = ("npz", "safetensors")


@click.command(
    cls=Command,
    examples=(
        "lrp convert model.h5 plain.npz",
        "lrp convert checkpoint.pt plain.safetensors --mapping model.yaml",
    ),
)
@model_argument
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@mapping_option
@set_option
@assume_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    metavar="FORMAT",
    help=f"{' or '.join(FORMATS)}.  [default: by the ending of OUT]",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    metavar="TYPE",
    help="Precision: float64 or float32.  [default: that of MODEL, float64 for sums]",
)
def convert(
    model: Path,
    output: Path,
    mapping: Path | None,
    said: Described | None,
    assume: bool,
    form: str | None,
    dtype: str | None,
) -> None:
    """Write MODEL as plain weights, OUT, and a complete mapping beside it, OUT's name with .yaml.

    OUT is .npz or .safetensors, and loads to the same scores. A vocabulary is written as well, as
    OUT's name with -vocab.json, a tokenizer with -tokenizer.json or -vocab.model. Files that are
    there are written over.
    """
    import numpy as np

    from lstm_lrp_cli.loading import convert as converting
    from lstm_lrp_cli.loading.load import load_model
    from lstm_lrp_cli.loading.written import commented

    form = form or _format_of(output)
    described = output.with_suffix(".yaml")
    # Links may go in circles, of which Path.resolve makes an error of its own.
    if os.path.realpath(described) == os.path.realpath(model.with_suffix(".yaml")):
        raise click.UsageError(
            f"{described} would be taken for the mapping of MODEL; give OUT another name."
        )
    loaded = load_model(model, mapping, np.dtype(dtype or np.float64), assume, said)
    warn(loaded.warnings)
    contents = loaded.contents
    converted = converting.convert(loaded.model, output.stem)
    words = [output.with_name(n) for n in (*converted.vocabularies, *converted.tokenizers)]
    written = {"OUT": output, "OUT's mapping": described}
    for k, path in enumerate(words):
        written["OUT's vocabulary" + f" {k + 1}" * (len(words) > 1)] = path
    refuse_same_file(written, sources_of(contents))
    arrays = converted.arrays
    if dtype is None and converting.keeps_float32(loaded):
        arrays = converting.narrowed(arrays)
    document = converted.document
    paths = [output, described, *words]
    title = f"How lrp reads {output.name}, converted from {model.name}."
    with open_together(paths) as (weights_file, mapping_file, *others):
        converting.WRITERS[form](weights_file, arrays)
        mapping_file.write(
            commented(title, document, {}, contents.described.assumptions).encode("utf-8")
        )
        for ids in converted.vocabularies.values():
            others.pop(0).write(converting.vocabulary_text(ids).encode("utf-8"))
        for data in converted.tokenizers.values():
            others.pop(0).write(data)
    say(f"wrote {', '.join(map(str, paths))}")


def _format_of(output: Path) -> str:
    form = output.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise click.BadParameter(
            f"the ending of {output.name} is of no format; end it in .npz or .safetensors, "
            "or add --format.",
            param_hint="OUT",
        )
    return form
