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
        f"{_what(name, series=series)} {times_text(size.relative)}"
        + (f", most {times_text(size.worst)} (sequence {size.sequence})" * (size.compared > 1))
        for name, size in sizes.by_name.items()
    )


def size_warnings(method: Method, sizes: Sizes, *, series: bool) -> Iterator[str]:
    """What a run warns of: one line for numbers that cancel, one for stabilizers."""
    telling = {name: size for name, size in sizes.by_name.items() if size.tells}
    stabilizers = telling.pop("stabilizers", None)
    if telling:
        name, size = next(iter(telling.items()))
        of = "the ledger's shares" if name == "shares" else f"single {_what(name, series=series)}"
        yield (
            f"by {method.name}, {of} are, by size, over {size.limit:g} times the score "
            f"{_where(size)}: large numbers cancel, so that single ones mean little; "
            "compare with --method occlusion"
        )
    if stabilizers is not None:
        eps = float(method.settings.get("eps", 0.0))
        if telling:
            mend = "a smaller --eps would let still larger numbers through"
        elif eps:
            mend = f"try a smaller --eps, such as {eps / 1000:g}"
        else:
            mend = "sums of exactly 0 let nothing through; compare with --method occlusion"
        unit = _what("tokens", series=series)
        yield (
            f"by {method.name}, stabilizers absorb, by size, over {stabilizers.limit:g} times the "
            f"score {_where(stabilizers)}: single {unit} lack that; {mend}"
        )


def times_text(ratio: float) -> str:
    """A ratio as people read it."""
    return f"{ratio:,.0f}" if 100 <= ratio < 1e6 else f"{ratio:.2g}"


def _where(size: Size) -> str:
    """In how many explanations, and where most."""
    if size.compared == 1:
        return f"({times_text(size.worst)} times, sequence {size.sequence})"
    return (
        f"in {size.large:,} of {counted(size.compared, 'explanation')} "
        f"(most in sequence {size.sequence}: {times_text(size.worst)} times)"
    )


def _what(name: str, *, series: bool) -> str:
    return "stabilizers by size" if name == "stabilizers" else share_name(name, series=series)
