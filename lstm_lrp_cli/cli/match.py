"""`lrp match`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.errors import UnusableInput, reading
from lstm_lrp_cli.running.files import open_output
from lstm_lrp_cli.terminal.screen import counting
from lstm_lrp_cli.terminal.text import say, warn
from .options.arguments import (
    DocumentOptions,
    document_options,
    expected_option,
    path_option,
    same_file,
)
from .options.help import Command
from .options.inputs import InputOptions, input_argument
from .options.methods import tolerance_option
from .options.model import (
    files_of,
    mapping_option,
    model_argument,
    place_mapping,
    refuse_over_model,
    set_option,
    sources_of,
)

if TYPE_CHECKING:
    from lstm_lrp_cli.loading.mapping import Described

# More tell no more, and take more time.
MOST_SEQUENCES = 32


@click.command(
    cls=Command,
    examples=(
        "lrp match model.npz sentences.txt --expected scores.npy",
        "lrp match model.npz s.txt --expected scores.npy --write-mapping model.yaml",
    ),
)
@model_argument
@input_argument()
@mapping_option
@set_option
@expected_option(required=True)
@tolerance_option(1e-5)
@path_option("--write-mapping", help="Write the mapping that was found as commented YAML.")
@document_options
def match(
    model: Path,
    given: InputOptions,
    mapping: Path | None,
    said: Described | None,
    expected: Path,
    tolerance: float,
    write_mapping: Path | None,
    document: DocumentOptions,
) -> None:
    """Search the mapping by which MODEL gives the scores that your framework gave.

    Begins with the layers of a mapping, even one that is wrong or lacks the gate order, with
    those that a state dict's names show, or with what shapes allow. Tries what else may stand in
    each one's place (pooling, activations, attention, how convolutions go over the steps) and how
    sequences are padded; where nothing says them, all gate orders, with each layout, bias,
    sigmoid and direction. The likeliest come first, for a minute at most.

    Eight sequences of different lengths will do; the first 32 of INPUT are compared.

    Exit status 1 where none reproduces the scores.
    """
    import itertools

    import numpy as np
    from msgspec.structs import replace

    from lstm_lrp_cli.check.expected import read_expected, read_form_of_scores
    from lstm_lrp_cli.check.search import Search
    from lstm_lrp_cli.check.starts import starts_of
    from lstm_lrp_cli.check.table import match_json, print_match, verdict
    from lstm_lrp_cli.explaining.windows import one_blas_thread
    from lstm_lrp_cli.inputs.read import read_sequences
    from lstm_lrp_cli.loading.layers.datasets import Datasets
    from lstm_lrp_cli.loading.load import LoadedModel, build_model, drafted_contents
    from lstm_lrp_cli.loading.mapping import Described, Mapping
    from lstm_lrp_cli.loading.opening import open_arrays
    from lstm_lrp_cli.loading.written import mapping_text
    from lstm_lrp_cli.model.model import told

    read = files_of(model, mapping, said) | given.files | {"--expected": expected}
    refuse_over_model(document.output, write_mapping, read)
    with open_arrays(model) as file, one_blas_thread():
        axes, width = read_form_of_scores(expected)
        with reading(str(model)):
            contents, draft = drafted_contents(file, mapping, said)
        read |= sources_of(contents)
        refuse_over_model(document.output, write_mapping, read)
        with reading(str(model)):
            base = contents.described.mapping
            datasets = Datasets(file, np.dtype(np.float64), contents.mapping_name)
            search = Search(contents, datasets, starts_of(file, base.layers or None, draft, width))

        def build(by_scores: Mapping) -> LoadedModel:
            described = contents.described.overridden_by(Described.by(by_scores, "lrp match"))
            return build_model(replace(contents, described=described), datasets)

        try:
            with reading(contents.mapping_name):
                first = search.first_model(
                    # One number a step may lie in rows of steps.
                    lambda model: model.by_step == (axes == 3 or (model.classes == 1 and width > 1))
                )
        except UnusableInput:
            if draft is not None:
                mend = f"Mend this, save it as {model.with_suffix('.yaml').name}, and search again"
                draft.settled(model, False, mend, "no layers of its draft fit together: ")
            raise
        numbers = read_expected(expected, first)
        count = len(numbers.scores)
        sequences = list(itertools.islice(read_sequences(given.source, first), count + 1))
        numbers.check_count(len(sequences))
        with counting("mappings") as tell:
            found = search.match(first, sequences[:MOST_SEQUENCES], numbers, tolerance, tell)
        text, assumptions = None, list(map(str, contents.described.assumptions))
        if found.found:
            best = found.found[0]
            chosen = best.choice.mapping(base)
            by_scores = Mapping(layers=chosen.layers, padding=chosen.padding)
            loaded = build(by_scores)
            # Of values there are no probabilities.
            says_task = "task" in contents.given
            if loaded.model.undecided and not says_task and best.compared == "probabilities":
                loaded = build(replace(by_scores, task="classification"))
            assumptions = loaded.assumptions
            folder = Path(os.path.realpath(write_mapping or model)).parent
            text = mapping_text(loaded, folder)
    warnings = told(model, assumptions)
    warn(warnings)
    with open_output(document.output) as out:
        if document.form == "json":
            beside = {"assumptions": assumptions, "warnings": warnings}
            out.write(match_json(found, base, beside))
        else:
            # One that may not be written over the mapping in use is shown.
            is_shown = write_mapping is None or same_file({"--write-mapping": write_mapping}, read)
            print_match(found, text if is_shown else None, out)
    say(verdict(found))
    if text is None:
        sys.exit(1)
    if write_mapping is not None:
        place_mapping(write_mapping, text, read)
