"""Which explanation of the one side is compared with which of the other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from lstm_lrp_cli.errors import short
from lstm_lrp_cli.results import Result, ResultInput, ResultPart
from .side import ExplainedSequence, Side

# What both sides must have of an explanation: its target and step.
Key = tuple[str | int | None, int | None]


Class = str | int | None


@dataclass(frozen=True, slots=True)
class Scored:
    """One vector of scores by each side: of a sequence, or of one of its steps.

    Parameters
    ----------
    a, b : Result
        The first explanation that has it.
    predicted : list of (class, class)
        The predicted class of each output; none where values are predicted.
    """

    a: Result
    b: Result
    predicted: list[tuple[Class, Class]]


@dataclass(frozen=True, slots=True)
class PairedTokens:
    """One sequence, as both sides have it.

    Parameters
    ----------
    scored : list of Scored
        One for every step that both explain; of a model that gives one vector of scores a sequence,
        one.
    same_tokens : bool
        Whether both cut the sequence into the same tokens; if not, relevance is not compared.
    pairs : list of (Result, Result)
        Explanations of the same target and step.
    alone : int
        Explanations of a target, or step, that the other side does not explain.
    """

    scored: list[Scored]
    same_tokens: bool
    pairs: list[tuple[Result, Result]]
    alone: int


def same_sequences(
    a: Iterator[ExplainedSequence], b: Iterator[ExplainedSequence], sides: tuple[Side, Side]
) -> Iterator[tuple[ExplainedSequence, ExplainedSequence]]:
    """The explanations of one sequence after the other by both sides.

    Raises
    ------
    UnusableInput
        One side lacks a sequence. The error names its place.
    """
    before: str | None = None  # the input of the pair before
    for both in zip_longest(a, b):
        one, other = both
        if one is None or other is None:
            there = one or other
            assert there is not None
            lacking = sides[one is not None]
            raise lacking.ended(there)
        of = one.input if other.input is None else other.input
        if one.number != other.number or one.input not in (of, None):
            # The one that has gone on to another input, or further in the same.
            first, later = sorted(both, key=lambda each: (each.input != before, each.number))
            raise later.side.refused(
                later.first,
                f"is of {later.told}; expected {first.told}, as {first.place} has it: both must "
                "be of the same input",
            )
        yield one, other
        before = of


def matched(
    both: Iterable[tuple[ExplainedSequence, ExplainedSequence]],
    target: str | None,
    *,
    same_input: bool,
) -> Iterator[PairedTokens]:
    """Match the explanations of one sequence after the other.

    Parameters
    ----------
    target : str or None
        The one target whose relevance is compared; None for all.
    same_input : bool
        Whether both are known to be of the same input, so that other tokens are another way to cut
        the same text.

    Raises
    ------
    UnusableInput
        The sequences of one number are not the same.
    """
    for a, b in both:
        same_tokens = _compare_inputs(a, b, same_input)
        by_key = _by_key(a, target), _by_key(b, target)
        common = [key for key in by_key[0] if key in by_key[1]]
        pairs = [(by_key[0][key], by_key[1][key]) for key in common] if same_tokens else []
        alone = sum(map(len, by_key)) - 2 * len(common)
        for one, other in pairs:
            _check_pair(one, other, b.side, a.side)
        yield PairedTokens(_scored(a, b), same_tokens, pairs, alone)


def _compare_inputs(a: ExplainedSequence, b: ExplainedSequence, same_input: bool) -> bool:
    """Whether the tokens of a sequence are the same."""
    one, other = a.first, b.first
    # Parquet has one type for all ids, which is text.
    if None not in (one.id, other.id) and str(one.id) != str(other.id):
        raise b.side.refused(
            other,
            f"has the id {other.id!r}, and {a.place} {one.id!r}; both must be of the same input",
        )
    if None not in (one.label, other.label) and one.label != other.label:
        raise b.side.refused(
            other,
            f"has the label {other.label!r}, and {a.place} {one.label!r}; expected the same labels",
        )
    if not (one.inputs or other.inputs):
        return _compare_input((one, other), a, b, same_input)
    _compare_names(a, b)
    compared = [
        _compare_input(pair, a, b, same_input) for pair in zip(one.parts, other.parts, strict=True)
    ]
    return all(compared)


def _compare_names(a: ExplainedSequence, b: ExplainedSequence) -> None:
    """Refuse results of other inputs."""
    found, expected = (
        ", ".join(part.name if isinstance(part, ResultInput) else "one" for part in each.parts)
        for each in (b.first, a.first)
    )
    if found != expected:
        raise b.side.refused(b.first, f"has the inputs {found}, and {a.place} {expected}")


def _compare_input(
    pair: tuple[ResultPart, ResultPart],
    a: ExplainedSequence,
    b: ExplainedSequence,
    same_input: bool,
) -> bool:
    """Whether the tokens are the same at one input."""
    one, other = pair
    if (one.tokens is None) != (other.tokens is None):
        kinds = ["a numeric series" if each.tokens is None else "text" for each in (other, one)]
        raise b.side.refused(b.first, f"is of {kinds[0]}, and {a.place} of {kinds[1]}")
    if one.tokens == other.tokens and one.features == other.features:
        return True
    if one.tokens is None:
        raise b.side.refused(
            b.first,
            f"has the features {_listed(other.features)}, and {a.place} {_listed(one.features)}",
        )
    if same_input or (a.first.id is not None and b.first.id is not None):
        return False
    raise b.side.refused(
        b.first,
        f"has other tokens than {a.place}: {_first_difference(other, one)}; expected the same "
        "sequence (where models cut it differently, give it an `id` in the input)",
    )


def _by_key(explained: ExplainedSequence, target: str | None) -> dict[Key, Result]:
    """The explanations of a sequence, by what they are of; what has no score is none."""
    found: dict[Key, Result] = {}
    for result in explained.results:
        key = (result.target, result.step)
        if result.target is None or (target is not None and str(result.target) != target):
            continue
        if key in found:
            raise explained.side.refused(
                result,
                f"explains {result.target} of sequence {result.sequence} again; expected one "
                "explanation of each target",
            )
        found[key] = result
    return found


def _scored(a: ExplainedSequence, b: ExplainedSequence) -> list[Scored]:
    """What both sides predict, step by step."""
    of_a, of_b = (_by_step(each.results) for each in (a, b))
    found = []
    for step, results in of_a.items():
        others = of_b.get(step)
        if others is None:
            continue
        _check_scores(results[0], others[0], b.side, a.side)
        one, other = _predicted(results), _predicted(others)
        predicted = [(one[output], other[output]) for output in one if output in other]
        found.append(Scored(results[0], others[0], predicted))
    return found


def _by_step(results: Iterable[Result]) -> dict[int | None, list[Result]]:
    found: dict[int | None, list[Result]] = {}
    for result in results:
        if result.scores:
            found.setdefault(result.step, []).append(result)
    return found


def _predicted(results: Iterable[Result]) -> dict[str | None, Class]:
    """The predicted class at each output that has one, of those that are explained."""
    return {each.output: each.predicted for each in results if each.predicted is not None}


def _check_scores(one: Result, other: Result, side: Side, than: Side) -> None:
    """Refuse scores that are not of the same classes, as far as that can be told."""
    if len(one.scores) != len(other.scores):
        raise side.refused(
            other,
            f"has {len(other.scores)} scores, and {than.place(one)} {len(one.scores)}; "
            "expected scores of the same classes",
        )
    known = None not in (one.predicted, other.predicted)
    if known and type(one.predicted) is not type(other.predicted):
        raise side.refused(
            other,
            f"predicts {other.predicted!r}, and {than.place(one)} {one.predicted!r}: one names "
            "classes and one counts them; expected the same `labels` in both mappings",
        )


def _check_pair(one: Result, other: Result, side: Side, than: Side) -> None:
    """Refuse relevance of different shapes, which no difference of tokens explains."""
    pairs = zip(one.parts, other.parts, strict=True) if one.inputs else ((one, other),)
    for part, another in pairs:
        if len(part.relevance) != len(another.relevance):
            raise side.refused(
                other,
                f"has {len(another.relevance)} steps, and {than.place(one)} "
                f"{len(part.relevance)}; both must be of the same input",
            )


def _listed(features: list[str] | None) -> str:
    return ", ".join(features or ())


def _first_difference(other: ResultPart, one: ResultPart) -> str:
    """The first token that differs."""
    tokens = zip_longest(other.tokens or (), one.tokens or (), fillvalue="")
    place, (found, expected) = next(
        (place, pair) for place, pair in enumerate(tokens) if pair[0] != pair[1]
    )
    return f"{_short(found)} for {_short(expected)} at position {place}"


def _short(token: str) -> str:
    return f"`{short(token)}`" if token else "nothing"
