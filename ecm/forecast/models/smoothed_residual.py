"""Exponential smoothing of what is unusual, on top of the usual time of the week."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values, mean
from ecm.forecast.learning import lowest, parameters
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.profile import profile
from ecm.forecast.season import Season

RANK = 35
SMOOTHING = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Smoothing parameters that are tried; the loss is flat between neighbours."""


class SmoothedResidual(PanelForecaster):
    """Profile of day and week plus the exponentially smoothed residual, held over the horizon.

    Simple exponential smoothing (Hyndman and Athanasopoulos, Forecasting, 8.1) from level 0; each series has the
    parameter with the least squared one-step error over what it learnt from. sktime's ExponentialSmoothing with that
    parameter forecasts the same, but 0.2 s per series and origin are too slow for hundreds of past origins.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.smoothed_residual import SmoothedResidual
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> SmoothedResidual(day_steps=2, week_steps=4, reach=0).fit(load).predict(fh=[1, 2])["web"].tolist()
    [1.0, 9.0]

    """

    def __init__(self, day_steps: int = 96, week_steps: int = 672, reach: int = 1) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.reach = reach
        super().__init__()

    def learn(self, values: Values) -> Values:
        """Return the parameter of every series, shape (series, 1): least squared one-step error over `values`."""
        residual = values - self._usual(values, 1)[:, :-1]
        found = levels(residual, np.array(SMOOTHING)[:, None])
        loss = mean((residual[:, 1:] - found[:, :, :-1]) ** 2)
        return np.array(SMOOTHING)[lowest(loss)][:, None]

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        share = parameters(self, values, origins, learnt)[:, 0]
        usual = self._usual(values, steps)
        level = levels(values - usual[:, : values.shape[1]], share)
        base = usual[:, origins[:, None] + np.arange(1, steps + 1)]
        path: Values = np.maximum(base + level[:, origins][:, :, None], 0.0)
        return path

    def _usual(self, values: Values, steps: int) -> Values:
        seasons = (self.day_steps, self.week_steps)
        return profile(values, np.arange(values.shape[1] + steps), seasons, reach=self.reach, ahead=steps).week

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [{"day_steps": 2, "week_steps": 4, "reach": 0}, {"day_steps": 3, "week_steps": 6}]


def levels(residual: Values, share: Values) -> Values:
    """Return the smoothed residual after every step, shape (*, series, steps), from 0 on.

    `share`, shape (*, series) or what broadcasts to it, is the smoothing parameter. A step that was not measured leaves
    the level as it is.
    """
    now = np.zeros(np.broadcast_shapes(share.shape, residual.shape[:1]))
    found = np.zeros((residual.shape[1], *now.shape))
    # Step by step through memory: time comes first.
    columns = np.ascontiguousarray(residual.T)
    seen = (~np.isnan(columns)).astype(np.float64)
    columns = np.nan_to_num(columns)
    gap = np.empty_like(now)
    for step, (column, here) in enumerate(zip(columns, seen, strict=True)):
        np.subtract(column, now, out=gap)
        gap *= here
        gap *= share
        now += gap
        found[step] = now
    return np.moveaxis(found, 0, -1)


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return SmoothedResidual(day_steps=season.day, week_steps=season.week, reach=15 // season.interval_min)
