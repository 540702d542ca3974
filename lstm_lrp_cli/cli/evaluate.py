"""`lrp evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lstm_lrp_cli.engine.methods import METHODS
from lstm_lrp_cli.explaining.settings import parse_method
from lstm_lrp_cli.running.files import open_output, open_together
from lstm_lrp_cli.terminal.screen import counting
from lstm_lrp_cli.terminal.text import warn
from .options.arguments import (
    DocumentOptions,
    document_options,
    group,
    path_option,
    refuse_same_file,
)
from .options.help import Command
from .options.inputs import RARE, InputOptions, input_argument
from .options.methods import POSITIVE, SettingOptions, method_names, methods_option, setting_options
from .options.model import ModelOptions, model_options

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.methods.method import Method
    from lstm_lrp_cli.evaluate import Contestant
    from lstm_lrp_cli.explaining.question import Question
    from lstm_lrp_cli.model.model import Model


USUAL_METHODS = "lrp-all,gradient,gradient-x-input,integrated-gradients,occlusion,random"
MOST_DELETIONS = 1000
PLOTS = (".png", ".svg", ".pdf")


def judged_names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """The methods that a list names, or all."""
    return tuple(METHODS) if value.strip() == "all" else method_names(ctx, param, value)


def plot_path(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a picture of another kind than can be drawn."""
    if value is not None and value.suffix.lower() not in PLOTS:
        raise click.BadParameter(
            f"{value.name} is no kind of picture that is drawn; expected a name that ends in "
            f"{', '.join(PLOTS)}.",
            ctx,
            param,
        )
    return value


class ExperimentOptions(NamedTuple):
    """What is done to sequences, and to how many."""

    deletions: int
    min_length: int
    limit: int | None
    seed: int
    seeds: int
    radius: float
    draws: int


def _count(name: str, default: int | None, help: str, least: int = 1) -> Callable[[Any], Any]:
    """An option that is a number."""
    return click.option(
        name,
        type=click.IntRange(min=least),
        default=default,
        show_default=default is not None,
        metavar="N",
        help=help,
    )


experiment_options = group(
    "experiment",
    ExperimentOptions,
    click.option(
        "--deletions",
        type=click.IntRange(1, MOST_DELETIONS),
        default=10,
        show_default=True,
        metavar="N",
        help="Up to how many tokens or steps are deleted, or put back.",
    ),
    _count("--min-length", 10, "Leave out sequences of fewer tokens or steps."),
    _count("--limit", None, "Read no more than so many sequences."),
    _count(
        "--seed",
        0,
        "Of all that is random: the first of random's seeds, and that of --draws.",
        least=0,
    ),
    _count("--seeds", 5, "How many seeds random has."),
    click.option(
        "--radius",
        type=POSITIVE,
        default=0.1,
        show_default=True,
        metavar="NUMBER",
        help="How far inputs are moved to see how relevance changes, relative to their size.",
    ),
    _count("--draws", 10, "How often inputs are moved; 0 leaves it out.", least=0),
)


@click.command(
    cls=Command,
    examples=(
        "lrp evaluate model.h5 labelled.txt --labelled",
        "lrp evaluate model.h5 sentences.txt --limit 500 --format json -o scores.json",
        "lrp evaluate model.h5 input.txt --methods lrp-all,random --plot curves.svg",
    ),
    rare=("id", *RARE, "bias_factor", "steps", "baseline", "groups", "radius", "draws", "dtype"),
)
@model_options
@input_argument()
@methods_option(
    "--methods",
    "--method",
    "methods",
    callback=judged_names,
    default=USUAL_METHODS,
    listed=f"all, or of {', '.join(METHODS)}",
)
@click.option(
    "--target",
    metavar="CLASS",
    help="The class, output, difference A-B or error that is explained.  [default: the true class "
    "with --labelled, else the predicted one]",
)
@experiment_options
@setting_options("steps", "baseline", "groups", "eps", "bias_factor")
@path_option(
    "--plot",
    callback=plot_path,
    help="Draw the curves to FILE (.png, .svg or .pdf); needs matplotlib.",
)
@document_options
def evaluate(
    of: ModelOptions,
    given: InputOptions,
    methods: tuple[str, ...],
    target: str | None,
    experiment: ExperimentOptions,
    settings: SettingOptions,
    plot: Path | None,
    document: DocumentOptions,
) -> None:
    """Compare methods that explain MODEL, over the sequences in INPUT.

    Deletes tokens or steps in the order of their relevance, and puts them back, and tells how the
    score and, with --labelled, the accuracy change; how far methods agree; whether the most
    relevant token is the one that matters most; how relevance changes as the input hardly does;
    and what each method costs.
    """
    from lstm_lrp_cli.errors import UnusableInput
    from lstm_lrp_cli.evaluate import Experiment
    from lstm_lrp_cli.evaluate.evaluate import evaluate as run
    from lstm_lrp_cli.evaluate.table import (
        draw_curves,
        evaluation_json,
        print_evaluation,
        require_matplotlib,
    )
    from lstm_lrp_cli.explaining.reconstruction import asked_model
    from lstm_lrp_cli.explaining.settings import resolve_methods
    from lstm_lrp_cli.explaining.windows import one_blas_thread
    from lstm_lrp_cli.inputs.read import read_sequences
    from lstm_lrp_cli.terminal.inputs import InputFigures
    from lstm_lrp_cli.terminal.words import size_warnings

    read = of.files | given.files | settings.files(methods)
    written = {"-o": document.output, "--plot": plot}
    refuse_same_file(written, read)
    if plot is not None:
        require_matplotlib()
    model = asked_model(of.load(written), target)
    warn(model.warnings)
    question = resolve_judged(model, target, labelled=given.labelled)
    is_random = any(parse_method(name).kind == "random" for name in methods)
    set_to = settings.given(methods) | ({"seed": experiment.seed} if is_random else {})
    judged = resolve_methods(methods, model, set_to, given.source)
    contestants = contestants_of(judged, experiment.seeds)
    figures = InputFigures()
    limit = experiment.limit
    sequences = figures.watch(islice(read_sequences(given.source, model), limit), model)
    plots = [] if plot is None else [plot]
    # Opened before the work, which may take long and would be lost.
    with open_output(document.output) as file, open_together(plots) as pictures:
        with one_blas_thread(), counting("sequences") as tell:
            evaluation = run(
                model,
                sequences,
                contestants,
                Experiment(
                    experiment.deletions,
                    experiment.min_length,
                    experiment.radius,
                    experiment.draws,
                    experiment.seed,
                ),
                question,
                lambda done: tell(done, limit),
            )
        if not evaluation.sequences:
            unit = "tokens" if model.takes_tokens else "steps"
            raise UnusableInput(
                given.name,
                f"has no sequence of at least {experiment.min_length} {unit}; expected longer "
                "ones, or a lower --min-length",
            )
        warnings = list(figures.input_warnings(model, "left out"))
        for contestant in contestants:
            sizes = evaluation.measures[contestant.name].sizes
            if sizes is not None:
                series = not model.takes_tokens
                warnings += size_warnings(contestant.methods[0], sizes, series=series)
        warn(warnings)
        for path, picture in zip(plots, pictures, strict=True):
            draw_curves(evaluation, picture, path.suffix.lower().removeprefix("."))
        if document.form == "json":
            made_of = {
                "model": of.name,
                "input": given.name,
                "dtype": of.dtype,
                "assumptions": model.assumptions,
                "warnings": [*model.warnings, *warnings],
            }
            file.write(evaluation_json(evaluation, made_of))
        else:
            print_evaluation(evaluation, file)


def resolve_judged(model: Model, target: str | None, *, labelled: bool) -> Question:
    """The one score of each sequence by which methods are compared."""
    from lstm_lrp_cli.explaining.question import Question, refuse_labels, resolve_target

    if labelled:
        refuse_labels(model)
    if model.by_step:
        raise click.UsageError(
            "the model gives scores at every step; methods are compared where there is one vector "
            "of scores a sequence."
        )
    if target is None:
        if labelled:
            return Question("gold")
        question = Question("predicted")
        if question.targets(model) > 1:
            several = "outputs" if len(model.heads) > 1 else "scores, and predicts no class"
            raise click.UsageError(
                f"the model has several {several}; say which is explained: --target."
            )
        return question
    question = Question(resolve_target(target, model))
    if labelled and not question.needs_gold:
        raise click.UsageError("--target: with --labelled it is the true class that is explained.")
    if question.needs_gold and not labelled:
        raise click.UsageError(
            f"--target {target} needs labelled input: add --labelled, or --label COLUMN."
        )
    if question.target in ("predicted", "all") or question.targets(model) > 1:
        raise click.BadParameter(
            "expected one class, or the difference of two.", param_hint="--target"
        )
    return question


def contestants_of(methods: Iterable[Method], seeds: int) -> tuple[Contestant, ...]:
    """Each method, random once for each of its seeds."""
    from lstm_lrp_cli.engine.methods.random_control import RandomControl
    from lstm_lrp_cli.evaluate import Contestant

    return tuple(
        Contestant(
            method.name,
            tuple(replace(method, seed=method.seed + number) for number in range(seeds))
            if isinstance(method, RandomControl)
            else (method,),
        )
        for method in methods
    )
