"""How much of what is unusual now will still be so later: a ridge regression per horizon on recent residuals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ecm.forecast.arrays import Steps, Values, take, trailing_mean
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.profile import profile
from ecm.forecast.season import Season

RANK = 30
RIDGE = 3.0
"""Penalty on squared coefficients, in squares of the mean load: an hour of evidence moves little, a week decides."""
EXAMPLES_PER_DAY = 48
"""At most this many origins of a past day, evenly spread, teach the coefficients."""
KNOTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48, 72, 96, 144, 192, 288)
"""Horizons with coefficients of their own; those between use the nearest one below."""
CLIP = 8.0
"""Residuals beyond this many times their mean absolute size are cut: one spike must not teach the slope."""
SERIES_AT_ONCE = 8
"""Bounds the memory of the running sums."""


class _Features(NamedTuple):
    """What is known at every step."""

    size: Values
    """Mean load up to each step: the unit of the ridge."""
    week: Values
    day: Values
    known: Values
    """(series, time, 3): residual of this step, its mean over the last hour, its mean over the last day."""
    residual: Values


class ResidualRegression(PanelForecaster):
    """Profile of day and week plus a linear function of what is known at the origin, fitted on earlier origins alone.

    Features: 1, the profile at the target, the residual now, its mean over the last hour and day, the residual at the
    target's time yesterday, and the distance of the daily from the weekly profile. Coefficients at an origin come from
    running sums over targets that were measured by then, so every origin has its own and none sees its future.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.residual_regression import ResidualRegression
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> model = ResidualRegression(day_steps=2, week_steps=4, recent_steps=1, reach=0)
    >>> model.fit(load).predict(fh=[1, 2])["web"].round(6).tolist()
    [1.0, 9.0]

    """

    def __init__(self, day_steps: int = 96, week_steps: int = 672, recent_steps: int = 4, reach: int = 1) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.recent_steps = recent_steps
        self.reach = reach
        super().__init__()

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        del learnt
        parts = [
            self._paths(values[i : i + SERIES_AT_ONCE], origins, steps) for i in range(0, len(values), SERIES_AT_ONCE)
        ]
        return np.concatenate(parts)

    def _paths(self, values: Values, origins: Steps, steps: int) -> Values:
        features = self._features(values, steps)
        out = np.full((len(values), len(origins), steps), np.nan)
        knots = [k for k in KNOTS if k <= steps]
        for knot, after in zip(knots, [*knots[1:], steps + 1], strict=True):
            beta = self._coefficients(features, origins, knot)
            for ahead in range(knot, after):
                base = features.week[:, origins + ahead]
                out[:, :, ahead - 1] = (_row(features, origins, ahead, self.day_steps) * beta).sum(axis=2) + base
        floored: Values = np.maximum(out, 0.0)
        return floored

    def _features(self, values: Values, steps: int) -> _Features:
        length = values.shape[1]
        seasons = (self.day_steps, self.week_steps)
        usual = profile(values, np.arange(length + steps), seasons, reach=self.reach, ahead=steps)
        residual = values - usual.week[:, :length]
        size = trailing_mean(np.abs(residual), length)
        residual = np.clip(residual, -CLIP * size, CLIP * size)
        hour = trailing_mean(residual, self.recent_steps)
        now = np.where(np.isnan(residual), hour, residual)
        known = np.stack([now, hour, trailing_mean(residual, self.day_steps)], axis=2)
        return _Features(trailing_mean(np.abs(values), length), usual.week, usual.day, known, residual)

    def _coefficients(self, features: _Features, origins: Steps, ahead: int) -> Values:
        """Return the coefficients of every origin, (series, origins, features): ridge on targets measured by then."""
        stride = max(1, self.day_steps // EXAMPLES_PER_DAY)
        examples = np.arange(0, features.size.shape[1], stride)
        target = take(features.residual, examples + ahead)
        used = ~np.isnan(target)
        rows = _row(features, examples, ahead, self.day_steps) * used[:, :, None]
        squares = np.cumsum(rows[:, :, :, None] * rows[:, :, None, :], axis=1)
        products = np.cumsum(rows * np.where(used, target, 0.0)[:, :, None], axis=1)
        known = (origins - ahead) // stride
        seen = (known >= 0)[None, :, None]
        known = np.maximum(known, 0)
        size = np.maximum(features.size[:, origins], 1e-9)[:, :, None]
        # Loads weigh with their size; the constant (first) is in units of load itself.
        unit = np.where(np.arange(rows.shape[2]) == 0, 1.0, size**2)
        left = squares[:, known] * seen[..., None] + RIDGE * unit[..., None] * np.eye(rows.shape[2])
        right = products[:, known] * seen
        beta = np.linalg.solve(left, right[..., None])[..., 0]
        return np.asarray(beta, dtype=np.float64)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [
            {"day_steps": 2, "week_steps": 4, "recent_steps": 1, "reach": 0},
            {"day_steps": 3, "week_steps": 6, "recent_steps": 2},
        ]


def _row(features: _Features, origins: Steps, ahead: int, day: int) -> Values:
    """Return the features of the targets `ahead` steps after `origins`: (series, origins, 7)."""
    target = origins + ahead
    week, today = take(features.week, target), take(features.day, target)
    yesterday = take(features.residual, target - day * -(-ahead // day))
    row = np.stack([np.ones_like(week), week, yesterday, today - week], axis=2)
    filled: Values = np.nan_to_num(np.concatenate([row, features.known[:, origins]], axis=2))
    return filled


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return ResidualRegression(
        day_steps=season.day, week_steps=season.week, recent_steps=season.steps(60), reach=15 // season.interval_min
    )
