"""Commands whose help fits a screen, and whose options have defaults in the environment."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from lstm_lrp_cli.errors import WrongUsage

# What stands in which section of help, in what order, by the names of parameters. What is in none
# of them stands in the last.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Input": (
        *("inputs", "mapping", "mapping_a", "mapping_b", "said", "assume"),
        *("text", "label", "id", "ids", "labelled", "window", "stride", "group", "date"),
        *("array", "delimiter", "input_format"),
        *("min_length", "limit"),
    ),
    "What is explained": ("target", "step", "by", "top", "attention", "min_count"),
    "Method": (
        *("method", "methods", "eps", "bias_factor", "steps", "baseline", "groups", "span"),
        *("seed", "seeds"),
    ),
    "Experiment": ("deletions", "radius", "draws"),
    "Comparison": ("rank", "expected", "against", "tolerance"),
    "Output": ("form", "output", "write_mapping", "plot", "report", "quiet", "no_pager"),
    "Corpus": ("shard_size", "part", "keep_going", "compress", "cluster"),
}
LAST_SECTION = "Other"
# How long names are that what they mean stands beside.
NAME_COLUMNS = 17
# Where a context says that everything is told.
EVERYTHING = f"{__name__}.everything"


class Command(click.Command):
    """A command whose help has sections and examples.

    Every option takes its default from the environment, where there is a variable by the names of
    command and option, such as LRP_EXPLAIN_BIAS_FACTOR.

    Parameters
    ----------
    examples : iterable of str
        Command lines.
    rare : iterable of str
        The parameters that --help but names; --help-all tells of them.
    """

    def __init__(
        self, *args: Any, examples: Iterable[str] = (), rare: Iterable[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.rare = frozenset(rare)
        self._options = [param for param in self.params if isinstance(param, click.Option)]
        for option in self._options:
            option.envvar = f"LRP_{self.name}_{_long(option)}".upper().replace("-", "_")
        if self.rare:
            names = ", ".join(f"--{_long(each)}" for each in self._options if each.name in rare)
            self.params.append(
                click.Option(
                    ["--help-all"],
                    is_flag=True,
                    is_eager=True,
                    expose_value=False,
                    callback=_tell_everything,
                    help=f"Also {names}.",
                )
            )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, section by section."""
        left_out = frozenset[str]() if ctx.meta.get(EVERYTHING) else self.rare
        options = {
            param.name or "": param
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and param.name not in left_out
        }
        for title, members in SECTIONS.items():
            _write_options(formatter, ctx, title, [options.pop(m) for m in members if m in options])
        _write_options(formatter, ctx, LAST_SECTION, options.values())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, and where defaults can be set."""
        write_examples(formatter, self.examples)
        if self._options:
            variable = f"LRP_{self.name}_OPTION".upper()
            formatter.write_paragraph()
            formatter.write(f"Environment: {variable} is the default of --option, of each one.\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with self._naming_variables(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with self._naming_variables(ctx):
            try:
                return super().invoke(ctx)
            except WrongUsage as error:
                raise self._as_option(error, ctx) from error

    def _as_option(self, error: WrongUsage, ctx: click.Context) -> click.UsageError:
        """Wrong usage as the command line says it: keywords are options."""

        def option(keyword: str) -> str:
            names = {param.name: f"--{_long(param)}" for param in self._options}
            if keyword == "methods":
                return "--method"  # which every command has
            return names.get(keyword) or f"--{keyword.replace('_', '-')}"

        problem = re.sub("`([a-z_]+)`", lambda found: option(found[1]), error.problem)
        if error.keyword is None:
            return click.UsageError(problem, ctx)
        return click.BadParameter(problem, ctx, param_hint=option(error.keyword))

    @contextmanager
    def _naming_variables(self, ctx: click.Context) -> Iterator[None]:
        """Say of wrong usage which options are not on the command line."""
        try:
            yield
        except click.UsageError as error:
            variables = [
                str(option.envvar)
                for option in self._options
                if ctx.get_parameter_source(option.name or "") is ParameterSource.ENVIRONMENT
            ]
            if variables:
                message = (
                    f"{error.format_message()}\n(From the environment: {', '.join(variables)}.)"
                )
                raise click.UsageError(message, ctx) from error
            raise


def write_examples(formatter: click.HelpFormatter, examples: Iterable[str]) -> None:
    """Command lines, each on a line of its own."""
    with formatter.section("Examples"):
        for example in examples:
            formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def _write_options(
    formatter: click.HelpFormatter, ctx: click.Context, title: str, options: Iterable[click.Option]
) -> None:
    records = [record for option in options if (record := option.get_help_record(ctx))]
    if not records:
        return
    with formatter.section(title):
        width = formatter.width - NAME_COLUMNS - 2 * formatter.indent_increment
        # Click would fold a text between the words of a method's or an option's name.
        rows = [
            (name.ljust(NAME_COLUMNS), "\b\n" + textwrap.fill(text, width, break_on_hyphens=False))
            for name, text in records
        ]
        formatter.write_dl(rows, col_max=NAME_COLUMNS)


def _tell_everything(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[EVERYTHING] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _long(option: click.Option) -> str:
    """The option's full name, without its dashes."""
    return max(option.opts, key=len).removeprefix("--")
