"""Hourly mean loads, forecast or true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Loads
from ecm.backtest.trace import Trace

HORIZON_H = 48
REFRESH_H = 6


@dataclass(frozen=True, eq=False)
class HourlyForecasts:
    """Forecasts of hourly mean loads, each made at the start of its first hour."""

    first_hour: int
    """Hours since 1970-01-01T00:00Z at the first forecast; a trace's row 0 is in hour `trace.start_minute // 60`."""
    means: Loads
    """(refreshes, hours ahead): row r is made `r * REFRESH_H` hours after the first, of the hours from then on; NaN
    where there is no forecast."""

    def at(self, hours: np.ndarray[tuple[int], np.dtype[np.int64]], ahead: int) -> Loads:
        """Return the forecast of hour `h + ahead` that is the latest at hour h; NaN where there is none."""
        since = hours - self.first_hour
        refresh = np.minimum(since // REFRESH_H, self.means.shape[0] - 1)
        column = since - refresh * REFRESH_H + ahead
        inside = (since >= 0) & (column < self.means.shape[1])
        found = self.means[np.maximum(refresh, 0), np.clip(column, 0, self.means.shape[1] - 1)]
        return np.where(inside, found, np.nan)


def true_hours(trace: Trace) -> HourlyForecasts:
    """Return the forecasts of an oracle: the mean of what is measured in each hour of the trace."""
    hour = (trace.start_minute + np.arange(trace.rows) * trace.step_min) // 60
    first = int(hour[0])
    known = ~np.isnan(trace.load)
    count = np.bincount(hour - first, weights=known)
    total = np.bincount(hour - first, weights=np.where(known, trace.load, 0.0))
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    padded = np.concatenate([means, np.full(HORIZON_H, np.nan)])
    starts = np.arange(0, means.size, REFRESH_H)
    return HourlyForecasts(first, padded[starts[:, None] + np.arange(HORIZON_H)])
