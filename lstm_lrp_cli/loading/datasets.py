"""Reading the datasets that a mapping names, every number checked."""

from typing import Any

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.mapping import Bias, Weight
from lstm_lrp_cli.loading.weight_file import WeightFile, shape_text
from lstm_lrp_cli.model.arrays import Floats

# The keys of a mapping whose values name datasets, in every kind of layer.
DATASET_KEYS = frozenset(
    {
        *("weights", "bias", "input", "recurrent", "combined", "projection"),
        *("hidden", "cell"),
        *("mean", "variance", "scale", "offset"),
    }
)


class Datasets(Struct, frozen=True):
    """Reads the datasets that a mapping names, in the precision of the run, and notes which."""

    file: WeightFile
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
        where = self.where(name)
        if array.dtype.kind not in "fiu":
            raise UnusableInput(where, f"holds {array.dtype} elements; expected floats")
        if array.ndim != dimensions or not array.size:
            raise UnusableInput(
                where,
                f"({key}) has shape {shape_text(array.shape)}; "
                f"expected {'a vector' if dimensions == 1 else 'a matrix'}",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            numbers: Floats = array.astype(self.dtype)
        wrong = np.argwhere(~np.isfinite(numbers))
        if len(wrong):
            at = tuple(wrong[0].tolist())
            raise UnusableInput(
                where,
                f"holds {len(wrong):,} value{'s' * (len(wrong) > 1)} that "
                f"{'are' if len(wrong) > 1 else 'is'} not finite in {self.dtype}, the first is "
                f"{array[at]} at {list(at)}; expected numbers: was the training diverging?",
            )
        return numbers

    def where(self, name: str) -> str:
        return f"{self.file.path}: dataset `{name}`"

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
