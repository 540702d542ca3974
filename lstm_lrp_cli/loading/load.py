"""Loading a model: the weight file, what it says of itself, and the mapping, which wins."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.build import build_layers
from lstm_lrp_cli.loading.datasets import Datasets
from lstm_lrp_cli.loading.formats import open_weights
from lstm_lrp_cli.loading.mapping import Described, Mapping, TokensSpec, read_mapping
from lstm_lrp_cli.loading.vocabulary import read_vocabulary
from lstm_lrp_cli.loading.weight_file import Stored, WeightFile, shape_text
from lstm_lrp_cli.model.layers import Activation, Dense, Embedding, Layer, Lstm
from lstm_lrp_cli.model.model import Model, OutputActivation
from lstm_lrp_cli.model.text import Padding, Tokenization, Vocabulary


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, and how it was read.

    Parameters
    ----------
    model : Model
    path : Path
    mapping_path : Path or None
        The mapping that was used, given or found beside the model.
    described : Described
        The whole mapping, inferred and given, with the origin of each key.
    datasets : dict
        Everything that the weight file holds.
    unused : tuple of str
        The datasets that no part of the model came from.
    format : str
    """

    model: Model
    path: Path
    mapping_path: Path | None
    described: Described
    datasets: dict[str, Stored]
    unused: tuple[str, ...]
    format: str

    @property
    def folder(self) -> Path:
        """What the mapping's paths are relative to."""
        return (self.mapping_path or self.path).parent


def load_model(path: Path, mapping_path: Path | None, dtype: np.dtype[Any]) -> LoadedModel:
    """Load a model.

    Parameters
    ----------
    path : Path
        The weight file.
    mapping_path : Path or None
        The mapping; where there is none, `model.yaml` beside `model.h5` is used if it exists.
    dtype : numpy.dtype
        The precision of the run.

    Raises
    ------
    UnusableInput
    """
    file, inferred = open_weights(path)
    with file:
        described = inferred or Described(Mapping(), {})
        mapping_path = mapping_path or _beside(path)
        if mapping_path is not None:
            given = Described.by(read_mapping(mapping_path), mapping_path.name)
            described = described.overridden_by(given)
        mapping = described.mapping
        if mapping.layers is UNSET:
            raise UnusableInput(str(path), _ask_for_layers(file, mapping_path))
        # What errors about a key name: the mapping file, or the weight file that implied it.
        source = str(mapping_path) if inferred is None else described.origins["layers"]
        datasets = Datasets(file, np.dtype(dtype), source)
        layers, output_activation = _without_output(build_layers(mapping.layers, datasets))
        classes = _outputs(layers)
        vocabulary = _vocabulary(mapping, layers, (mapping_path or path).parent, file)
        model = Model(
            layers,
            output_activation,
            classes,
            np.dtype(dtype),
            _labels(mapping, classes, str(mapping_path)),
            vocabulary,
            _tokenization(mapping, str(mapping_path)),
            _padding(mapping, layers, str(mapping_path)),
        )
        used = {*datasets.used, mapping.vocabulary}
        unused = tuple(sorted(set(file.datasets) - used))
        return LoadedModel(
            model, path, mapping_path, described, dict(file.datasets), unused, file.format
        )


def _beside(path: Path) -> Path | None:
    """The mapping that stands beside a model under the same name."""
    for suffix in (".yaml", ".yml"):
        candidate = path.with_suffix(suffix)
        if candidate.is_file():
            return candidate
    return None


def _ask_for_layers(file: WeightFile, mapping_path: Path | None) -> str:
    names = sorted(file.datasets)
    listing = "; ".join(f"{name} {shape_text(file.datasets[name].shape)}" for name in names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    mend = (
        f"add `layers` to {mapping_path}"
        if mapping_path
        else f"describe its layers in {file.path.with_suffix('.yaml').name} or by --mapping"
    )
    return f"the file does not say its architecture; {mend}. It holds {listing}{more}"


def _without_output(layers: tuple[Layer, ...]) -> tuple[tuple[Layer, ...], OutputActivation]:
    """Take a last softmax or sigmoid off: the score is what stands before it."""
    last = layers[-1]
    if isinstance(last, Activation) and last.kind in ("softmax", "sigmoid"):
        return layers[:-1], last.kind
    return layers, "linear"


def _outputs(layers: tuple[Layer, ...]) -> int:
    for layer in reversed(layers):
        match layer:
            case Dense():
                return int(layer.weights.shape[0])
            case Lstm():
                return layer.output_size
    raise ValueError("a model without weights has no outputs")


def _labels(mapping: Mapping, classes: int, where: str) -> tuple[str, ...] | None:
    if mapping.labels is UNSET or mapping.labels is None:
        return None
    labels = tuple(map(str, mapping.labels))
    if len(labels) != classes:
        raise UnusableInput(
            where, f"labels: found {len(labels)}; expected {classes}, one for each output"
        )
    if len(set(labels)) < classes:
        raise UnusableInput(where, f"labels: [{', '.join(labels)}] names a class twice")
    return labels


def _vocabulary(
    mapping: Mapping, layers: tuple[Layer, ...], folder: Path, file: WeightFile
) -> Vocabulary | None:
    if mapping.vocabulary is UNSET or mapping.vocabulary is None:
        return None
    first = layers[0]
    if not isinstance(first, Embedding):
        raise UnusableInput(mapping.vocabulary, "the model has no embedding to use a vocabulary")
    unknown = mapping.tokens.unknown if isinstance(mapping.tokens, TokensSpec) else UNSET
    return read_vocabulary(mapping.vocabulary, folder, file, len(first.weights), unknown)


def _tokenization(mapping: Mapping, where: str) -> Tokenization:
    spec = mapping.tokens if isinstance(mapping.tokens, TokensSpec) else TokensSpec()
    remove = spec.remove or None
    if remove is not None:
        try:
            re.compile(remove)
        except re.error as error:
            raise UnusableInput(
                where, f"tokens.remove: `{remove}` is not a regular expression: {error}"
            ) from error
    return Tokenization(spec.split or "whitespace", bool(spec.lowercase), remove)


def _padding(mapping: Mapping, layers: tuple[Layer, ...], where: str) -> Padding | None:
    if mapping.padding is UNSET or mapping.padding is None:
        return None
    spec = mapping.padding
    padding = Padding(spec.side or "pre", spec.length or 0, spec.value or 0, bool(spec.masked))
    first = layers[0]
    if padding.length < 0:
        raise UnusableInput(where, f"padding.length: found {padding.length}; expected 0 or more")
    if isinstance(first, Embedding):
        rows = len(first.weights)
        if padding.value != int(padding.value) or not 0 <= padding.value < rows:
            raise UnusableInput(
                where,
                f"padding.value: found {padding.value}; expected a token id from 0 to {rows - 1}",
            )
    return padding
