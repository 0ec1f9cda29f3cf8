"""Which steps are history, which are forecast, which are the sizing window, and from where the errors are taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np

from ecm.forecast.arrays import Steps
from ecm.forecast.errors import ForecastError
from ecm.forecast.season import Season
from ecm.model.demand import DemandHistory

MAX_STALE_DAYS = 7
"""Beyond a week without telemetry there is no level to forecast from."""
SCENARIOS = 160
"""Wanted number of past origins: enough to show a P99 (99 would do), few enough to stay fast."""
MIN_SCENARIOS = 40
ORIGIN_DAYS = 28
"""Errors come from the last four weeks, at the present time of day: how wrong a model is depends on the hour. On public
request traces this lowers pinball loss against origins spread over the day by 5 to 30 percent."""
ORIGIN_SPACING_MIN = 45
"""Errors of neighbouring origins say nearly the same; they are this far apart where the history is long enough."""
LEARNING_DAYS = 8
"""History before the first origin: a week, and a day for the level; a third of a shorter history."""


@dataclass(frozen=True)
class Horizon:
    """The grid of one forecast; steps count from the start of the history."""

    start: datetime
    """Of the first forecast step."""
    season: Season
    length: int
    """Steps of history."""
    steps: int
    """Forecast steps."""
    window_first: int
    """First forecast step of the sizing window, counted from 0; the window reaches to the last."""
    lead: int
    """Steps of a lead time, at least one."""

    @classmethod
    def of(cls, history: DemandHistory, as_of: datetime, lead_min: int, hold_min: int) -> Self:
        """Return the horizon for a decision at `as_of`; what was measured after it is not used.

        ForecastError when nothing was measured before `as_of` or the last measurement is more than a week old.
        """
        interval = history.interval_min
        minutes = (as_of - history.start) / timedelta(minutes=1)
        length = min(history.mbps.shape[1], int(minutes // interval))
        start = history.start + timedelta(minutes=interval * length)
        late = (as_of - start) / timedelta(minutes=1)
        if length < 1 or late > MAX_STALE_DAYS * 1440:
            raise ForecastError(
                f"telemetry covers {history.start.isoformat()} to {history.end.isoformat()}, "
                f"nothing in the {MAX_STALE_DAYS} days before {as_of.isoformat()}",
                applications=history.applications,
                remedy="collect newer telemetry",
            )
        steps = int(np.ceil((late + lead_min + hold_min) / interval))
        first = min(int((late + lead_min) // interval), steps - 1)
        return cls(start, Season(interval), length, steps, first, max(1, -(-lead_min // interval)))

    def origins(self) -> Steps:
        """Return the past steps after which forecasts are made for their errors, sorted; none when there are too few.

        They lie around the present time of day on each of the last days, 40 to 160 of them.
        """
        day = self.season.day
        last = self.length - 1 - self.steps
        first = min(LEARNING_DAYS * day, self.length // 3)
        if last - first + 1 < MIN_SCENARIOS:
            return np.empty(0, dtype=np.int64)
        days = min(ORIGIN_DAYS, max(1, (last - first + 1) // day))
        each = -(-SCENARIOS // days)
        for spacing in range(self.season.steps(ORIGIN_SPACING_MIN), 0, -1):
            around = (np.arange(each) - each // 2) * spacing
            centres = self.length - 1 - day * np.arange(1, ORIGIN_DAYS + 1)
            found = np.unique(centres[:, None] + around)
            found = found[(found >= first) & (found <= last)][-SCENARIOS:]
            if len(found) >= MIN_SCENARIOS:
                return found
        return np.arange(last + 1 - min(SCENARIOS, last - first + 1), last + 1)
