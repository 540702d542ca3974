"""Commands whose help fits a screen, with examples, and whose options have the environment's defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

# The sections of help and what stands in them, by the names of parameters. An option of none of
# them stands in the last.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Input": ("mapping", "ids", "labelled", "input_format", "min_length", "limit"),
    "What is explained": ("target", "step", "by", "top"),
    "Method": (
        "method",
        "methods",
        "eps",
        "bias_factor",
        "steps",
        "baseline",
        "span",
        "seed",
        "seeds",
    ),
    "Output": ("form", "output", "report", "plot", "write_mapping", "quiet", "no_pager"),
    "Run": (),
}
# Where what an option does begins, in columns from its name.
OPTION_COLUMNS = 23


class Command(click.Command):
    """A command whose help has sections and examples.

    Each option's default can be set in the environment, by the option's name behind the command's:
    LRP_EXPLAIN_BIAS_FACTOR.

    Parameters
    ----------
    examples : sequence of str
        Command lines, each on one line of help.
    rare : sequence of str
        The parameters that are named in the help, and told of in --help-all alone.
    """

    def __init__(
        self, *args: Any, examples: Iterable[str] = (), rare: Iterable[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.rare = frozenset(rare)
        for option in self._options():
            option.envvar = variable_of(self.name or "", option)
        if self.rare:
            self.params.append(_help_all())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, section by section."""
        everything = ctx.meta.get(_EVERYTHING, False)
        names = {name for section in SECTIONS.values() for name in section}
        shown = [p for p in self.get_params(ctx) if everything or p.name not in self.rare]
        for title, members in SECTIONS.items():
            of_section = [p for p in shown if p.name in members]
            of_section.sort(key=lambda param: members.index(param.name or ""))
            if title == "Run":
                of_section = [p for p in shown if p.name not in names]
            records = [r for r in (p.get_help_record(ctx) for p in of_section) if r is not None]
            if title == "Run" and self.rare and not everything:
                rare = ", ".join(p.opts[-1] for p in self._options() if p.name in self.rare)
                records = [(n, f"Also {rare}." if n == "--help-all" else t) for n, t in records]
            if records:
                _write(formatter, title, records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, and where defaults can be set."""
        write_examples(formatter, self.examples)
        variable = variable_of(self.name or "", next(self._options()))
        option = next(self._options()).opts[-1]
        with formatter.section("Environment"):
            formatter.write_text(f"{variable} is the default of {option}, and so for every option.")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with self._naming_variables(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with self._naming_variables(ctx):
            return super().invoke(ctx)
