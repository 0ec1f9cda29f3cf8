"""The usual load of a step as it was known some days before it, for models that forecast every horizon directly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.forecast.arrays import Steps, Values, trailing_mean
from ecm.forecast.panel import held
from ecm.forecast.profile import profile

SMALLEST = 1e-9
"""A mean load below this share of the series' largest value is rounding of running sums, not load."""


@dataclass(frozen=True)
class Usual:
    """Usual loads of every step of a panel, by whole days between origin and target; nothing in it sees its future.

    A step that lies up to one day (less `reach`) after the origin can be compared with the day before it, one that lies
    up to two days after it with the day before that, and so on: so a forecast does not depend on how many steps are
    asked for besides it.
    """

    week: tuple[Values, ...]
    """Per day ahead, (series, time + days ahead): the same time of the last weeks; days where no week was measured."""
    day: tuple[Values, ...]
    """The same time of the last days."""
    held: Values
    """(series, time): the latest measured value; NaN before the first."""
    unit: Values
    """(series, time): mean load of the last week, 1 where it is 0: what makes series of all sizes alike."""
    day_steps: int
    reach: int

    @classmethod
    def of(cls, values: Values, seasons: tuple[int, int], *, reach: int, ahead: int) -> Usual:
        """Return the usual loads for horizons up to `ahead`; `seasons` are day and week in steps.

        `reach`: steps either side over which the usual load is smoothed; less than half a day.
        """
        day, week = seasons
        steps = np.arange(values.shape[1] + ahead)
        days = range(1, 2 + (ahead + reach - 1) // day)
        known = [profile(values, steps, seasons, reach=reach, ahead=day * k - reach) for k in days]
        latest = held(values, np.arange(values.shape[1]))
        measured = np.maximum.accumulate(~np.isnan(values), axis=1)
        size = trailing_mean(np.abs(values), week)
        least = SMALLEST * np.maximum.accumulate(np.abs(latest), axis=1)
        return cls(
            week=tuple(k.week for k in known),
            day=tuple(k.day for k in known),
            held=np.where(measured, latest, np.nan),
            unit=np.where(size > least, size, 1.0),
            day_steps=day,
            reach=reach,
        )

    def days_ahead(self, ahead: Steps) -> Steps:
        """Return how many days back of a target the latest comparable one lies, 1 or more, for horizons `ahead`."""
        return (ahead + self.reach - 1) // self.day_steps + 1
