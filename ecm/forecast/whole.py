"""Scenarios as whole Mbit/s, and the quantiles that they show."""

from __future__ import annotations

import math

import numpy as np

from ecm.forecast.arrays import Values, conformal
from ecm.model.base import MAX_MBPS

TAIL_SHARE = 0.999
TAIL_CAP = 1.5
"""Quantiles beyond the largest scenario reach to P99.9, at most half as much again."""
DECIMALS = 6
"""Values are rounded to this before they are rounded to whole Mbit/s: machines differ in the last bits."""


def whole(values: Values) -> Values:
    """Return whole Mbit/s, none negative."""
    whole: Values = np.clip(np.rint(np.round(values, DECIMALS)), 0, MAX_MBPS)
    return whole


def tail_permille(scenarios: Values) -> int:
    """Return P99.9 over the largest scenario, permille, of the window maximum of one application or of all together.

    Beyond their P90 maxima are taken as exponential (peaks over threshold with shape 0: Coles, An Introduction to
    Statistical Modeling of Extreme Values, 4.2); the largest factor counts, capped.
    """
    count = scenarios.shape[1]
    reach = math.log(1 / (count + 1) / (1 - TAIL_SHARE))
    factor = 1.0
    if reach <= 0:
        return 1000
    for group in (*scenarios, scenarios.sum(axis=0)):
        maxima = np.sort(group.max(axis=1))
        high = float(conformal(maxima, 0.9))
        beyond = maxima[maxima > high]
        if beyond.size:
            factor = max(factor, 1 + reach * float((beyond - high).mean()) / float(maxima[-1]))
    return 1000 + math.ceil(round(1000 * (min(factor, TAIL_CAP) - 1), 3))


def quantiles(values: Values, tail_permille: int) -> tuple[tuple[int, ...], ...]:
    """Return P50, P90 and P99 of every column of whole numbers; beyond what they can show, times the tail factor."""
    ordered = np.sort(values, axis=0).T
    found = []
    for share in (0.5, 0.9, 0.99):
        quantile = conformal(ordered, share).astype(np.int64)
        if math.ceil(round(share * (ordered.shape[-1] + 1), 9)) > ordered.shape[-1]:
            quantile = np.minimum(-(-quantile * tail_permille // 1000), MAX_MBPS)
        found.append(tuple(int(q) for q in quantile))
    return tuple(found)
