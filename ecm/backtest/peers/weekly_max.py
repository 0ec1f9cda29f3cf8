"""The weekly-max rule: last week's load at this time, a little ahead, as a floor under target tracking.

As Grafana Mimir scales its queriers (github.com/grafana/mimir/pull/7775): `max_over_time(load[30m] offset 6d23h30m)`
over the threshold per worker, the maximum with the reactive rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts, Loads
from ecm.backtest.peers.policy import TARGETS, sized
from ecm.backtest.peers.target_tracking import LOW_EC2, Tracking, tracked, tracking_variant
from ecm.backtest.trace import Rules, Trace

WEEK_MIN = 10080


@dataclass(frozen=True)
class WeeklyMax:
    """A floor from a week ago under target tracking, both at the same target utilisation."""

    ahead_min: int = 30
    """How far past this time last week the maximum reaches; both ends of the range count."""
    low_alarm: float = LOW_EC2
    gradual: bool = False
    grid: tuple[float, ...] = TARGETS
    name: str = "weekly max"
    knob: str = "target utilisation"

    @property
    def variant(self) -> str:
        """How far ahead, and target tracking's settings."""
        return f"{self.ahead_min} min ahead, {tracking_variant(self.low_alarm, gradual=self.gradual)}"

    def desired(self, trace: Trace, rules: Rules, first: int) -> Counts:
        """Replay floor and target tracking from the run-in on."""
        floors = sized(weekly_peak(trace, self.ahead_min), self.grid, rules)
        return tracked(trace, rules, first, Tracking(self.grid, self.low_alarm, floors, self.gradual))


def weekly_peak(trace: Trace, ahead_min: int) -> Loads:
    """Return at each row t the largest load of [t - 7 d, t - 7 d + ahead]; 0 where none of it was measured.

    The range never reaches past t itself, whatever `ahead_min` is.
    """
    minute = np.arange(trace.rows) * trace.step_min - WEEK_MIN
    begin, end = minute // trace.step_min, (minute + ahead_min) // trace.step_min
    known = np.where(np.isnan(trace.load), 0.0, trace.load)
    peak = np.zeros(trace.rows)
    for offset in range(int((end - begin).max()) + 1):
        row = begin + offset
        used = (row >= 0) & (row <= end) & (row < np.arange(trace.rows))
        peak = np.maximum(peak, np.where(used, known[np.clip(row, 0, trace.rows - 1)], 0.0))
    return peak
