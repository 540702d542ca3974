"""Which sequences a command reads, and how they are written: files, columns, or sentences."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lstm_lrp_cli.inputs.stream import INPUT_FORMATS, InputFormat, display_name
from .arguments import Command, complete_files, group

if TYPE_CHECKING:
    from lstm_lrp_cli.inputs.read import Source
    from lstm_lrp_cli.inputs.tables.roles import AsSeries

# The files of a folder that is an input.
OF_DATASETS = ("*.arrow", "state.json", "dataset_info.json", "dataset_dict.json")
# What --help but names.
RARE = ("delimiter", "input_format", "array", "window", "stride", "group", "date")


class InputOptions(NamedTuple):
    """Which sequences, and how they are written; no input where none is named.

    Texts are columns of the inputs; where there is no input, they are sentences.
    """

    inputs: tuple[str, ...]
    text: tuple[str, ...]
    label: str | None
    id: str | None
    ids: bool
    labelled: bool
    delimiter: str | None
    input_format: InputFormat | None
    array: str | None
    window: int | None
    stride: int | None
    group: str | None
    date: str | None

    @property
    def there(self) -> bool:
        """Whether there is any sequence."""
        return bool(self.inputs or self.text)

    @property
    def name(self) -> str:
        return " ".join(map(display_name, self.inputs)) if self.inputs else "--text"

    @property
    def files(self) -> dict[str, Path | None]:
        """What may be files: the whole of each argument, what stands behind NAME=, and --label."""
        found: dict[str, Path | None] = {"--label": Path(self.label) if self.label else None}
        for name in self.inputs:
            found["INPUT" if len(self.inputs) == 1 else f"INPUT {name}"] = Path(name)
            _, equals, path = name.partition("=")
            if equals:
                found[f"INPUT {name}"] = Path(path)
            for folder in filter(os.path.isdir, (name, path)):
                parts = (each for pattern in OF_DATASETS for each in Path(folder).glob(pattern))
                found |= {f"INPUT {each}": each for each in parts}
        return found

    @property
    def source(self) -> Source:
        from lstm_lrp_cli.inputs.read import Source
        from lstm_lrp_cli.inputs.tables.columns import Columns

        if not self.inputs:
            return Source(self.name, ids=self.ids, sentences=self.text)
        first, *others = self.inputs
        return Source(
            first,
            self.input_format,
            self.ids,
            self.labelled,
            tuple(others),
            Columns(self.text, self.label, self.id, self.delimiter),
            array=self.array,
            series=self.series,
        )

    @property
    def series(self) -> AsSeries:
        """How series are cut from a table of numbers."""
        from lstm_lrp_cli.inputs.tables.roles import AsSeries

        return AsSeries(self.window, self.stride, self.group, self.date)


class _Whole(click.types.StringParamType):
    """A text that a variable of the environment gives whole, though it has spaces."""

    def split_envvar_value(self, rv: str) -> list[str]:
        return [rv]


def one_character(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """What parts fields: one character, or the word "tab"."""
    named = {"tab": "\t", "\\t": "\t"}.get(value or "", value)
    if named is not None and (len(named) != 1 or named in '"\r\n'):
        raise click.BadParameter(
            f"{value!r} is no single character; expected one such as ; or the word tab.", ctx, param
        )
    return named


def input_options(
    argument: Callable[[Any], Any], *, required: bool = False
) -> Callable[[Command], Command]:
    """The sequences that an argument or option called inputs names, and how they are written.

    Parameters
    ----------
    required : bool
        Whether there must be an input, or a sentence.
    """

    def make(**given: Any) -> InputOptions:
        options = InputOptions(**given)
        if required and not options.there:
            raise click.UsageError(
                "Missing argument 'INPUT...', or --text \"A SENTENCE\".", _context()
            )
        if not options.inputs and options.text:
            _refuse_of_files(options)
        return options._replace(labelled=options.labelled or options.label is not None)

    return group(
        "given",
        make,
        argument,
        click.option(
            "--text",
            type=_Whole(),
            multiple=True,
            metavar="COLUMN",
            help="Column (JSON key) of texts; without INPUT, a sentence.",
        ),
        click.option(
            "--label",
            metavar="COLUMN",
            help="Column, JSON key, array or .npy file of true classes.",
        ),
        click.option(
            "--id", metavar="COLUMN", help="Column (JSON key) of what sequences are called."
        ),
        click.option("--ids", is_flag=True, help="Lines of text hold token ids."),
        click.option(
            "--labelled", is_flag=True, help="Lines are label<TAB>text; others have `label`."
        ),
        click.option(
            "--delimiter",
            callback=one_character,
            metavar="CHAR",
            help="What parts the fields of CSV.  [default: found in the header]",
        ),
        click.option(
            "--input-format",
            type=click.Choice(INPUT_FORMATS),
            metavar="FORMAT",
            help=f"{', '.join(INPUT_FORMATS)}.  [default: by INPUT's ending, or how it begins]",
        ),
        click.option("--array", metavar="NAME", help="The array that is read, of several."),
        click.option(
            "--window",
            type=click.IntRange(min=1),
            metavar="N",
            help="Of a table of numbers, sequences of N rows.",
        ),
        click.option(
            "--stride",
            type=click.IntRange(min=1),
            metavar="N",
            help="Rows from one window to the next.  [default: 1]",
        ),
        click.option(
            "--group", metavar="COLUMN", help="The column that tells series apart, of a table."
        ),
        click.option(
            "--date",
            metavar="COLUMN",
            help="The column of dates; COLUMN:dmy or :mdy says which is first.  [default: found]",
        ),
    )


def input_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """The sequences of the argument INPUT; of several, NAME=FILE for each input of the model."""
    return input_options(
        click.argument("inputs", nargs=-1, metavar="[INPUT]...", shell_complete=complete_files),
        required=required,
    )


def _refuse_of_files(options: InputOptions) -> None:
    """Refuse, of sentences, what is said of files."""
    said = {
        "--label": options.label,
        "--id": options.id,
        "--labelled": options.labelled,
        "--delimiter": options.delimiter,
        "--input-format": options.input_format,
        "--array": options.array,
        **dict.fromkeys(options.series.options, True),
    }
    for option, value in said.items():
        if value:
            raise click.UsageError(
                f"{option} is for files: without INPUT, --text gives a sentence.", _context()
            )


def _context() -> click.Context | None:
    return click.get_current_context(silent=True)
