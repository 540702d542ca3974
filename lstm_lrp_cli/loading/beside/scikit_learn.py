"""What scikit-learn's scalers and encoders hold, as pickle or joblib wrote them; none of it is run.

Of each class a few attributes are read, which versions since 0.20 name alike. A scaler comes to the
same operations in the same order, so that its numbers are the same to the last digit.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.files import damaged
from lstm_lrp_cli.loading.pickles.files import Pickled, read_pickle_file
from lstm_lrp_cli.loading.pickles.numpy import PickledArray
from lstm_lrp_cli.loading.pickles.values import Foreign, Made
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.scaling import ScalingStep

PIPELINE = "Pipeline"
# What a step of a pipeline is that does nothing.
NO_STEP = (None, "passthrough")
LONGEST_NAME = 200

Attributes = dict[Any, Any]


class Scaler(Struct, frozen=True):
    """What a fitted scaler does to each row.

    Parameters
    ----------
    steps : tuple of ScalingStep
        One after the other; arrays of one number are the same for every column.
    size : int or None
        How many columns it was fitted to; None where it does not say.
    features : tuple of str or None
        What those are called, where it was fitted to a table.
    """

    steps: tuple[ScalingStep, ...]
    size: int | None
    features: tuple[str, ...] | None


def read_scaler(path: Path) -> Scaler:
    """Read a scaler, or a pipeline of some.

    Raises
    ------
    UnusableInput
        The file holds something else, which is named, or a scaler that was not fitted.
    """
    what = f"scikit-learn's {', '.join(SCALERS)} or a Pipeline of these"
    mend = "say what it does by {minus: [..], divide: [..]}"
    known = {**SCALERS, PIPELINE: None}
    found = _found(read_pickle_file(path, what), str(path), known, (what, mend))
    with _unfitted(path, found):
        parts = [found]
        if found.kind.name == PIPELINE:
            parts = [step for _, step in found.attributes["steps"] if step not in NO_STEP]
        if any(not isinstance(part, Made) or part.kind.name not in SCALERS for part in parts):
            raise ValueError("its steps are not scalers alone")
        steps = tuple(SCALERS[part.kind.name](part.attributes) for part in parts)
        sizes = {len(array) for step in steps for array in (step.minus, step.divide)} - {1}
        counts = (part.attributes.get("n_features_in_") for part in (found, *parts))
        sizes |= {count for count in counts if type(count) is int}
        if len(sizes) > 1:
            raise ValueError(f"its arrays are of {' and '.join(map(str, sorted(sizes)))} columns")
        size = next(iter(sizes), None)
        return Scaler(steps, size, _names(parts, size))


def encoded_labels(read: Pickled, path: Path) -> list[Any]:
    """The labels of an encoder, in the order of the numbers that it makes of them.

    Parameters
    ----------
    read : Pickled
        What `read_pickle_file` found.

    Raises
    ------
    UnusableInput
        It is something else, which is named, or was not fitted.
    """
    what = f"scikit-learn's {', '.join(ENCODERS)}, or a list of labels"
    found = _found(read, str(path), ENCODERS, (what, "list the labels themselves"))
    with _unfitted(path, found):
        labels = ENCODERS[found.kind.name](found.attributes)
    if isinstance(labels, str):
        raise UnusableInput(
            str(path), f"is a {public(found)} that {labels}; list the labels themselves"
        )
    return labels


def public(value: Any) -> str:
    """What a class is called where it is used, or the type of a plain value."""
    if isinstance(value, Made):
        value = value.kind
    if not isinstance(value, Foreign):
        return "NumPy array" if isinstance(value, PickledArray) else type(value).__name__
    parts = [part for part in value.module.split(".") if not part.startswith("_")]
    name = ".".join([*parts, value.name])
    shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    return "".join(each if each.isprintable() else "?" for each in shown)


def _found(read: Pickled, where: str, known: Mapping[str, Any], expected: tuple[str, str]) -> Made:
    """The object that a file holds, of one of some classes, and nothing beside it to be run."""
    value, (what, mend) = read.value, expected
    if isinstance(value, dict | list | tuple):
        values = value.values() if isinstance(value, dict) else value
        held = [each for each in values if isinstance(each, Made)]
        if held:
            raise UnusableInput(
                where,
                f"is a pickled {public(value)} of {', '.join(map(public, held[:6]))}; expected "
                "one of them: save each in a file of its own",
            )
    if not isinstance(value, Made) or not _is_one(value.kind, known):
        raise UnusableInput(where, f"is a pickled {public(value)}; expected {what}; or {mend}")
    for other in read.asked:
        if not _is_one(other, known):
            raise UnusableInput(
                where,
                f"is a pickled {public(value)} that asks for {public(other)}, which is not run; "
                f"expected {what}; or {mend}",
            )
    return value


def _is_one(kind: Foreign, known: Mapping[str, Any]) -> bool:
    home = "sklearn.pipeline" if kind.name == PIPELINE else "sklearn.preprocessing"
    return kind.name in known and f"{kind.module}.".startswith(f"{home}.")


def _unfitted(path: Path, found: Made) -> AbstractContextManager[None]:
    return damaged(
        str(path),
        lambda error: (
            f"is a {public(found)} that was not fitted, or is damaged "
            f"({type(error).__name__}: {error}); fit it and save it again"
        ),
        *(KeyError, ValueError, TypeError, AttributeError),
    )


def _numbers(attributes: Attributes, name: str) -> Floats:
    """One number a column."""
    held = attributes[name]
    if not isinstance(held, PickledArray):
        raise ValueError(f"{name} is no array")
    found = held.array()
    if found.ndim != 1 or not found.size or found.dtype.kind not in "fiu":
        raise ValueError(f"{name} is not one number a column")
    numbers: Floats = found.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} has a number that is not finite")
    return numbers


def _divisors(attributes: Attributes, name: str) -> Floats:
    numbers = _numbers(attributes, name)
    if not numbers.all():
        raise ValueError(f"{name} has a 0")
    return numbers


def _clip(attributes: Attributes, limits: Any) -> tuple[float, float] | None:
    """Between which numbers what is made is kept; versions before 0.24 keep it nowhere."""
    if not attributes.get("clip", False):
        return None
    least, most = map(float, limits)
    if not least < most:
        raise ValueError("what it is clipped to is no range")
    return least, most


def _centred(minus: str, takes: str, divides: str) -> Callable[[Attributes], ScalingStep]:
    """What takes something away and divides, each where it was told to."""

    def step(attributes: Attributes) -> ScalingStep:
        return ScalingStep(
            _numbers(attributes, minus) if attributes[takes] else np.zeros(1),
            _divisors(attributes, "scale_") if attributes[divides] else np.ones(1),
        )

    return step


def _min_max(attributes: Attributes) -> ScalingStep:
    """What multiplies and adds, and may clip."""
    return ScalingStep(
        _numbers(attributes, "min_"),
        _divisors(attributes, "scale_"),
        invert=True,
        clip=_clip(attributes, attributes["feature_range"]),
    )


def _max_abs(attributes: Attributes) -> ScalingStep:
    clip = _clip(attributes, (-1.0, 1.0))
    return ScalingStep(np.zeros(1), _divisors(attributes, "scale_"), clip=clip)


SCALERS: dict[str, Callable[[Attributes], ScalingStep]] = {
    "StandardScaler": _centred("mean_", "with_mean", "with_std"),
    "MinMaxScaler": _min_max,
    "RobustScaler": _centred("center_", "with_centering", "with_scaling"),
    "MaxAbsScaler": _max_abs,
}


def _names(parts: list[Made], size: int | None) -> tuple[str, ...] | None:
    """What the columns are called, by who saw the table first."""
    held = parts[0].attributes.get("feature_names_in_") if parts else None
    if not isinstance(held, PickledArray):
        return None
    names = held.values()
    if len(names) != size or not all(isinstance(name, str) for name in names):
        raise ValueError("feature_names_in_ are not as many texts as there are columns")
    return tuple(names)


def _classes(attributes: Attributes) -> list[Any]:
    held = attributes["classes_"]
    if not isinstance(held, PickledArray):
        raise ValueError("classes_ is no array")
    return held.values()


def _categories(attributes: Attributes) -> list[Any] | str:
    """Those of the only column, all of which have an output; else why they are no labels."""
    columns = attributes["categories_"]
    if not isinstance(columns, list):
        raise ValueError("categories_ is no list")
    if len(columns) != 1:
        return f"was fitted to {len(columns)} columns, and not to that of the labels alone"
    if attributes.get("drop") is not None or attributes.get("_infrequent_enabled", False):
        return "leaves categories out (drop, min_frequency, max_categories)"
    return _classes({"classes_": columns[0]})


ENCODERS: dict[str, Callable[[Attributes], list[Any] | str]] = {
    "LabelEncoder": _classes,
    "OneHotEncoder": _categories,
    "LabelBinarizer": _classes,
    "MultiLabelBinarizer": _classes,
}
