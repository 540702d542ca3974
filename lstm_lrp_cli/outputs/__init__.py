"""The formats of results: a new one is a file in this folder, and an entry in the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from lstm_lrp_cli.inputs.stream import format_ending

if TYPE_CHECKING:
    from lstm_lrp_cli.explaining.explanation import Explanation
    from lstm_lrp_cli.explaining.prediction import Predictions
    from .predictions import PredictionLayout
    from .writer import Layout, Writer


class OutputFormat(NamedTuple):
    """One way to write results.

    Parameters
    ----------
    name : str
        What `--format` calls it.
    explanations : str
        The module of this folder and its class that writes explanations, such as
        "table.TableWriter". It is imported where it is used: no table needs rich.
    predictions : str
        Likewise; "" where predictions are not written so.
    endings : tuple of str
        Of the files that are written so unless another format is asked for; "" of those without.
    settings : dict
        What the classes are given besides.
    binary : bool
        Whether it is a file of bytes.
    picture : bool
        Whether it is for people, who are told of a token as a whole, and of a step if they ask.
    tells_top : bool
        Whether it can tell of the strongest alone; else every relevance has its place.
    whole_unasked : bool
        Whether it tells every value unless it is asked for less.
    tells_attention : bool
        Whether it has a place for attention weights.
    """

    name: str
    explanations: str
    predictions: str = ""
    endings: tuple[str, ...] = ()
    settings: Mapping[str, str] = MappingProxyType({})
    binary: bool = False
    picture: bool = False
    tells_top: bool = False
    whole_unasked: bool = False
    tells_attention: bool = False

    def writer(self, file: Any, layout: Layout) -> Writer[Sequence[Explanation]]:
        """What writes explanations to a file, or to the sink of one."""
        made: Writer[Sequence[Explanation]] = _class(self.explanations)(
            file, layout, **self.settings
        )
        return made

    def prediction_writer(self, file: Any, layout: PredictionLayout) -> Writer[Predictions]:
        """What writes predictions to a file."""
        made: Writer[Predictions] = _class(self.predictions)(file, layout, **self.settings)
        return made

    def sink(self, file: Any, layout: Layout) -> AbstractContextManager[Any]:
        """What makes a file of what writers write: of texts, the file itself."""
        kind: type[Writer[Sequence[Explanation]]] = _class(self.explanations)
        return kind.sink(file, layout)


def _class(place: str) -> Any:
    """A class of this folder, by its module and name."""
    module, _, name = place.partition(".")
    return getattr(import_module(f".{module}", __package__), name)


_TABLE = (
    OutputFormat(
        "tsv",
        "table.TableWriter",
        "predictions.PredictionTableWriter",
        endings=("", ".tsv", ".txt"),
        settings={"delimiter": "\t"},
        tells_top=True,
    ),
    OutputFormat(
        "csv",
        "table.TableWriter",
        "predictions.PredictionTableWriter",
        endings=(".csv",),
        settings={"delimiter": ","},
        tells_top=True,
    ),
    OutputFormat(
        "jsonl",
        "jsonl.JsonLinesWriter",
        "predictions.PredictionJsonLinesWriter",
        endings=(".jsonl", ".ndjson"),
        tells_attention=True,
    ),
    OutputFormat("parquet", "parquet.RowsWriter", endings=(".parquet",), binary=True),
    OutputFormat("parquet-nested", "parquet.NestedWriter", binary=True),
    OutputFormat("npz", "npz.NpzWriter", endings=(".npz",), binary=True, whole_unasked=True),
    OutputFormat("markdown", "markdown.MarkdownWriter", endings=(".md",), picture=True),
    OutputFormat(
        "terminal", "heatmap.HeatMapWriter", "bars.BarsWriter", picture=True, tells_top=True
    ),
    OutputFormat("html", "html.HtmlWriter", endings=(".html", ".htm"), picture=True),
)

# By name, those of explanations and those of predictions.
OUTPUTS = {each.name: each for each in _TABLE}
PREDICTION_OUTPUTS = {each.name: each for each in _TABLE if each.predictions}
# The names of formats by endings.
ENDINGS = {ending: each.name for each in _TABLE for ending in each.endings}


def format_of(path: Path) -> str | None:
    """The format that a file's ending asks for, TSV where it has none; None if it is unknown."""
    return ENDINGS.get(format_ending(path))
