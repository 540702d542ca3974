"""Which model a command takes, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lstm_lrp_cli.inputs.stream import display_name
from .arguments import group, path_option

if TYPE_CHECKING:
    from lstm_lrp_cli.loading.load import LoadedModel
    from lstm_lrp_cli.loading.mapping import Described
    from lstm_lrp_cli.model.model import Model

DTYPES = ("float64", "float32")


def complete_keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes to the keys of a mapping."""
    from lstm_lrp_cli.loading.mapping.given import keys_to_set

    return [key for key in keys_to_set() if key.startswith(incomplete)]


model_argument = click.argument("model", type=click.Path(path_type=Path))
mapping_option = path_option("--mapping", help="What MODEL cannot say.  [default: MODEL's .yaml]")


def _texts(value: Any) -> Iterator[str]:
    """All texts in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _said(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> Described | None:
    """What the keys say that are set on the command line."""
    if not texts:
        return None
    from lstm_lrp_cli.loading.mapping.given import set_keys

    return set_keys(texts)


set_option = click.option(
    "--set",
    "said",
    multiple=True,
    callback=_said,
    metavar="KEY=VALUE",
    shell_complete=complete_keys,
    help="A key of the mapping, as padding.length=50; repeatable.",
)
assume_option = click.option(
    "--assume",
    is_flag=True,
    help="Where MODEL leaves open what changes its scores, take the likeliest.",
)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float64",
    show_default=True,
    metavar="TYPE",
    help="Precision: float64 or float32.",
)


class ModelOptions(NamedTuple):
    """Which model, and how it is read."""

    model: Path
    mapping: Path | None
    said: Described | None
    assume: bool
    dtype: str

    @property
    def name(self) -> str:
        return display_name(str(self.model))

    @property
    def files(self) -> dict[str, Path | None]:
        """What is read, and every text of --set, as which a file may be named."""
        found = {"MODEL": self.model, "--mapping": self.mapping}
        if self.said is not None:
            import msgspec

            found |= {
                f"--set {each}": Path(each)
                for each in _texts(msgspec.to_builtins(self.said.mapping))
            }
        return found

    def load(self) -> Model:
        return self.load_whole().model

    def load_whole(self) -> LoadedModel:
        """The model, and how it was read."""
        import numpy as np

        from lstm_lrp_cli.loading.load import load_model

        dtype = np.dtype(self.dtype)
        return load_model(self.model, self.mapping, dtype, self.assume, self.said)


model_options = group(
    "of", ModelOptions, model_argument, mapping_option, set_option, assume_option, dtype_option
)
