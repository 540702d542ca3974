"""How often each class was predicted, as every report has it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lstm_lrp_cli.model.decision import Decision

# How often, by the numbers of the decision and of the class, its place among the decision's.
Taken = Counter[tuple[int, int]]


def predicted_object(decisions: Sequence[Decision], taken: Taken) -> dict[str, Any]:
    """The counts as JSON has them: by class or, where the model has several outputs, by these."""
    counts = [
        {str(decision.classes[place]): count for place, count in _of(number, taken)}
        for number, decision in enumerate(decisions)
    ]
    names = [decision.name for decision in decisions]
    return counts[0] if names == [None] else dict(zip(map(str, names), counts, strict=True))


def predicted_lines(decisions: Sequence[Decision], taken: Taken) -> Iterator[str]:
    """The counts as people read them, a line for each output with any."""
    for number, decision in enumerate(decisions):
        counts = ", ".join(
            f"{class_name(decision.classes[place])}: {count:,}"
            for place, count in _of(number, taken)
        )
        if counts:
            name = f"{decision.name}: " if decision.name else ""
            meaning = meaning_of_one(decision)
            yield f"{name}{counts}{f' ({meaning})' if meaning else ''}"


def class_name(name: str | int) -> str:
    """A class as people read it."""
    return name if isinstance(name, str) else f"class {name}"


def meaning_of_one(decision: Decision) -> str | None:
    """What class 1 of a single score is; None where there are several scores."""
    if decision.one is None:
        return None
    label = f"{decision.one}, " if isinstance(decision.one, str) else ""
    return f"class 1 is {label}a score above 0"


def _of(number: int, taken: Taken) -> list[tuple[int, int]]:
    """How often each class of a decision was predicted, the most frequent first."""
    own = {place: count for (which, place), count in taken.items() if which == number}
    return Counter(own).most_common()
