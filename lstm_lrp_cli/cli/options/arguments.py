"""Options that several commands take, and what they mean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lstm_lrp_cli.engine.methods import METHODS
from lstm_lrp_cli.outputs.registry import ENDINGS, OUTPUTS, format_of
from lstm_lrp_cli.running.files import STANDARD_OUTPUT
from lstm_lrp_cli.sequences.naming import INPUT_FORMATS, whole_number
from lstm_lrp_cli.sequences.stream import compression_of
from .settings import TYPES, FiniteRange, complete_methods, method_names

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from lstm_lrp_cli.explaining.question import Question, Step
    from lstm_lrp_cli.model.model import Model


Command = TypeVar("Command", bound=Callable[..., Any])
Completion = Callable[[click.Context, click.Parameter, str], list[str]]

DTYPES = ("float64", "float32")
TARGETS = ("predicted", "gold", "all")
STEPS = ("first", "last", "all")
POSITIVE = FiniteRange(min=0, min_open=True)


def step_number(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """The step that --step names: a number from 0, or from -1 backwards, or "all"."""
    if value is None or value == "all":
        return value
    if value in ("first", "last"):
        return 0 if value == "first" else -1
    try:
        return int(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is none of first, last, all or a number.", ctx, param
        ) from error


def stacked(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several option decorators as one, shown in help in the order given."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def completing(words: Sequence[str]) -> Completion:
    """What a shell completes to these words, where other values are allowed as well."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def complete_files(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What a shell completes to the names of files, though "-" is allowed as well."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


model_argument = click.argument("model", type=click.Path(path_type=Path))


def input_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """The argument that names the sequences."""
    return click.argument("input", required=required, shell_complete=complete_files)


mapping_option = click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What MODEL cannot say.  [default: MODEL's .yaml, if there]",
)

assume_option = click.option(
    "--assume",
    is_flag=True,
    help="Where MODEL leaves open what changes its scores, take the likeliest.",
)

input_options = stacked(
    click.option("--ids", is_flag=True, help="Lines of text hold token ids."),
    click.option(
        "--labelled", is_flag=True, help="Lines are label<TAB>text; JSON lines have label."
    ),
    click.option(
        "--input-format",
        type=click.Choice(INPUT_FORMATS),
        metavar="FORMAT",
        help=f"{', '.join(INPUT_FORMATS)}.  [default: by INPUT's ending, or how it begins]",
    ),
)

question_options = stacked(
    click.option(
        "--target",
        default="predicted",
        show_default=True,
        metavar="CLASS",
        shell_complete=completing(TARGETS),
        help="gold, all, a label or a number.",
    ),
    click.option(
        "--step",
        callback=step_number,
        metavar="STEP",
        shell_complete=completing(STEPS),
        help="first, last, all or a number, where steps have scores.",
    ),
)

rule_options = stacked(
    click.option(
        "--eps",
        type=TYPES["eps"],
        default=0.001,
        show_default=True,
        metavar="NUMBER",
        help="Stabilizer of LRP.",
    ),
    click.option(
        "--bias-factor",
        type=TYPES["bias_factor"],
        default=0.0,
        show_default=True,
        metavar="NUMBER",
        help="Part of LRP's biases and stabilizers that is redistributed.",
    ),
)

dtype_option = click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float64",
    show_default=True,
    metavar="TYPE",
    help="Precision: float64 or float32.",
)


# What help says of settings in names.
SET_IN_NAME = "with settings as in lrp-all:eps=1e-6."


def methods_option(name: str, default: str = "lrp-all") -> Callable[[Command], Command]:
    """The option that names one or several methods."""
    return click.option(
        name,
        callback=method_names,
        default=default,
        show_default=True,
        metavar="NAME,...",
        shell_complete=complete_methods,
        help=f"{', '.join(METHODS)}; {SET_IN_NAME}",
    )


path_options = stacked(
    click.option(
        "--steps",
        type=TYPES["steps"],
        metavar="N",
        help="Of integrated-gradients: points of the path.  [default: 50]",
    ),
    click.option(
        "--baseline",
        metavar="VALUE",
        help="Of integrated-gradients: where the path begins: zero, a token, an id or a number.  "
        "[default: zero]",
    ),
)

setting_options = stacked(
    path_options,
    click.option(
        "--span",
        type=TYPES["span"],
        metavar="FROM:TO",
        help="Of contextual-decomposition: tokens taken as one, from 0, TO not among them.",
    ),
    click.option("--seed", type=TYPES["seed"], metavar="N", help="Of random.  [default: 0]"),
)


def tolerance_option(default: float | None, note: str = "") -> Callable[[Command], Command]:
    """The option that says how near scores must come; a default of None is explained by a note."""
    return click.option(
        "--tolerance",
        type=POSITIVE,
        default=default,
        show_default=default is not None,
        metavar="NUMBER",
        help=f"What scores may differ by, relative to scores over 1.  {note}".rstrip(),
    )


def expected_option(*, required: bool = False) -> Callable[[Command], Command]:
    """The option that names a file with the framework's own scores."""
    return click.option(
        "--expected",
        type=click.Path(path_type=Path),
        metavar="FILE",
        required=required,
        help="Scores or probabilities of your framework: .npy, .npz, .csv or .jsonl.",
    )


document_options = stacked(
    click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        metavar="FORMAT",
        help="table, or json: one document.",
    ),
    click.option(
        "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE."
    ),
)


def resolve_question(
    model: Model, target: str, step: Step | None, *, labelled: bool, default_step: Step | None
) -> Question:
    """What --target and --step ask of a model.

    Parameters
    ----------
    default_step : int, "all" or None
        The step where none is given; None is an error of a model by step.
    """
    from lstm_lrp_cli.explaining.question import Question

    chosen = resolve_target(target, model, gold=labelled)
    if step is not None and not model.by_step:
        raise click.UsageError("--step: the model gives one score a sequence, not one a step.")
    if labelled:
        refuse_labels(model)
    if model.by_step and step is None and default_step is None:
        raise click.UsageError(
            "the model gives scores at every step; say which are explained: "
            "--step last, first, all or a number. "
            "(Should it give one a sequence? Then the mapping lacks `returns: last` or a pool.)"
        )
    step = default_step if step is None else step
    return Question(chosen) if step is None else Question(chosen, step)


def refuse_labels(model: Model) -> None:
    """Refuse --labelled where a model does not predict one class of each sequence."""
    if model.by_step:
        raise click.UsageError("--labelled: the model gives scores at every step, not a class.")
    if model.regression:
        raise click.UsageError("--labelled: the model predicts values, not a class.")
    if model.undecided and set(model.likelihoods) == {"linear"}:
        raise click.UsageError(
            "--labelled: nothing says whether the model predicts classes or values; add "
            "`task: classification` to its mapping."
        )
    if len(model.heads) > 1:
        raise click.UsageError("--labelled: the model has several outputs, and no one class.")


def resolve_target(target: str, model: Model, *, gold: bool) -> Any:
    """What --target names: a word, or the number of a class or value.

    A label wins over a number, so that a target reads back as the output shows it.
    """
    labelled = model.target_labelled(target)
    if labelled is not None:
        return labelled
    if target == "gold" and not gold:
        raise click.UsageError("--target gold needs labelled input: add --labelled.")
    if target in TARGETS:
        return target
    number = whole_number(target)
    if number is not None and number < model.targets:
        return number
    names = f" ({', '.join(model.labels)})" if model.labels else ""
    last = model.targets - 1
    what = "score" if set(model.likelihoods) == {"linear"} else "class"
    raise click.BadParameter(
        f"there is no {what} {target!r}; the model has {model.targets}, from 0 to {last}{names}.",
        param_hint="--target",
    )


def output_options(forms: Iterable[str], picture: str) -> Callable[[Command], Command]:
    """The options that say where data and report go, and how many processes make them.

    Parameters
    ----------
    forms : iterable of str
        The formats.
    picture : str
        What is shown on a terminal.
    """
    return stacked(
        click.option(
            "--format",
            "form",
            type=click.Choice(list(forms)),
            metavar="FORMAT",
            help=f"{', '.join(forms)}.  [default: terminal ({picture}) on one, "
            "else by -o's ending, else tsv]",
        ),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write to FILE (.gz, .xz, .bz2: compressed).",
        ),
        click.option(
            "--report",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The report; .json: as JSON.  [default: standard error]",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Processes that share the work.  [default: one for each core, at most 8]",
        ),
        click.option("-q", "--quiet", is_flag=True, help="No report, warnings or progress."),
        click.option("--no-pager", is_flag=True, help="Do not page what is shown on a terminal."),
    )


def choose_format(form: str | None, output: Path | None, forms: Container[str]) -> str:
    """The format that was asked for; else a picture on a terminal, or by the file's ending."""
    if form is not None:
        return form
    if output is None or output == STANDARD_OUTPUT:
        return "terminal" if _to_terminal(output) else "tsv"
    form = format_of(output)
    if form is None or form not in forms:
        *others, last = [ending for ending, known in ENDINGS.items() if ending and known in forms]
        raise click.BadParameter(
            f"the ending of {output.name} is of no format; add --format, or end it in "
            f"{', '.join(others)} or {last}.",
            param_hint="-o",
        )
    return form


def refuse_bytes(form: str, output: Path | None) -> None:
    """Refuse to show a file of bytes on a terminal, and to compress it as no reader expects."""
    if not OUTPUTS[form].binary:
        return
    if _to_terminal(output):
        raise click.UsageError(
            f"--format {form} is not for a terminal; name a file with -o, or redirect the output."
        )
    compression = None if output is None else compression_of(output)
    if compression is not None:
        raise click.BadParameter(
            f"a {form} file that is compressed as a whole is read by no program; "
            f"leave {compression.ending} out.",
            param_hint="-o",
        )


def _to_terminal(output: Path | None) -> bool:
    standard = output is None or output == STANDARD_OUTPUT
    return standard and sys.stdout is not None and sys.stdout.isatty()


def refuse_same_file(written: Mapping[str, Path | None], read: Mapping[str, Path]) -> None:
    """Refuse to write one file twice, or over what is read."""
    places = {name: path.resolve() for name, path in read.items() if path.is_file()}
    for name, path in written.items():
        if path is None or path == STANDARD_OUTPUT:
            continue
        for other, place in places.items():
            if path.resolve() == place:
                raise click.UsageError(f"{name} is the same file as {other}: {path}")
        places[name] = path.resolve()
