"""Which model a command takes, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lstm_lrp_cli.inputs.stream import display_name
from .arguments import group, path_option, refuse_same_file, same_file

if TYPE_CHECKING:
    from lstm_lrp_cli.loading.load import Contents, LoadedModel
    from lstm_lrp_cli.loading.mapping import Described
    from lstm_lrp_cli.model.model import Model

DTYPES = ("float64", "float32")
# What stands beside a vocabulary, and says more of it.
OF_TOKENIZERS = "tokenizer_config.json"
# What of all that is read is the mapping.
MAPPINGS = ("--mapping", "MODEL's mapping", "MODEL's mapping, .yml")
# A list of more texts names no files; of a folder, so many may be read.
MOST_FILES = 100


def complete_keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes to the keys of a mapping."""
    from lstm_lrp_cli.loading.mapping.given import keys_to_set

    return [key for key in keys_to_set() if key.startswith(incomplete)]


model_argument = click.argument("model", type=click.Path(path_type=Path))
mapping_option = path_option("--mapping", help="What MODEL cannot say.  [default: MODEL's .yaml]")


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


def files_of(model: Path, mapping: Path | None, said: Described | None) -> dict[str, Path | None]:
    """What is read of a model, as far as it is known before, and every text of --set."""
    found = {"MODEL": model, "--mapping": mapping}
    if mapping is None and model.name:
        found |= {
            "MODEL's mapping": model.with_suffix(".yaml"),
            "MODEL's mapping, .yml": model.with_suffix(".yml"),
        }
    if said is not None:
        import msgspec

        texts = _texts(msgspec.to_builtins(said.mapping))
        found |= {f"--set {text}": Path(text) for text in texts}
    return found


def sources_of(contents: Contents) -> dict[str, Path | None]:
    """Every file that a model may have been read from, by what it is."""
    import msgspec

    found: dict[str, Path | None] = {f"MODEL's {path.name}": path for path in contents.files}
    found |= {"MODEL": contents.path, "MODEL's mapping": contents.mapping_path}
    for text in _texts(msgspec.to_builtins(contents.described.mapping)):
        path = contents.folder / text
        found[f"`{text}` of the mapping"] = path
        found |= {f"`{text}` of the mapping, {each.name}": each for each in _beside(path)}
    return found


def _texts(value: Any) -> Iterator[str]:
    """All texts in a document that may name a file: in a list of many are names of other things."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            if len(value) <= MOST_FILES or not isinstance(each, str):
                yield from _texts(each)


def _beside(path: Path) -> list[Path]:
    """What may be read beside a file that a mapping names, or in a folder."""
    try:
        if path.is_dir():
            return [*islice(path.iterdir(), MOST_FILES)]
        return [path.with_name(OF_TOKENIZERS)] if path.is_file() else []
    except (OSError, ValueError):  # a text that can be no name
        return []


def refuse_over_model(
    output: Path | None, write_mapping: Path | None, read: Mapping[str, Path | None]
) -> None:
    """Refuse to write over what is read.

    But for a mapping over the one in use: what it will say is not known as yet.
    """
    refuse_same_file({"-o": output}, read)
    others = {name: path for name, path in read.items() if name not in MAPPINGS}
    refuse_same_file({"-o": output, "--write-mapping": write_mapping}, others)


def place_mapping(path: Path, text: str, read: Mapping[str, Path | None]) -> None:
    """Write a mapping; the one in use stays as it is, if it says the same.

    So a command that wrote it can be run again. Comments may differ: they tell where each key
    comes from.

    Raises
    ------
    click.UsageError
        It would be written over the one in use, which says otherwise.
    """
    from lstm_lrp_cli.loading.mapping.yaml import parse_yaml, read_yaml
    from lstm_lrp_cli.running.files import open_output

    in_use = same_file({"--write-mapping": path}, read)
    if not in_use:
        with open_output(path) as file:
            file.write(text)
    elif read_yaml(path) != parse_yaml(text, str(path)):
        raise click.UsageError(
            f"{in_use}, which says otherwise; give another name, or move that file away first."
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
        return files_of(self.model, self.mapping, self.said)

    def load(self, written: Mapping[str, Path | None]) -> Model:
        return self.load_whole(written).model

    def load_whole(self, written: Mapping[str, Path | None]) -> LoadedModel:
        """The model, and how it was read; none of the files that will be written is among it."""
        import numpy as np

        from lstm_lrp_cli.loading.load import load_model

        dtype = np.dtype(self.dtype)
        loaded = load_model(self.model, self.mapping, dtype, self.assume, self.said)
        refuse_same_file(written, sources_of(loaded.contents))
        return loaded


model_options = group(
    "of", ModelOptions, model_argument, mapping_option, set_option, assume_option, dtype_option
)
