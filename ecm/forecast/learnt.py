"""Forecasts of one model from many origins, with parameters learnt before each of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.wallclock import WallClock


@dataclass(frozen=True)
class PanelPaths:
    """Series of one time zone, and the origins to forecast them from."""

    clock: WallClock
    values: Values
    origins: Steps
    steps: int

    def paths(self, forecaster: PanelForecaster, refits: list[int]) -> Values:
        """Return the forecasts of all origins; a model with parameters has learnt them before the last of `refits`."""
        if type(forecaster).learn is PanelForecaster.learn:
            return self.clock.paths(forecaster, self.values, self.origins, self.steps)
        found = np.full((len(self.values), len(self.origins), self.steps), np.nan)
        for first, after in pairwise([*refits, int(self.origins[-1]) + 2]):
            mine = (self.origins >= first - 1) & (self.origins < after - 1)
            if not mine.any():
                continue
            learnt = self.clock.learn(forecaster, self.values[:, :first])
            values = self.values[:, : int(self.origins[mine][-1]) + 1]
            found[:, mine] = self.clock.paths(forecaster, values, self.origins[mine], self.steps, learnt)
        return found


def refits(start: datetime, interval_min: int, days: int, steps: int) -> list[int]:
    """Return the steps before which a model learns: every `days` days of the calendar, counted from 1970, at midnight.

    Tied to the calendar, not to the history, so that all who forecast rest on the same parameters.
    """
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first = -(-(start - epoch) // timedelta(days=days))
    found: list[int] = []
    while True:
        step = -(-(epoch + timedelta(days=days * first) - start) // timedelta(minutes=interval_min))
        if step >= steps:
            return found
        if step > 1:
            found.append(int(step))
        first += 1
