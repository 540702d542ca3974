"""What people are told of predictions, relevance, ledgers and methods, and in which words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Several
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_lrp_cli.engine.methods.method import Method
from lstm_lrp_cli.engine.records import Ledger
from lstm_lrp_cli.explaining.explanation import ExplainedInput, Explanation
from lstm_lrp_cli.explaining.shown import size_name, times_text, told_shares
from lstm_lrp_cli.explaining.sizes import Size, Sizes
from lstm_lrp_cli.inputs.batching import cut_off
from lstm_lrp_cli.inputs.sequence import Part
from lstm_lrp_cli.inputs.tokens import SKIPPED
from lstm_lrp_cli.model import Floats
from lstm_lrp_cli.model.decision import Decision
from lstm_lrp_cli.model.model import Input, Model
from .numbers import counted, decimal

if TYPE_CHECKING:
    from lstm_lrp_cli.statistics.tokens import Dropped

# How often, by the numbers of the decision and of the class, its place among the decision's.
Taken = Counter[tuple[int, int]]


def predicted_object(decisions: Several[Decision], taken: Taken) -> dict[str, Any]:
    """The counts as JSON has them: by class or, where the model has several outputs, by these."""
    counts = [
        {str(decision.classes[place]): count for place, count in _of(number, taken)}
        for number, decision in enumerate(decisions)
    ]
    names = [decision.name for decision in decisions]
    return counts[0] if names == [None] else dict(zip(map(str, names), counts, strict=True))


def predicted_lines(decisions: Several[Decision], taken: Taken) -> Iterator[str]:
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


# What the steps are called that a model passes over.
MASKED, LEFT_OUT, CUT_OFF = "masked", "left out", "cut off"
# In series, what stands for them.
NOT_READ = "_"


def why_missing(part: Part, read: Input) -> list[str]:
    """What each token is called if it has no relevance, since the model passes over it."""
    left_out, cut = part.inputs == SKIPPED, cut_off(part.inputs, read.padding)
    named: list[str] = np.select([left_out, cut], [LEFT_OUT, CUT_OFF], MASKED).tolist()
    return named


def what_is_missing(model: Model) -> str:
    """What all steps are called that a model may pass over."""
    return " or ".join(
        [*[MASKED] * model.masks, *[LEFT_OUT] * model.leaves_out, *[CUT_OFF] * model.cuts]
    )


def by_feature(part: ExplainedInput) -> tuple[Several[str], Floats]:
    """The features of a series, and their relevance, shape (steps, features).

    Of whole steps, it is that of all features together, shape (steps, 1).
    """
    if part.relevance.ndim == 1:
        return ("all features",), part.relevance[:, np.newaxis]
    return part.features or (), part.relevance


def named_amounts(part: ExplainedInput) -> tuple[Several[str], Floats]:
    """What tables for people are of, and how much relevance each has: tokens, features, or steps.

    They are steps where nothing finer is known of a series.
    """
    if part.tokens is not None:
        return part.tokens, part.relevance_of_steps
    if part.relevance.ndim == 1:
        return part.step_names, part.relevance
    return part.features or (), np.nansum(part.relevance, axis=0)


def all_named_amounts(explanation: Explanation) -> tuple[Several[str], Floats]:
    """The same of all inputs together, where there are several behind their names."""
    parts = explanation.parts
    if len(parts) == 1:
        return named_amounts(parts[0])
    found = [(part, *named_amounts(part)) for part in parts]
    names = [part.named(name) for part, own, _ in found for name in own]
    return names, np.concatenate([amounts for _, _, amounts in found])


def strongest(relevance: Floats, top: int) -> NDArray[np.signedinteger[Any]]:
    """The places of the largest absolute values, of equal ones the first, strongest first.

    What is missing (NaN) is not among them.
    """
    there = int(np.count_nonzero(~np.isnan(relevance)))
    return np.argsort(-np.abs(relevance), kind="stable")[: min(top, there)]


def for_and_against(amounts: Floats, most: int) -> tuple[list[int], list[int]]:
    """The places of the largest amounts above 0, and of the lowest below, strongest first.

    What is missing (NaN) is neither.
    """
    order = np.argsort(-amounts, kind="stable").tolist()
    above = [k for k in order if amounts[k] > 0][:most]
    below = [k for k in order[::-1] if amounts[k] < 0][:most]
    return above, below


def shown_shares(explanation: Explanation, ledger: Ledger, *, series: bool) -> list[str]:
    """A ledger's shares in decimals, as `told_shares` has them."""
    return told_shares(explanation, ledger, lambda amount: decimal(amount, 3, "+"), series=series)


def sizes_text(sizes: Sizes, *, series: bool) -> str:
    """How many times all scores each size is, and how many times at most."""
    return "times the score: " + "; ".join(
        f"{size_name(name, series=series)} {times_text(size.relative)}{_most(size)}"
        for name, size in sizes.by_name.items()
    )


def size_warnings(method: Method, sizes: Sizes, *, series: bool) -> Iterator[str]:
    """What a run warns of, in one line for each method: numbers that cancel, or stabilizers."""
    telling = {name: size for name, size in sizes.by_name.items() if size.tells}
    stabilizers = telling.pop("stabilizers", None)
    unit, eps = size_name("tokens", series=series), float(method.settings.get("eps", 0.0))
    if telling:
        name, size = next(iter(telling.items()))
        what = "the ledger's shares" if name == "shares" else f"single {unit}"
        also = ""
        if stabilizers is not None:
            also = f", and so are stabilizers, {_where(stabilizers)}"
            also += " (which a smaller --eps lowers)" if eps else ""
        yield (
            f"by {method.name}, {what} are large beside the score by size, {_where(size)}{also}: "
            "the score is what is left as they cancel, so take single ones with care; "
            "compare with --method occlusion"
        )
    elif stabilizers is not None:
        mend = (
            f"try a smaller --eps, such as {eps / 1000:g}"
            if eps
            else "sums of exactly 0 let nothing through; compare with --method occlusion"
        )
        yield (
            f"by {method.name}, stabilizers are large beside the score by size, "
            f"{_where(stabilizers)}: single {unit} lack that; {mend}"
        )


def _most(size: Size) -> str:
    """Of several explanations, where it is most, and in how many it is large."""
    if size.compared < 2:
        return ""
    large = f"over {size.limit:g} in {size.large:,}, " if size.large else ""
    return f" ({large}most {times_text(size.worst)}: sequence {size.sequence})"


def _where(size: Size) -> str:
    """Beyond what in how many explanations, and where most."""
    if size.compared == 1:
        return f"{times_text(size.worst)} times (sequence {size.sequence})"
    return (
        f"over {size.limit:g} times in {size.large:,} of {counted(size.compared, 'explanation')} "
        f"(most {times_text(size.worst)}: sequence {size.sequence})"
    )


def settings_object(method: Method) -> dict[str, Any]:
    """A method and what it was set to, as JSON has them."""
    return {"method": method.name, **method.settings}


def method_text(method: Method) -> str:
    """A method and what it was set to, as people read them."""
    settings = [f"{name.replace('_', ' ')} {shown(v)}" for name, v in method.settings.items()]
    return ", ".join([method.name, *settings])


def shown(setting: Any) -> str:
    """A setting as people read it."""
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


# How many digits the largest number of a column is shown with.
DIGITS = 4


def signed(values: Iterable[float]) -> Callable[[float], str]:
    """How the numbers of a column are shown: with one number of decimals, so that they align."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    whole = math.floor(math.log10(largest)) + 1 if largest else 1
    decimals = max(DIGITS - max(whole, 1), 0) if largest >= 1e-3 else None
    return lambda value: (
        f"{value:+.{DIGITS - 1}g}" if decimals is None else f"{value:+,.{decimals}f}"
    )


def dropped_note(dropped: Dropped) -> str:
    """What the user must know where figures are not exact."""
    return (
        f"there were too many different tokens to keep: {dropped.tokens:,} times a rare one was "
        f"dropped, so counts may be too low by at most {dropped.missing:,}"
    )


def percent(share: float | None) -> str:
    """A part of a whole as people read it; a dash where it is of nothing."""
    return "-" if share is None else f"{100 * share:.1f} %"
