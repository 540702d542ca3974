"""What a mapping says was done to numbers, by itself or by a scaler's file, as a `Scaling`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.scaling import Scaling, ScalingStep
from .layers.datasets import Datasets
from .mapping import Scalings, ScalingSpec, scalings

# What a deviation is at least, as in Keras: a feature that does not vary is not divided by 0.
LEAST_DEVIATION = 1e-7


def scaled_in_order(
    specs: Sequence[ScalingSpec | None],
    size: int,
    datasets: Datasets,
    where: str,
    key: str,
    features: Sequence[str] = (),
) -> Scaling | None:
    """All scalings of a key of the mapping in one, but for those that are None.

    Parameters
    ----------
    size : int
        How many numbers are scaled.
    features : sequence of str
        What they are called, where the mapping says it: by these a scaler's columns are found.

    Raises
    ------
    UnusableInput
        Its numbers are not as many, or nothing can be divided by them.
    """
    steps: list[ScalingStep] = []
    for place, spec in enumerate(specs):
        if spec is not None:
            named = f"{key}[{place}]" if len(specs) > 1 else key
            if spec.file is None:
                steps.append(_step(spec, size, datasets, where, named))
            else:
                _check_alone(spec, where, named)
                steps += of_file(spec, size, named, features)[0]
    return Scaling(tuple(steps), datasets.dtype) if steps else None


def of_file(
    spec: ScalingSpec, size: int, key: str, features: Sequence[str] = ()
) -> tuple[list[ScalingStep], tuple[str, ...] | None]:
    """What the scaler of a file does to so many numbers, and what they are called if it says so.

    Parameters
    ----------
    spec : ScalingSpec
        Its `features` are the columns that are picked; else all, or those called `features`.

    Raises
    ------
    UnusableInput
        The file holds no scaler, or one of other columns.
    """
    from .beside.scikit_learn import read_scaler  # where a mapping names one

    assert spec.file is not None
    scaler = read_scaler(Path(spec.file))
    names, width = scaler.features, scaler.size
    picked: list[int] | None = None
    if spec.features is not None:
        picked = [_column(each, names, width, spec.file, key) for each in spec.features]
    elif names and features:
        picked = _columns_called(features, names, spec.file, key)
    count = width if picked is None else len(picked)
    if count not in (None, 1, size):
        held = f" ({', '.join(names[:12])})" if names and picked is None else ""
        raise UnusableInput(
            spec.file,
            f"scales {count} columns{held}, and {key} is of {size}; expected as many: pick them by "
            f"`{key}: {{file: .., features: [..]}}`, by name or number",
        )
    steps = [
        ScalingStep(
            _spread(each.minus, picked, size),
            _spread(each.divide, picked, size),
            each.invert,
            each.clip,
        )
        for each in scaler.steps
    ]
    if names is not None and picked is not None:
        names = tuple(names[k] for k in picked)
    return steps, names if names is not None and len(names) == size else None


def _columns_called(
    features: Sequence[str], names: Sequence[str], file: str, key: str
) -> list[int] | None:
    """Which of a scaler's columns have these names; None where none has, and their order counts."""
    missing = [each for each in features if each not in names]
    if len(missing) == len(features):
        return None
    if missing:
        raise UnusableInput(
            file,
            f"scales {', '.join(names[:12])}; {key} is of {', '.join(features[:12])}; expected the "
            f"same names, or `{key}: {{file: .., features: [..]}}` with the column of each",
        )
    return [names.index(each) for each in features]


def _spread(numbers: Floats, picked: Sequence[int] | None, size: int) -> Floats:
    """A scaler's numbers of the picked columns, one for each of so many."""
    some = numbers if picked is None or len(numbers) == 1 else numbers[list(picked)]
    return np.broadcast_to(some, size)


def _column(
    named: str | int, names: Sequence[str] | None, width: int | None, file: str, key: str
) -> int:
    """Which of a scaler's columns is meant."""
    if isinstance(named, str):
        if names is None or named not in names:
            held = "does not name its columns" if names is None else f"has {', '.join(names)}"
            raise UnusableInput(file, f"{held}; {key}.features asks for `{named}`")
        return names.index(named)
    if width is not None and not 0 <= named < width:
        problem = f"scales {width} columns, 0 to {width - 1}; {key}.features asks for {named}"
        raise UnusableInput(file, problem)
    return named


def _check_alone(spec: ScalingSpec, where: str, key: str) -> None:
    if spec != ScalingSpec(file=spec.file, features=spec.features):
        problem = f"{key}.file: says all that is done; expected nothing but features beside it"
        raise UnusableInput(where, problem)


def _step(spec: ScalingSpec, size: int, datasets: Datasets, where: str, key: str) -> ScalingStep:
    """What a mapping says itself."""
    divisor = spec.variance if spec.divide is None else spec.divide
    if divisor is None or None not in (spec.divide, spec.variance):
        raise UnusableInput(where, f"{key}: expected one of divide and variance")
    if spec.features is not None:
        raise UnusableInput(where, f"{key}.features: picks columns of a file; expected `file`")
    minus = datasets.numbers(spec.minus, f"{key}.minus", size)
    said = "variance" if spec.divide is None else "divide"
    divide = datasets.numbers(divisor, f"{key}.{said}", size)
    if spec.divide is None:
        if (divide < 0).any():
            problem = f"{key}.variance: found {divide.min()}; expected squares, which are positive"
            raise UnusableInput(where, problem)
        divide = np.maximum(np.sqrt(divide), LEAST_DEVIATION)
    if not divide.all():
        raise UnusableInput(where, f"{key}.divide: found 0; expected numbers to divide by")
    if spec.clip is not None and (spec.inside or not spec.clip[0] < spec.clip[1]):
        problem = "expected the least and the most, of a scaling that is not the model's own"
        raise UnusableInput(where, f"{key}.clip: found {list(spec.clip)}; {problem}")
    return ScalingStep(minus, divide, spec.invert, spec.clip)


def scaling_settings(scaling: Scaling, inside: bool = False) -> list[dict[str, Any]]:
    """A scaling as a mapping says it in numbers."""
    return [_step_settings(step, inside) for step in scaling.steps]


def _step_settings(step: ScalingStep, inside: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"minus": step.minus.tolist(), "divide": step.divide.tolist()}
    if step.invert:
        found["invert"] = True
    if step.clip is not None:
        found["clip"] = list(step.clip)
    return found | ({"inside": True} if inside else {})


def scalings_from(said: Scalings, folder: Path) -> list[Any]:
    """Scalings whose files are named as they are seen from a folder."""
    return [
        msgspec.to_builtins(
            each
            if each.file is None
            else replace(each, file=Path(os.path.relpath(each.file, folder)).as_posix())
        )
        for each in scalings(said)
    ]
