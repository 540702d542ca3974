"""Why an account that closes is not to be believed all the same, in words."""

from __future__ import annotations

from collections.abc import Iterator

from lstm_lrp_cli.checking.sizes import Size, Sizes, large_sizes
from lstm_lrp_cli.engine.method import Method
from lstm_lrp_cli.reporting.numbers import counted
from lstm_lrp_cli.reporting.printable import share_name
from lstm_lrp_cli.sequences.explanation import Explanation


def doubts(explanation: Explanation, *, series: bool) -> list[str]:
    """What of one explanation is large beside its score, as in "shares 63 times the score"."""
    return [
        f"{_what(name, series=series)} {times_text(ratio)} times the score"
        for name, ratio in large_sizes(explanation).items()
    ]


def sizes_text(sizes: Sizes, *, series: bool) -> str:
    """How many times all scores each size is, and how many times at most."""
    return "times the score: " + "; ".join(
        f"{_what(name, series=series)} {times_text(size.relative)}{_most(size)}"
        for name, size in sizes.by_name.items()
    )


def size_warnings(method: Method, sizes: Sizes, *, series: bool) -> Iterator[str]:
    """What a run warns of, in one line for each method: numbers that cancel, or stabilizers."""
    telling = {name: size for name, size in sizes.by_name.items() if size.tells}
    stabilizers = telling.pop("stabilizers", None)
    unit, eps = _what("tokens", series=series), float(method.settings.get("eps", 0.0))
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


def times_text(ratio: float) -> str:
    """A ratio as people read it."""
    return f"{ratio:,.0f}" if 100 <= ratio < 1e6 else f"{ratio:.2g}"


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


def _what(name: str, *, series: bool) -> str:
    return "stabilizers by size" if name == "stabilizers" else share_name(name, series=series)
