"""`lrp compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.running.files import open_output
from lstm_lrp_cli.sequences.stream import STANDARD_INPUT, display_name
from lstm_lrp_cli.terminal.messages import warn
from lstm_lrp_cli.terminal.screen import progress
from .options.arguments import (
    POSITIVE,
    assume_option,
    complete_files,
    document_options,
    dtype_option,
    input_options,
    question_options,
    refuse_same_file,
    rule_options,
    setting_options,
    stacked,
)
from .options.help import Command
from .options.settings import complete_methods

if TYPE_CHECKING:
    from lstm_lrp_cli.compare.comparison import Rank
    from lstm_lrp_cli.explaining.question import Step
    from lstm_lrp_cli.sequences.naming import InputFormat


# What results have been asked already.
OF_MODELS = (
    *("input", "mapping", "mapping_a", "mapping_b", "assume"),
    *("ids", "labelled", "input_format", "step"),
    *("eps", "bias_factor", "dtype", "steps", "baseline", "span", "seed"),
)
WORDS = ("predicted", "gold", "all")


def two_methods(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The method of both sides, or that of each."""
    if value is None:
        return ()
    names = tuple(name.strip() for name in value.split(","))
    if len(names) > 2 or not all(names):
        raise click.BadParameter(
            f"{value!r} is neither one method nor two, such as lrp-all,occlusion.", ctx, param
        )
    if len(set(names)) < len(names):
        raise click.BadParameter("a method is named twice.", ctx, param)
    return names


mapping_options = stacked(
    *(
        click.option(
            name, type=click.Path(path_type=Path), metavar="FILE", help=f"The mapping of {whose}."
        )
        for name, whose in (("--mapping", "each model"), ("--mapping-a", "A"), ("--mapping-b", "B"))
    )
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
        *("mapping_a", "mapping_b", "ids", "input_format", "eps", "bias_factor", "dtype"),
        *("steps", "baseline", "span", "seed", "min_count"),
    ),
)
@click.argument("a", shell_complete=complete_files)
@click.argument("b", required=False, shell_complete=complete_files)
@click.option(
    "--input",
    metavar="FILE",
    shell_complete=complete_files,
    help="Sequences that models explain; - is standard input.",
)
@mapping_options
@assume_option
@input_options
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
@rule_options
@dtype_option
@setting_options
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="How many sequences and tokens are told.",
)
@click.option(
    "--rank",
    type=click.Choice(["correlation", "difference"]),
    default="correlation",
    show_default=True,
    metavar="ORDER",
    help="What differs most: by least correlation, or largest difference.",
)
@click.option(
    "--min-count",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Tokens seen less often are not ranked.",
)
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
    a: str,
    b: str | None,
    input: str | None,
    mapping: Path | None,
    mapping_a: Path | None,
    mapping_b: Path | None,
    assume: bool,
    ids: bool,
    labelled: bool,
    input_format: InputFormat | None,
    methods: tuple[str, ...],
    target: str,
    step: Step | None,
    eps: float,
    bias_factor: float,
    dtype: str,
    steps: int | None,
    baseline: str | None,
    span: slice | None,
    seed: int | None,
    top: int,
    rank: Rank,
    min_count: int,
    tolerance: float | None,
    form: str,
    output: Path | None,
) -> None:
    """Compare two explanations of the same sequences: by models, methods or versions.

    A and B are each a model, which then explains the sequences of --input, or results of lrp
    explain as JSON lines or Parquet (- is standard input). What they are is told by what is in
    them. Without B, two methods of A are compared. Tells where predictions differ and, with labels,
    which is right; how relevance correlates; and the sequences and tokens that differ most.
    """
    from lstm_lrp_cli.compare.comparer import Comparer, in_blocks
    from lstm_lrp_cli.compare.pairing import matched
    from lstm_lrp_cli.compare.table import comparison_json, print_comparison
    from lstm_lrp_cli.loading.files.formats import is_weight_file
    from lstm_lrp_cli.running.processes import one_blas_thread
    from lstm_lrp_cli.sequences.read import Source
    from .options.sides import Asked, both_sides

    names = {name: Path(path) for name, path in (("A", a), ("B", b), ("--input", input)) if path}
    refuse_same_file({"-o": output}, names)
    paths = (a,) if b is None else (a, b)
    models = tuple(is_weight_file(Path(path)) for path in paths)
    _check_usage(ctx, paths, models, input, methods)
    asked = Asked(
        Source(input or "", input_format, ids, labelled),
        (mapping_a or mapping, mapping_b or mapping),
        assume,
        target,
        step,
        dtype,
        {
            "eps": eps,
            "bias_factor": bias_factor,
            "steps": steps,
            "baseline": baseline,
            "span": span,
            "seed": seed,
        },
    )
    # Models explain nothing else.
    wanted = None if any(models) or target in WORDS else target
    with one_blas_thread(), progress(STANDARD_INPUT not in paths) as tell:
        sides, both = both_sides(paths, models, methods, asked)
        comparer = Comparer(sides, top, min_count, rank)
        same_input = b is None or all(models)
        for some in in_blocks(matched(both, wanted, same_input=same_input)):
            comparer.add(some)
            tell(comparer.sequences)
    comparison = comparer.comparison()
    warnings = asked.input_warnings()
    warn(warnings)
    if wanted is not None and not comparison.relevance.compared:
        raise click.BadParameter(
            f"there are no explanations of {wanted!r} to compare.", param_hint="--target"
        )
    with open_output(output) as file:
        if form == "json":
            file.write(comparison_json(comparison, tolerance, asked.told(warnings)))
        else:
            print_comparison(comparison, tolerance, file)
    if tolerance is not None and not comparison.within(tolerance):
        sys.exit(1)


def _check_usage(
    ctx: click.Context,
    paths: tuple[str, ...],
    models: tuple[bool, ...],
    input: str | None,
    methods: tuple[str, ...],
) -> None:
    """Refuse what does not go together."""
    for path in paths:
        if path != STANDARD_INPUT and not Path(path).exists():
            raise UnusableInput(
                display_name(path), "there is no such file; expected a model, or results"
            )
    given = {
        param.name: param.opts[0]
        for param in ctx.command.params
        if param.name and ctx.get_parameter_source(param.name) == ParameterSource.COMMANDLINE
    }
    if (*paths, input).count(STANDARD_INPUT) > 1:
        raise click.UsageError("standard input (-) can be read once; name a file beside it.")
    if len(paths) == 1 and len(methods) < 2:
        raise click.UsageError(
            "without B, two methods of A are compared; say which: --methods lrp-all,occlusion."
        )
    if any(models):
        if input is None:
            model = paths[models.index(True)]
            raise click.UsageError(f"{model} is a model; say what it explains: --input FILE.")
        if "mapping_b" in given and models != (models[0], True):
            raise click.UsageError("--mapping-b: B is no model.")
        if "mapping_a" in given and not models[0]:
            raise click.UsageError("--mapping-a: A is no model.")
        return
    for name in OF_MODELS:
        if name in given:
            raise click.UsageError(
                f"{given[name]} is for models, and {' and '.join(paths)} "
                f"{'is' if len(paths) == 1 else 'are'} no model; results are explained already."
            )
    if "target" in given and ctx.params["target"] in ("predicted", "gold"):
        raise click.BadParameter("of results, expected a class, or all.", param_hint="--target")
