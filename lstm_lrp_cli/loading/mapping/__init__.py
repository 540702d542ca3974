"""The mapping: what a weight file cannot say of itself, as YAML or as inferred from the file.

Every format describes its model as a `Mapping` too, so that one builder serves all, the user's keys
win one by one, and what was inferred can be written out.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import KINDS, LayerSpec
from lstm_lrp_cli.loading.layers.datasets import Numbers

# Of an output whose activation does not tell it is no softmax or sigmoid: whether its scores are
# those of classes, or predicted values, or nobody says it.
Task = Literal["classification", "regression", "unknown"]

SomeKeys = TypeVar("SomeKeys", bound=Struct)

# What `from` calls the model's input.
INPUT_NAME = "input"


class TokensSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How text becomes ids.

    The vocabulary's ids are shifted by `offset`, and those from `limit` on are unknown. `start`
    stands before every sequence. Unknown tokens are left out where `skip` is true.
    """

    split: Literal["whitespace", "characters", "separate"] | UnsetType = UNSET
    lowercase: bool | Literal["ascii"] | UnsetType = UNSET
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


class ScalingSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """(number - minus) / divide, feature by feature: a dataset, one number, or one a feature.

    Instead of what divides, its square may be given; the root is at least 1e-7, as in Keras. By
    `invert` it is done backwards: number * divide + minus. `inside` is true where the model does it
    itself, behind the padding.
    """

    minus: Numbers = 0.0
    divide: Numbers | None = None
    variance: Numbers | None = None
    invert: bool = False
    inside: bool = False


class InputSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of several inputs. `steps` is false where it is one vector a sequence.

    Where it has an embedding and does not say its words or its padding, those of the whole mapping
    are meant.
    """

    name: str | None = None
    steps: bool | UnsetType = UNSET
    vocabulary: str | list[str] | UnsetType | None = UNSET
    tokens: TokensSpec | UnsetType | None = UNSET
    padding: PaddingSpec | UnsetType | None = UNSET
    scaling: ScalingSpec | list[ScalingSpec] | UnsetType | None = UNSET
    features: list[str | int | float] | UnsetType | None = UNSET


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole mapping. A key that is not given is left to what the file says.

    By `stateful: N` a sequence begins in the states in which the one N before it ended, in every
    LSTM but those that say `stateful: false` themselves.
    """

    format: Literal[1] | UnsetType = UNSET
    vocabulary: str | list[str] | UnsetType | None = UNSET
    tokens: TokensSpec | UnsetType | None = UNSET
    labels: list[str | int | float] | UnsetType | None = UNSET
    padding: PaddingSpec | UnsetType | None = UNSET
    scaling: ScalingSpec | list[ScalingSpec] | UnsetType | None = UNSET
    features: list[str | int | float] | UnsetType | None = UNSET
    output_scaling: ScalingSpec | list[ScalingSpec] | UnsetType | None = UNSET
    inputs: list[InputSpec] | UnsetType | None = UNSET
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


def crf_assumption(transitions: Sequence[str]) -> Assumption:
    """What is told of every model with a CRF, given the names of its transitions."""
    return Assumption(
        "unused",
        "its scores are the emissions of a CRF, and each step's tag is the best of them; the "
        f"transitions ({', '.join(transitions)}), which decode all tags together, are left out, so "
        "that the decoded tags may be others",
    )


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
            changes[key] = theirs
            origins[key] = origin
            if isinstance(ours, TokensSpec | PaddingSpec) and isinstance(theirs, Struct):
                changes[key] = overridden(ours, theirs)
                given = ", ".join(settings(theirs))
                origins[key] = f"{self.origins[key]}, with {given} from {origin}"
            elif key == "inputs" and ours and theirs:
                changes[key] = _overridden_inputs(ours, theirs, other.mapping.layers is UNSET)
                named = ", ".join(str(each.name) for each in theirs)
                origins[key] = f"{self.origins[key]}, with {named} from {origin}"
            elif key == "scaling":
                changes[key] = scaled_by_both(ours, theirs)
        left = (each for each in self.assumptions if not each.is_settled_by(other.mapping))
        return Described(
            msgspec.structs.replace(self.mapping, **changes),
            origins,
            (*left, *other.assumptions),
            self.is_followed and other.mapping.layers is UNSET,
        )


def overridden(ours: SomeKeys, theirs: SomeKeys) -> SomeKeys:
    """One with the keys of another, inside `tokens` and `padding` too."""
    changes = settings(theirs)
    for key, value in changes.items():
        own = getattr(ours, key)
        if key == "scaling":
            changes[key] = scaled_by_both(own, value)
        if isinstance(own, Struct) and isinstance(value, Struct):
            changes[key] = overridden(own, value)
    return msgspec.structs.replace(ours, **changes)


Scalings = ScalingSpec | list[ScalingSpec] | UnsetType | None


def scalings(said: Scalings) -> list[ScalingSpec]:
    """One scaling after the other."""
    if said is UNSET or said is None:
        return []
    return said if isinstance(said, list) else [said]


def scaled_by_both(ours: Scalings, theirs: Scalings) -> Scalings:
    """What a user does before the model, and behind it what the model does itself.

    Theirs alone where it says what the model does, or by null that there is none.
    """
    said = scalings(theirs)
    if not said or any(each.inside for each in said):
        return theirs
    return [*said, *(each for each in scalings(ours) if each.inside)]


def _overridden_inputs(
    ours: list[InputSpec], theirs: list[InputSpec], ours_stay: bool
) -> list[InputSpec]:
    """Inputs with the keys of others of the same names, and those that are only theirs.

    Parameters
    ----------
    ours_stay : bool
        Whether all of ours are inputs, named or not: theirs come without layers of their own.
    """
    known = {each.name: each for each in ours}
    said = {each.name: each for each in theirs}
    merged = {
        name: overridden(known[name], each) if name in known else each
        for name, each in said.items()
    }
    if not ours_stay:
        return list(merged.values())
    return list((known | merged).values())


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
    _check_kinds(mapping.layers or [], "layers", path)
    names = [each.name for each in mapping.inputs or []]
    if mapping.inputs is not UNSET and mapping.inputs is not None and not names:
        raise UnusableInput(str(path), "inputs: found none; expected one or more, or null")
    for index, name in enumerate(names):
        if name == "" or (name is None and len(names) > 1):
            problem = f"inputs[{index}].name: is missing; expected a name for each of several"
            raise UnusableInput(str(path), problem)
    if len(set(names)) < len(names):
        problem = "inputs: two of them have one name; expected one of its own for each"
        raise UnusableInput(str(path), problem)
    return mapping


def _check_kinds(layers: Sequence[LayerSpec], key: str, path: Path) -> None:
    """Refuse a layer of no kind or of several, here and in the layers of a layer."""
    for index, layer in enumerate(layers):
        if len(layer.kinds) != 1:
            found = " and ".join(layer.kinds) or "nothing"
            raise UnusableInput(
                str(path),
                f"{key}[{index}]: found {found}; expected one of "
                f"{', '.join(KINDS)} with its settings",
            )
        if layer.each is not None:
            _check_kinds(layer.each.layers, f"{key}[{index}].each.layers", path)


def spec_at(keys: Sequence[str]) -> type[Struct]:
    """The keys that a mapping may have below a path of keys."""
    spec: type[Struct] = Mapping
    for key in filter(None, keys):
        [spec] = specs_in(get_type_hints(spec)[key])
    return spec


def specs_in(hint: Any) -> list[type[Struct]]:
    """The keys that stand in a type such as `list[LayerSpec] | UnsetType`."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return [hint]
    found = (spec for part in get_args(hint) for spec in specs_in(part))
    return list(dict.fromkeys(found))


def _explain(message: str) -> str:
    """Turn msgspec's message into one that leads with the key's path and proposes the mend."""
    problem, _, at = message.partition(" - at `$")
    path = at.rstrip("`").removeprefix(".")
    *parents, key = re.sub(r"\[[^]]*\]", "", path).split(".")
    unknown = re.match(r"Object contains unknown field `(.*)`", problem)
    if unknown:
        known = spec_at([*parents, key]).__struct_encode_fields__
        problem = f"unknown key `{unknown[1]}`; {_nearest(unknown[1], known)}"
    elif problem.startswith("Invalid enum value"):
        found = problem.removeprefix("Invalid enum value ").strip("'")
        choices = [str(choice) for choice in _choices(get_type_hints(spec_at(parents))[key])]
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
