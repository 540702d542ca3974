"""Methods by their names, and what they are set to: by keywords, or as in lrp-all:eps=1e-6.

NumPy is not imported for it: the command line's help has the names and ranges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lstm_lrp_cli.engine.methods import METHODS, Settings
from lstm_lrp_cli.errors import UnusableInput, WrongUsage
from .groups import EACH, resolve_groups, span_slice

if TYPE_CHECKING:
    from lstm_lrp_cli.engine.methods.method import Method
    from lstm_lrp_cli.engine.records import WrongSteps
    from lstm_lrp_cli.inputs.batching import Batch
    from lstm_lrp_cli.inputs.read import Source
    from lstm_lrp_cli.model.model import Model


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


# What begins another setting in a method's name.
KEY = re.compile(r"\s*[A-Za-z][\w-]*\s*=")
# Settings whose values may have commas, and what begins one in a method's name.
WITH_COMMAS = {"baseline", "groups"}
LONG = re.compile(r":\s*(baseline|groups)\s*=")
# What is not a method's, and may be mistaken for it.
ASKED = ("methods", "target", "step", "by", "labels")
# What names a table's columns, and cuts series from it.
OF_TABLES = ("text", "label", "id", "window", "stride", "group", "date")
# Baselines and groups are looked up once the model is known.
SETTINGS = {
    "eps": Setting("NUMBER", "Stabilizer of LRP.", float, 0),
    "bias_factor": Setting(
        "NUMBER", "Part of LRP's biases and stabilizers that is redistributed.", float, 0, 1
    ),
    "steps": Setting("N", "Of integrated-gradients: points of the path.", int, 1),
    "baseline": Setting(
        "VALUE",
        "Of integrated-gradients and occlusion: what counts as no input: zero, a token, an id, a "
        "number, FEATURE=NUMBER,.., mean:FILE, or FILE, each sequence in it by turns.",
    ),
    "groups": Setting(
        "GROUPS",
        "Of occlusion: what is hidden as one: words (of pieces), spans of steps (0:5,5:8), so many "
        "steps (24), or features (NAME=FEATURE,FEATURE..).",
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

    What follows a colon and is no KEY=.. belongs to the value before it, as in span=2:5.

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
        if not pairs or KEY.match(part):
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


def split_methods(names: str) -> list[str]:
    """The methods that a text names, with commas between them.

    What follows a comma and begins with no method's name belongs to a baseline or to groups before
    it, where there are some.
    """
    found: list[str] = []
    for part in names.split(","):
        is_method = part.split(":")[0].strip() in METHODS
        if found and not is_method and LONG.search(found[-1]):
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def parse_methods(names: str | Iterable[str]) -> tuple[Named, ...]:
    """The methods that a list names, in one text with commas or one by one.

    Raises
    ------
    WrongUsage
    """
    each = split_methods(names) if isinstance(names, str) else names
    found = tuple(map(parse_method, each))
    if not found:
        raise WrongUsage(f"none is named; the methods are {', '.join(METHODS)}.", "methods")
    if len({named.name for named in found}) < len(found):
        raise WrongUsage("a method is named twice.", "methods")
    return found


def resolve_methods(
    names: str | Iterable[str],
    model: Model,
    settings: Mapping[str, Any],
    source: Source | None = None,
) -> tuple[Method, ...]:
    """The methods of these names, set by their names or else by settings; None is not given.

    Parameters
    ----------
    source : Source or None
        How the input is written, as which a baseline's file is read.

    Raises
    ------
    WrongUsage
        There is no such method or setting, none of the methods takes one, or two come to the same.
    """
    named = parse_methods(names)
    given = _checked(settings, named)
    made: dict[tuple[str, Any], Any] = {}  # a file is read once, for all methods that have it
    methods = []
    for each in named:
        kind = METHODS[each.kind]
        found = {key: value for key, value in given.items() if key in kind.takes} | each.settings
        for key in found.keys() & WITH_COMMAS:
            value = found[key]
            known = key, value if isinstance(value, str) else id(value)
            if known not in made:
                made[known] = _looked_up(key, value, model, source)
            found[key] = made[known]
        methods.append(kind(Settings(**found), each.name))
    return _apart(methods, named)


def _checked(settings: Mapping[str, Any], named: tuple[Named, ...]) -> dict[str, Any]:
    """The settings that are given, of which a method must take each."""
    given: dict[str, Any] = {}
    for key, value in settings.items():
        if value is None:
            continue
        if key in OF_TABLES:
            raise WrongUsage(
                f"there is no setting {key!r}: it is of a table, as lrp.sequences(table, model, "
                f"{key}=..) takes it, which gives what is explained"
            )
        if key not in SETTINGS:
            from difflib import get_close_matches

            near = get_close_matches(key, (*SETTINGS, *ASKED), 1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; expected {', '.join(SETTINGS)}."
            raise WrongUsage(f"there is no setting {key!r}{meant}")
        if not any(key in METHODS[each.kind].takes for each in named):
            owners = [kind for kind in METHODS if key in METHODS[kind].takes]
            needed = owners[0] if key in ("eps", "bias_factor") else " or ".join(owners)
            raise WrongUsage(f"`{key}` needs `methods` {needed}.")
        try:
            given[key] = SETTINGS[key].of(value)
        except ValueError as error:
            raise WrongUsage(f"{error}.", key) from error
    return given


def _looked_up(key: str, value: Any, model: Model, source: Source | None) -> Any:
    """A baseline or groups of a model."""
    of_names = isinstance(value, str) and ("=" in value or value.startswith(EACH))
    if source is not None and of_names:
        from .samples import with_names

        model = with_names(model, source)
    if key == "groups":
        return resolve_groups(value, model)
    from .baseline import resolve_baseline  # with what reads files, which few runs need

    return resolve_baseline(value, model, source)


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


def unlike_settings(wrong: WrongSteps, batch: Batch, method: Method) -> UnusableInput:
    """The error about a sequence of another number of steps than a method is set to."""
    sequence = batch.sequences[wrong.sequence]
    as_given = wrong.found in [len(part.inputs) for part in sequence.parts]
    filled = "" if as_given else " as the model is given it"
    return UnusableInput(
        f"sequence {sequence.number}",
        f"has {wrong.found} steps{filled}, and {method.name} {wrong.does.format(wrong.expected)}; "
        "expected as many, or what is the same for every step",
    )
