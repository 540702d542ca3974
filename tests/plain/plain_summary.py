"""What `lrp summarize` counts, one token at a time, from lists of all there is."""

import statistics
from collections import defaultdict


def tokens_of(result):
    """Each token with its relevance, and whether it is unknown; of a series, its features."""
    for step, amount in enumerate(result.relevance.tolist()):
        if result.tokens is not None:
            total = sum(amount) if isinstance(amount, list) else amount
            yield result.tokens[step], total, step in result.unknown
        elif isinstance(amount, list):
            for feature, value in zip(result.features, amount, strict=True):
                yield feature, value, False


def steps_of(result):
    """The relevance of each step."""
    return [
        sum(amount) if isinstance(amount, list) else amount for amount in result.relevance.tolist()
    ]


def figures_of(results):
    """By token: how often it stands there and is unknown, mean, standard deviation, total."""
    amounts, unknown = defaultdict(list), defaultdict(int)
    for result in results:
        for token, amount, is_unknown in tokens_of(result):
            amounts[token].append(amount)
            unknown[token] += is_unknown
    return {
        token: (
            len(some),
            unknown[token],
            statistics.fmean(some),
            statistics.stdev(some) if len(some) > 1 else None,
            sum(some),
        )
        for token, some in amounts.items()
    }


def by_position(results, place):
    """By place: how many steps stand there, the mean of their relevance, and of its size."""
    amounts = defaultdict(list)
    for result in results:
        steps = steps_of(result)
        for step, amount in enumerate(steps):
            amounts[place(step, len(steps))].append(amount)
    return {
        where: (len(some), statistics.fmean(some), statistics.fmean(map(abs, some)))
        for where, some in amounts.items()
    }


def relative_residual(ledger):
    """A residual relative to the larger of the score and the sum of the shares' sizes."""
    shares = [abs(ledger[name]) for name in ledger if name not in ("score", "residual")]
    scale = max(abs(ledger["score"]), sum(shares))
    return abs(ledger["residual"]) / scale if scale else float(ledger["residual"] != 0)
