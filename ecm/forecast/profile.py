"""What a series usually does at a time of the week: the base that levels and regressions start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecm.forecast.arrays import Steps, Values, seasonal_mean, smoothed

WEEKS = 4
WEEK_DECAY = 0.7
DAYS = 7
DAY_DECAY = 0.8
"""How many seasons count, and the weight of each against the one after it."""


@dataclass(frozen=True)
class Profile:
    """Usual values from past weeks and, where no past week was measured, from past days."""

    week: Values
    """The same time of the last weeks, of the last days where no week was measured."""
    day: Values
    """The same time of the last days."""


def profile(values: Values, steps: Steps, seasons: tuple[int, int], *, reach: int, ahead: int) -> Profile:
    """Return the usual values at `steps`, shape (series, *steps.shape).

    `seasons` are day and week in steps. Nothing later than `ahead` + `reach` steps before a step is used, so a forecast
    of up to `ahead` steps from any origin sees no value after it. Values are smoothed over `reach` steps either side:
    the usual load does not jump from step to step, the measured one does.
    """
    day, week = seasons
    smooth = smoothed(values, reach)
    first_day = -(-(ahead + reach) // day)
    first_week = -(-(ahead + reach) // week)
    days = seasonal_mean(smooth, steps, [day * k for k in range(first_day, first_day + DAYS)], DAY_DECAY)
    weeks = seasonal_mean(smooth, steps, [week * k for k in range(first_week, first_week + WEEKS)], WEEK_DECAY)
    return Profile(np.where(np.isnan(weeks), days, weeks), days)
