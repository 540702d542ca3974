"""What counts as no input at all, as users give it: values, a mean over sequences, or samples."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lstm_lrp_cli.engine.methods import ZERO, Baseline, InputBaseline
from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.inputs.stream import whole_number
from .groups import feature_number
from .samples import KEYWORD, MEAN, MadeBaseline, of_every_step, of_file, of_sequences

if TYPE_CHECKING:
    from lstm_lrp_cli.inputs.read import Source
    from lstm_lrp_cli.model import Floats
    from lstm_lrp_cli.model.model import Input, Model


def resolve_baseline(given: Any, model: Model, source: Source | None = None) -> Baseline:
    """What counts as no input, of what the command line or a program says.

    Parameters
    ----------
    given : str, number, dict, array, or iterable
        A text as docs/methods.md has it. A dict has a number for each of some features or, of
        several inputs, a baseline for each of some. Else sequences, as `sequences` takes them; an
        array (features,) is that of every step.
    model : Model
    source : Source or None
        How the user's input is written, as which files are read.

    Raises
    ------
    WrongUsage
        It is none that the model could be given.
    UnusableInput
        A file cannot be used.
    """
    if isinstance(given, Baseline):
        return given
    text = _text(given)
    if text == ZERO.name:
        return ZERO
    if not model.several_inputs:
        return _baseline(given, _of_value(given, model, source))
    named = given if isinstance(given, Mapping) else text and _by_input(text, model)
    if not named:
        made = of_sequences(given, model) if text is None else of_file(text, model, source)
        if made is not None:
            return _baseline(given, made)
        names = ", ".join(model.input_names)
        raise WrongUsage(
            f"{text!r} would be that of all inputs ({names}); of several, expected zero, a file "
            f"with all of them, or NAME=.. for some: {model.input_names[0]}=...",
            KEYWORD,
        )
    return _baseline(given, _of_inputs(named, model, source))


def _text(given: Any) -> str | None:
    """What is given as the command line has it; None of an array or a dict."""
    if isinstance(given, str):
        return given.strip()
    is_number = isinstance(given, int | float) or getattr(given, "shape", None) == ()
    return str(given) if is_number else None


def _by_input(text: str, model: Model) -> dict[str, str]:
    """What a text says of each of several inputs; nothing where it does not name the first."""
    found: dict[str, str] = {}
    for piece in text.split(";"):
        name, equals, value = (each.strip() for each in piece.partition("="))
        if not equals or name not in model.input_names:
            if not found:
                return {}
            listed = ", ".join(model.input_names)
            raise WrongUsage(f"{piece.strip()!r} names no input; expected {listed}.", KEYWORD)
        if name in found:
            raise WrongUsage(f"{text!r} names {name} twice.", KEYWORD)
        found[name] = value
    return found


def _of_inputs(named: Mapping[str, Any], model: Model, source: Source | None) -> MadeBaseline:
    """The baselines of several inputs by name; of those that are not named it is zero."""
    inputs: list[InputBaseline | None] = [None] * len(model.inputs)
    counts: list[int] = []
    for name, value in named.items():
        if name not in model.input_names:
            listed = ", ".join(model.input_names)
            raise WrongUsage(f"{name!r} is no input of the model; expected {listed}.", KEYWORD)
        number = model.input_names.index(name)
        made = _of_value(value, model.reading(number), source and _of_input(name, source))
        [inputs[number]] = made.inputs
        counts += [] if made.sequences is None else [made.sequences]
    several = {
        name: each.samples
        for name, each in zip(model.input_names, inputs, strict=True)
        if each is not None and each.samples > 1
    }
    if len(set(several.values())) > 1:
        each = " and ".join(f"{count} of {name}" for name, count in several.items())
        raise WrongUsage(f"has {each}; expected as many of each input, or one.", KEYWORD)
    return MadeBaseline(inputs, max(counts, default=None))


def _of_input(name: str, source: Source) -> Source:
    """How one of several inputs is written."""
    return replace(source, columns=source.columns.of_file(name, keyed=True, labelled=True))


def _baseline(given: Any, made: MadeBaseline) -> Baseline:
    """What is made of it, with the name by which it is told."""
    text, shape = _text(given), getattr(given, "shape", None)
    if text is None and isinstance(given, Mapping):
        text = ";".join(f"{key}={_named(value)}" for key, value in given.items())
    if text is None:
        text = "given" if shape is None else f"array {tuple(shape)}"
    return Baseline(text, tuple(made.inputs), made.sequences)


def _named(value: Any) -> str:
    """One value of a dict, as the command line would have it."""
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_named(each)}" for key, each in value.items())
    return _text(value) or f"array {tuple(getattr(value, 'shape', ()))}"


def _of_value(value: Any, model: Model, source: Source | None) -> MadeBaseline:
    """That of a model's only input."""
    read, text = model.only_input, _text(value)
    if read.features and read.size > 1 and getattr(value, "shape", None) == (read.size,):
        value = value.to_dict() if hasattr(value, "to_dict") else value  # a pandas Series has names
    if isinstance(value, Mapping):
        return MadeBaseline([of_every_step(_of_features(value, read), read)])
    if text is None:
        return of_sequences(value, model)
    if text == ZERO.name:
        return MadeBaseline([None])
    if read.embedding is not None:
        import numpy as np

        known = read.vocabulary.ids if read.vocabulary else {}
        rows = len(read.embedding.weights)
        token = known.get(text, whole_number(text))
        if token is not None and token < rows:
            return MadeBaseline([InputBaseline(np.array([[token]]), read.embedding.weights)])
        wanted = f"neither zero, a token of the vocabulary nor an id below {rows}"
    else:
        numbers = _numbers(text, read)
        if numbers is not None:
            return MadeBaseline([of_every_step(numbers, read)])
        wanted = "neither zero nor a finite number, nor one for each feature (wind=3,rain=0)"
    made = of_file(text, model, source)
    if made is None:
        raise WrongUsage(
            f"{text!r} is {wanted}, nor a file of sequences ({MEAN}FILE is their mean).", KEYWORD
        )
    return made


def _numbers(text: str, read: Input) -> Floats | None:
    """The numbers of one step that a text holds: one for all features, one each, or by name.

    None where it holds others.
    """
    import numpy as np

    pieces = [piece.strip() for piece in re.split("[,;]", text)]
    if all("=" in piece for piece in pieces):
        pairs = [(name.strip(), value.strip()) for name, _, value in map(_parted, pieces)]
        return _of_features(dict(pairs), read, len(pairs))
    values = [_finite(piece) for piece in pieces]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return None
    if len(numbers) not in (1, read.size):
        raise WrongUsage(
            f"{text!r} has {len(numbers)} numbers; expected one, or one for each of "
            f"{read.size} features.",
            KEYWORD,
        )
    scaled: Floats = read.scaled(np.full((1, read.size), numbers))[0]
    return scaled


def _parted(piece: str) -> tuple[str, str, str]:
    return piece.rpartition("=")  # a feature's name may have one


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _of_features(values: Mapping[Any, Any], read: Input, given: int | None = None) -> Floats:
    """Scaled numbers of features by name; those that are not named are as zero is.

    Parameters
    ----------
    given : int or None
        How many were given, of which none may be twice.
    """
    import numpy as np

    if read.embedding is not None:
        raise WrongUsage(
            "numbers by feature are of numeric inputs, and this one has tokens.", KEYWORD
        )
    places = [feature_number(str(name), read, KEYWORD) for name in values]
    if len(set(places)) < (len(places) if given is None else given):
        raise WrongUsage(f"names a feature twice ({', '.join(map(str, values))}).", KEYWORD)
    numbers = np.zeros((1, read.size))
    for place, (name, value) in zip(places, values.items(), strict=True):
        number = _finite(value)
        if number is None:
            raise WrongUsage(f"{name}={value}: {value!r} is not a finite number.", KEYWORD)
        numbers[0, place] = number
    found = np.zeros(read.size)
    found[places] = read.scaled(numbers)[0, places]
    return found
