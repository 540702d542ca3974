"""The mapping: what a weight file cannot say of itself, as YAML or as inferred from the file.

Every format describes its model as a `Mapping` too, so that one builder serves all, the user's keys
win one by one, and what was inferred can be written out.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from lstm_lrp_cli.loading.layers import LayerSpec
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
    stands before every sequence, and `end` behind it; by `special` so do the tokens that the
    vocabulary's own tokenizer puts there. Unknown tokens are left out where `skip` is true.
    """

    split: Literal["whitespace", "characters", "separate", "pieces"] | UnsetType = UNSET
    lowercase: bool | Literal["ascii"] | UnsetType = UNSET
    remove: str | UnsetType | None = UNSET
    separate: str | UnsetType | None = UNSET
    unknown: str | int | UnsetType | None = UNSET
    skip: bool | UnsetType = UNSET
    start: str | int | UnsetType | None = UNSET
    end: str | int | UnsetType | None = UNSET
    special: bool | UnsetType = UNSET
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
    `invert` it is done backwards: number * divide + minus. What is made is kept between the two
    numbers of `clip`. `inside` is true where the model does it itself, behind the padding.

    All this may be said by a `file` of scikit-learn's instead, of whose columns `features` picks
    some, by name or number.
    """

    minus: Numbers = 0.0
    divide: Numbers | None = None
    variance: Numbers | None = None
    invert: bool = False
    inside: bool = False
    clip: tuple[float, float] | None = None
    file: str | None = None
    features: list[str | int] | None = None


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
    scaling: str | ScalingSpec | list[str | ScalingSpec] | UnsetType | None = UNSET
    features: list[str | int | float] | UnsetType | None = UNSET


class Mapping(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole mapping. A key that is not given is left to what the file says.

    By `stateful: N` a sequence begins in the states in which the one N before it ended, in every
    LSTM but those that say `stateful: false` themselves.
    """

    format: Literal[1] | UnsetType = UNSET
    vocabulary: str | list[str] | UnsetType | None = UNSET
    tokens: TokensSpec | UnsetType | None = UNSET
    labels: str | list[str | int | float] | UnsetType | None = UNSET
    padding: PaddingSpec | UnsetType | None = UNSET
    scaling: str | ScalingSpec | list[str | ScalingSpec] | UnsetType | None = UNSET
    features: list[str | int | float] | UnsetType | None = UNSET
    output_scaling: str | ScalingSpec | list[str | ScalingSpec] | UnsetType | None = UNSET
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


Scalings = str | ScalingSpec | Sequence[str | ScalingSpec] | UnsetType | None


def scalings(said: Scalings) -> list[ScalingSpec]:
    """One scaling after the other; a name is that of a file."""
    if said is UNSET or said is None:
        return []
    several = [said] if isinstance(said, str | ScalingSpec) else said
    return [ScalingSpec(file=each) if isinstance(each, str) else each for each in several]


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
