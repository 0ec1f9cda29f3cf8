"""From points of nodes to the load of applications."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from ecm.model.points import Points

GAP: Final = 3
"""A node without points for up to so many intervals was not measured; for longer, it was not there."""


def demand_table(points: Points) -> pd.DataFrame:
    """Return `points`, sorted by series and time, as the rows of a file: one for each application and time.

    The load of an application is the sum over its nodes, a lower bound where one of them is. Where one node has no
    value between two of its points or after its last, for GAP intervals at most, the sum is not known: NaN.
    """
    pairs = sorted({(key.vpn, key.application) for key in points.series})
    where = {pair: i for i, pair in enumerate(pairs)}
    of_series = np.array([where[key.vpn, key.application] for key in points.series], dtype=np.int64)
    owner = of_series[points.index] if len(points) else np.zeros(0, dtype=np.int64)
    parts = [_summed(points, np.flatnonzero(owner == i), pair) for i, pair in enumerate(pairs)]
    columns = ["timestamp", "vpn", "application", "mbps", "saturated"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _summed(points: Points, mine: npt.NDArray[np.int64], pair: tuple[str, str]) -> pd.DataFrame:
    micro, at = np.unique(points.stamps[mine].astype(np.int64), return_inverse=True)
    nodes, row = np.unique(points.index[mine], return_inverse=True)
    values, bounds = points.mbps[mine], points.saturated[mine]
    if len(nodes) > 1:
        grid = np.zeros((len(nodes), len(micro)))
        held = np.zeros(grid.shape, dtype=np.bool_)
        grid[row, at], held[row, at] = values, True
        values = np.where(_unknown(held, micro).any(axis=0), np.nan, grid.sum(axis=0))
        bounds = np.bincount(at, weights=bounds, minlength=len(micro)) > 0
    return pd.DataFrame(
        {
            "timestamp": pd.to_datetime(micro, unit="us", utc=True),
            "vpn": pair[0],
            "application": pair[1],
            "mbps": values,
            "saturated": bounds,
        }
    )


def _unknown(held: npt.NDArray[np.bool_], micro: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return where a node that was there has no point; rows are nodes, columns the instants `micro`."""
    steps, counts = np.unique(np.diff(micro), return_counts=True)
    reach = (GAP + 1) * int(steps[np.argmax(counts)]) if steps.size else 0
    before = np.maximum.accumulate(np.where(held, micro, np.iinfo(np.int64).min // 2), axis=1)
    after = np.minimum.accumulate(np.where(held, micro, np.iinfo(np.int64).max // 2)[:, ::-1], axis=1)[:, ::-1]
    end = np.minimum(after, micro[-1] + (int(steps[np.argmax(counts)]) if steps.size else 0))
    unknown: npt.NDArray[np.bool_] = ~held & (end - before <= reach)
    return unknown
