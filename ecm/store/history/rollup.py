"""Points of one day as means over 15 minutes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ecm.model.points import Points

STEP_MIN = 15
_MINUTE = 60_000_000
"""Microseconds."""
_STEP = STEP_MIN * _MINUTE
_DAY = 1440 * _MINUTE
"""Above every distance of two points of one day."""


def rolled(points: Points) -> Points:
    """Return one point for each series and 15 minutes; `points` are sorted, one for each series and time.

    A mean stands where at least half of the 15 minutes was measured, else NaN: the rule by which telemetry averages.
    A lower bound among the points makes the mean one. Points of a series that come every 15 minutes or more seldom stay
    as they are.
    """
    if not len(points):
        return points
    micro = points.stamps.astype(np.int64)
    step = _steps(points.index, micro)[points.index]
    coarse = step >= _STEP
    slot = np.where(coarse, micro, micro // _STEP * _STEP)
    first = np.flatnonzero(np.append(True, (np.diff(points.index) != 0) | (np.diff(slot) != 0)))
    known = ~np.isnan(points.mbps)
    measured = np.add.reduceat(known.astype(np.int64), first)
    sums = np.add.reduceat(np.where(known, points.mbps, 0.0), first)
    whole = np.where(coarse[first], 1, np.maximum(_STEP // step[first], 1))
    enough = (measured * 2 >= whole) & (measured > 0)
    return Points(
        points.series,
        points.index[first],
        slot[first].astype("datetime64[us]"),
        np.where(enough, sums / np.maximum(measured, 1), np.nan),
        np.logical_or.reduceat(points.saturated, first),
    )


def _steps(index: npt.NDArray[np.int32], micro: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the most usual distance between points of each series, microseconds; a single point's is 15 min."""
    steps = np.full(int(index.max()) + 1, _STEP, dtype=np.int64)
    same = np.diff(index) == 0
    gaps, owners = np.diff(micro)[same], index[1:][same]
    if gaps.size:
        pairs, counts = np.unique(owners.astype(np.int64) * _DAY + gaps, return_counts=True)
        order = np.lexsort((-pairs, counts))  # of equally usual distances the shorter one stands last and holds
        steps[pairs[order] // _DAY] = pairs[order] % _DAY
    return steps
