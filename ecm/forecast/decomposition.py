"""Splits a load into seasons of week and day and the rest, so that no season sees what came after an origin."""

from __future__ import annotations

import numpy as np

from ecm.forecast.arrays import Values, seasonal_mean, smoothed

WEEKS = 5
WEEK_DECAY = 0.7
DAYS = 7
DAY_DECAY = 0.8
"""How many seasons count, and the weight of each against the one after it."""
MEASURED_SHARE = 0.75
"""A moving mean over a season counts when at least this share of it was measured."""


def seasonal(values: Values, seasons: tuple[int, int], *, reach: int, ahead: int) -> Values:
    """Return what week and day add to the level of every step, shape (series, time + ahead); NaN: not known yet.

    As in MSTL (Bandara, Hyndman and Bergmeir, MSTL: A Seasonal-Trend Decomposition Algorithm for Time Series with
    Multiple Seasonal Patterns, 2021) each season is taken from what the others left: the week is the weighted mean of
    past weeks about their moving mean over a week, the day that of past days about their moving mean over a day after
    the week was taken off. Instead of loess, values are smoothed over `reach` steps either side and later seasons weigh
    more. A season of a step uses nothing later than `ahead` steps before it, so no origin sees its future. `seasons`
    are day and week in steps. Until a week is known, the day stands alone.
    """
    day, week = seasons
    length = values.shape[1]
    weekly = _repeated(values, week, (WEEKS, WEEK_DECAY), reach=reach, ahead=ahead)
    alone = _repeated(values, day, (DAYS, DAY_DECAY), reach=reach, ahead=ahead)
    beside = _repeated(values - weekly[:, :length], day, (DAYS, DAY_DECAY), reach=reach, ahead=ahead)
    found: Values = np.where(np.isnan(weekly), alone, weekly + np.nan_to_num(beside))
    return found


def first_measured(values: Values) -> Values:
    """Return the first measured value of every series, shape (series,); NaN where there is none."""
    found: Values = values[np.arange(len(values)), np.argmax(~np.isnan(values), axis=1)]
    return found


def _repeated(values: Values, period: int, kept: tuple[int, float], *, reach: int, ahead: int) -> Values:
    """Return the weighted mean of past periods about their moving mean, for all steps and `ahead` more."""
    half = period // 2
    count, decay = kept
    about = smoothed(values - _moving_mean(values, half), reach)
    first = -(-(ahead + reach + half) // period)
    lags = [period * k for k in range(first, first + count)]
    return seasonal_mean(about, np.arange(values.shape[1] + ahead), lags, decay)


def _moving_mean(values: Values, half: int) -> Values:
    """Return the centred mean over about 2 `half` steps, the outermost two with half the weight; NaN where too few."""
    measured = ~np.isnan(values)
    weight = _moving_sum(measured.astype(np.float64), half)
    total = _moving_sum(np.where(measured, values, 0.0), half)
    enough = weight >= MEASURED_SHARE * max(2 * half, 1)
    return np.where(enough, total / np.where(enough, weight, 1.0), np.nan)


def _moving_sum(values: Values, half: int) -> Values:
    if half == 0:
        return values
    padded = np.pad(values, ((0, 0), (half + 1, half)))
    sums = np.cumsum(padded, axis=1)
    whole = sums[:, 2 * half + 1 :] - sums[:, : -2 * half - 1]
    ends = padded[:, 1 : values.shape[1] + 1] + padded[:, 2 * half + 1 :]
    total: Values = whole - ends / 2
    return total
