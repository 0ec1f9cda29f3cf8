"""Exponential smoothing with a level, a damped trend and seasons of day and week, one pass for a whole panel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ecm.forecast.arrays import Values, mean

SEASON_CLIP = 4.0
"""Seasons learn from errors up to this many times the mean absolute error: a spike must not come back tomorrow."""


class Rates(NamedTuple):
    """Smoothing parameters, each of shape (*sets, series) or broadcast to it; all are shares of one error."""

    level: Values
    trend: Values
    """A negative one takes part of a jump of the level back over the next steps."""
    damping: Values
    """The trend of the next step over that of this one, in [0, 1)."""
    day: Values
    week: Values


class Panel(NamedTuple):
    """Values to smooth, and the steps per day and week."""

    values: Values
    """(series, time)"""
    seasons: tuple[int, int]


class State:
    """What is known after one step; the arrays are those of the pass and change with its next step."""

    def __init__(self, panel: Panel, rates: Rates) -> None:
        day, week = panel.seasons
        first = begun(panel.values)
        beginning = take_each(panel.values, first[:, None] + np.arange(day))
        level = np.nan_to_num(mean(beginning))
        usual = np.nan_to_num(beginning - level[:, None])
        places = ((first[:, None] + np.arange(day)) % day).astype(np.int64)
        sets = np.broadcast_shapes(*(rate.shape for rate in rates), level.shape)
        self.rates = rates
        self.step = -1
        self.level = np.broadcast_to(level, sets).copy()
        self.slope = np.zeros(sets)
        self.size = np.broadcast_to(np.abs(usual).mean(axis=1), sets).copy()
        self.day = np.zeros((day, *sets))
        at_place = np.zeros((day, len(level)))
        np.put_along_axis(at_place, places.T, usual.T, axis=0)
        self.day += at_place.reshape(day, *(1,) * (len(sets) - 1), len(level))
        self.week = np.zeros((week, *sets))
        self._damped: dict[int, Values] = {}

    def ahead(self, steps: int) -> Values:
        """Return the forecasts of the next `steps` steps, shape (steps, *sets, series)."""
        steps_ahead = np.arange(1, steps + 1)
        places = self.step + steps_ahead
        sums = np.cumsum(self.rates.damping ** steps_ahead.reshape(-1, *(1,) * self.level.ndim), axis=0)
        seasons = self.day[places % len(self.day)] + self.week[places % len(self.week)]
        path: Values = self.level + sums * self.slope + seasons
        return path

    def one_ahead(self, steps: int) -> Values:
        """Return the forecast `steps` steps ahead, shape (*sets, series)."""
        place, damping = self.step + steps, self.rates.damping
        if steps not in self._damped:
            self._damped[steps] = damping * (1 - damping**steps) / (1 - damping)
        path: Values = self.level + self._damped[steps] * self.slope + self.day[place % len(self.day)]
        path += self.week[place % len(self.week)]
        return path

    def move(self, value: Values, seen: Values, seasonal: tuple[Values, Values]) -> None:
        """Take the value of the next step, shape (series,), where `seen` is 1; elsewhere what was expected holds.

        `seasonal` are the rates of the two seasons as they are now.
        """
        self.step += 1
        day, week = self.day[self.step % len(self.day)], self.week[self.step % len(self.week)]
        self.slope *= self.rates.damping
        self.level += self.slope
        error = (value - self.level - day - week) * seen
        self.level += self.rates.level * error
        self.slope += self.rates.trend * error
        bound = SEASON_CLIP * self.size
        cut = np.minimum(np.maximum(error, -bound), bound)
        self.size += (np.abs(cut) - self.size) * seen / len(self.day)
        day += seasonal[0] * cut
        week += seasonal[1] * cut


def smooth(panel: Panel, rates: Rates) -> Iterator[State]:
    """Yield the state after every step of `panel`, one object that changes.

    Error-correction form of Holt-Winters with two additive seasons (Taylor, Short-term electricity demand forecasting
    using double seasonal exponential smoothing, 2003, eq. 10-14) and damped trend (Hyndman et al., Forecasting with
    Exponential Smoothing, 2008, section 2.5). Each series begins with the mean and the shape of the day after its first
    measured value; states before the end of that day know it already and are of no use.
    """
    day, week = panel.seasons
    state = State(panel, rates)
    start = begun(panel.values) + day
    columns = np.ascontiguousarray(panel.values.T)
    seen = (~np.isnan(columns) & (np.arange(len(columns))[:, None] >= start)).astype(np.float64)
    columns = np.nan_to_num(columns)
    seasonal = (rates.day, rates.week)
    for step in range(len(columns)):
        if step % day == 0:
            age = np.maximum(step - start, 0)
            # Each season begins as the mean of its first values.
            seasonal = np.maximum(rates.day, 1.0 / (2 + age // day)), np.maximum(rates.week, 1.0 / (2 + age // week))
        state.move(columns[step], seen[step], seasonal)
        yield state


def begun(values: Values) -> Values:
    """Return the step of the first measured value of every series; the length where there is none."""
    measured = ~np.isnan(values)
    first: Values = np.where(measured.any(axis=1), np.argmax(measured, axis=1), values.shape[1])
    return first


def take_each(values: Values, steps: Values) -> Values:
    """Return `values[i, steps[i]]`, shape of `steps` (series, count); NaN where a step lies outside."""
    inside = (steps >= 0) & (steps < values.shape[1])
    found = np.take_along_axis(values, np.clip(steps, 0, values.shape[1] - 1), axis=1)
    return np.where(inside, found, np.nan)
