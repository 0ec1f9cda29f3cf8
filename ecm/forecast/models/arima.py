"""ARIMA of what differs from the weeks before: how unusual load rises, swings and fades."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecm.forecast.arrays import Steps, Values
from ecm.forecast.autoregression import Arma, continued, filtered, fit
from ecm.forecast.learning import blocks, parameters
from ecm.forecast.panel import PanelForecaster
from ecm.forecast.profile import profile
from ecm.forecast.season import Season

RANK = 26
LEARNT_DAYS = 42
"""Learnt from the last weeks alone: how a load behaves changes."""
LEARN_AT_ONCE = 32
PATHS_AT_ONCE = 1 << 21
"""Bounds memory: values of paths in one pass."""
HIGHEST = 2.0
"""No forecast is above this many times the highest load so far."""


class Arima(PanelForecaster):
    """Seasonal ARIMA: a weekly difference against the weighted mean of past weeks, then ARMA with a daily lag.

    The weighted mean is what a seasonal difference with a seasonal moving average comes to (Box and Jenkins, Time
    Series Analysis, chapter 9); days stand in where no week was measured. Orders are chosen per series by AIC from up
    to six lags, the lag of a day, two shocks and one more difference.

    Examples
    --------
    >>> import pandas as pd
    >>> from ecm.forecast.models.arima import Arima
    >>> load = pd.DataFrame({"web": [1.0, 9.0] * 8})
    >>> Arima(day_steps=2, week_steps=4, reach=0).fit(load).predict(fh=[1, 2])["web"].round(6).tolist()
    [1.0, 9.0]

    """

    def __init__(self, day_steps: int = 96, week_steps: int = 672, reach: int = 1) -> None:
        self.day_steps = day_steps
        self.week_steps = week_steps
        self.reach = reach
        super().__init__()

    def learn(self, values: Values) -> Values:
        """Return coefficients and times of differencing of every series, shape (series, 10); see `Arma`."""
        recent = values[:, -LEARNT_DAYS * self.day_steps :]
        return np.concatenate([self._learn(recent[part]) for part in blocks(len(values), LEARN_AT_ONCE)])

    def _learn(self, values: Values) -> Values:
        found = fit(values - self._usual(values, 1)[:, :-1], self.day_steps)
        return np.column_stack([found.terms, found.differenced])

    def paths(self, values: Values, origins: Steps, steps: int, learnt: object = None) -> Values:
        """Return the forecasts of all origins; see `PanelForecaster.paths`."""
        known = parameters(self, values, origins, learnt)
        at_once = max(1, PATHS_AT_ONCE // max(1, len(origins) * steps, values.shape[1]))
        parts = [self._paths(values[p], origins, steps, known[p]) for p in blocks(len(values), at_once)]
        return np.concatenate(parts)

    def _paths(self, values: Values, origins: Steps, steps: int, known: Values) -> Values:
        arma = Arma(known[:, :-1], known[:, -1])
        usual = self._usual(values, steps)
        unusual = filtered(values - usual[:, : values.shape[1]], arma, self.day_steps)
        path = continued(unusual, arma, origins, steps, self.day_steps)
        most = HIGHEST * np.maximum.accumulate(np.nan_to_num(values), axis=1)[:, origins, None]
        bounded: Values = np.clip(path + usual[:, origins[:, None] + np.arange(1, steps + 1)], 0.0, most)
        return bounded

    def _usual(self, values: Values, steps: int) -> Values:
        seasons = (self.day_steps, self.week_steps)
        return profile(values, np.arange(values.shape[1] + steps), seasons, reach=self.reach, ahead=steps).week

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return parameters for sktime's own checks of a forecaster."""
        del parameter_set
        return [{"day_steps": 2, "week_steps": 4, "reach": 0}, {"day_steps": 3, "week_steps": 6}]


def forecaster(season: Season) -> PanelForecaster:
    """Return the model for the grid of `season`."""
    return Arima(day_steps=season.day, week_steps=season.week, reach=15 // season.interval_min)
