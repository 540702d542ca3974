"""Arguments and options that several commands take, in groups that arrive as one value."""

from __future__ import annotations

import os
import stat
import sys
import warnings
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from lstm_lrp_cli.errors import LeftOut, WrongUsage
from lstm_lrp_cli.inputs.stream import STANDARD_INPUT, compression_of
from lstm_lrp_cli.outputs import ENDINGS, OUTPUTS, format_of
from lstm_lrp_cli.running.files import STANDARD_OUTPUT
from lstm_lrp_cli.running.stream import Destination

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from lstm_lrp_cli.explaining.question import Question, Step
    from lstm_lrp_cli.model.model import Model

Command = TypeVar("Command", bound=Callable[..., Any])
Completion = Callable[[click.Context, click.Parameter, str], list[str]]

TARGETS = ("predicted", "gold", "all", "error", "predicted-second")
STEPS = ("first", "last", "all")


def stacked(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several option decorators as one, shown in help in the order given."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def group(
    name: str, make: Callable[..., Any], *options: Callable[[Any], Any]
) -> Callable[[Command], Command]:
    """Options that arrive at a command as one value.

    Parameters
    ----------
    name : str
        The command's parameter.
    make : callable
        Takes the options by their names.
    """

    def decorate(command: Command) -> Command:
        before = len(getattr(command, "__click_params__", ()))

        @wraps(command)
        def gathered(*context: Any, **given: Any) -> Any:
            own = {key: given.pop(key) for key in names}
            return command(*context, **given, **{name: make(**own)})

        found: Any = stacked(*options)(gathered)
        names = [param.name for param in found.__click_params__[before:]]
        return found  # type: ignore[no-any-return]

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


def path_option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """An option that names a file."""
    return click.option(*names, type=click.Path(path_type=Path), metavar="FILE", **settings)


def step_number(ctx: click.Context, param: click.Parameter, value: str | None) -> Step | None:
    """The step that --step names: a number from 0, or from -1 backwards, or "all"."""
    if value is None:
        return None
    from lstm_lrp_cli.explaining.question import resolve_step

    try:
        return resolve_step(value)
    except WrongUsage as error:
        raise click.BadParameter(error.problem, ctx, param) from error


class QuestionOptions(NamedTuple):
    """What is explained of each sequence."""

    target: str
    step: Step | None

    def asked(self, model: Model) -> Model:
        """The model whose scores are explained: of the target error, that of this one's error."""
        from lstm_lrp_cli.explaining.reconstruction import asked_model

        return asked_model(model, self.target)

    def of(self, model: Model, *, labelled: bool, default_step: Step | None = None) -> Question:
        """What is asked of a model.

        Parameters
        ----------
        default_step : int, "all" or None
            The step where none is given; None is an error of a model by step.
        """
        from lstm_lrp_cli.explaining.question import Question, refuse_labels

        question = Question.of(model, self.target, self.step, default_step)
        if question.needs_gold and not labelled:
            raise click.UsageError(
                f"--target {self.target} needs labelled input: add --labelled, or --label COLUMN."
            )
        if labelled:
            refuse_labels(model)
        return question


question_options = group(
    "question",
    QuestionOptions,
    click.option(
        "--target",
        default="predicted",
        show_default=True,
        metavar="CLASS",
        shell_complete=completing(TARGETS),
        help="gold, all, error, a class, or A-B.",
    ),
    click.option(
        "--step",
        callback=step_number,
        metavar="STEP",
        shell_complete=completing(STEPS),
        help="first, last, all or a number, where steps have scores.",
    ),
)


class DocumentOptions(NamedTuple):
    """Where one document goes, as a table or as JSON."""

    form: str
    output: Path | None


document_options = group(
    "document",
    DocumentOptions,
    click.option(
        "--format",
        "form",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        metavar="FORMAT",
        help="table, or json: one document.",
    ),
    path_option("-o", "--output", help="Write to FILE."),
)


def output_options(forms: Iterable[str]) -> Callable[[Command], Command]:
    """The format; where data and report go, and how many processes make them.

    Parameters
    ----------
    forms : iterable of str
        The formats.
    """
    return stacked(
        click.option(
            "--format",
            "form",
            type=click.Choice(list(forms)),
            metavar="FORMAT",
            help=f"{', '.join(forms)}.  [default: by -o; else terminal, or tsv]",
        ),
        group(
            "to",
            _destination,
            click.option(
                "-o",
                "--output",
                metavar="FILE",
                type=click.Path(),
                help="Write to FILE (.gz, .xz, .bz2 too), or parts to FOLDER/.",
            ),
            path_option("--report", help="The report; .json: as JSON.  [default: standard error]"),
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                metavar="N",
                help="Processes that share the work.  [default: one for each core, at most 8]",
            ),
            click.option(
                "-q",
                "--quiet",
                is_flag=True,
                callback=_quietened,
                help="No report, warnings or progress.",
            ),
            click.option(
                "--no-pager", is_flag=True, help="Do not page what is shown on a terminal."
            ),
            click.option(
                "--verbatim",
                is_flag=True,
                help="In tsv and csv, put no ' before what a spreadsheet takes for formulas.",
            ),
        ),
    )


def _destination(output: str | None, **others: Any) -> Destination:
    """Where the output goes: a folder or URL has a part of it for each shard."""
    from lstm_lrp_cli.inputs.spans import is_url

    if output is not None and (
        is_url(output) or output.endswith(("/", os.sep)) or os.path.isdir(output)
    ):
        return Destination(None, output, **others)
    return Destination(None if output is None else Path(output), **others)


def _quietened(_ctx: click.Context, _option: click.Parameter, quiet: bool) -> bool:
    """With -q, nothing is said of what readers leave out, of a baseline's file either."""
    if quiet:
        warnings.filterwarnings("ignore", category=LeftOut)
    return quiet


def expected_option(*, required: bool = False) -> Callable[[Command], Command]:
    """The option that names a file with the framework's own scores."""
    return path_option(
        "--expected",
        required=required,
        help="Scores or probabilities of your framework: .npy, .npz, .csv or .jsonl.",
    )


def choose_format(form: str | None, to: Destination, forms: Container[str]) -> str:
    """The format that was asked for; else a picture on a terminal, or by the file's ending."""
    output = to.output
    if to.folder is not None:
        if form is not None and OUTPUTS[form].picture:
            raise click.UsageError(f"--format {form} is one picture, and has no parts.")
        return form or "tsv"
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


def refuse_bytes(form: str, to: Destination) -> None:
    """Refuse to show a file of bytes on a terminal, and to compress it as no reader expects."""
    output = to.output
    if not OUTPUTS[form].binary or to.folder is not None:
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


def refuse_same_file(written: Mapping[str, Path | None], read: Mapping[str, Path | None]) -> None:
    """Refuse to write one file twice, or over what is read, by whatever name or link."""
    problem = same_file(written, read)
    if problem:
        raise click.UsageError(problem)


def refuse_part(output: Path | None, sources: Iterable[str]) -> None:
    """Refuse to write over a part of a folder of results that is read, or over its manifest."""
    if output is None or output == STANDARD_OUTPUT or _file_of(output) is None:
        return
    from lstm_lrp_cli.results.manifest import MANIFEST, inside, is_folder_of_parts
    from lstm_lrp_cli.results.read import result_files

    for folder in filter(is_folder_of_parts, sources):
        paths = (file.path for file in result_files(folder))
        for path in chain([inside(folder, MANIFEST)], paths):
            refuse_same_file({"-o": output}, {path: Path(path)})


def same_file(written: Mapping[str, Path | None], read: Mapping[str, Path | None]) -> str:
    """Which file would be written twice, or over what is read; "" where there is none."""
    places: dict[str, str] = {}
    for name, path in written.items():
        if path is None or path == STANDARD_OUTPUT:
            continue
        other = places.setdefault(os.path.realpath(path), name)  # of which links may go in circles
        there = _file_of(path)
        if other == name and there is not None:
            same = (each for each, source in read.items() if source and _file_of(source) == there)
            other = next(same, name)
        if other != name:
            return f"{name} is the same file as {other}: {path}"
    return ""


def _file_of(path: Path) -> tuple[int, int] | None:
    """Which file stands there, whatever it is called; None where there is no regular file."""
    try:
        found = os.fstat(sys.stdin.fileno()) if str(path) == STANDARD_INPUT else os.stat(path)
    except (OSError, ValueError, AttributeError):  # what may name a file need be no name
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
