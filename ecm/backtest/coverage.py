"""How often what came exceeded a stated quantile, over all and by hour of the day.

Where a load is counted, ties are broken by chance (randomised probability integral transform): a calibrated forecast of
counts cannot be exceeded exactly one time in ten, as no count lies at its P90, but what is returned by `pit` is uniform
if and only if it is calibrated. Czado, Gneiting and Held, Predictive Model Assessment for Count Data (2009), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Loads
from ecm.backtest.bootstrap import COVERED, day_weights

HOURS = 24


@dataclass(frozen=True)
class Exceedance:
    """Share of decisions whose window came to more than the quantile, with its 90 % interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Coverage:
    """Of one quantile."""

    quantile: float
    overall: Exceedance
    by_hour: tuple[Exceedance | None, ...]
    """Of each hour of the day, UTC; None where no decision was made in it."""


def grain(load: Loads) -> float:
    """Return the unit that `load` is counted in: 1 where every measured value is whole, 0 where it is measured."""
    known = load[~np.isnan(load)]
    return 1.0 if known.size and bool((known == np.rint(known)).all()) else 0.0


def pit(ensemble: Loads, came: float, at: float, unit: float = 0.0) -> float:
    """Return where `came` lies in the forecast that `ensemble` (members,) stands for, from 0 to 1.

    `at`, from 0 to 1, says where within the probability of what came: drawn uniformly, the result is uniform for a
    calibrated forecast. `unit`, above 0: the load comes in multiples of it, so members are rounded to these. What came
    counts as one more member, so that the result is exactly uniform where all are exchangeable.
    """
    members = np.rint(ensemble / unit) if unit > 0 else ensemble
    value = np.rint(came / unit) if unit > 0 else came
    below, equal = int((members < value).sum()), int((members == value).sum())
    return (below + at * (equal + 1)) / (members.size + 1)


def coverage(quantile: float, exceeded: Loads, minutes: Loads, seed: int) -> Coverage:
    """Return the coverage of `quantile` from `exceeded` (decisions): 1, 0, or NaN where nothing was measured.

    `minutes` are the decisions' times since 1970. Intervals are percentiles of a block bootstrap by day.
    """
    known = ~np.isnan(exceeded)
    hour = (minutes // 60 % HOURS).astype(np.int64)
    each = tuple(
        _exceedance(exceeded, minutes, known & (hour == h), seed) if (known & (hour == h)).any() else None
        for h in range(HOURS)
    )
    return Coverage(quantile, _exceedance(exceeded, minutes, known, seed), each)


def _exceedance(
    exceeded: Loads, minutes: Loads, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]], seed: int
) -> Exceedance:
    if not chosen.any():
        return Exceedance(float("nan"), float("nan"), float("nan"))
    _, day = np.unique(minutes[chosen] // 1440, return_inverse=True)
    count = np.bincount(day).astype(np.float64)
    over = np.bincount(day, weights=exceeded[chosen])
    weights = day_weights(count.size, seed)
    low, high = np.quantile((weights @ over) / (weights @ count), [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return Exceedance(float(over.sum() / count.sum()), float(low), float(high))
