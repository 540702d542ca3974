"""The draft of a mapping, where a file holds weights alone: names and shapes, no architecture.

What those leave open is an `OpenQuestion`. One whose likeliest answer is nearly always right is
told, any other is asked, by an error with the draft for the user to mend. The draft is the
likeliest model, so saving it as it is and `--assume` come to the same.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from lstm_lrp_cli.errors import UnusableInput
from lstm_lrp_cli.loading.layers import LayerSpec
from . import Assumption, Described, Mapping


class OpenQuestion(Struct, frozen=True):
    """What names and shapes leave open of a model.

    Parameters
    ----------
    text : str
        What is open, as a clause.
    likeliest : str or None
        What the draft takes, as a clause; None where nothing is likelier than all else.
    is_safe : bool
        Whether that is nearly always right, so that it is told and not asked.
    is_searched : bool
        Whether `lrp match` tries other answers.
    """

    text: str
    likeliest: str | None = None
    is_safe: bool = False
    is_searched: bool = False


class DraftedLayer(Struct, frozen=True):
    """A layer of a mapping that a user is to mend.

    What is said of it becomes a comment. Names from a file do not belong there: one with a line
    feed would go on as YAML.

    Parameters
    ----------
    layers : tuple of LayerSpec
        One entry, several that only make sense together, or none.
    guess : str
        What of it is a guess; "" is nothing.
    this : str
        What it means, where others could stand in its place.
    others : dict of str to tuple of LayerSpec
        Those, by what they mean, the likeliest first.
    shown : int or None
        How many of them are shown as lines to choose from; None is all. Where it is none, the
        guess tells of them.
    family : str
        What such layers are called that a model mostly has alike, as all activations.
    """

    layers: tuple[LayerSpec, ...]
    guess: str = ""
    this: str = ""
    others: dict[str, tuple[LayerSpec, ...]] = {}
    shown: int | None = None
    family: str = ""

    @property
    def choices(self) -> dict[str, tuple[LayerSpec, ...]]:
        """What could stand here, the likeliest first."""
        return {self.this: self.layers, **self.others}


class Draft(Struct, frozen=True):
    """The likeliest model of a file.

    Parameters
    ----------
    layers : list of DraftedLayer
    questions : list of OpenQuestion
        All that is open.
    assumptions : list of Assumption
        What is told where the draft is taken.
    beside : Mapping
        What the mapping says but for its layers.
    """

    layers: list[DraftedLayer]
    questions: list[OpenQuestion]
    assumptions: list[Assumption]
    beside: Mapping

    @property
    def asked(self) -> list[OpenQuestion]:
        return [question for question in self.questions if not question.is_safe]

    @property
    def is_likely(self) -> bool:
        """Whether there is an answer to everything that is asked."""
        return all(question.likeliest for question in self.asked)

    @property
    def is_searched(self) -> bool:
        return any(question.is_searched for question in self.asked)

    def settled(self, path: Path, assume: bool, ways_out: str, opening: str = "") -> Described:
        """The mapping, if all that is asked may be assumed.

        Parameters
        ----------
        path : Path
            The file.
        assume : bool
            Whether to take the likeliest model where more than one could be meant.
        ways_out, opening : str
            What a user can do, up to the draft, and how the message begins.

        Raises
        ------
        UnusableInput
            More than one model could be meant: the message asks, with the draft.
        """
        if self.asked and not (assume and self.is_likely):
            asked = "; ".join(question.text for question in self.asked)
            raise UnusableInput(
                str(path),
                f"{opening}names and shapes leave the model open: {asked}. {ways_out}:",
                draft_yaml(self.layers, self.beside),
            )
        return self.described(path)

    def described(self, path: Path) -> Described:
        """The mapping of the likeliest layers, whatever is open of them."""
        layers = [spec for each in self.layers for spec in each.layers]
        mapping = replace(self.beside, layers=layers)
        return Described.by(mapping, f"names and shapes in {path.name}", self.assumptions)


def draft_yaml(layers: Sequence[DraftedLayer], beside: Mapping) -> str:
    """A mapping of those layers as YAML, for a user to mend, guesses and choices as comments.

    Parameters
    ----------
    layers : sequence of DraftedLayer
    beside : Mapping
        What the mapping says but for its layers.
    """
    from .yaml import yaml_text

    lines = [*yaml_text(msgspec.to_builtins(beside)).splitlines(), "layers:"]
    for each in layers:
        shown = _lines(each.layers)
        if each.guess:
            lines.append(f"# a guess: {each.guess}")
        others = {what: _lines(way) for what, way in list(each.others.items())[: each.shown]}
        if not others:
            lines += shown
            continue
        shared = min(_alike(shown, other) for other in others.values())
        lines += shown[:shared]
        lines += ["# One of these: take # off the lines of another, and put it before this one's."]
        lines += [f"# 1. {each.this}", *shown[shared:]]
        for number, (meaning, other) in enumerate(others.items(), start=2):
            lines += [f"# {number}. {meaning}", *(f"#{line}" for line in other[shared:])]
    return "\n".join(lines) + "\n"


def _lines(layers: Sequence[LayerSpec]) -> list[str]:
    """Entries of `layers` as lines of YAML; what recurrent layers return is said, and last."""
    from .yaml import yaml_text

    if not layers:
        return []
    entries = [msgspec.to_builtins(layer) for layer in layers]
    for entry in entries:
        for kind in entry.keys() & {"lstm", "gru", "rnn"}:
            entry[kind]["returns"] = entry[kind].pop("returns", "last")
    return yaml_text({"layers": entries}).removeprefix("layers:\n").splitlines()


def _alike(one: list[str], other: list[str]) -> int:
    """How many lines two texts begin with alike."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)
