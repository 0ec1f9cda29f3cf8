"""AWS predictive scaling over target tracking; its forecasts are given, since AWS does not publish its model.

Rule: docs.aws.amazon.com/autoscaling/ec2/userguide/predictive-scaling-policy-overview.html. Hourly forecasts for 48 h,
made anew every 6 h; at the start of each hour, or `buffer_min` before it (SchedulingBufferTime), the group is raised to
the capacity forecast for the hour; it is never lowered by a forecast; with another policy the maximum counts. While an
hour's buffer overlaps the hour before, the larger of both counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.backtest.arrays import Counts, Loads
from ecm.backtest.peers.hourly import HourlyForecasts
from ecm.backtest.peers.policy import TARGETS, sized
from ecm.backtest.peers.target_tracking import LOW_EC2, Tracking, tracked, tracking_variant
from ecm.backtest.trace import Rules, Trace


@dataclass(frozen=True, eq=False)
class AwsPredictive:
    """Forecast and scale, with target tracking at the same target utilisation.

    With true hourly means as forecasts (`true_hours`) it is an oracle: it sees the rest of the hour, and beats whatever
    AWS's own model could forecast.
    """

    forecasts: HourlyForecasts
    buffer_min: int = 5
    low_alarm: float = LOW_EC2
    gradual: bool = False
    grid: tuple[float, ...] = TARGETS
    name: str = "AWS predictive scaling"
    knob: str = "target utilisation"

    def __post_init__(self) -> None:
        if not 0 <= self.buffer_min < 60:
            raise ValueError(f"buffer_min is {self.buffer_min}; AWS allows 0 to less than 60 minutes")

    @property
    def variant(self) -> str:
        """The buffer and target tracking's settings."""
        return f"buffer {self.buffer_min} min, {tracking_variant(self.low_alarm, gradual=self.gradual)}"

    def desired(self, trace: Trace, rules: Rules, first: int) -> Counts:
        """Replay floor and target tracking from the run-in on."""
        every = rules.period(trace.step_min) * trace.step_min
        floors = sized(planned_load(trace, self.forecasts, self.buffer_min, every), self.grid, rules)
        return tracked(trace, rules, first, Tracking(self.grid, self.low_alarm, floors, self.gradual))


def planned_load(trace: Trace, forecasts: HourlyForecasts, buffer_min: int, every_min: int) -> Loads:
    """Return at each row the forecast to launch for; NaN where there is none.

    A launch falls on the last decision, `every_min` apart, that is no later than the buffer before its hour. With
    coarse rows that is early, never late.
    """
    minute = trace.start_minute + np.arange(trace.rows) * trace.step_min
    hour = minute // 60
    now, following = forecasts.at(hour, 0), forecasts.at(hour, 1)
    launches = minute + every_min > (hour + 1) * 60 - buffer_min
    return np.where(launches, np.fmax(now, following), now)
