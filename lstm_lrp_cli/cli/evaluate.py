"""`lrp evaluate`."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lstm_lrp_cli.engine.methods import METHODS
from lstm_lrp_cli.running.files import open_output, open_together
from lstm_lrp_cli.terminal.messages import warn
from lstm_lrp_cli.terminal.screen import counting
from .options.arguments import (
    POSITIVE,
    SET_IN_NAME,
    assume_option,
    document_options,
    dtype_option,
    input_argument,
    input_options,
    mapping_option,
    model_argument,
    path_options,
    refuse_labels,
    refuse_same_file,
    resolve_target,
    rule_options,
)
from .options.help import Command
from .options.settings import complete_methods, method_names, parse_method, resolve_methods

if TYPE_CHECKING:
    from lstm_lrp_cli.evaluate.experiment import Contestant
    from lstm_lrp_cli.explaining.question import Question
    from lstm_lrp_cli.model.model import Model
    from lstm_lrp_cli.sequences.naming import InputFormat


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


@click.command(
    cls=Command,
    examples=(
        "lrp evaluate model.h5 labelled.txt --labelled",
        "lrp evaluate model.h5 sentences.txt --limit 500 --format json -o scores.json",
        "lrp evaluate model.h5 input.txt --methods lrp-all,random --plot curves.svg",
    ),
    rare=("input_format", "bias_factor", "steps", "baseline", "radius", "draws", "dtype"),
)
@model_argument
@input_argument()
@mapping_option
@assume_option
@input_options
@click.option(
    "--methods",
    "--method",
    "methods",
    callback=judged_names,
    default=USUAL_METHODS,
    show_default=True,
    metavar="NAME,...",
    shell_complete=complete_methods,
    help=f"all, or of {', '.join(METHODS)}; {SET_IN_NAME}",
)
@click.option(
    "--target",
    metavar="CLASS",
    help="The class or output that is explained.  [default: the true class with --labelled, else "
    "the predicted one]",
)
@click.option(
    "--deletions",
    type=click.IntRange(1, MOST_DELETIONS),
    default=10,
    show_default=True,
    metavar="N",
    help="Up to how many tokens or steps are deleted, or put back.",
)
@click.option(
    "--min-length",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Leave out sequences of fewer tokens or steps.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Read no more than so many sequences."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Of all that is random: the first of random's seeds, and that of --draws.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many seeds random has.",
)
@click.option(
    "--radius",
    type=POSITIVE,
    default=0.1,
    show_default=True,
    metavar="NUMBER",
    help="How far inputs are moved to see how relevance changes, relative to their size.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="How often inputs are moved; 0 leaves it out.",
)
@path_options
@rule_options
@dtype_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    callback=plot_path,
    metavar="FILE",
    help="Draw the curves to FILE (.png, .svg or .pdf); needs matplotlib.",
)
@document_options
def evaluate(
    model: Path,
    input: str,
    mapping: Path | None,
    assume: bool,
    ids: bool,
    labelled: bool,
    input_format: InputFormat | None,
    methods: tuple[str, ...],
    target: str | None,
    deletions: int,
    min_length: int,
    limit: int | None,
    seed: int,
    seeds: int,
    radius: float,
    draws: int,
    steps: int | None,
    baseline: str | None,
    eps: float,
    bias_factor: float,
    dtype: str,
    plot: Path | None,
    form: str,
    output: Path | None,
) -> None:
    """Compare methods that explain MODEL, over the sequences in INPUT.

    Deletes tokens or steps in the order of their relevance, and puts them back, and tells how the
    score and, with --labelled, the accuracy change; how far methods agree; whether the most
    relevant token is the one that matters most; how relevance changes as the input hardly does;
    and what each method costs.
    """
    import numpy as np

    from lstm_lrp_cli.errors import UnusableInput
    from lstm_lrp_cli.evaluate.evaluate import evaluate as run
    from lstm_lrp_cli.evaluate.experiment import Experiment
    from lstm_lrp_cli.evaluate.table import (
        draw_curves,
        evaluation_json,
        print_evaluation,
        require_matplotlib,
    )
    from lstm_lrp_cli.loading.load import load_model
    from lstm_lrp_cli.running.processes import one_blas_thread
    from lstm_lrp_cli.sequences.read import Source, read_sequences
    from lstm_lrp_cli.sequences.stream import display_name
    from lstm_lrp_cli.terminal.inputs import InputFigures
    from lstm_lrp_cli.terminal.words import size_warnings

    refuse_same_file({"-o": output, "--plot": plot}, {"MODEL": model, "INPUT": Path(input)})
    if plot is not None:
        require_matplotlib()
    read = load_model(model, mapping, np.dtype(dtype), assume)
    warn(read.warnings)
    loaded = read.model
    question = resolve_judged(loaded, target, labelled=labelled)
    contestants = resolve_contestants(
        methods,
        loaded,
        seed,
        seeds,
        eps=eps,
        bias_factor=bias_factor,
        steps=steps,
        baseline=baseline,
    )
    experiment = Experiment(deletions, min_length, radius, draws, seed)
    figures = InputFigures()
    source = Source(input, input_format, ids, labelled)
    sequences = figures.watch(islice(read_sequences(source, loaded), limit), loaded)
    plots = [] if plot is None else [plot]
    # Opened before the work, which may take long and would be lost.
    with open_output(output) as file, open_together(plots) as pictures:
        with one_blas_thread(), counting("sequences") as tell:
            evaluation = run(
                loaded, sequences, contestants, experiment, question, lambda done: tell(done, limit)
            )
        if not evaluation.sequences:
            unit = "steps" if loaded.embedding is None else "tokens"
            raise UnusableInput(
                display_name(input),
                f"has no sequence of at least {min_length} {unit}; expected longer ones, or a "
                "lower --min-length",
            )
        warnings = list(figures.input_warnings(loaded, "left out"))
        for contestant in contestants:
            sizes = evaluation.measures[contestant.name].sizes
            if sizes is not None:
                series = loaded.embedding is None
                warnings += size_warnings(contestant.methods[0], sizes, series=series)
        warn(warnings)
        for path, picture in zip(plots, pictures, strict=True):
            draw_curves(evaluation, picture, path.suffix.lower().removeprefix("."))
        if form == "json":
            made_of = {
                "model": display_name(str(model)),
                "input": display_name(input),
                "dtype": dtype,
                "assumptions": read.assumptions,
                "warnings": [*read.warnings, *warnings],
            }
            file.write(evaluation_json(evaluation, made_of))
        else:
            print_evaluation(evaluation, file)


def resolve_judged(model: Model, target: str | None, *, labelled: bool) -> Question:
    """The one score of each sequence by which methods are compared."""
    from lstm_lrp_cli.explaining.question import Question

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
    if labelled:
        raise click.UsageError("--target: with --labelled it is the true class that is explained.")
    chosen = resolve_target(target, model, gold=False)
    if not isinstance(chosen, int):
        raise click.BadParameter("expected one class.", param_hint="--target")
    return Question(chosen)


def resolve_contestants(
    names: tuple[str, ...],
    model: Model,
    seed: int,
    seeds: int,
    *,
    eps: float,
    bias_factor: float,
    steps: int | None,
    baseline: str | None,
) -> tuple[Contestant, ...]:
    """The methods of these names, random once for each of its seeds."""
    from lstm_lrp_cli.engine.methods.random_control import RandomControl
    from lstm_lrp_cli.evaluate.experiment import Contestant

    is_random = any(parse_method(name).kind == "random" for name in names)
    found = resolve_methods(
        names,
        model,
        eps=eps,
        bias_factor=bias_factor,
        steps=steps,
        baseline=baseline,
        seed=seed if is_random else None,
    )
    return tuple(
        Contestant(
            method.name,
            tuple(replace(method, seed=method.seed + number) for number in range(seeds))
            if isinstance(method, RandomControl)
            else (method,),
        )
        for method in found
    )
