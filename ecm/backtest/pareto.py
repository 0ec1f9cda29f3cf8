"""Curves of violated minutes against instance-hours, and comparisons at equal hours or equal violations.

Only the lower left edge of a curve counts: the points that no other point beats in both. Between neighbours of the edge
the logarithm of the violated minutes is linear in the hours, as violations fall roughly exponentially with headroom.
Past its ends nothing is extrapolated in anyone's disfavour: more hours than the dearest point has buy no fewer
violations than it, and a curve is credited with its cheapest point at fewer hours too.

No violation seen is not no violation: every value is at least `floor_min`, half a step by convention, the continuity
correction of a count of whole steps of which none was seen. So nobody's ratio is 0 or infinite, and two curves without
a violation are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Flags, Loads


@dataclass(frozen=True, eq=False)
class Curve:
    """The points of one policy's sweep, by day."""

    name: str
    labels: tuple[str, ...]
    """Setting of each point, such as `window 15 min, target utilisation 0.7`."""
    violated_min: Loads
    """(points, days)"""
    node_hours: Loads
    """(points, days)"""
    floor_min: float
    """Least violated minutes that a total counts as: half a step."""

    def __post_init__(self) -> None:
        if self.violated_min.shape != self.node_hours.shape or len(self.labels) != self.violated_min.shape[0]:
            raise ValueError(f"curve {self.name}: labels, violations and hours differ in shape")
        if self.violated_min.size == 0 or not self.floor_min > 0:
            raise ValueError(f"curve {self.name}: needed are one point, one day and a floor above 0")

    def totals(self) -> tuple[Loads, Loads]:
        """Return instance-hours and violated minutes of each point over all days."""
        return self.node_hours.sum(axis=1), self.violated_min.sum(axis=1)


def edge(hours: Loads, violated: Loads) -> Flags:
    """Return which points nobody beats: none has fewer violations for as many hours, nor as many for fewer.

    Shape (..., points); of equal points one stays.
    """
    order = np.lexsort((violated, hours), axis=-1)
    sorted_violated = np.take_along_axis(violated, order, axis=-1)
    best = np.minimum.accumulate(sorted_violated, axis=-1)
    before = np.concatenate([np.full((*best.shape[:-1], 1), np.inf), best[..., :-1]], axis=-1)
    kept = np.zeros(hours.shape, dtype=np.bool_)
    np.put_along_axis(kept, order, sorted_violated < before, axis=-1)
    return kept


def violations_at_equal_hours(curve: Curve, hours: float) -> float:
    """Return the violated minutes of `curve` at `hours` instance-hours in total, at least its floor."""
    have, violated = curve.totals()
    return float(np.exp(_interpolated(have, _log(violated, curve), np.array(hours))))


def hours_at_equal_violations(curve: Curve, violated_min: float) -> float:
    """Return the instance-hours that `curve` needs for `violated_min` violated minutes in total.

    Where no point is as good, the hours of its best point: what it needs at least.
    """
    have, violated = curve.totals()
    asked = _log(np.array(violated_min), curve)
    return float(_interpolated(_log(violated, curve), have, asked))


def interpolated_violations(curve: Curve, hours: Loads, violated: Loads, at: Loads) -> Loads:
    """Return the violated minutes at the hours `at` (samples,) of totals of shape (samples, points)."""
    return np.exp(_interpolated(hours, _log(violated, curve), at))


def _log(violated: Loads, curve: Curve) -> Loads:
    return np.log(np.maximum(violated, curve.floor_min))


def _interpolated(x: Loads, y: Loads, at: Loads) -> Loads:
    """Return y at `at`, shape (...), linear between neighbours of the lower left edge of points (..., points)."""
    kept = edge(x, y)
    below = np.where(kept & (x <= at[..., None]), x, -np.inf)
    above = np.where(kept & (x > at[..., None]), x, np.inf)
    low, high = below.argmax(axis=-1), above.argmin(axis=-1)
    none_below, none_above = np.isneginf(below.max(axis=-1)), np.isposinf(above.min(axis=-1))
    low = np.where(none_below, high, low)
    high = np.where(none_above, low, high)
    x_low, x_high = _at(x, low), _at(x, high)
    share = np.where(low == high, 0.0, (at - x_low) / np.where(low == high, 1.0, x_high - x_low))
    y_low: Loads = _at(y, low)
    return y_low + share * (_at(y, high) - y_low)


def _at(values: Loads, index: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Loads:
    found: Loads = np.take_along_axis(values, index[..., None], axis=-1)[..., 0]
    return found
