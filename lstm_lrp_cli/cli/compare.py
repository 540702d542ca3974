"""`lrp compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from click.core import ParameterSource

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.explaining.settings import SETTINGS, split_methods
from lstm_lrp_cli.inputs.spans import is_url
from lstm_lrp_cli.inputs.stream import STANDARD_INPUT, display_name
from lstm_lrp_cli.running.files import open_output
from lstm_lrp_cli.terminal.screen import progress
from lstm_lrp_cli.terminal.text import warn
from .options.arguments import (
    DocumentOptions,
    QuestionOptions,
    complete_files,
    document_options,
    group,
    path_option,
    question_options,
    refuse_part,
    refuse_same_file,
)
from .options.help import Command
from .options.inputs import RARE, InputOptions, input_options
from .options.methods import POSITIVE, SettingOptions, complete_methods, setting_options
from .options.model import assume_option, dtype_option, set_option

if TYPE_CHECKING:
    from lstm_lrp_cli.compare import Rank
    from lstm_lrp_cli.loading.mapping import Described


# What results have been asked already.
OF_MODELS = (
    *("inputs", "mapping", "mapping_a", "mapping_b", "said", "assume"),
    *("text", "label", "id", "ids", "labelled", *RARE, "step"),
    *("dtype", *SETTINGS),
)
WORDS = ("predicted", "gold", "all")


def two_methods(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The method of both sides, or that of each."""
    if value is None:
        return ()
    names = tuple(name.strip() for name in split_methods(value))
    if len(names) > 2 or not all(names):
        raise click.BadParameter(
            f"{value!r} is neither one method nor two, such as lrp-all,occlusion.", ctx, param
        )
    if len(set(names)) < len(names):
        raise click.BadParameter("a method is named twice.", ctx, param)
    return names


class ModelsOptions(NamedTuple):
    """How the models are read."""

    mapping: Path | None
    mapping_a: Path | None
    mapping_b: Path | None
    said: Described | None
    assume: bool
    dtype: str


models_options = group(
    "reading",
    ModelsOptions,
    *(
        path_option(name, help=f"The mapping of {whose}.")
        for name, whose in (("--mapping", "each model"), ("--mapping-a", "A"), ("--mapping-b", "B"))
    ),
    set_option,
    assume_option,
    dtype_option,
)


class RankOptions(NamedTuple):
    """How many differences are told, and which."""

    top: int
    rank: Rank
    min_count: int


rank_options = group(
    "ranked",
    RankOptions,
    click.option(
        "--top",
        type=click.IntRange(min=1),
        default=10,
        show_default=True,
        metavar="N",
        help="How many sequences and tokens are told.",
    ),
    click.option(
        "--rank",
        type=click.Choice(["correlation", "difference"]),
        default="correlation",
        show_default=True,
        metavar="ORDER",
        help="What differs most: by least correlation, or largest difference.",
    ),
    click.option(
        "--min-count",
        type=click.IntRange(min=1),
        default=5,
        show_default=True,
        metavar="N",
        help="Tokens seen less often are not ranked.",
    ),
)


@click.command(
    cls=Command,
    examples=(
        "lrp compare before.jsonl after.jsonl.gz --tolerance 1e-5",
        "lrp compare small.npz large.h5 --input sentences.txt --target all",
        "lrp compare model.h5 --input sentences.txt --methods lrp-all,occlusion",
        "lrp explain new.h5 in.txt --format jsonl -q | lrp compare old.jsonl -",
    ),
    rare=(
        *("mapping_a", "mapping_b", "id", "ids", *RARE, "eps", "bias_factor", "dtype"),
        *("steps", "baseline", "groups", "span", "seed", "min_count"),
    ),
)
@click.argument("a", shell_complete=complete_files)
@click.argument("b", required=False, shell_complete=complete_files)
@models_options
@input_options(
    click.option(
        "--input",
        "inputs",
        multiple=True,
        type=click.Path(),  # so that a variable of the environment is not cut at spaces
        metavar="FILE",
        shell_complete=complete_files,
        help="Sequences that models explain; - is standard input. For models of several inputs "
        "also NAME=FILE, once for each.",
    )
)
@click.option(
    "--methods",
    "--method",
    "methods",
    callback=two_methods,
    metavar="NAME[,NAME]",
    shell_complete=complete_methods,
    help="The method of both, or of A and of B.  [default: lrp-all of models]",
)
@question_options
@setting_options(*SETTINGS)
@rank_options
@click.option(
    "--tolerance",
    type=POSITIVE,
    metavar="NUMBER",
    help="Exit with status 1 where scores or relevance differ by more, relative to A's over 1.",
)
@document_options
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    a: str,
    b: str | None,
    reading: ModelsOptions,
    given: InputOptions,
    methods: tuple[str, ...],
    question: QuestionOptions,
    settings: SettingOptions,
    ranked: RankOptions,
    tolerance: float | None,
    document: DocumentOptions,
) -> None:
    """Compare two explanations of the same sequences: by models, methods or versions.

    A and B are each a model, which then explains the sequences of --input, or results of lrp
    explain as JSON lines or Parquet (- is standard input), or a folder of such parts. What they are
    is told by what is in them. Without B, two methods of A are compared. Tells where predictions
    differ and, with labels, which is right; how relevance correlates; and the sequences and tokens
    that differ most.
    """
    from lstm_lrp_cli.compare.comparer import Comparer, in_blocks
    from lstm_lrp_cli.compare.pairing import matched
    from lstm_lrp_cli.compare.table import comparison_json, print_comparison
    from lstm_lrp_cli.explaining.windows import one_blas_thread
    from lstm_lrp_cli.loading.files.formats import is_weight_file
    from .options.sides import AskedModels, both_sides

    of_inputs = {name.replace("INPUT", "--input"): path for name, path in given.files.items()}
    named = {name: Path(path) for name, path in (("A", a), ("B", b)) if path}
    written = {"-o": document.output}
    refuse_same_file(written, named | of_inputs | settings.files(methods))
    paths = (a,) if b is None else (a, b)
    models = tuple(is_weight_file(Path(path)) for path in paths)
    _check_usage(ctx, paths, models, given, methods)
    refuse_part(document.output, paths)
    mappings = (reading.mapping_a or reading.mapping, reading.mapping_b or reading.mapping)
    how = (reading.said, reading.assume, reading.dtype)
    asked = AskedModels(given, mappings, *how, question, settings)
    # Models explain nothing else.
    wanted = None if any(models) or question.target in WORDS else question.target
    with one_blas_thread(), progress(STANDARD_INPUT not in paths) as tell:
        sides, both = both_sides(paths, models, methods, asked)
        refuse_same_file(written, asked.sources)
        comparer = Comparer(sides, ranked.top, ranked.min_count, ranked.rank)
        same_input = b is None or all(models)
        for some in in_blocks(matched(both, wanted, same_input=same_input)):
            comparer.add(some)
            tell(comparer.sequences)
    comparison = comparer.comparison()
    warnings = asked.input_warnings()
    warn(warnings)
    if wanted is not None and not comparison.relevance.compared:
        raise click.BadParameter(
            f"there are no explanations of {wanted!r} to compare; results name classes, as in "
            "their `target`.",
            param_hint="--target",
        )
    with open_output(document.output) as file:
        if document.form == "json":
            file.write(comparison_json(comparison, tolerance, asked.told(warnings)))
        else:
            print_comparison(comparison, tolerance, file)
    if tolerance is not None and not comparison.within(tolerance):
        sys.exit(1)


def _check_usage(
    ctx: click.Context,
    paths: tuple[str, ...],
    models: tuple[bool, ...],
    read: InputOptions,
    methods: tuple[str, ...],
) -> None:
    """Refuse what does not go together."""
    for path in paths:
        if path != STANDARD_INPUT and not is_url(path) and not Path(path).exists():
            raise UnusableInput(
                display_name(path), "there is no such file; expected a model, or results"
            )
    given = {
        param.name: param.opts[0]
        for param in ctx.command.params
        if param.name and ctx.get_parameter_source(param.name) == ParameterSource.COMMANDLINE
    }
    if (*paths, *read.inputs).count(STANDARD_INPUT) > 1:
        raise click.UsageError("standard input (-) can be read once; name a file beside it.")
    if len(paths) == 1 and len(methods) < 2:
        raise click.UsageError(
            "without B, two methods of A are compared; say which: --methods lrp-all,occlusion."
        )
    if not any(models):
        _refuse_of_models(ctx, paths, given)
        return
    if not read.there:
        model = paths[models.index(True)]
        raise click.UsageError(
            f'{model} is a model; say what it explains: --input FILE, or --text "A SENTENCE".'
        )
    if "mapping_b" in given and models != (models[0], True):
        raise click.UsageError("--mapping-b: B is no model.")
    if "mapping_a" in given and not models[0]:
        raise click.UsageError("--mapping-a: A is no model.")


def _refuse_of_models(ctx: click.Context, paths: tuple[str, ...], given: dict[str, str]) -> None:
    """Refuse, of results, what only models can be asked."""
    for name in OF_MODELS:
        if name in given:
            raise click.UsageError(
                f"{given[name]} is for models, and {' and '.join(paths)} "
                f"{'is' if len(paths) == 1 else 'are'} no model; results are explained already."
            )
    if "target" in given and ctx.params["target"] in ("predicted", "gold"):
        raise click.BadParameter(
            "of results, expected a class, the difference of two, or all.", param_hint="--target"
        )
