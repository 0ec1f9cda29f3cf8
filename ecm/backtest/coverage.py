"""How often what came exceeded a stated quantile, over all and by hour of the day."""

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
