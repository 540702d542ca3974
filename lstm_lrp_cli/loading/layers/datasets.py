"""Reading the datasets that a mapping names, every number checked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct, field

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import (
    ArrayFile,
    Stored,
    check_shape,
    check_size,
    claimed_bytes,
    shape_text,
)
from lstm_lrp_cli.model import Floats

GateNames = dict[str, str]
# What a mapping may name as a weight: one dataset, several that are joined, or one a gate.
Weight = str | list[str] | GateNames
Bias = str | list[str | GateNames] | GateNames | None
# A dataset, or the numbers themselves: one for all units, or one a unit.
Numbers = str | float | list[float]

# What training keeps beside the weights, by a part of its name: an optimizer's state, losses.
OF_TRAINING = re.compile(
    r"optim|schedul|loss|criterion|metric|seed_generator|grad_scaler|amp_scaler|callback|iteration"
    r"|(^|/)opt(_state(_dict)?)?/"  # beside a state dict
)
# What TensorFlow 1 calls an optimizer's slots and its averages, behind the weight's own name.
SLOT = re.compile(
    r"/(adam|adamax|rmsprop|momentum|adagrad|adadelta|ftrl\w*|exponential\w*)(_\d+)?$"
)
LONGEST_LIST = 12
# What all that was read takes.
ALL = "all"


class Datasets(Struct, frozen=True):
    """Reads the datasets that a mapping names, in the precision of the run, and notes which."""

    file: ArrayFile
    dtype: np.dtype[np.floating[Any]]
    mapping_name: str
    used: set[str] = field(default_factory=set)
    _checked: dict[tuple[str, int], Floats] = field(default_factory=dict)
    _claimed: dict[str, int] = field(default_factory=dict)

    def read(self, name: str, key: str, dimensions: int, *, flat: bool = False) -> Floats:
        """Read an array of numbers with so many dimensions, all finite; once, however often.

        Parameters
        ----------
        flat : bool
            Whether it may have one more or one less, and is then laid out in one.
        """
        if flat:
            stored = self.file.datasets.get(name)
            given = dimensions if stored is None else len(stored.shape)
            return self.read(name, key, min(given, 2)).reshape(-1)
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
        self._claim(name)
        self.used.add(name)
        array = self.file.read(name)
        if array.dtype.kind not in "fiu":
            raise self.array_error([name], f"holds {array.dtype} elements; expected floats")
        if array.ndim != dimensions or not array.size:
            names = ("a number", "a vector", "a matrix")
            expected = names[dimensions] if dimensions < 3 else f"{dimensions} dimensions"
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

    def _claim(self, name: str) -> None:
        """Refuse an array of no real shape, and what all take together in the run's precision.

        Each alone may unfold to more than the file has; a hundred of them no honest file has.
        What weights of float32 take as float64 is not the file's claim: an embedding that is
        mostly zeros is honest.
        """
        stored, where = self.file.datasets[name], self.file.where(name)
        if stored.dtype.startswith(("float", "bfloat", "int", "uint")):
            total = self._claimed.get(ALL, 0)
            if name not in self.used:
                total += claimed_bytes(stored.shape, self.dtype.itemsize)
            widened = self.dtype.itemsize // 4
            check_size(where, (total,), 1, self.file.size, " with the others", widened)
            self._claimed[ALL] = total  # what is refused takes nothing
        check_shape(where, stored.shape)

    def numbers(self, said: Numbers, key: str, size: int) -> Floats:
        """The numbers that a mapping gives or names, one for each of so many units, in float64.

        Raises
        ------
        UnusableInput
            They are not finite, or not as many.
        """
        if isinstance(said, str):
            stored = self.file.datasets.get(said)
            given = self.read(said, key, len(stored.shape) if stored else 1).ravel()
        else:
            given = np.array(said, dtype=np.float64).ravel()
        if len(given) not in (1, size):
            raise self.mapping_error(
                f"{key}: found {len(given)} numbers; expected {size}, one for each unit, or one"
            )
        if not np.isfinite(given).all():
            raise self.mapping_error(f"{key}: found a number that is not finite")
        spread: Floats = np.broadcast_to(given.astype(np.float64), size)
        return spread

    def array_error(self, names: Sequence[str], problem: str) -> UnusableInput:
        """The error about datasets, of which several make one array."""
        return UnusableInput(self.file.where(f"dataset `{' + '.join(names)}`"), problem)

    def mapping_error(self, problem: str) -> UnusableInput:
        """The error about what the mapping says."""
        return UnusableInput(self.mapping_name, problem)

    def _listing(self) -> str:
        names = sorted(self.file.datasets)
        return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def dataset_names(reference: Weight | Bias | Numbers) -> list[str]:
    """All datasets that a weight or bias of a mapping names."""
    match reference:
        case None:
            return []
        case str():
            return [reference]
        case float() | int():
            return []
        case dict():
            return list(reference.values())
        case _:
            return [name for part in reference for name in dataset_names(part)]


class Spec(Struct, frozen=True):
    """The settings of a layer in a mapping, or of a part of it.

    Attributes
    ----------
    named : tuple of str
        The keys whose values name datasets.
    """

    named: ClassVar[tuple[str, ...]] = ()


def named_datasets(spec: Any) -> list[str]:
    """All datasets that the settings of a layer name, in the order of its keys."""
    if isinstance(spec, list):
        return [name for each in spec for name in named_datasets(each)]
    if not isinstance(spec, Struct):
        return []
    names: list[str] = []
    for key in spec.__struct_fields__:
        value = getattr(spec, key)
        if isinstance(spec, Spec) and key in spec.named:
            names += dataset_names(value)
        else:
            names += named_datasets(value)
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
