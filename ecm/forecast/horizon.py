"""Which steps are history, which are forecast, which are the sizing window, and when models are fitted again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np

from ecm.forecast.arrays import Steps
from ecm.forecast.errors import ForecastError
from ecm.forecast.season import Season
from ecm.model.demand import DemandHistory

MAX_STALE_DAYS = 7
"""Beyond a week without telemetry there is no level to forecast from."""
ERROR_DAYS = 28
"""Errors come from the last four weeks: every hour of the week four times, and still what the load is like now."""
MAX_ORIGINS = 8064
"""Past origins at most: 28 days of 5 min. Finer grids take every second, third, ... one."""
MIN_ORIGINS = 40
LEARNING_DAYS = 8
"""History before the first origin: a week, and a day for the level; a third of a shorter history."""
YOUNG_DAYS = 2
"""While a series is younger than this all are fitted again every hour, else every day."""
HOLD_BACK_MIN = 20
"""What the forecasts of the last 20 minutes asked for still counts: what a node costs while it starts and stops (5 min
boot, 5 min billed after) buys as many minutes of keeping it, and who waits that long pays at most twice the optimum
(ski rental: Karlin et al., Competitive Snoopy Caching, 1988). On public traces 10 to 30 min cost the same hours at
equal violations and save up to two thirds of the node changes."""


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
    fitted: int
    """Steps of history that models are fitted on: those that had ended by the last refit."""
    refit: int
    """Step before which models are fitted again."""

    @classmethod
    def of(cls, history: DemandHistory, as_of: datetime, lead_min: int, hold_min: int) -> Self:
        """Return the horizon for a decision at `as_of`; what was measured after it is not used.

        ForecastError when nothing was measured before `as_of` or the last measurement is more than a week old.
        """
        interval = history.interval_min
        minutes = (as_of - history.start) / timedelta(minutes=1)
        length = min(history.mbps.shape[1], int(minutes // interval))
        start = history.start + timedelta(minutes=interval * length)
        late = stale(history, as_of, length)
        steps = int(np.ceil((late + lead_min + hold_min) / interval))
        first = min(int((late + lead_min) // interval), steps - 1)
        fitted, refit = _epoch(history, length)
        season = Season(interval)
        return cls(start, season, length, steps, first, max(1, -(-lead_min // interval)), fitted, refit)

    @property
    def back(self) -> int:
        """Steps for which earlier forecasts still count."""
        return -(-HOLD_BACK_MIN // self.season.interval_min)

    def origins(self) -> Steps:
        """Return the past steps after which forecasts are made for their errors, sorted; none when there are too few.

        Their windows had been measured by the last refit. They lie on one grid over the whole history, so that from one
        refit to the next most of them stay.
        """
        day = self.season.day
        last = self.fitted - 1 - self.steps
        first = max(min(LEARNING_DAYS * day, self.fitted // 3), self.fitted - ERROR_DAYS * day)
        if last - first + 1 < MIN_ORIGINS:
            return np.empty(0, dtype=np.int64)
        stride = max(1, min(-(-ERROR_DAYS * day // MAX_ORIGINS), (last - first + 1) // MIN_ORIGINS))
        return np.arange(-(-first // stride) * stride, last + 1, stride)

    def present(self) -> Steps:
        """Return the origins whose forecasts count now, latest first: this one and those of the hold-back time."""
        return np.asarray(np.maximum(self.length - 1 - np.arange(self.back + 1), 0), dtype=np.int64)


def stale(history: DemandHistory, as_of: datetime, length: int) -> float:
    """Return the minutes from the end of the first `length` steps to `as_of`; ForecastError beyond a week."""
    start = history.start + timedelta(minutes=history.interval_min * length)
    late = (as_of - start) / timedelta(minutes=1)
    if length < 1 or late > MAX_STALE_DAYS * 1440:
        raise ForecastError(
            f"telemetry covers {history.start.isoformat()} to {history.end.isoformat()}, "
            f"nothing in the {MAX_STALE_DAYS} days before {as_of.isoformat()}",
            applications=history.applications,
            remedy="collect newer telemetry",
        )
    return late


def _epoch(history: DemandHistory, length: int) -> tuple[int, int]:
    """Return how many steps had ended by the last refit, and by the next one.

    Refits are at midnight UTC, at every full hour of days that begin while a series is younger than two days: who plans
    at any time of a day rests on the same fit, whether it was kept or is made again.
    """
    start, interval_min = history.start, history.interval_min
    now = start + timedelta(minutes=interval_min * length)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    grown = int((midnight - start) // timedelta(minutes=interval_min)) - YOUNG_DAYS * 1440 // interval_min
    period = timedelta(hours=1) if _any_begun_after(history, grown, length) else timedelta(days=1)
    last = midnight + period * int((now - midnight) // period)
    fitted = (last - start) // timedelta(minutes=interval_min)
    following = (last + period - start) // timedelta(minutes=interval_min)
    return (int(fitted), int(following)) if fitted > 0 else (length, length + 1)


def _any_begun_after(history: DemandHistory, grown: int, length: int) -> bool:
    """Return whether the first value of any series lies in the steps (grown, length)."""
    measured = ~np.isnan(history.mbps[:, :length])
    first = np.where(measured.any(axis=1), np.argmax(measured, axis=1), -1)
    return bool((first > grown).any()) if grown >= 0 else bool((first >= 0).any())
