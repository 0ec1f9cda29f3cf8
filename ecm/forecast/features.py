"""What is known when a forecast is made, as rows of numbers in units of each series' own mean load."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Steps, Values, trailing_mean
from ecm.forecast.usual import Usual

SMALLEST = 1e-9
"""Load below which a usual load counts as none."""
LEVELS = (0.1, 10.0)
"""Bounds of present over usual level: what lies outside is a fault of measurement, not a level."""


FADE_HOURS = 4.0
"""An unusual level falls to 1/e of its distance in so many hours; see ecm/forecast/models/seasonal_level.py."""
TIME_OF_WEEK = (-4, -2)
"""Columns of `rows` that tell the time of the week."""


class Asked(NamedTuple):
    """Forecasts that are wanted: three arrays of one shape."""

    series: Steps
    origin: Steps
    ahead: Steps


class Known(NamedTuple):
    """What is known of a panel at every step, (series, time) each; NaN where nothing was measured."""

    values: Values
    usual: Usual
    residual: Values
    """From the usual load of the step, as it was known a day before."""
    residual_hour: Values
    """Mean of the last hour, this step included."""
    residual_day: Values
    size: Values
    """Mean absolute residual of the last day."""
    hour: Values
    """Mean load of the last hour."""
    today: Values
    """Mean load of the last day."""
    hour_steps: int

    @classmethod
    def of(cls, values: Values, usual: Usual, hour: int) -> Known:
        """Return what is known at every step of `values` (series, time); `hour` in steps."""
        residual = values - usual.week[0][:, : values.shape[1]]
        day = usual.day_steps
        return cls(
            values=values,
            usual=usual,
            residual=residual,
            residual_hour=_recent(residual, hour),
            residual_day=_recent(residual, day),
            size=_recent(np.abs(residual), day),
            hour=_recent(values, hour),
            today=_recent(values, day),
            hour_steps=hour,
        )

    def level(self, asked: Asked) -> Values:
        """Return load over usual load of the hour up to the origins, within bounds; 1 where it is not known."""
        hour = self.hour[asked.series, asked.origin]
        usual = np.maximum(hour - self.residual_hour[asked.series, asked.origin], SMALLEST)
        level = np.clip(hour / usual, *LEVELS)
        return np.where(np.isnan(level), 1.0, level)

    def base(self, asked: Asked) -> Values:
        """Return the usual load of the targets at the present level, which fades to the usual one.

        The latest value where nothing is usual yet; NaN where nothing was measured.
        """
        week = _by_days(self.usual, self.usual.week, asked)
        fade = np.exp(-asked.ahead / (FADE_HOURS * self.hour_steps))
        latest = self.usual.held[asked.series, asked.origin]
        return np.where(np.isnan(week), latest, week * (1 + (self.level(asked) - 1) * fade))


def _recent(values: Values, length: int) -> Values:
    measured = trailing_mean(np.where(np.isnan(values), 0.0, 1.0), length) > 0
    return np.where(measured, trailing_mean(values, length), np.nan)


def _by_days(usual: Usual, known: tuple[Values, ...], asked: Asked) -> Values:
    """Return the usual loads of the targets, each as it was known at its origin."""
    found = np.full(asked.ahead.shape, np.nan)
    days = usual.days_ahead(asked.ahead)
    for day, values in enumerate(known, start=1):
        mine = days == day
        found[mine] = values[asked.series[mine], (asked.origin + asked.ahead)[mine]]
    return found


def at(values: Values, series: Steps, step: Steps) -> Values:
    """Return `values[series, step]`; NaN where the step lies outside."""
    inside = (step >= 0) & (step < values.shape[1])
    return np.where(inside, values[series, np.clip(step, 0, values.shape[1] - 1)], np.nan)


def rows(known: Known, asked: Asked, week_steps: int) -> Values:
    """Return the features of every forecast asked for, (forecasts, features), NaN where one is not known.

    Levels and residuals are divided by the unit of the series at the origin; nothing after the origin is used.
    """
    series, origin, ahead = asked
    usual, day = known.usual, known.usual.day_steps
    target = origin + ahead
    base = known.base(asked)
    days, weeks = usual.days_ahead(ahead) * day, -(-(ahead + usual.reach) // week_steps) * week_steps
    now = usual.week[0][series, origin]
    hour, yesterday = known.hour[series, origin], at(known.values, series, target - days)
    loads = [
        base,
        _by_days(usual, usual.day, asked) - base,
        base - now,
        base * (known.level(asked) - 1),
        known.residual[series, origin],
        known.residual_hour[series, origin],
        at(known.residual_hour, series, origin - known.hour_steps),
        known.residual_day[series, origin],
        known.size[series, origin],
        usual.held[series, origin] - base,
        hour - base,
        hour - at(known.hour, series, origin - known.hour_steps),
        known.today[series, origin] - base,
        yesterday - base,
        at(known.residual_hour, series, target - days),
        at(known.hour, series, target - days) - at(known.hour, series, origin - days),
        at(known.values, series, target - weeks) - base,
    ]
    scaled = np.stack(loads, axis=-1) / usual.unit[series, origin][..., None]
    return np.concatenate([scaled, calendar(target, (day, week_steps)), np.log2(ahead)[..., None]], axis=-1)


def calendar(steps: Steps, seasons: tuple[int, int]) -> Values:
    """Return time of day and time of week of `steps` as points on two circles, (*steps.shape, 4), from step 0."""
    angles = 2 * np.pi * np.stack([(steps % season) / season for season in seasons], axis=-1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
