"""`lrp inspect`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.running.files import open_output
from lstm_lrp_cli.terminal.text import json_document, say, warn
from .options.arguments import DocumentOptions, document_options, path_option, refuse_same_file
from .options.help import Command
from .options.model import (
    assume_option,
    files_of,
    mapping_option,
    model_argument,
    place_mapping,
    refuse_over_model,
    set_option,
    sources_of,
)

if TYPE_CHECKING:
    from lstm_lrp_cli.loading.load import Contents
    from lstm_lrp_cli.loading.mapping import Described


@click.command(
    cls=Command,
    examples=(
        "lrp inspect model.h5",
        "lrp inspect model.h5 --write-mapping model.yaml",
        "lrp inspect model.onnx --format json | jq .layers",
    ),
)
@model_argument
@mapping_option
@set_option
@assume_option
@path_option("--write-mapping", help="Write the whole mapping as commented YAML.")
@document_options
def inspect(
    model: Path,
    mapping: Path | None,
    said: Described | None,
    assume: bool,
    write_mapping: Path | None,
    document: DocumentOptions,
) -> None:
    """Show what is in MODEL, and how it is read.

    Layers, shapes and parameters; what was inferred and from what; what is assumed, since nothing
    says it; and datasets that nothing uses.
    """
    import numpy as np
    from msgspec import UNSET

    from lstm_lrp_cli.check.inspection import (
        contents_object,
        inspection,
        print_contents,
        print_inspection,
    )
    from lstm_lrp_cli.errors import UnusableInput
    from lstm_lrp_cli.loading.load import ask_for_layers, load_model, read_contents
    from lstm_lrp_cli.loading.written import mapping_text

    read = files_of(model, mapping, said)
    refuse_over_model(document.output, write_mapping, read)

    def show(contents: Contents) -> None:
        refuse_same_file({"-o": document.output}, sources_of(contents))
        with open_output(document.output) as file:
            if document.form == "json":
                file.write(json_document(contents_object(contents)))
            else:
                print_contents(contents, file)

    undescribed: list[Contents] = []
    try:
        contents = read_contents(model, mapping, assume, said, undescribed.append)
    except UnusableInput as error:
        if undescribed and error.where.startswith(str(model)) and write_mapping is None:
            show(undescribed[0])  # what a mapping by hand would name
        raise
    if contents.described.mapping.layers is UNSET and write_mapping is None:
        show(contents)
        say(f"{model}: {ask_for_layers(contents)}")
        return
    loaded = load_model(model, mapping, np.dtype(np.float64), assume, said)
    read |= sources_of(loaded.contents)
    refuse_over_model(document.output, write_mapping, read)
    with open_output(document.output) as file:
        if document.form == "json":
            file.write(json_document(inspection(loaded)))
            warn(loaded.warnings)  # which the tables show
        else:
            print_inspection(loaded, file)
    if write_mapping is not None:
        text = mapping_text(loaded, Path(os.path.realpath(write_mapping)).parent)
        place_mapping(write_mapping, text, read)
