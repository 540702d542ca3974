"""The mapping: what a weight file cannot say of itself, as YAML or as inferred from the file.

Every format describes its model as a `Mapping` too, so that one builder serves all, the user's keys
win one by one, and what was inferred can be written out.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import KINDS, LayerSpec

# Of an output whose activation does not tell it is no softmax or sigmoid: whether its scores are
# those of classes, or predicted values, or nobody says it.
Task = Literal["classification", "regression", "unknown"]

# What `from` calls the model's input.
INPUT_NAME = "input"


class TokensSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How text becomes ids.

    The vocabulary's ids are shifted by `offset`, and those from `limit` on are unknown. `start`
    stands before every sequence. Unknown tokens are left out where `skip` is true.
    """

    split: Literal["whitespace", "characters", "separate"] | UnsetType = UNSET
    lowercase: bool | UnsetType = UNSET
    remove: str | UnsetType | None = UNSET
    separate: str | UnsetType | None = UNSET
    unknown: str | int | UnsetType | None = UNSET
    skip: bool | UnsetType = UNSET
    start: str | int | UnsetType | None = UNSET
    offset: int | UnsetType = UNSET
    limit: int | UnsetType | None = UNSET


class PaddingSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    side: Literal["pre", "post"] | UnsetType | None = UNSET
    length: int | UnsetType = UNSET
    value: float | UnsetType = UNSET
    masked: bool | UnsetType = UNSET
    truncate: Literal["pre", "post"] | UnsetType | None = UNSET


class InputSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of several inputs. `steps` is false where it is one vector a sequence.

    Its words and its padding are those of the whole mapping where it does not say them.
    """

    name: str | None = None
    steps: bool = True
    vocabulary: str | UnsetType | None = UNSET
    tokens: TokensSpec | UnsetType | None = UNSET
    padding: PaddingSpec | UnsetType | None = UNSET


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole mapping. A key that is not given is left to what the file says.

    By `stateful: N` a sequence begins in the states in which the one N before it ended, in every
    LSTM but those that say `stateful: false` themselves.
    """

    format: Literal[1] | UnsetType = UNSET
    vocabulary: str | UnsetType | None = UNSET
    tokens: TokensSpec | UnsetType | None = UNSET
    labels: list[str | int | float] | UnsetType | None = UNSET
    padding: PaddingSpec | UnsetType | None = UNSET
    inputs: list[InputSpec] | UnsetType = UNSET
    layers: list[LayerSpec] | UnsetType = UNSET
    outputs: list[str] | UnsetType | None = UNSET
    task: Task | UnsetType = UNSET
    stateful: int | bool | UnsetType | None = UNSET
    unused: list[str] | UnsetType | None = UNSET


def settings(spec: Struct) -> dict[str, Any]:
    """The keys of a spec that are set."""
    values = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}


class Assumption(Struct, frozen=True):
    """What is taken for granted of a model, since its file does not say it.

    Parameters
    ----------
    key : str
        The mapping's key that says it, such as `layers` or `padding.truncate`; where any of several
        does, `task or labels`.
    text : str
        What is assumed, as a clause.
    """

    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.key})"

    def is_settled_by(self, mapping: Mapping) -> bool:
        """Whether a mapping says it, so that nothing is left to assume."""
        return any(_says(mapping, key) for key in self.key.split(" or "))


# Of scores without softmax or sigmoid that nobody calls classes.
NO_CLASS = Assumption("task or labels", "its scores are of no classes, so none is predicted")


def _says(mapping: Mapping, key: str) -> bool:
    """Whether a mapping has a key, or says by null that there is nothing that would have it."""
    value: Any = mapping
    for name in key.split("."):
        if value is None:
            return True
        value = getattr(value, name, UNSET)
    return value is not UNSET


class Described(Struct, frozen=True):
    """A mapping, and where each of its keys comes from.

    Parameters
    ----------
    mapping : Mapping
    origins : dict
        For each top-level key that is set, who said so.
    assumptions : tuple of Assumption
        What the mapping has that nobody said.
    is_followed : bool
        Whether its layers are a graph's, followed from the inputs to the outputs: what those do not
        take is no weight.
    """

    mapping: Mapping
    origins: dict[str, str]
    assumptions: tuple[Assumption, ...] = ()
    is_followed: bool = False

    @classmethod
    def by(
        cls, mapping: Mapping, origin: str, assumptions: Sequence[Assumption] = ()
    ) -> "Described":
        keys = (key for key in mapping.__struct_fields__ if getattr(mapping, key) is not UNSET)
        return cls(mapping, dict.fromkeys(keys, origin), tuple(assumptions))

    def overridden_by(self, other: "Described") -> "Described":
        """The other's keys win, one by one, inside `tokens` and `padding` too."""
        changes: dict[str, Any] = {}
        origins = dict(self.origins)
        for key, origin in other.origins.items():
            ours, theirs = getattr(self.mapping, key), getattr(other.mapping, key)
            if isinstance(ours, TokensSpec | PaddingSpec) and isinstance(theirs, Struct):
                given = settings(theirs)
                changes[key] = msgspec.structs.replace(ours, **given)
                origins[key] = f"{origins[key]}, with {', '.join(given)} from {origin}"
            else:
                changes[key] = theirs
                origins[key] = origin
        left = (each for each in self.assumptions if not each.is_settled_by(other.mapping))
        return Described(
            msgspec.structs.replace(self.mapping, **changes),
            origins,
            (*left, *other.assumptions),
            self.is_followed and other.mapping.layers is UNSET,
        )


def read_mapping(path: Path) -> Mapping:
    """Read a YAML mapping.

    Raises
    ------
    UnusableInput
        The file is no YAML, or a key or value is not of the schema; the key's path is named.
    """
    from .yaml import read_yaml

    document = read_yaml(path)
    try:
        mapping = msgspec.convert({} if document is None else document, Mapping)
    except msgspec.ValidationError as error:
        raise UnusableInput(str(path), _explain(str(error))) from error
    for index, layer in enumerate([] if mapping.layers is UNSET else mapping.layers):
        if len(layer.kinds) != 1:
            found = " and ".join(layer.kinds) or "nothing"
            raise UnusableInput(
                str(path),
                f"layers[{index}]: found {found}; expected one of "
                f"{', '.join(KINDS)} with its settings",
            )
    return mapping


def _specs(spec: type[Struct], found: dict[str, type[Struct]]) -> dict[str, type[Struct]]:
    """The settings that keys hold, in a spec and all below it; a list's are `key[]`."""
    for key, hint in get_type_hints(spec).items():
        name = {"source": "from"}.get(key, key)
        for is_list, each in _structs(hint):
            place = f"{name}[]" if is_list else name
            if place not in found:
                found[place] = each
                _specs(each, found)
    return found


def _structs(hint: Any) -> list[tuple[bool, type[Struct]]]:
    """The structs that a type may be, and whether in a list."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return [(False, hint)]
    is_list = get_origin(hint) is list
    return [(is_list or inner, each) for part in get_args(hint) for inner, each in _structs(part)]


SPECS: dict[str, type[Struct]] = _specs(Mapping, {"": Mapping})


def _explain(message: str) -> str:
    """Turn msgspec's message into one that leads with the key's path and proposes the mend."""
    problem, _, at = message.partition(" - at `$")
    path = at.rstrip("`").removeprefix(".")
    *parents, key = re.sub(r"\[\d+\]", "[]", path).split(".")
    unknown = re.match(r"Object contains unknown field `(.*)`", problem)
    if unknown:
        spec = SPECS[key]
        problem = (
            f"unknown key `{unknown[1]}`; {_nearest(unknown[1], spec.__struct_encode_fields__)}"
        )
    elif problem.startswith("Invalid enum value"):
        found = problem.removeprefix("Invalid enum value ").strip("'")
        hints = get_type_hints(SPECS[parents[-1] if parents else ""])
        choices = [str(choice) for choice in _choices(hints[key.removesuffix("[]")])]
        problem = f"found `{found}`; {_nearest(found, choices)}"
    else:
        problem = problem[0].lower() + problem[1:]
    return f"{path}: {problem}" if path else problem


def _nearest(found: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(found, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"expected one of {', '.join(known)}"


def _choices(annotation: Any) -> list[Any]:
    """The values that a type such as `Literal["a", "b"] | None` names."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]
