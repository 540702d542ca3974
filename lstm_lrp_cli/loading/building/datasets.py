"""Reading the datasets that a mapping names, every number checked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import ArrayFile, Stored, shape_text
from lstm_lrp_cli.loading.mapping import Bias, DenseSpec, Weight
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.layers import Dense

# The keys of a mapping whose values name datasets, in every kind of layer.
DATASET_KEYS = frozenset(
    {
        *("weights", "bias", "input", "recurrent", "combined", "projection"),
        *("hidden", "cell"),
        *("mean", "variance", "scale", "offset"),
    }
)


# What training keeps beside the weights, by a part of its name: an optimizer's state, losses.
OF_TRAINING = re.compile(
    r"optim|schedul|loss|criterion|metric|seed_generator|grad_scaler|amp_scaler|callback|iteration"
)
# What TensorFlow 1 calls an optimizer's slots and its averages, behind the weight's own name.
SLOT = re.compile(
    r"/(adam|adamax|rmsprop|momentum|adagrad|adadelta|ftrl\w*|exponential\w*)(_\d+)?$"
)
LONGEST_LIST = 12


class Datasets(Struct, frozen=True):
    """Reads the datasets that a mapping names, in the precision of the run, and notes which."""

    file: ArrayFile
    dtype: np.dtype[np.floating[Any]]
    mapping_name: str
    used: set[str] = field(default_factory=set)
    _checked: dict[tuple[str, int], Floats] = field(default_factory=dict)

    def read(self, name: str, key: str, dimensions: int) -> Floats:
        """Read an array of numbers with so many dimensions, all finite; once, however often."""
        if (name, dimensions) not in self._checked:
            self._checked[name, dimensions] = self._read(name, key, dimensions)
        return self._checked[name, dimensions]

    def _read(self, name: str, key: str, dimensions: int) -> Floats:
        if name not in self.file.datasets:
            raise UnusableInput(
                str(self.file.path),
                f"there is no dataset `{name}`, which {key} in {self.mapping_name} names; "
                f"the file has {self._listing()}",
            )
        self.used.add(name)
        array = self.file.read(name)
        if array.dtype.kind not in "fiu":
            raise self.array_error([name], f"holds {array.dtype} elements; expected floats")
        if array.ndim != dimensions or not array.size:
            expected = "a vector" if dimensions == 1 else "a matrix"
            raise self.array_error(
                [name], f"({key}) has shape {shape_text(array.shape)}; expected {expected}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            numbers: Floats = array.astype(self.dtype)
        wrong = np.argwhere(~np.isfinite(numbers))
        if len(wrong):
            at = tuple(wrong[0].tolist())
            raise self.array_error(
                [name],
                f"holds {len(wrong):,} value{'s' * (len(wrong) > 1)} that "
                f"{'are' if len(wrong) > 1 else 'is'} not finite in {self.dtype}, the first is "
                f"{array[at]} at {list(at)}; expected numbers: was the training diverging?",
            )
        return numbers

    def array_error(self, names: Sequence[str], problem: str) -> UnusableInput:
        """The error about datasets, of which several make one array."""
        return UnusableInput(self.file.where(f"dataset `{' + '.join(names)}`"), problem)

    def mapping_error(self, problem: str) -> UnusableInput:
        """The error about what the mapping says."""
        return UnusableInput(self.mapping_name, problem)

    def _listing(self) -> str:
        names = sorted(self.file.datasets)
        return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def dataset_names(reference: Weight | Bias) -> list[str]:
    """All datasets that a weight or bias of a mapping names."""
    match reference:
        case None:
            return []
        case str():
            return [reference]
        case dict():
            return list(reference.values())
        case _:
            return [name for part in reference for name in dataset_names(part)]


def named_datasets(spec: Any) -> list[str]:
    """All datasets that the settings of a layer name, in the order of its keys."""
    if not isinstance(spec, Struct):
        return []
    names = []
    for key in spec.__struct_fields__:
        value = getattr(spec, key)
        if isinstance(value, Struct):
            names += named_datasets(value)
        elif key in DATASET_KEYS:
            names += dataset_names(value)
    return names


def unused_weights(
    datasets: Mapping[str, Stored], used: set[str], told: Sequence[str]
) -> list[str]:
    """The datasets that may be weights of a layer and that no layer uses.

    Single numbers, whole numbers and texts are none, and neither is what training keeps.

    Parameters
    ----------
    datasets : mapping of str to Stored
        All that the file holds.
    used : set of str
        Those that a part of the model came from.
    told : sequence of str
        Names, or patterns such as `decoder.*`, of those that the mapping says no layer uses.
    """
    return [
        name
        for name, stored in datasets.items()
        if name not in used
        and stored.shape
        and stored.dtype.startswith(("float", "bfloat"))
        and not _is_of_training(name.lower())
        # Beside the state dict that is read, a checkpoint may keep the same once more.
        and name.rsplit("/", 1)[-1] not in used
        and not any(_is_meant(name, each) for each in told)
    ]


def _is_meant(name: str, pattern: str) -> bool:
    """Whether a name is a pattern's; only `*` stands for others, since names have brackets."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def _is_of_training(name: str) -> bool:
    return bool(OF_TRAINING.search(name) or SLOT.search(name))


def listed(names: Sequence[str]) -> str:
    """Names in a sentence; the first few of many."""
    more = len(names) - LONGEST_LIST
    return ", ".join(names[:LONGEST_LIST]) + (f" and {more} more" if more > 0 else "")


def build_dense(spec: DenseSpec, datasets: Datasets, key: str, inputs: int | None) -> Dense:
    """Build a dense layer that the layer before feeds with `inputs` features, where known."""
    names = [spec.weights] if isinstance(spec.weights, str) else spec.weights
    if not names:
        raise datasets.mapping_error(f"{key}.weights: names no dataset; expected one or more")
    parts = [datasets.read(name, f"{key}.weights", 2) for name in names]
    layout = spec.layout or _dense_layout(parts, inputs)
    if layout is None:
        raise datasets.mapping_error(
            f"{key}: `layout` is missing and the shapes leave it open; "
            "set it to classes_by_features (as in PyTorch) or features_by_classes (as in Keras)"
        )
    oriented = parts if layout == "classes_by_features" else [part.T for part in parts]
    if len({part.shape[0] for part in oriented}) > 1:
        raise datasets.array_error(
            names, f"the matrices have different numbers of outputs under layout {layout}"
        )
    weights = np.ascontiguousarray(np.concatenate(oriented, axis=1))
    outputs, found = weights.shape
    if inputs is not None and found != inputs:
        other = "features_by_classes" if layout == "classes_by_features" else "classes_by_features"
        mend = f"; set `layout: {other}`" if _dense_layout(parts, inputs) == other else ""
        raise datasets.array_error(
            names,
            f"({key}.weights, layout {layout}) takes {found} features, "
            f"the layer before gives {inputs}{mend}",
        )
    bias: Floats | None = None
    for name in dataset_names(spec.bias):
        part = datasets.read(name, f"{key}.bias", 1)
        if len(part) != outputs:
            raise datasets.array_error(
                [name],
                f"({key}.bias) has {len(part)} values; expected {outputs}, one a class or unit",
            )
        bias = part if bias is None else bias + part
    return Dense(weights, bias)


def build_vector(
    name: str, bias: str | None, datasets: Datasets, key: str, inputs: int | None
) -> Dense:
    """Build a dense layer of one output from a vector, or a matrix of one row or column."""
    stored = datasets.file.datasets.get(name)
    dimensions = 2 if stored is not None and len(stored.shape) == 2 else 1
    vector = datasets.read(name, f"{key}.weights", dimensions)
    if vector.size != max(vector.shape) or (inputs is not None and vector.size != inputs):
        expected = "a vector" if inputs is None else f"a vector of {inputs}"
        raise datasets.array_error(
            [name],
            f"({key}.weights) has shape {shape_text(vector.shape)}; expected {expected}, one "
            "number a unit of what is weighed",
        )
    offset = None
    if bias is not None:
        offset = datasets.read(bias, f"{key}.bias", 1)
        if len(offset) != 1:
            problem = f"({key}.bias) has {len(offset)} values; expected 1"
            raise datasets.array_error([bias], problem)
    return Dense(vector.reshape(1, -1), offset)


def _dense_layout(parts: list[Floats], inputs: int | None) -> str | None:
    """The layout that the shapes alone allow; None where they allow both or neither."""
    if inputs is None:
        return None
    fits_rows = sum(part.shape[0] for part in parts) == inputs
    fits_columns = sum(part.shape[1] for part in parts) == inputs
    if fits_rows == fits_columns:
        return None
    return "classes_by_features" if fits_columns else "features_by_classes"
