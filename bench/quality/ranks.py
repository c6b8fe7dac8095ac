"""How well figures predict others."""

import math
import statistics


def ranks(values):
    """From 0; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found, first = [0.0] * len(values), 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for i in order[first:last + 1]:
            found[i] = (first + last) / 2
        first = last + 1
    return found


def spearman(a, b):
    return statistics.correlation(ranks(a), ranks(b)) if len(set(a)) > 1 and len(set(b)) > 1 else math.nan


def agreement(predicted, measured):
    """(Spearman, bias, spread): bias is the geometric mean of predicted / measured less 1, spread the deviation of its logarithm."""
    logs = [math.log(p / m) for p, m in zip(predicted, measured) if p > 0 and m > 0]
    return spearman(predicted, measured), math.exp(statistics.fmean(logs)) - 1, statistics.pstdev(logs)
