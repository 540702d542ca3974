"""`lrp check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lstm_lrp_cli.check.against import FRAMEWORKS
from lstm_lrp_cli.engine.methods import LRP_METHODS
from lstm_lrp_cli.running.files import open_output
from lstm_lrp_cli.terminal.text import say, warn
from .options.arguments import (
    DocumentOptions,
    QuestionOptions,
    completing,
    document_options,
    expected_option,
    question_options,
    refuse_same_file,
)
from .options.help import Command
from .options.inputs import RARE, InputOptions, input_argument
from .options.methods import (
    SET_IN_NAME,
    SettingOptions,
    rule_name,
    setting_options,
    tolerance_option,
)
from .options.model import ModelOptions, model_options


@click.command(
    cls=Command,
    examples=(
        "lrp check model.h5",
        "lrp check model.h5 sentences.txt --expected scores.npy",
        "lrp check model.h5 sentences.txt --against keras",
    ),
    rare=("id", *RARE, "bias_factor", "dtype"),
)
@model_options
@input_argument(required=False)
@click.option(
    "--method",
    callback=rule_name,
    shell_complete=completing(LRP_METHODS),
    default="lrp-all",
    show_default=True,
    metavar="RULE",
    help=f"{', '.join(LRP_METHODS)}: the rule whose conservation is checked; {SET_IN_NAME}",
)
@question_options
@setting_options("eps", "bias_factor")
@expected_option()
@click.option(
    "--against",
    type=click.Choice(FRAMEWORKS),
    metavar="FRAMEWORK",
    help=f"Run {', '.join(FRAMEWORKS)}, where installed, on the same file and input.",
)
@tolerance_option(None, "[default: 1e-05; 1e-10 where --against runs in float64]")
@document_options
def check(
    of: ModelOptions,
    given: InputOptions,
    method: tuple[str, ...],
    question: QuestionOptions,
    settings: SettingOptions,
    expected: Path | None,
    against: str | None,
    tolerance: float | None,
    document: DocumentOptions,
) -> None:
    """Prove that MODEL is run right, and that relevance is conserved.

    Conservation: the ledger accounts for every score, at the chosen bias factor and, as the
    reference check, at 1. Forward: with --expected, the scores equal your framework's (or its
    probabilities or their logarithms, where the file holds those); with --against, those that it
    gives when it is run. Without either, nothing proves that MODEL is read right. Without INPUT,
    random sequences are used.

    Exit status 1 where a check fails.
    """
    from lstm_lrp_cli.check.against import open_framework
    from lstm_lrp_cli.check.against.framework import Live
    from lstm_lrp_cli.check.expected import Expectation, read_expected
    from lstm_lrp_cli.check.table import print_verification, verification_json
    from lstm_lrp_cli.check.verify import SEQUENCES, random_sequences, verify
    from lstm_lrp_cli.engine.methods.lrp import Lrp
    from lstm_lrp_cli.explaining.settings import resolve_methods
    from lstm_lrp_cli.explaining.windows import one_blas_thread
    from lstm_lrp_cli.inputs.read import read_sequences
    from lstm_lrp_cli.terminal.inputs import InputFigures
    from lstm_lrp_cli.terminal.numbers import counted
    from lstm_lrp_cli.terminal.words import size_warnings

    _check_usage(given, expected, against)
    read = {**of.files, **given.files, "--expected": expected}
    written = {"-o": document.output}
    refuse_same_file(written, read)
    loaded = of.load_whole(written)
    model = question.asked(loaded.model)
    warn(loaded.warnings)
    if against is not None and model is not loaded.model:
        raise click.UsageError(
            "--against: no framework gives a reconstruction error; leave --target out."
        )
    asked = question.of(model, labelled=given.labelled, default_step=-1)
    figures = InputFigures()
    if not given.there:
        say(f"no INPUT: checking {SEQUENCES} random sequences")
        sequences = random_sequences(model)
    else:
        sequences = figures.watch(read_sequences(given.source, model), model)
    numbers: Expectation | None = None
    live = None
    if expected is not None:
        numbers = read_expected(expected, model)
    elif against is not None:
        numbers = live = Live(model, open_framework(against, loaded))
    [lrp] = resolve_methods(method, model, settings.given(method))
    assert isinstance(lrp, Lrp)
    with one_blas_thread():
        verification = verify(model, sequences, lrp.rule, asked, numbers, tolerance)
    if live is not None and live.left_out:
        empty = f"{counted(live.left_out, 'sequence')} without steps"
        say(f"{live.framework} was not run on {empty}")
    warnings = list(figures.input_warnings(model, "nothing to check in them"))
    if verification.sizes is not None:
        series = not model.takes_tokens
        warnings += size_warnings(lrp, verification.sizes, series=series)
    warn(warnings)
    with open_output(document.output) as file:
        if document.form == "json":
            told = {"assumptions": loaded.assumptions, "warnings": [*loaded.warnings, *warnings]}
            file.write(verification_json(verification, told))
        else:
            print_verification(verification, file)
    failed = {check.name for check in verification.checks if not check.passed}
    if expected is not None and "forward" in failed:
        say(
            "the model does not give the expected scores: `lrp match` searches a mapping that "
            "does, all but how text becomes tokens"
        )
    if failed:
        sys.exit(1)


def _check_usage(given: InputOptions, expected: Path | None, against: str | None) -> None:
    """Refuse what does not go together."""
    if expected is not None and against is not None:
        raise click.UsageError("--expected and --against exclude each other; give one of them.")
    if not given.there and expected is not None:
        raise click.UsageError("--expected needs INPUT, the sequences that the scores belong to.")
