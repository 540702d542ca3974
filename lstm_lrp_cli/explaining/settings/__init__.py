"""Methods by their names, and what they are set to: by keywords, or as in lrp-all:eps=1e-6.

NumPy is not imported for it: the command line's help has the names and ranges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lstm_lrp_cli.engine.methods import METHODS, ZERO, Baseline, Settings
from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.inputs.stream import whole_number

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.methods.method import Method
    from lstm_lrp_cli.model.model import Model

# More steps than a sequence can have.
LONGEST = 2**62


class Setting(NamedTuple):
    """What a method can be set to.

    Parameters
    ----------
    value : str
        What stands for its value in help and messages.
    help : str
        What it is, in help.
    kind : type
        float, int, or str for what `read` makes of it.
    least, most : int or None
        The range of a number.
    read : callable
        Makes a value of a text, or of one given in Python; ValueError says what is wrong with it.
    """

    value: str
    help: str
    kind: type = str
    least: int | None = None
    most: int | None = None
    read: Callable[[Any], Any] | None = None

    def of(self, given: Any) -> Any:
        """The value that is given, checked.

        Raises
        ------
        ValueError
        """
        if self.kind is str:
            return given if self.read is None else self.read(given)
        try:
            number = self.kind(given)
        except (TypeError, ValueError, OverflowError):
            name = "float" if self.kind is float else "integer"
            raise ValueError(f"{given!r} is not a valid {name} range") from None
        if not isinstance(given, str) and number != given and not math.isnan(number):
            raise ValueError(f"{given!r} is not a valid integer range")
        outside = (self.least is not None and number < self.least) or (
            self.most is not None and number > self.most
        )
        if outside:
            bounds = f"x>={self.least}" if self.most is None else f"{self.least}<=x<={self.most}"
            raise ValueError(f"{number} is not in the range {bounds}")
        if not math.isfinite(number):
            raise ValueError(f"{number} is not a finite number")
        return number


def span_slice(given: str | slice | tuple[int, int]) -> slice:
    """The tokens of a span, as Python has them: from 0, or from -1 backwards.

    Raises
    ------
    ValueError
    """
    if not isinstance(given, str):
        start, stop = (given.start, given.stop) if isinstance(given, slice) else tuple(given)
    else:
        try:
            start, stop = (int(part) if part.strip() else None for part in given.split(":"))
        except ValueError:
            raise ValueError(
                f"{given!r} is not FROM:TO, such as 2:5, :3 or -2: (from 0; TO is not in it)"
            ) from None
    if start is not None and stop is not None and start >= stop and (start < 0) == (stop < 0):
        raise ValueError(f"{given!r} has no tokens in it, whatever there is")
    return slice(_bounded(start), _bounded(stop))


def _bounded(bound: int | None) -> int | None:
    """A bound of a span, no further out than arrays can count, where there are no tokens anyway."""
    return None if bound is None else max(-LONGEST, min(bound, LONGEST))


# What is not a method's, and may be mistaken for it.
ASKED = ("methods", "target", "step", "by", "labels")
# A baseline is looked up once the model is known.
SETTINGS = {
    "eps": Setting("NUMBER", "Stabilizer of LRP.", float, 0),
    "bias_factor": Setting(
        "NUMBER", "Part of LRP's biases and stabilizers that is redistributed.", float, 0, 1
    ),
    "steps": Setting("N", "Of integrated-gradients: points of the path.", int, 1),
    "baseline": Setting(
        "VALUE", "Of integrated-gradients: where the path begins: zero, a token, an id or a number."
    ),
    "span": Setting(
        "FROM:TO",
        "Of contextual-decomposition: tokens taken as one, from 0, TO not among them.",
        read=span_slice,
    ),
    "seed": Setting("N", "Of random.", int, 0),
}


class Named(NamedTuple):
    """A method as it is named, with what its name sets.

    Parameters
    ----------
    name : str
        All of it, as outputs have it.
    kind : str
        One of METHODS.
    settings : dict
    """

    name: str
    kind: str
    settings: dict[str, Any]


def parse_method(text: str) -> Named:
    """A method's name, and what follows it: KEY=VALUE, each after a colon.

    What follows a colon and has no "=" belongs to the value before it, as in span=2:5.

    Raises
    ------
    WrongUsage
        There is no such method, or it does not take that.
    """
    kind, *parts = text.strip().split(":")
    kind = kind.strip()
    if kind not in METHODS:
        raise WrongUsage(
            f"there is no method {kind!r}; the methods are {', '.join(METHODS)}.", "methods"
        )
    pairs: list[str] = []
    for part in parts:
        if "=" in part or not pairs:
            pairs.append(part)
        else:
            pairs[-1] += f":{part}"
    settings: dict[str, Any] = {}
    shown = [kind]
    for pair in pairs:
        given, _, value = (piece.strip() for piece in pair.partition("="))
        key = given.replace("-", "_")
        if key not in METHODS[kind].takes or key in settings or "=" not in pair:
            raise WrongUsage(f"{text.strip()!r}: {_takes(kind)}", "methods")
        try:
            settings[key] = SETTINGS[key].of(value)
        except ValueError as error:
            raise WrongUsage(
                f"{text.strip()!r}: {given}: {error}; {_takes(kind)}", "methods"
            ) from error
        shown.append(f"{given.replace('_', '-')}={value}")
    return Named(":".join(shown), kind, settings)


def _takes(kind: str) -> str:
    """What a method can be set to in its name."""
    if not METHODS[kind].takes:
        return f"{kind} takes no settings."
    keys = [f":{key.replace('_', '-')}={SETTINGS[key].value}" for key in METHODS[kind].takes]
    return f"{kind} takes {' and '.join(keys)}, each once."


def parse_methods(names: str | Iterable[str]) -> tuple[Named, ...]:
    """The methods that a list names, in one text with commas or one by one.

    Raises
    ------
    WrongUsage
    """
    each = names.split(",") if isinstance(names, str) else names
    found = tuple(map(parse_method, each))
    if not found:
        raise WrongUsage(f"none is named; the methods are {', '.join(METHODS)}.", "methods")
    if len({named.name for named in found}) < len(found):
        raise WrongUsage("a method is named twice.", "methods")
    return found


def resolve_methods(
    names: str | Iterable[str], model: Model, settings: Mapping[str, Any]
) -> tuple[Method, ...]:
    """The methods of these names, set by their names or else by settings; None is not given.

    Raises
    ------
    WrongUsage
        There is no such method or setting, none of the methods takes one, or two come to the same.
    """
    named = parse_methods(names)
    given: dict[str, Any] = {}
    for key, value in settings.items():
        if value is None:
            continue
        if key not in SETTINGS:
            from difflib import get_close_matches

            near = get_close_matches(key, (*SETTINGS, *ASKED), 1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; expected {', '.join(SETTINGS)}."
            raise WrongUsage(f"there is no setting {key!r}{meant}")
        if not any(key in METHODS[each.kind].takes for each in named):
            owner = next(kind for kind in METHODS if key in METHODS[kind].takes)
            raise WrongUsage(f"`{key}` needs `methods` {owner}.")
        try:
            given[key] = SETTINGS[key].of(value)
        except ValueError as error:
            raise WrongUsage(f"{error}.", key) from error
    return _apart([_resolved(each, given, model) for each in named], named)


def _resolved(named: Named, given: dict[str, Any], model: Model) -> Method:
    """A method with what its name sets, and what is given for the rest."""
    kind = METHODS[named.kind]
    found = {key: value for key, value in given.items() if key in kind.takes} | named.settings
    if "baseline" in found:
        found["baseline"] = resolve_baseline(found["baseline"], model)
    return kind(Settings(**found), named.name)


def _apart(methods: list[Method], named: tuple[Named, ...]) -> tuple[Method, ...]:
    """The methods, of which no two are the same."""
    seen: dict[str, str] = {}
    for method, each in zip(methods, named, strict=True):
        key = f"{each.kind} {method.settings}"
        if key in seen:
            raise WrongUsage(
                f"{seen[key]} and {method.name} are the same method with the same settings."
            )
        seen[key] = method.name
    return tuple(methods)


def resolve_baseline(baseline: str | float, model: Model) -> Baseline:
    """Where a path begins at every step.

    Raises
    ------
    WrongUsage
    """
    import numpy as np

    name = str(baseline)
    if name == "zero":
        return ZERO
    if model.several_inputs:
        raise WrongUsage(
            f"{name!r} would be that of all inputs ({', '.join(model.input_names)}); of several, "
            "the way begins at zero.",
            "baseline",
        )
    read = model.only_input
    if read.embedding is None:
        try:
            value = float(name)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise WrongUsage(f"{name!r} is neither zero nor a finite number.", "baseline")
        numbers = np.full((1, read.size), value)
        return Baseline(name, read.scaled(numbers)[0].astype(model.dtype))
    known = read.vocabulary.ids if read.vocabulary else {}
    token = known.get(name, whole_number(name))
    weights = read.embedding.weights
    if token is None or token >= len(weights):
        raise WrongUsage(
            f"{name!r} is neither zero, a token of the vocabulary nor an id below {len(weights)}.",
            "baseline",
        )
    return Baseline(name, weights[token])
