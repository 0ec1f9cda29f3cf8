"""How sure a comparison is: paired block bootstrap by day.

Whole days are drawn with replacement, the same days for both sides, so that what a day does to both cancels out and the
dependence within a day stays (Kunsch 1989; blocks of one day as the load repeats daily).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Loads
from ecm.backtest.pareto import Curve, interpolated_violations, violations_at_equal_hours

RESAMPLES = 1000
COVERED = 0.9


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its 90 % interval (percentiles of the resamples)."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Point:
    """One setting of one policy, by day."""

    violated_min: Loads
    """(days,)"""
    node_hours: Loads
    """(days,)"""


def reduction_at_equal_hours(ours: Point, peer: Curve, seed: int, resamples: int = RESAMPLES) -> Interval:
    """Return 1 - ours / peer, of violated minutes at our instance-hours: 1 is none left, below 0 is worse.

    In each resample both sides are totals over the same days and the peer's curve is drawn anew. Both sides count as
    the peer's `floor_min` at least. ValueError where the days differ.
    """
    if ours.violated_min.shape != ours.node_hours.shape or ours.violated_min.shape != peer.violated_min.shape[1:]:
        raise ValueError(f"{peer.name} has {peer.violated_min.shape[1]} days, ours {ours.violated_min.shape}")
    weights = day_weights(ours.violated_min.size, seed, resamples)
    hours = weights @ ours.node_hours
    theirs = interpolated_violations(peer, weights @ peer.node_hours.T, weights @ peer.violated_min.T, hours)
    drawn = 1 - np.maximum(weights @ ours.violated_min, peer.floor_min) / theirs
    at_all = violations_at_equal_hours(peer, float(ours.node_hours.sum()))
    estimate = 1 - max(float(ours.violated_min.sum()), peer.floor_min) / at_all
    low, high = np.quantile(drawn, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return Interval(estimate, float(low), float(high))


def day_weights(days: int, seed: int, resamples: int = RESAMPLES) -> Loads:
    """Return how often each day is drawn, shape (resamples, days); each row sums to `days`."""
    drawn = np.random.default_rng(seed).integers(0, days, size=(resamples, days))
    weights = np.zeros((resamples, days))
    np.add.at(weights, (np.arange(resamples)[:, None], drawn), 1.0)
    return weights
