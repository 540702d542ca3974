"""Why this and not that: the difference of two scores, named A-B."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from msgspec import Struct

from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.inputs.stream import whole_number
from lstm_lrp_cli.model import Floats, Integers
from lstm_lrp_cli.model.decision import Decision, decisions_of_heads
from lstm_lrp_cli.model.model import Model

Word = Literal["predicted", "second", "gold"]
WORDS: tuple[Word, ...] = get_args(Word)
SIGN = "-"
# How it may stand between the names of both: closely, where it can be told from theirs.
SIGNS = (SIGN, f" {SIGN} ", f"  {SIGN}  ")


class Difference(Struct, frozen=True):
    """The score of one class, or value, less that of another.

    Parameters
    ----------
    plus, minus : int, "predicted", "second" or "gold"
        The number of a class or value; or of each sequence the class that is taken, that with the
        second highest score, or the true one. Of two classes with one score, class 0 has its
        negative.
    """

    plus: int | Word
    minus: int | Word

    def __str__(self) -> str:
        return f"{self.plus}{SIGN}{self.minus}"

    @property
    def sides(self) -> tuple[int | Word, int | Word]:
        return self.plus, self.minus

    def heads(self, model: Model) -> list[int]:
        """The heads at each of which there is one for every sequence.

        Of words alone, these are all that choose among classes; else that of the number, or, of
        two numbers, that of the first. So values of any two outputs can be subtracted.
        """
        numbers = [side for side in self.sides if isinstance(side, int)]
        if numbers:
            return [_head_of(numbers[0], model)]
        return [k for k, each in enumerate(decisions_of_heads(model)) if _chooses(each)]


def difference_named(text: str, model: Model) -> Difference | None:
    """The difference of two scores that a text names; None where it names none.

    Parameters
    ----------
    text : str
        A-B, of which each is a label, else a word, else a number, with or without spaces around.

    Raises
    ------
    WrongUsage
        It can be read in more than one way, has the same on both sides, or asks for a class where
        none is chosen.
    """
    found = _readings(text, model)
    if len(found) > 1:
        readings = " or ".join(f"'{_name(*reading, model)}'" for reading in found.items())
        raise WrongUsage(f"{text!r} may be {readings}; write the one that is meant.", "target")
    for difference in found:
        _check(difference, text, model)
        return difference
    return None


def wrong_side(text: str, model: Model) -> str | None:
    """What of A-B is no class or value; None where that cannot be told."""
    if text.count(SIGN) != 1:
        return None
    names = [name.strip() for name in text.split(SIGN)]
    return next((name for name in names if name and _side_named(name, model) is None), None)


def difference_name(plus: int, minus: int, model: Model) -> str:
    """What the difference of two classes, or values, is called where it is told.

    It can be asked for by that name: where labels have the sign in them, it stands between spaces,
    or numbers stand for labels.
    """
    names = str(model.target_name(plus)), str(model.target_name(minus))
    return _name(Difference(plus, minus), names, model)


def numbers_of(
    side: int | Word, decision: Decision | None, scores: Floats, golds: list[int | None]
) -> Integers:
    """The class, or value, of one side, of each sequence, shape (batch,).

    Parameters
    ----------
    decision : Decision or None
        At the head that it is asked of; words need one.
    scores : ndarray, shape (batch, classes)
    golds : list of int or None
        The true classes; where one is not known, the class that is taken stands for it.
    """
    if isinstance(side, int):
        return np.full(len(scores), side, dtype=np.intp)
    assert decision is not None
    if side == "second":
        return decision.first + decision.second(scores)
    taken = decision.first + decision.taken(scores)
    return taken if side == "predicted" else golds_or(taken, golds)


def golds_or(taken: Integers, golds: list[int | None]) -> Integers:
    """The true classes; where one is not known, as of an empty line, the class that is taken."""
    pairs = zip(golds, taken.tolist(), strict=True)
    return np.array([best if gold is None else gold for gold, best in pairs], dtype=np.intp)


def _readings(text: str, model: Model) -> dict[Difference, tuple[str, str]]:
    """All differences that a text may name, each with what its sides are called."""
    found: dict[Difference, tuple[str, str]] = {}
    for place, character in enumerate(text):
        if character == SIGN:
            names = text[:place], text[place + 1 :]
            plus, minus = (_side_named(name, model) for name in names)
            if plus is not None and minus is not None:
                found.setdefault(Difference(plus, minus), (names[0].strip(), names[1].strip()))
    return found


def _side_named(given: str, model: Model) -> int | Word | None:
    """What a side names, with what spaces there are, which few labels have, or without."""
    name = given.strip()
    for each in (given, name):
        labelled = model.target_labelled(each)
        if labelled is not None:
            return labelled
    for word in WORDS:
        if name == word:
            return word
    number = whole_number(name)
    return number if number is not None and number < model.targets else None


def _name(difference: Difference, called: tuple[str, str], model: Model) -> str:
    """What can be read as nothing but a difference whose sides are called so."""
    sides = called, tuple(map(str, difference.sides))
    names = [sign.join(each) for each in sides for sign in SIGNS]
    return next((name for name in names if _reads_back(name, difference, model)), names[0])


def _reads_back(name: str, difference: Difference, model: Model) -> bool:
    whole = model.target_labelled(name)
    return whole is None and list(_readings(name, model)) == [difference]


def _check(difference: Difference, text: str, model: Model) -> None:
    """Refuse what is nothing, and words where the model chooses among no classes."""
    if difference.plus == difference.minus:
        raise WrongUsage(
            f"{text!r} has the same score on both sides, and so is 0; expected two different ones.",
            "target",
        )
    decisions = decisions_of_heads(model)
    heads = difference.heads(model)
    for word in WORDS:
        if word not in difference.sides:
            continue
        if not heads or not all(_chooses(decisions[head]) for head in heads):
            raise WrongUsage(
                f"{text!r}: {_why_not(model)}, so there is none that is {word}; name two by label "
                "or number.",
                "target",
            )
    if "gold" in difference.sides and len(model.heads) > 1:
        raise WrongUsage(
            f"{text!r}: the model has several outputs, and no one true class.", "target"
        )


def _why_not(model: Model) -> str:
    if model.regression:
        return "the model predicts values, and chooses no class"
    if model.undecided and set(model.likelihoods) == {"linear"}:
        return "nothing says whether the model predicts classes or values (`task` does)"
    return "that output does not choose among classes of which each has a score or its negative"


def _chooses(decision: Decision | None) -> bool:
    """Whether a head chooses among classes all of which can be explained."""
    return decision is not None and None not in decision.targets


def _head_of(target: int, model: Model) -> int:
    """The head at which a class, or value, stands."""
    if model.binary:
        return 0
    return next(k for k, at in enumerate(model.head_slices) if target < at.stop)
