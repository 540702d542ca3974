"""Loading a model: the weight file, what it says of itself, and the mapping, which wins."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import UNSET, Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import HALVES, UnusableInput, reading
from lstm_lrp_cli.model.layers import Layer
from lstm_lrp_cli.model.model import Head, Input, Model
from lstm_lrp_cli.model.text import Tokenization
from .building import build_graph
from .files import ArrayFile, Stored, shape_text
from .files.formats import EXPORT
from .inputs import input_specs, stateful_batch, taken
from .layers.datasets import Datasets, listed, unused_weights
from .mapping import NO_CLASS, Assumption, Described, Mapping
from .mapping.given import read_mapping
from .opening import describe, draft_of, open_arrays
from .outputs import output_scaling, predicting_values

if TYPE_CHECKING:  # else imported where weights alone are read
    from .mapping.draft import Draft


class Contents(Struct, frozen=True):
    """What a weight file and its mapping say, before any weight is read.

    Parameters
    ----------
    path : Path
    format : str
    mapping_path : Path or None
        The mapping that was used, given or found beside the model.
    described : Described
        The whole mapping, inferred and given, with the origin of each key.
    datasets : dict
        Everything that the weight file holds.
    given : frozenset of str
        The mapping's keys that are the user's word, and not inferred.
    said_by : str
        What else than that mapping they are from, such as `--set`.
    files : tuple of Path
        All that the weights and what they say of themselves were read from.
    """

    path: Path
    format: str
    mapping_path: Path | None
    described: Described
    datasets: dict[str, Stored]
    given: frozenset[str] = frozenset()
    said_by: str = ""
    files: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """What the mapping's paths are relative to."""
        return (self.mapping_path or self.path).parent

    @property
    def mapping_name(self) -> str:
        """What errors about the mapping name: its file, or else the file that implied it."""
        return " with ".join(filter(None, [str(self.mapping_path or self.path), self.said_by]))


class LoadedModel(Struct, frozen=True):
    """A model, and how it was read.

    Parameters
    ----------
    model : Model
    contents : Contents
    built : tuple of Layer
        What each entry of the mapping's `layers` became.
    unused : tuple of str
        The datasets that no part of the model came from.
    unused_weights : tuple of str
        Those of them that may be weights of a layer, and of which the mapping does not say no.
    words_in_file : frozenset of str
        The vocabularies that the weight file itself holds.
    """

    model: Model
    contents: Contents
    built: tuple[Layer, ...]
    unused: tuple[str, ...]
    unused_weights: tuple[str, ...]
    words_in_file: frozenset[str] = frozenset()

    @property
    def assumptions(self) -> list[str]:
        """What was taken for granted, since neither the file nor the mapping says it."""
        return list(self.model.assumptions)

    @property
    def warnings(self) -> list[str]:
        """What every command that computes should tell before its numbers are believed."""
        return self.model.warnings


def load_model(
    path: Path,
    mapping_path: Path | None,
    dtype: np.dtype[Any],
    assume: bool = False,
    said: Described | None = None,
) -> LoadedModel:
    """Load a model.

    Parameters
    ----------
    path : Path
        The weight file.
    mapping_path : Path or None
        The mapping; where there is none, `model.yaml` beside `model.h5` is used if it exists.
    dtype : numpy.dtype
        The precision of the run.
    assume : bool
        Whether the likeliest model is taken where more than one could be meant.
    said : Described or None
        What the user says besides, which wins over the mapping key by key.

    Raises
    ------
    UnusableInput
    """
    with reading(str(path)), open_arrays(path) as file:
        contents = describe_contents(file, mapping_path, assume, said)
        if contents.described.mapping.layers is UNSET:
            shapes = [f"{name} {shape_text(s.shape)}" for name, s in contents.datasets.items()]
            more = f" and {len(shapes) - 8} more" if len(shapes) > 8 else ""
            held = "; ".join(shapes[:8])
            raise UnusableInput(str(path), f"{ask_for_layers(contents)}. It holds {held}{more}")
        with reading(contents.mapping_name):
            return build_model(contents, Datasets(file, np.dtype(dtype), contents.mapping_name))


def build_model(contents: Contents, datasets: Datasets) -> LoadedModel:
    """Build the model that a file's contents describe.

    Parameters
    ----------
    contents : Contents
        Its mapping has `layers`.
    datasets : Datasets
        Reads the file, in the precision of the model.

    Raises
    ------
    UnusableInput
    """
    mapping, where = contents.described.mapping, contents.mapping_name
    stateful = stateful_batch(mapping, where)
    model, built = build_graph(
        mapping.layers or [],
        mapping.outputs or None,
        mapping.task or "classification",
        datasets,
        inputs=mapping.inputs or (),
        stateful=stateful is not None,
    )
    contents = _with_task(contents, model.heads)
    described, mapping = contents.described, contents.described.mapping
    specs = input_specs(mapping, model.inputs, where)
    given = [
        taken(each, spec, contents.folder, datasets, where)
        for each, spec in zip(model.inputs, specs, strict=True)
    ]
    contents = _with_words(contents, given)
    model = replace(
        model,
        regression=mapping.task == "regression",
        undecided=mapping.task == "unknown",
        inputs=tuple(given),
        stateful=stateful,
        source=contents.path,
    )
    model = replace(model, labels=_labels(contents, model, datasets))
    model = replace(model, output_scaling=output_scaling(mapping, model, datasets, where))
    contents = _with_features(contents, given)
    words = [spec.vocabulary for spec in specs if isinstance(spec.vocabulary, str)]
    used = {*datasets.used, *words}
    weights = tuple(unused_weights(contents.datasets, used, mapping.unused or []))
    assumptions = [*described.assumptions]
    if weights and not described.is_followed:
        text = f"weights that no layer uses are no part of the model: {listed(weights)}"
        assumptions.append(Assumption("unused", text))
    model = replace(model, assumptions=tuple(map(str, assumptions)))
    return LoadedModel(
        model,
        contents,
        built,
        tuple(sorted(set(contents.datasets) - used)),
        weights,
        words_in_file=frozenset(
            name for name in words if name in {*datasets.file.datasets, *datasets.file.documents}
        ),
    )


def _with_words(contents: Contents, given: Sequence[Input]) -> Contents:
    """What a file is, with what the vocabulary of its only input says itself, and where."""
    mapping, name = contents.described.mapping, contents.described.mapping.vocabulary
    if len(given) > 1 or mapping.inputs or not isinstance(name, str):
        return contents
    [read], origins = given, contents.described.origins
    said = {"tokens": read.tokenization != Tokenization(), "padding": read.padding is not None}
    told = {key: name for key, is_said in said.items() if is_said and key not in origins}
    described = msgspec.structs.replace(contents.described, origins=told | origins)
    return msgspec.structs.replace(contents, described=described)


def _with_features(contents: Contents, inputs: Sequence[Input]) -> Contents:
    """What a file is, with where the names of columns are from that a scaler's file has."""
    described = contents.described
    if "features" in described.origins or not any(each.features for each in inputs):
        return contents
    source = described.origins.get("scaling", "inputs")
    origins = described.origins | {"features": f"scaling from {source}"}
    described = msgspec.structs.replace(described, origins=origins)
    return msgspec.structs.replace(contents, described=described)


def _with_task(contents: Contents, heads: Sequence[Head]) -> Contents:
    """What a file is, with what its scores are taken for where nobody says it.

    Without a softmax or sigmoid they may be those of classes, or predicted values. Several are
    mostly of classes; a single one is as often a value. Who describes layers describes a classifier
    unless they say otherwise, and labels are the names of classes.
    """
    described = contents.described
    mapping, origins, assumptions = described.mapping, described.origins, described.assumptions
    says_classes = bool(mapping.labels) or "layers" in contents.given
    if mapping.task == "unknown" and says_classes and "task" not in contents.given:
        mapping = msgspec.structs.replace(mapping, task=UNSET)
        origins = {key: origin for key, origin in origins.items() if key != "task"}
    elif mapping.task is UNSET and not says_classes:
        sizes = [head.size for head in heads if head.activation == "linear"]
        if len(heads) == 1 and sizes == [1]:
            mapping = msgspec.structs.replace(mapping, task="unknown")
            assumptions = (*assumptions, NO_CLASS)
        elif max(sizes, default=1) > 1:
            text = f"its {max(sizes)} scores are of classes, of which the highest is predicted"
            assumptions = (*assumptions, Assumption("task or labels", text))
    if mapping.task != "classification" and not says_classes and "task" not in contents.given:
        # Of labels of which several may hold at once, none need be the class.
        for size in (head.size for head in heads if head.activation == "sigmoid" and head.size > 1):
            text = f"of its {size} scores, each with a sigmoid, the highest is the predicted class"
            assumptions = (*assumptions, Assumption("task or labels", text))
    described = msgspec.structs.replace(
        described, mapping=mapping, origins=origins, assumptions=assumptions
    )
    return msgspec.structs.replace(contents, described=described)


def read_contents(
    path: Path,
    mapping_path: Path | None,
    assume: bool = False,
    said: Described | None = None,
    undescribed: Callable[[Contents], None] | None = None,
) -> Contents:
    """Read what a weight file holds and what is known of it, whether or not that makes a model.

    `undescribed` is given what the file holds where what it says of its architecture is refused.
    """
    with reading(str(path)), open_arrays(path) as file:
        try:
            return describe_contents(file, mapping_path, assume, said)
        except Exception:
            if undescribed is not None:
                held = (Described(Mapping(), {}), dict(file.datasets))
                undescribed(Contents(path, file.format, None, *held, files=file.files))
            raise


def ask_for_layers(contents: Contents) -> str:
    """What to do where neither file nor mapping says the architecture."""
    if contents.mapping_path:
        return f"the file does not say its architecture; add `layers` to {contents.mapping_path}"
    name = contents.path.with_suffix(".yaml").name
    saves_all = ""
    if contents.format in ("PyTorch", "safetensors"):
        saves_all = f". Where its code is at hand, {EXPORT} saves all"
    return (
        f"the file does not say its architecture; describe it in {name} or by --mapping{saves_all}"
    )


def describe_contents(
    file: ArrayFile, mapping_path: Path | None, assume: bool = False, said: Described | None = None
) -> Contents:
    """What an open file holds, and the mapping of it, inferred and given."""
    mapping_path, given = _given(file, mapping_path, said)
    says_layers = given.mapping.layers is not UNSET
    try:
        # What the mapping says is not asked: the rest of what is inferred stays, as a vocabulary.
        inferred = describe(file, assume or says_layers)
    except UnusableInput:
        if not says_layers:
            raise
        inferred = None  # the mapping wins over an architecture that is refused
    return _contents(file, mapping_path, (inferred, given), said)


def drafted_contents(
    file: ArrayFile, mapping_path: Path | None, said: Described | None = None
) -> tuple[Contents, "Draft | None"]:
    """What an open file holds, its mapping, and a draft where nobody says its layers.

    The layers of the mapping are the draft's likeliest, whatever is open of them.
    """
    given_path, given = _given(file, mapping_path, said)
    draft = draft_of(file) if given.mapping.layers is UNSET else None
    if draft is None:
        return describe_contents(file, mapping_path, assume=True, said=said), None
    return _contents(file, given_path, (draft.described(file.path), given), said), draft


def _given(
    file: ArrayFile, mapping_path: Path | None, said: Described | None
) -> tuple[Path | None, Described]:
    """The user's mapping, named or beside the file, and what is said besides."""
    mapping_path = mapping_path or _beside(file.path)
    given = Described(Mapping(), {})
    if mapping_path is not None:
        with reading(str(mapping_path)):
            given = Described.by(read_mapping(mapping_path), mapping_path.name)
    return mapping_path, given if said is None else given.overridden_by(said)


def _contents(
    file: ArrayFile,
    mapping_path: Path | None,
    both: tuple[Described | None, Described],
    said: Described | None,
) -> Contents:
    """What an open file holds, by what is inferred of it and what is given."""
    inferred, given = both
    described = (inferred or Described(Mapping(), {})).overridden_by(given)
    own = frozenset(given.origins)
    described = predicting_values(described, own)
    said_by = "" if said is None else next(iter(said.origins.values()), "")
    of_file = (file.path, file.format, mapping_path, described, dict(file.datasets))
    return Contents(*of_file, own, said_by, file.files)


def _beside(path: Path) -> Path | None:
    """The mapping that stands beside a model under the same name."""
    candidates = (path.with_suffix(suffix) for suffix in (".yaml", ".yml"))
    return next((each for each in candidates if each.is_file()), None)


def _labels(contents: Contents, model: Model, datasets: Datasets) -> tuple[str, ...] | None:
    """The names of all targets; of two classes of one score, of both or of class 1 alone."""
    said, where = contents.described.mapping.labels, contents.mapping_name
    if said is UNSET or said is None:
        return None
    if isinstance(said, str):
        where, labels = _named_labels(said, contents.folder, datasets)
    else:
        labels = tuple(map(str, said))
    if any(map(HALVES.search, labels)):
        raise UnusableInput(where, "labels: found half a surrogate pair, which is no character")
    if len(labels) not in (model.classes, model.targets):
        expected = f"{model.classes}, one for each output"
        if model.binary:
            expected = "2, of classes 0 and 1, or 1, of class 1 alone"
        raise UnusableInput(where, f"labels: found {len(labels)}; expected {expected}")
    names = labels if len(labels) == model.targets else ("0", *labels)
    if len(set(names)) < len(names):
        raise UnusableInput(where, f"labels: [{', '.join(labels)}] names a class twice")
    return labels


def _named_labels(name: str, folder: Path, datasets: Datasets) -> tuple[str, tuple[str, ...]]:
    """The labels of a dataset of the weight file, or of a file beside it; and what that is."""
    from .beside.labels import labels_of, read_labels  # where a mapping names some

    file = datasets.file
    where = f"{file.path}: {name}"
    if name in file.datasets:
        datasets.used.add(name)
        return where, tuple(labels_of(file.read(name).ravel().tolist(), where))
    if name in file.documents:
        return where, tuple(labels_of(file.documents[name], where))
    return str(folder / name), tuple(read_labels(folder / name))
