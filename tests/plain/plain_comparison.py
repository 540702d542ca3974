"""What `lrp compare` tells, one pair of explanations and one token at a time."""

import statistics
from collections import defaultdict

import numpy as np
from plain_evaluation import rank_correlation


def amounts_of(one, other):
    """Each token or feature, where there are names, with its relevance by both."""
    finely = one.tokens is None and one.relevance.ndim == other.relevance.ndim == 2
    for step in range(len(one.relevance)):
        values = [np.atleast_1d(each.relevance[step]).tolist() for each in (one, other)]
        if finely:
            yield from zip(one.features, *values, strict=True)
        else:
            yield one.tokens[step] if one.tokens else None, *map(sum, values)


def correlation(a, b):
    """Pearson's; None where there is none."""
    if len(a) < 3 or len(set(a)) == 1 or len(set(b)) == 1:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def correlations(pairs, of_ranks):
    """Of every pair that has one."""
    for one, other in pairs:
        a, b = zip(*([(x, y) for _, x, y in amounts_of(one, other)] or [((), ())]), strict=True)
        found = correlation(list(a), list(b))
        if found is not None:
            yield rank_correlation(list(a), list(b)) if of_ranks else found


def differences(numbers):
    """The count, mean and largest difference, and the largest relative to the first over 1."""
    apart = [abs(b - a) for a, b in numbers]
    relative = [abs(b - a) / max(1, abs(a)) for a, b in numbers]
    return (
        len(apart),
        statistics.fmean(apart or [0]),
        max(apart, default=0),
        max(relative, default=0),
    )


def token_differences(pairs):
    """By token or feature: count, mean absolute difference, mean by A, mean by B."""
    found = defaultdict(list)
    for one, other in pairs:
        for name, a, b in amounts_of(one, other):
            if name is not None:
                found[name].append((abs(b - a), a, b))
    return {
        name: (len(some), *map(statistics.fmean, zip(*some, strict=True)))
        for name, some in found.items()
    }


def quantile(values, percent):
    """The lowest value that at least so many hundredths of all are no higher than."""
    ordered = sorted(values)
    return next(value for k, value in enumerate(ordered, 1) if 100 * k >= percent * len(ordered))
