"""Seasons of week and day, a trend of days and an autoregressive remainder."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ecm.forecast.arrays import Steps, Values, mean, trailing_mean
from ecm.forecast.decomposition import seasonal
from ecm.forecast.learning import blocks, lowest, parameters
from ecm.forecast.models.smoothed_residual import SMOOTHING, levels
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.season import Season

RANK = 28
NEAR_MIN, FAR_MIN = 30, 180
"""How much of the remainder is left is learnt at these distances: those of a lead time and of a sizing window's end."""
LEAST_LEFT, MOST_LEFT = 1e-3, 0.999
"""Bounds of what is left of the remainder from the near to the far distance."""
SLOPE_DAYS = 3
"""The trend is the mean of the last day; its slope is that between the means of so many days and of those before."""
DAMPING = 0.8
"""The slope falls to this per day: growth does not last."""
LEARNT_DAYS = 42
"""Learnt from the last weeks alone: how a load behaves changes."""
SERIES_AT_ONCE = 64


class _Parts(NamedTuple):
    """A decomposed load."""

    usual: Values
    """(series, time + steps): what the seasons add."""
    trend: Values
    """(series, time)"""
    slope: Values
    """(series, time): growth of the trend per step."""
    remainder: Values
    """(series, time)"""


class Mstl(PanelForecaster):
    """Multiple seasonal-trend decomposition; the trend goes on, damped, and the remainder fades.

    Bandara, Hyndman and Bergmeir, MSTL (2021), with running weighted means in place of loess: a season or the trend of
    a step is then the same seen from every later origin, and thousands of origins cost one pass. The remainder is a
    first-order autoregression seen through noise: its smoothed value fades as `share * fade ** steps`. Each series has
    the smoothing with the least absolute error `near_steps` and `far_steps` ahead; share and fade are least squares.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.mstl import Mstl
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> model = Mstl(day_steps=2, week_steps=4, near_steps=1, far_steps=2, reach=0)
    >>> model.fit(load).predict(fh=[1, 2])["web"].round().tolist()
    [1.0, 9.0]

    """

    def __init__(
        self, day_steps: int = 96, week_steps: int = 672, near_steps: int = 2, far_steps: int = 12, reach: int = 1
    ) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.near_steps = near_steps
        self.far_steps = far_steps
        self.reach = reach
        super().__init__()

    def learn(self, values: Values) -> Values:
        """Return smoothing, share and fade of the remainder of every series, shape (series, 3)."""
        recent = values[:, -LEARNT_DAYS * self.day_steps :]
        return np.concatenate([self._learn(recent[part]) for part in blocks(len(values), SERIES_AT_ONCE)])

    def _learn(self, values: Values) -> Values:
        remainder = self._parts(values, self.far_steps).remainder
        gap = self.far_steps - self.near_steps
        found, losses = [], []
        for smoothing in SMOOTHING:
            level = levels(remainder, np.full(len(values), smoothing))
            near, late = (_left(level, remainder, ahead) for ahead in (self.near_steps, self.far_steps))
            fade = np.clip(late / np.maximum(near, LEAST_LEFT), LEAST_LEFT, MOST_LEFT) ** (1 / gap)
            share = np.clip(near / fade**self.near_steps, 0.0, 1.0)
            found.append(np.stack([np.full(len(values), smoothing), share, fade], axis=1))
            each = [_loss(level, remainder, share * fade**a, a) for a in (self.near_steps, self.far_steps)]
            losses.append(each[0] + each[1])
        return np.stack(found)[lowest(np.stack(losses)), np.arange(len(values))]

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        known = parameters(self, values, origins, learnt)
        parts = [self._paths(values[p], origins, steps, known[p]) for p in blocks(len(values), SERIES_AT_ONCE)]
        return np.concatenate(parts)

    def _paths(self, values: Values, origins: Steps, steps: int, known: Values) -> Values:
        smoothing, share, fade = known.T
        load = self._parts(values, steps)
        ahead = np.arange(1, steps + 1)
        grown = load.slope[:, origins, None] * np.cumsum(DAMPING ** (ahead / self.day_steps))
        left = (share[:, None] * fade[:, None] ** ahead)[:, None]
        faded = levels(load.remainder, smoothing)[:, origins, None] * left
        path = load.usual[:, origins[:, None] + ahead] + load.trend[:, origins, None] + grown + faded
        floored: Values = np.maximum(path, 0.0)
        return floored

    def _parts(self, values: Values, steps: int) -> _Parts:
        day, span = self.day_steps, SLOPE_DAYS * self.day_steps
        usual = seasonal(values, (day, self.week_steps), reach=self.reach, ahead=steps)
        rest = values - usual[:, : values.shape[1]]
        slope = _slope(rest, span)
        # The mean of a day is the trend of half a day ago.
        trend = trailing_mean(rest, day) + slope * (day - 1) / 2
        # Where the season of no step of the last day was known, there is no trend yet.
        trend[trailing_mean(np.where(np.isnan(rest), np.nan, 1.0), day) == 0] = np.nan
        return _Parts(usual, trend, slope, rest - trend)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [
            {"day_steps": 2, "week_steps": 4, "near_steps": 1, "far_steps": 2, "reach": 0},
            {"day_steps": 3, "week_steps": 6, "near_steps": 1, "far_steps": 3},
        ]


def _slope(rest: Values, span: int) -> Values:
    """Return at every step how the mean of `span` steps grew over that of those before, per step.

    0 until something was measured 2 `span` steps ago.
    """
    broad = trailing_mean(rest, span)
    known = np.cumsum(~np.isnan(rest), axis=1) > 0
    slope = np.zeros_like(rest)
    growth = broad[:, 2 * span :] - broad[:, span:-span]
    slope[:, 2 * span :] = np.where(known[:, : -2 * span], growth / span, 0.0)
    return slope


def _left(level: Values, remainder: Values, ahead: int) -> Values:
    """Return the share of `level` that is left `ahead` steps later, by least squares; 0 where nothing is known."""
    later = remainder[:, ahead:]
    both = ~np.isnan(later)
    before = np.where(both, level[:, : later.shape[1]], 0.0)
    squares = (before**2).sum(axis=1)
    joint = (before * np.where(both, later, 0.0)).sum(axis=1)
    left: Values = np.where(squares > 0, joint / np.where(squares > 0, squares, 1.0), 0.0)
    return left


def _loss(level: Values, remainder: Values, left: Values, ahead: int) -> Values:
    later = remainder[:, ahead:]
    return mean(np.abs(later - left[:, None] * level[:, : later.shape[1]]))


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    near = season.steps(NEAR_MIN)
    return Mstl(
        day_steps=season.day,
        week_steps=season.week,
        near_steps=near,
        far_steps=max(season.steps(FAR_MIN), near + 1),
        reach=15 // season.interval_min,
    )
